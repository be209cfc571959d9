//! Stochastic gradient descent with momentum, as `torch.optim.SGD`: `d = momentum d + g + decay p`, `p = p - rate d`.
//! <https://proceedings.mlr.press/v28/sutskever13.html>

use super::Update;
use crate::onnx::graph::{GraphBuilder, Value};

pub(super) const SLOTS: [&str; 1] = ["direction"];
pub(super) const SCALARS: [&str; 1] = ["optimizer/rate"];

pub(super) fn update(
    graph: &mut GraphBuilder,
    value: &Value,
    gradient: &Value,
    direction: Option<&Value>,
    rate: &Value,
    momentum: f64,
    decay: f64,
) -> Update {
    let mut step = gradient.clone();
    if decay > 0.0 {
        let decay = graph.scalar_f32(decay as f32);
        let decayed = graph.mul(value, &decay);
        step = graph.add(&step, &decayed);
    }
    let mut slots = Vec::new();
    if let Some(direction) = direction {
        let momentum = graph.scalar_f32(momentum as f32);
        let kept = graph.mul(direction, &momentum);
        step = graph.add(&kept, &step);
        slots.push(step.clone());
    }
    let change = graph.mul(&step, rate);
    Update { value: graph.sub(value, &change), slots }
}

//! AdamW: <https://arxiv.org/abs/1711.05101>, with the numbers of `torch.optim.AdamW`:
//!
//! ```text
//! m = b1 m + (1 - b1) g             v = b2 v + (1 - b2) g^2
//! p = p (1 - rate decay) - rate / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + epsilon)
//! ```
//!
//! Passes over memory are what a step costs, so the state is kept as `M = m / (1 - b1)` and `V = v / (1 - b2)`, and the
//! constants are gathered into two scalars, `size` and `epsilon`, that come as inputs:
//!
//! ```text
//! M = b1 M + g                      V = b2 V + g^2
//! p = p (1 - rate decay) - size * M / (sqrt(V) + epsilon')
//! ```

use super::Update;
use crate::onnx::graph::{GraphBuilder, Value};

/// How much of the mean gradient is kept each step, PyTorch's default like the next two.
const BETA1: f64 = 0.9;
/// How much of the mean squared gradient is kept each step.
const BETA2: f64 = 0.999;
/// Added to the root of the mean squared gradient.
const EPSILON: f64 = 1e-8;
pub(super) const SLOTS: [&str; 2] = ["mean", "square"];
pub(super) const SCALARS: [&str; 3] = ["optimizer/rate", "optimizer/size", "optimizer/epsilon"];

/// The scalar inputs.
pub(super) struct Scalars<'a> {
    pub(super) rate: &'a Value,
    pub(super) size: &'a Value,
    pub(super) epsilon: &'a Value,
}

pub(super) fn scalar_values(rate: f64, step: u64) -> [f32; 3] {
    let step = step as f64;
    let (first, second) = (1.0 - BETA1.powf(step), 1.0 - BETA2.powf(step));
    // sqrt(v / second) = sqrt(V) * unit
    let unit = ((1.0 - BETA2) / second).sqrt();
    [rate as f32, (rate / first * (1.0 - BETA1) / unit) as f32, (EPSILON / unit) as f32]
}

pub(super) fn update(
    graph: &mut GraphBuilder,
    value: &Value,
    gradient: &Value,
    [mean, square]: [&Value; 2],
    scalars: &Scalars<'_>,
    decay: f64,
) -> Update {
    let (beta1, beta2) = (graph.scalar_f32(BETA1 as f32), graph.scalar_f32(BETA2 as f32));
    let kept = graph.mul(mean, &beta1);
    let mean = graph.add(&kept, gradient);
    let squared = graph.mul(gradient, gradient);
    let kept = graph.mul(square, &beta2);
    let square = graph.add(&kept, &squared);

    let root = graph.node("Sqrt", &[&square], vec![]);
    let divisor = graph.add(&root, scalars.epsilon);
    let direction = graph.div(&mean, &divisor);
    let change = graph.mul(&direction, scalars.size);
    let value = if decay > 0.0 {
        let (one, decay) = (graph.scalar_f32(1.0), graph.scalar_f32(decay as f32));
        let lost = graph.mul(scalars.rate, &decay);
        let left = graph.sub(&one, &lost);
        graph.mul(value, &left)
    } else {
        value.clone()
    };
    Update { value: graph.sub(&value, &change), slots: vec![mean, square] }
}

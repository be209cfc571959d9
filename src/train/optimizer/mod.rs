//! Optimizers as graphs: takes a parameter, its gradient and the optimizer's state, gives the nodes that compute what
//! they become.
//!
//! What changes from step to step (the learning rate, bias corrections) is a handful of scalar inputs that the host
//! computes in `f64`; everything of a parameter's size stays on the device.

mod adamw;
pub(crate) mod clip;
pub mod schedule;
mod sgd;

pub use debut_udfs::finetune::Optimizer;

use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::train::parameter::Parameter;

/// What a parameter becomes in one step.
pub(crate) struct Update {
    /// The new value.
    pub(crate) value: Value,
    /// The new state, in the order of [`slots`].
    pub(crate) slots: Vec<Value>,
}

/// Names of the tensors, each of a parameter's shape, that are kept from step to step.
pub(crate) fn slots(optimizer: Optimizer) -> &'static [&'static str] {
    match optimizer {
        Optimizer::AdamW { .. } => &adamw::SLOTS,
        Optimizer::Sgd { momentum, .. } if momentum > 0.0 => &sgd::SLOTS,
        Optimizer::Sgd { .. } => &[],
    }
}

/// Names of the scalar inputs that each step fills.
pub(crate) fn scalars(optimizer: Optimizer) -> &'static [&'static str] {
    match optimizer {
        Optimizer::AdamW { .. } => &adamw::SCALARS,
        Optimizer::Sgd { .. } => &sgd::SCALARS,
    }
}

/// Their values in step `step`, counted from 1, at the learning rate `rate`.
pub(crate) fn scalar_values(optimizer: Optimizer, rate: f64, step: u64) -> Vec<f32> {
    match optimizer {
        Optimizer::AdamW { .. } => adamw::scalar_values(rate, step).to_vec(),
        Optimizer::Sgd { .. } => vec![rate as f32],
    }
}

/// Declares the scalar inputs.
pub(crate) fn declare(optimizer: Optimizer, graph: &mut GraphBuilder) -> Vec<Value> {
    scalars(optimizer).iter().map(|name| graph.input(name, DataType::Float, &[] as &[Dim])).collect()
}

/// Adds the nodes of one parameter's step. `slots` is its state, `scalars` what [`declare`] gave.
pub(crate) fn update(
    optimizer: Optimizer,
    graph: &mut GraphBuilder,
    parameter: &Parameter,
    gradient: &Value,
    slots: &[Value],
    scalars: &[Value],
) -> Update {
    let value = graph.value(&parameter.name);
    // The scalar that is multiplied by the parameter's own rate, where it has one.
    let scaled = |graph: &mut GraphBuilder, scalar: &Value| {
        if parameter.rate == 1.0 {
            return scalar.clone();
        }
        let rate = graph.scalar_f32(parameter.rate);
        graph.mul(scalar, &rate)
    };
    let decay = |weight_decay| if parameter.decay { weight_decay } else { 0.0 };
    match (optimizer, slots, scalars) {
        (Optimizer::AdamW { weight_decay }, [mean, square], [rate, size, epsilon]) => {
            let (rate, size) = (scaled(graph, rate), scaled(graph, size));
            let scalars = adamw::Scalars { rate: &rate, size: &size, epsilon };
            adamw::update(graph, &value, gradient, [mean, square], &scalars, decay(weight_decay))
        }
        (Optimizer::Sgd { momentum, weight_decay }, slots, [rate, ..]) => {
            let rate = scaled(graph, rate);
            sgd::update(graph, &value, gradient, slots.first(), &rate, momentum, decay(weight_decay))
        }
        // `slots` and `scalars` are as many as this optimizer asked for.
        _ => Update { value, slots: Vec::new() },
    }
}

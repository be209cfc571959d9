//! Optimizers as graphs: takes a parameter, its gradient and the optimizer's state, gives the nodes that compute what
//! they become.
//!
//! What changes from step to step (the learning rate, bias corrections) is a handful of scalar inputs that the host
//! computes in `f64`; everything of a parameter's size stays on the device.

mod adamw;
pub(crate) mod clip;
pub mod schedule;
mod sgd;

use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::train::error::Error;
use crate::train::parameter::Parameter;

/// How parameters follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam with decoupled weight decay, as `torch.optim.AdamW`. <https://arxiv.org/abs/1711.05101>
    AdamW {
        /// How much of the mean gradient is kept each step; usually 0.9.
        beta1: f64,
        /// How much of the mean squared gradient is kept each step; usually 0.999.
        beta2: f64,
        /// Added to the root of the mean squared gradient; usually 1e-8.
        epsilon: f64,
        /// Share of each matrix that is taken off per unit of learning rate; usually 0.01.
        weight_decay: f64,
    },
    /// Stochastic gradient descent with momentum, as `torch.optim.SGD`: decay is added to the gradient.
    Sgd {
        /// How much of the last direction is kept each step; 0 for none.
        momentum: f64,
        /// Share of each matrix that is added to its gradient.
        weight_decay: f64,
    },
}

/// What a parameter becomes in one step.
pub(crate) struct Update {
    /// The new value.
    pub(crate) value: Value,
    /// The new state, in the order of [`Optimizer::slots`].
    pub(crate) slots: Vec<Value>,
}

impl Optimizer {
    /// Checks that every option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option.
    pub fn check(&self) -> Result<(), Error> {
        let within = |option, value: f64, holds: bool, expected: &str| {
            if holds {
                Ok(())
            } else {
                Err(Error::Option { option, value: value.to_string(), expected: expected.into() })
            }
        };
        let share = |option, value| within(option, value, (0.0..1.0).contains(&value), "at least 0 and below 1");
        let decay = |value: f64| {
            within("weight_decay", value, value >= 0.0 && value.is_finite(), "a number that is not negative")
        };
        match *self {
            Self::AdamW { beta1, beta2, epsilon, weight_decay } => {
                share("beta1", beta1)?;
                share("beta2", beta2)?;
                within("epsilon", epsilon, epsilon > 0.0 && epsilon.is_finite(), "a positive number")?;
                decay(weight_decay)
            }
            Self::Sgd { momentum, weight_decay } => {
                share("momentum", momentum)?;
                decay(weight_decay)
            }
        }
    }

    /// Names of the tensors, each of a parameter's shape, that are kept from step to step.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::AdamW { .. } => &adamw::SLOTS,
            Self::Sgd { momentum, .. } if *momentum > 0.0 => &sgd::SLOTS,
            Self::Sgd { .. } => &[],
        }
    }

    /// Names of the scalar inputs that each step fills.
    pub(crate) fn scalars(&self) -> &'static [&'static str] {
        match self {
            Self::AdamW { .. } => &adamw::SCALARS,
            Self::Sgd { .. } => &sgd::SCALARS,
        }
    }

    /// Their values in step `step`, counted from 1, at the learning rate `rate`.
    pub(crate) fn scalar_values(&self, rate: f64, step: u64) -> Vec<f32> {
        match *self {
            Self::AdamW { beta1, beta2, epsilon, .. } => {
                adamw::scalar_values(rate, step, beta1, beta2, epsilon).to_vec()
            }
            Self::Sgd { .. } => vec![rate as f32],
        }
    }

    /// Declares the scalar inputs.
    pub(crate) fn declare(&self, graph: &mut GraphBuilder) -> Vec<Value> {
        self.scalars().iter().map(|name| graph.input(name, DataType::Float, &[] as &[Dim])).collect()
    }

    /// Adds the nodes of one parameter's step. `slots` is its state, `scalars` what [`Self::declare`] gave.
    pub(crate) fn update(
        &self,
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
        match (*self, slots, scalars) {
            (Self::AdamW { beta1, beta2, weight_decay, .. }, [mean, square], [rate, size, epsilon]) => {
                let (rate, size) = (scaled(graph, rate), scaled(graph, size));
                let decay = if parameter.decay { weight_decay } else { 0.0 };
                let scalars = adamw::Scalars { rate: &rate, size: &size, epsilon };
                adamw::update(graph, &value, gradient, [mean, square], &scalars, [beta1, beta2, decay])
            }
            (Self::Sgd { momentum, weight_decay }, slots, [rate, ..]) => {
                let rate = scaled(graph, rate);
                let decay = if parameter.decay { weight_decay } else { 0.0 };
                sgd::update(graph, &value, gradient, slots.first(), &rate, momentum, decay)
            }
            // `slots` and `scalars` are as many as this optimizer asked for.
            _ => Update { value, slots: Vec::new() },
        }
    }
}

//! Linear algebra: matrices, dense and sparse, and the models that are fitted with them.
//!
//! Takes numbers, gives numbers; knows nothing of users and items.
//!
//! - [`dense`]: row-major `f32` matrices, products, Gram matrices, a solver
//! - [`neighbours`]: the nearest rows; [`principal`]: the directions in which rows are longest
//! - [`sparse`]: compressed sparse rows
//! - [`ridge`]: regressions with squared weights as penalty, from sparse and from dense features
//! - [`logistic`]: logistic regression and the conditional logit

pub mod dense;
pub mod logistic;
pub mod neighbours;
pub mod principal;
#[cfg(test)]
pub(crate) mod reference;
pub mod ridge;
pub mod sparse;

use crate::cancellation::Cancelled;

/// Why nothing was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A system of equations has no single solution.
    #[error("{0} has no single solution: its values are not finite, or the penalty of its squares is 0")]
    Singular(&'static str),
}

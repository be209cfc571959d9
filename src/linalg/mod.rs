//! Linear algebra of the recommender: matrices, dense and sparse, and the models that are fitted with them.
//!
//! Takes numbers, gives numbers; knows nothing of users and items.
//!
//! - [`dense`]: row-major `f32` matrices, products, Gram matrices, a solver
//! - [`sparse`]: compressed sparse rows
//! - [`ridge`]: regressions with squared weights as penalty, from sparse and from dense features
//! - [`logistic`]: logistic regression and the conditional logit

pub mod dense;
pub mod logistic;
#[cfg(test)]
pub(crate) mod reference;
pub mod ridge;
pub mod sparse;

//! What cannot be differentiated. Each message names the operator and the node, and what to do.

/// Why a graph has no gradients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operator that there is no rule for.
    #[error(
        "operator {operator} of node '{node}' has no gradient rule, and it lies between what is to be trained and the loss; \
         train only layers after it, or export the model with other operators"
    )]
    NoRule {
        /// The operator, with its domain where it is not ONNX's own.
        operator: String,
        /// The node.
        node: String,
    },
    /// An operator used in a way that its rule does not cover.
    #[error("operator {operator} of node '{node}' cannot be differentiated here: {reason}")]
    Unsupported {
        /// The operator.
        operator: String,
        /// The node.
        node: String,
        /// What about it, as the rest of a sentence.
        reason: String,
    },
    /// A rule that needs to know the rank of a value.
    #[error(
        "operator {operator} of node '{node}' cannot be differentiated: the rank of '{value}' is not known; export the \
         model with its shapes inferred"
    )]
    UnknownRank {
        /// The operator.
        operator: String,
        /// The node.
        node: String,
        /// The value.
        value: String,
    },
    /// Operators too old for the rules.
    #[error(
        "the graph is written in version {found} of the ONNX operators; gradients need {needed} or newer: convert or export \
         the model again"
    )]
    Opset {
        /// The graph's.
        found: i64,
        /// The oldest that would do.
        needed: i64,
    },
    /// A loss that is not in the graph or is not one number.
    #[error("'{loss}' cannot be a loss: {reason}")]
    Loss {
        /// Its name.
        loss: String,
        /// Why.
        reason: String,
    },
    /// A parameter that the graph does not have.
    #[error("the graph has no value '{parameter}' to compute a gradient for")]
    Parameter {
        /// Its name.
        parameter: String,
    },
}

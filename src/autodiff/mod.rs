//! Reverse-mode differentiation of ONNX graphs: takes a graph with a loss, adds the nodes that compute the loss's
//! gradients. The result is ordinary ONNX, so that the runtime that scores also trains.
//!
//! # Layout
//! - [`walk`]: from the loss back to the parameters, each node once, the gradients of a value with many readers summed
//! - [`rules`]: how the gradient passes each operator; the table is in its `mod.rs`
//! - [`context`]: what a rule sees of its node, and the nodes that rules share
//! - [`broadcast`]: summing a gradient back to the shape of an operand that was broadcast
//! - [`error`]: what cannot be differentiated
//!
//! The method is reverse accumulation over a tape that exists already, the graph: Griewank and Walther, Evaluating
//! Derivatives, 2008, chapter 3; Baydin et al., <https://arxiv.org/abs/1502.05767>.

mod broadcast;
mod context;
mod error;
mod rules;
mod walk;

#[cfg(test)]
mod tests;

use crate::onnx::graph::{GraphBuilder, Value};

pub use error::Error;

/// Oldest version of the ONNX operators whose graphs can be differentiated: in older ones `Softmax`, `Squeeze` and others
/// mean or take something else.
pub const OLDEST_OPSET: i64 = 13;

/// Adds the nodes that compute the derivative of `loss` by each of `parameters`: a value of the parameter's own shape and
/// type, or `None` where the loss does not depend on it.
///
/// `loss` is one number. A parameter may be an input or an initializer of the graph, or a value in between. The nodes are
/// named `gradient/...`; a node of the graph may get further outputs that its rule needs (the mean that a
/// `LayerNormalization` has computed anyway), and a graph in operators older than version 16 is raised to 16 where a
/// gradient needs to be scattered.
///
/// # Errors
/// An operator between a parameter and the loss has no rule or is used in a way that its rule does not cover: the message
/// names the operator and the node. The graph is then as it was.
pub fn gradients(graph: &mut GraphBuilder, loss: &Value, parameters: &[Value]) -> Result<Vec<Option<Value>>, Error> {
    graph.sort();
    let mark = graph.mark();
    let result = walk::walk(graph, loss, parameters);
    match result {
        Ok(_) => drop(graph.scope(mark.scope())),
        Err(_) => graph.reset(mark),
    }
    result
}

//! The input tensors of a graph.
//!
//! Takes what a session declares as inputs, and prepared rows; gives the tensors of one run. Used on the session's
//! thread.

use ort::session::{Session, SessionInputValue};

use super::Error;
use super::preprocessor::{Prepared, Preprocessor};
use super::tensor::Tensor;

/// All inputs of a graph, each with its name.
#[derive(Debug)]
pub(crate) struct Inputs(Vec<(String, Tensor)>);

impl Inputs {
    /// The inputs of `session`, which `preprocessor` fills.
    ///
    /// # Errors
    /// It does not fill one of them, or the graph wants another type or shape there.
    pub(crate) fn of(session: &Session, model: &str, preprocessor: &dyn Preprocessor) -> Result<Self, Error> {
        let inputs = session.inputs().iter().map(|input| {
            let wrong = || Error::Input {
                model: model.to_string(),
                input: input.name().to_string(),
                found: input.dtype().to_string(),
                made: preprocessor.makes(),
            };
            Ok((input.name().to_string(), preprocessor.tensor(input).ok_or_else(wrong)?))
        });
        Ok(Self(inputs.collect::<Result<_, _>>()?))
    }

    /// The tensors for `rows` of what is prepared, each filled up to the length `longest`.
    ///
    /// # Errors
    /// The runtime refuses the tensors.
    pub(crate) fn fill<'a>(
        &'a mut self,
        prepared: &'a dyn Prepared,
        rows: &[u32],
        longest: usize,
    ) -> Result<Vec<(&'a str, SessionInputValue<'a>)>, ort::Error> {
        let inputs = self.0.iter_mut();
        inputs.map(|(name, tensor)| Ok((name.as_str(), prepared.value(rows, longest, tensor)?))).collect()
    }
}

//! The input tensors of a graph, filled from token rows.
//!
//! Takes what a session declares as inputs; gives tensors over buffers that are kept from run to run.
//! Called by `inference::session` on the session's thread.

use ort::session::{Session, SessionInputValue};
use ort::value::{TensorElementType, TensorRef};

use super::Error;
use super::tokenizer::Tokens;

/// What an input of a graph is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Ids,
    Mask,
    TypeIds,
}

/// Values of the type that the graph asks for, `rows x longest`.
#[derive(Debug)]
enum Buffer {
    Int64(Vec<i64>),
    Int32(Vec<i32>),
}

#[derive(Debug)]
struct Input {
    name: String,
    source: Source,
    buffer: Buffer,
}

/// All inputs of a graph.
#[derive(Debug)]
pub(crate) struct Inputs {
    inputs: Vec<Input>,
    padding_id: u32,
}

impl Inputs {
    /// Matches the inputs of `session` by name.
    ///
    /// # Errors
    /// One of them is not made from text, or has another type than int64 or int32.
    pub(crate) fn of(session: &Session, model: &str, padding_id: u32) -> Result<Self, Error> {
        let inputs = session.inputs().iter().map(|input| {
            let wrong = || Error::Input {
                model: model.to_string(),
                input: input.name().to_string(),
                found: input.dtype().to_string(),
            };
            let source = match input.name() {
                "input_ids" => Source::Ids,
                "attention_mask" => Source::Mask,
                "token_type_ids" => Source::TypeIds,
                _ => return Err(wrong()),
            };
            let buffer = match input.dtype().tensor_type() {
                Some(TensorElementType::Int64) => Buffer::Int64(Vec::new()),
                Some(TensorElementType::Int32) => Buffer::Int32(Vec::new()),
                _ => return Err(wrong()),
            };
            Ok(Input { name: input.name().to_string(), source, buffer })
        });
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, padding_id })
    }

    /// The tensors for `rows` of `tokens`, each padded on the right to `longest`.
    ///
    /// # Errors
    /// The runtime refuses the tensors.
    pub(crate) fn fill<'a>(
        &'a mut self,
        tokens: &Tokens,
        rows: &[u32],
        longest: usize,
    ) -> Result<Vec<(&'a str, SessionInputValue<'a>)>, ort::Error> {
        let shape = [rows.len(), longest];
        let padding_id = self.padding_id;
        let tensor = |input: &'a mut Input| {
            let padding = if input.source == Source::Ids { padding_id } else { 0 };
            let row = |row: &u32| match input.source {
                Source::Ids | Source::Mask => tokens.ids(*row as usize),
                Source::TypeIds => tokens.type_ids(*row as usize),
            };
            let mask = input.source == Source::Mask;
            let rows = rows.iter().map(row);
            let value = match &mut input.buffer {
                Buffer::Int64(buffer) => {
                    pad(buffer, rows, shape, i64::from(padding), |id| if mask { 1 } else { i64::from(id) });
                    TensorRef::from_array_view((shape, buffer.as_slice()))?.into()
                }
                Buffer::Int32(buffer) => {
                    let narrow = u32::cast_signed;
                    pad(buffer, rows, shape, narrow(padding), |id| if mask { 1 } else { narrow(id) });
                    TensorRef::from_array_view((shape, buffer.as_slice()))?.into()
                }
            };
            Ok((input.name.as_str(), value))
        };
        self.inputs.iter_mut().map(tensor).collect()
    }
}

/// Lays `rows` into `buffer` as a matrix of `shape`, `padding` behind the short ones.
fn pad<'a, T: Copy>(
    buffer: &mut Vec<T>,
    rows: impl Iterator<Item = &'a [u32]>,
    shape: [usize; 2],
    padding: T,
    convert: impl Fn(u32) -> T,
) {
    let [count, longest] = shape;
    buffer.clear();
    buffer.resize(count * longest, padding);
    for (slots, row) in buffer.chunks_exact_mut(longest).zip(rows) {
        for (slot, id) in slots.iter_mut().zip(row) {
            *slot = convert(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_on_the_right_and_reuses_the_buffer() {
        let mut buffer = vec![9i64; 10];
        pad(&mut buffer, [&[5u32, 6, 7][..], &[8]].into_iter(), [2, 3], 1, i64::from);
        assert_eq!(buffer, [5, 6, 7, 8, 1, 1]);
        pad(&mut buffer, [&[4u32][..]].into_iter(), [1, 1], 1, i64::from);
        assert_eq!(buffer, [4]);
    }
}

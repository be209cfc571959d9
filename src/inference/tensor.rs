//! An input tensor of a graph, over a buffer that is kept from run to run.
//!
//! Takes rows of numbers; gives a matrix of the type that the graph asks for, short rows filled up. Of numbers that lie in the
//! order of the graph already it is the name alone.

use ort::session::SessionInputValue;
use ort::value::{Outlet, TensorElementType, TensorRef};

/// Values of the type that the graph asks for.
#[derive(Debug)]
enum Values {
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    /// They are where they were prepared.
    Given,
}

/// One input of a graph.
#[derive(Debug)]
pub(crate) struct Tensor {
    name: String,
    shape: [usize; 2],
    values: Values,
}

impl Tensor {
    /// An input of a graph, empty yet; `None` if it is of a type that no tensor is made of.
    pub(super) fn of(input: &Outlet) -> Option<Self> {
        let values = match input.dtype().tensor_type() {
            Some(TensorElementType::Int64) => Values::Int64(Vec::new()),
            Some(TensorElementType::Int32) => Values::Int32(Vec::new()),
            _ => return None,
        };
        Some(Self { name: input.name().to_string(), shape: [0, 0], values })
    }

    /// An input of a graph whose numbers need no buffer: they are given in its order.
    pub(super) fn given(input: &Outlet) -> Self {
        Self { name: input.name().to_string(), shape: [0, 0], values: Values::Given }
    }

    /// Its name in the graph.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes it the matrix of `rows`, converted, with `padding` behind those that are shorter than `longest`.
    pub(crate) fn pad<'a>(
        &mut self,
        rows: impl ExactSizeIterator<Item = &'a [u32]>,
        longest: usize,
        padding: u32,
        convert: impl Fn(u32) -> u32,
    ) {
        self.shape = [rows.len(), longest];
        match &mut self.values {
            Values::Int64(buffer) => pad(buffer, rows, self.shape, i64::from(padding), |id| i64::from(convert(id))),
            Values::Int32(buffer) => {
                let narrow = u32::cast_signed;
                pad(buffer, rows, self.shape, narrow(padding), |id| narrow(convert(id)));
            }
            Values::Given => {}
        }
    }

    /// What the session is handed.
    pub(super) fn value(&self) -> Result<SessionInputValue<'_>, ort::Error> {
        Ok(match &self.values {
            Values::Int64(buffer) => TensorRef::from_array_view((self.shape, buffer.as_slice()))?.into(),
            Values::Int32(buffer) => TensorRef::from_array_view((self.shape, buffer.as_slice()))?.into(),
            Values::Given => return Err(ort::Error::new("the input has no buffer of its own")),
        })
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

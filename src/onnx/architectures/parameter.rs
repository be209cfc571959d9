//! The data of a graph's parameters: takes the checkpoint, gives the elements of one, when the graph is written.

use std::io::Write;
use std::ops::Range;

use crate::onnx::weights::Weights;

/// Where an initializer's data comes from.
#[derive(Debug)]
pub(super) enum Parameter {
    /// Rows of a tensor of the checkpoint.
    Tensor {
        /// Its name there.
        source: String,
        rows: Range<usize>,
        /// Whether they are written transposed.
        transpose: bool,
    },
    /// A tensor of the checkpoint, each of its rows times a factor.
    Scaled { source: String, factors: Vec<f32> },
    /// Computed from several tensors of the checkpoint.
    Computed(Vec<f32>),
}

impl Parameter {
    /// Writes the elements as little-endian `f32`.
    pub(super) fn write(&self, weights: &Weights, sink: &mut dyn Write) -> std::io::Result<()> {
        let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let write = |elements: &[f32], sink: &mut dyn Write| {
            sink.write_all(&elements.iter().flat_map(|element| element.to_le_bytes()).collect::<Vec<_>>())
        };
        match self {
            Self::Tensor { source, rows, transpose } => weights.write_rows_f32(source, rows.clone(), *transpose, sink),
            Self::Scaled { source, factors } => {
                let mut elements = weights.read_f32(source).map_err(invalid)?;
                let row = elements.len() / factors.len().max(1);
                for (row, factor) in elements.chunks_exact_mut(row.max(1)).zip(factors) {
                    row.iter_mut().for_each(|element| *element *= factor);
                }
                write(&elements, sink)
            }
            Self::Computed(elements) => write(elements, sink),
        }
    }
}

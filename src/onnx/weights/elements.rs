//! Elements of tensors: takes their bytes as a checkpoint has them, writes them out as little-endian `f32`.

use std::borrow::Cow;
use std::io::Write;

use half::{bf16, f16};
use safetensors::Dtype;

use crate::onnx::{Error, Result};

/// Bytes that are converted at a time.
const BLOCK: usize = 1 << 20;

/// Reads one element from its bytes.
pub(super) type ElementReader = fn(&[u8]) -> f32;

pub(super) fn element_reader(name: &str, dtype: Dtype) -> Result<ElementReader> {
    Ok(match dtype {
        Dtype::F64 => |bytes| {
            let mut wide = [0; 8];
            wide.copy_from_slice(bytes);
            f64::from_le_bytes(wide) as f32
        },
        Dtype::F32 => |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Dtype::F16 => |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Dtype::BF16 => |bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        other => return Err(Error::DataType { name: name.to_owned(), found: other.to_string() }),
    })
}

pub(super) fn write_straight(
    data: &[u8],
    width: usize,
    read: ElementReader,
    sink: &mut dyn Write,
) -> std::io::Result<()> {
    if width == 4 {
        return sink.write_all(data); // already little-endian f32
    }
    let mut block = Vec::with_capacity(BLOCK.min(data.len() / width * 4));
    for part in data.chunks(BLOCK / 4 * width) {
        block.clear();
        for element in part.chunks_exact(width) {
            block.extend_from_slice(&read(element).to_le_bytes());
        }
        sink.write_all(&block)?;
    }
    Ok(())
}

/// `[rows, columns]` becomes `[columns, rows]`: some columns at a time, so that each cache line is read once per block.
pub(super) fn write_transposed(
    data: &[u8],
    width: usize,
    read: ElementReader,
    rows: usize,
    columns: usize,
    sink: &mut dyn Write,
) -> std::io::Result<()> {
    if rows == 0 || columns == 0 {
        return Ok(());
    }
    let at_once = (BLOCK / 4 / rows).clamp(1, columns);
    let mut block = vec![0u8; at_once * rows * 4];
    for first in (0..columns).step_by(at_once) {
        let count = at_once.min(columns - first);
        for row in 0..rows {
            let source = &data[(row * columns + first) * width..][..count * width];
            for (column, element) in source.chunks_exact(width).enumerate() {
                block[(column * rows + row) * 4..][..4].copy_from_slice(&read(element).to_le_bytes());
            }
        }
        sink.write_all(&block[..count * rows * 4])?;
    }
    Ok(())
}

/// The bytes of a tensor in row-major order; a copy where `strides`, in elements, say another order.
pub(super) fn row_major<'a>(data: &'a [u8], width: usize, shape: &[usize], strides: Option<&[usize]>) -> Cow<'a, [u8]> {
    let Some(strides) = strides else { return Cow::Borrowed(data) };
    let count = shape.iter().product::<usize>();
    let mut copy = Vec::with_capacity(count * width);
    let mut place = vec![0; shape.len()];
    for _ in 0..count {
        let at = place.iter().zip(strides).map(|(index, stride)| index * stride).sum::<usize>() * width;
        copy.extend_from_slice(&data[at..at + width]);
        for axis in (0..shape.len()).rev() {
            place[axis] += 1;
            if place[axis] < shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    Cow::Owned(copy)
}

//! Safetensors files: takes the bytes of one, gives where each tensor's elements are.
//!
//! Format: <https://github.com/huggingface/safetensors>

use std::path::Path;

use safetensors::{SafeTensorError, SafeTensors};
use serde_json::Value;

use super::Entry;
use crate::onnx::{Error, Result};

/// The tensors of the file `path`, whose content is `bytes`, by name.
///
/// # Errors
/// It is damaged or ends too early.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Entry)>> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|source| explain(path, bytes, source))?;
    let entry = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let end = start + view.data().len();
        (name.to_owned(), Entry { shape: view.shape().to_vec(), dtype: view.dtype(), start, end, strides: None })
    };
    Ok(parsed.iter().map(entry).collect())
}

/// Finds the tensor at which a file that is too short ends; the parser only says that something is.
fn explain(path: &Path, bytes: &[u8], source: SafeTensorError) -> Error {
    cut_off_tensor(path, bytes).unwrap_or(Error::SafeTensors { path: path.to_path_buf(), source })
}

fn cut_off_tensor(path: &Path, bytes: &[u8]) -> Option<Error> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let data_start = length.checked_add(8)?;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(bytes.get(8..data_start)?).ok()?;
    let size = bytes.len() as u64;
    header
        .iter()
        .filter_map(|(name, info)| {
            let end = info.get("data_offsets")?.get(1)?.as_u64()?.checked_add(data_start as u64)?;
            (end > size).then_some((end, name, info))
        })
        .min_by_key(|(end, ..)| *end)
        .map(|(end, name, info)| Error::Truncated {
            path: path.to_path_buf(),
            tensor: name.clone(),
            shape: serde_json::from_value(info.get("shape").cloned().unwrap_or_default()).unwrap_or_default(),
            end,
            size,
        })
}

//! Values by name, read again: takes tensors and JSON, gives matrices and settings, or says which value is damaged.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::full_name;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;
use crate::linalg::sparse::Csr;
use crate::recommend::error::{Error, Result};

/// All values of a recommender.
pub(crate) struct Stored<'a> {
    tensors: SafeTensors<'a>,
    values: Map<String, Value>,
    path: PathBuf,
}

impl<'a> Stored<'a> {
    /// The tensors of a file with these bytes, and what is no tensor. `path` is named where something is damaged.
    ///
    /// # Errors
    /// The bytes are no tensors.
    pub(crate) fn new(bytes: &'a [u8], values: Map<String, Value>, path: &Path) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|error| Error::Damaged { path: path.to_path_buf(), reason: error.to_string() })?;
        Ok(Self { tensors, values, path: path.to_path_buf() })
    }

    /// The values whose names begin with `name`; all of them where it is empty.
    pub(crate) fn section(&self, name: &str) -> StoredSection<'_> {
        StoredSection { stored: self, name: name.to_owned() }
    }
}

/// The values of one part or component.
pub(crate) struct StoredSection<'a> {
    stored: &'a Stored<'a>,
    name: String,
}

impl StoredSection<'_> {
    /// A section within this one.
    pub(crate) fn section(&self, name: &str) -> StoredSection<'_> {
        StoredSection { stored: self.stored, name: full_name(&self.name, name) }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.stored.tensors.tensor(&full_name(&self.name, name)).is_ok()
    }

    /// Something about a value that makes the file damaged.
    pub(crate) fn damaged(&self, name: &str, reason: impl std::fmt::Display) -> Error {
        let name = full_name(&self.name, name);
        Error::Damaged { path: self.stored.path.clone(), reason: format!("{name} {reason}") }
    }

    pub(crate) fn value<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T> {
        let value = self.stored.values.get(&full_name(&self.name, name));
        let value = value.ok_or_else(|| self.damaged(name, "is not there"))?;
        T::deserialize(value).map_err(|error| self.damaged(name, format_args!("cannot be read: {error}")))
    }

    fn chunks<const N: usize>(&self, name: &str, dtype: Dtype) -> Result<(Vec<usize>, &[[u8; N]])> {
        let tensor = self.stored.tensors.tensor(&full_name(&self.name, name));
        let tensor = tensor.map_err(|error| self.damaged(name, format_args!("cannot be read: {error}")))?;
        if tensor.dtype() != dtype {
            return Err(self.damaged(name, format_args!("holds {:?}", tensor.dtype())));
        }
        Ok((tensor.shape().to_vec(), tensor.data().as_chunks::<N>().0))
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.chunks::<4>(name, Dtype::F32)?.1.iter().copied().map(f32::from_le_bytes).collect())
    }

    pub(crate) fn u32s(&self, name: &str) -> Result<Vec<u32>> {
        Ok(self.chunks::<4>(name, Dtype::U32)?.1.iter().copied().map(u32::from_le_bytes).collect())
    }

    fn u64s(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.chunks::<8>(name, Dtype::U64)?.1.iter().map(|x| u64::from_le_bytes(*x) as usize).collect())
    }

    pub(crate) fn matrix(&self, name: &str) -> Result<Matrix> {
        let (shape, values) = self.chunks::<4>(name, Dtype::F32)?;
        match shape[..] {
            [rows, columns] => Ok(Matrix::new(rows, columns, values.iter().copied().map(f32::from_le_bytes).collect())),
            _ => Err(self.damaged(name, "is no matrix")),
        }
    }

    pub(crate) fn csr(&self, name: &str) -> Result<Csr> {
        let section = self.section(name);
        let columns = section.u64s("columns")?.first().copied().unwrap_or_default();
        let starts = section.u64s("starts")?;
        let (indices, values) = (section.u32s("indices")?, section.floats("values")?);
        Csr::from_parts(columns, starts, indices, values).ok_or_else(|| self.damaged(name, "is no sparse matrix"))
    }

    /// A regression.
    pub(crate) fn ridge(&self, name: &str) -> Result<Ridge> {
        let section = self.section(name);
        Ok(Ridge { weights: section.matrix("weights")?, intercept: section.floats("intercept")? })
    }
}

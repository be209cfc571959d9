//! Values by name, to be written: takes matrices and settings, gives tensors and JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, View};
use serde::Serialize;
use serde_json::{Map, Value};

use super::full_name;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;
use crate::linalg::sparse::Csr;
use crate::recommend::error::{Error, Result};

/// All values of a recommender.
#[derive(Default)]
pub(crate) struct Writer {
    tensors: Tensors,
    values: Map<String, Value>,
}

/// Tensors by full name.
#[derive(Default)]
pub(crate) struct Tensors(BTreeMap<String, Tensor>);

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Writer {
    /// The values whose names begin with `name`; all of them where it is empty.
    pub(crate) fn section(&mut self, name: &str) -> Section<'_> {
        Section { writer: self, name: name.to_owned() }
    }

    /// The tensors, and what is none, by full name.
    pub(crate) fn into_parts(self) -> (Tensors, Map<String, Value>) {
        (self.tensors, self.values)
    }
}

impl Tensors {
    /// Writes them into a file.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn write(self, path: &Path) -> Result<()> {
        serialize_to_file(self.0, None, path).map_err(|error| Error::File {
            action: "write",
            path: path.to_path_buf(),
            source: std::io::Error::other(error),
        })
    }

    #[cfg(test)]
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        safetensors::serialize(self.0, None)
    }
}

/// Where one part or component puts its values.
pub(crate) struct Section<'a> {
    writer: &'a mut Writer,
    name: String,
}

impl Section<'_> {
    /// A section within this one.
    pub(crate) fn section(&mut self, name: &str) -> Section<'_> {
        Section { name: full_name(&self.name, name), writer: self.writer }
    }

    /// Settings, or anything else that is no tensor.
    ///
    /// # Errors
    /// It cannot be JSON.
    pub(crate) fn value(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let name = full_name(&self.name, name);
        let value = serde_json::to_value(value)
            .map_err(|error| Error::NotKept { reason: format!("{name} cannot be written as JSON: {error}") })?;
        self.writer.values.insert(name, value);
        Ok(())
    }

    pub(crate) fn floats(&mut self, name: &str, values: &[f32]) {
        self.shaped(name, vec![values.len()], values);
    }

    pub(crate) fn matrix(&mut self, name: &str, matrix: &Matrix) {
        self.shaped(name, vec![matrix.rows(), matrix.columns()], matrix.values());
    }

    fn shaped(&mut self, name: &str, shape: Vec<usize>, values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(name, Tensor { dtype: Dtype::F32, shape, bytes });
    }

    pub(crate) fn u32s(&mut self, name: &str, values: impl Iterator<Item = u32>) {
        let bytes = values.flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        self.tensor(name, Tensor { dtype: Dtype::U32, shape: vec![bytes.len() / 4], bytes });
    }

    fn u64s(&mut self, name: &str, values: impl Iterator<Item = u64>) {
        let bytes = values.flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        self.tensor(name, Tensor { dtype: Dtype::U64, shape: vec![bytes.len() / 8], bytes });
    }

    fn tensor(&mut self, name: &str, tensor: Tensor) {
        self.writer.tensors.0.insert(full_name(&self.name, name), tensor);
    }

    pub(crate) fn csr(&mut self, name: &str, matrix: &Csr) {
        let (starts, indices, values) = matrix.parts();
        let mut section = self.section(name);
        section.u64s("columns", [matrix.columns() as u64].into_iter());
        section.u64s("starts", starts.iter().map(|start| *start as u64));
        section.u32s("indices", indices.iter().copied());
        section.floats("values", values);
    }

    /// A regression.
    pub(crate) fn ridge(&mut self, name: &str, ridge: &Ridge) {
        let mut section = self.section(name);
        section.matrix("weights", &ridge.weights);
        section.floats("intercept", &ridge.intercept);
    }
}

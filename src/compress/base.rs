//! The graph of a version: takes the version, gives its encoder.

use std::path::Path;

use crate::onnx;
use crate::registry::ModelVersion;
use crate::train::encoder::Encoder;
use crate::train::failure::{Result, failed};

/// The graph of a version.
///
/// # Errors
/// It cannot be read.
pub(super) fn open(version: &ModelVersion) -> Result<Encoder> {
    let path = version.graph();
    let model = onnx::file::read(&path).map_err(failed)?;
    Encoder::open(model, path.parent().unwrap_or(Path::new(".")), &version.manifest).map_err(failed)
}

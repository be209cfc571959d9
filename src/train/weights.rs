//! The values of a model's weights: takes an initializer and the model's folder, gives its `f32` values; and writes
//! weights that training left alone from the old version's files into a new version's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::onnx::external::{byte_length, is_external};
use crate::onnx::file::{TensorSource, leave_open};
use crate::onnx::proto::{DataType, ModelProto, StringStringEntryProto, TensorProto};

/// Shape of an initializer.
pub(crate) fn shape(tensor: &TensorProto) -> Vec<usize> {
    tensor.dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect()
}

/// Whether an initializer holds `f32` values: what can be trained.
pub(crate) fn is_f32(tensor: &TensorProto) -> bool {
    tensor.data_type() == DataType::Float as i32
}

/// The values of an `f32` initializer, from the message or from the file beside the model.
///
/// # Errors
/// It has other elements, its file cannot be read, or it is not as long as its shape says.
pub(crate) fn values(tensor: &TensorProto, folder: &Path) -> Result<Vec<f32>, Error> {
    let wrong = |reason: String| Error::Tensor { tensor: tensor.name().to_owned(), reason };
    if !is_f32(tensor) {
        return Err(wrong(format!("its elements are of ONNX type {}, not f32", tensor.data_type())));
    }
    let values = if is_external(tensor) {
        floats(&Place::of(tensor, folder)?.read(tensor.name())?)
    } else if let Some(raw) = &tensor.raw_data {
        floats(raw)
    } else {
        tensor.float_data.clone()
    };
    let expected = shape(tensor).iter().product::<usize>();
    if values.len() != expected {
        return Err(wrong(format!("it has {} values where its shape asks for {expected}", values.len())));
    }
    Ok(values)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

/// Where a tensor's bytes are.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl Place {
    fn of(tensor: &TensorProto, folder: &Path) -> Result<Self, Error> {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value().to_owned())
        };
        let wrong = |reason: String| Error::Tensor { tensor: tensor.name().to_owned(), reason };
        let location = entry("location").ok_or_else(|| wrong("it names no file".into()))?;
        let offset = match entry("offset") {
            Some(text) => text.parse().map_err(|_| wrong(format!("its offset is '{text}'")))?,
            None => 0,
        };
        let length = byte_length(tensor).ok_or_else(|| wrong("its elements have no fixed size".into()))?;
        Ok(Self { path: folder.join(location), offset, length })
    }

    fn open(&self) -> std::io::Result<std::io::Take<File>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }

    fn read(&self, tensor: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(self.length as usize);
        self.open().and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|source| Error::Data {
            tensor: tensor.to_owned(),
            path: self.path.clone(),
            source,
        })?;
        Ok(bytes)
    }
}

/// The weights that a model keeps in files: copied, a tensor at a time, when the model is written elsewhere.
#[derive(Debug)]
pub struct FrozenWeights(HashMap<String, Place>);

impl FrozenWeights {
    /// Opens the external initializers of `model`, whose files are in `folder`, for `onnx::file::write` to fill.
    ///
    /// # Errors
    /// A tensor does not say where its data is.
    pub(crate) fn detach(model: &mut ModelProto, folder: &Path) -> Result<Self, Error> {
        let mut places = HashMap::new();
        for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
            if is_external(tensor) {
                places.insert(tensor.name().to_owned(), Place::of(tensor, folder)?);
                leave_open(tensor);
            }
        }
        Ok(Self(places))
    }
}

impl FrozenWeights {
    /// Instead of copying the weights: puts links to their files into `folder`, where `model` is to be written, and makes
    /// its open initializers name them. A link is another name of the same file, which stays as long as one of its names
    /// does; where the file system has no links the file is copied.
    ///
    /// # Errors
    /// A file can neither be linked nor copied.
    pub fn link(&self, model: &mut ModelProto, folder: &Path) -> Result<(), Error> {
        let mut names: HashMap<&Path, String> = HashMap::new();
        for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
            let Some(place) = self.0.get(tensor.name()) else { continue };
            let name = match names.get(place.path.as_path()) {
                Some(name) => name.clone(),
                None => {
                    let name = format!("base-{}.onnx.data", names.len());
                    let target = folder.join(&name);
                    std::fs::hard_link(&place.path, &target)
                        .or_else(|_| std::fs::copy(&place.path, &target).map(|_| ()))
                        .map_err(|source| Error::Data {
                            tensor: tensor.name().to_owned(),
                            path: place.path.clone(),
                            source,
                        })?;
                    names.insert(&place.path, name.clone());
                    name
                }
            };
            tensor.external_data =
                [("location", name), ("offset", place.offset.to_string()), ("length", place.length.to_string())]
                    .map(|(key, value)| StringStringEntryProto { key: Some(key.into()), value: Some(value) })
                    .into();
        }
        Ok(())
    }
}

impl FrozenWeights {
    /// The weights of a graph whose names got `part` in front.
    #[must_use]
    pub(crate) fn within_part(self, part: &str) -> Self {
        Self(self.0.into_iter().map(|(name, place)| (format!("{part}{name}"), place)).collect())
    }

    /// These weights and those, of which none has the same name.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl TensorSource for FrozenWeights {
    fn write(&self, name: &str, sink: &mut dyn Write) -> std::io::Result<()> {
        let missing = || std::io::Error::new(std::io::ErrorKind::NotFound, format!("no weights named '{name}'"));
        let mut file = self.0.get(name).ok_or_else(missing)?.open()?;
        std::io::copy(&mut file, sink)?;
        Ok(())
    }
}

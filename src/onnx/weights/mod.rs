//! Checkpoints: takes a folder, gives its tensors by name and writes them out as little-endian `f32`.
//!
//! # Layout
//! - [`files`]: which files of a folder hold weights
//! - [`safetensors`]: where the tensors are in a file of safetensors
//! - [`torch`]: where they are in a state dict of PyTorch
//! - [`pickle`]: reading the pickle in that, which could hold code, without running any
//! - [`elements`]: from the bytes of a tensor to `f32`
//!
//! The files are memory-mapped, so that a model is never in memory twice.

mod elements;
pub mod files;
mod pickle;
mod safetensors;
mod torch;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::safetensors::Dtype;
use memmap2::Mmap;

use self::elements::{element_reader, row_major, write_straight, write_transposed};
use super::{Error, Result};

/// The tensors of a checkpoint.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<PathBuf>,
    maps: Vec<Mmap>,
    /// With the number of the file each is in.
    tensors: BTreeMap<String, (usize, Entry)>,
}

/// Where a tensor is in its file.
#[derive(Debug, PartialEq)]
struct Entry {
    shape: Vec<usize>,
    dtype: Dtype,
    /// Its bytes.
    start: usize,
    end: usize,
    /// In elements; `None` if they lie in row-major order without gaps.
    strides: Option<Vec<usize>>,
}

impl Weights {
    /// Maps the weights in `folder`: `model.safetensors`, or the shards that `model.safetensors.index.json` names; else
    /// `pytorch_model.bin`, its shards, or the only `.pth` or `.pt` file, of which nothing but tensors is read.
    ///
    /// # Errors
    /// There are none, a file is damaged, ends too early or holds code, or the index and the shards disagree.
    pub fn open(folder: &Path) -> Result<Self> {
        let files = files::find(folder)?;
        if files.is_empty() {
            let hint = "expected 'model.safetensors', 'pytorch_model.bin' or a '.pth' file, or shards and their index";
            return Err(Error::NoWeights { folder: folder.to_path_buf(), hint: hint.to_owned() });
        }
        let mut weights =
            Self { folder: folder.to_path_buf(), files: Vec::new(), maps: Vec::new(), tensors: BTreeMap::new() };
        for path in files {
            weights.add(path)?;
        }
        Ok(weights)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        // SAFETY: the map is read only as bytes, for which any content is valid. Another process that shortens the file
        // while it is mapped would end this one with a bus error; that is the known price of mapping and is why only
        // the import, never scoring, reads a checkpoint this way.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", &path))?;
        let shard = self.maps.len();
        let found = if path.extension().is_some_and(|ending| ending == "safetensors") {
            safetensors::read(&path, &map)?
        } else {
            torch::read(&map).map_err(|reason| Error::StateDict { path: path.clone(), reason })?
        };
        for (name, entry) in found {
            if let Some((other, _)) = self.tensors.insert(name.clone(), (shard, entry)) {
                let other = self.files.get(other).unwrap_or(&path);
                return Err(Error::AmbiguousWeights {
                    reason: format!("tensor '{name}' is in both '{}' and '{}'", other.display(), path.display()),
                });
            }
        }
        self.files.push(path);
        self.maps.push(map);
        Ok(())
    }

    /// The folder they came from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files they are in, in the order of their names.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape of a tensor, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|(_, entry)| entry.shape.as_slice())
    }

    /// Checks that a tensor is there, has this shape, and has elements that can be converted to `f32`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::Shape`], [`Error::DataType`].
    pub fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let (_, entry) = self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            expected: expected.to_vec(),
            folder: self.folder.clone(),
        })?;
        if entry.shape != expected {
            return Err(Error::Shape {
                name: name.to_owned(),
                found: entry.shape.clone(),
                expected: expected.to_vec(),
            });
        }
        element_reader(name, entry.dtype).map(drop)
    }

    /// Writes the elements of `name` as little-endian `f32`, row-major; a matrix transposed if `transpose`.
    ///
    /// # Errors
    /// Those of `sink`; [`std::io::ErrorKind::InvalidInput`] around an [`Error`] where [`Self::expect_shape`] would fail.
    pub fn write_f32(&self, name: &str, transpose: bool, sink: &mut dyn Write) -> std::io::Result<()> {
        let rows = self.shape(name).and_then(<[usize]>::first).copied();
        self.write_rows_f32(name, 0..rows.unwrap_or(1), transpose, sink)
    }

    /// [`Self::write_f32`] of these rows only: a range of the first axis.
    ///
    /// # Errors
    /// As [`Self::write_f32`].
    pub fn write_rows_f32(
        &self,
        name: &str,
        rows: Range<usize>,
        transpose: bool,
        sink: &mut dyn Write,
    ) -> std::io::Result<()> {
        let invalid = |error: Error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let no_data = || invalid(Error::NoData { tensor: name.to_owned() });
        let (entry, data) = self.data(name).ok_or_else(no_data)?;
        let shape = entry.shape.as_slice();
        let read = element_reader(name, entry.dtype).map_err(invalid)?;
        let width = entry.dtype.bitsize() / 8;
        let row = shape.iter().skip(1).product::<usize>() * width;
        let data = data.get(rows.start * row..rows.end * row).ok_or_else(no_data)?;
        match (transpose, shape) {
            (true, &[_, columns] | &[_, columns, 1, 1]) => {
                write_transposed(data, width, read, rows.len(), columns, sink)
            }
            _ => write_straight(data, width, read, sink),
        }
    }

    /// The elements of `name`, row-major.
    ///
    /// # Errors
    /// [`Error::NoData`], [`Error::DataType`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let (entry, data) = self.data(name).ok_or_else(|| Error::NoData { tensor: name.to_owned() })?;
        let read = element_reader(name, entry.dtype)?;
        Ok(data.chunks_exact(entry.dtype.bitsize() / 8).map(read).collect())
    }

    /// A tensor and its bytes, row-major.
    fn data(&self, name: &str) -> Option<(&Entry, Cow<'_, [u8]>)> {
        let (shard, entry) = self.tensors.get(name)?;
        let data = self.maps.get(*shard)?.get(entry.start..entry.end)?;
        let data = row_major(data, entry.dtype.bitsize() / 8, &entry.shape, entry.strides.as_deref());
        Some((entry, data))
    }
}

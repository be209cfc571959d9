//! Safetensors checkpoints: takes a folder, gives its tensors by name and writes them out as little-endian `f32`.
//!
//! The files are memory-mapped, so that a model is never in memory twice.
//!
//! Format: <https://github.com/huggingface/safetensors>; shards by `model.safetensors.index.json` as `transformers` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::Value;

use super::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Bytes that are converted at a time.
const BLOCK: usize = 1 << 20;

/// The tensors of a checkpoint.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    files: Vec<PathBuf>,
    maps: Vec<Mmap>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    shape: Vec<usize>,
    dtype: Dtype,
    shard: usize,
    start: usize,
    end: usize,
}

impl Weights {
    /// Maps `model.safetensors`, or the shards that `model.safetensors.index.json` names, in `folder`.
    ///
    /// # Errors
    /// There are none, a file is damaged or ends too early, or the index and the shards disagree.
    pub fn open(folder: &Path) -> Result<Self> {
        let files = shard_files(folder)?;
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
        let parsed = SafeTensors::deserialize(&map).map_err(|source| explain(&path, &map, source))?;
        for (name, view) in parsed.iter() {
            let start = view.data().as_ptr() as usize - map.as_ptr() as usize;
            let entry = Entry {
                shape: view.shape().to_vec(),
                dtype: view.dtype(),
                shard,
                start,
                end: start + view.data().len(),
            };
            if let Some(other) = self.tensors.insert(name.to_owned(), entry) {
                return Err(Error::AmbiguousWeights {
                    reason: format!(
                        "tensor '{name}' is in both '{}' and '{}'",
                        self.files[other.shard].display(),
                        path.display()
                    ),
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
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Checks that a tensor is there, has this shape, and has elements that can be converted to `f32`.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::Shape`], [`Error::DataType`].
    pub fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let entry = self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
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
        let invalid = |error: Error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let entry = self.tensors.get(name).ok_or_else(|| invalid(Error::NoData { tensor: name.to_owned() }))?;
        let read = element_reader(name, entry.dtype).map_err(invalid)?;
        let width = entry.dtype.bitsize() / 8;
        let data = &self.maps[entry.shard][entry.start..entry.end];
        match (transpose, entry.shape.as_slice()) {
            (true, &[rows, columns]) => write_transposed(data, width, read, rows, columns, sink),
            _ => write_straight(data, width, read, sink),
        }
    }
}

/// Reads one element from its bytes.
type ElementReader = fn(&[u8]) -> f32;

fn element_reader(name: &str, dtype: Dtype) -> Result<ElementReader> {
    Ok(match dtype {
        Dtype::F32 => |bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Dtype::F16 => |bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        Dtype::BF16 => |bytes| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        other => return Err(Error::DataType { name: name.to_owned(), found: other.to_string() }),
    })
}

fn write_straight(data: &[u8], width: usize, read: ElementReader, sink: &mut dyn Write) -> std::io::Result<()> {
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
fn write_transposed(
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

/// The safetensors files of a checkpoint, sorted.
fn shard_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join(INDEX);
    if !index.is_file() {
        let pickled = folder.join("pytorch_model.bin").is_file();
        let hint = if pickled {
            "pytorch_model.bin is a pickle, which could run code; convert it to model.safetensors first".to_owned()
        } else {
            format!("expected '{SINGLE}', or shards listed in '{INDEX}'")
        };
        return Err(Error::NoWeights { folder: folder.to_path_buf(), hint });
    }
    let text = std::fs::read(&index).map_err(Error::io("read", &index))?;
    let parsed: Value = serde_json::from_slice(&text).map_err(|source| Error::Json { path: index.clone(), source })?;
    let map = parsed.get("weight_map").and_then(Value::as_object);
    let names = map.and_then(|map| map.values().map(Value::as_str).collect::<Option<BTreeSet<_>>>());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Err(Error::NoWeights {
            folder: folder.to_path_buf(),
            hint: format!("'{INDEX}' has no 'weight_map' from tensor names to file names"),
        });
    };
    names
        .into_iter()
        .map(|name| match Path::new(name).file_name() {
            Some(plain) if plain == name => Ok(folder.join(name)),
            _ => Err(Error::NoWeights {
                folder: folder.to_path_buf(),
                hint: format!("'{INDEX}' names the file '{name}', which is not in the folder"),
            }),
        })
        .collect()
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

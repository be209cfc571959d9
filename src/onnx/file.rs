//! Model files: takes a path, gives a [`ModelProto`], and the other way round.
//!
//! Large tensors are written to a second file beside the graph (`model.onnx` and `model.onnx.data`), one after another,
//! so that a model of any size needs little memory and the runtime can map its weights.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memmap2::Mmap;
use prost::Message;
use tempfile::NamedTempFile;

use super::external::{byte_length, is_external};
use super::proto::{DataLocation, ModelProto, StringStringEntryProto, TensorProto};
use super::{Error, Result};
use crate::staging;

/// Tensors of this many bytes and more go to the data file; smaller ones stay in the message, where the runtime can fold
/// them without opening another file.
const OUTSIDE_FROM: u64 = 64 << 10;
/// Data starts at multiples of this: what Windows maps at and a multiple of every usual page size.
const ALIGNMENT: u64 = 64 << 10;

/// Gives the data of initializers that a model leaves open: those that are external and name no file yet.
pub trait TensorSource {
    /// Writes the elements of the initializer `name`, little-endian and row-major.
    ///
    /// # Errors
    /// Those of `sink`, or why there is no such data.
    fn write(&self, name: &str, sink: &mut dyn Write) -> std::io::Result<()>;
}

/// The source of a model that leaves nothing open.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

impl TensorSource for NoSource {
    fn write(&self, name: &str, _sink: &mut dyn Write) -> std::io::Result<()> {
        let error = Error::NoData { tensor: name.to_owned() };
        Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, error))
    }
}

/// Marks an initializer as one that a [`TensorSource`] gives when the model is written.
pub fn leave_open(tensor: &mut TensorProto) {
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data.clear();
}

/// Reads a model. The data in it is mapped, not copied; data outside is not touched (see
/// [`super::check_external_data`]).
///
/// # Errors
/// The file cannot be read, or holds no ONNX model.
pub fn read(path: &Path) -> Result<ModelProto> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    // SAFETY: the map is read only as bytes, for which any content is valid; files in the registry are replaced by
    // renaming and never shortened in place.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
    decode(Bytes::from_owner(map), path)
}

/// Decodes a model from memory; `path` is for messages.
///
/// # Errors
/// The bytes are no ONNX model.
pub fn decode(bytes: Bytes, path: &Path) -> Result<ModelProto> {
    let model = ModelProto::decode(bytes).map_err(|source| Error::Decode { path: path.to_path_buf(), source })?;
    let reason = match &model.graph {
        None => "it has no graph",
        Some(graph) if graph.output.is_empty() => "its graph has no outputs",
        Some(_) if model.ir_version.is_none() => "it has no IR version",
        Some(_) => return Ok(model),
    };
    Err(Error::NotAModel { path: path.to_path_buf(), reason: reason.into() })
}

/// Writes `model` to `path` and its large tensors to `path` with `.data` appended. Each file appears whole or not at all,
/// the data first. Initializers that already name another file are left as they are: the caller brings that file along.
///
/// # Errors
/// A file cannot be written, or a tensor's data is missing or not as long as its shape says.
pub fn write(mut model: ModelProto, path: &Path, source: &dyn TensorSource) -> Result<()> {
    let folder = staging::parent(path);
    let data_path = data_path(path);
    let mut data = DataFile::new(folder, &data_path)?;
    for tensor in model.graph.iter_mut().flat_map(|graph| &mut graph.initializer) {
        if is_external(tensor) && tensor.external_data.is_empty() {
            fill(tensor, &mut data, source)?;
        } else if let Some(raw) = tensor.raw_data.take_if(|raw| raw.len() as u64 >= OUTSIDE_FROM) {
            data.append(tensor, |sink| sink.write_all(&raw))?;
        }
    }
    data.finish(&data_path)?;

    let bytes = model.encode_to_vec();
    let mut file = beside(folder, path)?;
    file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::io("write", path))?;
    file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
    sync_folder(folder)
}

/// Gives an open tensor its data, in the message or in the data file.
fn fill(tensor: &mut TensorProto, data: &mut DataFile, source: &dyn TensorSource) -> Result<()> {
    let name = tensor.name().to_owned();
    let expected = byte_length(tensor).ok_or_else(|| Error::NoData { tensor: name.clone() })?;
    if expected >= OUTSIDE_FROM {
        return data.append(tensor, |sink| source.write(&name, sink));
    }
    let mut bytes = Vec::with_capacity(expected as usize);
    source.write(&name, &mut bytes).map_err(Error::io("write", &data.path))?;
    check_length(tensor, bytes.len() as u64)?;
    tensor.raw_data = Some(bytes.into());
    tensor.data_location = None;
    Ok(())
}

/// `model.onnx` gives `model.onnx.data`.
fn data_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".data");
    name.into()
}

/// The file of large tensors while it is being written, under another name.
struct DataFile {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    location: String,
    offset: u64,
}

impl DataFile {
    fn new(folder: &Path, path: &Path) -> Result<Self> {
        let location = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = BufWriter::with_capacity(1 << 20, beside(folder, path)?);
        Ok(Self { file, path: path.to_path_buf(), location, offset: 0 })
    }

    fn append(
        &mut self,
        tensor: &mut TensorProto,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let start = self.offset.next_multiple_of(ALIGNMENT);
        let mut sink = Counted { inner: &mut self.file, count: 0 };
        sink.inner
            .seek(SeekFrom::Start(start))
            .and_then(|_| write(&mut sink))
            .map_err(Error::io("write", &self.path))?;
        let length = sink.count;
        check_length(tensor, length)?;
        self.offset = start + length;
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data =
            [("location", self.location.clone()), ("offset", start.to_string()), ("length", length.to_string())]
                .map(|(key, value)| StringStringEntryProto { key: Some(key.into()), value: Some(value) })
                .into();
        Ok(())
    }

    /// Makes the file appear, unless nothing went into it.
    fn finish(self, path: &Path) -> Result<()> {
        if self.offset == 0 {
            return Ok(());
        }
        let failed = Error::io("write", path);
        let file = match self.file.into_inner() {
            Ok(file) => file,
            Err(error) => return Err(failed(error.into_error())),
        };
        match file.as_file().sync_all().and_then(|()| file.persist(path).map_err(|error| error.error)) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Counts what goes through.
struct Counted<'a> {
    inner: &'a mut BufWriter<NamedTempFile>,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn check_length(tensor: &TensorProto, found: u64) -> Result<()> {
    match byte_length(tensor) {
        Some(expected) if expected != found => Err(Error::Length { tensor: tensor.name().to_owned(), found, expected }),
        _ => Ok(()),
    }
}

/// A temporary file in the same folder, readable as an ordinary new file would be.
fn beside(folder: &Path, path: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    #[cfg(unix)]
    let everyone = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(everyone);
    builder.tempfile_in(folder).map_err(Error::io("write", path))
}

/// Renames are durable only once the folder is.
fn sync_folder(folder: &Path) -> Result<()> {
    staging::sync_folder(folder).map_err(Error::io("write", folder))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::onnx::check_external_data;
    use crate::onnx::graph::GraphBuilder;
    use crate::onnx::proto::DataType;

    struct Ones;

    impl TensorSource for Ones {
        fn write(&self, name: &str, sink: &mut dyn Write) -> std::io::Result<()> {
            let count = if name == "large" { 256 * 256 } else { 4 };
            (0..count).try_for_each(|_| sink.write_all(&1f32.to_le_bytes()))
        }
    }

    fn model(dims: &[usize]) -> ModelProto {
        let mut graph = GraphBuilder::new("test");
        let large = graph.open_parameter("large", dims);
        let small = graph.open_parameter("small", &[4]);
        let inline = graph.tensor_f32("inline", &[256, 64], &vec![2.0; 256 * 64]);
        graph.output("sum", DataType::Float, &[]);
        let sum = graph.node("Sum", &[&large, &small, &inline], vec![]);
        graph.rename(&sum, "sum");
        graph.finish()
    }

    #[test]
    fn large_tensors_go_outside_aligned_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        write(model(&[256, 256]), &path, &Ones).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(check_external_data(&read, folder.path()).unwrap(), ["model.onnx.data"]);
        let graph = read.graph.as_ref().unwrap();
        let bytes = std::fs::read(folder.path().join("model.onnx.data")).unwrap();
        for (name, value, count) in [("large", 1f32, 256 * 256), ("inline", 2f32, 256 * 64)] {
            let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
            let offset: usize = tensor.external_data[1].value().parse().unwrap();
            assert_eq!(offset as u64 % ALIGNMENT, 0);
            let data = &bytes[offset..offset + 4 * count];
            assert!(data.chunks_exact(4).all(|chunk| chunk == value.to_le_bytes()), "{name}");
        }
        let small = graph.initializer.iter().find(|tensor| tensor.name() == "small").unwrap();
        assert_eq!(small.raw_data.as_ref().unwrap().len(), 16);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn wrong_length_or_no_data_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let error = write(model(&[256, 255]), &path, &Ones).unwrap_err();
        assert!(error.to_string().contains("tensor 'large' has 262144 bytes"), "{error}");
        write(model(&[256, 256]), &path, &NoSource).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        for bytes in [b"".as_slice(), b"not a model at all", &[0xff; 64]] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("model.onnx") && error.contains("ONNX model"), "{error}");
        }
        let error = read(&folder.path().join("gone.onnx")).unwrap_err().to_string();
        assert!(error.contains("gone.onnx"), "{error}");
    }
}

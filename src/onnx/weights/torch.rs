//! State dicts of PyTorch: takes the bytes of a file that `torch.save` wrote, gives where each tensor's elements are. Both
//! formats are read: the zip archive of version 1.6 and later, and the one before, a row of pickles with the storages
//! behind it. Nothing in the file is run (see [`pickle`](super::pickle)), and no element is read here.
//!
//! <https://pytorch.org/docs/stable/notes/serialization.html>

use std::collections::HashMap;

use rawzip::{CompressionMethod, ZipArchive};
use safetensors::Dtype;

use super::Entry;
use super::pickle::{Global, Id, Pickle, Value};

/// What the old format begins with: `torch.serialization.MAGIC_NUMBER`, as a pickle.
const MAGIC: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// Keys under which training scripts keep the state dict beside other things.
const NESTED: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Bytes of a storage: begin and end in the file.
type Place = (usize, usize);

/// The tensors of the file, by name.
///
/// # Errors
/// It is no file of PyTorch, is damaged, or holds more than tensors.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Entry)>, String> {
    if bytes.starts_with(&MAGIC) {
        return sequence(bytes);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return archive(bytes);
    }
    Err("it does not begin as torch.save writes a file".to_owned())
}

/// `archive/data.pkl` and, for each storage, `archive/data/{key}`.
fn archive(bytes: &[u8]) -> Result<Vec<(String, Entry)>, String> {
    let damaged = |error: rawzip::Error| format!("its zip archive is damaged: {error}");
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    if archive.directory_offset() > archive.eocd_offset() || archive.eocd_offset() > bytes.len() as u64 {
        return Err("its zip archive is damaged: the directory is not in the file".to_owned());
    }
    let mut members: HashMap<String, Place> = HashMap::new();
    let mut prefix = None;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        if entry.compression_method() != CompressionMethod::STORE {
            return Err(format!("its member '{name}' is compressed, which torch.save never does"));
        }
        let (start, end) = archive.get_entry(entry.wayfinder()).map_err(damaged)?.compressed_data_range();
        if let Some(folder) = name.strip_suffix("data.pkl").filter(|folder| folder.matches('/').count() <= 1) {
            prefix = Some(folder.to_owned());
        }
        members.insert(name, (start as usize, end as usize));
    }
    let prefix = prefix.ok_or("there is no data.pkl in its zip archive")?;
    let member = |name: &str| {
        let (start, end) = *members.get(&format!("{prefix}{name}"))?;
        Some((start, end, bytes.get(start..end)?))
    };
    if member("byteorder").is_some_and(|(.., order)| order != b"little") {
        return Err("it was written on a machine that is not little-endian".to_owned());
    }
    let (.., program) = member("data.pkl").ok_or("its data.pkl is not in the file")?;
    let pickle = Pickle::read(program)?;
    let place = |key: &str| member(&format!("data/{key}")).map(|(start, end, _)| (start, end));
    tensors(&pickle, place)
}

/// Signature, version of the protocol, machine, state dict, keys of the storages: a pickle each. Then the storages in the
/// order of the keys, each the number of its elements and the elements.
fn sequence(bytes: &[u8]) -> Result<Vec<(String, Entry)>, String> {
    let mut at = MAGIC.len();
    let mut next = || {
        let pickle = Pickle::read(bytes.get(at..).unwrap_or_default())?;
        at += pickle.length;
        Ok::<_, String>(pickle)
    };
    let (_protocol, machine, state, keys) = (next()?, next()?, next()?, next()?);
    if let Value::Dict(facts) = machine.get(machine.root)
        && let Some(little) = machine.find(facts, "little_endian")
        && *machine.get(little) != Value::Bool(true)
    {
        return Err("it was written on a machine that is not little-endian".to_owned());
    }
    let types = storages(&state)?;
    let Value::List(keys_in_order) = keys.get(keys.root) else { return Err("it has no list of storages".to_owned()) };
    let mut places = HashMap::new();
    for key in keys_in_order {
        let key = keys.text(*key).ok_or("the key of a storage is not a text")?;
        // A storage that nothing refers to has no type, so what follows it cannot be found.
        let dtype = types.get(key).ok_or_else(|| format!("no tensor is in the storage '{key}'"))?;
        let header = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>).ok_or("it ends too early")?;
        let length = usize::try_from(u64::from_le_bytes(*header)).ok();
        let length = length.and_then(|count| count.checked_mul(dtype.bitsize() / 8));
        let start = at + 8;
        let end = length.and_then(|length| start.checked_add(length)).filter(|end| *end <= bytes.len());
        at = end.ok_or_else(|| format!("it ends inside the storage '{key}'"))?;
        places.insert(key, (start, at));
    }
    tensors(&state, |key| places.get(key).copied())
}

/// The element types of the storages, by key: of all of them, as each is found behind the one before.
fn storages<'a>(pickle: &Pickle<'a>) -> Result<HashMap<&'a str, Dtype>, String> {
    let mut types = HashMap::new();
    for id in pickle.ids().filter(|id| matches!(pickle.get(*id), Value::Persistent(_))) {
        let (key, dtype) = storage(pickle, id).ok_or("it has a storage of a kind that cannot be read")?;
        if types.insert(key, dtype).is_some_and(|other| other != dtype) {
            return Err(format!("the storage '{key}' has elements of two types"));
        }
    }
    Ok(types)
}

fn tensors(pickle: &Pickle<'_>, place: impl Fn(&str) -> Option<Place>) -> Result<Vec<(String, Entry)>, String> {
    let mut tensors = Vec::new();
    for (name, value) in state_dict(pickle)? {
        let Value::Tensor(tensor) = pickle.get(value) else { return Err(not_a_tensor(name)) };
        let (key, dtype) = storage(pickle, tensor.storage).ok_or_else(|| no_storage(name))?;
        let (start, end) = place(key).ok_or_else(|| format!("the storage '{key}' of '{name}' is missing"))?;
        let numbers = (pickle.number(tensor.offset), pickle.numbers(tensor.size), pickle.numbers(tensor.strides));
        let (Some(offset), Some(shape), Some(strides)) = numbers else {
            return Err(format!("the place, shape or strides of tensor '{name}' are no numbers"));
        };
        let width = dtype.bitsize() / 8;
        let length = extent(&shape, &strides, end.saturating_sub(start) / width, offset);
        let length = length.ok_or_else(|| {
            format!("tensor '{name}' of shape {shape:?} and strides {strides:?} does not fit into its storage '{key}'")
        })?;
        let start = start + offset * width;
        let strides = (!is_row_major(&shape, &strides)).then_some(strides);
        tensors.push((name.to_owned(), Entry { shape, dtype, start, end: start + length * width, strides }));
    }
    Ok(tensors)
}

/// How many elements of a storage of `capacity` elements a tensor at `offset` spans; `None` where it does not fit, or
/// has more elements than the storage, as an expanded one has.
fn extent(shape: &[usize], strides: &[usize], capacity: usize, offset: usize) -> Option<usize> {
    if shape.len() != strides.len() || offset > capacity {
        return None;
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
    if count == 0 {
        return Some(0);
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(0usize, |last, (size, stride)| last.checked_add((size - 1).checked_mul(*stride)?))?;
    let length = last.checked_add(1)?;
    (count <= capacity && offset.checked_add(length)? <= capacity).then_some(length)
}

/// Whether elements lie in row-major order without gaps.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size <= 1 || *stride == expected;
        expected *= size;
        fits
    })
}

/// Names and values of the state dict: the whole, or what a training script keeps under a key of it.
fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<Vec<(&'a str, Id)>, String> {
    let Value::Dict(mut pairs) = pickle.get(pickle.root).clone() else {
        return Err("it holds no dict of tensors".to_owned());
    };
    let nested = NESTED.iter().find_map(|key| match pickle.get(pickle.find(&pairs, key)?) {
        Value::Dict(pairs) => Some(pairs.clone()),
        _ => None,
    });
    if let Some(nested) = nested {
        pairs = nested;
    }
    let text = |id| pickle.text(id).ok_or_else(|| "a name in its state dict is not a text".to_owned());
    pairs.into_iter().map(|(name, value)| Ok((text(name)?, value))).collect()
}

/// The key and element type that a persistent id says: `('storage', type, key, device, number of elements)`, in the old
/// format with a view at the end.
fn storage<'a>(pickle: &Pickle<'a>, id: Id) -> Option<(&'a str, Dtype)> {
    let Value::Persistent(id) = pickle.get(id) else { return None };
    let Value::Tuple(parts) = pickle.get(*id) else { return None };
    let [kind, class, key, _device, _count, view @ ..] = parts.as_slice() else { return None };
    let whole = view.iter().all(|view| *pickle.get(*view) == Value::None);
    match pickle.get(*class) {
        Value::Global(Global::Storage(dtype)) if whole && pickle.text(*kind) == Some("storage") => {
            Some((pickle.text(*key)?, *dtype))
        }
        _ => None,
    }
}

fn not_a_tensor(name: &str) -> String {
    format!("'{name}' in it is not a tensor; a state dict of tensors only is read")
}

fn no_storage(name: &str) -> String {
    format!("tensor '{name}' is in no storage of numbers that can be read")
}

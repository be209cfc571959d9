//! Where a model's outside data is: takes a model, gives every tensor in it, and checks that no file that a tensor
//! names lies outside of the model's folder.
//!
//! Format: "External Tensor Data" in the ONNX specification (`location`, `offset` and `length` in `external_data`).

use std::path::{Component, Path};

use super::proto::{AttributeProto, DataLocation, DataType, GraphProto, ModelProto, SparseTensorProto, TensorProto};
use super::{Error, Result};

/// Calls `visit` with every tensor in `model`: initializers, sparse ones, attributes (such as those of `Constant`),
/// subgraphs, functions and training graphs.
///
/// # Errors
/// The first one that `visit` returns.
pub fn visit_tensors<'a>(model: &'a ModelProto, visit: &mut dyn FnMut(&'a TensorProto) -> Result<()>) -> Result<()> {
    for graph in model
        .graph
        .iter()
        .chain(model.training_info.iter().flat_map(|info| info.initialization.iter().chain(info.algorithm.iter())))
    {
        visit_graph(graph, visit)?;
    }
    for function in &model.functions {
        for attribute in function.attribute_proto.iter().chain(function.node.iter().flat_map(|node| &node.attribute)) {
            visit_attribute(attribute, visit)?;
        }
    }
    Ok(())
}

fn visit_graph<'a>(graph: &'a GraphProto, visit: &mut dyn FnMut(&'a TensorProto) -> Result<()>) -> Result<()> {
    for tensor in &graph.initializer {
        visit(tensor)?;
    }
    for sparse in &graph.sparse_initializer {
        visit_sparse(sparse, visit)?;
    }
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        visit_attribute(attribute, visit)?;
    }
    Ok(())
}

fn visit_attribute<'a>(
    attribute: &'a AttributeProto,
    visit: &mut dyn FnMut(&'a TensorProto) -> Result<()>,
) -> Result<()> {
    for tensor in attribute.t.iter().map(Box::as_ref).chain(&attribute.tensors) {
        visit(tensor)?;
    }
    for sparse in attribute.sparse_tensor.iter().map(Box::as_ref).chain(&attribute.sparse_tensors) {
        visit_sparse(sparse, visit)?;
    }
    for graph in attribute.g.iter().map(Box::as_ref).chain(&attribute.graphs) {
        visit_graph(graph, visit)?;
    }
    Ok(())
}

fn visit_sparse<'a>(sparse: &'a SparseTensorProto, visit: &mut dyn FnMut(&'a TensorProto) -> Result<()>) -> Result<()> {
    sparse.values.iter().chain(&sparse.indices).try_for_each(visit)
}

/// Bytes that the elements of `tensor` take when stored raw; `None` where the shape or type has no fixed size.
pub fn byte_length(tensor: &TensorProto) -> Option<u64> {
    let bits = DataType::try_from(tensor.data_type()).ok()?.bits()?;
    let elements = tensor.dims.iter().try_fold(1u64, |product, dim| product.checked_mul(u64::try_from(*dim).ok()?))?;
    Some(elements.checked_mul(bits)?.div_ceil(8))
}

/// Whether the tensor's data is in a file beside the model.
pub fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// Checks that every file that `model` refers to is inside `folder` (no absolute path, no `..`, no link that leads out),
/// exists, and holds the bytes that the tensor names. Returns the locations, each once, sorted.
///
/// # Errors
/// [`Error::ExternalData`] naming the tensor and the file; [`Error::Io`] if `folder` cannot be read.
pub fn check_external_data(model: &ModelProto, folder: &Path) -> Result<Vec<String>> {
    let root = folder.canonicalize().map_err(Error::io("read", folder))?;
    let mut locations = std::collections::BTreeMap::<String, u64>::new();
    visit_tensors(model, &mut |tensor| {
        if !is_external(tensor) {
            return Ok(());
        }
        let location = entry(tensor, "location").unwrap_or_default();
        let failed = |problem: String| Error::ExternalData {
            tensor: tensor.name().to_owned(),
            location: location.to_owned(),
            problem,
        };
        let size = match locations.get(location) {
            Some(size) => *size,
            None => {
                let size = size_inside(&root, location).map_err(failed)?;
                locations.insert(location.to_owned(), size);
                size
            }
        };
        check_range(tensor, size).map_err(failed)
    })?;
    Ok(locations.into_keys().collect())
}

/// Size of the file at `location`, or why it may not be read.
fn size_inside(root: &Path, location: &str) -> Result<u64, String> {
    if location.is_empty() {
        return Err("is not a file name".into());
    }
    // A backslash separates folders on Windows; a model must mean the same file everywhere.
    let plain = Path::new(location).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain || location.contains(['\\', '\0']) || location.get(1..2) == Some(":") {
        return Err(format!("is outside of the model's folder '{}'", root.display()));
    }
    let path = root
        .join(location)
        .canonicalize()
        .map_err(|error| format!("cannot be read in the model's folder '{}': {error}", root.display()))?;
    if !path.starts_with(root) {
        return Err(format!("is a link out of the model's folder '{}' to '{}'", root.display(), path.display()));
    }
    let metadata = path.metadata().map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a file".into());
    }
    Ok(metadata.len())
}

/// Whether the range that `tensor` names fits both a file of `size` bytes and the tensor's shape.
fn check_range(tensor: &TensorProto, size: u64) -> Result<(), String> {
    let offset = number(tensor, "offset")?.unwrap_or(0);
    let length = match number(tensor, "length")? {
        Some(length) => length,
        None => {
            size.checked_sub(offset).ok_or_else(|| format!("has {size} bytes, but the tensor starts at {offset}"))?
        }
    };
    match offset.checked_add(length) {
        Some(end) if end <= size => {}
        _ => return Err(format!("has {size} bytes, but the tensor takes {length} from byte {offset}")),
    }
    match byte_length(tensor) {
        Some(expected) if expected != length => {
            Err(format!("gives it {length} bytes, but its shape {:?} asks for {expected}", tensor.dims))
        }
        _ => Ok(()),
    }
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value())
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<u64>, String> {
    entry(tensor, key)
        .map(|text| text.parse().map_err(|_| format!("has {key} '{text}', which is not a whole number of bytes")))
        .transpose()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::onnx::proto::{NodeProto, StringStringEntryProto};

    fn external(location: &str, offset: &str, length: &str) -> TensorProto {
        let pair = |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
        TensorProto {
            name: Some("w".into()),
            dims: vec![2, 2],
            data_type: Some(DataType::Float as i32),
            data_location: Some(DataLocation::External as i32),
            external_data: vec![pair("location", location), pair("offset", offset), pair("length", length)],
            ..TensorProto::default()
        }
    }

    fn with_initializer(tensor: TensorProto) -> ModelProto {
        let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }
    }

    /// The tensor sits in a `Constant` inside the branch of an `If`.
    fn with_constant_in_subgraph(tensor: TensorProto) -> ModelProto {
        let constant = NodeProto {
            attribute: vec![AttributeProto { t: Some(Box::new(tensor)), ..AttributeProto::default() }],
            ..NodeProto::default()
        };
        let branch = GraphProto { node: vec![constant], ..GraphProto::default() };
        let condition = NodeProto {
            attribute: vec![AttributeProto { g: Some(Box::new(branch)), ..AttributeProto::default() }],
            ..NodeProto::default()
        };
        let graph = GraphProto { node: vec![condition], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }
    }

    #[test]
    fn accepts_data_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("w.data"), [0; 32]).unwrap();
        for build in [with_initializer, with_constant_in_subgraph] {
            let model = build(external("w.data", "16", "16"));
            assert_eq!(check_external_data(&model, folder.path()).unwrap(), ["w.data"]);
        }
    }

    #[test]
    fn refuses_data_outside_the_folder_or_out_of_range() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(parent.path().join("secret"), [0; 64]).unwrap();
        std::fs::write(folder.join("w.data"), [0; 32]).unwrap();
        std::fs::create_dir(folder.join("sub")).unwrap();
        let absolute = parent.path().join("secret").to_string_lossy().into_owned();
        let cases = [
            ("../secret", "0", "16", "outside"),
            ("sub/../../secret", "0", "16", "outside"),
            (absolute.as_str(), "0", "16", "outside"),
            ("..\\secret", "0", "16", "outside"),
            ("C:secret", "0", "16", "outside"),
            ("", "0", "16", "not a file name"),
            ("sub", "0", "16", "not a file"),
            ("gone.data", "0", "16", "cannot be read"),
            ("w.data", "24", "16", "has 32 bytes"),
            ("w.data", "18446744073709551615", "16", "has 32 bytes"),
            ("w.data", "-1", "16", "not a whole number"),
            ("w.data", "0", "8", "asks for 16"),
        ];
        for (location, offset, length, expected) in cases {
            for build in [with_initializer, with_constant_in_subgraph] {
                let error = check_external_data(&build(external(location, offset, length)), &folder).unwrap_err();
                let message = error.to_string();
                assert!(message.contains("tensor 'w'") && message.contains(expected), "{location}: {message}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_link_out_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(parent.path().join("secret"), [0; 16]).unwrap();
        std::os::unix::fs::symlink(parent.path().join("secret"), folder.join("w.data")).unwrap();
        let error = check_external_data(&with_initializer(external("w.data", "0", "16")), &folder).unwrap_err();
        assert!(error.to_string().contains("link out of"), "{error}");
    }
}

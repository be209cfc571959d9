//! The elements of integer tensors that are computed from shapes and constants, as exporters do for `Reshape`, `Expand` and
//! `Slice`. Part of [`super`].

use super::{LONGEST, Shapes, Size, attribute, axis_of, int};
use crate::onnx::proto::{DataType, NodeProto, TensorProto};

/// Elements of a constant: `None` for what is not a short tensor of integers in the message itself.
pub(super) fn of_tensor(tensor: &TensorProto) -> Option<Vec<i64>> {
    let count = tensor.dims.iter().product::<i64>();
    if count > LONGEST {
        return None;
    }
    let elements = match (DataType::try_from(tensor.data_type()).ok()?, &tensor.raw_data) {
        (DataType::Int64, Some(raw)) => raw.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
        (DataType::Int32, Some(raw)) => {
            raw.as_chunks().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect()
        }
        (DataType::Bool, Some(raw)) => raw.iter().map(|byte| i64::from(*byte)).collect(),
        (DataType::Int64, None) => tensor.int64_data.clone(),
        (DataType::Int32 | DataType::Bool, None) => tensor.int32_data.iter().map(|value| i64::from(*value)).collect(),
        _ => return None,
    };
    (elements.len() as i64 == count).then_some(elements)
}

/// Elements of the first output of `node`, where they can be followed.
pub(super) fn elements(shapes: &Shapes, node: &NodeProto) -> Option<Vec<Size>> {
    let input = |index: usize| node.input.get(index).and_then(|name| shapes.integers.get(name));
    match node.op_type() {
        "Constant" => {
            let value = attribute(node, "value").and_then(|attribute| of_tensor(attribute.t.as_deref()?));
            let single = || attribute(node, "value_int").and_then(|attribute| attribute.i).map(|value| vec![value]);
            let list = || attribute(node, "value_ints").map(|attribute| attribute.ints.clone());
            Some(value.or_else(single).or_else(list)?.into_iter().map(Size::Fixed).collect())
        }
        "Shape" => {
            let dims = shapes.dims(node.input.first()?)?;
            let rank = dims.len() as i64;
            let bound = |value: i64| (if value < 0 { value + rank } else { value }).clamp(0, rank) as usize;
            let (start, end) = (bound(int(node, "start", 0)), bound(int(node, "end", rank)));
            Some(dims[start..end.max(start)].to_vec())
        }
        "Identity" | "Unsqueeze" | "Squeeze" | "Reshape" => input(0).cloned(),
        "Cast" if is_integer(int(node, "to", 0)) => input(0).cloned(),
        "Concat" => {
            let parts: Option<Vec<_>> = (0..node.input.len()).map(input).collect();
            Some(parts?.into_iter().flatten().cloned().collect())
        }
        "Gather" if shapes.rank(node.input.first()?) == Some(1) => {
            let data = input(0)?;
            let pick = |index: &Size| Some(data[axis_of(index.fixed()?, data.len())?].clone());
            input(1)?.iter().map(pick).collect()
        }
        "Slice" => slice(shapes, node),
        "ConstantOfShape" => {
            let count = input(0)?.iter().map(Size::fixed).collect::<Option<Vec<_>>>()?.iter().product::<i64>();
            let value = attribute(node, "value").and_then(|attribute| of_tensor(attribute.t.as_deref()?))?;
            (count <= LONGEST).then(|| vec![Size::Fixed(value[0]); count as usize])
        }
        "Add" | "Sub" | "Mul" | "Div" | "Equal" => pairs(input(0)?, input(1)?, node.op_type()),
        "Where" => {
            let (condition, yes, no) = (input(0)?, input(1)?, input(2)?);
            let count = condition.len().max(yes.len()).max(no.len());
            let choose = |index: usize| match at(condition, index)?.fixed() {
                Some(0) => at(no, index),
                Some(_) => at(yes, index),
                None => Some(Size::Unknown),
            };
            (0..count).map(choose).collect()
        }
        _ => None,
    }
}

fn is_integer(element: i64) -> bool {
    [DataType::Int64, DataType::Int32].iter().any(|kind| *kind as i64 == element)
}

/// The element that stands at `index` when a single one stands everywhere.
fn at(elements: &[Size], index: usize) -> Option<Size> {
    elements.get(if elements.len() == 1 { 0 } else { index }).cloned()
}

fn pairs(a: &[Size], b: &[Size], operator: &str) -> Option<Vec<Size>> {
    let one = |a: Size, b: Size| match (operator, a, b) {
        ("Equal", Size::Fixed(a), Size::Fixed(b)) => Size::Fixed(i64::from(a == b)),
        // A size is never negative.
        ("Equal", Size::Fixed(-1), Size::Named(_)) | ("Equal", Size::Named(_), Size::Fixed(-1)) => Size::Fixed(0),
        ("Add", Size::Fixed(a), Size::Fixed(b)) => Size::Fixed(a.wrapping_add(b)),
        ("Sub", Size::Fixed(a), Size::Fixed(b)) => Size::Fixed(a.wrapping_sub(b)),
        ("Mul", Size::Fixed(a), Size::Fixed(b)) => Size::Fixed(a.wrapping_mul(b)),
        ("Div", Size::Fixed(a), Size::Fixed(b)) if b != 0 => Size::Fixed(a.wrapping_div(b)),
        ("Add", other, Size::Fixed(0)) | ("Add", Size::Fixed(0), other) | ("Sub", other, Size::Fixed(0)) => other,
        ("Mul", other, Size::Fixed(1)) | ("Mul", Size::Fixed(1), other) | ("Div", other, Size::Fixed(1)) => other,
        _ => Size::Unknown,
    };
    (0..a.len().max(b.len())).map(|index| Some(one(at(a, index)?, at(b, index)?))).collect()
}

/// A slice with step 1 of a list.
fn slice(shapes: &Shapes, node: &NodeProto) -> Option<Vec<Size>> {
    let data = shapes.integers.get(node.input.first()?)?;
    let single = |index: usize| match shapes.integers(node.input.get(index)?)?.as_slice() {
        [value] => Some(*value),
        _ => None,
    };
    if node.input.get(4).is_some_and(|name| !name.is_empty()) && single(4)? != 1 {
        return None;
    }
    let length = data.len() as i64;
    let bound = |value: i64| (if value < 0 { value.saturating_add(length) } else { value }).clamp(0, length) as usize;
    let (start, end) = (bound(single(1)?), bound(single(2)?));
    Some(data[start..end.max(start)].to_vec())
}

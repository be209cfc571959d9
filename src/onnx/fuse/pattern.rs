//! Finds self-attention: takes a [`View`], gives what each attention is made of.
//!
//! What is looked for, from the bottom up: `Reshape(Transpose(MatMul(Softmax(scores), values)))`, where `scores` is
//! `MatMul(queries, keys)`, scaled by constants, plus at most one bias by position and a mask; queries, keys and values are
//! `Transpose(Reshape(x W + b))`. Anything else, however close, is not a match.

use super::view::{Extent, View, int, transposes};
use crate::onnx::proto::{DataType, NodeProto};

/// What is added to the scores for padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mask {
    /// An input, `i64 [batch, sequence]`: 1 for a token, 0 for padding.
    Padding(String),
    /// A value, `f32 [batch or 1, 1, sequence, sequence]`, to add.
    Scores(String),
}

/// An attention, by the names of the values that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attention {
    pub(super) query: String,
    pub(super) key: String,
    pub(super) value: String,
    /// Of queries, keys and values, where they are not yet added.
    pub(super) biases: Option<[String; 3]>,
    pub(super) heads: i64,
    /// Factor of the scores.
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
    /// `f32 [1, heads, sequence, sequence]`, added to the scores.
    pub(super) bias: Option<String>,
    /// Index of the pattern's last node.
    pub(super) last: usize,
    /// Its output, `[batch, sequence, hidden]`.
    pub(super) output: String,
}

/// Every attention in the graph.
pub(super) fn find(view: &View<'_>) -> Vec<Attention> {
    view.graph.node.iter().filter(|node| node.op_type() == "Softmax").filter_map(|node| attention(view, node)).collect()
}

/// Scores taken apart.
struct Scores<'a> {
    product: &'a NodeProto,
    scale: f32,
    /// What is added, in any order.
    terms: Vec<&'a str>,
}

/// A projection, taken apart.
struct Projection {
    /// `x W`, or `x W + b` where that could not be taken apart.
    value: String,
    bias: Option<String>,
    heads: i64,
    head_size: i64,
    /// Factor applied to it.
    scale: f32,
}

fn attention(view: &View<'_>, softmax: &NodeProto) -> Option<Attention> {
    if !matches!(int(softmax, "axis")?, -1 | 3) {
        return None;
    }
    let (_, mixed) = view.only_user(softmax, "MatMul").filter(|(_, node)| node.input[0] == softmax.output[0])?;
    let (_, turned) = view.only_user(mixed, "Transpose").filter(|(_, node)| transposes(node, &[0, 2, 1, 3]))?;
    let (last, joined) = view.only_user(turned, "Reshape")?;

    let scores = scores(view, softmax.input.first()?)?;
    let query = projection(view, &scores.product.input[0], false)?;
    let key = projection(view, &scores.product.input[1], true)?;
    let value = projection(view, &mixed.input[1], false)?;
    let same = |other: &Projection| (other.heads, other.head_size) == (query.heads, query.head_size);
    if !same(&key) || !same(&value) || value.scale != 1.0 {
        return None;
    }
    if !joins_heads(view, joined, query.heads * query.head_size) {
        return None;
    }
    let (mask, bias) = terms(view, &scores.terms, query.heads)?;
    let scale = scores.scale * query.scale * key.scale;
    let (mut names, biases) = ([query.value, key.value, value.value], [query.bias, key.bias, value.bias]);
    let biases = match biases {
        [Some(query), Some(key), Some(value)] => Some([query, key, value]),
        [None, None, None] => None,
        partial => {
            // The operator takes all three or none: put the sums back.
            for (name, bias) in names.iter_mut().zip(partial) {
                if bias.is_some() {
                    *name = sum_of(view, name)?;
                }
            }
            None
        }
    };
    let [query_name, key_name, value_name] = names;
    Some(Attention {
        query: query_name,
        key: key_name,
        value: value_name,
        biases,
        heads: query.heads,
        scale,
        mask,
        bias,
        last,
        output: joined.output.first()?.clone(),
    })
}

/// The `Add` that follows a product.
fn sum_of(view: &View<'_>, product: &str) -> Option<String> {
    let (_, add) = view.only_user(view.maker(product)?, "Add")?;
    add.output.first().cloned()
}

/// Follows additions and then constant factors up to a product.
fn scores<'a>(view: &View<'a>, value: &str) -> Option<Scores<'a>> {
    let node = view.maker(value)?;
    if node.op_type() != "Add" {
        let (product, scale) = scaled(view, value);
        return Some(Scores { product: view.made_by(product, "MatMul")?, scale, terms: Vec::new() });
    }
    let [left, right] = node.input.as_slice() else { return None };
    let (mut scores, term) = match scores(view, left) {
        Some(scores) => (scores, right),
        None => (self::scores(view, right)?, left),
    };
    scores.terms.push(term);
    Some(scores)
}

/// Takes constant factors off a value: the value below them, and their product.
fn scaled<'a>(view: &View<'a>, value: &'a str) -> (&'a str, f32) {
    let (mut value, mut scale) = (value, 1.0);
    while let Some(node) = view.maker(value) {
        let [left, right] = node.input.as_slice() else { break };
        match (node.op_type(), view.scalar(left), view.scalar(right)) {
            ("Mul", _, Some(factor)) => (value, scale) = (left, scale * factor),
            ("Mul", Some(factor), _) => (value, scale) = (right, scale * factor),
            ("Div", _, Some(divisor)) if divisor != 0.0 => (value, scale) = (left, scale / divisor),
            _ => break,
        }
    }
    (value, scale)
}

/// Follows `[batch, heads, sequence, head size]` (keys: the last two exchanged) up to the product it was split from.
fn projection(view: &View<'_>, value: &str, is_key: bool) -> Option<Projection> {
    let (value, scale) = scaled(view, value);
    let turned = view.made_by(value, "Transpose")?;
    let turned = if !is_key {
        Some(turned).filter(|node| transposes(node, &[0, 2, 1, 3]))?
    } else if transposes(turned, &[0, 1, 3, 2]) {
        view.made_by(&turned.input[0], "Transpose").filter(|node| transposes(node, &[0, 2, 1, 3]))?
    } else {
        Some(turned).filter(|node| transposes(node, &[0, 2, 3, 1]))?
    };
    let split = view.made_by(&turned.input[0], "Reshape")?;
    let [wide, shape] = split.input.as_slice() else { return None };
    let (value, bias, width) = linear(view, wide)?;
    let [batch, sequence, Extent::Constant(heads), Extent::Constant(head_size)] = view.extents(shape)?[..] else {
        return None;
    };
    if !keeps(batch, 0) || !keeps(sequence, 1) {
        return None;
    }
    let (heads, head_size) = match (heads, head_size) {
        (-1, size) if size > 0 && width % size == 0 => (width / size, size),
        (heads, -1) if heads > 0 && width % heads == 0 => (heads, width / heads),
        (heads, size) if heads > 0 && heads.checked_mul(size) == Some(width) => (heads, size),
        _ => return None,
    };
    Some(Projection { value, bias, heads, head_size, scale })
}

/// Whether an element of a shape leaves this axis as it is.
fn keeps(extent: Extent, axis: i64) -> bool {
    extent == Extent::Axis(axis) || extent == Extent::Constant(0)
}

/// `x W + b` with constant `W` and `b`: the product, the bias and the width.
fn linear(view: &View<'_>, value: &str) -> Option<(String, Option<String>, i64)> {
    let width_of = |value: &str| match view.dims(product(view, value)?.input.get(1)?)? {
        [_, width] => Some(*width),
        _ => None,
    };
    if let Some(width) = width_of(value) {
        return Some((value.to_owned(), None, width));
    }
    let [left, right] = view.made_by(value, "Add")?.input.as_slice() else { return None };
    [(left, right), (right, left)].into_iter().find_map(|(product, bias)| {
        let width = width_of(product)?;
        (view.dims(bias)? == [width]).then(|| (product.clone(), Some(bias.clone()), width))
    })
}

/// The product that a value is: in `f32`, or in eight bits and then scaled and given its axes back.
fn product<'a>(view: &View<'a>, value: &str) -> Option<&'a NodeProto> {
    let in_bytes = || {
        let mut value = value;
        for operator in ["Reshape", "Mul", "Mul", "Cast"] {
            value = view.made_by(value, operator)?.input.first()?;
        }
        view.made_by(value, "MatMulInteger")
    };
    view.made_by(value, "MatMul").or_else(in_bytes)
}

/// Whether `[batch, sequence, heads, head size]` becomes `[batch, sequence, width]`.
fn joins_heads(view: &View<'_>, reshape: &NodeProto, width: i64) -> bool {
    let extents = reshape.input.get(1).and_then(|shape| view.extents(shape));
    match extents.as_deref() {
        Some(&[batch, sequence, Extent::Constant(last)]) => {
            keeps(batch, 0) && keeps(sequence, 1) && (last == width || last == -1)
        }
        _ => false,
    }
}

/// Tells what is added to the scores: at most one mask and one bias by position.
fn terms(view: &View<'_>, terms: &[&str], heads: i64) -> Option<(Option<Mask>, Option<String>)> {
    let (mut mask, mut bias) = (None, None);
    for term in terms {
        if let Some(input) = padding_mask(view, term).filter(|_| mask.is_none()) {
            mask = Some(Mask::Padding(input));
        } else if mask.is_none() && is_full_mask(view, term) {
            mask = Some(Mask::Scores((*term).to_owned()));
        } else if bias.is_none() && is_position_bias(view, term, heads) {
            bias = Some((*term).to_owned());
        } else {
            return None;
        }
    }
    // The operator adds one value to the scores.
    let both = matches!(mask, Some(Mask::Scores(_))) && bias.is_some();
    (!both).then_some((mask, bias))
}

/// `(1 - mask) * very negative`, with `mask` an input `[batch, sequence]` made `[batch, 1, 1, sequence]`: that input.
fn padding_mask(view: &View<'_>, term: &str) -> Option<String> {
    let (below, factor) = scaled(view, term);
    if factor > -1e4 {
        return None;
    }
    let [one, mask] = view.made_by(below, "Sub")?.input.as_slice() else { return None };
    if view.scalar(one) != Some(1.0) {
        return None;
    }
    let (mut value, mut axes) = (mask.as_str(), Vec::new());
    while let Some(node) = view.maker(value) {
        match node.op_type() {
            "Cast" => {}
            // From the outside in: what is put in last is seen first.
            "Unsqueeze" => axes.insert(0, view.integers(node.input.get(1)?)?),
            _ => return None,
        }
        value = node.input.first()?;
    }
    let steps = axes.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let inserts = matches!(steps.as_slice(), [[1, 2]] | [[1], [2]] | [[1], [1]]);
    (inserts && view.is_input(value, DataType::Int64, 2)).then(|| value.to_owned())
}

/// `Where(allowed, 0, very negative)` with `allowed` expanded to `[batch, 1, sequence, sequence]`, as recent exporters write.
fn is_full_mask(view: &View<'_>, term: &str) -> bool {
    let matched = || {
        let [allowed, zero, lowest] = view.made_by(term, "Where")?.input.as_slice() else { return None };
        if view.scalar(zero)? != 0.0 || view.scalar(lowest)? > -1e4 {
            return None;
        }
        let [Extent::Axis(0), Extent::Constant(1 | -1), Extent::Axis(1), Extent::Axis(1)] =
            view.extents(view.made_by(allowed, "Expand")?.input.get(1)?)?[..]
        else {
            return None;
        };
        Some(())
    };
    matched().is_some()
}

/// A table's rows by pair of positions, `[sequence, sequence, heads]`, made `[1, heads, sequence, sequence]`.
fn is_position_bias(view: &View<'_>, term: &str, heads: i64) -> bool {
    let matched = || {
        let outer = view.made_by(term, "Unsqueeze")?;
        let turned = view.made_by(&outer.input[0], "Transpose").filter(|node| transposes(node, &[2, 0, 1]))?;
        let rows = view.made_by(&turned.input[0], "Gather")?;
        let from_table =
            int(rows, "axis").unwrap_or(0) == 0 && matches!(view.dims(&rows.input[0])?, [_, n] if *n == heads);
        Some(from_table && view.integers(outer.input.get(1)?)? == [0])
    };
    matched().unwrap_or(false)
}

//! The products of a graph that can be computed in eight bits, and how: takes a graph, gives groups of products of one value, and
//! the same graph with a group in eight bits.
//!
//! A row of the value is divided by its largest number and rounded to 255 steps, so that no row has a part in another's; a column
//! of a weight to 255 steps, or to 127 ([`Steps`]). The products of the rounded numbers are exact.

use std::collections::{BTreeMap, HashMap};

use crate::onnx::graph::{GraphBuilder, Value, attribute_int};
use crate::onnx::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::train::encoder::Encoder;
use crate::train::failure::{Result, failed};
use crate::train::weights::{is_f32, shape, values};

/// Largest step of a value's numbers, either way; and what stands for zero in a byte.
const STEPS: f32 = 127.0;
const ZERO: u8 = 128;
/// Rows of zeros stay zeros.
const SMALLEST: f32 = 1e-12;
/// The version of the ONNX operators that is needed.
pub(super) const OPSET: i64 = 15;
/// Smaller weights are not worth the conversion.
const FEWEST_NUMBERS: usize = 256;

/// How finely weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::compress) enum Steps {
    /// 255 steps: exact only on processors with an instruction for products of bytes (VNNI).
    Vnni,
    /// 127 steps: x86-64 processors without one add two products in sixteen bits, and 255 * 63 * 2 fits.
    Any,
}

impl Steps {
    /// The largest step, either way.
    fn largest(self) -> f32 {
        match self {
            Self::Vnni => 127.0,
            Self::Any => 63.0,
        }
    }
}

/// Products of one value with several weights: it is converted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::compress) struct Group {
    /// The value, `[..., inputs]`.
    pub(in crate::compress) input: String,
    /// Size of its last axis.
    pub(in crate::compress) inputs: usize,
    /// Names of the weights, `[inputs, outputs]`, and of the products.
    pub(in crate::compress) products: Vec<(String, String)>,
}

/// All groups, in the order of the graph.
pub(in crate::compress) fn find(graph: &GraphProto) -> Vec<Group> {
    let weights = graph.initializer.iter().filter(|tensor| is_f32(tensor));
    let weights = weights.map(|tensor| (tensor.name(), shape(tensor))).collect::<HashMap<_, _>>();
    let mut groups = Vec::<Group>::new();
    let mut places = HashMap::<&str, usize>::new();
    for node in &graph.node {
        let (Some((input, weight)), [product]) = (product(node), node.output.as_slice()) else { continue };
        let Some([inputs, outputs]) = weights.get(weight).map(Vec::as_slice) else { continue };
        if weights.contains_key(input) || inputs * outputs < FEWEST_NUMBERS {
            continue;
        }
        let place = *places.entry(input).or_insert_with(|| {
            groups.push(Group { input: input.to_owned(), inputs: *inputs, products: Vec::new() });
            groups.len() - 1
        });
        groups[place].products.push((weight.to_owned(), product.clone()));
    }
    groups
}

fn product(node: &NodeProto) -> Option<(&str, &str)> {
    let [input, weight] = node.input.as_slice() else { return None };
    (node.op_type() == "MatMul" && node.domain().is_empty()).then_some((input, weight))
}

/// The largest number of each row of the group's weights, `[inputs]`.
///
/// # Errors
/// A weight cannot be read.
pub(in crate::compress) fn largest(encoder: &Encoder, group: &Group) -> Result<Vec<f32>> {
    let graph = encoder.graph.graph();
    let mut largest = vec![0.0_f32; group.inputs];
    for (name, _) in &group.products {
        let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.name() == name) else { continue };
        let numbers = values(tensor, &encoder.folder).map_err(failed)?;
        let rows = numbers.chunks_exact((numbers.len() / group.inputs).max(1));
        largest.iter_mut().zip(rows).for_each(|(largest, row)| {
            *largest = row.iter().fold(*largest, |largest, number| largest.max(number.abs()));
        });
    }
    Ok(largest)
}

/// Computes the groups that `factors` names in eight bits: an input's columns are divided by its factors, and the rows of its
/// weights multiplied by them, before they are rounded.
///
/// # Errors
/// A weight cannot be read.
pub(super) fn convert(
    encoder: &mut Encoder,
    groups: &[Group],
    factors: &BTreeMap<String, Vec<f32>>,
    steps: Steps,
) -> Result<()> {
    encoder.graph.raise_opset(OPSET);
    let scope = encoder.graph.scope("int8");
    for group in groups {
        let Some(factors) = factors.get(&group.input) else { continue };
        // What gives it may have been converted too.
        let input = encoder.current(&encoder.graph.value(&group.input));
        let rows = Rows::of(&mut encoder.graph, &input, group, factors);
        for (name, product) in &group.products {
            let graph = encoder.graph.graph();
            let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.name() == name) else { continue };
            let numbers = values(tensor, &encoder.folder).map_err(failed)?;
            let converted = rows.times(&mut encoder.graph, name, rounded(&numbers, factors, steps));
            let old = encoder.graph.value(product);
            encoder.replace(&old, &converted, &[]);
        }
    }
    encoder.graph.scope(scope);
    encoder.graph.sort();
    encoder.remove_dead();
    Ok(())
}

/// A value in eight bits.
struct Rows {
    /// `u8 [rows, inputs]`.
    bytes: Value,
    zero: Value,
    /// Size of a step, `f32 [rows, 1]`.
    steps: Value,
    /// Sizes of all axes of the value but the last.
    leading: Value,
}

impl Rows {
    fn of(graph: &mut GraphBuilder, input: &Value, group: &Group, factors: &[f32]) -> Self {
        let inverse = factors.iter().map(|factor| 1.0 / factor).collect::<Vec<_>>();
        let inverse = graph.tensor_f32(&format!("{}/factors", group.input), &[group.inputs], &inverse);
        let smooth = graph.mul(input, &inverse);
        let rows = graph.reshape(&smooth, &[-1, group.inputs as i64]);
        let highest = graph.reduce_extreme("ReduceMax", &rows, 1, false);
        let lowest = graph.reduce_extreme("ReduceMin", &rows, 1, false);
        let lowest = graph.node("Neg", &[&lowest], vec![]);
        let smallest = graph.scalar_f32(SMALLEST);
        let largest = graph.node("Max", &[&highest, &lowest, &smallest], vec![]);
        let inverse = graph.scalar_f32(1.0 / STEPS);
        let steps = graph.mul(&largest, &inverse);
        let zero = graph.scalar_u8(ZERO);
        let count = graph.node("Shape", &[&steps], vec![]);
        let zeros = graph.node("Expand", &[&zero, &count], vec![]);
        let bytes = graph.node("QuantizeLinear", &[&rows, &steps, &zeros], vec![attribute_int("axis", 0)]);
        let steps = graph.unsqueeze(&steps, &[1]);
        let leading = graph.node("Shape", &[input], vec![attribute_int("end", -1)]);
        Self { bytes, zero, steps, leading }
    }

    /// The product with a rounded weight, `[..., outputs]`.
    fn times(&self, graph: &mut GraphBuilder, name: &str, (bytes, steps): (Vec<i8>, Vec<f32>)) -> Value {
        let (inputs, outputs) = (bytes.len() / steps.len().max(1), steps.len());
        let weight = graph.add_initializer(TensorProto {
            name: Some(format!("{name}/int8")),
            dims: vec![inputs as i64, outputs as i64],
            data_type: Some(DataType::Int8 as i32),
            raw_data: Some(bytes.into_iter().map(|byte| byte.to_le_bytes()[0]).collect::<Vec<_>>().into()),
            ..TensorProto::default()
        });
        let steps = graph.tensor_f32(&format!("{name}/steps"), &[outputs], &steps);
        let product = graph.node("MatMulInteger", &[&self.bytes, &weight, &self.zero], vec![]);
        let product = graph.cast(&product, DataType::Float);
        let product = graph.mul(&product, &self.steps);
        let product = graph.mul(&product, &steps);
        let outputs = graph.list_i64(&[outputs as i64]);
        let shape = graph.node("Concat", &[&self.leading, &outputs], vec![attribute_int("axis", 0)]);
        graph.node("Reshape", &[&product, &shape], vec![])
    }
}

/// A weight, `[inputs, outputs]`, with its rows multiplied by `factors`: in bytes, and the size of a step of each column.
pub(super) fn rounded(weight: &[f32], factors: &[f32], steps: Steps) -> (Vec<i8>, Vec<f32>) {
    let outputs = (weight.len() / factors.len().max(1)).max(1);
    let largest = steps.largest();
    let scaled =
        || weight.chunks_exact(outputs).zip(factors).map(|(row, factor)| row.iter().map(move |number| number * factor));
    let mut steps = vec![SMALLEST; outputs];
    for row in scaled() {
        steps.iter_mut().zip(row).for_each(|(step, number)| *step = step.max(number.abs() / largest));
    }
    let mut bytes = Vec::with_capacity(weight.len());
    for row in scaled() {
        bytes.extend(row.zip(&steps).map(|(number, step)| (number / step).round().clamp(-largest, largest) as i8));
    }
    (bytes, steps)
}

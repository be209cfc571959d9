//! Prefix tuning: in front of the keys and values of each attention stand some that are trained, the same for every text.
//! They stay in the graph. <https://arxiv.org/abs/2101.00190>
//!
//! The scores of the prefix are computed apart and put in front of the text's just before the softmax, so that neither the
//! keys nor the mask need to be changed: `softmax([Q P_k / sqrt(d) | scores]) = [a | b]`, and `a P_v + b V` comes out.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::onnx::graph::{GraphBuilder, Value, attribute_int};
use crate::onnx::proto::NodeProto;
use crate::onnx::shapes::Shapes;
use crate::random::Random;
use crate::train::encoder::Encoder;
use crate::train::error::Error;
use crate::train::parameter::Parameter;

/// Deviation of the first keys; the first values are zeros.
const DEVIATION: f32 = 0.02;
/// At the beginning of the names of all of a prefix's tensors.
pub(super) const MARK: &str = "prefix.";
/// At the end of the name of those whose last axis is the prefix's length.
pub(super) const KEY: &str = ".key";
/// Longest prefix: beyond the length of most texts there is nothing to gain.
const LONGEST: usize = 512;
/// Operators that stand between a product of queries and keys and its softmax.
const BETWEEN: [&str; 6] = ["Add", "Div", "Mul", "Where", "Sub", "Cast"];

/// One attention: `softmax(scores) V`.
struct Attention {
    /// What the softmax takes.
    scores: Value,
    /// What the softmax gives.
    weights: Value,
    /// The softmax's name.
    softmax: String,
    query: Value,
    /// The weighted values.
    mixed: Value,
    /// The node that mixes.
    mix: String,
    heads: usize,
    size: usize,
}

pub(super) fn edit(encoder: &mut Encoder, length: usize, seed: u64) -> Result<(), Error> {
    if !(1..=LONGEST).contains(&length) {
        let expected = format!("from 1 to {LONGEST}");
        return Err(Error::Option { option: "length", value: length.to_string(), expected });
    }
    encoder.graph.sort();
    let attentions = find(&encoder.graph);
    if attentions.is_empty() {
        let reason = "no softmax in the graph has queries and keys multiplied below it and values above it, of known \
                      numbers of heads";
        return Err(Error::NothingToTrain { method: "prefix", reason: reason.into() });
    }
    let mut random = Random::expanded(seed);
    for (index, attention) in attentions.iter().enumerate() {
        let Attention { heads, size, .. } = *attention;
        let count = heads * length * size;
        let keys =
            Parameter::new(format!("{MARK}{index}{KEY}"), &[1, heads, size, length], random.normals(count, DEVIATION));
        let values = Parameter::new(format!("{MARK}{index}.value"), &[1, heads, length, size], vec![0.0; count]);
        // They are activations that are learned, not weights: pulling them to zero makes no sense.
        let [keys, values] = [keys, values].map(|parameter| Parameter { decay: false, ..parameter });
        let (keys, values) = (encoder.declare(keys)?, encoder.declare(values)?);
        encoder.graph.scope(format!("prefix.{index}"));
        add(encoder, attention, &keys, &values, length as i64);
    }
    Ok(())
}

fn add(encoder: &mut Encoder, attention: &Attention, keys: &Value, values: &Value, length: i64) {
    let graph = &mut encoder.graph;
    let own = graph.matmul(&attention.query, keys);
    let root = graph.scalar_f32((attention.size as f32).sqrt());
    let own = graph.div(&own, &root);
    let all = graph.node("Concat", &[&own, &attention.scores], vec![attribute_int("axis", -1)]);
    let softmax = graph.softmax(&all);

    let (zero, end, last) = (graph.list_i64(&[0]), graph.list_i64(&[length]), graph.list_i64(&[-1]));
    let most = graph.list_i64(&[i64::MAX]);
    let own = graph.node("Slice", &[&softmax, &zero, &end, &last], vec![]);
    let rest = graph.node("Slice", &[&softmax, &end, &most, &last], vec![]);
    encoder.replace(&attention.weights, &rest, &[&attention.softmax]);
    let graph = &mut encoder.graph;
    let change = graph.matmul(&own, values);
    let sum = graph.add(&attention.mixed, &change);
    encoder.replace(&attention.mixed, &sum, &[sum.name(), &attention.mix]);
}

fn find(graph: &GraphBuilder) -> Vec<Attention> {
    let shapes = Shapes::infer(graph.graph());
    let nodes = &graph.graph().node;
    let makers: HashMap<&str, &NodeProto> =
        nodes.iter().flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node))).collect();
    let maker = |value: &str| makers.get(value).copied();
    // The nearest product below the scores; a mask or a bias of positions may come from products too, but from farther.
    let query = |scores: &str| -> Option<Value> {
        let (mut seen, mut queue) = (HashSet::new(), VecDeque::from([maker(scores)?]));
        while let Some(node) = queue.pop_front() {
            if node.op_type() == "MatMul" {
                return Some(graph.value(node.input.first()?));
            }
            if BETWEEN.contains(&node.op_type()) && seen.insert(node.name()) {
                queue.extend(node.input.iter().filter_map(|input| maker(input)));
            }
        }
        None
    };
    let attention = |softmax: &NodeProto| {
        let (scores, weights) = (softmax.input.first()?, softmax.output.first()?);
        let mix = nodes.iter().find(|node| node.op_type() == "MatMul" && node.input.first() == Some(weights))?;
        let mixed = mix.output.first()?;
        let query = query(scores)?;
        let [_, heads, _, size] = shapes.dims(query.name())? else { return None };
        Some(Attention {
            heads: usize::try_from(heads.fixed()?).ok()?,
            size: usize::try_from(size.fixed()?).ok()?,
            scores: graph.value(scores),
            weights: graph.value(weights),
            softmax: softmax.name().to_owned(),
            query,
            mixed: graph.value(mixed),
            mix: mix.name().to_owned(),
        })
    };
    nodes.iter().filter(|node| node.op_type() == "Softmax").filter_map(attention).collect()
}

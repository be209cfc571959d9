//! A student of three layers: the first, the middle and the last layer of a transformer stay, those between are taken out, and
//! what stays is trained as by `full`. A layer then reads what it never saw while the model was made, which training mends.
//!
//! DistilBERT begins with every second layer of its teacher in the same way: <https://arxiv.org/abs/1910.01108>, section 3.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::full;
use super::modules::weights;
use crate::onnx::graph::reads;
use crate::onnx::proto::GraphProto;
use crate::train::encoder::Encoder;
use crate::train::error::Error;

/// Layers that stay.
const KEPT: usize = 3;

pub(super) fn edit(encoder: &mut Encoder) -> Result<(), Error> {
    let weights = weights(&encoder.graph);
    let numbers = weights.iter().filter_map(|weight| weight.layer).collect::<BTreeSet<_>>();
    let numbers = numbers.into_iter().collect::<Vec<_>>();
    if numbers.len() <= KEPT {
        return Err(unfit(format!("for a base of more than {KEPT} layers; this one's weights name {}", numbers.len())));
    }
    let place = |layer: usize| numbers.binary_search(&layer).unwrap_or_default();
    let layer_of = weights.iter().filter_map(|weight| Some((weight.name.as_str(), place(weight.layer?))));
    let ends = ends(encoder.graph.graph(), &layer_of.collect());
    let end = |layer: usize| {
        let found = ends.get(&layer).into_iter().flatten().copied().collect::<Vec<_>>();
        let [end] = found.as_slice() else {
            let (layer, found) = (numbers[layer], found.len());
            return Err(unfit(format!(
                "for a base whose layers hand on one value; of this one layer {layer} hands on {found}"
            )));
        };
        Ok(encoder.graph.value(end))
    };
    let kept = [0, numbers.len() / 2, numbers.len() - 1];
    let cuts = kept.windows(2).filter(|pair| pair[1] - pair[0] > 1).map(|pair| Ok((end(pair[1] - 1)?, end(pair[0])?)));
    let cuts = cuts.collect::<Result<Vec<_>, Error>>()?;
    cuts.iter().for_each(|(from, to)| encoder.replace(from, to, &[]));
    encoder.remove_dead();
    full::edit(encoder)
}

fn unfit(expected: String) -> Error {
    Error::Option { option: "student", value: "'layers'".to_owned(), expected: format!("'static', or {expected}") }
}

/// Of each layer but the last, the values that later layers read: of a transformer one, its hidden states. `layer_of` says which
/// layer a weight belongs to, from 0; a value belongs to the last layer whose weights it depends on.
fn ends<'g>(graph: &'g GraphProto, layer_of: &HashMap<&str, usize>) -> BTreeMap<usize, BTreeSet<&'g str>> {
    let mut layers = HashMap::<&str, usize>::new();
    let mut ends = BTreeMap::<usize, BTreeSet<&str>>::new();
    for node in &graph.node {
        let reads = reads(node);
        let layer = |name: &&str| layer_of.get(name).or_else(|| layers.get(name)).copied();
        let Some(own) = reads.iter().filter_map(layer).max() else { continue };
        for name in reads {
            if let Some(before) = layers.get(name).filter(|before| **before < own) {
                ends.entry(*before).or_default().insert(name);
            }
        }
        layers.extend(node.output.iter().map(|name| (name.as_str(), own)));
    }
    ends
}

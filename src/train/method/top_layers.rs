//! Top layers: the last layers of a transformer, or stages of a convolutional network, are trained, and what stands above
//! them; the lower ones, which know of words and syntax, or of edges and textures, in general, stay as they are. <https://arxiv.org/abs/1801.06146> unfreezes in this order.

use std::collections::BTreeSet;

use super::modules::{Role, Weight, weights};
use crate::train::encoder::Encoder;
use crate::train::error::Error;

/// The method's name.
const METHOD: &str = "top_layers";

pub(super) fn edit(encoder: &mut Encoder, layers: usize) -> Result<(), Error> {
    let weights = weights(&encoder.graph);
    // Where two encoders are joined, the top of each is trained.
    let parts = weights.iter().map(|weight| weight.part).collect::<BTreeSet<_>>();
    for part in parts {
        let own = weights.iter().filter(|weight| weight.part == part).collect::<Vec<_>>();
        // What stands above both, such as a head, is no encoder.
        if part.is_some() || weights.iter().all(|weight| weight.part.is_none()) {
            edit_part(encoder, layers, &own)?;
        }
    }
    Ok(())
}

fn edit_part(encoder: &mut Encoder, layers: usize, weights: &[&Weight]) -> Result<(), Error> {
    let numbers = || weights.iter().filter_map(|weight| weight.layer);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        let example = weights.first().map_or("none", |weight| weight.name.as_str());
        let reason = format!("no weight's name says which layer it is in, as 'encoder.layer.0.' does ('{example}')");
        return Err(Error::NothingToTrain { method: METHOD, reason });
    };
    let count = last - first + 1;
    if !(1..=count).contains(&layers) {
        let expected = format!("from 1 to {count}, the number of layers that the model has");
        return Err(Error::Option { option: "layers", value: layers.to_string(), expected });
    }
    let numbered = weights.iter().filter(|weight| weight.layer.is_some());
    let top = numbered.map(|weight| weight.node).max().unwrap_or_default();
    let chosen = weights.iter().filter(|weight| match weight.layer {
        Some(layer) => layer + layers > last,
        // A final normalisation or projection stands above all layers, embeddings below.
        None => weight.node > top && weight.role != Role::Table,
    });
    for weight in chosen.filter(|weight| weight.role != Role::Table) {
        encoder.train(&weight.name)?;
    }
    Ok(())
}

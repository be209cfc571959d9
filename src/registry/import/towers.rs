//! A model of two towers under one name: takes its source, gives the version of the tower for pictures with that of the tower
//! for texts in it, and how the cosines between the two are read.

use debut_udfs::model::TextTower;
use sha2::{Digest, Sha256};

use super::options::{ImportOptions, Tower};
use super::source::Source;
use super::{Graph, Prepared, add, prepare_tower};
use crate::fetch::{Progress, files};
use crate::onnx::weights::Weights;
use crate::registry::manifest::Manifest;
use crate::registry::{Error, Result, TOKENIZER};

/// The logarithm of what cosines are multiplied by.
const LOGIT_SCALE: &str = "logit_scale";
/// What is added to them, where the model was trained with a sigmoid for each pair.
const LOGIT_BIAS: &str = "logit_bias";

/// Reads and checks both towers.
///
/// # Errors
/// One of them cannot be imported, or nothing says how their cosines are read.
pub(super) fn prepare(source: Source, options: &ImportOptions, progress: &Progress<'_>) -> Result<Prepared> {
    const ALONE: &str = "import the tower for pictures alone with OPTIONS (tower 'image')";
    if !source.transformer.join(TOKENIZER).is_file() {
        return Err(source.refuse(format!("it has a tower for texts, and there is no {TOKENIZER} in it; {ALONE}")));
    }
    let only = |tower, max_tokens| ImportOptions { tower: Some(tower), max_tokens, ..options.clone() };
    let texts = prepare_tower(source.clone(), &only(Tower::Text, options.max_tokens), progress)?;
    let mut pictures = prepare_tower(source, &only(Tower::Image, None), progress)?;
    let widths = [&texts, &pictures].map(|tower| tower.manifest.dimension);
    if widths[0] != widths[1] {
        let reason = format!("its towers make vectors of {} and {} dimensions; {ALONE}", widths[0], widths[1]);
        return Err(pictures.source.refuse(reason));
    }
    let Graph::Built { weights, .. } = &pictures.graph else {
        return Err(pictures.source.refuse("a graph has one tower only"));
    };
    let failed = |error| Error::Model { from: pictures.source.from.clone(), source: error };
    let Some(scale) = number(weights, LOGIT_SCALE).map_err(failed)? else {
        let reason =
            format!("it has two towers and no '{LOGIT_SCALE}', by which cosines between them are read; {ALONE}");
        return Err(pictures.source.refuse(reason));
    };
    let bias = number(weights, LOGIT_BIAS).map_err(failed)?;
    let tower = TextTower { logit_scale: scale.exp(), logit_bias: bias };
    if !tower.logit_scale.is_finite() || bias.is_some_and(|bias| !bias.is_finite()) {
        return Err(pictures.source.refuse(format!("its '{LOGIT_SCALE}' or '{LOGIT_BIAS}' is no finite number")));
    }
    pictures.manifest.text_tower = Some(tower);
    pictures.manifest.max_tokens = texts.manifest.max_tokens;
    pictures.manifest.fingerprint = fingerprint(&pictures.manifest, &texts.manifest, tower);
    Ok(Prepared { texts: Some(Box::new(texts)), ..pictures })
}

/// A parameter that is one number; `None` if there is none of this name.
fn number(weights: &Weights, name: &str) -> crate::onnx::Result<Option<f32>> {
    let Some(shape) = weights.shape(name) else { return Ok(None) };
    if shape.iter().any(|size| *size != 1) {
        weights.expect_shape(name, &[])?;
    }
    Ok(weights.read_f32(name)?.first().copied())
}

/// Sixteen digits over everything that determines a result of either tower.
pub(in crate::registry) fn fingerprint(pictures: &Manifest, texts: &Manifest, tower: TextTower) -> String {
    let mut hasher = Sha256::new();
    for manifest in [pictures, texts] {
        add(&mut hasher, manifest.fingerprint.as_bytes());
    }
    let TextTower { logit_scale, logit_bias } = tower;
    add(&mut hasher, format!("{logit_scale:?} {logit_bias:?}").as_bytes());
    files::hexadecimal(&hasher.finalize()[..8])
}

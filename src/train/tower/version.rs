//! What a tower is good for: takes its values, gives vectors of texts, or the graph of a version.

use std::collections::HashMap;

use arrow::array::{Array, StringViewArray};
use debut_udfs::finetune::NAME;
use debut_udfs::models::prompt_of;

use super::task::{Place, Tower};
use crate::onnx;
use crate::registry::{Candidate, ModelVersion};
use crate::train::encoder::Encoder;
use crate::train::failure::{Result, Stopped, failed};
use crate::train::inputs::TokenizedTexts;
use crate::train::measure::open_encoder;
use crate::train::method;
use crate::train::step::ForwardSession;

/// Texts that are embedded at a time.
const EMBED_SIZE: usize = 64;

/// The vectors of texts, `[texts, dimension]`, by `base` or by a tower on top of it: pooled, not normalised.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the tower is not one of this base, or the runtime fails.
pub fn embed(
    base: &ModelVersion,
    tower: Option<&Tower>,
    texts: &StringViewArray,
    max_tokens: Option<usize>,
    place: Place<'_>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<f32>, Stopped> {
    let encoder = encoder(base, tower)?;
    let dimension = encoder.dimension;
    let mut vectors = vec![0.0; texts.len() * dimension];
    if texts.is_empty() {
        return Ok(vectors);
    }
    let tokens = tokenize(base, texts, max_tokens, stop)?;
    // Texts of one length together: what is padded is computed for nothing.
    let mut rows = (0..texts.len() as u32).collect::<Vec<_>>();
    rows.sort_by_key(|row| tokens.length(*row));
    let outputs = [encoder.embeddings.clone()];
    let environment = place.runtime.environment();
    let mut session = ForwardSession::open(encoder, &outputs, environment, place.target).map_err(failed)?;
    for rows in rows.chunks(EMBED_SIZE) {
        if stop() {
            return Err(Stopped::Cancelled);
        }
        let found = session.run(&tokens.padded(rows)).map_err(failed)?;
        let found = found.into_iter().flatten().collect::<Vec<_>>();
        for (row, vector) in rows.iter().zip(found.chunks_exact(dimension)) {
            vectors[*row as usize * dimension..][..dimension].copy_from_slice(vector);
        }
    }
    Ok(vectors)
}

/// Writes the graph of a version whose encoder is the tower's, and says in the candidate's manifest what it gives: vectors,
/// as the base's does. What the version is for and where it comes from is left to the caller.
///
/// # Errors
/// The tower is not one of this base, or the disk fails.
pub fn write(base: &ModelVersion, tower: &Tower, candidate: &mut Candidate) -> Result<()> {
    let encoder = encoder(base, Some(tower))?;
    candidate.manifest.output = encoder.output(&base.manifest);
    candidate.manifest.labels = Vec::new();
    let (graph, weights) = encoder.score().map_err(failed)?;
    onnx::file::write(graph, &candidate.graph(), &weights).map_err(failed)
}

/// The encoder of `base`, or the tower's, to be scored.
fn encoder(base: &ModelVersion, tower: Option<&Tower>) -> Result<Encoder> {
    let encoder = open_encoder(&base.graph(), &base.manifest)?;
    let Some(tower) = tower else { return Ok(encoder) };
    let trained = tower.encoder.iter().map(|(name, _, values)| (name.clone(), values.clone()));
    method::export(&tower.method, encoder, trained.collect::<HashMap<_, _>>()).map_err(failed)
}

/// The texts as the version that comes out will read them: with the prompt that `embed` puts in front, if any.
pub(super) fn tokenize(
    base: &ModelVersion,
    texts: &StringViewArray,
    max_tokens: Option<usize>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TokenizedTexts, Stopped> {
    let prompt = prompt_of(NAME, &base.info(), "document").map_err(failed)?;
    TokenizedTexts::new(texts, base, &prompt, max_tokens, stop)
}

//! Which products are computed in eight bits: takes a base and the texts that fit, gives as many as their nearest neighbours allow.
//!
//! Large columns of a product's input are made smaller, and the rows of its weights as much larger, so that both can be rounded:
//! SmoothQuant, <https://arxiv.org/abs/2211.10438>, equation 4. The products whose rounding changes the vectors most stay in `f32`.

use std::collections::BTreeMap;

use super::calibrate;
use super::graph;
use super::int8::{self, Int8, Steps};
use super::measure::Ruler;
use crate::inference::vnni;
use crate::registry::{Candidate, ModelVersion};
use crate::train::Stopped;
use crate::train::failure::Result;
use crate::train::measure::open_encoder;

/// How much of the difficulty goes to the weights.
const ALPHA: f32 = 0.5;
/// Smallest number that is divided by.
const SMALLEST: f32 = 1e-5;
/// The overlap below which products stay in `f32`.
const WANTED: f64 = 0.97;
/// Texts by which it is found which product changes the vectors most.
const TEXTS: usize = 128;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) int8: Int8,
    /// Overlap of the nearest of the texts that fit.
    overlap: f64,
}

impl Found {
    /// What was found, for people.
    pub(super) fn words(&self) -> String {
        let (all, converted) = self.int8.counts();
        format!(
            "{converted} of {all} products in int8, overlap {:.3} of the examples that fit; the other weights are half floats",
            self.overlap
        )
    }
}

/// As many products as the texts that fit allow. Writes graphs where the candidate's is to be; the last one is of no use.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the base cannot be read or run, or the disk fails.
pub(super) fn search(base: &ModelVersion, candidate: &mut Candidate, ruler: &Ruler<'_>) -> Result<Found, Stopped> {
    let encoder = open_encoder(&base.graph(), &base.manifest)?;
    let groups = int8::find(encoder.graph.graph());
    let columns = calibrate::largest(base, &groups, candidate, ruler)?;
    let factors = groups.iter().map(|group| {
        let rows = int8::largest(&encoder, group)?;
        let factor =
            |(column, row): (&f32, &f32)| column.max(SMALLEST).powf(ALPHA) / row.max(SMALLEST).powf(1.0 - ALPHA);
        Ok((group.input.clone(), columns[&group.input].iter().zip(&rows).map(factor).collect()))
    });
    let factors = factors.collect::<Result<BTreeMap<_, _>>>()?;
    let steps = if vnni::is_here() { Steps::Vnni } else { Steps::Any };
    let mut int8 = Int8 { groups, factors, steps };
    let mut overlap = measure(&int8, base, candidate, ruler)?;
    if overlap >= WANTED {
        return Ok(Found { int8, overlap });
    }
    let sensitive = by_sensitivity(&int8, base, candidate, ruler)?;
    let mut kept = 1;
    // Twice as many each time, but one is left.
    while overlap < WANTED && int8.factors.len() > 1 {
        sensitive.iter().take(kept).for_each(|input| drop(int8.factors.remove(input)));
        overlap = measure(&int8, base, candidate, ruler)?;
        kept = (2 * kept).min(sensitive.len() - 1);
    }
    Ok(Found { int8, overlap })
}

/// Overlap of the nearest of the texts that fit.
fn measure(int8: &Int8, base: &ModelVersion, candidate: &mut Candidate, ruler: &Ruler<'_>) -> Result<f64, Stopped> {
    graph::write(base, &graph::Steps { int8: Some(int8.clone()), ..graph::Steps::default() }, candidate)?;
    ruler.overlap_of_fitted(&candidate.version(&base.name))
}

/// The inputs, those first whose products in eight bits change the vectors most where all others stay as they are.
fn by_sensitivity(
    int8: &Int8,
    base: &ModelVersion,
    candidate: &mut Candidate,
    ruler: &Ruler<'_>,
) -> Result<Vec<String>, Stopped> {
    let mut losses = Vec::with_capacity(int8.factors.len());
    for (input, factors) in &int8.factors {
        let alone = Int8 { factors: BTreeMap::from([(input.clone(), factors.clone())]), ..int8.clone() };
        graph::write(base, &graph::Steps { int8: Some(alone), ..graph::Steps::default() }, candidate)?;
        losses.push((ruler.loss(&candidate.version(&base.name), TEXTS)?, input.clone()));
    }
    losses.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
    Ok(losses.into_iter().map(|(_, input)| input).collect())
}

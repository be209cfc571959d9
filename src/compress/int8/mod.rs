//! Products in eight bits: takes a base and the texts that fit, gives which of its products are computed so, and how.
//!
//! - [`products`]: the products of a graph, and the same in eight bits
//! - [`calibrate`]: the numbers that they read
//!
//! Large columns of a product's input are made smaller, and the rows of its weights as much larger, so that both can be rounded:
//! SmoothQuant, <https://arxiv.org/abs/2211.10438>, equation 4. The products whose rounding changes the vectors most stay in `f32`.

mod calibrate;
mod products;

use std::collections::BTreeMap;

use self::products::{Group, Steps};
use super::graph;
use super::measure::Ruler;
use crate::inference::vnni;
use crate::registry::{Candidate, ModelVersion};
use crate::train::Stopped;
use crate::train::encoder::Encoder;
use crate::train::failure::Result;

/// How much of the difficulty goes to the weights.
const ALPHA: f32 = 0.5;
/// Smallest number that is divided by.
const SMALLEST: f32 = 1e-5;
/// The overlap below which products stay in `f32`.
const WANTED: f64 = 0.97;
/// Texts by which it is found which product changes the vectors most.
const TEXTS: usize = 128;

/// Which products are computed in eight bits, and how.
#[derive(Debug, Clone)]
pub(super) struct Int8 {
    groups: Vec<Group>,
    /// Factors of the columns of each input; those of inputs that stay in `f32` are not there.
    factors: BTreeMap<String, Vec<f32>>,
    steps: Steps,
    /// Overlap of the nearest of the texts that fit.
    overlap: f64,
}

impl Int8 {
    /// As many products as the texts that fit allow. Writes graphs where the candidate's is to be; the last one is of no use.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the base cannot be read or run, or the disk fails.
    pub(super) fn find(base: &ModelVersion, candidate: &mut Candidate, ruler: &Ruler<'_>) -> Result<Self, Stopped> {
        let encoder = graph::open(base)?;
        let groups = products::find(encoder.graph.graph());
        let columns = calibrate::largest(base, &groups, candidate, ruler)?;
        let factors = groups.iter().map(|group| {
            let rows = products::largest(&encoder, group)?;
            let factor =
                |(column, row): (&f32, &f32)| column.max(SMALLEST).powf(ALPHA) / row.max(SMALLEST).powf(1.0 - ALPHA);
            Ok((group.input.clone(), columns[&group.input].iter().zip(&rows).map(factor).collect()))
        });
        let factors = factors.collect::<Result<BTreeMap<_, _>>>()?;
        let steps = if vnni::is_here() { Steps::Vnni } else { Steps::Any };
        let mut all = Self { groups, factors, steps, overlap: 0.0 };
        let mut found = all.clone();
        found.overlap = found.measure(base, candidate, ruler)?;
        if found.overlap >= WANTED {
            return Ok(found);
        }
        let sensitive = all.by_sensitivity(base, candidate, ruler)?;
        let mut kept = 1;
        loop {
            sensitive.iter().take(kept).for_each(|input| drop(all.factors.remove(input)));
            all.overlap = all.measure(base, candidate, ruler)?;
            if all.overlap >= WANTED || all.factors.len() <= 1 {
                return Ok(all);
            }
            // Twice as many each time, but one is left.
            kept = (2 * kept).min(sensitive.len() - 1);
        }
    }

    /// Overlap of the nearest of the texts that fit.
    fn measure(&self, base: &ModelVersion, candidate: &mut Candidate, ruler: &Ruler<'_>) -> Result<f64, Stopped> {
        graph::write(base, &graph::Steps { int8: Some(self.clone()), ..graph::Steps::default() }, candidate)?;
        ruler.overlap_of_fitted(&candidate.version(&base.name))
    }

    /// The inputs, those first whose products in eight bits change the vectors most where all others stay as they are.
    fn by_sensitivity(
        &self,
        base: &ModelVersion,
        candidate: &mut Candidate,
        ruler: &Ruler<'_>,
    ) -> Result<Vec<String>, Stopped> {
        let mut losses = Vec::with_capacity(self.groups.len());
        for (input, factors) in &self.factors {
            let alone = Self { factors: BTreeMap::from([(input.clone(), factors.clone())]), ..self.clone() };
            graph::write(base, &graph::Steps { int8: Some(alone), ..graph::Steps::default() }, candidate)?;
            losses.push((ruler.loss(&candidate.version(&base.name), TEXTS)?, input.clone()));
        }
        losses.sort_by(|(a, first), (b, second)| b.total_cmp(a).then_with(|| first.cmp(second)));
        Ok(losses.into_iter().map(|(_, input)| input).collect())
    }

    /// Computes these products of `encoder` in eight bits.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub(super) fn convert(&self, encoder: &mut Encoder) -> Result<()> {
        products::convert(encoder, &self.groups, &self.factors, self.steps)
    }

    /// Whether the products are right only on processors with VNNI.
    pub(super) fn needs_vnni(&self) -> bool {
        self.steps == Steps::Vnni
    }

    /// What was found, for people.
    pub(super) fn words(&self) -> String {
        let products = |group: &Group| group.products.len();
        let all = self.groups.iter().map(products).sum::<usize>();
        let converted = self.groups.iter().filter(|group| self.factors.contains_key(&group.input)).map(products);
        format!(
            "{} of {all} products in int8, overlap {:.3} of the examples that fit; the other weights are half floats",
            converted.sum::<usize>(),
            self.overlap
        )
    }
}

/// Why `base` has no products that can be computed in eight bits, if it has none.
///
/// # Errors
/// Its graph cannot be read.
pub(super) fn refusal(base: &ModelVersion) -> Result<Option<&'static str>> {
    let mut encoder = graph::open(base)?;
    if !encoder.graph.raise_opset(products::OPSET) {
        return Ok(Some("its graph is written in a version of the ONNX operators before 13"));
    }
    Ok(products::find(encoder.graph.graph()).is_empty().then_some("it multiplies by no large weights in f32"))
}

#[cfg(test)]
pub(super) mod tests {
    //! Handles for the tests of the folder.

    use super::*;

    /// Converts all products with factors of one; gives how many there are.
    pub(in crate::compress) fn all_products(encoder: &mut Encoder) -> usize {
        let groups = products::find(encoder.graph.graph());
        let factors = groups.iter().map(|group| (group.input.clone(), vec![1.0; group.inputs]));
        let int8 = Int8 { factors: factors.collect(), groups, steps: Steps::Any, overlap: 0.0 };
        int8.convert(encoder).unwrap_or_default();
        int8.groups.iter().map(|group| group.products.len()).sum()
    }

    /// A weight in bytes, with the sizes of the steps of its columns.
    pub(in crate::compress) fn rounded_by(weight: &[f32], factors: &[f32], vnni: bool) -> (Vec<i8>, Vec<f32>) {
        products::rounded(weight, factors, if vnni { Steps::Vnni } else { Steps::Any })
    }
}

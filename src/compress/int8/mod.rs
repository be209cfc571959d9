//! Products in eight bits: takes a graph and which of its products are computed so, gives the same graph with these.
//!
//! - [`products`]: the products of a graph, and the same in eight bits

mod products;

use std::collections::BTreeMap;

pub(super) use self::products::{Group, Steps, find, largest};
use crate::registry::ModelVersion;
use crate::train::encoder::Encoder;
use crate::train::failure::Result;
use crate::train::measure::open_encoder;

/// Which products are computed in eight bits, and how.
#[derive(Debug, Clone)]
pub(super) struct Int8 {
    /// All products.
    pub(super) groups: Vec<Group>,
    /// Factors of the columns of each input; those of inputs that stay in `f32` are not there.
    pub(super) factors: BTreeMap<String, Vec<f32>>,
    /// How finely weights are rounded.
    pub(super) steps: Steps,
}

impl Int8 {
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

    /// How many products there are, and how many of them are computed in eight bits.
    pub(super) fn counts(&self) -> (usize, usize) {
        let products = |group: &Group| group.products.len();
        let converted = self.groups.iter().filter(|group| self.factors.contains_key(&group.input)).map(products);
        (self.groups.iter().map(products).sum(), converted.sum())
    }
}

/// Why `base` has no products that can be computed in eight bits, if it has none.
///
/// # Errors
/// Its graph cannot be read.
pub(super) fn refusal(base: &ModelVersion) -> Result<Option<&'static str>> {
    let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
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
        let int8 = Int8 { factors: factors.collect(), groups, steps: Steps::Any };
        int8.convert(encoder).unwrap_or_default();
        int8.groups.iter().map(|group| group.products.len()).sum()
    }

    /// A weight in bytes, with the sizes of the steps of its columns.
    pub(in crate::compress) fn rounded_by(weight: &[f32], factors: &[f32], vnni: bool) -> (Vec<i8>, Vec<f32>) {
        products::rounded(weight, factors, if vnni { Steps::Vnni } else { Steps::Any })
    }
}

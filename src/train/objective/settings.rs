//! The options of objectives: takes what `finetune` was given, gives checked values.

use debut_udfs::finetune::ClassWeights;

use crate::train::data::{Error, Examples, Result};

/// The options of all objectives; each reads its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What cosines are divided by in `contrastive`, from 0.001 to 10.
    pub temperature: f32,
    /// Negatives that `bce` (without labels) and `bpr` draw for every positive example, from 1 to 1000.
    pub negatives: usize,
    /// How much the classes of `classification` count.
    pub class_weights: ClassWeights,
}

impl Default for Settings {
    /// The temperature of sentence-transformers' `MultipleNegativesRankingLoss`, four negatives, no class weights.
    fn default() -> Self {
        Self { temperature: 0.05, negatives: 4, class_weights: ClassWeights::Equal }
    }
}

impl Settings {
    /// Checks the options that the examples' objective reads.
    pub(super) fn check(&self, examples: &Examples) -> Result<()> {
        let option = |option, value: String, reason: &str| Err(Error::Option { option, value, reason: reason.into() });
        match examples {
            Examples::Contrastive(_) if !(0.001..=10.0).contains(&self.temperature) => {
                option("temperature", self.temperature.to_string(), "must be between 0.001 and 10")
            }
            Examples::Bce(interactions) | Examples::Bpr(interactions)
                if interactions.label.is_empty() && !(1..=1000).contains(&self.negatives) =>
            {
                option(
                    "negatives",
                    self.negatives.to_string(),
                    "must be between 1 and 1000, because there are only positives",
                )
            }
            _ => Ok(()),
        }
    }
}

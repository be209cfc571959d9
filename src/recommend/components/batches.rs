//! The two sides of a score: takes histories and texts, gives what is known of users and of items.
//!
//! Both have what several components read, made here, and behind it what each component has prepared for itself.

use super::parts::knn::{Features, Weights, nearest};
use super::parts::{Parts, Texts, centred};
use super::rows::RowsByComponent;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// What is known of users.
#[derive(Debug, Clone)]
pub struct UserRepresentations {
    /// Users x items with a history.
    pub history: Csr,
    /// Users x factors.
    pub factors: Matrix,
    pub(crate) by_component: RowsByComponent,
}

/// What is known of items that are to be scored.
#[derive(Debug, Clone)]
pub struct ItemBatch {
    /// Their numbers among the items with a history, for those that are there.
    pub known: Vec<Option<u32>>,
    /// Items x terms.
    pub terms: Csr,
    /// Items x dimensions, of length one.
    pub embeddings: Matrix,
    /// Similarities by words and embeddings: items x items with a history.
    pub neighbours: Csr,
    pub(crate) by_component: RowsByComponent,
}

impl UserRepresentations {
    /// These users and then those.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            history: self.history.below(&other.history),
            factors: self.factors.below(&other.factors),
            by_component: self.by_component.below(&other.by_component),
        }
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.history.rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// These users, in this order.
    #[must_use]
    pub fn gather(&self, users: &[u32]) -> Self {
        Self {
            history: self.history.gather(users),
            factors: self.factors.gather(users),
            by_component: self.by_component.gather(users),
        }
    }

    pub(crate) fn save_shared(&self, section: &mut Section<'_>) {
        section.csr("history", &self.history);
        section.matrix("factors", &self.factors);
    }

    pub(crate) fn load_shared(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self {
            history: section.csr("history")?,
            factors: section.matrix("factors")?,
            by_component: RowsByComponent::default(),
        })
    }
}

impl ItemBatch {
    /// What several components read of these items, without what each prepares. `known` names for each its own number among
    /// the items with a history, if it is one; it is not among its own neighbours.
    pub(crate) fn shared(
        parts: &Parts,
        texts: &Texts<'_>,
        known: Vec<Option<u32>>,
        stop: Stop<'_>,
    ) -> Result<Self, Cancelled> {
        let all = texts.texts.iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
        let terms = parts.words.transform(&all);
        let mut embeddings = centred(texts.embeddings.clone(), &parts.center);
        // The embedding of nothing is somewhere, but means nothing.
        without_text(texts).for_each(|item| embeddings.row_mut(item).fill(0.0));
        let mut batch =
            Self { known, terms, embeddings, neighbours: Csr::default(), by_component: RowsByComponent::default() };
        batch.neighbours = batch.nearest(parts, Weights { terms: 1.0, embeddings: 1.0 }, stop)?;
        Ok(batch)
    }

    /// The items with a history that these are most similar to.
    pub(crate) fn nearest(&self, parts: &Parts, weights: Weights, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        let here = Features { terms: &self.terms, embeddings: &self.embeddings };
        let there = Features { terms: &parts.terms, embeddings: &parts.embeddings };
        nearest(here, there, weights, parts.settings.neighbours, Some(&self.known), stop)
    }

    /// These items, in this order.
    #[must_use]
    pub fn gather(&self, items: &[u32]) -> Self {
        Self {
            known: items.iter().map(|item| self.known[*item as usize]).collect(),
            terms: self.terms.gather(items),
            embeddings: self.embeddings.gather(items),
            neighbours: self.neighbours.gather(items),
            by_component: self.by_component.gather(items),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.terms.rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn save_shared(&self, section: &mut Section<'_>) {
        section.u32s("known", self.known.iter().map(|known| known.unwrap_or(u32::MAX)));
        section.csr("terms", &self.terms);
        section.matrix("embeddings", &self.embeddings);
        section.csr("neighbours", &self.neighbours);
    }

    pub(crate) fn load_shared(section: &StoredSection<'_>) -> Result<Self> {
        let known = section.u32s("known")?.into_iter().map(|known| (known != u32::MAX).then_some(known));
        Ok(Self {
            known: known.collect(),
            terms: section.csr("terms")?,
            embeddings: section.matrix("embeddings")?,
            neighbours: section.csr("neighbours")?,
            by_component: RowsByComponent::default(),
        })
    }
}

/// The numbers of the items that have no text.
pub(crate) fn without_text(texts: &Texts<'_>) -> impl Iterator<Item = usize> {
    let is_empty = |text: Option<&str>| text.unwrap_or_default().trim().is_empty();
    texts.texts.iter().enumerate().filter(move |(_, text)| is_empty(*text)).map(|(item, _)| item)
}

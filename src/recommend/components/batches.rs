//! The two sides of a score: takes histories, texts and pictures, gives what is known of users and of items.
//!
//! Both have what several components read, made here, and behind it what each component has prepared for itself.

use super::parts::embeddings::{Embeddings, is_there};
use super::parts::knn::{Features, Weights, nearest};
use super::parts::{Parts, Texts};
use super::reads::Reads;
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
    /// Items x dimensions, of length one; zeros where an item has no text.
    pub embeddings: Matrix,
    /// The same of their pictures; without columns where the shop has none.
    pub(crate) pictures: Matrix,
    /// Which of them have a text.
    has_text: Vec<bool>,
    /// Which of them have a picture.
    has_picture: Vec<bool>,
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
        let has_text = texts.has_text();
        let embeddings = parts.embeddings.around_mean(texts.embeddings.clone(), &has_text);
        let (pictures, has_picture) = pictures(parts.pictures.as_ref(), texts);
        let (neighbours, by_component) = (Csr::default(), RowsByComponent::default());
        let mut batch = Self { known, terms, embeddings, pictures, has_text, has_picture, neighbours, by_component };
        batch.neighbours = batch.nearest(parts, Weights { terms: 1.0, embeddings: 1.0 }, stop)?;
        Ok(batch)
    }

    /// The items with a history that these are most similar to, by their texts.
    pub(crate) fn nearest(&self, parts: &Parts, weights: Weights, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        let here = Features { terms: &self.terms, embeddings: &self.embeddings };
        let there = Features { terms: &parts.terms, embeddings: &parts.embeddings.rows };
        nearest(here, there, weights, parts.settings.neighbours, Some(&self.known), stop)
    }

    /// The same by their pictures.
    pub(crate) fn nearest_pictures(&self, parts: &Parts, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        let Some(pictures) = &parts.pictures else {
            return Ok(Csr::from_rows(parts.items(), self.known.iter().map(|_| Vec::new())));
        };
        let terms = &Csr::default();
        let (here, there) =
            (Features { terms, embeddings: &self.pictures }, Features { terms, embeddings: &pictures.rows });
        let weights = Weights { terms: 0.0, embeddings: 1.0 };
        nearest(here, there, weights, parts.settings.neighbours, Some(&self.known), stop)
    }

    /// For each item whether it has what is read; `None` where every item has.
    pub(super) fn has(&self, reads: Reads) -> Option<&[bool]> {
        match reads {
            Reads::Text => Some(&self.has_text),
            Reads::Picture => Some(&self.has_picture),
            Reads::Other => None,
        }
    }

    /// These items, in this order.
    #[must_use]
    pub fn gather(&self, items: &[u32]) -> Self {
        let of = |has: &[bool]| items.iter().map(|item| has[*item as usize]).collect();
        Self {
            known: items.iter().map(|item| self.known[*item as usize]).collect(),
            terms: self.terms.gather(items),
            embeddings: self.embeddings.gather(items),
            pictures: self.pictures.gather(items),
            has_text: of(&self.has_text),
            has_picture: of(&self.has_picture),
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

    /// What was kept. Pictures are not: these items have a history, and the pictures of such are among `parts`.
    pub(crate) fn load_shared(parts: &Parts, section: &StoredSection<'_>) -> Result<Self> {
        let known = section.u32s("known")?.into_iter().map(|known| (known != u32::MAX).then_some(known));
        let known = known.collect::<Vec<_>>();
        let embeddings = section.matrix("embeddings")?;
        let of_history = parts.pictures.as_ref().map(|pictures| &pictures.rows);
        let mut pictures = Matrix::zeros(known.len(), of_history.map_or(0, Matrix::columns));
        for (row, known) in known.iter().enumerate() {
            let (Some(all), Some(known)) = (of_history, known.map(|known| known as usize)) else { continue };
            if known >= all.rows() {
                return Err(section.damaged("known", format_args!("names item {known} of {}", all.rows())));
            }
            pictures.row_mut(row).copy_from_slice(all.row(known));
        }
        Ok(Self {
            has_text: is_there(&embeddings),
            has_picture: is_there(&pictures),
            known,
            terms: section.csr("terms")?,
            embeddings,
            pictures,
            neighbours: section.csr("neighbours")?,
            by_component: RowsByComponent::default(),
        })
    }
}

/// The vectors of the pictures of items, and which of them have one.
fn pictures(of_history: Option<&Embeddings>, texts: &Texts<'_>) -> (Matrix, Vec<bool>) {
    match of_history.zip(texts.pictures) {
        Some((of_history, pictures)) => {
            let has_picture = pictures.has();
            (of_history.around_mean(pictures.rows(), &has_picture), has_picture)
        }
        None => {
            let columns = of_history.map_or(0, |of_history| of_history.rows.columns());
            (Matrix::zeros(texts.prices.len(), columns), vec![false; texts.prices.len()])
        }
    }
}

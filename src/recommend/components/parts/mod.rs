//! What several components read: fitted once for all of them.
//!
//! - [`tfidf`], [`tokens`]: texts as terms
//! - [`knn`]: the most similar texts
//! - [`mod@als`]: factors of users and items
//! - [`mod@ease`]: weights between items
//!
//! [`Parts`] holds what these give for the items with a history. What one component alone reads is fitted and kept by that
//! component.

pub mod als;
pub mod ease;
pub mod knn;
pub mod tfidf;
pub mod tokens;

use std::sync::Arc;

use arrow::array::StringArray;
use serde::{Deserialize, Serialize};

use self::als::{AlsSettings, FoldIn, als};
use self::ease::{EaseSettings, ItemItem, ease};
use self::tfidf::{TfIdf, TfIdfSettings};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::error;
use crate::recommend::storage::{Section, StoredSection};

/// How parts and components are fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Of the factors.
    pub als: AlsSettings,
    /// Of the item-item model.
    pub ease: EaseSettings,
    /// Of the words.
    pub words: TfIdfSettings,
    /// How many similar items an item is compared with.
    pub neighbours: usize,
    /// The weight of the squares in regressions from words.
    pub word_lambda: f32,
    /// The weight of the squares in regressions from embeddings.
    pub embedding_lambda: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            als: AlsSettings::default(),
            ease: EaseSettings::default(),
            words: TfIdfSettings::default(),
            neighbours: 50,
            word_lambda: 1.0,
            embedding_lambda: 5.0,
        }
    }
}

/// What the text of some items gives, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// The texts; empty where an item has none.
    pub texts: &'a StringArray,
    /// Their embeddings by the encoder as it was, of length one.
    pub embeddings: &'a Matrix,
    /// Their embeddings by the fine-tuned encoder, of length one, if there is one.
    pub tuned: Option<&'a Matrix>,
    /// The logarithms of their prices; NaN where none is known.
    pub prices: &'a [f32],
}

/// What is known of the items with a history.
#[derive(Debug, Clone)]
pub struct Parts {
    /// How all of it was fitted.
    pub settings: Settings,
    pub(crate) words: TfIdf,
    /// Items x terms.
    pub(crate) terms: Csr,
    /// The mean embedding.
    pub(crate) center: Vec<f32>,
    /// Items x dimensions, the mean taken off, of length one.
    pub(crate) embeddings: Matrix,
    /// Items x factors.
    pub(crate) item_factors: Arc<Matrix>,
    pub(crate) item_item: ItemItem,
    /// The logarithms of their prices; NaN where none is known.
    pub(crate) prices: Vec<f32>,
    /// The logarithm of their users of late, plus one.
    pub(crate) buyers: Vec<f32>,
}

/// What fitting parts leaves over beside them, for components that are fitted next.
#[derive(Debug, Clone)]
pub struct FittedParts {
    /// The parts.
    pub parts: Parts,
    /// Users x factors, of the snapshot's users.
    pub users: Matrix,
    /// For each item with a history 1, or 0 where it has no text: what has none teaches nothing about texts.
    pub has_text: Vec<f32>,
}

impl Parts {
    /// Fits them on what was known at `snapshot`; `texts` are those of the whole shop.
    ///
    /// # Errors
    /// It was stopped, or the data have no solution.
    pub fn fit(
        snapshot: &Snapshot,
        texts: &Texts<'_>,
        settings: &Settings,
        stop: Stop<'_>,
    ) -> Result<FittedParts, Error> {
        let own = |item: &u32| texts.texts.value(*item as usize);
        let own_texts = snapshot.items.iter().map(own).collect::<Vec<_>>();
        let words = TfIdf::fit(&own_texts, &settings.words, stop)?;
        let terms = words.transform(&own_texts);
        let embeddings = texts.embeddings.gather(&snapshot.items);
        let center = embeddings.mean();
        let factors = als(&snapshot.history, &settings.als, stop)?;
        let parts = Self {
            settings: settings.clone(),
            words,
            terms,
            embeddings: centred(embeddings, &center),
            center,
            item_factors: Arc::new(factors.items),
            item_item: ease(&snapshot.history, &settings.ease, stop)?,
            prices: snapshot.items.iter().map(|item| texts.prices[*item as usize]).collect(),
            buyers: snapshot.buyers.iter().map(|buyers| (*buyers as f32).ln_1p()).collect(),
        };
        let has_text = own_texts.iter().map(|text| if text.trim().is_empty() { 0.0 } else { 1.0 }).collect();
        Ok(FittedParts { parts, users: factors.users, has_text })
    }

    /// Number of items with a history.
    pub fn items(&self) -> usize {
        self.terms.rows()
    }

    /// The factors of users with these histories.
    pub(crate) fn fold_in(&self, histories: &Csr, stop: Stop<'_>) -> Result<Matrix, Cancelled> {
        FoldIn::new(Arc::clone(&self.item_factors), &self.settings.als).fold_in_all(histories, stop)
    }

    pub(crate) fn save(&self, section: &mut Section<'_>) -> error::Result<()> {
        section.value("settings", &self.settings)?;
        self.words.save(&mut section.section("tfidf"))?;
        section.csr("terms", &self.terms);
        section.floats("center", &self.center);
        section.matrix("embeddings", &self.embeddings);
        section.matrix("item_factors", &self.item_factors);
        self.item_item.save(&mut section.section("item_item"));
        section.floats("prices", &self.prices);
        section.floats("buyers", &self.buyers);
        Ok(())
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> error::Result<Self> {
        Ok(Self {
            settings: section.value("settings")?,
            words: TfIdf::load(&section.section("tfidf"))?,
            terms: section.csr("terms")?,
            center: section.floats("center")?,
            embeddings: section.matrix("embeddings")?,
            item_factors: Arc::new(section.matrix("item_factors")?),
            item_item: ItemItem::load(&section.section("item_item"))?,
            prices: section.floats("prices")?,
            buyers: section.floats("buyers")?,
        })
    }
}

/// Takes `center` off each row.
pub(crate) fn take_off(rows: &mut Matrix, center: &[f32]) {
    for row in rows.values_mut().chunks_exact_mut(center.len().max(1)) {
        row.iter_mut().zip(center).for_each(|(x, center)| *x -= center);
    }
}

/// The rows with `center` taken off, of length one.
pub(crate) fn centred(mut rows: Matrix, center: &[f32]) -> Matrix {
    take_off(&mut rows, center);
    rows.normalize_rows();
    rows
}

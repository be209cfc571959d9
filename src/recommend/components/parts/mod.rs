//! What several components read: fitted once for all of them.
//!
//! - [`tfidf`], [`tokens`]: texts as terms
//! - [`embeddings`]: texts and pictures as vectors
//! - [`knn`]: the most similar items
//! - [`mod@als`]: factors of users and items
//! - [`mod@ease`]: weights between items
//!
//! [`Parts`] holds what these give for the items with a history. What one component alone reads is fitted and kept by that
//! component.

pub mod als;
pub mod ease;
pub mod embeddings;
pub mod knn;
pub mod tfidf;
pub mod tokens;

use std::sync::Arc;

use arrow::array::StringArray;
use serde::{Deserialize, Serialize};

use self::als::{AlsSettings, FoldIn, als};
use self::ease::{EaseSettings, ItemItem, ease};
use self::embeddings::Embeddings;
pub(crate) use self::embeddings::take_off;
use self::tfidf::{TfIdf, TfIdfSettings};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::error;
use crate::recommend::storage::{Section, StoredSection};

/// The section of the embeddings of pictures.
const PICTURES: &str = "pictures";

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

/// What the texts and pictures of some items give, row by row.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// The texts; empty where an item has none.
    pub texts: &'a StringArray,
    /// Their embeddings by the encoder as it was, of length one.
    pub embeddings: &'a Matrix,
    /// Their embeddings by the fine-tuned encoder, of length one, if there is one.
    pub tuned: Option<&'a Matrix>,
    /// Their pictures; `None` where none has one.
    pub pictures: Option<&'a Pictures>,
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
    /// Of their texts.
    pub(crate) embeddings: Embeddings,
    /// Of their pictures; `None` where none has one.
    pub(crate) pictures: Option<Embeddings>,
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
    /// The same of pictures.
    pub has_picture: Vec<f32>,
}

impl Texts<'_> {
    /// For each item whether it has a text.
    pub(crate) fn has_text(&self) -> Vec<bool> {
        self.texts.iter().map(|text| !text.unwrap_or_default().trim().is_empty()).collect()
    }
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
        let own_texts = snapshot.items.iter().map(|item| texts.texts.value(*item as usize)).collect::<Vec<_>>();
        let words = TfIdf::fit(&own_texts, &settings.words, stop)?;
        let terms = words.transform(&own_texts);
        let all_have = texts.has_text();
        let has_text = snapshot.items.iter().map(|item| all_have[*item as usize]).collect::<Vec<_>>();
        let embeddings = Embeddings::fit(texts.embeddings.gather(&snapshot.items), &has_text);
        let pictures = texts.pictures.map(|pictures| pictures.gather(&snapshot.items));
        let has_picture = pictures.as_ref().map_or_else(|| vec![false; snapshot.items.len()], Pictures::has);
        let pictures = pictures.filter(|_| has_picture.contains(&true));
        let pictures = pictures.map(|pictures| Embeddings::fit(pictures.rows(), &has_picture));
        let factors = als(&snapshot.history, &settings.als, stop)?;
        let parts = Self {
            settings: settings.clone(),
            words,
            terms,
            embeddings,
            pictures,
            item_factors: Arc::new(factors.items),
            item_item: ease(&snapshot.history, &settings.ease, stop)?,
            prices: snapshot.items.iter().map(|item| texts.prices[*item as usize]).collect(),
            buyers: snapshot.buyers.iter().map(|buyers| (*buyers as f32).ln_1p()).collect(),
        };
        let weights = |has: Vec<bool>| has.into_iter().map(f32::from).collect();
        let (has_text, has_picture) = (weights(has_text), weights(has_picture));
        Ok(FittedParts { parts, users: factors.users, has_text, has_picture })
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
        self.embeddings.save(section);
        if let Some(pictures) = &self.pictures {
            pictures.save(&mut section.section(PICTURES));
        }
        section.matrix("item_factors", &self.item_factors);
        self.item_item.save(&mut section.section("item_item"));
        section.floats("prices", &self.prices);
        section.floats("buyers", &self.buyers);
        Ok(())
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> error::Result<Self> {
        let pictures = section.section(PICTURES);
        Ok(Self {
            settings: section.value("settings")?,
            words: TfIdf::load(&section.section("tfidf"))?,
            terms: section.csr("terms")?,
            embeddings: Embeddings::load(section)?,
            pictures: if Embeddings::is_in(&pictures) { Some(Embeddings::load(&pictures)?) } else { None },
            item_factors: Arc::new(section.matrix("item_factors")?),
            item_item: ItemItem::load(&section.section("item_item"))?,
            prices: section.floats("prices")?,
            buyers: section.floats("buyers")?,
        })
    }
}

//! The parts of a recommender: each says in its own way how well an item that nobody has bought yet fits a user.
//!
//! Takes a snapshot of a shop and the texts of its items; gives [`Components`], which turn texts into [`Candidates`] and
//! histories into [`UserRepresentations`]. `scores` multiplies the two. Fitted by `trainer`, once for each launch window that the blend
//! learns from and once for good; kept in a version by `store`.
//!
//! Collaborative structure enters by two ways, factors and item-item weights, and text carries both to new items: by
//! regression, or from the most similar items that have a history.

pub mod parts;
pub mod scores;

use crate::cancellation::{Cancelled, Stop};
use std::fmt::{self, Display};
use std::sync::Arc;

use arrow::array::StringArray;
use serde::{Deserialize, Serialize};

use self::parts::als::{AlsSettings, FoldIn, als};
use self::parts::ease::{EaseSettings, ItemItem, ease};
use self::parts::knn::{Features, Weights, nearest};
use self::parts::tfidf::{TfIdf, TfIdfSettings};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::{DenseRidge, Ridge};
use crate::linalg::sparse::Csr;
use crate::recommend::dataset::snapshot::Snapshot;

/// The weight of the squares in regressions from users' factors to their vectors in a tower.
pub(crate) const USER_LAMBDA: f32 = 1.0;

/// One way to score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// The cosine of the item's words and those of the user's items.
    WordProfile,
    /// The cosine of the item's embedding and the mean of the user's, the catalogue's mean taken off both.
    EmbeddingProfile,
    /// The user's items among those whose words are most like the item's.
    WordNeighbours,
    /// The user's items among those whose words and embeddings are most like the item's.
    Neighbours,
    /// The user's collaborative factors times those that the item's words predict.
    WordFactors,
    /// The same, predicted from the item's embedding by the encoder as it was.
    EmbeddingFactors,
    /// The item-item model's scores of the items that are most like the item.
    ItemItem,
    /// The user's vector times the item's by the encoder that was fine-tuned against the factors.
    FineTuned,
    /// How many buyers the item's words and price promise; the same for every user.
    Popularity,
    /// How near the item's price is to what the user pays.
    Price,
    /// The user's factors times the item's own; of items with a history only, like the next two.
    Factors,
    /// The item-item model's own score of the item.
    OwnItemItem,
    /// How many users took the item lately.
    Buyers,
}

impl Component {
    /// All of them, in the order of their scores.
    pub const ALL: [Self; 13] = [
        Self::WordProfile,
        Self::EmbeddingProfile,
        Self::WordNeighbours,
        Self::Neighbours,
        Self::WordFactors,
        Self::EmbeddingFactors,
        Self::ItemItem,
        Self::FineTuned,
        Self::Popularity,
        Self::Price,
        Self::Factors,
        Self::OwnItemItem,
        Self::Buyers,
    ];

    /// Those that new items are ranked by: all but the last three.
    pub const OF_NEW: &[Self] = Self::ALL.split_at(10).0;

    /// Those that items with a history are ranked by.
    pub const OF_KNOWN: [Self; 6] =
        [Self::Factors, Self::OwnItemItem, Self::Buyers, Self::Neighbours, Self::EmbeddingProfile, Self::Price];

    /// Its name in the file of a recommender.
    pub fn name(self) -> &'static str {
        match self {
            Self::WordProfile => "word_profile",
            Self::EmbeddingProfile => "embedding_profile",
            Self::WordNeighbours => "word_neighbours",
            Self::Neighbours => "neighbours",
            Self::WordFactors => "word_factors",
            Self::EmbeddingFactors => "embedding_factors",
            Self::ItemItem => "item_item",
            Self::FineTuned => "fine_tuned",
            Self::Popularity => "popularity",
            Self::Price => "price",
            Self::Factors => "factors",
            Self::OwnItemItem => "own_item_item",
            Self::Buyers => "buyers",
        }
    }

    /// The component of this name in the file of a recommender.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// Its place in [`Self::ALL`], which the columns of score normalization are in. Never written to disk.
    pub fn place(self) -> usize {
        self as usize
    }

    /// Whether it says what fits this user, and not what fits everybody.
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Popularity | Self::Price | Self::Buyers)
    }
}

impl Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WordProfile => "word_profile",
            Self::EmbeddingProfile => "embedding_profile",
            Self::WordNeighbours => "text_knn",
            Self::Neighbours => "hybrid_knn",
            Self::WordFactors => "word_factors",
            Self::EmbeddingFactors => "embedding_factors",
            Self::ItemItem => "item_item",
            Self::FineTuned => "fine_tuned",
            Self::Popularity => "content_popularity",
            Self::Price => "price",
            Self::Factors => "factors",
            Self::OwnItemItem => "own_item_item",
            Self::Buyers => "buyers",
        })
    }
}

/// How components are fitted.
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

/// A linear map from what the fine-tuned encoder gives to the users' vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Tower {
    /// What is taken off each embedding first.
    pub center: Vec<f32>,
    /// Dimensions x factors.
    pub projection: Matrix,
    /// From a user's collaborative factors to their vector, for users who were not trained with.
    pub users: DenseRidge,
}

/// The fitted parts.
#[derive(Debug, Clone)]
pub struct Components {
    pub(crate) settings: Settings,
    pub(crate) words: TfIdf,
    /// Items with a history x terms.
    pub(crate) terms: Csr,
    /// The mean embedding of items with a history.
    pub(crate) center: Vec<f32>,
    /// Items with a history x dimensions, the mean taken off, of length one.
    pub(crate) embeddings: Matrix,
    /// Items with a history x factors.
    pub(crate) item_factors: Arc<Matrix>,
    pub(crate) factors_of_words: Ridge,
    pub(crate) factors_of_embedding: DenseRidge,
    pub(crate) item_item: ItemItem,
    pub(crate) tower: Option<Tower>,
    /// Of words and price.
    pub(crate) popularity: Ridge,
    pub(crate) price_scale: PriceScale,
    /// Of items with a history; NaN where none is known.
    pub(crate) prices: Vec<f32>,
    /// Of items with a history: the logarithm of their users of late, plus one.
    pub(crate) buyers: Vec<f32>,
}

/// What is known of users.
#[derive(Debug, Clone)]
pub struct UserRepresentations {
    /// Users x items with a history.
    pub history: Csr,
    /// Users x factors.
    pub factors: Matrix,
    /// Users x dimensions, of length one.
    pub embeddings: Matrix,
    /// Users x factors of the tower, if there is one.
    pub tower: Option<Matrix>,
    /// The mean logarithm of what they paid; NaN where it is not known.
    pub prices: Vec<f32>,
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
    /// Similarities by words: items x items with a history.
    pub word_neighbours: Csr,
    /// Similarities by words and embeddings: items x items with a history.
    pub neighbours: Csr,
    /// The sums of the rows of `neighbours`.
    pub nearness: Vec<f32>,
    /// Items x factors, from words.
    pub word_factors: Matrix,
    /// Items x factors, from embeddings.
    pub embedding_factors: Matrix,
    /// Items x factors of the tower, if there is one.
    pub tower: Option<Matrix>,
    /// The logarithm of the buyers that are to be expected, plus one.
    pub popularity: Vec<f32>,
    /// The logarithms of their prices; NaN where none is known.
    pub prices: Vec<f32>,
}

/// What fitting leaves over beside the components.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The components, without a tower.
    pub components: Components,
    /// Users x factors, of the snapshot's users.
    pub users: Matrix,
}

impl Components {
    /// Fits everything but the tower on what was known at `snapshot`; `texts` are those of the whole shop. Cancelled if `stop`
    /// says so.
    pub fn fit(snapshot: &Snapshot, texts: &Texts<'_>, settings: &Settings, stop: Stop<'_>) -> Result<Fitted, Error> {
        let own = |item: &u32| texts.texts.value(*item as usize);
        let own_texts = snapshot.items.iter().map(own).collect::<Vec<_>>();
        let words = TfIdf::fit(&own_texts, &settings.words, stop)?;
        let terms = words.transform(&own_texts);
        let embeddings = texts.embeddings.gather(&snapshot.items);
        let center = embeddings.mean();
        let embeddings = centred(embeddings, &center);
        let prices = snapshot.items.iter().map(|item| texts.prices[*item as usize]).collect::<Vec<_>>();
        // What has no text teaches nothing about texts.
        let speaks = own_texts.iter().map(|text| if text.trim().is_empty() { 0.0 } else { 1.0 }).collect::<Vec<f32>>();

        let factors = als(&snapshot.history, &settings.als, stop)?;
        let factors_of_words = Ridge::fit(&terms, &factors.items, settings.word_lambda, Some(&speaks), stop)?;
        let factors_of_embedding =
            DenseRidge::fit(&embeddings, &factors.items, settings.embedding_lambda, Some(&speaks), stop)?;
        let item_item = ease(&snapshot.history, &settings.ease, stop)?;
        let price_scale = PriceScale::of(&prices);
        let buyers: Vec<f32> = snapshot.buyers.iter().map(|buyers| (*buyers as f32).ln_1p()).collect();
        let target = Matrix::new(snapshot.items.len(), 1, buyers.clone());
        let popularity =
            Ridge::fit(&price_scale.append(&terms, &prices), &target, settings.word_lambda, Some(&speaks), stop)?;
        let components = Self {
            settings: settings.clone(),
            words,
            terms,
            center,
            embeddings,
            item_factors: Arc::new(factors.items),
            factors_of_words,
            factors_of_embedding,
            item_item,
            tower: None,
            popularity,
            price_scale,
            prices,
            buyers,
        };
        Ok(Fitted { components, users: factors.users })
    }

    /// Puts a tower in, whose vectors of the users with these factors are `users`. Cancelled if `stop` says so.
    pub fn set_tower(
        &mut self,
        center: Vec<f32>,
        projection: Matrix,
        factors: &Matrix,
        users: &Matrix,
        stop: Stop<'_>,
    ) -> Result<(), Error> {
        let users = DenseRidge::fit(factors, users, USER_LAMBDA, None, stop)?;
        self.tower = Some(Tower { center, projection, users });
        Ok(())
    }

    /// Number of items with a history.
    pub fn items(&self) -> usize {
        self.terms.rows()
    }

    /// What is known of users with these histories (users x items with a history). `factors` and `tower` are theirs where
    /// they were trained with; they are derived otherwise.
    pub fn representations(&self, history: Csr, factors: Option<Matrix>, tower: Option<Matrix>) -> UserRepresentations {
        let factors = factors.unwrap_or_else(|| self.fold_in().fold_in_all(&history));
        let tower = self.tower.as_ref().map(|own| tower.unwrap_or_else(|| own.users.predict(&factors)));
        let mut embeddings = history.times(&self.embeddings);
        embeddings.normalize_rows();
        let price = |(items, _): (&[u32], &[f32])| {
            let known = items.iter().map(|item| self.prices[*item as usize]).filter(|price| !price.is_nan());
            let (sum, count) = known.fold((0.0, 0), |(sum, count), price| (sum + f64::from(price), count + 1));
            if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
        };
        let prices = history.iter().map(price).collect();
        UserRepresentations { history, factors, embeddings, tower, prices }
    }

    fn fold_in(&self) -> FoldIn<Arc<Matrix>> {
        FoldIn::new(Arc::clone(&self.item_factors), &self.settings.als)
    }

    /// What is known of items. `known` names for each its own number among the items with a history, if it is one; it is not
    /// among its own neighbours. Cancelled if `stop` says so.
    pub fn item_batch(
        &self,
        texts: &Texts<'_>,
        known: Vec<Option<u32>>,
        stop: Stop<'_>,
    ) -> Result<ItemBatch, Cancelled> {
        let all = texts.texts.iter().map(Option::unwrap_or_default).collect::<Vec<_>>();
        let terms = self.words.transform(&all);
        let without_text = (0..all.len()).filter(|item| all[*item].trim().is_empty()).collect::<Vec<_>>();
        let mut embeddings = centred(texts.embeddings.clone(), &self.center);
        // The embedding of nothing is somewhere, but means nothing.
        without_text.iter().for_each(|item| embeddings.row_mut(*item).fill(0.0));
        let here = Features { terms: &terms, embeddings: &embeddings };
        let there = Features { terms: &self.terms, embeddings: &self.embeddings };
        let near = |weights| nearest(here, there, weights, self.settings.neighbours, Some(&known), stop);
        let neighbours = near(Weights { terms: 1.0, embeddings: 1.0 })?;
        let word_neighbours = near(Weights { terms: 1.0, embeddings: 0.0 })?;
        let word_factors = self.factors_of_words.predict(&terms);
        let embedding_factors = self.factors_of_embedding.predict(&embeddings);
        let tower = self.tower.as_ref().zip(texts.tuned).map(|(tower, tuned)| {
            let mut off = tuned.clone();
            take_off(&mut off, &tower.center);
            without_text.iter().for_each(|item| off.row_mut(*item).fill(0.0));
            off.times(&tower.projection)
        });
        let popularity = self.popularity.predict(&self.price_scale.append(&terms, texts.prices));
        Ok(ItemBatch {
            nearness: neighbours.iter().map(|(_, values)| values.iter().sum()).collect(),
            popularity: popularity.values().to_vec(),
            prices: texts.prices.to_vec(),
            known,
            terms,
            embeddings,
            word_neighbours,
            neighbours,
            word_factors,
            embedding_factors,
            tower,
        })
    }
}

impl UserRepresentations {
    /// These users and then those.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            history: self.history.below(&other.history),
            factors: self.factors.below(&other.factors),
            embeddings: self.embeddings.below(&other.embeddings),
            tower: self.tower.as_ref().zip(other.tower.as_ref()).map(|(own, other)| own.below(other)),
            prices: [self.prices.as_slice(), &other.prices].concat(),
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
            embeddings: self.embeddings.gather(users),
            tower: self.tower.as_ref().map(|tower| tower.gather(users)),
            prices: users.iter().map(|user| self.prices[*user as usize]).collect(),
        }
    }
}

impl ItemBatch {
    /// These items, in this order.
    #[must_use]
    pub fn gather(&self, items: &[u32]) -> Self {
        let pick = |values: &[f32]| items.iter().map(|item| values[*item as usize]).collect::<Vec<_>>();
        Self {
            known: items.iter().map(|item| self.known[*item as usize]).collect(),
            terms: self.terms.gather(items),
            embeddings: self.embeddings.gather(items),
            word_neighbours: self.word_neighbours.gather(items),
            neighbours: self.neighbours.gather(items),
            nearness: pick(&self.nearness),
            word_factors: self.word_factors.gather(items),
            embedding_factors: self.embedding_factors.gather(items),
            tower: self.tower.as_ref().map(|tower| tower.gather(items)),
            popularity: pick(&self.popularity),
            prices: pick(&self.prices),
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
}

/// How prices become features: as far from the usual price as other items are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PriceScale {
    mean: f32,
    deviation: f32,
}

/// How much a price counts beside words, whose rows have length one.
const PRICE_SHARE: f32 = 0.3;

impl PriceScale {
    fn of(prices: &[f32]) -> Self {
        let known = || prices.iter().filter(|price| !price.is_nan()).map(|price| f64::from(*price));
        let count = known().count().max(1) as f64;
        let mean = known().sum::<f64>() / count;
        let variance = known().map(|price| (price - mean).powi(2)).sum::<f64>() / count;
        Self { mean: mean as f32, deviation: variance.sqrt() as f32 }
    }

    /// Terms with the price and its square behind them; nothing where it is not known.
    fn append(&self, terms: &Csr, prices: &[f32]) -> Csr {
        let width = terms.columns();
        let rows = terms.iter().zip(prices).map(|((columns, values), price)| {
            let off = (price - self.mean) / self.deviation;
            let known = off
                .is_finite()
                .then(|| [(width as u32, PRICE_SHARE * off), (width as u32 + 1, PRICE_SHARE * (off * off - 1.0))]);
            columns.iter().copied().zip(values.iter().copied()).chain(known.into_iter().flatten())
        });
        Csr::from_rows(width + 2, rows)
    }
}

/// Takes `center` off each row.
pub(crate) fn take_off(rows: &mut Matrix, center: &[f32]) {
    for row in rows.values_mut().chunks_exact_mut(center.len().max(1)) {
        row.iter_mut().zip(center).for_each(|(x, center)| *x -= center);
    }
}

/// The rows with `center` taken off, of length one.
fn centred(mut rows: Matrix, center: &[f32]) -> Matrix {
    take_off(&mut rows, center);
    rows.normalize_rows();
    rows
}

//! What a component is: one way to score users for items, with what it takes to fit, prepare, score and keep it.

use std::fmt::Debug;
use std::ops::Range;

use super::attribution::Attribution;
use super::batches::{ItemBatch, UserRepresentations};
use super::parts::{FittedParts, Parts, Texts};
use super::reads::Reads;
use super::rows::Rows;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg;
use crate::linalg::dense::{Matrix, product_into};
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// One way to score. A value of such a type is fitted.
///
/// To add one: a file with a type that implements this, and a line in the list in `mod.rs`. Weights, reports, `evaluate` and
/// the model's file follow.
pub(crate) trait Component: Debug + Sized + Send + Sync + 'static {
    /// Its name, for people and in files: its identity, which never changes.
    const NAME: &'static str;
    /// How it scores, for people.
    const ABOUT: &'static str;
    /// Whether it says what fits this user, and not what fits everybody.
    const IS_PERSONAL: bool = true;
    /// Whether what it promises comes true in one season and not in the next, for all users alike. A launch window is one
    /// observation of that, so its weight is drawn harder to where it begins.
    const IS_SEASONAL: bool = false;
    /// What of an item it goes by.
    const READS: Reads = Reads::Other;

    /// What it prepares of users: `()` where shared parts are enough.
    type Users: Rows;
    /// What it prepares of items.
    type Items: Rows;

    /// Fits it; `None` where there is nothing to fit it to, such as an encoder that was not tuned. What is fitted to the snapshot
    /// of each holdout window has to be fitted to all that is known, too: a blend cannot be kept without what it ranks by.
    ///
    /// # Errors
    /// It was stopped, or the data have no solution.
    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, linalg::Error>;

    /// Prepares users, once for all scores.
    fn users(&self, users: &UserInput<'_>) -> Self::Users;

    /// Prepares items, once for all scores.
    ///
    /// # Errors
    /// It was stopped.
    fn items(&self, items: &ItemInput<'_>, stop: Stop<'_>) -> Result<Self::Items, Cancelled>;

    /// The scores of `users` for `items` into `out`, row by row; there is at least one item. What knows nothing of a user or
    /// an item gives 0, or NaN where that would say something: of a price that is not known. Scores of items without what is
    /// read ([`Self::READS`]) are not looked at.
    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]);

    /// Adds to `out` how much of a user's scores for its items each item of the user's history makes, times a weight for each of
    /// these items. What says the same to every user has nothing to add.
    fn attribute(&self, _: &Scoring<'_, Self>, _user: usize, _weights: &[f32], _out: &mut Attribution<'_>) {}

    /// Keeps what was fitted.
    ///
    /// # Errors
    /// It cannot be written.
    fn save(&self, _section: &mut Section<'_>) -> Result<()> {
        Ok(())
    }

    /// What [`Self::save`] kept.
    ///
    /// # Errors
    /// It is not there, or damaged.
    fn load(section: &StoredSection<'_>) -> Result<Self>;
}

/// What components are fitted to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fitting<'a> {
    /// The parts, fitted, and what they left over.
    pub(crate) fitted: &'a FittedParts,
    /// The encoder that was fine-tuned against the factors, if one was.
    pub(crate) tuned: Option<&'a Tuned>,
}

/// What fine-tuning an encoder against the factors of a snapshot gives.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// What is taken off each embedding first.
    pub center: Vec<f32>,
    /// Dimensions x factors.
    pub projection: Matrix,
    /// Users x factors, of the snapshot's users.
    pub users: Matrix,
    /// The embeddings of all texts of the shop by the tuned encoder, of length one.
    pub embeddings: Matrix,
}

/// Users, as a component prepares them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserInput<'a> {
    pub(crate) parts: &'a Parts,
    /// Users x items with a history.
    pub(crate) history: &'a Csr,
    /// Users x factors.
    pub(crate) factors: &'a Matrix,
    /// Users x factors of the tuned encoder, of users it was tuned with.
    pub(crate) tuned: Option<&'a Matrix>,
}

/// Items, as a component prepares them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ItemInput<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) texts: &'a Texts<'a>,
    /// What several components read of them.
    pub(crate) items: &'a ItemBatch,
}

/// Both sides, as a component scores them.
#[derive(Debug)]
pub(crate) struct Scoring<'a, C: Component> {
    pub(crate) parts: &'a Parts,
    pub(crate) users: &'a UserRepresentations,
    pub(crate) items: &'a ItemBatch,
    /// What the component prepared of the users.
    pub(crate) own_users: &'a C::Users,
    /// What it prepared of the items.
    pub(crate) own_items: &'a C::Items,
}

/// Items of a batch: some that follow each other, or any.
#[derive(Debug, Clone)]
pub(crate) enum Selection<'a> {
    Range(Range<usize>),
    Numbers(&'a [u32]),
}

impl Selection<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// A score for each item into `out`.
    pub(crate) fn fill(&self, out: &mut [f32], score: impl Fn(usize) -> f32) {
        self.visit(out, |item, out| *out = score(item));
    }

    /// Each item with its place in `out`.
    pub(crate) fn visit(&self, out: &mut [f32], visit: impl Fn(usize, &mut f32)) {
        match self {
            Self::Range(range) => range.clone().zip(out).for_each(|(item, out)| visit(item, out)),
            Self::Numbers(numbers) => numbers.iter().zip(out).for_each(|(item, out)| visit(*item as usize, out)),
        }
    }
}

/// Each user with their row of `out`.
pub(crate) fn rows<'o>(
    users: Range<usize>,
    items: &Selection<'_>,
    out: &'o mut [f32],
) -> impl Iterator<Item = (usize, &'o mut [f32])> {
    users.zip(out.chunks_exact_mut(items.len().max(1)))
}

/// The scores of a component that multiplies the vectors of users and items.
pub(crate) fn products(
    users: &Matrix,
    items: &Matrix,
    chosen: Range<usize>,
    selection: &Selection<'_>,
    out: &mut [f32],
) {
    match selection {
        Selection::Range(range) => product_into(out, users.view(chosen), items.view(range.clone())),
        Selection::Numbers(_) => {
            for (user, out) in rows(chosen, selection, out) {
                let vector = users.row(user);
                selection.fill(out, |item| dot(vector, items.row(item)));
            }
        }
    }
}

/// The product of two vectors.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(x, y)| x * y).sum()
}

/// The product of a sparse row and a dense one.
pub(crate) fn sparse_dot((columns, values): (&[u32], &[f32]), dense: &[f32]) -> f32 {
    columns.iter().zip(values).map(|(column, value)| value * dense[*column as usize]).sum()
}

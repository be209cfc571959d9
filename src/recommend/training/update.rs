//! A recommender that goes on from the version in use: takes that version, a dataset with all that is known now and the moment up to
//! which the version knew it; gives a new recommender, and how it compares with the version in use.
//!
//! # What is fitted to what
//! Factors (ALS), item-item weights (EASE), words, neighbours, counts and ridge regressions have no state that a part of the data
//! could be added to: they are fitted anew, to all interactions. The encoder, its projection and the users' vectors go on from the
//! version in use, for the few epochs of a later snapshot. How much each component counts, what that makes of probabilities, and
//! the boost of new items are learned from whole launch windows, and stay as they are until a training without `since`.
//!
//! # How it is judged
//! What came since is halved by time. A recommender of all that was known before the second half and the version in use, which
//! knows less, rank the whole catalogue for the users of then; neither has seen what they took for the first time in the second half.
//! What is published is fitted to both halves.

use arrow::array::StringArray;

use super::comparison::Comparison;
use super::fit::{FitError, FittedSnapshot, Outcome, Plan, Tuner, fit_snapshot, recommender};
use super::validation::ValidationMetrics;
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::components::Texts;
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::error::{Error, utc};
use crate::recommend::evaluation::bootstrap::Resampling;
use crate::recommend::evaluation::metrics::Evaluator;
use crate::recommend::evaluation::per_user::PerUser;
use crate::recommend::inputs::users;
use crate::recommend::model::recommender::{Recommender, UserBatch};
use crate::recommend::model::validation::K;
use crate::recommend::ranking::BlockScores;
use crate::train::Stopped;
use crate::train::failure::failed;

/// The share of the pairs of users and items known to the version in use that have to be there again: with less, what it knew would
/// be forgotten without a word.
const LEAST_KNOWN: f64 = 0.5;

/// The version that is gone on from.
pub(crate) struct Before<'a> {
    /// `name@version`.
    pub(crate) reference: &'a str,
    /// What it is.
    pub(crate) recommender: &'a Recommender,
    /// The embeddings of all texts of the shop by its encoder, of length one.
    pub(crate) embeddings: &'a Matrix,
}

/// What came since, halved.
#[derive(Debug)]
pub(crate) struct Halves {
    /// What was known before the second half.
    pub(crate) first: Snapshot,
    /// What is known now.
    pub(crate) all: Snapshot,
    /// What the users of the first took for the first time in the second half: users x items of the shop.
    pub(crate) taken: Csr,
}

impl Halves {
    /// Halves what came since `reference` was trained.
    ///
    /// # Errors
    /// Nothing did, or what that version knew is not there.
    pub(crate) fn new(
        function: &'static str,
        dataset: &InteractionDataset,
        before: &Recommender,
        reference: &str,
    ) -> Result<Self, Error> {
        let wrong = |reason: String| Error::TooLittle { function, reason };
        if before.users.class() != dataset.users.class() || before.items.ids.class() != dataset.items.ids.class() {
            return Err(wrong(format!(
                "since => 'last': {reference}, in use, was trained with ids of another type; train without since"
            )));
        }
        let until = before.until;
        // Events come by time.
        let new = dataset.events.partition_point(|event| event.time < until);
        let (Some(first), Some(last)) = (dataset.events.get(new), dataset.events.last()) else {
            let newest = dataset.events.last().map_or(until, |event| event.time);
            return Err(wrong(format!(
                "since => 'last': there is nothing new: {reference}, in use, was trained on interactions up to {}, and the newest \
                 of the {} interactions is of {}",
                utc(until.saturating_sub(1)),
                dataset.events.len(),
                utc(newest)
            )));
        };
        let known = Snapshot::new(dataset, until, |_| true).history.stored();
        let had = before.representations.history.stored();
        if (known as f64) < LEAST_KNOWN * had as f64 {
            return Err(wrong(format!(
                "since => 'last' needs all interactions, not the new ones alone: {reference}, in use, knows {had} pairs of users \
                 and items, and those before {} have {known}. A recommender is fitted to all that it is given; to forget what is \
                 older, train without since",
                utc(until)
            )));
        }
        let middle = dataset.events[new + (dataset.events.len() - new) / 2].time;
        // What is of one time stays together.
        let cut =
            if middle > first.time { middle } else { first.time.saturating_add(1).min(last.time.saturating_add(1)) };
        let first = Snapshot::new(dataset, cut, |_| true);
        let all = Snapshot::new(dataset, last.time.saturating_add(1), |_| true);
        let mut rows = vec![Vec::new(); first.users.len()];
        for event in dataset.events.iter().filter(|event| event.time >= cut) {
            let Some(Ok(user)) = event.user.map(|user| first.users.binary_search(&user)) else { continue };
            let had = first.history.row(user).0;
            if !had.iter().any(|item| first.items[*item as usize] == event.item) {
                rows[user].push((event.item, 1.0));
            }
        }
        for row in &mut rows {
            row.sort_unstable_by_key(|(item, _)| *item);
            row.dedup_by_key(|(item, _)| *item);
        }
        Ok(Self { first, all, taken: Csr::from_rows(dataset.items.len(), rows) })
    }

    /// Users who took something in the second half.
    pub(crate) fn judges(&self) -> usize {
        self.taken.iter().filter(|(items, _)| !items.is_empty()).count()
    }

    /// What is judged, for people.
    pub(crate) fn title(&self) -> String {
        let (users, from, to) = (self.judges(), utc(self.first.now), utc(self.all.now.saturating_sub(1)));
        format!("what {users} users took for the first time from {from} to {to}")
    }
}

/// Fits the new recommender, and compares it. `embeddings` are those of the shop's texts by the encoder that no version has tuned.
///
/// # Errors
/// It was stopped, the data have no solution, or what the version in use ranks by cannot be fitted to them.
pub(crate) fn update(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    halves: Halves,
    before: &Before<'_>,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<Stopped>,
    stop: Stop<'_>,
) -> Result<(Outcome, Comparison), Stopped> {
    let title = halves.title();
    let Halves { first, all, taken } = halves;
    let mut fitted = |snapshot: Snapshot| -> Result<(Option<Matrix>, Recommender), Stopped> {
        let found = fit_snapshot(dataset, embeddings, &snapshot, plan, tuner, stop);
        let (tuned, fitted) = found.map_err(|error| match error {
            FitError::Fit(error) => error.into(),
            FitError::Tuner(stopped) => stopped,
        })?;
        can_rank(&fitted, before)?;
        let new = go_on(dataset, embeddings, snapshot, tuned.as_ref(), fitted, before.recommender, stop)?;
        Ok((tuned, new))
    };
    let had = Csr::from_rows(
        dataset.items.len(),
        first
            .history
            .iter()
            .map(|(items, _)| items.iter().map(|item| (first.items[*item as usize], 1.0)).collect::<Vec<_>>()),
    );
    let users = first.users.clone();
    let (tuned, then) = fitted(first)?;
    let judged = Judged { dataset, embeddings, users: &users, had: &had, taken: &taken, seed: plan.seed };
    let ours = judged.measure(&then, tuned.as_ref(), &then.everybody(), stop)?;
    drop(then);
    let old = before.recommender;
    let known = users.iter().map(|user| old.users.find(dataset.users.get(*user as usize))).collect::<Vec<_>>();
    // Who came after its training is the population to it, as in `recommend`.
    let nothing = Csr::from_rows(old.known.len(), known.iter().map(|_| Vec::new()));
    let user_batch = users::user_batch(old, &known, &nothing, stop)?;
    let theirs = judged.measure(old, Some(before.embeddings), &user_batch, stop)?;
    let resampling = Resampling { seed: plan.seed, ..Resampling::default() };
    let difference = resampling.means(&ours.less(&theirs), stop)?.into_iter().next().flatten();
    let mean = |table: &PerUser| table.means().first().copied().flatten();
    let comparison = match (mean(&ours), mean(&theirs), difference) {
        (Some(ours), Some(theirs), Some(difference)) => {
            let interval = difference.interval;
            let words = match interval {
                Some((low, high)) => format!("; it is better by {low:.4} to {high:.4} (95% interval)"),
                None => "; too few users for an interval".to_owned(),
            };
            let incumbent = before.reference;
            Comparison {
                theirs: Some(theirs),
                better: interval.is_some_and(|(low, _)| low > 0.0),
                words: format!(
                    "on {title} its recall@{K} is {ours:.4}, and that of {incumbent}, in use, {theirs:.4}{words}"
                ),
            }
        }
        _ => Comparison { theirs: None, better: false, words: format!("not compared: {title}") },
    };
    let recall = mean(&ours).unwrap_or(f64::NAN);
    let ndcg = ours.means().get(1).copied().flatten().unwrap_or(f64::NAN);
    let (_, recommender) = fitted(all)?;
    let validation = vec![ValidationMetrics { name: "blend".into(), recall, ndcg }];
    let notes = vec![format!("goes on from {}, whose weights and boost it keeps", before.reference)];
    Ok((Outcome { recommender, validation, launches: None, notes }, comparison))
}

/// A fitted snapshot as a recommender with the weights, probabilities and boost of `before`.
fn go_on(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    snapshot: Snapshot,
    tuned: Option<&Matrix>,
    fitted: FittedSnapshot,
    before: &Recommender,
    stop: Stop<'_>,
) -> Result<Recommender, Cancelled> {
    let until = snapshot.now;
    let new =
        recommender(dataset, embeddings, snapshot, tuned, fitted, (before.new.clone(), before.old.clone()), stop)?;
    let (boost, boosts) = (before.boost, before.boosts.clone());
    Ok(Recommender { boost, boosts, until, past_launches: before.past_launches.clone(), ..new })
}

/// Fails where there is nothing to fit a component to that the version in use ranks by.
fn can_rank(fitted: &FittedSnapshot, before: &Before<'_>) -> Result<(), Stopped> {
    let Recommender { new, old, .. } = before.recommender;
    let missing = new.components.iter().chain(&old.components).find(|one| !fitted.components.has(one));
    let Some(missing) = missing else { return Ok(()) };
    let reason = format!("{} ranks by {missing}, to which these data have nothing to be fitted", before.reference);
    Err(failed(Error::NotKept { reason: format!("since => 'last': {reason}; train without since") }).into())
}

/// What recommenders are judged by.
struct Judged<'a> {
    dataset: &'a InteractionDataset,
    embeddings: &'a Matrix,
    /// By number in the shop.
    users: &'a [u32],
    /// Users x items of the shop: what they had before.
    had: &'a Csr,
    /// The same: what they took then.
    taken: &'a Csr,
    seed: u64,
}

impl Judged<'_> {
    /// Recall and NDCG of each user's first [`K`] of the whole catalogue. `tuned` are embeddings by the recommender's own encoder.
    fn measure(
        &self,
        recommender: &Recommender,
        tuned: Option<&Matrix>,
        user_batch: &UserBatch<'_>,
        stop: Stop<'_>,
    ) -> Result<PerUser, Cancelled> {
        let items = &self.dataset.items;
        let has_picture = items.pictures.as_ref().map_or_else(|| vec![false; items.len()], Pictures::has);
        let (mut known, mut columns, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (item, has_picture) in has_picture.into_iter().enumerate() {
            let number = recommender.items.ids.find(items.ids.get(item));
            match number.and_then(|number| recommender.place(number)) {
                Some(place) => {
                    known.push(place);
                    columns.push(item);
                }
                None if items.has_no_text(item) && !has_picture => {}
                None => others.push(item as u32),
            }
        }
        columns.extend(others.iter().map(|item| *item as usize));
        let texts = others.iter().map(|item| Some(items.texts.value(*item as usize))).collect::<StringArray>();
        let (embeddings, tuned) = (self.embeddings.gather(&others), tuned.map(|tuned| tuned.gather(&others)));
        let prices = others.iter().map(|item| items.prices[*item as usize]).collect::<Vec<_>>();
        let pictures = items.pictures.as_ref().map(|pictures| pictures.gather(&others));
        let texts = Texts {
            texts: &texts,
            embeddings: &embeddings,
            tuned: tuned.as_ref(),
            pictures: pictures.as_ref(),
            prices: &prices,
        };
        let candidates = recommender.candidates(&known, &texts, stop)?;
        let logits = recommender.logits(user_batch, &candidates, recommender.boost);
        let mut evaluator = Evaluator::new(&[K], self.seed);
        let width = evaluator.columns().len();
        let mut table = PerUser::new(width);
        let mut scores = vec![0.0; columns.len()];
        let (mut row, mut values) = (vec![f32::NAN; items.len()], vec![f64::NAN; width]);
        for user in 0..self.users.len() {
            let taken = self.taken.row(user).0;
            if taken.is_empty() {
                continue;
            }
            check(stop)?;
            logits.scores_into(user..user + 1, 0..scores.len(), &mut scores);
            columns.iter().zip(&scores).for_each(|(column, score)| row[*column] = *score);
            // One number for a user in every table.
            evaluator.rank(u64::from(self.users[user]), &row, self.had.row(user).0);
            evaluator.measure(taken, &[], &mut values);
            table.push(self.users[user], &values);
        }
        Ok(table)
    }
}

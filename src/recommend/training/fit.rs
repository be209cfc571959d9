//! Fitting a recommender: takes a dataset and the embeddings of its texts, gives everything that scoring needs.
//!
//! # How it goes
//! ```text
//! dataset -> holdout windows (past launch windows) -> components as they were then -> weights, probabilities, boost
//!         -> all that is known now                -> components                   -> the recommender
//! ```
//! What a past launch teaches is learned from components that had not seen it. The encoder is brought by `calls::train`.

use super::validation::{Launches, ValidationMetrics, validate};
use super::{boost, launches};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::random::Random;
use crate::recommend::components::normalization::ScoreNormalization;
use crate::recommend::components::scores::{ComponentScores, Pairs};
use crate::recommend::components::{
    ComponentList, Components, FittedParts, ItemBatch, Listed, Parts, Settings, Texts, Tuned, UserRepresentations,
    take_off,
};
use crate::recommend::dataset::holdout::HoldoutWindow;
use crate::recommend::dataset::interactions::{InteractionDataset, Items};
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::model::blend::{ActivityFeatures, Blend, TrainingExamples};
use crate::recommend::model::logits::Logits;
use crate::recommend::model::recommender::Recommender;

/// Items that the score normalization of every user is taken over, at most.
const REFERENCE: usize = 400;
/// The stream of random numbers that they are drawn from.
const STREAM: u64 = 0x7265_6665;

/// Fine-tunes an encoder. For each holdout window, the oldest first, and then with all that is known.
pub trait Tuner<E> {
    /// Tunes against the factors of `fitted`; `None` where there is nothing to be tuned. `embeddings` are those of all texts
    /// of the shop by the encoder as it was, of length one.
    ///
    /// # Errors
    /// It failed, or was stopped.
    fn tune(&mut self, embeddings: &Matrix, snapshot: &Snapshot, fitted: &FittedParts) -> Result<Option<Tuned>, E>;
}

/// How a recommender is fitted.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// What it is made of.
    pub components: ComponentList,
    /// Of the components.
    pub settings: Settings,
    /// What past launches teach, the oldest first.
    pub windows: &'a [HoldoutWindow],
    /// Of everything that is drawn.
    pub seed: u64,
}

/// A fitted recommender, and how good it was when looked at from the past.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The recommender.
    pub recommender: Recommender,
    /// Of the blend first, then of each component, at the last holdout window.
    pub validation: Vec<ValidationMetrics>,
    /// What they are of, if there are any.
    pub launches: Option<Launches>,
    /// What was learned from, for people.
    pub notes: Vec<String>,
}

/// Why fitting ended early.
#[derive(Debug)]
pub enum FitError<E> {
    /// It was stopped, or the data have no solution.
    Fit(linalg::Error),
    /// Tuning failed.
    Tuner(E),
}

impl<E> From<linalg::Error> for FitError<E> {
    fn from(error: linalg::Error) -> Self {
        Self::Fit(error)
    }
}

impl<E> From<Cancelled> for FitError<E> {
    fn from(cancelled: Cancelled) -> Self {
        Self::Fit(cancelled.into())
    }
}

/// A moment's parts, fitted.
pub(super) struct FittedSnapshot {
    pub(super) components: Components,
    representations: UserRepresentations,
    activity: ActivityFeatures,
    normalization: ScoreNormalization,
    reference: ItemBatch,
}

/// A holdout window with what was known then.
struct FittedWindow<'a> {
    window: &'a HoldoutWindow,
    fitted: FittedSnapshot,
    launches: ItemBatch,
    known: Option<ItemBatch>,
}

impl FittedWindow<'_> {
    fn examples(&self) -> TrainingExamples<'_> {
        let FittedSnapshot { components, representations, activity, normalization, .. } = &self.fitted;
        let pairs = Pairs { components, representations, item_batch: &self.launches };
        TrainingExamples { pairs, normalization, activity, taken: &self.window.taken, had: None }
    }

    fn examples_of_known(&self) -> Option<TrainingExamples<'_>> {
        let FittedSnapshot { components, representations, activity, normalization, .. } = &self.fitted;
        let (item_batch, taken) = (self.known.as_ref()?, self.window.taken_of_known.as_ref()?);
        let had = Some(&self.window.snapshot.history);
        Some(TrainingExamples {
            pairs: Pairs { components, representations, item_batch },
            normalization,
            activity,
            taken,
            had,
        })
    }
}

/// Fits a recommender. `embeddings` are those of the shop's texts by the encoder as it was, of length one.
///
/// # Errors
/// It was stopped, the data have no solution, or the tuner failed.
pub fn fit<E>(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<Outcome, FitError<E>> {
    let windows = plan.windows;
    let mut fitted_windows = Vec::with_capacity(windows.len());
    for window in windows {
        fitted_windows.push(fit_window(dataset, embeddings, window, plan, tuner, stop)?);
    }
    let examples_by_window = fitted_windows.iter().map(FittedWindow::examples).collect::<Vec<_>>();
    let known_examples_by_window =
        fitted_windows.iter().filter_map(FittedWindow::examples_of_known).collect::<Vec<_>>();
    let in_all_windows = |components: &[Listed]| -> Vec<Listed> {
        let fitted = |one: &Listed| fitted_windows.iter().all(|window| window.fitted.components.has(one));
        components.iter().copied().filter(fitted).collect()
    };
    let of_new = in_all_windows(plan.components.new_items());
    let of_known = in_all_windows(plan.components.known_items());
    let learn = |examples: &[TrainingExamples<'_>], components: &[Listed]| match examples {
        [] => Ok(None),
        all => Blend::fit(all, components, plan.seed, stop).map(Some),
    };
    let new = learn(&examples_by_window, &of_new)?;
    let now = dataset.events.last().map_or(0, |event| event.time.saturating_add(1));
    let snapshot = Snapshot::new(dataset, now, |_| true);
    let known = learn(&known_examples_by_window, &of_known)?;
    let past_launches = match &new {
        Some(blend) => {
            let windows = windows.iter().zip(examples_by_window.iter().copied()).collect::<Vec<_>>();
            launches::past_launches(dataset, &windows, blend, plan.seed, stop)?
        }
        None => None,
    };
    // What the last window is judged by: it has taught the blends of the model itself.
    let before_last = |all: &[TrainingExamples<'_>]| all.len().saturating_sub(1);
    let earlier_new = learn(&examples_by_window[..before_last(&examples_by_window)], &of_new)?;
    let earlier_known = learn(&known_examples_by_window[..before_last(&known_examples_by_window)], &of_known)?;
    let last = windows.last().zip(examples_by_window.last());
    let (validation, launches) = match last {
        None => (Vec::new(), None),
        Some((window, examples)) => {
            let (validation, taken) = validate_last(examples, earlier_new.as_ref(), &of_new, plan.seed, stop)?;
            let (items, users) = (window.launches.clone(), window.snapshot.users.clone());
            (validation, Some(Launches { items, users, taken, seed: plan.seed }))
        }
    };
    let held_out = windows.last().zip(launches.as_ref()).zip(validation.first());
    let held_out = held_out.map(|((window, launches), blend)| launches.record(dataset, window, blend.recall));
    let launches_and_blend = examples_by_window.last().zip(earlier_new.as_ref().or(new.as_ref()));
    let known_and_blend = known_examples_by_window.last().zip(earlier_known.as_ref().or(known.as_ref()));
    let boost = match launches_and_blend.zip(known_and_blend) {
        Some(((launches, new), (known_examples, known))) => {
            boost::choose(*launches, new, *known_examples, known, plan.seed, stop)?
        }
        None => boost::Choice::none(),
    };
    let mut notes = windows
        .iter()
        .map(|window| format!("learned from {} items {}", window.launches.len(), window.title))
        .collect::<Vec<_>>();
    if windows.is_empty() {
        notes.push("too few launches to learn from: every component counts the same".into());
    }
    drop(examples_by_window);
    drop(known_examples_by_window);
    drop(fitted_windows);

    let (tuned_texts, fitted) = fit_snapshot(dataset, embeddings, &snapshot, plan, tuner, stop)?;
    // Where nothing could be learned every component that there is counts.
    let components = &fitted.components;
    let present =
        |listed: &[Listed]| -> Vec<Listed> { listed.iter().copied().filter(|one| components.has(one)).collect() };
    let new = new.unwrap_or_else(|| Blend::untrained(&present(plan.components.new_items()), 1, 100));
    let known = known.unwrap_or_else(|| {
        let pairs = snapshot.users.len() * snapshot.items.len();
        Blend::untrained(&present(plan.components.known_items()), snapshot.history.stored(), pairs)
    });
    let recommender = recommender(dataset, embeddings, snapshot, tuned_texts.as_ref(), fitted, (new, known), stop)?;
    let (boost, boosts) = (boost.boost, boost.curve);
    let recommender = Recommender { boost, boosts, held_out, past_launches, ..recommender };
    Ok(Outcome { recommender, validation, launches, notes })
}

/// A fitted snapshot as a recommender that ranks by these blends: of new items, and of those with a history. Without a boost.
pub(super) fn recommender(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    snapshot: Snapshot,
    tuned: Option<&Matrix>,
    fitted: FittedSnapshot,
    (new, old): (Blend, Blend),
    stop: Stop<'_>,
) -> Result<Recommender, Cancelled> {
    let texts = texts(dataset, embeddings, tuned);
    let catalogue = item_batch_of(&fitted.components, &texts, &snapshot.items, &snapshot.items, stop)?;
    // Those of items with a history are with the components.
    let pictures = dataset.items.pictures.as_ref().map(|pictures| pictures.without(&snapshot.items));
    let FittedSnapshot { components, representations, activity, normalization, reference } = fitted;
    let mut profiles = tuned.unwrap_or(embeddings).gather(&snapshot.items);
    let middle = profiles.mean();
    take_off(&mut profiles, &middle);
    profiles.normalize_rows();
    Ok(Recommender {
        users: dataset.users.gather(&snapshot.users),
        items: Items { pictures, ..dataset.items.clone() },
        sold: snapshot.sold,
        known: snapshot.items,
        components,
        representations,
        activity,
        normalization,
        reference,
        catalogue,
        profiles,
        new,
        old,
        boost: 1.0,
        boosts: Vec::new(),
        until: snapshot.now,
        recent_buyers: snapshot.buyers,
        past_launches: None,
        held_out: None,
    })
}

fn texts<'a>(dataset: &'a InteractionDataset, embeddings: &'a Matrix, tuned: Option<&'a Matrix>) -> Texts<'a> {
    let Items { texts, prices, pictures, .. } = &dataset.items;
    Texts { texts, embeddings, tuned, pictures: pictures.as_ref(), prices }
}

/// The parts as they were at a snapshot, and the texts' embeddings by the encoder that was tuned then.
pub(super) fn fit_snapshot<E>(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    snapshot: &Snapshot,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<(Option<Matrix>, FittedSnapshot), FitError<E>> {
    let plain = texts(dataset, embeddings, None);
    let parts = Parts::fit(snapshot, &plain, &plan.settings, stop)?;
    let tuned = tuner.tune(embeddings, snapshot, &parts).map_err(FitError::Tuner)?;
    let factors = parts.users.clone();
    let components = Components::fit(&plan.components, parts, tuned.as_ref(), stop)?;
    let tuned_users = tuned.as_ref().map(|tuned| &tuned.users);
    let representations = components.representations(snapshot.history.clone(), Some(factors), tuned_users, stop)?;
    let tuned_texts = tuned.map(|tuned| tuned.embeddings);
    let mut random = Random::new(plan.seed, STREAM);
    let mut drawn = snapshot.items.clone();
    random.shuffle(&mut drawn);
    drawn.truncate(REFERENCE);
    drawn.sort_unstable();
    let all = texts(dataset, embeddings, tuned_texts.as_ref());
    let reference = item_batch_of(&components, &all, &drawn, &snapshot.items, stop)?;
    let pairs = Pairs { components: &components, representations: &representations, item_batch: &reference };
    let normalization = ScoreNormalization::of(&pairs, stop)?;
    let activity = ActivityFeatures::of(snapshot);
    Ok((tuned_texts, FittedSnapshot { components, representations, activity, normalization, reference }))
}

fn fit_window<'a, E>(
    dataset: &InteractionDataset,
    embeddings: &Matrix,
    window: &'a HoldoutWindow,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<FittedWindow<'a>, FitError<E>> {
    let snapshot = &window.snapshot;
    let (tuned, fitted) = fit_snapshot(dataset, embeddings, snapshot, plan, tuner, stop)?;
    let texts = texts(dataset, embeddings, tuned.as_ref());
    let of = |items: &[u32]| item_batch_of(&fitted.components, &texts, items, &snapshot.items, stop);
    let launches = of(&window.launches)?;
    let known = if window.taken_of_known.is_some() { Some(of(&snapshot.items)?) } else { None };
    Ok(FittedWindow { window, fitted, launches, known })
}

/// These items of the shop as candidates; `known` are those with a history.
fn item_batch_of(
    components: &Components,
    texts: &Texts<'_>,
    items: &[u32],
    known: &[u32],
    stop: Stop<'_>,
) -> Result<ItemBatch, Cancelled> {
    let own = items.iter().map(|item| Some(texts.texts.value(*item as usize)));
    let own = own.collect::<arrow::array::StringArray>();
    let embeddings = texts.embeddings.gather(items);
    let tuned = texts.tuned.map(|tuned| tuned.gather(items));
    let prices = items.iter().map(|item| texts.prices[*item as usize]).collect::<Vec<_>>();
    let place = |item: &u32| known.binary_search(item).ok().map(|place| place as u32);
    let pictures = texts.pictures.map(|pictures| pictures.gather(items));
    let texts = Texts {
        texts: &own,
        embeddings: &embeddings,
        tuned: tuned.as_ref(),
        pictures: pictures.as_ref(),
        prices: &prices,
    };
    components.item_batch(&texts, items.iter().map(place).collect(), stop)
}

/// How well the launches of the last window are ranked by `earlier`, which was fitted to the windows before it, and by each
/// component alone. Without `earlier`, by a blend that is fitted to one half of the window's users, for the other half. Gives
/// what was taken of those that are judged too.
fn validate_last(
    last: &TrainingExamples<'_>,
    earlier: Option<&Blend>,
    components: &[Listed],
    seed: u64,
    stop: Stop<'_>,
) -> Result<(Vec<ValidationMetrics>, Csr), Cancelled> {
    let half = |odd: usize| {
        let rows = last.taken.iter().enumerate().map(|(user, (items, _))| {
            let items = if user % 2 == odd { items } else { &[] };
            items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>()
        });
        Csr::from_rows(last.taken.columns(), rows)
    };
    let half_fitted;
    let (blend, taken) = match earlier {
        Some(blend) => (blend, last.taken.clone()),
        None => {
            half_fitted = Blend::fit(&[TrainingExamples { taken: &half(0), ..*last }], components, seed, stop)?;
            (&half_fitted, half(1))
        }
    };
    let TrainingExamples { pairs, normalization, activity, .. } = *last;
    let blend = Logits { pairs, normalization, activity, blend };
    let mut validation = vec![validate("blend".into(), &blend, &taken, seed, stop)?];
    for component in components {
        validation.push(validate(
            component.to_string(),
            &ComponentScores { pairs, component: *component },
            &taken,
            seed,
            stop,
        )?);
    }
    Ok((validation, taken))
}

//! From components to a rank and a probability: takes holdout windows, learns how much each component counts; gives logits.
//!
//! The weights are learned and never set: which component is best changes from season to season and from shop to shop. They are a
//! conditional logit over what users chose among the launches of a window, drawn towards all personal components counting the
//! same, so that little data does little harm. The probability is a logistic regression on top, on the blended score and on
//! how active the user is: who buys much buys more of anything.

use std::ops::Range;

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::Matrix;
use crate::linalg::logistic::{ConditionalLogit, Logistic, Penalty};
use crate::linalg::sparse::Csr;
use crate::random::Random;
use crate::recommend::components::Listed;
use crate::recommend::components::normalization::ScoreNormalization;
use crate::recommend::components::scores::Pairs;
use crate::recommend::dataset::snapshot::Snapshot;

/// The weight of the squares of how far weights are from where they are drawn to, for each user who chose.
const WEIGHT_PENALTY: f64 = 0.1;
/// The same of weights whose worth changes from window to window, with one window to learn from.
const SEASONAL_PENALTY: f64 = 4.0;
/// What all personal components together count before anything is learned.
const PERSONAL: f64 = 0.6;
/// Users of a holdout window whose choices the weights are learned from, at most.
const MOST_USERS: usize = 1500;
/// Items that each of them did not choose, at most.
const MOST_NEGATIVES: usize = 400;
/// Pairs of a holdout window that the probability is fitted to, at most.
const PAIRS: usize = 400_000;
/// Streams of random numbers.
const CHOICE_STREAM: u64 = 0x7261_6e6b;
const PAIR_STREAM: u64 = 0x7061_6972;
/// What is known of a user beside their representation: [`ActivityFeatures`].
const ACTIVITY: usize = 3;

/// What a user does at all, whatever they like: users x (how many items they have, days since the last one, how many of late),
/// each as the logarithm of one more.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityFeatures(pub Matrix);

impl ActivityFeatures {
    /// Of a snapshot's users.
    pub fn of(snapshot: &Snapshot) -> Self {
        let counts = snapshot.history.iter().map(|(items, _)| items.len() as f32);
        let rows = counts.zip(&snapshot.idle).zip(&snapshot.recent);
        let values = rows.flat_map(|((count, idle), recent)| [count.ln_1p(), idle.ln_1p(), (*recent as f32).ln_1p()]);
        Self(Matrix::new(snapshot.users.len(), ACTIVITY, values.collect()))
    }
}

/// How much each component counts, and what a blended score means.
#[derive(Debug, Clone, PartialEq)]
pub struct Blend {
    /// The components.
    pub components: Vec<Listed>,
    /// A weight for each.
    pub weights: Vec<f32>,
    /// From the blended score and the user's activity features to a logit.
    pub probability: Logistic,
}

/// A holdout window's users and items, ready to be learned from.
#[derive(Debug, Clone, Copy)]
pub struct TrainingExamples<'a> {
    /// Users and items.
    pub pairs: Pairs<'a>,
    /// The users' score normalization.
    pub normalization: &'a ScoreNormalization,
    /// What the users do at all.
    pub activity: &'a ActivityFeatures,
    /// What they took: users x items.
    pub taken: &'a Csr,
    /// What they had before, which cannot be taken again: users x items.
    pub had: Option<&'a Csr>,
}

impl TrainingExamples<'_> {
    fn had(&self, user: usize, item: u32) -> bool {
        self.had.is_some_and(|had| had.row(user).0.binary_search(&item).is_ok())
    }

    /// Items that a user did not take and could have: all, or so many, drawn. And how many each one stands for.
    fn others(&self, user: usize, most: usize, random: &mut Random) -> (Vec<u32>, f64) {
        let items = self.pairs.item_batch.len();
        let chosen = self.taken.row(user).0;
        let is_other = |item: &u32| chosen.binary_search(item).is_err() && !self.had(user, *item);
        if items <= most + chosen.len() {
            return ((0..items as u32).filter(is_other).collect(), 1.0);
        }
        let mut drawn: Vec<u32> = (0..most).map(|_| random.below(items) as u32).filter(is_other).collect();
        drawn.sort_unstable();
        drawn.dedup();
        let had = self.had.map_or(0, |had| had.row(user).0.len());
        let all = items.saturating_sub(chosen.len() + had);
        let stands_for = all as f64 / drawn.len().max(1) as f64;
        (drawn, stands_for)
    }

    /// The components' scores of a user for items, each as far from the user's usual score as score normalization are from each other,
    /// item by item behind `rows`.
    fn features(&self, components: &[Listed], user: usize, items: &[u32], rows: &mut Vec<f64>) {
        let start = rows.len();
        rows.resize(start + items.len() * components.len(), 0.0);
        let mut scores = vec![0.0; items.len()];
        for (place, component) in components.iter().enumerate() {
            self.pairs.scores_of(*component, user, items, &mut scores);
            let (mean, scale) = self.normalization.row(user, *component);
            for (row, score) in rows[start..].chunks_exact_mut(components.len()).zip(&scores) {
                row[place] = f64::from(known(scale * (score - mean)));
            }
        }
    }
}

impl Blend {
    /// Learns from these classes how much each of `components` counts, and what that makes of probabilities.
    pub fn fit(
        examples_by_window: &[TrainingExamples<'_>],
        components: &[Listed],
        seed: u64,
        stop: Stop<'_>,
    ) -> Result<Self, Cancelled> {
        let weights = Self::weigh(examples_by_window, components, seed, stop)?;
        let mut blend = Self {
            components: components.to_vec(),
            weights,
            probability: Logistic { intercept: 0.0, coefficients: vec![1.0] },
        };
        blend.probability = blend.calibrate(examples_by_window, seed, stop)?;
        Ok(blend)
    }

    /// What counts where nothing could be learned: every component the same, and of `pairs` that could be taken `taken` were.
    pub fn untrained(components: &[Listed], taken: usize, pairs: usize) -> Self {
        let weights = prior(components).into_iter().map(|weight| weight as f32).collect();
        let rate = (taken.max(1) as f64 / pairs.max(2) as f64).min(0.5);
        let mut coefficients = vec![0.0; 1 + ACTIVITY];
        coefficients[0] = 1.0;
        Self {
            components: components.to_vec(),
            weights,
            probability: Logistic { intercept: (rate / (1.0 - rate)).ln(), coefficients },
        }
    }

    fn weigh(
        examples_by_window: &[TrainingExamples<'_>],
        components: &[Listed],
        seed: u64,
        stop: Stop<'_>,
    ) -> Result<Vec<f32>, Cancelled> {
        let (mut rows, mut chosen, mut groups) = (Vec::new(), Vec::new(), Vec::<Range<usize>>::new());
        for (window, examples) in examples_by_window.iter().enumerate() {
            let mut random = Random::new(seed, CHOICE_STREAM + window as u64);
            let mut users =
                (0..examples.taken.rows()).filter(|user| !examples.taken.row(*user).0.is_empty()).collect::<Vec<_>>();
            random.shuffle(&mut users);
            users.truncate(MOST_USERS);
            for user in users {
                let begin = chosen.len();
                let own = examples.taken.row(user).0;
                examples.features(components, user, own, &mut rows);
                chosen.resize(chosen.len() + own.len(), true);
                let (others, _) = examples.others(user, MOST_NEGATIVES, &mut random);
                examples.features(components, user, &others, &mut rows);
                chosen.resize(chosen.len() + others.len(), false);
                groups.push(begin..chosen.len());
            }
            check(stop)?;
        }
        let penalty = Penalty {
            lambda: components
                .iter()
                .map(|one| penalty(*one, examples_by_window.len()) * groups.len() as f64)
                .collect(),
            towards: prior(components),
            nonnegative: vec![true; components.len()],
        };
        let fitted = ConditionalLogit::fit(&rows, components.len(), &groups, &chosen, None, &penalty, stop)?;
        Ok(fitted.coefficients.into_iter().map(|weight| weight as f32).collect())
    }

    fn calibrate(
        &self,
        examples_by_window: &[TrainingExamples<'_>],
        seed: u64,
        stop: Stop<'_>,
    ) -> Result<Logistic, Cancelled> {
        let (mut rows, mut labels, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let mut features = Vec::new();
        for (window, examples) in examples_by_window.iter().enumerate() {
            let mut random = Random::new(seed, PAIR_STREAM + window as u64);
            let mut users = (0..examples.taken.rows()).collect::<Vec<_>>();
            random.shuffle(&mut users);
            // Users are left out rather than pairs: what a user took is known of all that could be taken.
            users.truncate((PAIRS / examples.pairs.item_batch.len().clamp(1, MOST_NEGATIVES)).max(1));
            for user in users {
                let own = examples.taken.row(user).0;
                let (others, stands_for) = examples.others(user, MOST_NEGATIVES, &mut random);
                for (items, label, count) in [(own, 1.0, 1.0), (&others, 0.0, stands_for)] {
                    features.clear();
                    examples.features(&self.components, user, items, &mut features);
                    for row in features.chunks_exact(self.components.len()) {
                        rows.push(row.iter().zip(&self.weights).map(|(x, weight)| x * f64::from(*weight)).sum());
                        rows.extend(examples.activity.0.row(user).iter().map(|x| f64::from(*x)));
                        labels.push(label);
                        counts.push(count);
                    }
                }
            }
            check(stop)?;
        }
        // A higher score never means a lower probability.
        let penalty = Penalty {
            lambda: vec![1.0; 1 + ACTIVITY],
            nonnegative: vec![true, false, false, false],
            ..Penalty::default()
        };
        Logistic::fit(&rows, 1 + ACTIVITY, &labels, Some(&counts), &penalty, stop)
    }

    /// The logit of a user whose blended score is 0.
    pub(super) fn base(&self, activity: &[f32]) -> f32 {
        let coefficients = self.probability.coefficients.iter().skip(1);
        activity
            .iter()
            .zip(coefficients)
            .fold(self.probability.intercept, |sum, (x, weight)| sum + f64::from(*x) * weight) as f32
    }

    /// What a blended score is multiplied by.
    pub(super) fn slope(&self) -> f32 {
        self.probability.coefficients.first().copied().unwrap_or(1.0) as f32
    }
}

/// What is not known is as usual.
pub(super) fn known(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { x }
}

/// How strongly a weight is drawn to where it is drawn to, for each user who chose in so many windows.
///
/// What a seasonal component promises is the same for every user of a window: it comes true in one season and not in the next,
/// and a window is one observation of that, however many users it has.
fn penalty(component: Listed, windows: usize) -> f64 {
    if component.is_seasonal() { SEASONAL_PENALTY / windows.max(1) as f64 } else { WEIGHT_PENALTY }
}

/// Every personal component the same, the others nothing.
fn prior(components: &[Listed]) -> Vec<f64> {
    let personal = components.iter().filter(|one| one.is_personal()).count().max(1) as f64;
    components.iter().map(|one| if one.is_personal() { PERSONAL / personal } else { 0.0 }).collect()
}

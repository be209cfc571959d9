//! Fitting a recommender: takes a shop and the embeddings of its texts, gives everything that scoring needs.
//!
//! # How it goes
//! ```text
//! shop -> lessons (past launch windows) -> components as they were then -> weights, probabilities, boost
//!      -> all that is known now         -> components                   -> the recommender
//! ```
//! What a past launch teaches is learned from components that had not seen it. Called by `trainer`, which brings the encoder.

use super::boost;
use super::comparison::Launches;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::random::Random;
use crate::recommend::components::scores::{Alone, Pairs, Usual};
use crate::recommend::components::{
    Candidates, Component, Components, Fitted, Settings, Stop, Tastes, Texts, take_off,
};
use crate::recommend::dataset::holdout::Lesson;
use crate::recommend::dataset::interactions::Shop;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::evaluation::metrics::Judge;
use crate::recommend::evaluation::per_user::PerUser;
use crate::recommend::model::blend::{Class, Habits, Logits, Ranker};
use crate::recommend::model::recommender::Recommender;
use crate::recommend::ranking::BlockScores;

/// Items that everybody's usual scores are taken over, at most.
const REFERENCE: usize = 400;
/// The stream of random numbers that they are drawn from.
const STREAM: u64 = 0x7265_6665;
/// The length of lists that training looks at.
pub const K: usize = 20;

/// What fine-tuning against the factors of a snapshot gives.
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

/// Fine-tunes an encoder. Called for each lesson, the oldest first, and then with all that is known.
pub trait Tuner<E> {
    /// Tunes against the factors of `fitted`; `None` where there is nothing to be tuned. `embeddings` are those of all texts
    /// of the shop by the encoder as it was, of length one.
    ///
    /// # Errors
    /// It failed, or was stopped.
    fn tune(&mut self, embeddings: &Matrix, snapshot: &Snapshot, fitted: &Fitted) -> Result<Option<Tuned>, E>;
}

/// How a recommender is fitted.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Of the components.
    pub settings: Settings,
    /// What past launches teach, the oldest first.
    pub lessons: &'a [Lesson],
    /// Of everything that is drawn.
    pub seed: u64,
}

/// How good something was at a lesson that it had not learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What: the blend, or a component alone.
    pub name: String,
    /// The mean share of what users took of the launches that is among the first [`K`].
    pub recall: f64,
    /// The mean NDCG of the first [`K`].
    pub ndcg: f64,
}

/// A fitted recommender, and how good it was when looked at from the past.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The recommender.
    pub recommender: Recommender,
    /// The blend's mark first, then each component's, at the last lesson.
    pub marks: Vec<Mark>,
    /// What they are of, if there are any.
    pub launches: Option<Launches>,
    /// What was learned from, for people.
    pub notes: Vec<String>,
}

/// Why fitting ended early.
#[derive(Debug)]
pub enum Ended<E> {
    /// It was stopped.
    Stopped,
    /// Tuning failed.
    Tuner(E),
}

/// A moment's parts, fitted.
struct Moment {
    components: Components,
    tastes: Tastes,
    habits: Habits,
    usual: Usual,
    reference: Candidates,
}

/// A lesson with what was known then.
struct Taught<'a> {
    lesson: &'a Lesson,
    moment: Moment,
    launches: Candidates,
    known: Option<Candidates>,
}

impl Taught<'_> {
    fn class(&self) -> Class<'_> {
        let Moment { components, tastes, habits, usual, .. } = &self.moment;
        let pairs = Pairs { components, tastes, candidates: &self.launches };
        Class { pairs, usual, habits, taken: &self.lesson.taken, had: None }
    }

    fn class_of_known(&self) -> Option<Class<'_>> {
        let Moment { components, tastes, habits, usual, .. } = &self.moment;
        let (candidates, taken) = (self.known.as_ref()?, self.lesson.taken_of_known.as_ref()?);
        let had = Some(&self.lesson.snapshot.history);
        Some(Class { pairs: Pairs { components, tastes, candidates }, usual, habits, taken, had })
    }
}

/// Fits a recommender. `embeddings` are those of the shop's texts by the encoder as it was, of length one.
///
/// # Errors
/// It was stopped, or the tuner failed.
pub fn fit<E>(
    shop: &Shop,
    embeddings: &Matrix,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<Outcome, Ended<E>> {
    let lessons = plan.lessons;
    let mut taught = Vec::with_capacity(lessons.len());
    for lesson in lessons {
        taught.push(teach(shop, embeddings, lesson, plan, tuner, stop)?);
    }
    let classes = taught.iter().map(Taught::class).collect::<Vec<_>>();
    let known_classes = taught.iter().filter_map(Taught::class_of_known).collect::<Vec<_>>();
    let components = Component::OF_NEW.iter().copied();
    let components = components.filter(|one| {
        *one != Component::FineTuned || taught.iter().all(|taught| taught.moment.components.tower.is_some())
    });
    let components = components.collect::<Vec<_>>();
    let new = match classes.as_slice() {
        [] => Ranker::untaught(&components, 1, 100),
        classes => Ranker::fit(classes, &components, plan.seed, stop).ok_or(Ended::Stopped)?,
    };
    let now = shop.events.last().map_or(0, |event| event.time.saturating_add(1));
    let snapshot = Snapshot::new(shop, now, |_| true);
    let known = match known_classes.as_slice() {
        [] => {
            let pairs = snapshot.users.len() * snapshot.items.len();
            Ranker::untaught(&Component::OF_KNOWN, snapshot.history.stored(), pairs)
        }
        classes => Ranker::fit(classes, &Component::OF_KNOWN, plan.seed, stop).ok_or(Ended::Stopped)?,
    };
    // What the last window is judged by: it has taught the rankers of the model itself.
    let earlier = |classes: &[Class<'_>], components: &[Component]| match classes.split_last() {
        Some((_, before)) if !before.is_empty() => {
            Ranker::fit(before, components, plan.seed, stop).map(Some).ok_or(Ended::Stopped)
        }
        _ => Ok(None),
    };
    let earlier_new = earlier(&classes, &components)?;
    let earlier_known = earlier(&known_classes, &Component::OF_KNOWN)?;
    let last = lessons.last().zip(classes.last());
    let (marks, launches) = match last {
        None => (Vec::new(), None),
        Some((lesson, class)) => {
            let (marks, taken) =
                mark(class, earlier_new.as_ref(), &components, plan.seed, stop).ok_or(Ended::Stopped)?;
            let (items, users) = (lesson.launches.clone(), lesson.snapshot.users.clone());
            (marks, Some(Launches { items, users, taken, seed: plan.seed }))
        }
    };
    let held_out = lessons.last().zip(launches.as_ref()).zip(marks.first());
    let held_out = held_out.map(|((lesson, launches), blend)| launches.record(shop, lesson, blend.recall));
    let boost = match (classes.last(), known_classes.last()) {
        (Some(launches), Some(known_class)) => {
            let (new, known) = (earlier_new.as_ref().unwrap_or(&new), earlier_known.as_ref().unwrap_or(&known));
            boost::choose(*launches, new, *known_class, known, plan.seed, stop).ok_or(Ended::Stopped)?
        }
        _ => boost::Choice::none(),
    };
    let mut notes = lessons
        .iter()
        .map(|lesson| format!("learned from {} items {}", lesson.launches.len(), lesson.title))
        .collect::<Vec<_>>();
    if lessons.is_empty() {
        notes.push("too few launches to learn from: every component counts the same".into());
    }
    drop(classes);
    drop(known_classes);
    drop(taught);

    let (tuned_texts, moment) = moment(shop, embeddings, &snapshot, plan, tuner, stop)?;
    let texts = texts(shop, embeddings, tuned_texts.as_ref());
    let catalogue =
        some_candidates(&moment.components, &texts, &snapshot.items, &snapshot.items, stop).ok_or(Ended::Stopped)?;
    let Moment { components, tastes, habits, usual, reference } = moment;
    let mut profiles = tuned_texts.as_ref().unwrap_or(embeddings).gather(&snapshot.items);
    let middle = profiles.mean();
    take_off(&mut profiles, &middle);
    profiles.normalize_rows();
    let recommender = Recommender {
        users: shop.users.gather(&snapshot.users),
        items: shop.items.clone(),
        sold: snapshot.sold,
        known: snapshot.items,
        components,
        tastes,
        habits,
        usual,
        reference,
        catalogue,
        profiles,
        new,
        old: known,
        boost: boost.boost,
        boosts: boost.curve,
        until: now,
        held_out,
    };
    Ok(Outcome { recommender, marks, launches, notes })
}

fn texts<'a>(shop: &'a Shop, embeddings: &'a Matrix, tuned: Option<&'a Matrix>) -> Texts<'a> {
    Texts { texts: &shop.items.texts, embeddings, tuned, prices: &shop.items.prices }
}

/// The parts as they were at a snapshot, and the texts' embeddings by the encoder that was tuned then.
fn moment<E>(
    shop: &Shop,
    embeddings: &Matrix,
    snapshot: &Snapshot,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<(Option<Matrix>, Moment), Ended<E>> {
    let stopped = || Ended::Stopped;
    let plain = texts(shop, embeddings, None);
    let mut fitted = Components::fit(snapshot, &plain, &plan.settings, stop).ok_or_else(stopped)?;
    let tuned = tuner.tune(embeddings, snapshot, &fitted).map_err(Ended::Tuner)?;
    let (tower, tuned_texts) = match tuned {
        Some(Tuned { center, projection, users, embeddings }) => {
            fitted.components.set_tower(center, projection, &fitted.users, &users, stop).ok_or_else(stopped)?;
            (Some(users), Some(embeddings))
        }
        None => (None, None),
    };
    let Fitted { components, users } = fitted;
    let tastes = components.tastes(snapshot.history.clone(), Some(users), tower);
    let mut random = Random::new(plan.seed, STREAM);
    let mut drawn = snapshot.items.clone();
    random.shuffle(&mut drawn);
    drawn.truncate(REFERENCE);
    drawn.sort_unstable();
    let all = texts(shop, embeddings, tuned_texts.as_ref());
    let reference = some_candidates(&components, &all, &drawn, &snapshot.items, stop).ok_or_else(stopped)?;
    let pairs = Pairs { components: &components, tastes: &tastes, candidates: &reference };
    let usual = Usual::of(&pairs, stop).ok_or_else(stopped)?;
    let habits = Habits::of(snapshot);
    Ok((tuned_texts, Moment { components, tastes, habits, usual, reference }))
}

fn teach<'a, E>(
    shop: &Shop,
    embeddings: &Matrix,
    lesson: &'a Lesson,
    plan: &Plan<'_>,
    tuner: &mut dyn Tuner<E>,
    stop: Stop<'_>,
) -> Result<Taught<'a>, Ended<E>> {
    let snapshot = &lesson.snapshot;
    let (tuned, moment) = moment(shop, embeddings, snapshot, plan, tuner, stop)?;
    let texts = texts(shop, embeddings, tuned.as_ref());
    let of =
        |items: &[u32]| some_candidates(&moment.components, &texts, items, &snapshot.items, stop).ok_or(Ended::Stopped);
    let launches = of(&lesson.launches)?;
    let known = if lesson.taken_of_known.is_some() { Some(of(&snapshot.items)?) } else { None };
    Ok(Taught { lesson, moment, launches, known })
}

/// These items of the shop as candidates; `known` are those with a history.
fn some_candidates(
    components: &Components,
    texts: &Texts<'_>,
    items: &[u32],
    known: &[u32],
    stop: Stop<'_>,
) -> Option<Candidates> {
    let own = items.iter().map(|item| Some(texts.texts.value(*item as usize)));
    let own = own.collect::<arrow::array::StringArray>();
    let embeddings = texts.embeddings.gather(items);
    let tuned = texts.tuned.map(|tuned| tuned.gather(items));
    let prices = items.iter().map(|item| texts.prices[*item as usize]).collect::<Vec<_>>();
    let place = |item: &u32| known.binary_search(item).ok().map(|place| place as u32);
    let texts = Texts { texts: &own, embeddings: &embeddings, tuned: tuned.as_ref(), prices: &prices };
    components.candidates(&texts, items.iter().map(place).collect(), stop)
}

/// How well the launches of the last class are ranked by `earlier`, which the classes before it taught, and by each component
/// alone. Without `earlier`, by what one half of the class's users teach, for the other half. Gives what was taken of those
/// that are judged too. `None` if `stop` said so.
fn mark(
    last: &Class<'_>,
    earlier: Option<&Ranker>,
    components: &[Component],
    seed: u64,
    stop: Stop<'_>,
) -> Option<(Vec<Mark>, Csr)> {
    let half = |odd: usize| {
        let rows = last.taken.iter().enumerate().map(|(user, (items, _))| {
            let items = if user % 2 == odd { items } else { &[] };
            items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>()
        });
        Csr::from_rows(last.taken.columns(), rows)
    };
    let taught;
    let (ranker, taken) = match earlier {
        Some(ranker) => (ranker, last.taken.clone()),
        None => {
            taught = Ranker::fit(&[Class { taken: &half(0), ..*last }], components, seed, stop)?;
            (&taught, half(1))
        }
    };
    let Class { pairs, usual, habits, .. } = *last;
    let blend = Logits { pairs, usual, habits, ranker };
    let mut marks = vec![judge("blend".into(), &blend, &taken, seed, stop)?];
    for component in components {
        marks.push(judge(component.to_string(), &Alone { pairs, component: *component }, &taken, seed, stop)?);
    }
    Some((marks, taken))
}

/// How good the lists of these scores are for users who took this of the items. `None` if `stop` said so.
pub(crate) fn judge(name: String, scores: &dyn BlockScores, taken: &Csr, seed: u64, stop: Stop<'_>) -> Option<Mark> {
    let mut judge = Judge::new(&[K], seed);
    let width = judge.columns().len();
    let mut table = PerUser::new(width);
    let (mut row, mut values) = (vec![0.0; scores.items()], vec![f64::NAN; width]);
    for user in 0..taken.rows() {
        let chosen = taken.row(user).0;
        if chosen.is_empty() {
            continue;
        }
        if stop() {
            return None;
        }
        scores.scores_into(user..user + 1, 0..scores.items(), &mut row);
        judge.rank(user as u64, &row, &[]);
        judge.measure(chosen, &[], &mut values);
        table.push(user as u32, &values);
    }
    let means = table.means();
    let mean = |place: usize| means.get(place).copied().flatten().unwrap_or(f64::NAN);
    Some(Mark { name, recall: mean(0), ndcg: mean(1) })
}

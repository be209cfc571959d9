//! A recommender as a whole, on a small shop whose customers buy by theme and whose products say their theme: what is launched
//! later finds those who like its theme, on disk as in memory, alone as in a block.

use std::convert::Infallible;

use arrow::array::{Array, StringArray};

use super::components::{FittedParts, Settings, Texts, Tuned, standard};
use super::dataset::holdout::{HoldoutWindow, Split, windows};
use super::dataset::ids::{Id, Ids};
use super::dataset::interactions::{Event, InteractionDataset, Items};
use super::dataset::snapshot::{DAY, Snapshot};
use super::model::recommender::Recommender;
use super::model::store;
use super::ranking::{BlockScores, top_k};
use super::training::fit::{FitError, Outcome, Plan, Tuner, fit};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::random::Random;

mod components;
mod explanation;
mod pictures;

const THEMES: [[&str; 4]; 4] = [
    ["tea", "kettle", "teapot", "infuser"],
    ["garden", "trowel", "seeds", "planter"],
    ["lamp", "lantern", "candle", "shade"],
    ["pencil", "notebook", "eraser", "crayon"],
];
const USERS: usize = 80;
const ITEMS: usize = 160;
const DAYS: i64 = 300;

/// Nobody tunes anything.
struct Frozen;

impl Tuner<Infallible> for Frozen {
    fn tune(&mut self, _: &Matrix, _: &Snapshot, _: &FittedParts) -> Result<Option<Tuned>, Infallible> {
        Ok(None)
    }
}

/// Item `i` is of theme `i % 4`, user `u` likes theme `u % 4`, and item `i` is launched on day `i * 250 / ITEMS`.
fn shop() -> (InteractionDataset, Matrix) {
    let mut random = Random::new(7, 1);
    let mut text = |item: usize| {
        let words = THEMES[item % 4];
        format!("{} {} number{item}", words[random.below(4)], words[random.below(4)])
    };
    let texts = (0..ITEMS).map(|item| Some(text(item))).collect::<StringArray>();
    // Embeddings that know the theme, with some noise.
    let mut embeddings = Matrix::zeros(ITEMS, 8);
    for item in 0..ITEMS {
        let row = embeddings.row_mut(item);
        row.iter_mut().for_each(|x| *x = 0.3 * random.normal() as f32);
        row[item % 4] += 1.0;
        row[7] += 2.0;
    }
    embeddings.normalize_rows();
    let launch = |item: usize| item as i64 * 250 / ITEMS as i64;
    let mut events = Vec::new();
    for user in 0..USERS {
        for _ in 0..40 {
            let day = random.below(DAYS as usize) as i64;
            let likes = random.uniform() < 0.9;
            let item = random.below(ITEMS);
            let item = if likes { item - item % 4 + user % 4 } else { item };
            if launch(item) <= day {
                let time = day * DAY + random.below(DAY as usize) as i64;
                events.push(Event { time, user: Some(user as u32), item: item as u32, weight: 1.0, quantity: 1.0 });
            }
        }
    }
    events.sort_by_key(|event| (event.time, event.item, event.user));
    let items = Items {
        ids: Ids::Integers((0..ITEMS as i64).collect()),
        texts,
        prices: (0..ITEMS).map(|item| if item % 5 == 0 { f32::NAN } else { (item % 7) as f32 / 3.0 }).collect(),
        launched: vec![None; ITEMS],
        pictures: None,
    };
    let users = Ids::Integers((0..USERS as i64).map(|user| 1000 + user).collect());
    (InteractionDataset { users, items, events, fingerprint: String::new(), notes: Vec::new() }, embeddings)
}

fn plan(windows: &[HoldoutWindow]) -> Plan<'_> {
    let mut settings = Settings { neighbours: 10, ..Settings::default() };
    settings.als.factors = 4;
    settings.als.iterations = 4;
    settings.ease.lambda = 20.0;
    Plan { components: standard(), settings, windows, seed: 3 }
}

fn fitted(split: Split) -> Outcome {
    let (shop, embeddings) = shop();
    let windows = windows(&shop, split, 3);
    match fit(&shop, &embeddings, &plan(&windows), &mut Frozen, &|| false) {
        Ok(outcome) => outcome,
        Err(FitError::Fit(error)) => panic!("{error}"),
        Err(FitError::Tuner(never)) => match never {},
    }
}

/// New items of each theme, with their embeddings.
fn launches() -> (StringArray, Matrix) {
    let texts = THEMES.iter().flatten().map(|word| Some(format!("{word} brand new"))).collect();
    let mut embeddings = Matrix::zeros(16, 8);
    for item in 0..16 {
        embeddings.row_mut(item)[item / 4] = 1.0;
        embeddings.row_mut(item)[7] = 2.0;
    }
    embeddings.normalize_rows();
    (texts, embeddings)
}

/// The logits of everybody for the launches and all items with a history.
fn logits(recommender: &Recommender) -> Vec<f32> {
    let (texts, embeddings) = launches();
    let prices = vec![f32::NAN; texts.len()];
    let texts = Texts { texts: &texts, embeddings: &embeddings, tuned: None, pictures: None, prices: &prices };
    let known = (0..recommender.known.len() as u32).collect::<Vec<_>>();
    let candidates = recommender.candidates(&known, &texts, &|| false).unwrap();
    let user_batch = recommender.everybody();
    let logits = recommender.logits(&user_batch, &candidates, recommender.boost);
    let mut all = vec![0.0; logits.users() * logits.items()];
    logits.scores_into(0..logits.users(), 0..logits.items(), &mut all);
    // A block by block answer is the same.
    let (width, mut block) = (logits.items(), vec![0.0; 7 * 3]);
    for user in [0, 11, 73] {
        for item in [0, recommender.known.len() - 1, width - 3] {
            logits.scores_into(user..user + 7, item..item + 3, &mut block);
            for (row, scores) in block.chunks_exact(3).enumerate() {
                for (column, score) in scores.iter().enumerate() {
                    let whole = all[(user + row) * width + item + column];
                    assert!(
                        (score - whole).abs() < 1e-4,
                        "user {user} + {row}, item {item} + {column}: {score}, {whole}"
                    );
                }
            }
        }
    }
    all
}

#[test]
fn launches_find_those_who_like_their_theme() {
    for split in [Split::Windows { days: 60 }, Split::Items] {
        let outcome = fitted(split);
        let recommender = &outcome.recommender;
        let (texts, embeddings) = launches();
        let prices = vec![f32::NAN; texts.len()];
        let texts = Texts { texts: &texts, embeddings: &embeddings, tuned: None, pictures: None, prices: &prices };
        let candidates = recommender.candidates(&[], &texts, &|| false).unwrap();
        let user_batch = recommender.everybody();
        let best = top_k(&recommender.logits(&user_batch, &candidates, 1.0), 4, None, &|| false).unwrap();
        let right =
            (0..USERS).map(|user| best.row(user).0.iter().filter(|item| **item as usize / 4 == user % 4).count());
        let share = right.sum::<usize>() as f64 / (4 * USERS) as f64;
        assert!(share > 0.8, "{split:?}: {share}");
        let blend = &outcome.validation[0];
        let best_alone = outcome.validation[1..].iter().map(|metrics| metrics.ndcg).fold(0.0, f64::max);
        assert!(blend.ndcg > 0.9 * best_alone, "{split:?}: {:?}", outcome.validation);
    }
}

#[test]
fn the_same_seed_gives_the_same_recommender_and_so_does_the_disk() {
    let recommender = fitted(Split::Windows { days: 60 }).recommender;
    let expected = logits(&recommender);
    assert!(expected.iter().all(|logit| logit.is_finite()));
    assert_eq!(logits(&fitted(Split::Windows { days: 60 }).recommender), expected);
    let folder = tempfile::tempdir().unwrap();
    store::write(&recommender, folder.path()).unwrap();
    let read = store::read(folder.path()).unwrap();
    assert_eq!(logits(&read), expected);
    assert_eq!((read.boost, read.until), (recommender.boost, recommender.until));
    assert_eq!(read.boosts.len(), recommender.boosts.len());
    assert_eq!(read.users.find(Id::Integer(1005)), Some(5));

    let numbers = folder.path().join("recommender/numbers.safetensors");
    std::fs::write(&numbers, b"not numbers").unwrap();
    let error = store::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("numbers.safetensors is damaged"), "{error}");
}

#[test]
fn strangers_with_a_history_are_scored_like_those_who_were_there() {
    let recommender = fitted(Split::Windows { days: 60 }).recommender;
    let (texts, embeddings) = launches();
    let prices = vec![f32::NAN; texts.len()];
    let texts = Texts { texts: &texts, embeddings: &embeddings, tuned: None, pictures: None, prices: &prices };
    let candidates = recommender.candidates(&[], &texts, &|| false).unwrap();
    let everybody = recommender.everybody();
    let inside = top_k(&recommender.logits(&everybody, &candidates, 1.0), 4, None, &|| false).unwrap();
    let cold_start_users =
        recommender.cold_start_users(recommender.representations.history.clone(), &|| false).unwrap();
    let outside = top_k(&recommender.logits(&cold_start_users, &candidates, 1.0), 4, None, &|| false).unwrap();
    let same = (0..USERS).filter(|user| inside.row(*user).0 == outside.row(*user).0).count();
    assert!(same > USERS * 9 / 10, "{same} of {USERS}");

    // Who has nothing is the population: what is popular by its words comes first, the same for all of them.
    let nobody =
        recommender.cold_start_users(Csr::from_rows(recommender.known.len(), [vec![], vec![]]), &|| false).unwrap();
    let logits = recommender.logits(&nobody, &candidates, 1.0);
    let mut scores = vec![0.0; 2 * logits.items()];
    logits.scores_into(0..2, 0..logits.items(), &mut scores);
    let (first, second) = scores.split_at(logits.items());
    assert_eq!(first, second);
    assert!(first.iter().all(|logit| logit.is_finite() && *logit < 0.0), "{first:?}");

    // A profile stands for the items that it is near to.
    let profiles = Matrix::new(1, 8, recommender.profiles.row(0).to_vec());
    let history = recommender.histories_of(&profiles);
    assert_eq!(history.row(0).1.iter().copied().fold(0.0, f32::max), 1.0);
    assert!(history.row(0).0.contains(&0));
}

#[test]
fn lessons_know_nothing_of_what_came_later() {
    let (shop, _) = shop();
    let found = windows(&shop, Split::Windows { days: 60 }, 3);
    assert_eq!(found.len(), 3, "windows of 60 days with as many before them in 300");
    for window in &found {
        let before = window.snapshot.now;
        assert!(window.launches.iter().all(|item| !window.snapshot.sold[*item as usize]));
        let sold = |item: u32| shop.events.iter().any(|event| event.item == item && event.time < before);
        assert!(window.launches.iter().all(|item| !sold(*item)));
        assert!(window.snapshot.items.iter().all(|item| sold(*item)));
        let had = window.taken_of_known.as_ref().unwrap();
        for (user, (items, _)) in had.iter().enumerate() {
            let own = window.snapshot.history.row(user).0;
            assert!(items.iter().all(|item| own.binary_search(item).is_err()), "what they had is not taken again");
        }
    }
    let [held_out] = &windows(&shop, Split::Items, 3)[..] else { panic!("one window") };
    assert!(held_out.launches.iter().all(|item| held_out.snapshot.items.binary_search(item).is_err()));
    assert!(held_out.taken_of_known.is_none());
}

#[test]
fn launches_that_nobody_took_are_part_of_a_lesson_where_it_is_known_when_they_were() {
    let (mut shop, _) = shop();
    let split = Split::Windows { days: 60 };
    let without = windows(&shop, split, 3);
    let last = without.last().unwrap();
    // As if nobody had ever taken the newest two; of one of them it is said when it was launched.
    let [.., first, second] = last.launches[..] else { panic!("two launches") };
    shop.events.retain(|event| event.item != first && event.item != second);
    shop.items.launched[first as usize] = Some(last.snapshot.now + DAY);
    // What was launched before the window is not launched in it.
    let early = last.launches[0];
    shop.events.retain(|event| event.item != early);
    shop.items.launched[early as usize] = Some(last.snapshot.now - DAY);
    let with = windows(&shop, split, 3);
    let launches = &with.last().unwrap().launches;
    assert_eq!([first, second, early].map(|item| launches.contains(&item)), [true, false, false]);
    let place = launches.binary_search(&first).unwrap();
    assert!(with.last().unwrap().taken.transpose().row(place).0.is_empty());
    assert!(launches.iter().all(|item| *item == first || last.launches.contains(item)));
    let [held_out] = &windows(&shop, Split::Items, 3)[..] else { panic!("one window") };
    assert!(!held_out.launches.contains(&second));
}

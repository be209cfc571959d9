//! Pictures in a recommender: what they tell is learned, and what lacks a picture or a text is ranked by the other.

use proptest::prelude::*;

use super::*;
use crate::recommend::components::Reads;
use crate::recommend::dataset::pictures::Pictures;

/// The shop, whose texts say nothing: the theme of an item is in its picture, if it has one.
fn pictured(has: impl Fn(usize) -> bool) -> (InteractionDataset, Matrix) {
    let (mut shop, themes) = shop();
    let pictured = (0..ITEMS as u32).filter(|item| has(*item as usize)).collect::<Vec<_>>();
    shop.items.pictures = Some(Pictures::new(ITEMS, &pictured, themes.gather(&pictured)));
    shop.items.texts = (0..ITEMS).map(|item| Some(format!("thing number{item}"))).collect();
    let mut random = Random::new(11, 1);
    let mut noise = Matrix::new(ITEMS, 8, (0..8 * ITEMS).map(|_| random.normal() as f32).collect());
    noise.normalize_rows();
    (shop, noise)
}

fn fitted_to((shop, embeddings): &(InteractionDataset, Matrix)) -> Outcome {
    let windows = windows(shop, Split::Windows { days: 60 }, 3);
    match fit(shop, embeddings, &plan(&windows), &mut Frozen, &|| false) {
        Ok(outcome) => outcome,
        Err(FitError::Fit(error)) => panic!("{error}"),
        Err(FitError::Tuner(never)) => match never {},
    }
}

/// The logits of everybody for launches of each theme; `has` says which of them have a text, and which a picture.
fn logits_of(recommender: &Recommender, has: impl Fn(usize) -> (bool, bool)) -> Matrix {
    let (texts, themes) = launches();
    let texts =
        texts.iter().enumerate().map(|(item, text)| text.filter(|_| has(item).0)).map(Option::unwrap_or_default);
    let texts = texts.map(Some).collect::<StringArray>();
    let pictured = (0..16).filter(|item| has(*item as usize).1).collect::<Vec<u32>>();
    let pictures = Pictures::new(16, &pictured, themes.gather(&pictured));
    let embeddings = Matrix::new(16, 8, (0..128).map(|x| if x % 9 == 0 { 1.0 } else { 0.0 }).collect());
    let prices = vec![f32::NAN; 16];
    let texts =
        Texts { texts: &texts, embeddings: &embeddings, tuned: None, pictures: Some(&pictures), prices: &prices };
    let candidates = recommender.candidates(&[], &texts, &|| false).unwrap();
    let everybody = recommender.everybody();
    let logits = recommender.logits(&everybody, &candidates, 1.0);
    let mut all = Matrix::zeros(USERS, 16);
    logits.scores_into(0..USERS, 0..16, all.values_mut());
    all
}

/// The share of the four best launches that are of a user's theme.
fn right(logits: &Matrix) -> f64 {
    let best = |user: usize| {
        let mut order = (0..16).collect::<Vec<_>>();
        order.sort_by(|a, b| logits.row(user)[*b].total_cmp(&logits.row(user)[*a]));
        order.iter().take(4).filter(|item| **item / 4 == user % 4).count()
    };
    (0..USERS).map(best).sum::<usize>() as f64 / (4 * USERS) as f64
}

/// The same recommender with the weights of what goes by `reads` at 0.
fn without(recommender: &Recommender, reads: Reads) -> Recommender {
    let mut other = recommender.clone();
    for blend in [&mut other.new, &mut other.old] {
        let weights = blend.components.iter().zip(&mut blend.weights);
        weights.filter(|(one, _)| one.reads() == reads).for_each(|(_, weight)| *weight = 0.0);
    }
    other
}

#[test]
fn what_only_pictures_tell_is_learned_from_them() {
    let with = fitted_to(&pictured(|item| !item.is_multiple_of(10)));
    let found = right(&logits_of(&with.recommender, |_| (true, true)));
    assert!(found > 0.8, "{found}");
    let ndcg = |outcome: &Outcome| outcome.validation[0].ndcg;
    let mut bare = pictured(|_| false);
    bare.0.items.pictures = None;
    let bare = fitted_to(&bare);
    assert!(ndcg(&with) > ndcg(&bare) + 0.1, "{} with pictures, {} without", ndcg(&with), ndcg(&bare));
    let weight = |outcome: &Outcome, reads: Reads| -> f32 {
        let blend = &outcome.recommender.new;
        let weights = blend.components.iter().zip(&blend.weights);
        weights.filter(|(one, _)| one.reads() == reads).map(|(_, weight)| *weight).sum()
    };
    assert!(weight(&with, Reads::Picture) > weight(&with, Reads::Text), "{:?}", with.recommender.new);
    // Where no item has a picture there is no component of pictures, with an empty column as without one.
    let empty = fitted_to(&pictured(|_| false));
    for outcome in [&bare, &empty] {
        assert!(outcome.recommender.new.components.iter().all(|one| one.reads() != Reads::Picture));
        assert_eq!(outcome.recommender.new.weights, bare.recommender.new.weights);
    }
}

#[test]
fn pictures_that_say_nothing_leave_the_ranking_to_the_texts() {
    let (mut shop, embeddings) = shop();
    let bare = fitted_to(&(shop.clone(), embeddings.clone()));
    let mut order = (0..ITEMS as u32).collect::<Vec<_>>();
    Random::new(5, 1).shuffle(&mut order);
    let all = (0..ITEMS as u32).collect::<Vec<_>>();
    shop.items.pictures = Some(Pictures::new(ITEMS, &all, embeddings.gather(&order)));
    let shuffled = fitted_to(&(shop, embeddings));
    let (with, without) = (shuffled.validation[0].ndcg, bare.validation[0].ndcg);
    assert!(with > 0.95 * without, "{with} with shuffled pictures, {without} without");
}

#[test]
fn pictures_are_the_same_on_disk() {
    let recommender = fitted_to(&pictured(|item| !item.is_multiple_of(10))).recommender;
    let folder = tempfile::tempdir().unwrap();
    store::write(&recommender, folder.path()).unwrap();
    let read = store::read(folder.path()).unwrap();
    let has = |item: usize| (!item.is_multiple_of(3), !item.is_multiple_of(4));
    assert_eq!(logits_of(&read, has), logits_of(&recommender, has));
    // Items of the catalogue that nobody has: their pictures are kept, those of the others are with the components.
    let pictures = read.items.pictures.as_ref().unwrap();
    assert_eq!(Some(pictures), recommender.items.pictures.as_ref());
    let has = pictures.has();
    assert!(read.known.iter().all(|item| !has[*item as usize]));
    // Items with a history, as candidates.
    let known = (0..read.known.len() as u32).collect::<Vec<_>>();
    let of_known = |recommender: &Recommender| {
        let nothing = Texts {
            texts: &StringArray::from(Vec::<&str>::new()),
            embeddings: &Matrix::zeros(0, 8),
            tuned: None,
            pictures: None,
            prices: &[],
        };
        let candidates = recommender.candidates(&known, &nothing, &|| false).unwrap();
        let everybody = recommender.everybody();
        let mut all = Matrix::zeros(USERS, known.len());
        recommender.logits(&everybody, &candidates, 1.0).scores_into(0..USERS, 0..known.len(), all.values_mut());
        all
    };
    assert_eq!(of_known(&read), of_known(&recommender));
}

#[test]
fn what_lacks_a_picture_or_a_text_is_ranked_by_the_other() {
    let recommender = fitted_to(&pictured(|item| !item.is_multiple_of(10))).recommender;
    let (by_text, by_picture) = (without(&recommender, Reads::Picture), without(&recommender, Reads::Text));
    // With both, without text, without picture, with neither: then price and popularity alone speak.
    let wanted = [
        logits_of(&recommender, |_| (true, true)),
        logits_of(&by_picture, |_| (false, true)),
        logits_of(&by_text, |_| (true, false)),
        logits_of(&without(&by_text, Reads::Text), |_| (false, false)),
    ];
    assert!(right(&wanted[1]) > 0.8 && right(&wanted[2]) < 0.5 && right(&wanted[3]) == 0.25);
    proptest!(ProptestConfig::with_cases(32), |(lacks in prop::collection::vec(0..4usize, 16))| {
        let found = logits_of(&recommender, |item| (lacks[item] & 1 == 0, lacks[item] & 2 == 0));
        for user in 0..USERS {
            for (item, lacks) in lacks.iter().enumerate() {
                prop_assert_eq!(found.row(user)[item], wanted[*lacks].row(user)[item]);
            }
        }
    });
}

//! Lists: against NumPy and scikit-learn, and at their limits.
#![allow(clippy::unwrap_used)]

use super::super::reference::{assert_close, floats, indices, reference};
use super::*;

const NONE: Resampling = Resampling { resamples: 0, level: 0.95, seed: 1 };

fn lists(of: &[&[u32]]) -> Lists {
    let mut lists = Lists::default();
    of.iter().for_each(|list| lists.push(list));
    lists
}

#[test]
fn lists_are_measured_as_numpy_and_scikit_learn_do() {
    let reference = reference("lists");
    let mut lists = Lists::default();
    let shown: Vec<Vec<u32>> = reference["lists"].as_array().unwrap().iter().map(indices).collect();
    shown.iter().for_each(|list| lists.push(list));
    let exposure = exposure(&lists, 3, 12, &NONE, &|| false).unwrap().unwrap();
    assert_close(exposure.coverage.value, reference["coverage"].as_f64().unwrap(), "coverage");
    assert_close(exposure.gini.value, reference["gini"].as_f64().unwrap(), "Gini");
    let values = reference["vectors"].as_array().unwrap().iter().flat_map(floats).map(|x| x as f32).collect();
    let mut vectors = Matrix::new(12, 4, values);
    vectors.normalize_rows();
    for (list, expected) in shown.iter().zip(floats(&reference["diversity"])) {
        // Vectors are f32.
        assert!((diversity(list, &vectors) - expected).abs() < 1e-6, "{} {expected}", diversity(list, &vectors));
    }
}

#[test]
fn the_limits() {
    let of = |lists: &Lists, k, items| exposure(lists, k, items, &NONE, &|| false).unwrap();
    let even = of(&lists(&[&[0, 1], &[2, 3]]), 2, 4).unwrap();
    assert_eq!((even.coverage.value, even.gini.value), (1.0, 0.0));
    let one = of(&lists(&[&[5, 1], &[5, 2]]), 1, 10).unwrap();
    assert_eq!((one.coverage.value, one.gini.value), (0.1, 0.9));
    assert_eq!((one.coverage.users, one.coverage.interval), (2, None));
    let nothing = of(&lists(&[&[], &[]]), 1, 10).unwrap();
    assert_eq!((nothing.coverage.value, nothing.gini.value), (0.0, 0.0));
    assert!(of(&Lists::default(), 1, 10).is_none() && of(&lists(&[&[0]]), 1, 0).is_none());
    assert!(exposure(&lists(&[&[0], &[1]]), 1, 2, &Resampling::default(), &|| true).is_err(), "stopped");
    let mut both = lists(&[&[1, 2, 3]]);
    both.append(&lists(&[&[4], &[]]));
    assert_eq!((both.users(), both.first(0, 2), both.first(1, 2)), (3, &[1, 2][..], &[4][..]));
    assert!(both.first(2, 2).is_empty());
}

#[test]
fn intervals_are_around_what_all_users_see() {
    // 60 users, 5 of 307 items each: most are shown to one user only, and a resample misses a third of them.
    let list = |user: u32| (0..5).map(|place| (user * user * 7 + place * 11 + user) % 307).collect::<Vec<_>>();
    let mut lists = Lists::default();
    (0..60).for_each(|user| lists.push(&list(user)));
    let resampling = Resampling { resamples: 200, ..Resampling::default() };
    let found = exposure(&lists, 5, 307, &resampling, &|| false).unwrap().unwrap();
    for estimate in [found.coverage, found.gini] {
        let (low, high) = estimate.interval.unwrap();
        assert!(low <= estimate.value && estimate.value <= high && high - low < 0.2, "{estimate:?}");
    }
    assert_eq!(Ok(Some(found)), exposure(&lists, 5, 307, &resampling, &|| false));
}

#[test]
fn rare_items_are_news() {
    // Half, a quarter, nobody (as rare as the rarest), and all.
    let information = self_information(&[8, 4, 0, 16], 16);
    assert_eq!(information, [1.0, 2.0, 2.0, 0.0]);
    assert_eq!(self_information(&[0, 0], 8), [3.0, 3.0], "a catalogue of news: as if one had bought each");
    assert_eq!(novelty(&[0, 2], &information), 1.5);
    assert!(novelty(&[], &information).is_nan());
    let vectors = Matrix::new(3, 2, vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(diversity(&[0, 1], &vectors), 1.0);
    assert_eq!(diversity(&[0, 0], &vectors), 0.0);
    assert_eq!(diversity(&[0, 2], &vectors), 1.0, "a vector of zeros is like nothing");
    assert!(diversity(&[0], &vectors).is_nan());
}

//! Rankings: against scikit-learn, against sorting by the definition, and what ties do.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::reference::{assert_close, floats, indices, reference};
use super::*;

fn values(evaluator: &mut Evaluator, relevant: &[u32], others: &[u32]) -> Option<Vec<f64>> {
    let mut values = vec![0.0; evaluator.columns().len()];
    evaluator.measure(relevant, others, &mut values).then_some(values)
}

#[test]
fn users_are_measured_as_scikit_learn_does() {
    let cuts: Vec<usize> = indices(&reference("cuts")).into_iter().map(|k| k as usize).chain([1000]).collect();
    for (number, user) in reference("users").as_array().unwrap().iter().enumerate() {
        let scores: Vec<f32> = floats(&user["scores"]).into_iter().map(|score| score as f32).collect();
        let mut evaluator = Evaluator::new(&cuts, 1);
        evaluator.rank(number as u64, &scores, &indices(&user["left_out"]));
        let found = values(&mut evaluator, &indices(&user["relevant"]), &[]).unwrap();
        let tied = user.get("top").is_none();
        for (column, found) in evaluator.columns().iter().zip(found) {
            let what = format!("user {number}, {column:?}");
            let at = |name: &str| column.k.and_then(|k| user[name].get(cuts.iter().position(|cut| *cut == k)?));
            let expected = match column.metric {
                Metric::Auc => Some(&user["auc"]),
                _ if tied => None,
                Metric::Mrr => Some(&user["mrr"]),
                Metric::Map if column.k == Some(1000) => Some(&user["average_precision"]),
                Metric::Map => None,
                other => at(other.name()),
            };
            if let Some(expected) = expected {
                assert_close(found, expected.as_f64().unwrap(), &what);
            } else if let (Metric::Recall | Metric::HitRate, Some(1000)) = (column.metric, column.k) {
                assert_close(found, 1.0, &what);
            }
        }
        if !tied {
            assert_eq!(evaluator.top()[..20], indices(&user["top"]), "user {number}");
            assert_eq!(evaluator.top().len(), evaluator.candidates());
        }
    }
}

#[test]
fn the_definition_by_hand() {
    // Places: 2 (left out), then 4, 0, 3, 1; relevant are 0, 1 and 2.
    let mut evaluator = Evaluator::new(&[2, 10], 0);
    evaluator.rank(0, &[0.5, f32::NAN, 9.0, -0.5, 0.7], &[2]);
    assert_eq!(evaluator.top(), [4, 0, 3, 1]);
    let log = |x: f64| x.log2();
    let ideal = 1.0 + 1.0 / log(3.0);
    let expected = [
        [0.5, (1.0 / log(3.0)) / ideal, 1.0, 0.5 / 2.0],
        [1.0, (1.0 / log(3.0) + 1.0 / log(5.0)) / ideal, 1.0, (0.5 + 0.5) / 2.0],
    ];
    let found = values(&mut evaluator, &[1, 0, 2], &[]).unwrap();
    for (found, expected) in found.iter().zip(expected.concat().into_iter().chain([0.5, 0.25])) {
        assert_close(*found, expected, "by hand");
    }
    // Item 4 is relevant, too, but in another segment: it takes the first place and is no mistake.
    let found = values(&mut evaluator, &[1, 0, 2], &[4]).unwrap();
    assert_eq!(found[8..], [0.5, 0.5]);
    // So is item 1, which is last, and item 0 beats one of two.
    let found = values(&mut evaluator, &[0], &[1]).unwrap();
    assert_eq!(found[8..], [0.5, 0.5]);
    // Nothing is relevant, and everything.
    let mut none = [0.0; 10];
    assert!(!evaluator.measure(&[2, 77], &[], &mut none) && none.iter().all(|value| value.is_nan()));
    let all = values(&mut evaluator, &[0, 1, 3, 4], &[]).unwrap();
    assert!(all[9].is_nan() && all[..9].iter().all(|value| !value.is_nan()), "{all:?}");
    // No candidates, and no k.
    evaluator.rank(0, &[], &[]);
    assert!(evaluator.top().is_empty() && values(&mut evaluator, &[0], &[]).is_none());
    let mut evaluator = Evaluator::new(&[], 0);
    evaluator.rank(0, &[1.0, 2.0], &[]);
    assert_eq!((values(&mut evaluator, &[0], &[]), evaluator.top().len()), (Some(vec![0.5, 0.0]), 0));
}

#[test]
fn ties_are_as_good_as_chance() {
    let (items, relevant) = (50, [3, 17]);
    let mut evaluator = Evaluator::new(&[10], 7);
    let (mut recall, mut firsts) = (0.0, [0u32; 50]);
    for user in 0..4000 {
        evaluator.rank(user, &vec![0.25; items], &[]);
        let found = values(&mut evaluator, &relevant, &[]).unwrap();
        assert_close(found[5], 0.5, "AUC");
        recall += found[0] / 4000.0;
        firsts[evaluator.top()[0] as usize] += 1;
    }
    // Hypergeometric: standard deviation of the recall of one user .277, of the mean .0044.
    assert!((recall - 0.2).abs() < 0.0175, "{recall}");
    // Each item is first for 80 users, give or take 8.9.
    assert!(firsts.iter().all(|count| count.abs_diff(80) < 45), "{firsts:?}");
    let top = |seed, user| {
        let mut evaluator = Evaluator::new(&[10], seed);
        evaluator.rank(user, &vec![0.0; items], &[]);
        evaluator.top().to_vec()
    };
    assert_eq!(top(1, 2), top(1, 2));
    assert_ne!(top(1, 2), top(2, 2));
    assert_ne!(top(1, 2), top(1, 3));
}

/// Everything by sorting.
fn sorted(scores: &[f32], left_out: &[u32], relevant: &[u32], evaluator: &Evaluator) -> (Vec<u32>, Vec<usize>, f64) {
    let mut order: Vec<u32> = (0..scores.len() as u32).filter(|item| !left_out.contains(item)).collect();
    // The random numbers are the judge's; that scores come before them is what is tested.
    let tie = |item: &u32| evaluator.keys[*item as usize] as u32;
    order.sort_by(|a, b| {
        let score = |item: &u32| scores[*item as usize];
        score(b).partial_cmp(&score(a)).unwrap().then(tie(b).cmp(&tie(a))).then(a.cmp(b))
    });
    let place = |item: &u32| order.iter().position(|other| other == item);
    let mut ranks: Vec<usize> = relevant.iter().filter_map(|item| Some(place(item)? + 1)).collect();
    ranks.sort_unstable();
    let (mut wins, mut pairs) = (0.0, 0.0);
    for mine in relevant.iter().filter(|item| order.contains(item)) {
        for other in order.iter().filter(|item| !relevant.contains(item)) {
            let (a, b) = (scores[*mine as usize], scores[*other as usize]);
            pairs += 1.0;
            wins += if a > b { 1.0 } else { 0.0 } + if a == b { 0.5 } else { 0.0 };
        }
    }
    (order, ranks, wins / pairs)
}

proptest! {
    #[test]
    fn one_pass_is_sorting(
        scores in prop::collection::vec((-3i8..3).prop_map(|score| f32::from(score) / 2.0), 1..60),
        left_out in prop::collection::btree_set(0u32..60, 0..20),
        relevant in prop::collection::btree_set(0u32..60, 0..20),
        k in 0usize..70,
        user: u64,
    ) {
        let (left_out, relevant) = (Vec::from_iter(left_out), Vec::from_iter(relevant));
        let mut evaluator = Evaluator::new(&[k], 3);
        evaluator.rank(user, &scores, &left_out);
        let (order, ranks, auc) = sorted(&scores, &left_out, &relevant, &evaluator);
        prop_assert_eq!(evaluator.candidates(), order.len());
        prop_assert_eq!(evaluator.top(), &order[..k.min(order.len())]);
        let found = values(&mut evaluator, &relevant, &[]);
        prop_assert_eq!(found.is_some(), !ranks.is_empty());
        if let Some(found) = found {
            prop_assert_eq!(&evaluator.ranks, &ranks);
            let hits = ranks.iter().filter(|rank| **rank <= k).count();
            prop_assert_eq!(found[0], hits as f64 / ranks.len() as f64);
            prop_assert!(found[5] == auc || found[5].is_nan() && auc.is_nan(), "{} {}", found[5], auc);
            prop_assert!(found[..5].iter().all(|value| (0.0..=1.0 + 1e-12).contains(value)), "{:?}", found);
        }
    }
}

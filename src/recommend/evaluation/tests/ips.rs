//! Inverse propensities: by hand, unbiased where nothing is clipped, and what clipping does.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::random::Random;

fn shown(user: u32, reward: f64, propensity: f64, target: f64) -> Shown {
    Shown { user, reward, propensity, target }
}

fn of(rows: &[Shown], clip: f64) -> Value {
    value(rows, clip, &Resampling { resamples: 50, ..Resampling::default() }, &|| false).unwrap().unwrap()
}

#[test]
fn the_definition_by_hand() {
    let rows = [
        shown(1, 1.0, 0.5, 1.0),
        shown(1, 1.0, 0.25, 0.0),
        shown(2, 3.0, 0.1, 1.0),
        shown(2, 0.0, 0.5, 1.0),
        shown(9, 1.0, 0.8, 0.0),
    ];
    // Weights 2, 0, 10, 2, 0: rewards of 2 + 30 for three users, and for 14 items shown.
    let found = of(&rows, 20.0);
    assert_eq!((found.ips.value, found.ips.users), (32.0 / 3.0, 3));
    assert_eq!(found.snips.unwrap().value, 32.0 / 14.0);
    assert_eq!((found.effective_rows, found.clipped), (196.0 / 108.0, 0.0));
    // Clipped at 5, the 10 counts 5.
    let found = of(&rows, 5.0);
    assert_eq!((found.ips.value, found.snips.unwrap().value), (17.0 / 3.0, 17.0 / 9.0));
    assert_eq!(found.clipped, 1.0 / 3.0);
}

#[test]
fn what_was_never_shown_has_no_rate() {
    let found = of(&[shown(1, 1.0, 0.5, 0.0), shown(2, 1.0, 0.5, 0.0)], 20.0);
    assert_eq!((found.ips.value, found.snips, found.effective_rows, found.clipped), (0.0, None, 0.0, 0.0));
}

#[test]
fn mistakes_and_stops() {
    for propensity in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
        let error = value(&[shown(1, 1.0, propensity, 1.0)], 20.0, &Resampling::default(), &|| false).unwrap_err();
        assert!(error.to_string().starts_with(&format!("a propensity is {propensity}")), "{error}");
    }
    assert!(value(&[], 20.0, &Resampling::default(), &|| false).unwrap().is_none());
    let rows = [shown(1, 1.0, 0.5, 1.0), shown(2, 1.0, 0.5, 1.0)];
    assert!(value(&rows, 20.0, &Resampling::default(), &|| true).is_err());
}

/// A log in which two of five items are shown by a random policy; another one would show the items that sell.
#[test]
fn the_value_of_another_ranking_is_found() {
    let (rates, probabilities) = ([0.1, 0.2, 0.3, 0.6, 0.8], [0.9, 0.7, 0.5, 0.3, 0.2]);
    let mut random = Random::new(3, 0);
    let mut rows = Vec::new();
    for user in 0..20_000 {
        for item in 0..5 {
            let (shows, buys) = (random.uniform() < probabilities[item], random.uniform() < rates[item]);
            if shows {
                let target = if item >= 3 { 1.0 } else { 0.0 };
                rows.push(shown(user, f64::from(u8::from(buys)), probabilities[item], target));
            }
        }
    }
    let users = rows.chunk_by(|a, b| a.user == b.user).count() as f64;
    let found = of(&rows, 20.0);
    // Rewards of .6 + .8 for each user. Users who were shown nothing are not in the log.
    let value = found.ips.value * users / 20_000.0;
    assert!((value - 1.4).abs() < 0.05, "{value}");
    assert!((found.snips.unwrap().value - 0.7).abs() < 0.02, "{found:?}");
    let (low, high) = found.ips.interval.unwrap();
    assert!(low < found.ips.value && found.ips.value < high);
    let plain = rows.iter().map(|row| row.reward).sum::<f64>() / users;
    assert!(plain < 0.8, "what was shown earned much less: {plain}");
}

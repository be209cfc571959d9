//! Intervals: against SciPy, their coverage, pairing, and reproducibility.
#![allow(clippy::unwrap_used)]

use super::super::reference::{assert_close, floats, reference};
use super::*;

fn table(values: &[f64]) -> PerUser {
    let mut table = PerUser::new(1);
    (0..).zip(values).for_each(|(user, value)| table.push(user, &[*value]));
    table
}

fn mean(values: &[f64], resampling: Resampling) -> Estimate {
    resampling.means(&table(values), &|| false).unwrap()[0].unwrap()
}

#[test]
fn intervals_are_those_of_scipy() {
    let reference = reference("interval");
    let values = floats(&reference["values"]);
    let found = mean(&values, Resampling { resamples: 4000, ..Resampling::default() });
    assert_close(found.value, reference["mean"].as_f64().unwrap(), "mean");
    let (low, high) = found.interval.unwrap();
    // Each end is known to about 2% of the interval, by the number of resamples.
    let width = high - low;
    for (found, expected) in [(low, &reference["low"]), (high, &reference["high"])] {
        assert!((found - expected.as_f64().unwrap()).abs() < 0.05 * width, "{found} {expected}");
    }
}

#[test]
fn nineteen_of_twenty_intervals_have_the_truth() {
    let inside = (0..200).filter(|world| {
        let mut random = Random::new(1000, *world);
        let values: Vec<f64> = (0..40).map(|_| random.uniform()).collect();
        let (low, high) =
            mean(&values, Resampling { resamples: 150, seed: *world, ..Resampling::default() }).interval.unwrap();
        (low..=high).contains(&0.5)
    });
    // 187 expected of so few users and resamples (NumPy's have the truth 93% of the time); standard deviation 3.5.
    let inside = inside.count();
    assert!((173..=199).contains(&inside), "{inside}");
}

#[test]
fn a_small_difference_shows_in_pairs() {
    let mut random = Random::new(5, 0);
    let users: Vec<f64> = (0..200).map(|_| random.uniform()).collect();
    let better: Vec<f64> = users.iter().map(|value| value + 0.01 * random.uniform()).collect();
    let resampling = Resampling::default();
    let (one, other) = (mean(&users, resampling).interval.unwrap(), mean(&better, resampling).interval.unwrap());
    assert!(one.1 > other.0, "the intervals themselves overlap");
    let difference = resampling.means(&table(&better).less(&table(&users)), &|| false).unwrap()[0].unwrap();
    assert!(difference.interval.unwrap().0 > 0.0, "{difference:?}");
    let nothing = resampling.means(&table(&users).less(&table(&users)), &|| false).unwrap()[0].unwrap();
    assert_eq!((nothing.value, nothing.interval), (0.0, Some((0.0, 0.0))));
}

#[test]
fn a_centered_interval_holds_its_value() {
    // One resample of a hundred shows an item less: the quantiles are the value, the mean is below.
    let mut resampled = vec![0.625; 99];
    resampled.push(0.6);
    let found = Resampling::default().estimate(0.625, 60, resampled).centered();
    assert_eq!(found.interval.map(|(low, _)| low), Some(0.625));
    assert!(found.interval.unwrap().1 > 0.625);
}

#[test]
fn what_a_user_does_not_have_is_left_out() {
    let mut table = PerUser::new(3);
    for user in 0..40 {
        table.push(user, &[if user % 2 == 0 { f64::NAN } else { f64::from(user) }, 1.0, f64::NAN]);
    }
    let found = Resampling::default().means(&table, &|| false).unwrap();
    let first = found[0].unwrap();
    let (low, high) = first.interval.unwrap();
    assert_eq!((first.value, first.users), (20.0, 20));
    assert!(low < 20.0 && high > 20.0);
    assert_eq!((found[1].unwrap().interval, found[2]), (Some((1.0, 1.0)), None));
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let values: Vec<f64> = (0..50).map(|user| f64::from(user * user % 17)).collect();
    let of = |seed| mean(&values, Resampling { resamples: 100, seed, ..Resampling::default() });
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| of(1));
    let many = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap().install(|| of(1));
    assert_eq!(one_thread, many);
    assert_ne!(of(1).interval, of(2).interval);
}

#[test]
fn few_users_and_a_stop() {
    assert_eq!(mean(&[3.0], Resampling::default()).interval, None);
    assert_eq!(mean(&[3.0, 4.0], Resampling { resamples: 0, ..Resampling::default() }).interval, None);
    assert_eq!(Resampling::default().means(&PerUser::new(1), &|| false).unwrap(), [None]);
    assert!(Resampling::default().means(&table(&[1.0, 2.0]), &|| true).is_err());
    assert_eq!(Resampling::default().ratio(&[(1.0, 0.0)], &|| false), Ok(None));
    let ratio = Resampling::default().ratio(&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)], &|| false).unwrap().unwrap();
    assert_eq!(ratio.value, 1.0);
}

#[test]
fn quantiles_are_linear() {
    let values = [1.0, 2.0, 4.0, 8.0];
    assert_eq!([0.0, 0.5, 0.9, 1.0].map(|share| quantile(&values, share)), [1.0, 3.0, 4.0 + 4.0 * (2.7f64 - 2.0), 8.0]);
    assert_eq!(quantile(&[5.0], 0.3), 5.0);
}

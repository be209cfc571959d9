//! `surge` beside SciPy and statsmodels, and its false alarms over many topics.
//!
//! The reference is made by `tests/reference/make_surge.py`.

#![allow(missing_docs, clippy::unwrap_used)]

use arrow::array::{AsArray, StructArray};
use arrow::datatypes::Float64Type;
use debut::random::Random;
use debut_udfs::surge::{Test, Week};
use serde_json::Value;

mod support;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_is_what_scipy_and_statsmodels_say() {
    let path = support::repository("tests/reference/surge.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let session = support::session();
    for case in cases.as_array().unwrap() {
        let (counts, exposures) = (numbers(&case["counts"]), numbers(&case["exposures"]));
        let rows: Vec<String> =
            counts.iter().zip(&exposures).enumerate().map(|(week, (n, e))| format!("({week}, {n}, {e})")).collect();
        let sql = format!(
            "SELECT surge(n, e, 1, 0.05, 100) OVER (ORDER BY week) AS s FROM (VALUES {}) AS t(week, n, e) ORDER BY week DESC LIMIT 1",
            rows.join(", ")
        );
        let statement = session.statements(&sql).unwrap().remove(0);
        let batches = session.run(statement).await.unwrap().collect().await.unwrap();
        let found: &StructArray = batches[0].column(0).as_struct();
        for (name, expected) in ["expected", "ratio", "p_value"].into_iter().zip(numbers(&case["found"])) {
            let found = found.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(0);
            assert!((found - expected).abs() <= 1e-7 * expected, "{name} of {counts:?}: {found}, not {expected}");
        }
    }
}

/// A number of the Poisson distribution.
fn poisson(random: &mut Random, mean: f64) -> f64 {
    // The times between events are exponential.
    let (mut time, mut events) = (0.0, 0.0);
    loop {
        time -= (1.0 - random.uniform()).ln();
        if time > mean {
            return events;
        }
        events += 1.0;
    }
}

/// The last of some weeks, with this mean, `phi` times as much variance, and exposures between a half and two.
fn week(random: &mut Random, weeks: usize, mean: f64, phi: f64, last: f64) -> Test {
    let mut weeks: Vec<Week> = (0..=weeks)
        .map(|week| {
            let exposure = 0.5 + 1.5 * random.uniform();
            let mean = mean * exposure * if week == weeks { last } else { 1.0 };
            let mean = if phi > 1.0 { random.gamma(mean / (phi - 1.0)) * (phi - 1.0) } else { mean };
            Week::try_new(poisson(random, mean), exposure).unwrap().unwrap()
        })
        .collect();
    let last = weeks.pop().unwrap();
    last.test(&weeks).unwrap()
}

#[test]
fn false_alarms_over_many_topics_are_as_rare_as_promised() {
    let (alpha, topics, weeks) = (0.05, 20, 700);
    for (mean, phi) in [(0.5, 1.0), (2.0, 1.0), (20.0, 1.0), (2.0, 2.0), (10.0, 2.0), (20.0, 4.0)] {
        for before in [4, 12] {
            let mut random = Random::new(15, (mean * 100.0 + phi) as u64 * 100 + before as u64);
            let (mut alarms, mut naive) = (0, 0);
            for _ in 0..weeks {
                let tests: Vec<Test> = (0..topics).map(|_| week(&mut random, before, mean, phi, 1.0)).collect();
                alarms += usize::from(tests.iter().any(|test| test.p_value <= alpha / f64::from(topics)));
                naive += usize::from(tests.iter().any(|test| test.p_value <= alpha));
            }
            // Four standard deviations above the rate.
            let most = f64::from(weeks) * alpha + 4.0 * (f64::from(weeks) * alpha * (1.0 - alpha)).sqrt();
            eprintln!("mean {mean}, variance x {phi}, {before} weeks: {alarms} of {weeks}; without topics {naive}");
            assert!(alarms as f64 <= most, "mean {mean}, variance x {phi}, {before} weeks before: {alarms} of {weeks}");
            if before == 12 && mean >= 2.0 {
                assert!(naive as f64 > 2.0 * most, "a test for one topic is not one for twenty: {naive}");
            }
        }
    }
}

#[test]
fn what_triples_is_found() {
    for (mean, phi) in [(20.0, 1.0), (60.0, 2.0), (200.0, 4.0)] {
        let mut random = Random::new(16, mean as u64);
        let found = (0..500).filter(|_| week(&mut random, 12, mean, phi, 3.0).p_value <= 0.05 / 20.0).count();
        assert!(found > 450, "mean {mean}, variance x {phi}: {found} of 500");
    }
}

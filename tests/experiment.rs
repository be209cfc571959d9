//! `experiment_report` and `assign` beside SciPy, statsmodels and obp, and in simulated experiments.
//!
//! References are made by `tests/reference/make_experiment.py`. `DEBUT_OPEN_BANDIT` names the folder `obd` of the package obp,
//! whose sample is not ours to redistribute; without it, one test says so and does nothing.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use debut_udfs::experiment_report::comoments::Comoments;
use debut_udfs::experiment_report::cuped::{self, Group};
use debut_udfs::experiment_report::estimate::Estimate;
use debut_udfs::experiment_report::off_policy::{COLUMNS, Log, PREDICTED};
use debut_udfs::experiment_report::welch::{Comparison, Sample};
use debut_udfs::experiment_report::{sample_ratio, sequential};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use debut::random::Random;

mod support;

fn reference() -> Value {
    let path = support::repository("tests/reference/experiment.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> ArrayRef {
    Arc::new(value.as_array().unwrap().iter().map(Value::as_f64).collect::<Float64Array>())
}

fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let (batch, path) = (batch.unwrap(), folder.join("rows.parquet"));
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// A row of the report: value, interval and p-value.
struct Row {
    method: String,
    metric: String,
    variant: String,
    numbers: [Option<f64>; 4],
}

async fn report(sql: &str) -> Vec<Row> {
    let session = support::session();
    let mut rows = Vec::new();
    for statement in session.statements(sql).unwrap() {
        for batch in session.run(statement).await.unwrap().collect().await.unwrap() {
            let text = |column: &str, row: usize| {
                let texts = batch.column_by_name(column).unwrap().as_string::<i32>().clone();
                texts.iter().nth(row).unwrap().unwrap_or_default().to_owned()
            };
            let number = |column: &str, row: usize| {
                let numbers = batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().clone();
                numbers.iter().nth(row).unwrap()
            };
            rows.extend((0..batch.num_rows()).map(|row| Row {
                method: text("method", row),
                metric: text("metric", row),
                variant: text("variant", row),
                numbers: ["value", "ci_low", "ci_high", "p_value"].map(|column| number(column, row)),
            }));
        }
    }
    rows
}

#[track_caller]
fn assert_row(rows: &[Row], method: &str, metric: &str, variant: &str, expected: &Value) {
    let row = rows.iter().find(|row| row.method == method && row.metric == metric && row.variant == variant).unwrap();
    for (found, expected) in row.numbers.iter().zip(expected.as_array().unwrap()) {
        let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
        let off = (found - expected).abs() / expected.abs().max(1e-3);
        assert!(off < 1e-7, "{method} {metric} of {variant}: {found}, not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_is_what_scipy_and_statsmodels_say() {
    let (all, folder) = (reference(), tempfile::tempdir().unwrap());
    let known = &all["experiment"];
    let variants = known["variant"].as_array().unwrap().iter().map(Value::as_str).collect::<StringArray>();
    let path = write(
        folder.path(),
        vec![
            ("variant", Arc::new(variants)),
            ("outcome", numbers(&known["outcome"])),
            ("before", numbers(&known["before"])),
        ],
    );
    let rows = report(&format!(
        "SELECT * FROM experiment_report(users => (SELECT * FROM '{}'), variants => '{}', planned_users => {}, alpha => {})",
        path.display(),
        known["weights"].as_str().unwrap(),
        all["planned_users"],
        all["alpha"]
    ))
    .await;
    for variant in ["small", "large"] {
        for (method, always, key) in [("welch", "sequential", "plain"), ("cuped", "sequential_cuped", "cuped")] {
            let expected = &known[key][variant];
            assert_row(&rows, method, "difference", variant, &expected["difference"]);
            assert_row(&rows, method, "lift", variant, &expected["lift"]);
            assert_row(&rows, always, "difference", variant, &expected["sequential"]);
        }
        let saved = &known["cuped"][variant]["variance_reduction"];
        assert_row(&rows, "cuped", "variance_reduction", variant, &Value::from(vec![saved.clone()]));
    }
    let test = rows.iter().find(|row| row.metric == "sample_ratio").unwrap().numbers;
    for (found, expected) in [test[0], test[3]].iter().zip(known["sample_ratio"].as_array().unwrap()) {
        assert!((found.unwrap() / expected.as_f64().unwrap() - 1.0).abs() < 1e-9);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_what_obp_and_statsmodels_say() {
    let (all, folder) = (reference(), tempfile::tempdir().unwrap());
    let known = &all["log"];
    let column = |name: &'static str| (name, numbers(&known[name]));
    let users = known["user_id"].as_array().unwrap().iter().map(Value::as_i64).collect::<Int64Array>();
    let path = write(
        folder.path(),
        vec![
            ("user_id", Arc::new(users)),
            column("propensity"),
            column("target"),
            column("label"),
            column("predicted"),
            column("predicted_target"),
        ],
    );
    let rows = report(&format!(
        "SELECT * FROM experiment_report(interactions => (SELECT * FROM '{}'), clip => {})",
        path.display(),
        all["clip"]
    ))
    .await;
    for method in ["ips", "clipped_ips", "snips", "direct", "doubly_robust"] {
        assert_row(&rows, method, "mean", "target", &known["found"][method]);
    }
    for method in ["ips", "snips", "direct", "doubly_robust"] {
        assert_row(&rows, method, "mean", "target", &Value::from(vec![known["obp"][method].clone()]));
    }
    assert_row(&rows, "logged", "mean", "logged", &known["found"]["logged"]);
    assert_row(&rows, "ips", "mean_weight", "target", &known["found"]["mean_weight"]);
    assert_row(&rows, "ips", "effective_rows", "target", &Value::from(vec![known["effective_rows"].clone()]));
    assert_row(&rows, "clipped_ips", "clipped", "target", &Value::from(vec![known["clipped"].clone()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_bandit_sample_is_what_obp_says() {
    let Some(folder) = std::env::var_os("DEBUT_OPEN_BANDIT") else {
        eprintln!("skipped: DEBUT_OPEN_BANDIT names no folder");
        return;
    };
    let (known, file) = (reference()["open_bandit"].clone(), Path::new(&folder).join("bts/all/all.csv"));
    let rows = report(&format!(
        "WITH log AS (SELECT item_id, click AS label, propensity_score AS propensity, 1.0 / 80 AS target FROM '{}'),
              items AS (SELECT item_id, avg(label) AS predicted FROM log GROUP BY item_id)
         SELECT * FROM experiment_report(interactions => (
           SELECT log.*, predicted, (SELECT sum(predicted) / 80 FROM items) AS predicted_target
           FROM log JOIN items USING (item_id)))",
        file.display()
    ))
    .await;
    for (method, key) in [("ips", "ips"), ("snips", "snips"), ("direct", "direct"), ("doubly_robust", "doubly_robust")]
    {
        assert_row(&rows, method, "mean", "target", &Value::from(vec![known[key].clone()]));
    }
    assert_row(&rows, "logged", "mean", "logged", &Value::from(vec![known["logged"].clone()]));
    // The uniform policy was tried as well: what the log says of it has to agree with that.
    for method in ["ips", "snips", "doubly_robust"] {
        let row = rows.iter().find(|row| row.method == method && row.metric == "mean").unwrap();
        let (low, high) = (row.numbers[1].unwrap(), row.numbers[2].unwrap());
        let uniform = known["uniform"].as_f64().unwrap();
        eprintln!("{method}: {:?} [{low}, {high}], tried: {uniform}", row.numbers[0]);
        assert!(low < uniform && uniform < high, "{method}: {low} to {high}, tried {uniform}");
    }
}

/// A simulated experiment whose users come day by day.
struct Simulation {
    random: Random,
    kind: usize,
    effect: f64,
    groups: [Group; 2],
}

impl Simulation {
    fn new(seed: u64, effect: f64) -> Self {
        let group = || Group { outcomes: Comoments::new(1), pairs: Comoments::new(2) };
        Self { random: Random::new(seed, 0), kind: seed as usize % 3, effect, groups: [group(), group()] }
    }

    /// What a user was before, and what became of him without an effect: normal, skewed, or bought with some probability.
    fn user(&mut self) -> (f64, f64) {
        let before = self.random.normal();
        let outcome = match self.kind {
            0 => 10.0 + 2.0 * before + 2.0 * self.random.normal(),
            1 => (1.0 + before.abs()) * self.random.gamma(0.5),
            _ => f64::from(u8::from(self.random.uniform() < 0.15 + 0.1 * before.clamp(-1.0, 1.0))),
        };
        (before, outcome)
    }

    fn day(&mut self, users: [usize; 2]) {
        for (group, users) in users.into_iter().enumerate() {
            let (mut before, mut outcomes) = (Vec::new(), Vec::new());
            for _ in 0..users {
                let (known, outcome) = self.user();
                before.push(known);
                outcomes.push(outcome + self.effect * group as f64);
            }
            self.groups[group].outcomes.add(&[&outcomes]);
            // Of one user in ten nothing is known.
            let known = users - users / 10;
            self.groups[group].pairs.add(&[&outcomes[..known], &before[..known]]);
        }
    }

    fn plain(&self) -> Comparison {
        let [control, treatment] = [&self.groups[0], &self.groups[1]].map(Group::sample);
        Comparison { control, treatment }
    }

    fn cuped(&self) -> Comparison {
        let adjusted: Vec<Sample> = cuped::adjust(&self.groups).unwrap();
        Comparison { control: adjusted[0], treatment: adjusted[1] }
    }
}

const ALPHA: f64 = 0.05;

/// How many of so many experiments may go wrong where each does with probability `share`: four standard deviations more.
fn at_most(experiments: usize, share: f64) -> usize {
    let expected = experiments as f64 * share;
    (expected + 4.0 * (expected * (1.0 - share)).sqrt()) as usize
}

fn holds(estimate: Estimate, truth: f64) -> bool {
    // Without an interval everything is possible.
    estimate.interval.is_none_or(|(low, high)| low <= truth && truth <= high)
}

#[test]
fn looking_every_day_finds_nothing_where_there_is_nothing() {
    let experiments = 600;
    let mut found = [0usize; 3];
    for seed in 0..experiments {
        let mut simulation = Simulation::new(seed as u64, 0.0);
        let users = if seed % 2 == 0 { [40, 40] } else { [60, 20] };
        let mut stopped = [false; 3];
        for _ in 0..30 {
            simulation.day(users);
            let (plain, adjusted) = (simulation.plain(), simulation.cuped());
            let p_values = [
                plain.difference(ALPHA).p_value,
                sequential::difference(&plain, 1000.0, ALPHA).p_value,
                sequential::difference(&adjusted, 1000.0, ALPHA).p_value,
            ];
            for (stopped, p_value) in stopped.iter_mut().zip(p_values) {
                *stopped |= p_value.is_some_and(|p_value| p_value <= ALPHA);
            }
        }
        found.iter_mut().zip(stopped).for_each(|(found, stopped)| *found += usize::from(stopped));
    }
    eprintln!(
        "of {experiments} experiments without an effect: Welch {}, sequential {}, with CUPED {}",
        found[0], found[1], found[2]
    );
    assert!(found[1] <= at_most(experiments, ALPHA) && found[2] <= at_most(experiments, ALPHA), "{found:?}");
    assert!(found[0] > experiments / 5, "Welch's test is for one look: {found:?}");
}

#[test]
fn an_effect_is_found_and_lies_in_the_interval_of_every_day() {
    let experiments = 300;
    let (mut found, mut missed) = (0, 0);
    for seed in 0..experiments {
        let mut simulation = Simulation::new(3 * seed, 1.0);
        let (mut stopped, mut held) = (false, true);
        for _ in 0..30 {
            simulation.day([40, 40]);
            let estimate = sequential::difference(&simulation.cuped(), 1000.0, ALPHA);
            stopped |= estimate.p_value.is_some_and(|p_value| p_value <= ALPHA);
            held &= holds(estimate, 1.0);
            // The p-value and the interval say the same.
            let outside = !holds(estimate, 0.0);
            assert_eq!(outside, estimate.p_value.is_some_and(|p_value| p_value < ALPHA));
        }
        found += usize::from(stopped);
        missed += usize::from(!held);
    }
    assert!(found as f64 > 0.95 * experiments as f64, "{found}");
    assert!(missed <= at_most(experiments as usize, ALPHA), "{missed}");
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let experiments = 2000;
    let mut missed = [0usize; 5];
    let mut narrower = 0.0;
    for seed in 0..experiments {
        let mut simulation = Simulation::new(3 * seed + 1_000_000, 0.5);
        // The first kind: the means are 10 and 10.5.
        simulation.kind = 0;
        simulation.day([150, 100]);
        let (plain, adjusted) = (simulation.plain(), simulation.cuped());
        let estimates = [
            (plain.difference(ALPHA), 0.5),
            (plain.lift(ALPHA).unwrap(), 0.05),
            (adjusted.difference(ALPHA), 0.5),
            (adjusted.lift(ALPHA).unwrap(), 0.05),
            (adjusted.control.estimate(ALPHA), 10.0),
        ];
        for (missed, (estimate, truth)) in missed.iter_mut().zip(estimates) {
            *missed += usize::from(!holds(estimate, truth));
        }
        narrower += 1.0 - adjusted.variance() / plain.variance();
    }
    let (low, high) = (experiments as usize / 20, at_most(experiments as usize, ALPHA));
    assert!(missed.iter().all(|missed| (2 * low).saturating_sub(high) <= *missed && *missed <= high), "{missed:?}");
    // What was before explains half of the variance, for nine users in ten.
    let saved = narrower / experiments as f64;
    assert!((saved - 0.45).abs() < 0.02, "{saved}");
}

#[test]
fn intervals_of_another_policy_hold_its_reward_as_often_as_they_say() {
    let (experiments, users) = (1000, 300);
    // Three items; a user's taste for them moves all of his rows together.
    let (behaviour, target, good) = ([0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.3, 0.5]);
    let truth: f64 = target.iter().zip(good).map(|(p, reward)| p * reward).sum();
    let guess = [0.4, 0.3, 0.4];
    let by_guess: f64 = target.iter().zip(guess).map(|(p, reward)| p * reward).sum();
    let mut missed = [0usize; 3];
    for seed in 0..experiments {
        let mut random = Random::new(77, seed);
        let mut sums = vec![Vec::with_capacity(users); COLUMNS.len() + PREDICTED.len()];
        for _ in 0..users {
            let taste = if random.uniform() < 0.5 { 0.6 } else { 1.4 };
            let mut user = [0.0; 9];
            for _ in 0..4 {
                let draw = random.uniform();
                let item = if draw < behaviour[0] { 0 } else { 1 + usize::from(draw >= behaviour[0] + behaviour[1]) };
                let reward = f64::from(u8::from(random.uniform() < good[item] * taste));
                let weight = target[item] / behaviour[item];
                let robust = by_guess + weight * (reward - guess[item]);
                let row =
                    [1.0, reward, weight, weight * weight, weight * reward, weight * reward, 0.0, by_guess, robust];
                user.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
            sums.iter_mut().zip(user).for_each(|(column, value)| column.push(value));
        }
        let mut comoments = Comoments::new(sums.len());
        comoments.add(&sums.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let rewards = Log::new(comoments, ALPHA).rewards();
        for (missed, method) in missed.iter_mut().zip(["ips", "snips", "doubly_robust"]) {
            let reward = rewards.iter().find(|reward| reward.method == method).unwrap();
            *missed += usize::from(!holds(reward.mean.unwrap(), truth));
        }
    }
    let (low, high) = (experiments as usize / 20, at_most(experiments as usize, ALPHA));
    assert!(missed.iter().all(|missed| (2 * low).saturating_sub(high) <= *missed && *missed <= high), "{missed:?}");
}

/// A million users in 24 MB: the sums of a variant are a few numbers, and those by user go to the disk.
#[test]
fn no_row_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let users = "SELECT assign(value, 'x') AS variant, value % 100 AS outcome, value % 31 AS before FROM generate_series(1, 1000000)";
    let rows = "SELECT value AS user_id, 0.5 AS propensity, 0.25 AS target, value % 2 AS label FROM generate_series(1, 1000000)";
    let output = Command::new(env!("CARGO_BIN_EXE_debut"))
        .args(["sql", "--memory-limit", "24M", "--format", "csv", "-c"])
        .arg(format!(
            "SELECT metric, value, n FROM experiment_report(users => ({users}), interactions => ({rows}))
             WHERE metric IN ('sample_ratio', 'mean_weight')"
        ))
        .env("DEBUT_HOME", support::home().root())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("mean_weight,0.5,1000000"), "{stdout}");
    assert_eq!(stdout.lines().filter(|line| line.ends_with(",1000000")).count(), 2, "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn experiments_deal_users_out_evenly_and_independently() {
    let session = support::session();
    let mut p_values = Vec::new();
    for experiment in 0..40 {
        let sql = format!(
            "SELECT assign(id, 'experiment {experiment}', 'a:1,b:1,c:2') AS one,
                    assign(id, 'experiment {}', 'a:1,b:1,c:2') AS other, count(*) AS users
             FROM generate_series(1, 20000) AS t(id) GROUP BY one, other",
            experiment + 1
        );
        let mut groups = Vec::new();
        for statement in session.statements(&sql).unwrap() {
            for batch in session.run(statement).await.unwrap().collect().await.unwrap() {
                let texts = [0, 1].map(|column| batch.column(column).as_string::<i32>().clone());
                let users = batch.column(2).as_primitive::<Int64Type>();
                for row in 0..batch.num_rows() {
                    let weight = |name: &str| if name == "c" { 2.0 } else { 1.0 };
                    let weight = weight(texts[0].value(row)) * weight(texts[1].value(row));
                    groups.push((users.value(row) as f64, weight));
                }
            }
        }
        assert_eq!(groups.len(), 9);
        p_values.push(sample_ratio::test(&groups).p_value.unwrap());
    }
    // Uniform p-values: none very small, and as many in each half as chance has it.
    let low = p_values.iter().filter(|p_value| **p_value < 0.5).count();
    assert!(p_values.iter().all(|p_value| *p_value > 1e-4), "{p_values:?}");
    assert!(low <= at_most(40, 0.5) && 40 - low <= at_most(40, 0.5), "{p_values:?}");
}

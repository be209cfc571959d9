//! From the sums of [`super::plan`] to the rows of the result.
//!
//! Takes a row per variant, and one of a log; gives a batch, or an error about the users, the variants or their values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};

use super::comoments::Comoments;
use super::cuped::{self, Group};
use super::estimate::Estimate;
use super::off_policy::{COLUMNS, Log, PREDICTED};
use super::plan::{OUTCOMES, PAIRS, ROWS, VARIANT};
use super::welch::{Comparison, Sample};
use super::{ExperimentOptions, NAME, sample_ratio, schema, sequential};
use crate::options::Inputs;
use crate::options::value::did_you_mean;
use crate::trainer::Table;

/// Most variants of an experiment. Who has more took another column for the variant.
const MOST_VARIANTS: usize = 1000;

/// The rows of the result.
///
/// # Errors
/// There are no users or no rows, a variant or an outcome is NULL, the control is no variant, there is a variant that
/// should not be, or values are so large that their squares are not finite.
pub fn rows(options: &ExperimentOptions, inputs: &Inputs<Table>) -> Result<RecordBatch> {
    let mut rows = Rows::default();
    if let Some(table) = &inputs.users {
        Users::read(options, table)?.report(options, &mut rows);
    }
    if let Some(table) = &inputs.interactions {
        log_rows(&log(options, table)?, &mut rows);
    }
    rows.batch()
}

/// The users of the variants, the control first.
struct Users {
    names: Vec<String>,
    groups: Vec<Group>,
    with_before: bool,
}

impl Users {
    fn read(options: &ExperimentOptions, table: &Table) -> Result<Self> {
        let with_before = table.schema.fields().len() > PAIRS;
        let mut found = Vec::new();
        let mut incomplete = None;
        for batch in &table.batches {
            let variants = batch.column(VARIANT).as_string::<i32>();
            let rows = batch.column(ROWS).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let users = rows.value(row);
                if variants.is_null(row) {
                    return exec_err!(
                        "{NAME}: variant is NULL in {users} rows of users; leave them out with WHERE variant IS NOT NULL if \
                         they were not in the experiment"
                    );
                }
                let name = variants.value(row);
                let outcomes = comoments("outcome", 1, batch.column(OUTCOMES), row)?;
                let without = users - outcomes.count() as i64;
                // Groups come in any order; an error names the first by its name.
                if without > 0 && incomplete.as_ref().is_none_or(|(first, _): &(String, _)| name < first.as_str()) {
                    incomplete = Some((name.to_string(), without));
                }
                let pairs =
                    if with_before { comoments("before", 2, batch.column(PAIRS), row)? } else { Comoments::new(2) };
                found.push((name.to_string(), Group { outcomes, pairs }));
            }
        }
        if let Some((name, without)) = incomplete {
            return exec_err!(
                "{NAME}: outcome is NULL in {without} rows of variant '{name}'; write coalesce(outcome, 0) if nothing came of \
                 them, because to leave them out would favour variants that few users react to"
            );
        }
        found.sort_by(|a, b| (a.0 != options.control, &a.0).cmp(&(b.0 != options.control, &b.0)));
        if found.len() > MOST_VARIANTS {
            return exec_err!(
                "{NAME}: variant has {} values, such as '{}'; it is the name of a variant, not of a user",
                found.len(),
                found[0].0
            );
        }
        let (names, groups): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let users = Self { names, groups, with_before };
        users.check(options)?;
        Ok(users)
    }

    fn check(&self, options: &ExperimentOptions) -> Result<()> {
        let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let Some(first) = known.first() else { return exec_err!("{NAME}: users has no rows") };
        if *first != options.control {
            return exec_err!(
                "{NAME}: the control is '{}', and no user has this variant{}; the variants are {}; name the control with \
                 control => '...'",
                options.control,
                did_you_mean(&options.control, &known),
                known.join(", ")
            );
        }
        let Some(variants) = &options.variants else { return Ok(()) };
        let planned: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        match known.iter().find(|name| !planned.contains(name)) {
            Some(name) => exec_err!(
                "{NAME}: users have the variant '{name}', which is not among the variants {}{}",
                planned.join(", "),
                did_you_mean(name, &planned)
            ),
            None => Ok(()),
        }
    }

    fn report(&self, options: &ExperimentOptions, rows: &mut Rows) {
        let plain: Vec<Sample> = self.groups.iter().map(Group::sample).collect();
        self.means("welch", &plain, options, rows);
        self.comparisons("welch", "sequential", &plain, options, rows);
        if self.with_before
            && let Some(adjusted) = cuped::adjust(&self.groups)
        {
            self.means("cuped", &adjusted, options, rows);
            self.comparisons("cuped", "sequential_cuped", &adjusted, options, rows);
            for (treatment, name) in self.names.iter().enumerate().skip(1) {
                let [before, after] = [&plain, &adjusted].map(|samples| pair(samples, treatment).variance());
                let saved = (before > 0.0).then(|| Estimate::bare(1.0 - after / before));
                let users = users(&pair(&plain, treatment));
                rows.add("cuped", "variance_reduction", Some(name), Some(&options.control), saved, users);
            }
        }
        let found = self.names.iter().zip(&plain);
        let counts: Vec<(f64, f64)> = match &options.variants {
            Some(variants) => {
                let users =
                    |name| found.clone().find(|(other, _)| *other == name).map_or(0.0, |(_, group)| group.count);
                variants.iter().map(|variant| (users(&variant.name), variant.weight)).collect()
            }
            None => found.map(|(_, group)| (group.count, 1.0)).collect(),
        };
        let all = plain.iter().map(|group| group.count).sum();
        rows.add("chi_square", "sample_ratio", None, None, Some(sample_ratio::test(&counts)), all);
    }

    fn means(&self, method: &'static str, samples: &[Sample], options: &ExperimentOptions, rows: &mut Rows) {
        for (name, sample) in self.names.iter().zip(samples) {
            rows.add(method, "mean", Some(name), None, Some(sample.estimate(options.alpha)), sample.count);
        }
    }

    fn comparisons(
        &self,
        method: &'static str,
        at_every_look: &'static str,
        samples: &[Sample],
        options: &ExperimentOptions,
        rows: &mut Rows,
    ) {
        let (alpha, control) = (options.alpha, Some(options.control.as_str()));
        for (treatment, name) in self.names.iter().enumerate().skip(1) {
            let pair = pair(samples, treatment);
            let users = users(&pair);
            rows.add(method, "difference", Some(name), control, Some(pair.difference(alpha)), users);
            rows.add(method, "lift", Some(name), control, pair.lift(alpha), users);
            let always = sequential::difference(&pair, options.planned_users, alpha);
            rows.add(at_every_look, "difference", Some(name), control, Some(always), users);
        }
    }
}

fn pair(samples: &[Sample], treatment: usize) -> Comparison {
    Comparison { control: samples[0], treatment: samples[treatment] }
}

fn users(pair: &Comparison) -> f64 {
    pair.control.count + pair.treatment.count
}

fn log(options: &ExperimentOptions, table: &Table) -> Result<Log> {
    for batch in table.batches.iter().filter(|batch| batch.num_rows() > 0) {
        let column = batch.column(0);
        let longest = COLUMNS.len() + PREDICTED.len();
        let width = if column.as_list::<i32>().value_length(0) as usize == Comoments::length(longest) {
            longest
        } else {
            COLUMNS.len()
        };
        let sums = comoments("label", width, column, 0)?;
        if sums.count() > 0.0 {
            return Ok(Log::new(sums, options.alpha));
        }
    }
    exec_err!("{NAME}: interactions has no rows with a propensity")
}

fn log_rows(log: &Log, rows: &mut Rows) {
    let (target, logged, units) = (Some("target"), Some("logged"), log.count());
    rows.add("logged", "mean", logged, None, Some(log.logged()), units);
    for reward in log.rewards() {
        rows.add(reward.method, "mean", target, None, reward.mean, units);
        rows.add(reward.method, "difference", target, logged, reward.difference, units);
        rows.add(reward.method, "lift", target, logged, reward.lift, units);
    }
    rows.add("ips", "mean_weight", target, None, Some(log.mean_weight()), units);
    rows.add("ips", "effective_rows", target, None, Some(log.effective_rows()), units);
    rows.add("clipped_ips", "clipped", target, None, Some(log.clipped()), units);
}

/// The comoments in a row of a column.
fn comoments(role: &str, width: usize, column: &ArrayRef, row: usize) -> Result<Comoments> {
    let list = column.as_list::<i32>().value(row);
    let comoments = Comoments::of(width, list.as_primitive::<Float64Type>().values())?;
    if comoments.is_finite() {
        return Ok(comoments);
    }
    exec_err!("{NAME}: some values of {role} are so large that their squares are infinite; divide them by a constant")
}

/// Rows of the result.
#[derive(Default)]
struct Rows {
    methods: Vec<&'static str>,
    metrics: Vec<&'static str>,
    variants: Vec<Option<String>>,
    controls: Vec<Option<String>>,
    estimates: Vec<Option<Estimate>>,
    counts: Vec<i64>,
}

impl Rows {
    fn add(
        &mut self,
        method: &'static str,
        metric: &'static str,
        variant: Option<&str>,
        control: Option<&str>,
        estimate: Option<Estimate>,
        count: f64,
    ) {
        self.methods.push(method);
        self.metrics.push(metric);
        self.variants.push(variant.map(str::to_string));
        self.controls.push(control.map(str::to_string));
        self.estimates.push(estimate);
        self.counts.push(count as i64);
    }

    fn batch(self) -> Result<RecordBatch> {
        let numbers = |number: fn(&Estimate) -> Option<f64>| -> ArrayRef {
            let known = self.estimates.iter().map(|estimate| estimate.as_ref().and_then(number));
            Arc::new(known.collect::<Float64Array>())
        };
        let columns = vec![
            Arc::new(StringArray::from(self.methods)) as ArrayRef,
            Arc::new(StringArray::from(self.metrics)),
            Arc::new(StringArray::from(self.variants)),
            Arc::new(StringArray::from(self.controls)),
            numbers(|estimate| Some(estimate.value)),
            numbers(|estimate| Some(estimate.interval?.0)),
            numbers(|estimate| Some(estimate.interval?.1)),
            numbers(|estimate| estimate.p_value),
            Arc::new(Int64Array::from(self.counts)),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

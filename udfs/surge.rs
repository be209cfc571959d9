//! `surge(count, exposure [, topics [, alpha [, rows]]]) OVER (PARTITION BY topic ORDER BY week)`: whether something is suddenly
//! more frequent than it was.
//!
//! Takes counts of a topic, a row a week; gives `Struct{expected, ratio, p_value, alert}` of each week beside the weeks before.
//!
//! # The test
//! The p-value is the larger of two, so that it is right whether or not the counts vary more than chance would have it:
//! - counts of independent events (Poisson): of all events of this week and the weeks before, those of this week are binomial
//!   with the share of the exposure. Przyborowski and Wilenski, "Homogeneity of results in testing samples from Poisson series",
//!   Biometrika 31, 1940, <https://doi.org/10.1093/biomet/31.3-4.313>.
//! - counts that come in clumps: their variance is `phi` times their mean, where `phi` is Pearson's estimate from the weeks before,
//!   at least 1 (McCullagh and Nelder, "Generalized linear models", 1989, section 6.2). The signed root of the negative
//!   binomial deviance of this week and of the weeks before, at their common rate, is taken as Student's t with the degrees of
//!   freedom of `phi`.
//!
//! Surveillance of diseases counts weeks in this way: Noufaily and others, "An improved algorithm for outbreak detection in
//! multiple surveillance systems", Statistics in Medicine 32, 2013, <https://doi.org/10.1002/sim.5595>.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Float64Builder, RecordBatch, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Schema};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion_macros::user_doc;

use crate::distributions::{binomial_upper, t_two_sided};

const NAME: &str = "surge";
const USAGE: &str = "surge(count, exposure [, topics [, alpha [, rows]]]) OVER (PARTITION BY ... ORDER BY ...)";

/// The share of weeks with a false alarm, unless told.
const ALPHA: f64 = 0.05;
/// How many rows before count, unless told, and at the most.
const ROWS: usize = 12;
const MOST_ROWS: usize = 1000;
/// Fewer rows before say nothing of how counts vary.
const FEWEST_ROWS: usize = 2;

/// The function.
pub fn surge() -> WindowUDF {
    Surge::default().into()
}

/// `surge`.
#[user_doc(
    doc_section(label = "Window Functions"),
    description = "Whether a count is suddenly higher than those of the rows before. It tests, for example, a topic's reviews week by week. Gives `expected`, the count that the rate of the rows before (count per exposure) leads to; `ratio`, the count over that; `p_value`, the probability of such a count or a higher one at that rate; and `alert`, whether this is at most `alpha / topics`: so with 0.05 there is a false alarm, in any of the topics, in about one week of twenty at the most. The test allows for counts that vary more than chance alone, as far as the rows before show it. It is made for topics with two events a week or more: add smaller ones up, or count longer periods. Give a row to each week, also to those with a count of 0. NULL for the first rows, and for rows with a NULL, which are also left out of what follows.",
    syntax_example = "surge(count, exposure [, topics [, alpha [, rows]]]) OVER (PARTITION BY topic ORDER BY week)",
    sql_example = "```sql\nSELECT topic, week, s['ratio'] AS ratio\nFROM (SELECT *, surge(complaints, orders, 40) OVER (PARTITION BY topic ORDER BY week) AS s FROM weekly)\nWHERE s['alert'];\n```",
    argument(name = "count", description = "Number of events of the row: 0 or more."),
    argument(
        name = "exposure",
        description = "How many events there could have been, such as all reviews or orders of the week; 1 if weeks are alike."
    ),
    argument(
        name = "topics",
        description = "How many topics are watched at the same time, a number from 1. Default 1."
    ),
    argument(
        name = "alpha",
        description = "The probability of a false alarm in a week, over all topics: a literal between 0 and 1. Default 0.05."
    ),
    argument(
        name = "rows",
        description = "How many rows before each row it is compared with: an integer literal from 2 to 1000. Default 12."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Surge {
    signature: Signature,
}

impl Default for Surge {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl WindowUDFImpl for Surge {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !(2..=5).contains(&types.len()) {
            return plan_err!("{NAME} takes two to five arguments: {USAGE}");
        }
        let names = ["count", "exposure", "topics", "alpha", "rows"];
        if let Some((name, found)) = names.iter().zip(types).find(|(_, found)| !(found.is_numeric() || found.is_null()))
        {
            return plan_err!("{NAME}: {name} is a number, not {found}: {USAGE}");
        }
        Ok(vec![DataType::Float64; types.len()])
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Struct(fields()), true)))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let alpha = literal(&args, 3, "alpha", "a literal between 0 and 1", |alpha| alpha > 0.0 && alpha < 1.0)?;
        let is_count = |rows: f64| rows.fract() == 0.0 && (FEWEST_ROWS as f64..=MOST_ROWS as f64).contains(&rows);
        let rows = literal(&args, 4, "rows", "an integer literal from 2 to 1000", is_count)?;
        let rows = rows.map_or(ROWS, |rows| rows as usize);
        Ok(Box::new(Partition { alpha: alpha.unwrap_or(ALPHA), rows }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("expected", DataType::Float64, true),
        Field::new("ratio", DataType::Float64, true),
        Field::new("p_value", DataType::Float64, true),
        Field::new("alert", DataType::Boolean, true),
    ])
}

/// An argument that is the same for all rows, if it is given.
fn literal(
    args: &PartitionEvaluatorArgs,
    place: usize,
    name: &str,
    range: &str,
    is_good: impl Fn(f64) -> bool,
) -> Result<Option<f64>> {
    let Some(expression) = args.input_exprs().get(place) else { return Ok(None) };
    // A literal needs no columns, and only a literal needs none.
    match expression.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
        Ok(ColumnarValue::Scalar(ScalarValue::Float64(Some(value)))) if is_good(value) => Ok(Some(value)),
        Ok(ColumnarValue::Scalar(value)) => plan_err!("{NAME}: {name} is {range}, not {value}: {USAGE}"),
        _ => plan_err!("{NAME}: {name} is {range}, not a column: {USAGE}"),
    }
}

/// The rows of one topic.
#[derive(Debug)]
struct Partition {
    alpha: f64,
    rows: usize,
}

impl PartitionEvaluator for Partition {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let numbers: Vec<&Float64Array> = values.iter().map(|array| array.as_primitive::<Float64Type>()).collect();
        let [counts, exposures, rest @ ..] = numbers.as_slice() else {
            return internal_err!("{NAME} was called with {} arguments", values.len());
        };
        let (mut expected, mut ratios) = (Float64Builder::new(), Float64Builder::new());
        let (mut p_values, mut alerts) = (Float64Builder::new(), BooleanBuilder::new());
        let mut known = Vec::with_capacity(num_rows);
        let mut weeks: Vec<Week> = Vec::with_capacity(num_rows);
        for row in 0..num_rows {
            let topics = rest.first().map_or(Some(1.0), |topics| topics.is_valid(row).then(|| topics.value(row)));
            let week = match topics {
                Some(_) if counts.is_valid(row) && exposures.is_valid(row) => {
                    Week::try_new(counts.value(row), exposures.value(row))?
                }
                _ => None,
            };
            let test = week.and_then(|week| week.test(&weeks[weeks.len().saturating_sub(self.rows)..]));
            weeks.extend(week);
            let topics = topics.unwrap_or(1.0);
            if !(topics >= 1.0 && topics.is_finite()) {
                return exec_err!("{NAME}: topics is {topics}; it is the number of topics that are watched, from 1");
            }
            known.push(test.is_some());
            expected.append_option(test.map(|test| test.expected));
            ratios.append_option(test.and_then(|test| test.ratio));
            p_values.append_option(test.map(|test| test.p_value));
            alerts.append_option(test.map(|test| test.p_value <= self.alpha / topics));
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(expected.finish()),
            Arc::new(ratios.finish()),
            Arc::new(p_values.finish()),
            Arc::new(alerts.finish()),
        ];
        Ok(Arc::new(StructArray::new(fields(), columns, Some(NullBuffer::from(known)))))
    }
}

/// A row: how many events there were, of how many that there could have been.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Week {
    count: f64,
    exposure: f64,
}

/// What a row is beside those before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The count that was to be expected.
    pub expected: f64,
    /// The count over that; `None` where none was to be expected.
    pub ratio: Option<f64>,
    /// The probability of this count or a higher one.
    pub p_value: f64,
}

impl Week {
    /// A row. `None` if there could be no events.
    ///
    /// # Errors
    /// A number is negative or not finite, or there are events without an exposure.
    pub fn try_new(count: f64, exposure: f64) -> Result<Option<Self>> {
        for (name, value) in [("count", count), ("exposure", exposure)] {
            if !(value >= 0.0 && value.is_finite()) {
                return exec_err!("{NAME}: {name} is {value} in a row; it is a number from 0");
            }
        }
        if exposure > 0.0 {
            return Ok(Some(Self { count, exposure }));
        }
        if count > 0.0 {
            return exec_err!(
                "{NAME}: count is {count} in a row whose exposure is 0; the exposure is how many events there could have been"
            );
        }
        Ok(None)
    }

    /// The test beside the rows before; `None` if there are fewer than two.
    pub fn test(&self, before: &[Self]) -> Option<Test> {
        if before.len() < FEWEST_ROWS {
            return None;
        }
        let count: f64 = before.iter().map(|week| week.count).sum();
        let exposure: f64 = before.iter().map(|week| week.exposure).sum();
        let expected = self.exposure * (count / exposure);
        let ratio = (expected > 0.0).then(|| self.count / expected);
        let all = count + self.count;
        let share = self.exposure / (exposure + self.exposure);
        let chance = binomial_upper(self.count, all, share);
        if all == 0.0 {
            return Some(Test { expected, ratio, p_value: 1.0 });
        }
        let freedom = before.len() as f64 - 1.0;
        let phi = (pearson(before, count / exposure) / freedom).max(1.0);
        let deviance = deviance(self.count, all * share, phi) + deviance(count, all * (1.0 - share), phi);
        let tail = t_two_sided((2.0 * deviance.max(0.0)).sqrt(), freedom) / 2.0;
        let clumps = if self.count > expected { tail } else { 1.0 - tail };
        Some(Test { expected, ratio, p_value: chance.max(clumps) })
    }
}

/// Pearson's statistic of rows with a common rate.
fn pearson(weeks: &[Week], rate: f64) -> f64 {
    let part = |week: &Week| (week.count - week.exposure * rate).powi(2) / (week.exposure * rate);
    if rate > 0.0 { weeks.iter().map(part).sum() } else { 0.0 }
}

/// Half the deviance of a count from its mean above 0, where the variance is `phi`, at least 1, times the mean.
fn deviance(count: f64, mean: f64, phi: f64) -> f64 {
    /// Below this, the negative binomial is a Poisson distribution to more digits than its own formula has.
    const CHANCE: f64 = 1.0 + 1e-6;
    // x ln(x / y), which is 0 at x = 0.
    let part = |x: f64, y: f64| if x > 0.0 { x * (x / y).ln() } else { 0.0 };
    if phi < CHANCE {
        return part(count, mean) - (count - mean);
    }
    let shape = mean / (phi - 1.0);
    part(count, (count + shape) * (1.0 - 1.0 / phi)) + part(shape, (count + shape) / phi)
}

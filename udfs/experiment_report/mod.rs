//! `experiment_report(users => (SELECT ...), interactions => (SELECT ...), ...)`: what an experiment says.
//!
//! Takes named literals and the plans of the sub-queries; gives plans that sum the rows up ([`sums`]), and from their few
//! rows those of the result ([`rows`]). The engine runs what lies between.
//!
//! # Layout
//! - [`comoments`]: the sums, an aggregate; `weight`: importance weights, checked row by row; `plan`: both in a plan
//! - one file for each method: [`welch`], [`cuped`], [`sequential`], [`sample_ratio`], [`off_policy`]
//! - [`estimate`]: a number with its interval
//! - `report`: from sums to the rows of the result

pub mod comoments;
pub mod cuped;
pub mod estimate;
pub mod off_policy;
mod plan;
mod report;
pub mod sample_ratio;
pub mod sequential;
mod weight;
pub mod welch;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

pub use self::plan::sums;
pub use self::report::rows;
use crate::options::setting::{Bound, Default, Kind, Readers, setting};
use crate::options::{Function, Values};
use crate::variants::{self, Variant};

/// The function's name.
pub const NAME: &str = "experiment_report";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "experiment_report(users => (SELECT variant, outcome, ...), interactions => (SELECT target, propensity, label, \
            ...), option => value, ...)",
    description: "The results of an experiment, with intervals and p-values. From `users`, a row per user with the variant and \
                  the outcome: `mean` of each variant, and for each variant compared with the control `difference` and \
                  `lift`, the difference as a share of the control's mean (method `welch`; the interval of the lift by the \
                  delta method). With `before`, the same with the variance that was there before the experiment taken out \
                  (method `cuped`), and the share of the variance that this saves (`variance_reduction`). Method \
                  `sequential` (and `sequential_cuped`) gives a `difference` whose interval and p-value hold however often \
                  you look: look when you like, and stop once its p-value is at most alpha. The others are for one look, at \
                  a time fixed before. `sample_ratio` (method `chi_square`) tests whether the variants have as many users as \
                  they should: below 0.001 something is broken.\n\nFrom `interactions`, a row per item that was shown, with \
                  the `propensity` that it was shown with and the probability `target` with which another policy would have \
                  shown it: the `mean` reward (`label`) of a row under that policy, and its `difference` and `lift` compared \
                  with what was logged, by inverse propensities (`ips`), with weights up to `clip` (`clipped_ips`), \
                  self-normalised (`snips`), and with a model's predictions as well (`direct`, which believes the model, and \
                  `doubly_robust`, which needs either the model or the propensities to be right). `effective_rows` says how \
                  many rows the weights leave, and `mean_weight` is near 1 if the propensities are true and each row is one \
                  choice of all there was. Rows without a propensity are left out. With `user_id`, intervals allow for rows \
                  of one user that depend on each other.\n\nNo row is kept in memory, and there is no correction for \
                  comparing many variants.",
    example: "SELECT method, variant, value, ci_low, ci_high, p_value FROM experiment_report(users => (SELECT variant, spent AS \
              outcome, spent_before AS before\n         FROM 'experiment.parquet')) WHERE metric = 'difference';",
    sub_queries: &[
        (
            "users",
            "A row per user: variant, outcome (a number; TRUE is 1), and optionally before, a number that was known of the \
             user before the experiment began, such as the same outcome in the weeks before; NULL if nothing was",
        ),
        (
            "interactions",
            "A row per item that was shown: target, propensity and label, and optionally user_id and item_id; also \
             predicted, the label that a model predicts for the row, and predicted_target, the one it predicts on average \
             for what the other policy would show instead",
        ),
    ],
    settings: &[
        setting(
            "control",
            Kind::Text,
            Default::Value("control"),
            Readers::All,
            "The variant that the others are compared with",
        ),
        setting(
            "variants",
            Kind::Text,
            Default::Absent,
            Readers::All,
            "The variants with the weights that they should have, as in assign, such as 'control:9,new:1'; by default those \
             that there are, with equal weights",
        ),
        setting(
            "alpha",
            Kind::Number(Bound::Excluding(0.0), Bound::Excluding(1.0)),
            Default::Value("0.05"),
            Readers::All,
            "The probability to find an effect where there is none; intervals have the confidence of one minus alpha",
        ),
        setting(
            "planned_users",
            Kind::Integer(2, 1_000_000_000_000),
            Default::Value("10000"),
            Readers::All,
            "The number of users, of a variant and the control together, at which the sequential interval is narrowest. Do \
             not change it between looks",
        ),
        setting(
            "clip",
            Kind::Number(Bound::Including(1.0), Bound::Including(1_000_000.0)),
            Default::Value("20"),
            Readers::All,
            "Maximum inverse propensity weight of a row, for clipped_ips",
        ),
        setting(
            "columns",
            Kind::Columns(&[
                "variant",
                "outcome",
                "before",
                "user_id",
                "item_id",
                "target",
                "propensity",
                "label",
                "predicted",
                "predicted_target",
            ]),
            Default::Absent,
            Readers::All,
            "Columns whose names differ from their roles",
        ),
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct ExperimentOptions {
    /// The variant that the others are compared with.
    pub control: String,
    /// The variants and the weights that they should have, if the call says so.
    pub variants: Option<Vec<Variant>>,
    /// One minus the confidence of the intervals.
    pub alpha: f64,
    /// The number of users at which the sequential interval is narrowest.
    pub planned_users: f64,
    /// Largest inverse propensity.
    pub clip: f64,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
}

impl ExperimentOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// The variants are not what `assign` takes.
    pub fn of(values: &Values) -> Result<Self> {
        Ok(Self {
            control: values.text("control")?.to_string(),
            variants: values.text_of("variants").map(|text| variants::parse(NAME, text)).transpose()?,
            alpha: values.number("alpha")?,
            planned_users: values.integer("planned_users")? as f64,
            clip: values.number("clip")?,
            columns: values.columns("columns"),
        })
    }
}

/// The columns of the result.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("method", DataType::Utf8, false),
            Field::new("metric", DataType::Utf8, false),
            Field::new("variant", DataType::Utf8, true),
            Field::new("control", DataType::Utf8, true),
            Field::new("value", DataType::Float64, true),
            Field::new("ci_low", DataType::Float64, true),
            Field::new("ci_high", DataType::Float64, true),
            Field::new("p_value", DataType::Float64, true),
            Field::new("n", DataType::Int64, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

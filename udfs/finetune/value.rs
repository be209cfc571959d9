//! One option's value, read from SQL.
//!
//! Takes a literal, or a default's text; gives a [`Value`] that lies in the option's range. What a value displays as is
//! what it is read from, so that runs' options can be stored and compared as text. Called by `options`.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use arrow::array::Array;
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::DataType;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Result, ScalarValue, plan_err};

use super::NAME;
use super::settings::{Bound, Kind, Setting, alternatives};

/// A value in its option's range.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, one of the names that an option knows, or a moment.
    Text(String),
    /// An integer.
    Integer(u64),
    /// A finite number.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// Names, at least one.
    Names(Vec<String>),
    /// Columns by role.
    Columns(BTreeMap<String, String>),
}

impl Value {
    /// The value of a literal.
    ///
    /// # Errors
    /// It is NULL, of another kind, or out of range; the message names option, value and range.
    pub fn of(setting: &Setting, literal: &ScalarValue) -> Result<Self> {
        if literal.is_null() {
            return plan_err!("{NAME}: {} is NULL; leave it out to use the default", setting.name);
        }
        match literal {
            ScalarValue::List(list) => Self::of_list(setting, list.values().as_ref()),
            ScalarValue::LargeList(list) => Self::of_list(setting, list.values().as_ref()),
            ScalarValue::FixedSizeList(list) => Self::of_list(setting, list.values().as_ref()),
            other if other.data_type().is_nested() => Err(wrong(setting, &format!("a {}", other.data_type()))),
            other => match other.cast_to(&DataType::Utf8)? {
                ScalarValue::Utf8(Some(text)) => Self::parse(setting, &text),
                _ => Err(wrong(setting, &format!("a {}", other.data_type()))),
            },
        }
    }

    fn of_list(setting: &Setting, items: &dyn Array) -> Result<Self> {
        let Kind::Names = setting.kind else { return Err(wrong(setting, "a list")) };
        let mut names = Vec::with_capacity(items.len());
        for row in 0..items.len() {
            match ScalarValue::try_from_array(items, row)?.try_as_str() {
                Some(Some(name)) => names.push(name.to_string()),
                _ => return Err(wrong(setting, "a list of something else")),
            }
        }
        Self::parse(setting, &names.join(","))
    }

    /// The value that a text stands for.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn parse(setting: &Setting, text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let refused = || wrong(setting, &format!("'{text}'"));
        match setting.kind {
            Kind::Text if trimmed.is_empty() => Err(refused()),
            Kind::Text => Ok(Self::Text(trimmed.to_string())),
            Kind::OneOf(values) => match values.iter().find(|value| value.eq_ignore_ascii_case(trimmed)) {
                Some(value) => Ok(Self::Text((*value).to_string())),
                None => plan_err!(
                    "{NAME}: {} is {}, not '{text}'{}",
                    setting.name,
                    setting.kind,
                    did_you_mean(trimmed, values)
                ),
            },
            Kind::Integer(least, most) => match trimmed.parse::<u64>() {
                Ok(value) if (least..=most).contains(&value) => Ok(Self::Integer(value)),
                _ => Err(refused()),
            },
            Kind::Number(least, most) => match trimmed.parse::<f64>() {
                Ok(value) if within(value, least, most) => Ok(Self::Number(value)),
                _ => Err(refused()),
            },
            Kind::Boolean => trimmed.to_ascii_lowercase().parse().map(Self::Boolean).map_err(|_| refused()),
            Kind::Names => {
                let names: Vec<String> = trimmed.split(',').map(|name| name.trim().to_string()).collect();
                if names.iter().any(String::is_empty) { Err(refused()) } else { Ok(Self::Names(names)) }
            }
            Kind::Columns(roles) => columns(setting, text, roles).map(Self::Columns),
            Kind::Moment if trimmed.parse::<i64>().is_ok() || string_to_timestamp_nanos(trimmed).is_ok() => {
                Ok(Self::Text(trimmed.to_string()))
            }
            Kind::Moment => Err(refused()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Names(names) => f.write_str(&names.join(",")),
            Self::Columns(columns) => {
                let pairs: Vec<_> = columns.iter().map(|(role, column)| format!("{role}={column}")).collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}

fn within(value: f64, least: Bound, most: Bound) -> bool {
    let above = match least {
        Bound::Including(least) => value >= least,
        Bound::Excluding(least) => value > least,
    };
    let below = match most {
        Bound::Including(most) => value <= most,
        Bound::Excluding(most) => value < most,
    };
    above && below
}

/// `role=column, ...`.
fn columns(setting: &Setting, text: &str, roles: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut columns = BTreeMap::new();
    for pair in text.split(',') {
        let Some((role, column)) = pair.split_once('=').map(|(role, column)| (role.trim(), column.trim())) else {
            return plan_err!("{NAME}: {} is {}, not '{text}'", setting.name, setting.kind);
        };
        if !roles.contains(&role) {
            return plan_err!(
                "{NAME}: {} has no role '{role}'{}; the roles are {}",
                setting.name,
                did_you_mean(role, roles),
                roles.join(", ")
            );
        }
        if column.is_empty() {
            return plan_err!("{NAME}: {} names no column for '{role}'", setting.name);
        }
        if columns.insert(role.to_string(), column.to_string()).is_some() {
            return plan_err!("{NAME}: {} names two columns for '{role}'", setting.name);
        }
    }
    Ok(columns)
}

fn wrong(setting: &Setting, found: &str) -> datafusion::common::DataFusionError {
    datafusion::common::plan_datafusion_err!("{NAME}: {} is {}, not {found}", setting.name, setting.kind)
}

/// `; did you mean 'x'?`, where one of the names is close.
pub fn did_you_mean(text: &str, names: &[&str]) -> String {
    let text = text.to_ascii_lowercase();
    let closest = names.iter().map(|name| (levenshtein(&text, name), *name)).min();
    match closest {
        // A third of the letters wrong is another word.
        Some((distance, name)) if distance * 3 <= name.len().max(text.len()) => {
            format!("; did you mean {}?", alternatives(&[name]))
        }
        _ => String::new(),
    }
}

//! One option's value, read from SQL.
//!
//! Takes a literal, or a default's text; gives a [`Value`] that lies in the option's range. What a value displays as is
//! what it is read from, so that options can be stored and compared as text.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use arrow::array::Array;
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::DataType;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Result, ScalarValue, plan_err};

use super::setting::{Bound, Kind, Setting, alternatives};

/// The moment at which what was done last time ends.
pub const LAST: &str = "last";

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
    /// Integers, at least one.
    Integers(Vec<u64>),
    /// Finite numbers, at least one.
    Numbers(Vec<f64>),
    /// Columns by role.
    Columns(BTreeMap<String, String>),
}

impl Value {
    /// The value of a literal in a call of `function`.
    ///
    /// # Errors
    /// It is NULL, of another kind, or out of range; the message names function, option, value and range.
    pub fn of(function: &str, setting: &Setting, literal: &ScalarValue) -> Result<Self> {
        if literal.is_null() {
            return plan_err!("{function}: {} is NULL; leave it out to use the default", setting.name);
        }
        match literal {
            ScalarValue::List(list) => Self::of_list(function, setting, list.values().as_ref()),
            ScalarValue::LargeList(list) => Self::of_list(function, setting, list.values().as_ref()),
            ScalarValue::FixedSizeList(list) => Self::of_list(function, setting, list.values().as_ref()),
            other if other.data_type().is_nested() => {
                Err(wrong(function, setting, &format!("a {}", other.data_type())))
            }
            other => match other.cast_to(&DataType::Utf8)? {
                ScalarValue::Utf8(Some(text)) => Self::parse(function, setting, &text),
                _ => Err(wrong(function, setting, &format!("a {}", other.data_type()))),
            },
        }
    }

    fn of_list(function: &str, setting: &Setting, items: &dyn Array) -> Result<Self> {
        if !matches!(setting.kind, Kind::Names | Kind::Integers(..) | Kind::Numbers(..)) {
            return Err(wrong(function, setting, "a list"));
        }
        let mut parts = Vec::with_capacity(items.len());
        for row in 0..items.len() {
            let item = ScalarValue::try_from_array(items, row)?;
            let text = match item.data_type() {
                other if other.is_numeric() && !matches!(setting.kind, Kind::Names) => item.cast_to(&DataType::Utf8)?,
                _ => item,
            };
            match text.try_as_str() {
                Some(Some(part)) => parts.push(part.to_string()),
                _ => return Err(wrong(function, setting, "a list of something else")),
            }
        }
        Self::parse(function, setting, &parts.join(","))
    }

    /// The value that a text stands for.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn parse(function: &str, setting: &Setting, text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let refused = || wrong(function, setting, &format!("'{text}'"));
        match setting.kind {
            Kind::Text if trimmed.is_empty() => Err(refused()),
            Kind::Text => Ok(Self::Text(trimmed.to_string())),
            Kind::OneOf(values) => match values.iter().find(|value| value.eq_ignore_ascii_case(trimmed)) {
                Some(value) => Ok(Self::Text((*value).to_string())),
                None => plan_err!(
                    "{function}: {} is {}, not '{text}'{}",
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
            Kind::Integers(least, most) => {
                let values = trimmed.split(',').map(|part| part.trim().parse::<u64>().ok());
                let values = values.map(|value| value.filter(|value| (least..=most).contains(value)));
                values.collect::<Option<_>>().map(Self::Integers).ok_or_else(refused)
            }
            Kind::Numbers(least, most) => {
                let values = trimmed.split(',').map(|part| part.trim().parse::<f64>().ok());
                let values = values.map(|value| value.filter(|value| within(*value, least, most)));
                values.collect::<Option<_>>().map(Self::Numbers).ok_or_else(refused)
            }
            Kind::Columns(roles) => columns(function, setting, text, roles).map(Self::Columns),
            Kind::Moment if trimmed.eq_ignore_ascii_case(LAST) => Ok(Self::Text(LAST.to_string())),
            Kind::Moment if trimmed.parse::<i64>().is_ok() => Ok(Self::Text(trimmed.to_string())),
            Kind::Moment | Kind::Timestamp => match string_to_timestamp_nanos(trimmed) {
                Ok(_) => Ok(Self::Text(trimmed.to_string())),
                Err(_) => Err(refused()),
            },
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
            Self::Integers(values) => f.write_str(&joined(values)),
            Self::Numbers(values) => f.write_str(&joined(values)),
            Self::Columns(columns) => {
                let pairs: Vec<_> = columns.iter().map(|(role, column)| format!("{role}={column}")).collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}

fn joined(values: &[impl Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
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
fn columns(function: &str, setting: &Setting, text: &str, roles: &[&str]) -> Result<BTreeMap<String, String>> {
    let mut columns = BTreeMap::new();
    for pair in text.split(',') {
        let Some((role, column)) = pair.split_once('=').map(|(role, column)| (role.trim(), column.trim())) else {
            return plan_err!("{function}: {} is {}, not '{text}'", setting.name, setting.kind);
        };
        if !roles.contains(&role) {
            return plan_err!(
                "{function}: {} has no role '{role}'{}; the roles are {}",
                setting.name,
                did_you_mean(role, roles),
                roles.join(", ")
            );
        }
        if column.is_empty() {
            return plan_err!("{function}: {} names no column for '{role}'", setting.name);
        }
        if columns.insert(role.to_string(), column.to_string()).is_some() {
            return plan_err!("{function}: {} names two columns for '{role}'", setting.name);
        }
    }
    Ok(columns)
}

fn wrong(function: &str, setting: &Setting, found: &str) -> datafusion::common::DataFusionError {
    datafusion::common::plan_datafusion_err!("{function}: {} is {}, not {found}", setting.name, setting.kind)
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

//! All options of a call: given values, defaults, and which options are read at all.
//!
//! Takes names and literals; gives a [`Value`] for each option that the call reads, to be taken out by name and kind.

use std::collections::BTreeMap;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};

use super::Function;
use super::setting::{Default, Readers};
use super::value::Value;

/// A value for each option that a call reads.
#[derive(Debug, Clone)]
pub struct Values {
    function: &'static Function,
    values: BTreeMap<&'static str, Value>,
}

impl Values {
    /// The values of a call, defaults included; `session_model` is the session's `debut.model`.
    ///
    /// # Errors
    /// A name is unknown or given twice, a value is of the wrong kind or out of range, one is missing, or one is not read
    /// by what the others say. Messages name function, option, value and range.
    pub fn of<'a>(
        function: &'static Function,
        given: impl IntoIterator<Item = (&'a str, &'a ScalarValue)>,
        session_model: &str,
    ) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (name, literal) in given {
            let setting = function.setting(name)?;
            if values.insert(setting.name, Value::of(function.name, setting, literal)?).is_some() {
                return plan_err!("{}: {name} is given twice", function.name);
            }
        }
        Self { function, values: BTreeMap::new() }.fill(values, session_model)
    }

    /// Puts the defaults in, and refuses what is not read. Options stand behind those that decide whether they are read.
    fn fill(mut self, mut given: BTreeMap<&'static str, Value>, session_model: &str) -> Result<Self> {
        let function = self.function;
        for setting in function.settings {
            let value = given.remove(setting.name);
            let (is_read, is_for) = match setting.readers {
                Readers::All => (true, "works only with"),
                Readers::Where(option, wanted) => (self.is_one_of(option, wanted), "works only with"),
                Readers::Except(option, others) => (!self.is_one_of(option, others), "cannot be used with"),
                Readers::On(option) => (self.flag(option), "works only with"),
                Readers::Given(option) => (self.values.contains_key(option), "works only with"),
                Readers::GivenExcept(option, other, others) => {
                    (self.values.contains_key(option) && !self.is_one_of(other, others), "works only with")
                }
            };
            if !is_read {
                if value.is_some() {
                    return plan_err!(
                        "{}: {} {is_for} {}; leave it out here",
                        function.name,
                        setting.name,
                        setting.readers.condition()
                    );
                }
                continue;
            }
            let default = match setting.default {
                Default::Value(text) => Some(text),
                Default::By { cases, otherwise } => {
                    let case = cases.iter().find(|(option, wanted, _)| self.is_one_of(option, &[*wanted]));
                    case.map(|(.., text)| *text).or(otherwise)
                }
                Default::SessionModel => Some(session_model),
                Default::Absent => None,
                Default::Required if value.is_none() => {
                    return plan_err!("{} needs {} => ...: {}", function.name, setting.name, function.usage);
                }
                Default::Required => None,
            };
            let value = match (value, default) {
                (Some(value), _) => value,
                (None, Some(text)) => Value::parse(function.name, setting, text)?,
                (None, None) => continue,
            };
            self.values.insert(setting.name, value);
        }
        Ok(self)
    }

    fn is_one_of(&self, option: &str, names: &[&str]) -> bool {
        self.text_of(option).is_some_and(|value| names.contains(&value))
    }

    /// Every option that is read, by name, with its value as text, defaults included: what calls are compared by.
    pub fn texts(&self) -> BTreeMap<&'static str, String> {
        self.values.iter().map(|(name, value)| (*name, value.to_string())).collect()
    }

    /// A text, a name or a moment, if it is there.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text that is there.
    ///
    /// # Errors
    /// It is not, which would be our mistake; so for the others.
    pub fn text(&self, name: &str) -> Result<&str> {
        self.needed(name, self.text_of(name))
    }

    /// A timestamp in microseconds since 1970, if it is there.
    ///
    /// # Errors
    /// None in practice: it was read as one before.
    pub fn timestamp_of(&self, name: &str) -> Result<Option<i64>> {
        let nanos = self.text_of(name).map(string_to_timestamp_nanos).transpose()?;
        Ok(nanos.map(|nanos| nanos.div_euclid(1000)))
    }

    /// An integer, if it is there.
    pub fn integer_of(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// An integer that is there.
    ///
    /// # Errors
    /// As for [`Self::text`].
    pub fn integer(&self, name: &str) -> Result<u64> {
        self.needed(name, self.integer_of(name))
    }

    /// An integer as a count, if it is there and memory could hold so many.
    pub fn count_of(&self, name: &str) -> Option<usize> {
        self.integer_of(name).and_then(|value| usize::try_from(value).ok())
    }

    /// A count that is there.
    ///
    /// # Errors
    /// As for [`Self::text`].
    pub fn count(&self, name: &str) -> Result<usize> {
        self.needed(name, self.count_of(name))
    }

    /// A number, if it is there.
    pub fn number_of(&self, name: &str) -> Option<f64> {
        match self.values.get(name) {
            Some(Value::Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// A number that is there.
    ///
    /// # Errors
    /// As for [`Self::text`].
    pub fn number(&self, name: &str) -> Result<f64> {
        self.needed(name, self.number_of(name))
    }

    /// Whether an option is there and true.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Boolean(true)))
    }

    /// Names; none where the option is not there. So for the others.
    pub fn names(&self, name: &str) -> Vec<String> {
        match self.values.get(name) {
            Some(Value::Names(names)) => names.clone(),
            _ => Vec::new(),
        }
    }

    /// Counts.
    pub fn counts(&self, name: &str) -> Vec<usize> {
        match self.values.get(name) {
            Some(Value::Integers(values)) => values.iter().filter_map(|value| usize::try_from(*value).ok()).collect(),
            _ => Vec::new(),
        }
    }

    /// Numbers.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        match self.values.get(name) {
            Some(Value::Numbers(values)) => values.clone(),
            _ => Vec::new(),
        }
    }

    /// Columns by role.
    pub fn columns(&self, name: &str) -> BTreeMap<String, String> {
        match self.values.get(name) {
            Some(Value::Columns(columns)) => columns.clone(),
            _ => BTreeMap::new(),
        }
    }

    fn needed<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        match value {
            Some(value) => Ok(value),
            None => internal_err!("{}: {name} has no value of its kind", self.function.name),
        }
    }
}

//! Column types: takes a column as a query gave it, gives it in the one form in which its role is read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::error::ArrowError;
use debut_udfs::model::Modality;

use super::{Error, ExampleForm, Role};

/// The form in which a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Ids, texts and classes: as text, so that the number 1 and the text '1' are the same id.
    Text,
    /// Pictures: the bytes of their files.
    Bytes,
    /// Weights and numeric labels.
    Number,
    /// Microseconds since 1970, or integers as they are.
    Time,
}

impl Form {
    /// The form of a role's column in examples of this form.
    pub(super) fn of(role: Role, examples: ExampleForm) -> Self {
        match role {
            Role::Weight => Self::Number,
            Role::Label if examples != ExampleForm::Labels => Self::Number,
            Role::Timestamp => Self::Time,
            Role::Image => Self::Bytes,
            _ => Self::Text,
        }
    }

    /// What a column of this form may be; `None` if `found` is that.
    pub(super) fn refuses(self, role: Role, found: &DataType) -> Option<&'static str> {
        use DataType::{Boolean, Date32, Date64, Dictionary, LargeUtf8, Timestamp, Utf8, Utf8View};
        let found = if let Dictionary(_, values) = found { values } else { found };
        let text = matches!(found, Utf8 | LargeUtf8 | Utf8View);
        let id = !matches!(role, Role::Text | Role::Positive | Role::Negative | Role::Other);
        let (accepted, expected) = match self {
            Self::Text if id => (text || found.is_numeric() || *found == Boolean, "an integer or a text"),
            Self::Text => (text, "a text"),
            Self::Bytes => (
                Modality::of(found) == Some(Modality::Bytes),
                "the bytes of a picture's file, as Parquet keeps them and read_file(path) gives them",
            ),
            Self::Number => (text || found.is_numeric() || *found == Boolean, "a number, a boolean or a text"),
            Self::Time => (
                text || found.is_integer() || matches!(found, Timestamp(..) | Date32 | Date64),
                "a timestamp, a date, an integer or a text such as '2026-01-31 12:00:00'",
            ),
        };
        (!accepted).then_some(expected)
    }
}

/// A column in its form. What cannot be converted becomes NULL.
pub(super) fn read(array: &ArrayRef, form: Form) -> Result<ArrayRef, ArrowError> {
    match form {
        Form::Text => cast(array, &DataType::Utf8View),
        Form::Bytes => cast(&plain(array)?, &DataType::BinaryView),
        Form::Number => {
            let plain = plain(array)?;
            match plain.as_string_view_opt() {
                None => cast(&plain, &DataType::Float64),
                Some(texts) => {
                    let values = texts.iter().map(|text| text.and_then(number)).collect::<Float64Array>();
                    Ok(Arc::new(values))
                }
            }
        }
        Form::Time => {
            let plain = plain(array)?;
            if plain.data_type().is_integer() {
                return cast(&plain, &DataType::Int64);
            }
            // The zone stays, because dropping it would shift the instant to the wall clock's.
            let zone = match plain.data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let instants = cast(&plain, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
            cast(&instants, &DataType::Int64)
        }
    }
}

/// The values of a dictionary, and any text as views.
fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let value = if let DataType::Dictionary(_, value) = array.data_type() { value } else { array.data_type() };
    match value {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => cast(array, &DataType::Utf8View),
        value => cast(array, value),
    }
}

/// A text as a number: `1.5`, `true`, `no`, ...
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let word = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) if word(&["true", "t", "yes", "y"]) => Some(1.0),
        Err(_) if word(&["false", "f", "no", "n"]) => Some(0.0),
        Err(_) => None,
    }
}

/// One value for people.
pub(super) fn display(array: &ArrayRef, row: usize) -> String {
    cast(&array.slice(row, 1), &DataType::Utf8View)
        .ok()
        .and_then(|text| text.as_string_view_opt().map(|text| text.value(0).to_owned()))
        .unwrap_or_default()
}

/// Whether times of this type are integers.
pub(super) fn is_integer(column: &DataType) -> bool {
    let column = if let DataType::Dictionary(_, value) = column { value } else { column };
    column.is_integer()
}

/// The option `since` in the form of the column it is compared to.
///
/// # Errors
/// It is neither a time nor, for a column of integers, an integer.
pub(super) fn since(text: &str, column: &DataType) -> Result<i64, Error> {
    let wrong = |expected: &str| Error::Option {
        option: "since",
        value: format!("'{text}'"),
        reason: format!("is not {expected}, as the column of the role 'timestamp' has ({column})"),
    };
    if is_integer(column) {
        return text.trim().parse().map_err(|_| wrong("an integer"));
    }
    let array: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
    let value = read(&array, Form::Time).map_err(Error::arrow("since"))?;
    match value.as_primitive_opt::<Int64Type>() {
        Some(value) if value.is_valid(0) => Ok(value.value(0)),
        _ => Err(wrong("a time such as '2026-01-31' or '2026-01-31T12:00:00'")),
    }
}

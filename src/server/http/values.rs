//! Values that several routes read: a text or several, an id, a column of ids.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, Result};

/// A text, or a list of texts; `null` stands for SQL's NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Texts {
    /// One.
    One(String),
    /// Several.
    Many(Vec<Option<String>>),
}

impl Texts {
    /// The texts.
    pub(super) fn into_vec(self) -> Vec<Option<String>> {
        match self {
            Self::One(text) => vec![Some(text)],
            Self::Many(texts) => texts,
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer, "a text or a list of texts", Self::One, Self::Many)
    }
}

/// Reads what is a text or a list. Serde's untagged enums would, too, without saying which row is wrong.
///
/// # Errors
/// It is neither, which is told as `expected`; or an item of the list is not what it should be.
pub(super) fn text_or_list<'de, D: Deserializer<'de>, L: Deserialize<'de>, T>(
    deserializer: D,
    expected: &'static str,
    text: fn(String) -> T,
    list: fn(Vec<L>) -> T,
) -> Result<T, D::Error> {
    struct Either<L, T> {
        expected: &'static str,
        text: fn(String) -> T,
        list: fn(Vec<L>) -> T,
    }

    impl<'de, L: Deserialize<'de>, T> Visitor<'de> for Either<L, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            Ok((self.text)(text.to_owned()))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok((self.list)(list))
        }
    }

    deserializer.deserialize_any(Either { expected, text, list })
}

/// An id: an integer or a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Id {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a text")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Id, E> {
                Ok(Id::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Id, E> {
                let value = i64::try_from(value);
                value.map(Id::Integer).map_err(|_| E::custom("an id is an integer of 64 bits with a sign, or a text"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// Ids as a column; all integers or all texts.
///
/// # Errors
/// There are both.
pub(super) fn ids<'a>(field: &str, ids: impl Iterator<Item = Option<&'a Id>> + Clone) -> Result<ArrayRef> {
    let integers = ids.clone().flatten().any(|id| matches!(id, Id::Integer(_)));
    let texts = ids.clone().flatten().any(|id| matches!(id, Id::Text(_)));
    match (integers, texts) {
        (true, true) => Err(ApiError::field(field, "some are integers and some are texts: send all as one of them")),
        (true, false) => Ok(Arc::new(
            ids.map(|id| if let Some(Id::Integer(value)) = id { Some(*value) } else { None }).collect::<Int64Array>(),
        )),
        _ => Ok(Arc::new(
            ids.map(|id| if let Some(Id::Text(text)) = id { Some(text.as_str()) } else { None })
                .collect::<StringArray>(),
        )),
    }
}

/// Fails if there is more than a request may have.
pub(super) fn at_most(field: &str, found: usize, most: usize) -> Result<()> {
    if found > most {
        return Err(ApiError::field(field, format!("{found} are more than {most}: send several requests")));
    }
    Ok(())
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Response> {
    Ok(answer(json_bytes(value)?))
}

/// An object of fields that are JSON already.
pub(super) fn json_object<const N: usize>(fields: [(&'static str, Vec<u8>); N]) -> Response {
    let mut object = Vec::with_capacity(fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum());
    for (name, value) in fields {
        object.push(if object.is_empty() { b'{' } else { b',' });
        object.extend_from_slice(format!("\"{name}\":").as_bytes());
        object.extend_from_slice(&value);
    }
    object.push(b'}');
    answer(object)
}

/// JSON as bytes.
pub(super) fn json_bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| ApiError::internal(&error))
}

fn answer(json: Vec<u8>) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "application/json")], json).into_response()
}

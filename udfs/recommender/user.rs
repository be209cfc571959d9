//! A user as one text, which is how `score(user, item, model)` hands users to a model.
//!
//! Takes a column of ids or of vectors; gives texts. A recommender reads them back with [`UserKey::decode`]. A vector
//! stands behind a control character, so that no id is mistaken for one.

use arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use datafusion::common::{Result, exec_err};

use crate::text::{is_text, text_views};
use crate::vectors::Vectors;

/// What stands in front of a vector, and of an id that begins with it.
const MARK: char = '\u{1}';
const VECTOR: char = 'v';
const ID: char = 'i';

/// Who a score is for.
#[derive(Debug, Clone, PartialEq)]
pub enum UserKey<'a> {
    /// A user by id; integers in decimal.
    Id(&'a str),
    /// A user by a vector of the model's encoder, such as a profile of a history.
    Vector(Vec<f32>),
}

impl<'a> UserKey<'a> {
    /// The user as a text.
    pub fn encode(&self) -> String {
        match self {
            Self::Id(id) if id.starts_with(MARK) => format!("{MARK}{ID}{id}"),
            Self::Id(id) => (*id).to_string(),
            Self::Vector(vector) => encode_vector(vector),
        }
    }

    /// The user that a text stands for.
    ///
    /// # Errors
    /// The text was not made by [`Self::encode`].
    pub fn decode(text: &'a str) -> Result<Self> {
        let Some(marked) = text.strip_prefix(MARK) else { return Ok(Self::Id(text)) };
        if let Some(id) = marked.strip_prefix(ID) {
            return Ok(Self::Id(id));
        }
        let digits = marked.strip_prefix(VECTOR).filter(|digits| digits.is_ascii() && digits.len().is_multiple_of(8));
        let values = digits.map(|digits| {
            let value = |start: usize| u32::from_str_radix(&digits[start..start + 8], 16).map(f32::from_bits);
            (0..digits.len()).step_by(8).map(value).collect::<Result<Vec<_>, _>>()
        });
        match values {
            Some(Ok(values)) => Ok(Self::Vector(values)),
            _ => exec_err!("a user is neither an id nor a vector"),
        }
    }
}

/// Eight hexadecimal digits for the bits of each value: exact, and text like any other.
fn encode_vector(vector: &[f32]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + vector.len() * 8);
    text.extend([MARK, VECTOR]);
    for value in vector {
        // Writing to a String does not fail.
        let _ = write!(text, "{:08x}", value.to_bits());
    }
    text
}

/// A column of users as texts: integers, text, or vectors of `f32`.
///
/// # Errors
/// The column holds something else.
pub fn user_keys(users: &ArrayRef) -> Result<StringViewArray> {
    match users.data_type() {
        DataType::FixedSizeList(..) => {
            let vectors = Vectors::<Float32Type>::try_new("score", users)?;
            Ok((0..users.len()).map(|row| vectors.row(row).map(encode_vector)).collect())
        }
        integer if integer.is_integer() || integer.is_null() => text_views(&cast(users, &DataType::Utf8)?),
        text if is_text(text) => {
            let ids = text_views(users)?;
            if ids.iter().flatten().all(|id| !id.starts_with(MARK)) {
                return Ok(ids);
            }
            let mut keys = StringViewBuilder::with_capacity(ids.len());
            ids.iter().for_each(|id| keys.append_option(id.map(|id| UserKey::Id(id).encode())));
            Ok(keys.finish())
        }
        other => exec_err!("score reads no users of {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, Int32Array, StringArray};

    use super::*;

    #[test]
    fn every_user_comes_back() {
        let ids = ["", "17", "-3", "\u{1}", "\u{1}v00000000", "\u{1}i", "zoë"];
        let vectors = [vec![], vec![0.0, -0.0, 1.5, f32::MIN_POSITIVE, -1e30]];
        let users = ids.map(UserKey::Id).into_iter().chain(vectors.map(UserKey::Vector));
        for user in users {
            let text = user.encode();
            assert_eq!(UserKey::decode(&text).unwrap(), user, "{text:?}");
        }
        assert_eq!(UserKey::Id("17").encode(), "17");
        for broken in ["\u{1}", "\u{1}v0", "\u{1}v0000000g", "\u{1}vé000000", "\u{1}x"] {
            assert!(UserKey::decode(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn columns_of_users_are_texts() {
        let keys = |column: ArrayRef| {
            user_keys(&column).unwrap().iter().map(|key| key.map(str::to_string)).collect::<Vec<_>>()
        };
        let text = |key: &str| Some(key.to_string());
        assert_eq!(keys(Arc::new(Int32Array::from(vec![Some(-7), None]))), [text("-7"), None]);
        assert_eq!(keys(Arc::new(StringArray::from(vec![Some("a"), None]))), [text("a"), None]);
        assert_eq!(keys(Arc::new(StringArray::from(vec!["\u{1}a"]))), [text("\u{1}i\u{1}a")]);
        let vectors = [Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(3.0), None])];
        let vectors = keys(Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2)));
        assert_eq!(UserKey::decode(vectors[0].as_ref().unwrap()).unwrap(), UserKey::Vector(vec![1.0, 2.0]));
        assert_eq!(vectors[1..], [None, None]);
        let message = user_keys(&(Arc::new(arrow::array::Float64Array::from(vec![1.0])) as ArrayRef));
        assert!(message.unwrap_err().to_string().contains("Float64"));
    }
}

//! What models read: rows of text, of two texts, or of bytes.
//!
//! Takes columns in every Arrow form they come in; gives their rows as bytes, by which the distinct ones are found, and
//! the [`Input`] that a model is handed. Whether a model reads text or bytes is its [`Modality`].

use std::fmt::{self, Display};

use arrow::array::{Array, ArrayRef, BinaryViewArray, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::cast::as_binary_view_array;

use crate::text::{is_text, text_views};

/// What one input of a model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Modality {
    /// A text.
    #[default]
    Text,
    /// Bytes that are no text to Debut, such as the content of a file: what they mean is up to the model.
    Bytes,
}

impl Modality {
    /// Every modality.
    pub const ALL: [Self; 2] = [Self::Text, Self::Bytes];

    /// The modality of a column's values; `None` for values that no model reads.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            text if is_text(text) => Some(Self::Text),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Some(Self::Bytes)
            }
            DataType::Dictionary(_, values) => Self::of(values),
            _ => None,
        }
    }

    /// The rows of a column as bytes; those of a text are its UTF-8. Where the column allows it nothing is copied.
    ///
    /// # Errors
    /// The column is of another modality.
    pub fn views(self, column: &ArrayRef) -> Result<BinaryViewArray> {
        Ok(match self {
            Self::Text => text_views(column)?.to_binary_view(),
            Self::Bytes => as_binary_view_array(&cast(column, &DataType::BinaryView)?)?.clone(),
        })
    }
}

impl Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
        })
    }
}

/// What a row of an [`Input`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// One text.
    Texts,
    /// Two texts.
    Pairs,
    /// Bytes.
    Bytes,
}

impl InputKind {
    /// What a model of `modality` is handed by a call of one argument, or of two (`pairs`), which are texts.
    pub fn of(modality: Modality, pairs: bool) -> Self {
        match (modality, pairs) {
            (_, true) => Self::Pairs,
            (Modality::Text, false) => Self::Texts,
            (Modality::Bytes, false) => Self::Bytes,
        }
    }

    /// What each part of a row is.
    pub fn modality(self) -> Modality {
        match self {
            Self::Texts | Self::Pairs => Modality::Text,
            Self::Bytes => Modality::Bytes,
        }
    }
}

impl Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Texts => "one text a row",
            Self::Pairs => "two texts a row",
            Self::Bytes => "bytes, one value a row",
        })
    }
}

/// Rows for a model, none of them NULL.
#[derive(Debug, Clone)]
pub enum Input {
    /// One text a row.
    Texts(StringArray),
    /// Two texts a row, of equal length, for [`crate::model::Task::CrossEncoder`]; and for
    /// [`crate::model::Task::Recommender`], whose texts are a [`crate::recommender::UserKey`] and a
    /// [`crate::recommender::ItemKey`].
    Pairs(StringArray, StringArray),
    /// Bytes, one value a row, for models of [`Modality::Bytes`]. They stay in the buffers of the column they come from:
    /// pictures are large.
    Bytes(BinaryViewArray),
}

impl Input {
    /// What a row is.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Texts(_) => InputKind::Texts,
            Self::Pairs(..) => InputKind::Pairs,
            Self::Bytes(_) => InputKind::Bytes,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Texts(texts) | Self::Pairs(texts, _) => texts.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// The two parts of a row as bytes; only a pair has a second.
    pub fn row(&self, row: usize) -> (&[u8], &[u8]) {
        match self {
            Self::Texts(texts) => (texts.value(row).as_bytes(), &[]),
            Self::Pairs(firsts, seconds) => (firsts.value(row).as_bytes(), seconds.value(row).as_bytes()),
            Self::Bytes(values) => (values.value(row), &[]),
        }
    }

    /// Some of the rows, in the order of `rows`.
    ///
    /// # Errors
    /// There is no such row, or the result would hold more than 2 GiB.
    pub fn take(&self, rows: &[u32]) -> Result<Self> {
        let rows = UInt32Array::from(rows.to_vec());
        let texts = |texts: &StringArray| -> Result<StringArray> { Ok(take(texts, &rows, None)?.to_data().into()) };
        Ok(match self {
            Self::Texts(firsts) => Self::Texts(texts(firsts)?),
            Self::Pairs(firsts, seconds) => Self::Pairs(texts(firsts)?, texts(seconds)?),
            Self::Bytes(values) => Self::Bytes(take(values, &rows, None)?.to_data().into()),
        })
    }
}

//! What models read: rows of text, of two texts, of bytes, or of a text and bytes.
//!
//! Takes columns in every Arrow form they come in; gives their rows as bytes, by which the distinct ones are found, and
//! the [`Input`] that a model is handed. Whether a model reads text or bytes is its [`Modality`].

use std::fmt::{self, Display};

use arrow::array::{Array, ArrayRef, BinaryViewArray, StringArray, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_binary_view_array;
use datafusion::common::{Result, internal_err};

use crate::text::{is_text, text_views};

/// What one input of a model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Modality {
    /// A text.
    #[default]
    Text,
    /// Bytes that are no text to Debut, such as the content of a file: what they mean is up to the model.
    Bytes,
    /// A text and bytes, from two columns. Either may be missing.
    TextAndBytes,
}

impl Modality {
    /// Every modality.
    pub const ALL: [Self; 3] = [Self::Text, Self::Bytes, Self::TextAndBytes];

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
    /// The column is of another modality; one column is never a text and bytes.
    pub fn views(self, column: &ArrayRef) -> Result<BinaryViewArray> {
        // Of a bare NULL no type says what it is.
        if column.data_type().is_null() {
            let nulls = new_null_array(&DataType::BinaryView, column.len());
            return Ok(as_binary_view_array(&nulls)?.clone());
        }
        Ok(match self {
            Self::TextAndBytes => return internal_err!("a column holds a text or bytes, not both"),
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
            Self::TextAndBytes => "text and bytes",
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
    /// A text and bytes, either of which may be missing.
    TextAndBytes,
}

impl InputKind {
    /// What a model of `modality` is handed by a call of one argument, or of two (`pairs`), which are texts.
    pub fn of(modality: Modality, pairs: bool) -> Self {
        match (modality, pairs) {
            (Modality::TextAndBytes, _) => Self::TextAndBytes,
            (_, true) => Self::Pairs,
            (Modality::Text, false) => Self::Texts,
            (Modality::Bytes, false) => Self::Bytes,
        }
    }

    /// What each part of a row is: the first, and where there is one the second.
    pub fn parts(self) -> &'static [Modality] {
        match self {
            Self::Texts => &[Modality::Text],
            Self::Pairs => &[Modality::Text, Modality::Text],
            Self::Bytes => &[Modality::Bytes],
            Self::TextAndBytes => &[Modality::Text, Modality::Bytes],
        }
    }

    /// Whether bytes are a part of a row.
    pub fn has_bytes(self) -> bool {
        self.parts().contains(&Modality::Bytes)
    }
}

impl Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Texts => "one text a row",
            Self::Pairs => "two texts a row",
            Self::Bytes => "bytes, one value a row",
            Self::TextAndBytes => "a text and bytes a row",
        })
    }
}

/// Rows for a model, none of them NULL; of a text and bytes, one may be.
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
    /// A text and bytes a row, of equal length, for models of [`Modality::TextAndBytes`]. One of the two may be NULL.
    TextAndBytes(StringArray, BinaryViewArray),
}

impl Input {
    /// What a row is.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Texts(_) => InputKind::Texts,
            Self::Pairs(..) => InputKind::Pairs,
            Self::Bytes(_) => InputKind::Bytes,
            Self::TextAndBytes(..) => InputKind::TextAndBytes,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Self::Texts(texts) | Self::Pairs(texts, _) | Self::TextAndBytes(texts, _) => texts.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// The two parts of a row as bytes. Where there is no second one, or where it is NULL, it is empty.
    pub fn row(&self, row: usize) -> (&[u8], &[u8]) {
        match self {
            Self::Texts(texts) => (texts.value(row).as_bytes(), &[]),
            Self::Pairs(firsts, seconds) => (firsts.value(row).as_bytes(), seconds.value(row).as_bytes()),
            Self::Bytes(values) => (values.value(row), &[]),
            Self::TextAndBytes(texts, values) => (
                if texts.is_null(row) { &[] } else { texts.value(row).as_bytes() },
                if values.is_null(row) { &[] } else { values.value(row) },
            ),
        }
    }

    /// Which parts of a row are there: all of them, but for a text and bytes.
    pub fn present(&self, row: usize) -> [bool; 2] {
        match self {
            Self::TextAndBytes(texts, values) => [texts.is_valid(row), values.is_valid(row)],
            _ => [true; 2],
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
            Self::TextAndBytes(firsts, values) => {
                Self::TextAndBytes(texts(firsts)?, take(values, &rows, None)?.to_data().into())
            }
        })
    }
}

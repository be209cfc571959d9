//! The types of users' and items' ids: integers or text, whatever their width or encoding in a table.
//!
//! Takes an Arrow type; gives an [`IdType`], which says in which type ids are handed over and come back.

use std::fmt::{self, Display};

use arrow::datatypes::DataType;

use crate::text::is_text;

/// The class of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdType {
    /// Integers of any width; handed over as `Int64`.
    Integer,
    /// Text of any encoding, dictionaries too; handed over as `Utf8`.
    Text,
}

impl IdType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Integer, Self::Text];

    /// The class of a type; `None` for what is no id.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            integer if integer.is_integer() => Some(Self::Integer),
            text if is_text(text) => Some(Self::Text),
            DataType::Dictionary(_, values) => Self::of(values),
            _ => None,
        }
    }

    /// The type in which ids are handed over and come back.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Text => DataType::Utf8,
        }
    }

    /// What SQL casts to it, for messages.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Integer => "BIGINT",
            Self::Text => "VARCHAR",
        }
    }
}

impl Display for IdType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Text => "text",
        })
    }
}

/// The types of a recommender's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ids {
    /// Of its users.
    pub user: IdType,
    /// Of its items.
    pub item: IdType,
}

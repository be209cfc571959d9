//! The ids of users or items: takes columns of ids, gives a number for each.
//!
//! Used wherever the recommender meets a table; inside of it users and items are numbers from 0.

use std::fmt::{self, Display};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use debut_udfs::ids::IdType;
use serde::{Deserialize, Serialize};

/// Ids, ascending; the number of one is its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// Integers.
    Integers(Vec<i64>),
    /// Texts.
    Texts(Vec<String>),
}

/// One id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id<'a> {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(&'a str),
}

impl Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(id) => id.fmt(f),
            Self::Text(id) => id.fmt(f),
        }
    }
}

impl Ids {
    /// None yet.
    pub fn empty(class: IdType) -> Self {
        match class {
            IdType::Integer => Self::Integers(Vec::new()),
            IdType::Text => Self::Texts(Vec::new()),
        }
    }

    /// The ids at `rows` (batch, row) of `arrays`, none of them NULL. Sorts `rows` the same way.
    pub(crate) fn sorted(class: IdType, arrays: &[ArrayRef], rows: &mut [(usize, usize)]) -> Self {
        match class {
            IdType::Integer => {
                let id = |(batch, row): &(usize, usize)| integer(arrays[*batch].as_ref(), *row).unwrap_or_default();
                rows.sort_by_key(id);
                Self::Integers(rows.iter().map(id).collect())
            }
            IdType::Text => {
                let id = |(batch, row): &(usize, usize)| text(arrays[*batch].as_ref(), *row).unwrap_or_default();
                rows.sort_by(|a, b| id(a).cmp(id(b)));
                Self::Texts(rows.iter().map(|row| id(row).to_owned()).collect())
            }
        }
    }

    /// Each id once.
    #[must_use]
    pub fn distinct(mut self) -> Self {
        match &mut self {
            Self::Integers(ids) => ids.dedup(),
            Self::Texts(ids) => ids.dedup(),
        }
        self
    }

    /// The class of the ids.
    pub fn class(&self) -> IdType {
        match self {
            Self::Integers(_) => IdType::Integer,
            Self::Texts(_) => IdType::Text,
        }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(ids) => ids.len(),
            Self::Texts(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id of a number.
    pub fn get(&self, place: usize) -> Id<'_> {
        match self {
            Self::Integers(ids) => Id::Integer(ids[place]),
            Self::Texts(ids) => Id::Text(&ids[place]),
        }
    }

    /// The number of an id.
    pub fn find(&self, id: Id<'_>) -> Option<u32> {
        let place = match (self, id) {
            (Self::Integers(ids), Id::Integer(id)) => ids.binary_search(&id).ok(),
            (Self::Texts(ids), Id::Text(id)) => ids.binary_search_by(|other| other.as_str().cmp(id)).ok(),
            _ => None,
        };
        place.map(|place| place as u32)
    }

    /// The number of the id that a text stands for, as `score` hands ids over.
    pub fn find_text(&self, id: &str) -> Option<u32> {
        match self {
            Self::Integers(_) => self.find(Id::Integer(id.parse().ok()?)),
            Self::Texts(_) => self.find(Id::Text(id)),
        }
    }

    /// The number of the id in a row of an array; `None` for NULL too.
    pub fn find_in(&self, array: &dyn Array, row: usize) -> Option<u32> {
        self.find(id_in(array, row)?)
    }

    /// The first number whose id is that of the next too.
    pub(crate) fn repeated(&self) -> Option<usize> {
        (1..self.len()).find(|place| self.get(*place) == self.get(place - 1))
    }

    /// The ids of these numbers as an Arrow array.
    pub fn array(&self, places: impl Iterator<Item = u32>) -> ArrayRef {
        use std::sync::Arc;
        match self {
            Self::Integers(ids) => Arc::new(places.map(|place| Some(ids[place as usize])).collect::<Int64Array>()),
            Self::Texts(ids) => {
                Arc::new(places.map(|place| Some(ids[place as usize].as_str())).collect::<StringArray>())
            }
        }
    }

    /// These ids of the same class; they stay in the order of their numbers if `places` ascends.
    #[must_use]
    pub fn gather(&self, places: &[u32]) -> Self {
        match self {
            Self::Integers(ids) => Self::Integers(places.iter().map(|place| ids[*place as usize]).collect()),
            Self::Texts(ids) => Self::Texts(places.iter().map(|place| ids[*place as usize].clone()).collect()),
        }
    }
}

/// The id in a row of an array; `None` for NULL.
pub(crate) fn id_in(array: &dyn Array, row: usize) -> Option<Id<'_>> {
    integer(array, row).map(Id::Integer).or_else(|| text(array, row).map(Id::Text))
}

fn text(array: &dyn Array, row: usize) -> Option<&str> {
    array.as_string_opt::<i32>().filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

/// The integer in a row of an array.
fn integer(array: &dyn Array, row: usize) -> Option<i64> {
    array.as_primitive_opt::<Int64Type>().filter(|array| array.is_valid(row)).map(|array| array.value(row))
}

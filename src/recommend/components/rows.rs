//! What a component has prepared of users or of items, a row for each: taken together, picked and kept alike, whatever it is.

use std::any::Any;
use std::fmt::Debug;

use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// A row for each user or item.
pub(crate) trait Rows: Debug + Clone + Send + Sync + 'static {
    /// These rows, in this order.
    fn gather(&self, rows: &[u32]) -> Self;

    /// These rows and then those.
    fn below(&self, other: &Self) -> Self;

    /// How many there are; `None` where nothing is kept.
    fn count(&self) -> Option<usize>;

    fn save(&self, name: &str, section: &mut Section<'_>);

    fn load(name: &str, section: &StoredSection<'_>) -> Result<Self>;
}

impl Rows for Matrix {
    fn gather(&self, rows: &[u32]) -> Self {
        self.gather(rows)
    }

    fn below(&self, other: &Self) -> Self {
        self.below(other)
    }

    fn count(&self) -> Option<usize> {
        Some(self.rows())
    }

    fn save(&self, name: &str, section: &mut Section<'_>) {
        section.matrix(name, self);
    }

    fn load(name: &str, section: &StoredSection<'_>) -> Result<Self> {
        section.matrix(name)
    }
}

impl Rows for Csr {
    fn gather(&self, rows: &[u32]) -> Self {
        self.gather(rows)
    }

    fn below(&self, other: &Self) -> Self {
        self.below(other)
    }

    fn count(&self) -> Option<usize> {
        Some(self.rows())
    }

    fn save(&self, name: &str, section: &mut Section<'_>) {
        section.csr(name, self);
    }

    fn load(name: &str, section: &StoredSection<'_>) -> Result<Self> {
        section.csr(name)
    }
}

/// A number for each.
impl Rows for Vec<f32> {
    fn gather(&self, rows: &[u32]) -> Self {
        rows.iter().map(|row| self[*row as usize]).collect()
    }

    fn below(&self, other: &Self) -> Self {
        [self.as_slice(), other].concat()
    }

    fn count(&self) -> Option<usize> {
        Some(self.len())
    }

    fn save(&self, name: &str, section: &mut Section<'_>) {
        section.floats(name, self);
    }

    fn load(name: &str, section: &StoredSection<'_>) -> Result<Self> {
        section.floats(name)
    }
}

/// Nothing: what all components share is enough.
impl Rows for () {
    fn gather(&self, _: &[u32]) -> Self {}

    fn below(&self, (): &Self) -> Self {}

    fn count(&self) -> Option<usize> {
        None
    }

    fn save(&self, _: &str, _: &mut Section<'_>) {}

    fn load(_: &str, _: &StoredSection<'_>) -> Result<Self> {
        Ok(())
    }
}

/// [`Rows`] of a type that only the component that made them knows.
pub(crate) trait AnyRows: Any + Debug + Send + Sync {
    fn gather(&self, rows: &[u32]) -> Box<dyn AnyRows>;

    /// These rows and then those of the same component.
    fn below(&self, other: &dyn AnyRows) -> Box<dyn AnyRows>;

    fn count(&self) -> Option<usize>;

    fn save(&self, name: &str, section: &mut Section<'_>);

    fn copy(&self) -> Box<dyn AnyRows>;
}

impl<R: Rows> AnyRows for R {
    fn gather(&self, rows: &[u32]) -> Box<dyn AnyRows> {
        Box::new(Rows::gather(self, rows))
    }

    fn below(&self, other: &dyn AnyRows) -> Box<dyn AnyRows> {
        // Rows of one component are of one type.
        let other = typed::<R>(other);
        debug_assert!(other.is_some());
        Box::new(other.map_or_else(|| self.clone(), |other| Rows::below(self, other)))
    }

    fn count(&self) -> Option<usize> {
        Rows::count(self)
    }

    fn save(&self, name: &str, section: &mut Section<'_>) {
        Rows::save(self, name, section);
    }

    fn copy(&self) -> Box<dyn AnyRows> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn AnyRows> {
    fn clone(&self) -> Self {
        self.as_ref().copy()
    }
}

/// Rows by their type; `None` if they are of another one.
pub(crate) fn typed<R: Rows>(rows: &dyn AnyRows) -> Option<&R> {
    (rows as &dyn Any).downcast_ref()
}

/// The rows of each component, in the order of the list; `None` for one that was not fitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowsByComponent(pub(crate) Vec<Option<Box<dyn AnyRows>>>);

impl RowsByComponent {
    pub(crate) fn gather(&self, rows: &[u32]) -> Self {
        Self(self.0.iter().map(|own| Some(own.as_deref()?.gather(rows))).collect())
    }

    pub(crate) fn below(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(own, other)| Some(own.as_deref()?.below(other.as_deref()?))).collect())
    }

    /// Of the component at this place in the list.
    pub(crate) fn of(&self, place: usize) -> Option<&dyn AnyRows> {
        self.0.get(place)?.as_deref()
    }
}

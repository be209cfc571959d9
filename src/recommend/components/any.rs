//! Components of different types in one list: takes a type that is a [`Component`], gives it without its type.
//!
//! A call goes through here once for a block of scores, never for a pair.

use std::any::Any;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::attribution::Attribution;
use super::batches::{ItemBatch, UserRepresentations};
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput};
use super::parts::Parts;
use super::reads::Reads;
use super::rows::{AnyRows, Rows, typed};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// A component that is not fitted yet.
pub(crate) trait AnyComponent: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn is_personal(&self) -> bool;
    fn is_seasonal(&self) -> bool;
    fn reads(&self) -> Reads;
    fn fit(&self, fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Arc<dyn AnyFitted>>, linalg::Error>;
    fn load(&self, section: &StoredSection<'_>) -> Result<Arc<dyn AnyFitted>>;
}

/// One that is.
pub(crate) trait AnyFitted: Any + Debug + Send + Sync {
    fn users(&self, users: &UserInput<'_>) -> Box<dyn AnyRows>;
    fn items(&self, items: &ItemInput<'_>, stop: Stop<'_>) -> Result<Box<dyn AnyRows>, Cancelled>;
    fn score(&self, sides: &Sides<'_>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]);
    fn attribute(&self, sides: &Sides<'_>, user: usize, weights: &[f32], out: &mut Attribution<'_>);
    fn save(&self, section: &mut Section<'_>) -> Result<()>;
    fn load_users(&self, name: &str, section: &StoredSection<'_>) -> Result<Box<dyn AnyRows>>;
    fn load_items(&self, name: &str, section: &StoredSection<'_>) -> Result<Box<dyn AnyRows>>;
}

/// Both sides, as a component without its type scores them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) users: &'a UserRepresentations,
    pub(crate) items: &'a ItemBatch,
    pub(crate) own_users: &'a dyn AnyRows,
    pub(crate) own_items: &'a dyn AnyRows,
}

impl<'a> Sides<'a> {
    /// With the rows in their types.
    fn of<C: Component>(&self) -> Option<Scoring<'a, C>> {
        let Self { parts, users, items, own_users, own_items } = *self;
        let own = typed::<C::Users>(own_users).zip(typed::<C::Items>(own_items));
        // Rows are kept by the place of the component that made them: they are of its types.
        debug_assert!(own.is_some(), "rows of {}", C::NAME);
        own.map(|(own_users, own_items)| Scoring { parts, users, items, own_users, own_items })
    }
}

/// A component, for the list.
pub(crate) const fn component<C: Component>() -> &'static dyn AnyComponent {
    &Unfitted::<C>(PhantomData)
}

struct Unfitted<C>(PhantomData<fn() -> C>);

impl<C: Component> Debug for Unfitted<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(C::NAME)
    }
}

impl<C: Component> AnyComponent for Unfitted<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn about(&self) -> &'static str {
        C::ABOUT
    }

    fn is_personal(&self) -> bool {
        C::IS_PERSONAL
    }

    fn is_seasonal(&self) -> bool {
        C::IS_SEASONAL
    }

    fn reads(&self) -> Reads {
        C::READS
    }

    fn fit(&self, fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Arc<dyn AnyFitted>>, linalg::Error> {
        Ok(C::fit(fitting, stop)?.map(|fitted| Arc::new(fitted) as Arc<dyn AnyFitted>))
    }

    fn load(&self, section: &StoredSection<'_>) -> Result<Arc<dyn AnyFitted>> {
        Ok(Arc::new(C::load(section)?))
    }
}

impl<C: Component> AnyFitted for C {
    fn users(&self, users: &UserInput<'_>) -> Box<dyn AnyRows> {
        Box::new(Component::users(self, users))
    }

    fn items(&self, items: &ItemInput<'_>, stop: Stop<'_>) -> Result<Box<dyn AnyRows>, Cancelled> {
        Ok(Box::new(Component::items(self, items, stop)?))
    }

    fn score(&self, sides: &Sides<'_>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        match sides.of::<C>() {
            Some(scoring) => Component::score(self, &scoring, users, items, out),
            None => out.fill(f32::NAN),
        }
    }

    fn attribute(&self, sides: &Sides<'_>, user: usize, weights: &[f32], out: &mut Attribution<'_>) {
        if let Some(scoring) = sides.of::<C>() {
            Component::attribute(self, &scoring, user, weights, out);
        }
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        Component::save(self, section)
    }

    fn load_users(&self, name: &str, section: &StoredSection<'_>) -> Result<Box<dyn AnyRows>> {
        Ok(Box::new(<C::Users as Rows>::load(name, section)?))
    }

    fn load_items(&self, name: &str, section: &StoredSection<'_>) -> Result<Box<dyn AnyRows>> {
        Ok(Box::new(<C::Items as Rows>::load(name, section)?))
    }
}

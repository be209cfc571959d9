//! All components of a recommender, fitted: takes a snapshot and texts; prepares users and items, and keeps itself.

use std::sync::Arc;

use super::any::AnyFitted;
use super::batches::{ItemBatch, UserRepresentations};
use super::component::{Fitting, ItemInput, Tuned, UserInput};
use super::list::{ComponentList, Listed};
use super::parts::{FittedParts, Parts, Texts};
use super::rows::{AnyRows, RowsByComponent};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::error;
use crate::recommend::storage::{Section, StoredSection};

/// The section of the parts; those of components have their names.
const PARTS: &str = "parts";
/// The section of what all components read of users or items.
const SHARED: &str = "shared";

/// The fitted components.
#[derive(Debug, Clone)]
pub struct Components {
    list: ComponentList,
    /// What several of them read.
    pub parts: Parts,
    /// By place in the list; `None` for one that had nothing to be fitted to.
    fitted: Vec<Option<Arc<dyn AnyFitted>>>,
}

impl Components {
    /// Fits the components of a list to fitted parts and to what an encoder was tuned to.
    ///
    /// # Errors
    /// It was stopped, or the data have no solution.
    pub fn fit(list: &ComponentList, parts: FittedParts, tuned: Option<&Tuned>, stop: Stop<'_>) -> Result<Self, Error> {
        let fitting = Fitting { fitted: &parts, tuned };
        let fitted = list.all().iter().map(|listed| listed.component.fit(&fitting, stop)).collect::<Result<_, _>>()?;
        Ok(Self { list: list.clone(), fitted, parts: parts.parts })
    }

    /// The list that they are of.
    pub fn list(&self) -> &ComponentList {
        &self.list
    }

    /// Whether this one was fitted.
    pub fn has(&self, listed: &Listed) -> bool {
        self.of(listed.place()).is_some()
    }

    pub(super) fn of(&self, place: usize) -> Option<&dyn AnyFitted> {
        self.fitted.get(place)?.as_deref()
    }

    /// Number of items with a history.
    pub fn items(&self) -> usize {
        self.parts.items()
    }

    /// What is known of users with these histories (users x items with a history). `factors` and `tuned`, their vectors by the
    /// tuned encoder, are theirs where they were trained with; they are derived otherwise.
    ///
    /// # Errors
    /// It was stopped.
    pub fn representations(
        &self,
        history: Csr,
        factors: Option<Matrix>,
        tuned: Option<&Matrix>,
        stop: Stop<'_>,
    ) -> Result<UserRepresentations, Cancelled> {
        let factors = factors.map_or_else(|| self.parts.fold_in(&history, stop), Ok)?;
        let input = UserInput { parts: &self.parts, history: &history, factors: &factors, tuned };
        let rows = self.fitted.iter().map(|fitted| {
            check(stop)?;
            Ok(fitted.as_ref().map(|fitted| fitted.users(&input)))
        });
        let by_component = RowsByComponent(rows.collect::<Result<_, _>>()?);
        Ok(UserRepresentations { history, factors, by_component })
    }

    /// What is known of items. `known` names for each its own number among the items with a history, if it is one; it is not
    /// among its own neighbours.
    ///
    /// # Errors
    /// It was stopped.
    pub fn item_batch(
        &self,
        texts: &Texts<'_>,
        known: Vec<Option<u32>>,
        stop: Stop<'_>,
    ) -> Result<ItemBatch, Cancelled> {
        let mut items = ItemBatch::shared(&self.parts, texts, known, stop)?;
        let input = ItemInput { parts: &self.parts, texts, items: &items };
        let rows = self.fitted.iter().map(|fitted| fitted.as_ref().map(|one| one.items(&input, stop)).transpose());
        items.by_component = RowsByComponent(rows.collect::<Result<_, _>>()?);
        Ok(items)
    }

    /// Those that were fitted, in the order of the list.
    pub(crate) fn present(&self) -> impl Iterator<Item = (Listed, &dyn AnyFitted)> {
        self.list.all().iter().zip(&self.fitted).filter_map(|(listed, fitted)| Some((*listed, fitted.as_deref()?)))
    }

    pub(crate) fn save(&self, section: &mut Section<'_>) -> error::Result<()> {
        self.parts.save(&mut section.section(PARTS))?;
        self.present().try_for_each(|(listed, fitted)| fitted.save(&mut section.section(listed.name())))
    }

    /// The components that were kept, and have these names in `list`.
    pub(crate) fn load(list: &ComponentList, present: &[Listed], section: &StoredSection<'_>) -> error::Result<Self> {
        let load = |listed: &Listed| {
            let component = present.contains(listed).then_some(listed.component);
            component.map(|component| component.load(&section.section(listed.name()))).transpose()
        };
        let fitted = list.all().iter().map(load).collect::<error::Result<_>>()?;
        Ok(Self { list: list.clone(), fitted, parts: Parts::load(&section.section(PARTS))? })
    }

    pub(crate) fn save_users(&self, users: &UserRepresentations, section: &mut Section<'_>) {
        users.save_shared(&mut section.section(SHARED));
        save_rows(self, &users.by_component, section);
    }

    pub(crate) fn load_users(&self, section: &StoredSection<'_>) -> error::Result<UserRepresentations> {
        let mut users = UserRepresentations::load_shared(&section.section(SHARED))?;
        let load = |fitted: &dyn AnyFitted, name: &str| fitted.load_users(name, section);
        users.by_component = self.load_rows(users.len(), section, load)?;
        Ok(users)
    }

    pub(crate) fn save_items(&self, items: &ItemBatch, section: &mut Section<'_>) {
        items.save_shared(&mut section.section(SHARED));
        save_rows(self, &items.by_component, section);
    }

    pub(crate) fn load_items(&self, section: &StoredSection<'_>) -> error::Result<ItemBatch> {
        let mut items = ItemBatch::load_shared(&self.parts, &section.section(SHARED))?;
        let load = |fitted: &dyn AnyFitted, name: &str| fitted.load_items(name, section);
        items.by_component = self.load_rows(items.len(), section, load)?;
        Ok(items)
    }

    /// What each component prepared, a row for each of so many users or items.
    fn load_rows(
        &self,
        count: usize,
        section: &StoredSection<'_>,
        load: impl Fn(&dyn AnyFitted, &str) -> error::Result<Box<dyn AnyRows>>,
    ) -> error::Result<RowsByComponent> {
        let mut all = RowsByComponent(self.fitted.iter().map(|_| None).collect());
        for (listed, fitted) in self.present() {
            let rows = load(fitted, listed.name())?;
            if rows.count().is_some_and(|found| found != count) {
                return Err(section.damaged(listed.name(), format_args!("has no {count} rows")));
            }
            all.0[listed.place()] = Some(rows);
        }
        Ok(all)
    }
}

fn save_rows(components: &Components, rows: &RowsByComponent, section: &mut Section<'_>) {
    for (listed, _) in components.present() {
        if let Some(rows) = rows.of(listed.place()) {
            rows.save(listed.name(), section);
        }
    }
}

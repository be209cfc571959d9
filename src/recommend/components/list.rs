//! A list of components: which there are, and which of them rank new items and which items with a history.

use std::fmt::{self, Display};

use super::any::AnyComponent;
use super::reads::Reads;

/// A component of a list.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    place: usize,
    pub(crate) component: &'static dyn AnyComponent,
}

impl Listed {
    /// Its name, for people and in files.
    pub fn name(&self) -> &'static str {
        self.component.name()
    }

    /// How it scores, for people.
    pub fn about(&self) -> &'static str {
        self.component.about()
    }

    /// Whether it says what fits this user, and not what fits everybody.
    pub fn is_personal(&self) -> bool {
        self.component.is_personal()
    }

    /// Whether its worth changes from season to season.
    pub fn is_seasonal(&self) -> bool {
        self.component.is_seasonal()
    }

    /// What of an item it goes by.
    pub fn reads(&self) -> Reads {
        self.component.reads()
    }

    /// Its place in the list, which the columns of score normalization are in. Never written to disk.
    pub fn place(&self) -> usize {
        self.place
    }
}

impl Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name is the identity of a component.
impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// The components of a recommender.
#[derive(Debug, Clone)]
pub struct ComponentList {
    all: Vec<Listed>,
    new: Vec<Listed>,
    known: Vec<Listed>,
}

impl ComponentList {
    /// Those that rank new items, and those that rank items with a history, each in the order of their weights. One that ranks
    /// both is in both.
    pub(crate) fn of(new: &[&'static dyn AnyComponent], known: &[&'static dyn AnyComponent]) -> Self {
        let mut all: Vec<Listed> = Vec::new();
        let mut list = |component: &&'static dyn AnyComponent| {
            let place = all.iter().position(|listed| listed.name() == component.name()).unwrap_or(all.len());
            let listed = Listed { place, component: *component };
            if place == all.len() {
                all.push(listed);
            }
            listed
        };
        let (new, known) = (new.iter().map(&mut list).collect(), known.iter().map(&mut list).collect());
        Self { all, new, known }
    }

    /// All of them, by place.
    pub fn all(&self) -> &[Listed] {
        &self.all
    }

    /// Those that new items are ranked by.
    pub fn new_items(&self) -> &[Listed] {
        &self.new
    }

    /// Those that items with a history are ranked by.
    pub fn known_items(&self) -> &[Listed] {
        &self.known
    }

    /// The component of this name.
    pub fn find(&self, name: &str) -> Option<Listed> {
        self.all.iter().copied().find(|listed| listed.name() == name)
    }
}

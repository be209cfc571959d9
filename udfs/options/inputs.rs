//! The sub-queries of a call by name.
//!
//! Holds a value per sub-query: a plan, a schema, a table.

/// A value for each sub-query that a call has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inputs<T> {
    /// Users and the items they chose.
    pub interactions: Option<T>,
    /// Items and their texts.
    pub items: Option<T>,
    /// Texts with labels or with other texts.
    pub examples: Option<T>,
    /// Users, and possibly what each has chosen.
    pub users: Option<T>,
    /// What users said that they like.
    pub liked: Option<T>,
    /// What they said that they do not.
    pub disliked: Option<T>,
    /// The rows that a table is to have.
    pub source: Option<T>,
    /// Questions that people ask.
    pub questions: Option<T>,
    /// Texts that answer them.
    pub documents: Option<T>,
}

impl<T> Default for Inputs<T> {
    fn default() -> Self {
        Self {
            interactions: None,
            items: None,
            examples: None,
            users: None,
            liked: None,
            disliked: None,
            source: None,
            questions: None,
            documents: None,
        }
    }
}

const NAMES: [&str; 9] =
    ["interactions", "items", "examples", "users", "liked", "disliked", "source", "questions", "documents"];

impl<T> Inputs<T> {
    /// The place of a sub-query by its name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<T>> {
        match name {
            "interactions" => Some(&mut self.interactions),
            "items" => Some(&mut self.items),
            "examples" => Some(&mut self.examples),
            "users" => Some(&mut self.users),
            "liked" => Some(&mut self.liked),
            "disliked" => Some(&mut self.disliked),
            "source" => Some(&mut self.source),
            "questions" => Some(&mut self.questions),
            "documents" => Some(&mut self.documents),
            _ => None,
        }
    }

    /// Those that are there, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let values = [
            &self.interactions,
            &self.items,
            &self.examples,
            &self.users,
            &self.liked,
            &self.disliked,
            &self.source,
            &self.questions,
            &self.documents,
        ];
        NAMES.iter().zip(values).filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// Other values in the same places.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Inputs<U> {
        self.replace(self.iter().map(|(_, value)| change(value)))
    }

    /// Other values, in the order of [`Self::iter`], in the same places. Missing ones leave their places empty.
    pub fn replace<U>(&self, values: impl IntoIterator<Item = U>) -> Inputs<U> {
        let mut values = values.into_iter();
        Inputs {
            interactions: self.interactions.as_ref().and_then(|_| values.next()),
            items: self.items.as_ref().and_then(|_| values.next()),
            examples: self.examples.as_ref().and_then(|_| values.next()),
            users: self.users.as_ref().and_then(|_| values.next()),
            liked: self.liked.as_ref().and_then(|_| values.next()),
            disliked: self.disliked.as_ref().and_then(|_| values.next()),
            source: self.source.as_ref().and_then(|_| values.next()),
            questions: self.questions.as_ref().and_then(|_| values.next()),
            documents: self.documents.as_ref().and_then(|_| values.next()),
        }
    }
}

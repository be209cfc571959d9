//! Which column is what: takes the option `columns` and a table's schema, gives the column of each role.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use debut_udfs::options::columns::position;

use super::role::Role;
use super::{Error, Result};
use crate::registry::name::closest;

/// The option `columns`: columns that have other names than their roles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Columns(BTreeMap<Role, String>);

impl Columns {
    /// The columns that play roles, given as (role, column), such as `("text", "title")`.
    ///
    /// # Errors
    /// There is no such role, or it is given twice.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut columns = BTreeMap::new();
        for (role, column) in pairs {
            let Some(known) = Role::ALL.into_iter().find(|known| known.names().contains(&role)) else {
                let names = Role::ALL.map(|role| role.names()[0]);
                let hint = closest(role, names).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
                return Err(Error::Mapping {
                    reason: format!("there is no role '{role}'{hint} (the roles are {})", names.join(", ")),
                });
            };
            if columns.insert(known, column.to_owned()).is_some() {
                return Err(Error::Mapping { reason: format!("the role '{known}' is given twice") });
            }
        }
        Ok(Self(columns))
    }

    /// The roles that were given a column.
    pub(super) fn roles(&self) -> impl Iterator<Item = Role> {
        self.0.keys().copied()
    }

    /// The index of the column of `role`; `None` if there is none and none was asked for by name.
    pub(super) fn find(&self, table: &'static str, schema: &Schema, role: Role) -> Result<Option<usize>> {
        let Some(name) = self.0.get(&role) else {
            return Ok(role.names().iter().find_map(|name| position(schema.fields(), name)));
        };
        match position(schema.fields(), name) {
            Some(index) => Ok(Some(index)),
            None => Err(self.missing(table, schema, role)),
        }
    }

    /// The error for a table without a column of `role`.
    pub(super) fn missing(&self, table: &'static str, schema: &Schema, role: Role) -> Error {
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let wanted = self.0.get(&role).map_or(role.names()[0], String::as_str);
        Error::MissingColumn {
            table,
            role,
            column: wanted.to_owned(),
            closest: closest(wanted, names()).map(str::to_owned),
            known: names().collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_found_by_name_and_by_mapping() {
        let schema = schema(&["Text_B", "title", "label", "text"]);
        let columns = Columns::new([("text", "title"), ("label", "label")]).unwrap();
        let find = |role| columns.find("examples", &schema, role).unwrap();
        assert_eq!(find(Role::Text), Some(1));
        assert_eq!(find(Role::Label), Some(2));
        assert_eq!(find(Role::Other), Some(0));
        assert_eq!(find(Role::Weight), None);
        assert_eq!(Columns::default().find("examples", &schema, Role::Text).unwrap(), Some(3));
        // Two that differ in case alone are not told apart by guessing.
        assert_eq!(position(self::schema(&["TEXT", "Text"]).fields(), "text"), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (pairs, expected) in [
            (&[("txt", "title")][..], "there is no role 'txt'; did you mean 'text'?"),
            (&[("text", "a"), ("text", "b")], "the role 'text' is given twice"),
            (&[("text_b", "a"), ("other", "b")], "the role 'other' is given twice"),
        ] {
            let message = Columns::new(pairs.iter().copied()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let columns = Columns::new([("text", "titles")]).unwrap();
        let message = columns.find("items", &schema(&["title", "price"]), Role::Text).unwrap_err().to_string();
        assert!(message.contains("'items' has no column 'titles'"), "{message}");
        assert!(message.contains("did you mean 'title'?") && message.contains("title, price"), "{message}");
    }
}

//! Columns by name, as calls mean them.
//!
//! Takes the fields of a sub-query and a name; gives a place or the words of an error.

use arrow::datatypes::Fields;

use super::value::did_you_mean;

/// A column's place by its exact name, or else by the only one that differs in case alone.
pub fn position(fields: &Fields, name: &str) -> Option<usize> {
    if let Some((place, _)) = fields.find(name) {
        return Some(place);
    }
    let mut alike = fields.iter().enumerate().filter(|(_, field)| field.name().eq_ignore_ascii_case(name));
    let (place, _) = alike.next()?;
    alike.next().is_none().then_some(place)
}

/// `no column 'txt'; did you mean 'text'? It has id, text`.
pub fn no_column(fields: &Fields, name: &str) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let meant = did_you_mean(name, &names);
    let end = if meant.is_empty() { "." } else { "" };
    format!("no column '{name}'{meant}{end} It has {}", names.join(", "))
}

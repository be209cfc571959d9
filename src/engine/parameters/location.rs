//! `{name}` in a location: takes the text of a location and the parameters; gives it with their values.
//!
//! SQL has no place for an expression where a location stands (`COPY ... TO`, `LOCATION`, a file in FROM), so names in braces
//! stand for values there. A value is part of one name in the path, never more: it cannot lead out of the folder that the
//! location names.

use std::collections::BTreeSet;

use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::{Expr, Value};

use super::Parameters;

impl Parameters {
    /// Puts the values into a location and adds the names that it used to `used`. `{{name}}` is `{name}` itself.
    ///
    /// # Errors
    /// A name has no value, or a value cannot be part of a name of a file.
    pub(super) fn bind_location(&self, location: &str, used: &mut BTreeSet<String>) -> Result<String> {
        let (mut bound, mut rest) = (String::with_capacity(location.len()), location);
        while let Some((before, after)) = rest.split_once('{') {
            bound.push_str(before);
            if let Some((name, behind)) = after.strip_prefix('{').and_then(|after| named(after, "}}")) {
                bound.extend(["{", name, "}"]);
                rest = behind;
            } else if let Some((name, behind)) = named(after, "}") {
                bound.push_str(&self.text(name, location)?);
                used.insert(name.to_owned());
                rest = behind;
            } else {
                bound.push('{');
                rest = after;
            }
        }
        bound.push_str(rest);
        Ok(bound)
    }

    /// A value as part of a name in a path.
    fn text(&self, name: &str, location: &str) -> Result<String> {
        let Some(value) = self.values.get(name) else {
            return plan_err!(
                "no value for {{{name}}} in '{location}': pass --param {name}=value, or write {{{{{name}}}}} for a name with braces"
            );
        };
        let text = match value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
                Value::Boolean(value) => Some(value.to_string()),
                _ => None,
            },
            // A time: without its colons, which are not for names of files on every system.
            Expr::TypedString(time) => time.value.clone().into_string().map(|time| time.replace([':', ' '], "")),
            _ => None,
        };
        // No separator, pattern, scheme or escape of a path or URL.
        let plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
        match text {
            Some(text) if !text.is_empty() && !text.starts_with('.') && text.chars().all(plain) => Ok(text),
            Some(text) => plan_err!(
                "'{text}' cannot be {{{name}}} in '{location}': it becomes part of a name, so it is made of letters, digits, '-', '_', '+' and '.', with no '.' at its beginning"
            ),
            None => plan_err!("{{{name}}} in '{location}' is no text and no number, but {value}"),
        }
    }
}

/// The name that `text` begins with, and what is behind `end`.
fn named<'a>(text: &'a str, end: &str) -> Option<(&'a str, &'a str)> {
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (name, behind) = text.split_at(length);
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    behind.strip_prefix(end).filter(|_| is_name).map(|behind| (name, behind))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn bound(location: &str, value: &str) -> Result<String> {
        let mut parameters = Parameters::default();
        parameters.add("day", value)?;
        parameters.bind_location(location, &mut BTreeSet::new())
    }

    #[test]
    fn names_in_braces_are_values() {
        assert_eq!(bound("out/day={day}/{day}.csv", "2026-11-28").unwrap(), "out/day=2026-11-28/2026-11-28.csv");
        assert_eq!(bound("{day}", "7").unwrap(), "7");
        assert_eq!(bound("a{{day}}/{1}/{}/{a b}/{day", "x").unwrap(), "a{day}/{1}/{}/{a b}/{day");
        assert_eq!(bound("ä{day}ä", "é_1+2.0").unwrap(), "äé_1+2.0ä");
        let message = bound("{other}", "x").unwrap_err().to_string();
        assert!(message.contains("--param other=value") && message.contains("{{other}}"), "{message}");
    }

    #[test]
    fn a_value_stays_in_its_folder() {
        for value in
            ["..", ".", ".a", "a/b", "../x", "/etc", "a\\b", "''", "*", "a?", "[a]", "%2e", "s3:", "a b", "{x}", "~"]
        {
            let message = bound("out/{day}/a.csv", value).unwrap_err().to_string();
            assert!(message.contains("cannot be {day} in 'out/{day}/a.csv'"), "{value}: {message}");
        }
        let mut parameters = Parameters::default();
        let time = Parser::new(&GenericDialect {}).try_with_sql("TIMESTAMP '2026-11-28T02:00:00'");
        parameters.set("since", time.unwrap().parse_expr().unwrap());
        let location = parameters.bind_location("out/since={since}.csv", &mut BTreeSet::new()).unwrap();
        assert_eq!(location, "out/since=2026-11-28T020000.csv");
        assert!(bound("{day}", "null").unwrap_err().to_string().contains("no text"));
    }
}

//! Names of models and references to them: takes what a user wrote, gives a checked name, its folder, and a version.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::{Error, Result};

/// What the folders of models start with, as in the cache of Hugging Face.
const PREFIX: &str = "models--";
/// What stands for `/` in the name of a folder.
const SLASH: &str = "--";
/// Longest name in bytes; file systems allow 255 for a folder's.
const LONGEST: usize = 128;

/// The name of a model: `name` or `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason| Err(Error::Name { text: text.to_owned(), reason });
        if text.is_empty() || text.len() > LONGEST {
            return wrong("it must have 1 to 128 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) {
            return wrong("it may have letters, digits, '.', '_', '-', and one '/' after an owner");
        }
        if text.split('/').count() > 2 {
            return wrong("it may have one '/', after an owner");
        }
        let plain =
            |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && !part.ends_with('.');
        if !text.split('/').all(plain) {
            return wrong("it must start with a letter, a digit or '_' and not end with '.'");
        }
        // Two dots lead out of a folder, and two dashes stand for '/' in the name of one.
        if text.contains("..") || text.contains(SLASH) || text.contains("-/") {
            return wrong("it may not have '..', '--' or '-/'");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its folder.
    pub(super) fn folder(&self) -> String {
        format!("{PREFIX}{}", self.0.replace('/', SLASH))
    }

    /// The model whose folder has this name, if it is one's.
    pub(super) fn of_folder(folder: &str) -> Option<Self> {
        folder.strip_prefix(PREFIX)?.replace(SLASH, "/").parse().ok()
    }
}

/// A model and perhaps a version of it: `name` or `name@version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The model.
    pub name: Name,
    /// The version; without one, the version in use.
    pub version: Option<u64>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, version: None });
        };
        match parse_version(version) {
            Some(version) => Ok(Self { name: name.parse()?, version: Some(version) }),
            None => Err(Error::Name { text: text.to_owned(), reason: "a version is a number: 1, 2, 3, ..." }),
        }
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => Display::fmt(&self.name, f),
        }
    }
}

/// A version's number, written the one way that its folder is.
pub(super) fn parse_version(text: &str) -> Option<u64> {
    text.parse().ok().filter(|version: &u64| *version > 0 && version.to_string() == text)
}

/// The one of `known` that is most like `text`, if any is much like it.
pub(crate) fn closest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    let distance = |other: &str| {
        let other = other.to_lowercase();
        // Leaving out the owner is a likely slip.
        let bare = other.rsplit('/').next().unwrap_or(&other);
        edits(&text, &other).min(edits(&text, bare))
    };
    let (best, name) = known.into_iter().map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance)?;
    (best <= (text.chars().count() / 3).max(1)).then_some(name)
}

/// Levenshtein's distance, row by row.
fn edits(a: &str, b: &str) -> usize {
    let b = b.chars().collect::<Vec<_>>();
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_folder_and_come_back_from_it() {
        for text in ["all-MiniLM-L6-v2", "m", "_x", "owner/na.me_1", "a-b/c-d"] {
            let name: Name = text.parse().unwrap();
            assert_eq!(Name::of_folder(&name.folder()), Some(name));
        }
        assert_eq!("owner/x".parse::<Name>().unwrap().folder(), "models--owner--x");
        assert_eq!(Name::of_folder("datasets--x"), None);
        assert_eq!(Name::of_folder("models--..--x"), None);
    }

    #[test]
    fn names_that_lead_elsewhere_or_are_ambiguous_are_refused() {
        for text in [
            "", "..", "../x", "a/../b", "a/b/c", "/a", "a/", "a--b", "a-/b", "a/-b", ".a", "a b", "a\\b", "ä", "a@b",
            "a.", "a\0",
        ] {
            let message = text.parse::<Name>().unwrap_err().to_string();
            assert!(message.contains("cannot name a model"), "{text}: {message}");
        }
        "x".repeat(129).parse::<Name>().unwrap_err();
    }

    #[test]
    fn references_have_a_version_or_none() {
        let of = |text: &str| text.parse::<Reference>();
        assert_eq!(of("m").unwrap().version, None);
        assert_eq!(of("o/m@12").unwrap().version, Some(12));
        assert_eq!(of("o/m@12").unwrap().to_string(), "o/m@12");
        for text in ["m@", "m@0", "m@01", "m@+1", "m@main", "m@1@2", "@1", "m@../1"] {
            of(text).unwrap_err();
        }
    }

    #[test]
    fn the_closest_name_is_close() {
        let known = ["all-MiniLM-L6-v2", "intfloat/e5-small", "shop"];
        let of = |text| closest(text, known);
        assert_eq!(of("all-minilm-l6-v2"), Some("all-MiniLM-L6-v2"));
        assert_eq!(of("e5-smal"), Some("intfloat/e5-small"));
        assert_eq!(of("shpo"), None);
        assert_eq!(of("shops"), Some("shop"));
        assert_eq!(of("entirely-different"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}

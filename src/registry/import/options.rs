//! What a user may say at an import: takes the pairs of `OPTIONS (...)`, gives checked [`ImportOptions`].

use std::collections::BTreeMap;

use crate::registry::manifest::Pooling;
use crate::registry::{Error, Result};

/// Names of the options.
const KNOWN: [&str; 3] = ["pooling", "max_tokens", "tower"];
/// Names of the poolings, as options and in the settings of sentence-transformers.
pub(super) const POOLINGS: [(&str, Pooling); 6] = [
    ("cls", Pooling::Cls),
    ("mean", Pooling::Mean),
    ("max", Pooling::Max),
    ("mean_sqrt_len", Pooling::MeanSqrtLen),
    ("last_token", Pooling::LastToken),
    ("lasttoken", Pooling::LastToken),
];
/// The shortest input that is of any use: a word between two special tokens.
const FEWEST_TOKENS: usize = 3;

/// A part of a model that makes vectors of pictures and of texts in one space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tower {
    /// That for pictures.
    Image,
    /// That for texts.
    Text,
}

/// What the user wants otherwise than the model's own settings say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// How token vectors become one vector.
    pub pooling: Option<Pooling>,
    /// Longest input in tokens, special tokens included.
    pub max_tokens: Option<usize>,
    /// The one tower to import of a model that has one for pictures and one for texts; both if nothing is said.
    pub tower: Option<Tower>,
    /// Never to reach out to the network. A setting of the session, not one of the `OPTIONS`.
    pub offline: bool,
}

impl ImportOptions {
    /// From the pairs of `OPTIONS (...)`; names may be in any case.
    ///
    /// # Errors
    /// [`Error::Option`] listing what there is.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self::default();
        for (option, value) in map {
            let wrong = |reason: String| Error::Option { option: option.clone(), value: value.clone(), reason };
            match option.to_ascii_lowercase().as_str() {
                "pooling" => {
                    let name = value.to_ascii_lowercase();
                    let pooling = POOLINGS.iter().find(|(known, _)| *known == name).map(|(_, pooling)| *pooling);
                    options.pooling = Some(pooling.ok_or_else(|| {
                        wrong("it must be 'mean', 'cls', 'max', 'mean_sqrt_len' or 'last_token'".to_owned())
                    })?);
                }
                "max_tokens" => {
                    let tokens = value.parse().ok().filter(|tokens| *tokens >= FEWEST_TOKENS);
                    options.max_tokens = Some(
                        tokens.ok_or_else(|| wrong(format!("it must be an integer of at least {FEWEST_TOKENS}")))?,
                    );
                }
                "tower" => {
                    options.tower = Some(match value.to_ascii_lowercase().as_str() {
                        "image" => Tower::Image,
                        "text" => Tower::Text,
                        _ => return Err(wrong("it must be 'image' or 'text'".to_owned())),
                    });
                }
                _ => return Err(wrong(format!("there is no such option; the options are {}", KNOWN.join(", ")))),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn of(option: &str, value: &str) -> Result<ImportOptions> {
        ImportOptions::from_map(&BTreeMap::from([(option.to_owned(), value.to_owned())]))
    }

    #[test]
    fn options_are_read_or_explained() {
        assert_eq!(of("POOLING", "CLS").unwrap().pooling, Some(Pooling::Cls));
        assert_eq!(of("max_tokens", "128").unwrap().max_tokens, Some(128));
        assert_eq!(of("tower", "TEXT").unwrap().tower, Some(Tower::Text));
        for (option, value, part) in [
            ("pool", "cls", "pooling, max_tokens"),
            ("pooling", "median", "'mean'"),
            ("tower", "left", "'image' or 'text'"),
            ("max_tokens", "2", "an integer of at least 3"),
        ] {
            let message = of(option, value).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(value), "{message}");
        }
    }
}

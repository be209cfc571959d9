//! Normalizers that cannot make a text much longer.
//!
//! Takes the `normalizer` of a `tokenizer.json`; gives [`Bounded`], which does the same, step by step, until a row
//! would become longer than it may: an entry that replaces "a" by a megabyte is a few bytes in the file.

use std::cell::RefCell;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::normalizers::precompiled::Precompiled;
use tokenizers::utils::SysRegex;
use tokenizers::{NormalizedString, Normalizer};

/// A text may become this many times as long in bytes. The longest of Unicode's decompositions are 11 times what they
/// decompose, and a character of one byte becomes three where spaces are made visible.
const GROWTH: usize = 16;

/// What any text may become, in bytes: a short text with a long prefix is no danger.
const LEAST_LIMIT: usize = 1 << 20;

/// What the steps that are not looked into do at most, the composition of all of Unicode's tables included.
const TABLES: usize = 16;

/// A row while it is normalized, piece by piece.
struct Row {
    text: usize,
    limit: usize,
    /// Bytes of the pieces that are done.
    done: usize,
    refused: Option<tokenizers::Error>,
}

impl Row {
    fn new(text: usize) -> Self {
        let limit = text.saturating_mul(GROWTH).saturating_add(LEAST_LIMIT);
        Self { text, limit, done: 0, refused: None }
    }

    /// Whether this piece may become so long.
    fn check(&self, piece: usize) -> tokenizers::Result<()> {
        let became = self.done.saturating_add(piece);
        if became <= self.limit {
            return Ok(());
        }
        let Self { text, limit, .. } = self;
        Err(format!("its normalizer makes {became} bytes of {text}, and {limit} is the most that it may").into())
    }
}

thread_local! {
    static ROW: RefCell<Option<Row>> = const { RefCell::new(None) };
}

/// Lets `encode` tokenize one text, whose pieces share the limit.
///
/// # Errors
/// Those of `encode`; the text became too long, or a step of the normalizer failed.
pub(super) fn within<T>(text: &str, encode: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    /// Also where `encode` panics.
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            ROW.take();
        }
    }
    ROW.replace(Some(Row::new(text.len())));
    let _leave = Leave;
    let encoded = encode();
    match ROW.take().and_then(|row| row.refused) {
        Some(refused) => Err(refused),
        None => encoded,
    }
}

/// A normalizer with a limit.
#[derive(Debug, Clone)]
pub(super) struct Bounded {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    normalizer: NormalizerWrapper,
    growth: Growth,
}

/// What is known of the length of a step's result.
#[derive(Debug, Clone)]
enum Growth {
    /// Each match is replaced by so many bytes.
    Replace { pattern: Pattern, content: usize },
    /// So many bytes come first.
    Prepend(usize),
    /// A table of SentencePiece whose longest entry has so many bytes.
    Precompiled(usize),
    /// Unicode's tables, case, accents, spaces.
    Tables,
}

#[derive(Debug, Clone)]
enum Pattern {
    Text(String),
    Regex(Arc<SysRegex>),
}

impl Normalizer for Bounded {
    fn normalize(&self, text: &mut NormalizedString) -> tokenizers::Result<()> {
        // Outside of a row, where a tokenizer is read, a piece is all there is.
        let (mut row, alone) = match ROW.take() {
            Some(row) => (row, false),
            None => (Row::new(text.get().len()), true),
        };
        let result = if row.refused.is_some() { Err("refused".into()) } else { self.apply(text, &mut row) };
        match result {
            Err(error) if alone => return Err(error),
            Err(error) => {
                // Nothing is left to tokenize for a row that has failed.
                text.clear();
                row.refused.get_or_insert(error);
            }
            Ok(()) => {}
        }
        if !alone {
            ROW.replace(Some(row));
        }
        Ok(())
    }
}

impl Bounded {
    fn apply(&self, text: &mut NormalizedString, row: &mut Row) -> tokenizers::Result<()> {
        for Step { normalizer, growth } in &self.steps {
            if row.check(growth.most(text.get().len())).is_err() {
                row.check(growth.exact(normalizer, text.get()))?;
            }
            normalizer.normalize(text)?;
            row.check(text.get().len())?;
        }
        row.done += text.get().len();
        Ok(())
    }
}

impl Growth {
    /// Bytes that the step makes of `length` bytes at most.
    fn most(&self, length: usize) -> usize {
        match self {
            Self::Replace { pattern, content } => {
                let shortest = match pattern {
                    Pattern::Text(pattern) => pattern.len().max(1),
                    Pattern::Regex(_) => 1,
                };
                // What matches nothing matches before the first byte too.
                (length / shortest + 1).saturating_mul(*content).saturating_add(length)
            }
            Self::Prepend(content) => length.saturating_add(*content),
            Self::Precompiled(longest) => length.saturating_mul(*longest),
            Self::Tables => length.saturating_mul(TABLES),
        }
    }

    /// Bytes that the step makes of this text, found without making them; not more than it can be for tables.
    fn exact(&self, normalizer: &NormalizerWrapper, text: &str) -> usize {
        let replaced = |matches: usize, matched: usize, content: usize| {
            (text.len() - matched.min(text.len())).saturating_add(matches.saturating_mul(content))
        };
        match (self, normalizer) {
            (Self::Replace { pattern: Pattern::Text(pattern), content }, _) => {
                let matches = text.matches(pattern.as_str()).count();
                replaced(matches, matches * pattern.len(), *content)
            }
            (Self::Replace { pattern: Pattern::Regex(pattern), content }, _) => {
                let add = |(count, length), (start, end): (usize, usize)| (count + 1, length + (end - start));
                let (matches, matched) = pattern.find_iter(text).fold((0, 0), add);
                replaced(matches, matched, *content)
            }
            (Self::Precompiled(_), NormalizerWrapper::Precompiled(table)) => {
                text.char_indices().map(|(start, character)| entry(table, &text[start..], character)).sum()
            }
            // Bounded by a constant: looked at when it is done.
            (Self::Tables, _) => 0,
            _ => self.most(text.len()),
        }
    }
}

/// Bytes of the longest entry that the table may put for `text` from its first character on: it looks at characters, and
/// at what looks like one, up to five bytes.
fn entry(table: &Precompiled, text: &str, first: char) -> usize {
    let ends = text.char_indices().map(|(start, character)| start + character.len_utf8());
    let short = ends.take_while(|end| *end < 6).filter_map(|end| table.transform(&text[..end])).map(str::len);
    short.max().unwrap_or(0).max(first.len_utf8())
}

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut steps = Vec::new();
        add_steps(&Value::deserialize(deserializer)?, &mut steps).map_err(D::Error::custom)?;
        Ok(Self { steps })
    }
}

/// Adds a normalizer, or those of a sequence.
fn add_steps(json: &Value, steps: &mut Vec<Step>) -> tokenizers::Result<()> {
    let normalizer = serde_json::from_value::<NormalizerWrapper>(json.clone())?;
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a normalizer without its text");
    let growth = match &normalizer {
        NormalizerWrapper::Sequence(_) => {
            for one in json["normalizers"].as_array().into_iter().flatten() {
                add_steps(one, steps)?;
            }
            return Ok(());
        }
        NormalizerWrapper::Replace(_) => {
            let pattern = match &json["pattern"]["Regex"] {
                Value::String(regex) => Pattern::Regex(Arc::new(SysRegex::new(regex)?)),
                _ => Pattern::Text(text(&json["pattern"]["String"])?),
            };
            Growth::Replace { pattern, content: text(&json["content"])?.len() }
        }
        NormalizerWrapper::Prepend(_) => Growth::Prepend(text(&json["prepend"])?.len()),
        NormalizerWrapper::Precompiled(_) => Growth::Precompiled(longest_entry(&text(&json["precompiled_charsmap"])?)),
        _ => Growth::Tables,
    };
    steps.push(Step { normalizer, growth });
    Ok(())
}

/// Bytes of the longest entry of a table: in base64 the size of a trie in four bytes, the trie, and the entries, each with
/// a zero behind it. At least what a character has that is left as it is.
fn longest_entry(base64: &str) -> usize {
    let (mut table, mut bits, mut held) = (Vec::with_capacity(base64.len() / 4 * 3), 0u32, 0);
    for byte in base64.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            table.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    let trie = table.first_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    let entries = table.get(4 + trie..).unwrap_or_default();
    entries.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(char::MAX.len_utf8())
}

//! Rows of tokens, and the tensors of a graph that are made of them.
//!
//! Takes the encodings of texts one by one; gives flat rows that any batch is padded from.

use std::ops::Range;

use ort::session::SessionInputValue;
use tokenizers::Encoding;

use super::preprocessor::Prepared;
use super::tensor::Tensor;

/// What a graph may read of a text, by the names that Hugging Face gives them.
pub(crate) const TENSORS: [&str; 3] = [IDS, MASK, TYPE_IDS];
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPE_IDS: &str = "token_type_ids";

/// Characters of a text that are shown where it cannot be tokenized.
const SHOWN: usize = 40;

/// The tokens of consecutive rows, end to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    ends: Vec<usize>,
    failures: Vec<(usize, String)>,
}

impl Tokens {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Token ids of a row, special tokens included; empty for a row that failed.
    pub(crate) fn ids(&self, row: usize) -> &[u32] {
        &self.ids[self.range(row)]
    }

    /// For every token of a row, which of its two texts it belongs to.
    pub(crate) fn type_ids(&self, row: usize) -> &[u32] {
        &self.type_ids[self.range(row)]
    }

    /// Rows without tokens, each with the reason.
    pub(crate) fn failures(&self) -> &[(usize, String)] {
        &self.failures
    }

    fn range(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }

    /// Adds the row of `text`: its tokens, or why there are none.
    pub(super) fn push(&mut self, text: &str, encoding: Result<Encoding, tokenizers::Error>) {
        match encoding {
            Ok(encoding) if encoding.is_empty() => {
                self.failures.push((self.ends.len(), "the tokenizer makes no token of this text".to_string()));
            }
            Ok(encoding) => {
                self.ids.extend_from_slice(encoding.get_ids());
                self.type_ids.extend_from_slice(encoding.get_type_ids());
            }
            Err(error) => {
                let begins = text.chars().take(SHOWN).collect::<String>();
                let more = if begins.len() < text.len() { "..." } else { "" };
                let reason = format!("the tokenizer failed on '{begins}{more}' ({} bytes): {error}", text.len());
                self.failures.push((self.ends.len(), reason));
            }
        }
        self.ends.push(self.ids.len());
    }

    /// Adds the rows of `other` behind these.
    pub(super) fn append(&mut self, other: &Self) {
        let (rows, tokens) = (self.rows(), self.ids.len());
        self.failures.extend(other.failures.iter().map(|(row, reason)| (rows + row, reason.clone())));
        self.ends.extend(other.ends.iter().map(|end| tokens + end));
        self.ids.extend_from_slice(&other.ids);
        self.type_ids.extend_from_slice(&other.type_ids);
    }
}

/// Tokens, and what fills up short rows of them.
#[derive(Debug)]
pub(super) struct PaddedTokens {
    pub(super) tokens: Tokens,
    pub(super) padding_id: u32,
}

impl Prepared for PaddedTokens {
    fn rows(&self) -> usize {
        self.tokens.rows()
    }

    fn length(&self, row: usize) -> usize {
        self.tokens.range(row).len()
    }

    fn failures(&self) -> &[(usize, String)] {
        self.tokens.failures()
    }

    fn value<'a>(
        &'a self,
        rows: &[u32],
        longest: usize,
        tensor: &'a mut Tensor,
    ) -> Result<SessionInputValue<'a>, ort::Error> {
        let ids = rows.iter().map(|row| self.tokens.ids(*row as usize));
        match tensor.name() {
            IDS => tensor.pad(ids, longest, self.padding_id, |id| id),
            MASK => tensor.pad(ids, longest, 0, |_| 1),
            // The last of TENSORS, to which the session's inputs are held when it is opened.
            _ => tensor.pad(rows.iter().map(|row| self.tokens.type_ids(*row as usize)), longest, 0, |id| id),
        }
        tensor.value()
    }
}

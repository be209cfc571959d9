//! The texts of a training as what the graph reads: takes a dataset's texts and a version's tokenizer, gives the token
//! feeds of any rows of them. Made once per training; called for every batch.

use std::ops::Range;

use arrow::array::{Array, StringArray, StringViewArray};
use debut_udfs::model::{Input, Stats};

use super::{Inputs, View};
use crate::inference::threads::preprocessor_pool;
use crate::inference::tokenizer::Tokenizer;
use crate::inference::tokens::Tokens;
use crate::registry::ModelVersion;
use crate::train::failure::{Result, Stopped, failed};
use crate::train::step::Feed;

/// Texts that are tokenized at a time: their copies for the tokenizer stay small.
const CHUNK: usize = 8192;

/// All texts, tokenized.
#[derive(Debug)]
pub(in crate::train) struct TokenizedTexts {
    /// Tokens of [`CHUNK`] texts each.
    chunks: Vec<Tokens>,
    padding_id: u32,
}

impl TokenizedTexts {
    /// Tokenizes `texts` as `version` reads them, `prompt` in front of each, cut at `max_tokens` if that is less than what
    /// it reads.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`] once `cancelled` says so; or the tokenizer cannot be opened, or makes no token of a text.
    pub(in crate::train) fn new(
        texts: &StringViewArray,
        version: &ModelVersion,
        prompt: &str,
        max_tokens: Option<usize>,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, Stopped> {
        let most = version.manifest.max_tokens;
        let most = max_tokens.map_or(most, |wanted| wanted.min(most));
        let tokenizer = Tokenizer::open(&version.reference(), &version.tokenizer(), most).map_err(failed)?;
        let pool = preprocessor_pool().map_err(failed)?;
        let mut chunks = Vec::with_capacity(texts.len().div_ceil(CHUNK));
        for start in (0..texts.len()).step_by(CHUNK) {
            let rows = start..(start + CHUNK).min(texts.len());
            let tokens = pool.install(|| encode(&tokenizer, texts, rows, prompt, cancelled));
            if cancelled() {
                return Err(Stopped::Cancelled);
            }
            if let Some((row, reason)) = tokens.failures().first() {
                let text: String = texts.value(start + row).chars().take(60).collect();
                return Err(failed(Untokenized { text, reason: reason.clone() }).into());
            }
            chunks.push(tokens);
        }
        Ok(Self { chunks, padding_id: tokenizer.padding_id() })
    }

    /// Tokens of a text.
    pub(in crate::train) fn length(&self, row: u32) -> usize {
        self.ids(row).len()
    }

    /// The ids of a text's tokens, special ones included.
    pub(in crate::train) fn ids(&self, row: u32) -> &[u32] {
        self.chunks[row as usize / CHUNK].ids(row as usize % CHUNK)
    }

    /// What the graph reads of these texts, in this order, padded to the longest.
    pub(in crate::train) fn padded(&self, rows: &[u32]) -> Vec<Feed> {
        let row = |row: u32| (&self.chunks[row as usize / CHUNK], row as usize % CHUNK);
        let longest =
            rows.iter().map(|index| row(*index)).map(|(tokens, row)| tokens.ids(row).len()).max().unwrap_or(0);
        let shape = [rows.len(), longest];
        let padded = |padding: i64, of: &dyn Fn(&Tokens, usize, usize) -> i64| {
            let mut values = vec![padding; rows.len() * longest];
            for (slots, index) in values.chunks_exact_mut(longest.max(1)).zip(rows) {
                let (tokens, row) = row(*index);
                slots
                    .iter_mut()
                    .take(tokens.ids(row).len())
                    .enumerate()
                    .for_each(|(at, slot)| *slot = of(tokens, row, at));
            }
            values
        };
        vec![
            Feed::i64(
                "input_ids",
                &shape,
                padded(self.padding_id.into(), &|tokens, row, at| tokens.ids(row)[at].into()),
            ),
            Feed::i64("attention_mask", &shape, padded(0, &|_, _, _| 1)),
            Feed::i64("token_type_ids", &shape, padded(0, &|tokens, row, at| tokens.type_ids(row)[at].into())),
        ]
    }
}

impl Inputs for TokenizedTexts {
    fn feeds(&self, rows: &[u32], _view: View) -> Result<Vec<Feed>> {
        Ok(self.padded(rows))
    }
}

fn encode(
    tokenizer: &Tokenizer,
    texts: &StringViewArray,
    rows: Range<usize>,
    prompt: &str,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Tokens {
    let chunk = StringArray::from_iter_values(rows.map(|row| texts.value(row)));
    let rows = chunk.len();
    tokenizer.encode(&Input::Texts(chunk), 0..rows, prompt, cancelled, &Stats::default())
}

/// A text that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error("the text '{text}' cannot be trained on: {reason}")]
struct Untokenized {
    text: String,
    reason: String,
}

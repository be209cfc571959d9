//! `title_effect(...)`: takes items and users, gives the buyers to be expected of each text as it is, without each of its words, and
//! with words of similar items.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::common::Result;
use debut_udfs::recommender::Request;
use debut_udfs::title_effect::{self, TitleOptions};

use crate::background::Listener;
use crate::cancellation::Stop;
use crate::fetch::Progress;
use crate::recommend::inputs::new_items::NewItems;
use crate::recommend::inputs::users::call_users;
use crate::recommend::inputs::words::{others, without_each};
use crate::recommend::model::expected_buyers::expected_buyers;
use crate::recommend::model::loaded::Loaded;

/// Items whose changed texts are embedded and scored together.
const TOGETHER: usize = 32;

/// The rows of `title_effect`. What people should know beside them is told to `notes`.
pub(super) fn rows(
    request: &Request<TitleOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let name = title_effect::NAME;
    let users = call_users(name, recommender, request.inputs.users.as_ref(), notes, &stop)?;
    let Some(table) = &request.inputs.items else { return Ok(()) };
    let (ids, items) = NewItems::with_text(name, loaded, table, &stop)?;
    let numbers = (0..ids.len() as u32).collect::<Vec<_>>();
    for together in numbers.chunks(TOGETHER) {
        let changes = Changes::of(&items, together, loaded, options.k, &stop)?;
        let changed = items.with_texts(&changes.items, StringArray::from_iter_values(&changes.texts));
        let candidates = changed.candidates(loaded, &[], &stop)?;
        let buyers = expected_buyers(&recommender.logits(&users.user_batch, &candidates, 1.0), &stop)?;
        let effects = changes.as_is.iter().zip(&buyers).map(|(as_is, own)| own - buyers[*as_is]).collect::<Vec<_>>();
        let columns: Vec<ArrayRef> = vec![
            ids.array(changes.items.iter().copied()),
            Arc::new(StringArray::from_iter_values(&changes.kinds)),
            Arc::new(changes.words.iter().map(Option::as_deref).collect::<StringArray>()),
            Arc::new(StringArray::from_iter_values(&changes.texts)),
            Arc::new(Float64Array::from(buyers)),
            Arc::new(Float64Array::from(effects)),
        ];
        listener.send(Ok(RecordBatch::try_new(title_effect::schema(request.ids), columns)?));
    }
    Ok(())
}

/// Changed texts, behind each other; of each item first the text as it is.
#[derive(Default)]
struct Changes {
    items: Vec<u32>,
    kinds: Vec<&'static str>,
    words: Vec<Option<String>>,
    texts: Vec<String>,
    /// For each the place of the text as it is.
    as_is: Vec<usize>,
}

impl Changes {
    /// The changes of these items, with at most `k` words of similar items each.
    fn of(items: &NewItems, numbers: &[u32], loaded: &Loaded, k: usize, stop: Stop<'_>) -> Result<Self> {
        let catalogue = loaded.recommender.as_ref();
        let texts = numbers.iter().map(|item| items.texts.value(*item as usize)).collect::<Vec<_>>();
        let as_they_are = items.with_texts(numbers, StringArray::from(texts.clone()));
        let candidates = as_they_are.candidates(loaded, &[], stop)?;
        let mut changes = Self::default();
        for ((item, text), (similar, similarities)) in numbers.iter().zip(texts).zip(candidates.new.neighbours.iter()) {
            let first = changes.texts.len();
            changes.push(*item, "none", None, text.to_owned(), first);
            for (word, rest) in without_each(text) {
                changes.push(*item, "remove", Some(word), rest, first);
            }
            let mut similar = similar.iter().zip(similarities).collect::<Vec<_>>();
            similar.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            let texts_of = similar.into_iter().map(|(known, _)| catalogue.known_text(*known));
            for word in others(text, texts_of, k) {
                changes.push(*item, "add", Some(word), format!("{} {word}", text.trim_end()), first);
            }
        }
        Ok(changes)
    }

    fn push(&mut self, item: u32, kind: &'static str, word: Option<&str>, text: String, as_is: usize) {
        self.items.push(item);
        self.kinds.push(kind);
        self.words.push(word.map(str::to_owned));
        self.texts.push(text);
        self.as_is.push(as_is);
    }
}

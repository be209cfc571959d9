//! `explain_recommendation(...)`: takes the users and items of a call, gives what makes the score of each pair: components,
//! purchases, and words.

use std::fmt::{Display, Write};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use debut_udfs::explain_recommendation::{self, ExplainOptions};
use debut_udfs::recommender::Request;

use super::{BATCH, new_boost};
use crate::background::Listener;
use crate::cancellation::{Stop, check};
use crate::fetch::Progress;
use crate::linalg::logistic::sigmoid;
use crate::recommend::inputs;
use crate::recommend::inputs::answers::answers;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::inputs::new_items::NewItems;
use crate::recommend::inputs::users::CallUsers;
use crate::recommend::inputs::words::without_each;
use crate::recommend::model::explainer::Explainer;
use crate::recommend::model::explanation::{ANSWERS, BASELINE, BOOST, Explanation};
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::{Candidates, Recommender};

/// Items that are explained together: the texts without their words are in memory at once.
const TOGETHER: usize = 128;

/// The rows of `explain_recommendation`. What people should know beside them is told to `notes`.
pub(super) fn rows(
    request: &Request<ExplainOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let name = explain_recommendation::NAME;
    let (users, items) = inputs::read(name, loaded, &request.inputs, false, notes, &stop)?;
    let CallUsers { user_batch, .. } = &users;
    let boost = new_boost(name, options.new_boost, recommender)?;
    let said = answers(name, recommender, &request.inputs, &users, &items, notes, &stop)?;
    let logits = recommender.logits(user_batch, &items.candidates, boost).with_answers(said.answers.as_ref());
    let explainer = Explainer::new(recommender, logits);
    let schema = explain_recommendation::schema(request.ids);
    let history = |user: usize| user_batch.representations.history.row(user).0;
    let mut rows = Rows::default();
    let known = (0..items.candidates.known.len() as u32).collect::<Vec<_>>();
    let new = (0..items.candidates.new.len() as u32).collect::<Vec<_>>();
    for together in known.chunks(TOGETHER) {
        for user in 0..user_batch.len() {
            check(&stop)?;
            let explanation = explainer.known_items(user, together);
            for (place, item) in together.iter().enumerate() {
                rows.begin(user, *item as usize, explanation.logit(place));
                rows.explain(recommender, &explanation, place, history(user), options.k);
            }
            rows.send_whole(&schema, &users, &items, listener);
        }
    }
    for together in new.chunks(TOGETHER) {
        let words = Words::of(loaded, &items.unsold, together, &stop)?;
        let of_words = recommender.logits(user_batch, &words.candidates, boost).with_answers(said.answers.as_ref());
        for user in 0..user_batch.len() {
            check(&stop)?;
            let explanation = explainer.new_items(user, together);
            for (place, item) in together.iter().enumerate() {
                let logit = explanation.logit(place);
                rows.begin(user, known.len() + *item as usize, logit);
                rows.explain(recommender, &explanation, place, history(user), options.k);
                let own = words.of_item(place);
                let places = own.clone().map(|word| word as u32).collect::<Vec<_>>();
                let mut without = vec![0.0; places.len()];
                of_words.new_of(user, &places, &mut without);
                let lost = without.iter().map(|without| (logit - f64::from(*without)) as f32);
                for (word, attribution) in largest(words.words[own].iter().zip(lost), options.k) {
                    rows.push("word", word, None, attribution);
                }
            }
            rows.send_whole(&schema, &users, &items, listener);
        }
    }
    listener.send(rows.take(&schema, &users, &items));
    Ok(())
}

/// The texts of items without a history, a word left out of each.
struct Words<'a> {
    candidates: Candidates<'a>,
    words: Vec<String>,
    /// Where those of each item begin, and the end.
    starts: Vec<usize>,
}

impl<'a> Words<'a> {
    /// Of some of `items`, by their numbers.
    fn of(loaded: &'a Loaded, items: &NewItems, numbers: &[u32], stop: Stop<'_>) -> Result<Self> {
        let (mut words, mut rests, mut of) = (Vec::new(), Vec::new(), Vec::new());
        let mut starts = vec![0];
        for item in numbers {
            for (word, rest) in without_each(items.texts.value(*item as usize)) {
                words.push(word.to_owned());
                rests.push(rest);
                of.push(*item);
            }
            starts.push(words.len());
        }
        let changed = items.with_texts(&of, StringArray::from(rests));
        Ok(Self { candidates: changed.candidates(loaded, &[], stop)?, words, starts })
    }

    /// The places of the words of an item, by its place among the numbers.
    fn of_item(&self, place: usize) -> Range<usize> {
        self.starts[place]..self.starts[place + 1]
    }
}

/// The rows of pairs, behind each other.
#[derive(Default)]
struct Rows {
    /// The user and the item that rows are of now, and their score.
    pair: (u32, u32, f32),
    users: Vec<u32>,
    items: Vec<u32>,
    scores: Vec<f32>,
    kinds: Vec<&'static str>,
    features: StringBuilder,
    descriptions: StringBuilder,
    attributions: Vec<f32>,
}

impl Rows {
    /// Rows are of this pair from now on.
    fn begin(&mut self, user: usize, item: usize, logit: f64) {
        self.pair = (user as u32, item as u32, sigmoid(logit) as f32);
    }

    fn push(&mut self, kind: &'static str, feature: &dyn Display, description: Option<&str>, attribution: f32) {
        let (user, item, score) = self.pair;
        self.users.push(user);
        self.items.push(item);
        self.scores.push(score);
        self.kinds.push(kind);
        // Writing to memory cannot fail.
        let _ = write!(self.features, "{feature}");
        self.features.append_value("");
        self.descriptions.append_option(description);
        self.attributions.push(attribution);
    }

    /// The components of an item of an explanation, by its place there, and the `k` items of the history that change its score most.
    fn explain(
        &mut self,
        recommender: &Recommender,
        explanation: &Explanation,
        place: usize,
        history: &[u32],
        k: usize,
    ) {
        let list = recommender.components.list();
        for (feature, share) in explanation.features.iter().zip(explanation.shares.row(place)) {
            let about = match *feature {
                BASELINE => Some("what a user as active as this one does with an item that fits as usual"),
                ANSWERS => Some("what the user likes and dislikes"),
                BOOST => Some("the factor on the odds of new items"),
                name => list.find(name).map(|component| component.about()),
            };
            self.push("component", feature, about, *share);
        }
        let purchases = history.iter().copied().zip(explanation.purchases.row(place).iter().copied());
        for (known, attribution) in largest(purchases, k) {
            let item = recommender.known[known as usize] as usize;
            let text = Some(recommender.items.texts.value(item)).filter(|text| !text.trim().is_empty());
            self.push("purchase", &recommender.items.ids.get(item), text, attribution);
        }
    }

    /// Sends these rows if they are enough for a batch.
    fn send_whole(
        &mut self,
        schema: &SchemaRef,
        users: &CallUsers<'_>,
        items: &CallItems<'_>,
        listener: &Listener<RecordBatch>,
    ) {
        if self.users.len() >= BATCH {
            listener.send(self.take(schema, users, items));
        }
    }

    /// The batch of these rows; none are left.
    fn take(&mut self, schema: &SchemaRef, users: &CallUsers<'_>, items: &CallItems<'_>) -> Result<RecordBatch> {
        let rows = std::mem::take(self);
        let (mut features, mut descriptions) = (rows.features, rows.descriptions);
        let columns: Vec<ArrayRef> = vec![
            users.ids.array(rows.users.into_iter()),
            items.ids.array(rows.items.into_iter()),
            Arc::new(Float32Array::from(rows.scores)),
            Arc::new(StringArray::from(rows.kinds)),
            Arc::new(features.finish()),
            Arc::new(descriptions.finish()),
            Arc::new(Float32Array::from(rows.attributions)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// The `k` values with the largest attributions, whatever their sign; of equal ones the first.
fn largest<T>(values: impl Iterator<Item = (T, f32)>, k: usize) -> Vec<(T, f32)> {
    let mut values = values.filter(|(_, attribution)| *attribution != 0.0).collect::<Vec<_>>();
    values.sort_by(|(_, one), (_, other)| other.abs().total_cmp(&one.abs()));
    values.truncate(k);
    values
}

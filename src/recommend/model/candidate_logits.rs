//! The logits of users for candidates, those with a history and those without, each by its own blend: takes both and what users
//! answered, gives logits a block at a time or a user's for some items.

use std::ops::Range;

use super::answers::Answers;
use super::logits::Logits;
use crate::recommend::ranking::BlockScores;

/// Users x candidates: logits.
#[derive(Debug, Clone, Copy)]
pub struct CandidateLogits<'a> {
    pub(super) known: Logits<'a>,
    pub(super) new: Logits<'a>,
    /// The logarithm of the boost.
    pub(super) shift: f32,
    /// What users answered, if they were asked.
    pub(super) answers: Option<&'a Answers>,
}

impl<'a> CandidateLogits<'a> {
    /// The same with what users answered.
    #[must_use]
    pub(crate) fn with_answers(self, answers: Option<&'a Answers>) -> Self {
        Self { answers, ..self }
    }

    /// The logits of items without a history, without boost and answers.
    pub(crate) fn new_items(&self) -> Logits<'a> {
        self.new
    }

    /// The logits of a user for items with a history, by their numbers among these, into `out`.
    pub(crate) fn known_of(&self, user: usize, items: &[u32], out: &mut [f32]) {
        self.known.logits_of(user, items, out);
        self.add_answers(user, &self.known, items, out);
    }

    /// The same of items without a history.
    pub fn new_of(&self, user: usize, items: &[u32], out: &mut [f32]) {
        self.new.logits_of(user, items, out);
        out.iter_mut().for_each(|logit| *logit += self.shift);
        self.add_answers(user, &self.new, items, out);
    }

    /// Adds to logits of these items what a user answered.
    fn add_answers(&self, user: usize, logits: &Logits<'_>, items: &[u32], out: &mut [f32]) {
        let mut added = vec![0.0; items.len()];
        if self.answers_of(user, logits, items, &mut added) {
            out.iter_mut().zip(added).for_each(|(logit, added)| *logit += added);
        }
    }

    /// What a user's answers add to the logits of these items, into `out`; false without any.
    pub(super) fn answers_of(&self, user: usize, logits: &Logits<'_>, items: &[u32], out: &mut [f32]) -> bool {
        let Some(answers) = self.answers else { return false };
        answers.add_into(user, logits.pairs.item_batch.embeddings.gather(items).all(), out)
    }

    /// Adds what users answered to a block of logits.
    fn add_answers_into(&self, users: Range<usize>, logits: &Logits<'_>, items: Range<usize>, out: &mut [f32]) {
        let Some(answers) = self.answers else { return };
        let mut added = vec![0.0; items.len()];
        for (user, out) in users.zip(out.chunks_exact_mut(items.len().max(1))) {
            if answers.add_into(user, logits.pairs.item_batch.embeddings.view(items.clone()), &mut added) {
                out.iter_mut().zip(&added).for_each(|(logit, added)| *logit += added);
            }
        }
    }
}

impl BlockScores for CandidateLogits<'_> {
    fn users(&self) -> usize {
        self.known.users()
    }

    fn items(&self) -> usize {
        self.known.items() + self.new.items()
    }

    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        let border = self.known.items();
        let known = items.start.min(border)..items.end.min(border);
        let new = items.start.max(border) - border..items.end.max(border) - border;
        if new.is_empty() {
            self.known.scores_into(users.clone(), known.clone(), out);
            return self.add_answers_into(users, &self.known, known, out);
        }
        let width = items.len();
        let mut part = vec![0.0; users.len() * known.len().max(new.len())];
        if !known.is_empty() {
            self.known.scores_into(users.clone(), known.clone(), &mut part);
            self.add_answers_into(users.clone(), &self.known, known.clone(), &mut part);
            for (out, part) in out.chunks_exact_mut(width).zip(part.chunks_exact(known.len())) {
                out[..known.len()].copy_from_slice(part);
            }
        }
        self.new.scores_into(users.clone(), new.clone(), &mut part);
        self.add_answers_into(users, &self.new, new.clone(), &mut part);
        for (out, part) in out.chunks_exact_mut(width).zip(part.chunks_exact(new.len())) {
            out[known.len()..].iter_mut().zip(part).for_each(|(out, logit)| *out = logit + self.shift);
        }
    }

    fn block(&self) -> (usize, usize) {
        self.known.block()
    }
}

//! `recommend(...)`: takes the users and items of a call, gives each user's slate.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch};
use datafusion::common::{DataFusionError, Result};
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::Request;
use rayon::prelude::*;

use super::reasons::Reasons;
use super::{BATCH, new_boost};
use crate::background::Listener;
use crate::cancellation::{Cancelled, Stop, check};
use crate::fetch::Progress;
use crate::linalg::logistic::sigmoid;
use crate::linalg::sparse::Csr;
use crate::recommend::inputs;
use crate::recommend::inputs::answers::answers;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::inputs::users::CallUsers;
use crate::recommend::model::explainer::Explainer;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::ranking::{Explore, Pool, SelectOptions, Slates, Source, select_from_all, top_pools};

/// Of each user's best items so many times `k` are looked at where more than their scores counts.
const POOL: usize = 5;
/// And at least so many.
const LEAST_POOL: usize = 100;

/// The rows of `recommend`. What people should know beside them is told to `notes`.
pub(super) fn rows(
    request: &Request<RecommendOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let (users, items) = inputs::read(recommend::NAME, loaded, &request.inputs, options.only_new, notes, &stop)?;
    let (CallUsers { ids, user_batch, .. }, CallItems { ids: item_ids, candidates, is_new, .. }) = (&users, &items);
    if user_batch.is_empty() || candidates.is_empty() {
        return Ok(());
    }
    let boost = new_boost(recommend::NAME, options.new_boost, recommender)?;
    let said = answers(recommend::NAME, recommender, &request.inputs, &users, &items, notes, &stop)?;
    let logits = recommender.logits(user_batch, candidates, boost).with_answers(said.answers.as_ref());
    let had = said.with_disliked(inputs::had(recommender, &users, &items));
    let more = options.diversity > 0.0 || options.max_exposure.is_some() || options.explore.is_some();
    let size = if more { (POOL * options.k).max(LEAST_POOL) } else { options.k };
    let new_items = (0..candidates.len() as u32).filter(|item| is_new[*item as usize]).collect::<Vec<_>>();
    let mut wanted = vec![Pool { k: size, only: None }];
    if options.min_new_share > 0.0 {
        wanted.push(Pool { k: size, only: Some(&new_items) });
    }
    let pools = top_pools(&logits, &wanted, Some(&had), &stop)?;
    let pools = pools.into_iter().reduce(|all, new| all.union(&new)).unwrap_or_default();
    let select_options = SelectOptions {
        k: options.k,
        diversity: options.diversity,
        max_exposure: options.max_exposure,
        min_new_share: options.min_new_share,
        explore: options.explore.map(|strength| Explore { strength, new_boost: boost, ..Explore::default() }),
        seed: options.seed,
    };
    let shift = boost.ln();
    let first_new = candidates.known.len() as u32;
    let of_pair =
        |item: u32, logit: f32| sigmoid(f64::from(logit) - if item >= first_new { shift } else { 0.0 }) as f32;
    let vectors = (options.diversity > 0.0).then(|| candidates.known.embeddings.below(&candidates.new.embeddings));
    let source = Source { scores: &logits, skip: Some(&had), probability: &of_pair, is_new, vectors: vectors.as_ref() };
    let slates = select_from_all(&source, pools, &select_options, &stop)?;
    if let Some(limit) = options.max_exposure {
        let available = had.iter().map(|(items, _)| candidates.len() - items.len());
        if let Some(note) = shortage(&slates, available, options.k, limit, candidates.len()) {
            notes(&note);
        }
    }

    let schema = recommend::schema(request.ids, options.explain);
    let explain = options.explain.then(|| Explain {
        explainer: Explainer::new(recommender, logits),
        history: &user_batch.representations.history,
        slates: &slates,
        first_new,
    });
    let mut first = 0;
    while first < slates.users() {
        let start = slates.range(first).start;
        let more = (first..slates.users()).find(|user| slates.range(*user).end - start >= BATCH);
        let users = first..more.map_or(slates.users(), |last| last + 1);
        let rows = start..slates.range(users.end - 1).end;
        let owners = users.clone().flat_map(|user| slates.range(user).map(move |_| user as u32));
        let ranks = users.clone().flat_map(|user| 1..=slates.range(user).len() as i64);
        let chosen = &slates.items()[rows.clone()];
        let scores = slates.scores()[rows.clone()].iter().map(|logit| sigmoid(f64::from(*logit)) as f32);
        let mut columns: Vec<ArrayRef> = vec![
            ids.array(owners),
            item_ids.array(chosen.iter().copied()),
            Arc::new(Int64Array::from_iter_values(ranks)),
            Arc::new(Float32Array::from_iter_values(scores)),
            Arc::new(Float32Array::from(slates.probabilities()[rows.clone()].to_vec())),
            Arc::new(chosen.iter().map(|item| Some(is_new[*item as usize])).collect::<BooleanArray>()),
            Arc::new(Float32Array::from(slates.propensities()[rows].to_vec())),
        ];
        if let Some(explain) = &explain {
            columns.extend(explain.reasons(users.clone(), &stop)?.columns(&schema, recommender)?);
        }
        listener.send(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(DataFusionError::from));
        first = users.end;
    }
    Ok(())
}

/// What says why slates are as they are.
struct Explain<'a> {
    explainer: Explainer<'a>,
    /// Users x items with a history.
    history: &'a Csr,
    slates: &'a Slates,
    /// Candidates from this number on have no history.
    first_new: u32,
}

impl Explain<'_> {
    /// The reasons of the slates of some users, row by row.
    fn reasons(&self, users: Range<usize>, stop: Stop<'_>) -> Result<Reasons, Cancelled> {
        let of_users = users.into_par_iter().map(|user| {
            check(stop)?;
            let items = &self.slates.items()[self.slates.range(user)];
            let (known, new): (Vec<u32>, Vec<u32>) = items.iter().partition(|item| **item < self.first_new);
            let new = new.into_iter().map(|item| item - self.first_new).collect::<Vec<_>>();
            let (known, new) = (self.explainer.known_items(user, &known), self.explainer.new_items(user, &new));
            let (mut next_known, mut next_new) = (0, 0);
            let mut reasons = Reasons::default();
            for item in items {
                let (explanation, next) =
                    if *item < self.first_new { (&known, &mut next_known) } else { (&new, &mut next_new) };
                reasons.push(explanation, *next, self.history.row(user).0);
                *next += 1;
            }
            Ok(reasons)
        });
        let mut all = Reasons::default();
        of_users.collect::<Result<Vec<_>, Cancelled>>()?.into_iter().for_each(|reasons| all.append(reasons));
        Ok(all)
    }
}

/// What a limit on exposure leaves empty, for people; `available` says how many items each user could have.
fn shortage(
    slates: &Slates,
    available: impl Iterator<Item = usize>,
    k: usize,
    limit: usize,
    items: usize,
) -> Option<String> {
    let (mut places, mut empty, mut users, mut nothing) = (0, 0, 0, 0);
    for (user, available) in available.enumerate() {
        let (length, most) = (slates.range(user).len(), k.min(available));
        places += most;
        empty += most - length.min(most);
        users += usize::from(length < most);
        nothing += usize::from(length == 0 && most > 0);
    }
    if empty == 0 {
        return None;
    }
    let least = places.div_ceil(items.max(1));
    let cure = if least > limit {
        format!("{items} items have room for all with max_exposure => {least}")
    } else {
        "a greater max_exposure or more items help".to_owned()
    };
    Some(format!(
        "recommend: max_exposure => {limit} leaves {empty} of {places} places empty: {users} of {} users get fewer items than \
         there are for them, {nothing} of these get none; {cure}",
        slates.users()
    ))
}

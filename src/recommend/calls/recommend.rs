//! `recommend(...)`: takes the users and items of a call, gives each user's slate.

use std::sync::Arc;

use arrow::array::{BooleanArray, Float32Array, Int64Array, RecordBatch};
use datafusion::common::{DataFusionError, Result, exec_err};
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::Request;

use super::BATCH;
use crate::background::Listener;
use crate::fetch::Progress;
use crate::linalg::logistic::sigmoid;
use crate::recommend::inputs;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::inputs::users::CallUsers;
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
    let boost = options.new_boost.unwrap_or(recommender.boost);
    if boost <= 0.0 && options.new_boost.is_some() {
        return exec_err!("recommend: new_boost => 0 would never show a new item; leave them out of items instead");
    }
    let logits = recommender.logits(user_batch, candidates, boost);
    let had = inputs::had(recommender, &users, &items);
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

    let mut batch = SlateRows::default();
    for user in 0..slates.users() {
        for (rank, place) in slates.range(user).enumerate() {
            batch.users.push(user as u32);
            batch.items.push(slates.items()[place]);
            batch.ranks.push(rank as i64 + 1);
            batch.scores.push(sigmoid(f64::from(slates.scores()[place])) as f32);
            batch.probabilities.push(slates.probabilities()[place]);
            batch.is_new.push(is_new[slates.items()[place] as usize]);
            batch.propensities.push(slates.propensities()[place]);
        }
        if batch.users.len() >= BATCH || user + 1 == slates.users() {
            let rows = std::mem::take(&mut batch);
            listener.send(
                RecordBatch::try_new(
                    recommend::schema(request.ids),
                    vec![
                        ids.array(rows.users.into_iter()),
                        item_ids.array(rows.items.into_iter()),
                        Arc::new(Int64Array::from(rows.ranks)),
                        Arc::new(Float32Array::from(rows.scores)),
                        Arc::new(Float32Array::from(rows.probabilities)),
                        Arc::new(BooleanArray::from(rows.is_new)),
                        Arc::new(Float32Array::from(rows.propensities)),
                    ],
                )
                .map_err(DataFusionError::from),
            );
        }
    }
    Ok(())
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

#[derive(Debug, Default)]
struct SlateRows {
    users: Vec<u32>,
    items: Vec<u32>,
    ranks: Vec<i64>,
    scores: Vec<f32>,
    probabilities: Vec<f32>,
    is_new: Vec<bool>,
    propensities: Vec<f32>,
}

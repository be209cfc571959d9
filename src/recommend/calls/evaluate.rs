//! `evaluate(...)`: takes what happened after a model's training, gives how good the model is, beside what anybody could do without it.
//!
//! The result is kept for `debut report`.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result, exec_err};
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::{EvaluateOptions, NAME};
use debut_udfs::recommender::Request;

use crate::background::Listener;
use crate::cancellation::Stop;
use crate::inference::Models;
use crate::recommend::components::{Listed, NEAREST_TEXTS, TUNED_AND_FROZEN};
use crate::recommend::evaluation::bootstrap::Resampling;
use crate::recommend::evaluation::context::{EvaluationContext, MethodMetrics, Segment};
use crate::recommend::evaluation::ips::{self, Shown};
use crate::recommend::evaluation::lists::self_information;
use crate::recommend::evaluation::methods::{Method, Other};
use crate::recommend::evaluation::per_user::PerUser;
use crate::recommend::evaluation::record::{Record, Records};
use crate::recommend::evaluation::rows::{self, Subject, Table};
use crate::recommend::evaluation::{Column, Metric};
use crate::recommend::evaluation::{forecasts, ground_truth, probabilities};
use crate::recommend::inputs::items::{self, CallItems};
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Recommender;

/// The rows of `evaluate`.
pub(super) fn rows(
    models: &Models,
    request: &Request<EvaluateOptions>,
    loaded: &Loaded,
    config: &DebutConfig,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let stop = || listener.is_gone();
    let other = match &request.options.against {
        Some(reference) => Some(Loaded::open(models, reference, config)?),
        None => None,
    };
    let record = measure(request, loaded, other.as_ref(), &stop)?;
    let record = Records::open(models.registry().home())
        .create(record)
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    listener.send(rows::batch(&record));
    Ok(())
}

/// All of it.
fn measure(
    request: &Request<EvaluateOptions>,
    loaded: &Loaded,
    other: Option<&Loaded>,
    stop: Stop<'_>,
) -> Result<Record> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let items = request.inputs.items.as_ref();
    let candidates = items::call_items(NAME, loaded, items, false, stop)?;
    let user_batch = recommender.everybody();
    let Some(interactions) = request.inputs.interactions.as_ref() else {
        return exec_err!("{NAME} needs interactions => (SELECT user_id, item_id, timestamp FROM ...)");
    };
    // Planning has seen to it that neither of two models was trained on anything later.
    let known = other.map_or(recommender.until, |other| other.recommender.until.max(recommender.until));
    let since = options.since.unwrap_or(known);
    let ground_truth = ground_truth::read(recommender, &candidates, interactions, since);
    if ground_truth.taken.stored() == 0 {
        return exec_err!(
            "{NAME}: no user whom '{}' knows took one of the items from {} on{}",
            loaded.reference,
            crate::recommend::error::utc(since),
            if ground_truth.notes.is_empty() { String::new() } else { format!(" ({})", ground_truth.notes.join("; ")) }
        );
    }
    let CallItems { candidates: sets, is_new, .. } = &candidates;
    let had = recommender.had(&user_batch, sets);
    let new = (0..sets.len() as u32).filter(|item| is_new[*item as usize]).collect::<Vec<_>>();
    let vectors = sets.known.embeddings.below(&sets.new.embeddings);
    let information = information(recommender, &candidates);
    let context = EvaluationContext {
        ground_truth: &ground_truth,
        had: &had,
        new: &new,
        is_new,
        information: &information,
        vectors: &vectors,
        cuts: &options.k,
        seed: options.seed,
        rank_all: !sets.known.is_empty(),
    };
    let resampling = Resampling { resamples: options.resamples, seed: options.seed, ..Resampling::default() };
    let mut table = Table::new(context.columns(), new.len(), sets.len());
    let logits = recommender.logits(&user_batch, sets, 1.0);
    let model = Method::Model(logits);
    let chosen = recommender.boost.ln() as f32;

    let main = context.measure_method(&model, chosen, true, stop)?;
    let subject = Subject { method: &loaded.reference, boost: Some(recommender.boost) };
    table.add_method(subject, &main, &options.k, &resampling, stop)?;
    table.weeks(subject, &main.weeks, options.k.first().copied(), &resampling, stop)?;
    if let Some(other) = other {
        let their_candidates = items::call_items(NAME, other, items, false, stop)?;
        let theirs = other.recommender.as_ref();
        let their_users = theirs.everybody();
        let logits = theirs.logits(&their_users, &their_candidates.candidates, 1.0);
        let places = their_candidates.places();
        let place = |good: usize| places.get(&candidates.ids.get(good)).copied();
        let method = Method::Other(Other {
            logits,
            users: (0..recommender.users.len()).map(|user| theirs.users.find(recommender.users.get(user))).collect(),
            candidates: (0..candidates.ids.len()).map(place).collect(),
        });
        let metrics = context.measure_method(&method, theirs.boost.ln() as f32, true, stop)?;
        let subject = Subject { method: &other.reference, boost: Some(theirs.boost) };
        table.add_method(subject, &metrics, &options.k, &resampling, stop)?;
        let name = format!("{} - {}", loaded.reference, other.reference);
        let less = difference(&main, &metrics);
        table.means(Subject { method: &name, boost: None }, &less, &resampling, stop)?;
    }

    let alone = |one: Listed| Method::alone(recommender, &user_batch, sets, one);
    let mut methods = vec![
        ("random".to_owned(), Method::Random, true),
        ("popularity".to_owned(), Method::Popularity(recommender, sets), true),
    ];
    let components = recommender.components.list().new_items().iter().copied();
    let components = components.filter(|one| recommender.components.has(one));
    let (knn, others): (Vec<Listed>, Vec<Listed>) = components.partition(|one| one.name() == NEAREST_TEXTS);
    methods.extend(knn.iter().map(|one| (one.to_string(), alone(*one), true)));
    if options.components {
        methods.extend(others.iter().map(|one| (one.to_string(), alone(*one), false)));
    }
    let mut tuned_and_frozen: [Option<MethodMetrics>; 2] = [None, None];
    for (name, method, all) in &methods {
        let metrics = context.measure_method(method, 0.0, *all, stop)?;
        let subject = Subject { method: name, boost: None };
        table.add_method(subject, &metrics, &options.k, &resampling, stop)?;
        if let Some(place) = TUNED_AND_FROZEN.iter().position(|one| one == name) {
            tuned_and_frozen[place] = Some(metrics);
        }
    }
    if let [Some(tuned), Some(frozen)] = &tuned_and_frozen {
        let name = TUNED_AND_FROZEN.join(" - ");
        table.means(Subject { method: &name, boost: None }, &difference(tuned, frozen), &resampling, stop)?;
    }
    if context.rank_all && !new.is_empty() {
        for boost in &options.boosts {
            let metrics = context.measure_method(&model, boost.ln() as f32, true, stop)?;
            table.boost(&loaded.reference, *boost, &metrics, &context, stop)?;
        }
    }
    let bins = if new.is_empty() {
        Vec::new()
    } else {
        probabilities::rows(&mut table, loaded, &user_batch, &candidates, &context, &resampling, stop)?
    };
    let mut notes = ground_truth.notes.clone();
    if !new.is_empty() {
        let when = (since, options.weeks);
        notes.extend(forecasts::rows(&mut table, loaded, &candidates, interactions, when, &resampling, stop)?);
    }
    if !ground_truth.logged.is_empty() {
        let mut users = ground_truth.logged.iter().map(|(user, ..)| *user).collect::<Vec<_>>();
        users.dedup();
        let lists = context.lists(&model, chosen, &users, stop)?;
        let lists = users.into_iter().zip(lists).collect();
        logged(&mut table, &loaded.reference, &lists, &context, options, &resampling, stop)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Ok(Record {
        id: String::new(),
        model: loaded.reference.clone(),
        against: other.map(|other| other.reference.clone()),
        created_at: now,
        since: Some(since),
        users: ground_truth.taken.iter().filter(|(items, _)| !items.is_empty()).count() as u64,
        notes,
        rows: table.rows,
        bins,
    })
}

/// How rarely each good was taken.
fn information(recommender: &Recommender, candidates: &CallItems<'_>) -> Vec<f64> {
    let mut owners = vec![0u32; recommender.known.len()];
    for (items, _) in recommender.representations.history.iter() {
        items.iter().for_each(|item| owners[*item as usize] += 1);
    }
    let known = candidates.candidates.known.known.iter().map(|known| known.map_or(0, |known| owners[known as usize]));
    let all = known.chain(std::iter::repeat_n(0, candidates.candidates.new.len())).collect::<Vec<_>>();
    self_information(&all, recommender.users.len())
}

/// User by user, how much better the one is than the other; lists have no difference.
fn difference(one: &MethodMetrics, other: &MethodMetrics) -> MethodMetrics {
    MethodMetrics {
        new: one.new.less(&other.new),
        new_lists: Default::default(),
        all: one.all.iter().zip(&other.all).map(|(one, other)| one.less(other)).collect::<Vec<PerUser>>(),
        all_lists: Default::default(),
        weeks: Vec::new(),
    }
}

/// What the model's lists (by user) would have earned, from rows with propensities.
fn logged(
    table: &mut Table,
    method: &str,
    lists: &HashMap<u32, Vec<u32>>,
    context: &EvaluationContext<'_>,
    options: &EvaluateOptions,
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<()> {
    let candidates = if context.rank_all { "all" } else { "new" };
    for k in &options.k {
        let shown = context.ground_truth.logged.iter().map(|(user, item, reward, propensity)| {
            let is_shown = lists.get(user).is_some_and(|list| list.iter().take(*k).any(|shown| shown == item));
            let target = if is_shown { 1.0 } else { 0.0 };
            Shown { user: *user, reward: *reward, propensity: *propensity, target }
        });
        let value = ips::value(&shown.collect::<Vec<_>>(), options.clip, resampling, stop);
        let value = value.map_err(|error| DataFusionError::Execution(format!("{NAME}: {error}")))?;
        if let Some(value) = value {
            let estimates = [(Metric::Ips, Some(value.ips)), (Metric::Snips, value.snips)];
            for (metric, estimate) in estimates {
                table.estimate(
                    Subject { method, boost: None },
                    candidates,
                    Segment::All,
                    Column { metric, k: Some(*k) },
                    estimate,
                );
            }
        }
    }
    Ok(())
}

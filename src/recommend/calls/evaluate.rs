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
use crate::inference::Models;
use crate::recommend::components::{Component, Stop};
use crate::recommend::evaluation::bootstrap::Resampling;
use crate::recommend::evaluation::evaluator::{Ground, Judged, Segment};
use crate::recommend::evaluation::ips::{self, Shown};
use crate::recommend::evaluation::lists::self_information;
use crate::recommend::evaluation::methods::{Method, Other};
use crate::recommend::evaluation::per_user::PerUser;
use crate::recommend::evaluation::record::{Record, Records};
use crate::recommend::evaluation::rows::{self, Subject, Table};
use crate::recommend::evaluation::{Column, Metric};
use crate::recommend::evaluation::{ground_truth, probabilities};
use crate::recommend::inputs::items::{self, Assortment};
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
    let Some(record) = measure(request, loaded, other.as_ref(), &stop)? else { return Ok(()) };
    let record = Records::open(models.registry().home())
        .create(record)
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    listener.send(rows::batch(&record));
    Ok(())
}

/// All of it; `None` if `stop` said so.
fn measure(
    request: &Request<EvaluateOptions>,
    loaded: &Loaded,
    other: Option<&Loaded>,
    stop: Stop<'_>,
) -> Result<Option<Record>> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let items = request.inputs.items.as_ref();
    let Some(goods) = items::assortment(NAME, loaded, items, false, stop)? else { return Ok(None) };
    let people = recommender.everybody();
    let Some(interactions) = request.inputs.interactions.as_ref() else {
        return exec_err!("{NAME} needs interactions => (SELECT user_id, item_id, timestamp FROM ...)");
    };
    // Planning has seen to it that neither of two models was trained on anything later.
    let known = other.map_or(recommender.until, |other| other.recommender.until.max(recommender.until));
    let since = options.since.unwrap_or(known);
    let truth = ground_truth::read(recommender, &goods, interactions, since);
    if truth.taken.stored() == 0 {
        return exec_err!(
            "{NAME}: no user whom '{}' knows took one of the items from {} on{}",
            loaded.reference,
            crate::recommend::error::moment(since),
            if truth.notes.is_empty() { String::new() } else { format!(" ({})", truth.notes.join("; ")) }
        );
    }
    let Assortment { goods: sets, is_new, .. } = &goods;
    let had = recommender.had(&people, sets);
    let new = (0..sets.len() as u32).filter(|item| is_new[*item as usize]).collect::<Vec<_>>();
    let vectors = sets.known.meanings.below(&sets.new.meanings);
    let information = information(recommender, &goods);
    let ground = Ground {
        truth: &truth,
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
    let mut table = Table::new(ground.columns(), new.len(), sets.len());
    let logits = recommender.logits(&people, sets, 1.0);
    let model = Method::Model(logits);
    let chosen = recommender.boost.ln() as f32;

    let Some(main) = ground.judge(&model, chosen, true, stop) else { return Ok(None) };
    let subject = Subject { method: &loaded.reference, boost: Some(recommender.boost) };
    if table.judged(subject, &main, &options.k, &resampling, stop).is_none() {
        return Ok(None);
    }
    table.weeks(subject, &main.weeks, options.k.first().copied(), &resampling, stop);
    if let Some(other) = other {
        let Some(their_goods) = items::assortment(NAME, other, items, false, stop)? else { return Ok(None) };
        let theirs = other.recommender.as_ref();
        let their_people = theirs.everybody();
        let offers = theirs.logits(&their_people, &their_goods.goods, 1.0);
        let places = their_goods.places();
        let place = |good: usize| places.get(&goods.ids.get(good)).copied();
        let method = Method::Other(Other {
            offers,
            users: (0..recommender.users.len()).map(|user| theirs.users.find(recommender.users.get(user))).collect(),
            goods: (0..goods.ids.len()).map(place).collect(),
        });
        let Some(judged) = ground.judge(&method, theirs.boost.ln() as f32, true, stop) else { return Ok(None) };
        let subject = Subject { method: &other.reference, boost: Some(theirs.boost) };
        if table.judged(subject, &judged, &options.k, &resampling, stop).is_none() {
            return Ok(None);
        }
        let name = format!("{} - {}", loaded.reference, other.reference);
        let less = difference(&main, &judged);
        table.means(Subject { method: &name, boost: None }, &less, &resampling, stop);
    }

    let alone = |one| Method::alone(recommender, &people, sets, one);
    let mut methods = vec![
        ("random".to_owned(), Method::Random, true),
        ("popularity".to_owned(), Method::Popularity(recommender, sets), true),
        (Component::WordNeighbours.to_string(), alone(Component::WordNeighbours), true),
    ];
    if options.components {
        let others = Component::OF_NEW.iter().copied().filter(|one| *one != Component::WordNeighbours);
        let there = others.filter(|one| *one != Component::FineTuned || recommender.components.tower.is_some());
        methods.extend(there.map(|one| (one.to_string(), alone(one), false)));
    }
    let mut tuned_and_frozen: [Option<Judged>; 2] = [None, None];
    for (name, method, all) in &methods {
        let Some(judged) = ground.judge(method, 0.0, *all, stop) else { return Ok(None) };
        let subject = Subject { method: name, boost: None };
        if table.judged(subject, &judged, &options.k, &resampling, stop).is_none() {
            return Ok(None);
        }
        let pair = [Component::FineTuned, Component::EmbeddingFactors];
        if let Some(place) = pair.iter().position(|one| one.to_string() == *name) {
            tuned_and_frozen[place] = Some(judged);
        }
    }
    if let [Some(tuned), Some(frozen)] = &tuned_and_frozen {
        let name = format!("{} - {}", Component::FineTuned, Component::EmbeddingFactors);
        table.means(Subject { method: &name, boost: None }, &difference(tuned, frozen), &resampling, stop);
    }
    if ground.rank_all && !new.is_empty() {
        for boost in &options.boosts {
            let Some(judged) = ground.judge(&model, boost.ln() as f32, true, stop) else { return Ok(None) };
            table.boost(&loaded.reference, *boost, &judged, &ground, stop);
        }
    }
    let bins = if new.is_empty() {
        Vec::new()
    } else {
        let Some(bins) = probabilities::rows(&mut table, loaded, &people, &goods, &ground, &resampling, stop) else {
            return Ok(None);
        };
        bins
    };
    if !truth.logged.is_empty() {
        let mut users = truth.logged.iter().map(|(user, ..)| *user).collect::<Vec<_>>();
        users.dedup();
        let Some(lists) = ground.lists(&model, chosen, &users, stop) else { return Ok(None) };
        let lists = users.into_iter().zip(lists).collect();
        logged(&mut table, &loaded.reference, &lists, &ground, options, &resampling, stop)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Ok(Some(Record {
        id: String::new(),
        model: loaded.reference.clone(),
        against: other.map(|other| other.reference.clone()),
        created_at: now,
        since: Some(since),
        users: truth.taken.iter().filter(|(items, _)| !items.is_empty()).count() as u64,
        notes: truth.notes.clone(),
        rows: table.rows,
        bins,
    }))
}

/// How rarely each good was taken.
fn information(recommender: &Recommender, goods: &Assortment<'_>) -> Vec<f64> {
    let mut owners = vec![0u32; recommender.known.len()];
    for (items, _) in recommender.tastes.history.iter() {
        items.iter().for_each(|item| owners[*item as usize] += 1);
    }
    let known = goods.goods.known.known.iter().map(|known| known.map_or(0, |known| owners[known as usize]));
    let all = known.chain(std::iter::repeat_n(0, goods.goods.new.len())).collect::<Vec<_>>();
    self_information(&all, recommender.users.len())
}

/// User by user, how much better the one is than the other; lists have no difference.
fn difference(one: &Judged, other: &Judged) -> Judged {
    Judged {
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
    ground: &Ground<'_>,
    options: &EvaluateOptions,
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<()> {
    let candidates = if ground.rank_all { "all" } else { "new" };
    for k in &options.k {
        let shown = ground.truth.logged.iter().map(|(user, item, reward, propensity)| {
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

//! `recommend(...)`, `audience(...)` and `score(user, item, model)`: takes calls, gives rows.
//!
//! Each call works on a thread of its own; results depend on the model, the inputs and the seed alone. Called by `engine` through
//! the traits in `debut_udfs`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use debut_udfs::audience::{self, AudienceOptions};
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::EvaluateOptions;
use debut_udfs::model::{Input, Job, Model, ModelInfo, ModelProvider, Output, Task};
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::{Recommenders, Request, Rows, UserKey};
use futures::channel::oneshot;

use super::components::{Stop, Texts};
use super::encoders::{Embedded, Loaded};
use super::evaluate::evaluate;
use super::logistic::sigmoid;
use super::matrix::Matrix;
use super::offers::{self, Assortment, Audience};
use super::ranking::{Explore, Pool, SelectOptions, Slates, Source, select_from_all, top_pools, top_users};
use super::sparse::Csr;
use crate::fetch::Progress;
use crate::inference::Models;
use crate::train::work::{self, Listener};

/// Rows of a batch of results.
const BATCH: usize = 8192;
/// Of each user's best items so many times `k` are looked at where more than their scores counts.
const POOL: usize = 5;
/// And at least so many.
const LEAST_POOL: usize = 100;

/// Recommends with the models of a home, and finds them for everybody else.
#[derive(Debug, Clone)]
pub struct Recommend {
    models: Arc<Models>,
}

impl Recommend {
    /// Recommends with these models.
    pub fn new(models: Arc<Models>) -> Self {
        Self { models }
    }

    /// Starts `work` with the call's model loaded.
    fn start<O: Send + 'static>(
        &self,
        function: &'static str,
        request: Request<O>,
        config: &DebutConfig,
        work: impl FnOnce(&Models, &Request<O>, &Loaded, &DebutConfig, &Listener<RecordBatch>) -> Result<()>
        + Send
        + 'static,
    ) -> Result<Rows> {
        let (models, config) = (Arc::clone(&self.models), config.clone());
        work::start(function, move |listener| {
            let done = Loaded::open(&models, &request.model.reference(), &config)
                .and_then(|loaded| work(&models, &request, &loaded, &config, listener));
            if let Err(error) = done {
                listener.send(Err(error));
            }
        })
    }
}

impl Recommenders for Recommend {
    fn recommend(&self, request: Request<RecommendOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(recommend::NAME, request, config, |models, request, loaded, _, listener| {
            slates(request, loaded, models.progress(), listener)
        })
    }

    fn audience(&self, request: Request<AudienceOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(audience::NAME, request, config, |models, request, loaded, _, listener| {
            takers(request, loaded, models.progress(), listener)
        })
    }

    fn evaluate(&self, request: Request<EvaluateOptions>, config: &DebutConfig) -> Result<Rows> {
        self.start(debut_udfs::evaluate::NAME, request, config, evaluate)
    }
}

impl ModelProvider for Recommend {
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        self.models.describe(reference, config)
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        if self.models.describe(reference, config)?.task != Task::Recommender {
            return self.models.load(reference, config);
        }
        Ok(Arc::new(Scorer(Loaded::open(&self.models, reference, config)?)))
    }
}

/// The rows of `recommend`. What people should know beside them is told to `notes`.
fn slates(
    request: &Request<RecommendOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let users = request.inputs.users.as_ref();
    let Some(audience) = offers::audience(recommend::NAME, recommender, users, notes, &stop)? else { return Ok(()) };
    let items = request.inputs.items.as_ref();
    let assortment = offers::assortment(recommend::NAME, loaded, items, options.only_new, &stop)?;
    let Some(assortment) = assortment else { return Ok(()) };
    let (Audience { ids, people, .. }, Assortment { ids: item_ids, goods, is_new, .. }) = (&audience, &assortment);
    if people.is_empty() || goods.is_empty() {
        return Ok(());
    }
    let boost = options.new_boost.unwrap_or(recommender.boost);
    if boost <= 0.0 && options.new_boost.is_some() {
        return exec_err!("recommend: new_boost => 0 would never show a new item; leave them out of items instead");
    }
    let logits = recommender.logits(people, goods, boost);
    let had = offers::had(recommender, &audience, &assortment);
    let more = options.diversity > 0.0 || options.max_exposure.is_some() || options.explore.is_some();
    let size = if more { (POOL * options.k).max(LEAST_POOL) } else { options.k };
    let new_items = (0..goods.len() as u32).filter(|item| is_new[*item as usize]).collect::<Vec<_>>();
    let mut wanted = vec![Pool { k: size, only: None }];
    if options.min_new_share > 0.0 {
        wanted.push(Pool { k: size, only: Some(&new_items) });
    }
    let Some(pools) = top_pools(&logits, &wanted, Some(&had), &stop) else { return Ok(()) };
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
    let first_new = goods.known.len() as u32;
    let of_pair =
        |item: u32, logit: f32| sigmoid(f64::from(logit) - if item >= first_new { shift } else { 0.0 }) as f32;
    let vectors = (options.diversity > 0.0).then(|| goods.known.meanings.below(&goods.new.meanings));
    let source = Source { scores: &logits, skip: Some(&had), probability: &of_pair, is_new, vectors: vectors.as_ref() };
    let Some(slates) = select_from_all(&source, pools, &select_options, &stop) else { return Ok(()) };
    if let Some(limit) = options.max_exposure {
        let available = had.iter().map(|(items, _)| goods.len() - items.len());
        if let Some(note) = shortage(&slates, available, options.k, limit, goods.len()) {
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

/// The rows of `audience`. What people should know beside them is told to `notes`.
fn takers(
    request: &Request<AudienceOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let users = request.inputs.users.as_ref();
    let Some(audience) = offers::audience(audience::NAME, recommender, users, notes, &stop)? else { return Ok(()) };
    let items = request.inputs.items.as_ref();
    let Some(assortment) = offers::assortment(audience::NAME, loaded, items, false, &stop)? else { return Ok(()) };
    let (Audience { ids, people, .. }, Assortment { ids: item_ids, goods, .. }) = (&audience, &assortment);
    let logits = recommender.logits(people, goods, 1.0);
    let had = offers::had(recommender, &audience, &assortment);
    let Some(best) = top_users(&logits, options.k, Some(&had), &stop) else { return Ok(()) };
    for item in 0..best.rows() {
        let (users, logits) = best.row(item);
        for (part, (users, logits)) in users.chunks(BATCH).zip(logits.chunks(BATCH)).enumerate() {
            let first = (part * BATCH) as i64 + 1;
            let probabilities = logits.iter().map(|logit| sigmoid(f64::from(*logit)) as f32).collect::<Float32Array>();
            let probabilities = Arc::new(probabilities);
            listener.send(
                RecordBatch::try_new(
                    audience::schema(request.ids),
                    vec![
                        item_ids.array(users.iter().map(|_| item as u32)),
                        ids.array(users.iter().copied()),
                        Arc::new((first..first + users.len() as i64).collect::<Int64Array>()),
                        Arc::clone(&probabilities) as _,
                        probabilities,
                    ],
                )
                .map_err(DataFusionError::from),
            );
        }
    }
    Ok(())
}

/// A recommender as a model that reads pairs of a user and a text; texts alone are embedded by its encoder.
#[derive(Debug)]
struct Scorer(Loaded);

#[async_trait]
impl Model for Scorer {
    fn info(&self) -> &ModelInfo {
        self.0.tuned.info()
    }

    fn device(&self) -> &str {
        self.0.tuned.device()
    }

    async fn run(&self, job: Job) -> Result<Output> {
        let (users, items) = match &job.input {
            Input::Texts(_) => return self.0.tuned.run(job).await,
            Input::Pairs(users, items) => (users.clone(), items.clone()),
        };
        let (texts, item_of) = distinct(&items);
        let embedded = self.0.embed(&texts, &job.stats).await?;
        let loaded = self.0.clone();
        let (sender, receiver) = oneshot::channel();
        // Computing for long would hold up whoever else runs on this thread.
        rayon::spawn(move || {
            let gone = || sender.is_canceled();
            let logits = pairs(&loaded, &users, &texts, &item_of, &embedded, &gone);
            // Nobody waits for the result of a cancelled query.
            let _ = sender.send(logits);
        });
        let values = receiver.await.map_err(|_| exec_datafusion_err!("score: the computation stopped"))??;
        Ok(Output { values, failures: Vec::new() })
    }
}

/// The logit of each pair of a user and the item of that number.
fn pairs(
    loaded: &Loaded,
    users: &StringArray,
    texts: &StringArray,
    item_of: &[u32],
    embedded: &Embedded,
    stop: Stop<'_>,
) -> Result<Vec<f32>> {
    let recommender = loaded.recommender.as_ref();
    let (keys, user_of) = distinct(users);
    let width = recommender.profiles.columns();
    let (mut known, mut profiles) = (Vec::with_capacity(keys.len()), Matrix::zeros(keys.len(), width));
    for (user, key) in keys.iter().map(Option::unwrap_or_default).enumerate() {
        known.push(match UserKey::decode(key)? {
            UserKey::Id(id) => recommender.users.find_text(id),
            UserKey::Vector(vector) if vector.len() == width => {
                profiles.row_mut(user).copy_from_slice(&vector);
                None
            }
            UserKey::Vector(vector) => {
                return exec_err!(
                    "score: the profile has {} dimensions and model '{}' makes {width}",
                    vector.len(),
                    loaded.reference
                );
            }
        });
    }
    let histories = recommender.histories_of(&profiles);
    let stopped = || exec_datafusion_err!("score: the computation stopped");
    let people = offers::people(recommender, &known, &histories, stop).ok_or_else(stopped)?;
    let prices = vec![f32::NAN; texts.len()];
    let texts = Texts { texts, embeddings: &embedded.base, tuned: Some(&embedded.tuned), prices: &prices };
    let goods = recommender.goods(&[], &texts, stop).ok_or_else(stopped)?;
    let logits = recommender.logits(&people, &goods, 1.0);
    let rows = user_of.iter().zip(item_of).enumerate();
    let of_user = Csr::from_rows(user_of.len(), {
        let mut rows_of = vec![Vec::new(); keys.len()];
        rows.for_each(|(row, (user, _))| rows_of[*user as usize].push((row as u32, 1.0)));
        rows_of
    });
    let mut values = vec![0.0; user_of.len()];
    let (mut items, mut scores) = (Vec::new(), Vec::new());
    for user in 0..keys.len() {
        if stop() {
            return Err(stopped());
        }
        let rows = of_user.row(user).0;
        items.clear();
        items.extend(rows.iter().map(|row| item_of[*row as usize]));
        scores.resize(items.len(), 0.0);
        logits.new_of(user, &items, &mut scores);
        rows.iter().zip(&scores).for_each(|(row, logit)| values[*row as usize] = *logit);
    }
    Ok(values)
}

/// Each text once, in the order of their first rows, and the number of each row's.
fn distinct(texts: &StringArray) -> (StringArray, Vec<u32>) {
    let mut places: HashMap<&str, u32> = HashMap::new();
    let mut each = Vec::new();
    let numbers = texts.iter().map(Option::unwrap_or_default).map(|text| {
        *places.entry(text).or_insert_with(|| {
            each.push(text);
            each.len() as u32 - 1
        })
    });
    let numbers = numbers.collect();
    (StringArray::from(each), numbers)
}

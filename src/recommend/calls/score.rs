//! `score(user, item, model)`: takes pairs of a user and an item, which is a text or a picture; gives logits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, BinaryViewBuilder, StringArray, StringBuilder};
use async_trait::async_trait;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use debut_udfs::model::{Input, Job, Model, ModelInfo, Output, Stats};
use debut_udfs::recommender::{ItemKey, UserKey};
use futures::channel::oneshot;

use crate::cancellation::Stop;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::components::Texts;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::inputs::users;
use crate::recommend::model::loaded::{Embedded, Loaded};

/// A recommender as a model that reads pairs of a user and an item; texts alone are embedded by its encoder.
#[derive(Debug)]
pub(super) struct Scorer(pub(super) Loaded);

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
            // Its encoder says what it reads.
            Input::Texts(_) | Input::Bytes(_) | Input::TextAndBytes(..) => return self.0.tuned.run(job).await,
            Input::Pairs(users, items) => (users.clone(), items.clone()),
        };
        let (keys, item_of) = distinct(&items);
        let (items, unreadable) = self.items(&keys, &job.stats).await?;
        let loaded = self.0.clone();
        let numbers = item_of.clone();
        let (sender, receiver) = oneshot::channel();
        // Computing for long would hold up whoever else runs on this thread.
        rayon::spawn(move || {
            let gone = || sender.is_canceled();
            let logits = pairs(&loaded, &users, &items, &numbers, &gone);
            // Nobody waits for the result of a cancelled query.
            let _ = sender.send(logits);
        });
        let values = receiver.await.map_err(|_| exec_datafusion_err!("score: the computation stopped"))??;
        let reason = |(row, item): (usize, &u32)| Some((row, unreadable.get(&(*item as usize))?.clone()));
        Ok(Output { values, failures: item_of.iter().enumerate().filter_map(reason).collect() })
    }
}

/// Items with what a recommender knows them by.
struct ScoredItems {
    /// Empty for those that are pictures.
    texts: StringArray,
    embedded: Embedded,
    pictures: Option<Pictures>,
}

impl Scorer {
    /// The items of these keys; and of those whose picture cannot be read, why.
    async fn items(&self, keys: &StringArray, stats: &Arc<Stats>) -> Result<(ScoredItems, HashMap<usize, String>)> {
        let keys = keys.iter().map(|key| ItemKey::decode(key.unwrap_or_default())).collect::<Result<Vec<_>>>()?;
        let (mut texts, mut images) = (StringBuilder::new(), BinaryViewBuilder::new());
        for key in &keys {
            match key {
                ItemKey::Text(text) => {
                    texts.append_value(text);
                    images.append_null();
                }
                ItemKey::Picture(bytes) => {
                    texts.append_value("");
                    images.append_value(bytes);
                }
            }
        }
        let (texts, images) = (texts.finish(), images.finish());
        let embedded = self.0.embed(&texts, stats).await?;
        let (pictures, unreadable) = match &self.0.images {
            Some(model) if images.null_count() < images.len() => {
                let (pictures, failures) = model.embed_each(&images, stats, &|| false).await?;
                (Some(pictures), failures.into_iter().collect())
            }
            _ => (None, HashMap::new()),
        };
        Ok((ScoredItems { texts, embedded, pictures }, unreadable))
    }
}

/// The logit of each pair of a user and the item of that number.
fn pairs(
    loaded: &Loaded,
    users: &StringArray,
    items: &ScoredItems,
    item_of: &[u32],
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
    let user_batch = users::user_batch(recommender, &known, &histories, stop)?;
    let ScoredItems { texts, embedded, pictures } = items;
    let prices = vec![f32::NAN; texts.len()];
    let texts = Texts {
        texts,
        embeddings: &embedded.base,
        tuned: Some(&embedded.tuned),
        pictures: pictures.as_ref(),
        prices: &prices,
    };
    let candidates = recommender.candidates(&[], &texts, stop)?;
    let logits = recommender.logits(&user_batch, &candidates, 1.0);
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

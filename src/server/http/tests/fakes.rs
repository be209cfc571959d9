//! A recommender that says what it was asked, and a model that is slow: what real ones cannot be made to show.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int64Type};
use async_trait::async_trait;
use datafusion::common::{Result, not_impl_err};
use debut_udfs::audience::AudienceOptions;
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::EvaluateOptions;
use debut_udfs::explain_recommendation::ExplainOptions;
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::model::{Job, Modality, Model, ModelInfo, ModelProvider, Output, Task};
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::{Recommenders, Request, Rows};
use debut_udfs::title_effect::TitleOptions;
use futures::stream::{self, StreamExt};

use crate::inference::Models;

const IDS: Ids = Ids { user: IdType::Integer, item: IdType::Text };

/// The models of the tests, and `shop`, a recommender, and `slow`, which takes a second.
#[derive(Debug)]
pub(super) struct Fakes(Arc<Models>);

impl Fakes {
    pub(super) fn over(models: Arc<Models>) -> Self {
        Self(models)
    }
}

fn info(name: &str, task: Task, ids: Option<Ids>) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        version: "1".into(),
        task,
        modality: Modality::Text,
        text_tower: None,
        dimension: 1,
        labels: Vec::new(),
        ids,
        trained_until: None,
        image_model: None,
        max_tokens: 8,
        fingerprint: "0".repeat(16),
        prompts: std::collections::BTreeMap::new(),
    }
}

impl ModelProvider for Fakes {
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        match reference.split('@').next() {
            Some("shop") => Ok(Arc::new(info("shop", Task::Recommender, Some(IDS)))),
            Some("slow") => Ok(Arc::new(info("slow", Task::Embedding, None))),
            _ => self.0.describe(reference, config),
        }
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        match reference.split('@').next() {
            Some("slow") => Ok(Arc::new(Slow(info("slow", Task::Embedding, None)))),
            _ => self.0.load(reference, config),
        }
    }
}

#[derive(Debug)]
struct Slow(ModelInfo);

#[async_trait]
impl Model for Slow {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn device(&self) -> &'static str {
        "cpu"
    }

    async fn run(&self, job: Job) -> Result<Output> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Output { values: vec![1.0; job.input.rows()], failures: Vec::new() })
    }
}

/// Recommends to each user the first items, as many as were asked for; the score is the boost that was asked for.
/// So many lists of one reason.
fn reason(kind: &DataType, of: &str, rows: usize) -> ArrayRef {
    let DataType::List(item) = kind else { panic!("{kind} is no list") };
    let DataType::Struct(fields) = item.data_type() else { panic!("{kind} has no structs") };
    let values: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec![of; rows])), Arc::new(Float32Array::from(vec![0.5; rows]))];
    let structs = Arc::new(StructArray::new(fields.clone(), values, None));
    let offsets = OffsetBuffer::from_repeated_length(1, rows);
    Arc::new(ListArray::new(Arc::clone(item), offsets, structs, None))
}

#[derive(Debug)]
pub(super) struct Shop;

impl Recommenders for Shop {
    fn recommend(&self, request: Request<RecommendOptions>, _config: &DebutConfig) -> Result<Rows> {
        let column = |table: Option<&debut_udfs::trainer::Table>| -> Vec<ArrayRef> {
            table.into_iter().flat_map(|table| &table.batches).map(|batch| Arc::clone(batch.column(0))).collect()
        };
        let disliked = request.inputs.disliked.iter().flat_map(|table| &table.batches).flat_map(|batch| {
            let items = batch.column_by_name("item_id").unwrap().as_string::<i32>();
            items.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        let disliked = disliked.collect::<Vec<_>>();
        let users: Vec<i64> = column(request.inputs.users.as_ref())
            .iter()
            .flat_map(|users| users.as_primitive::<Int64Type>().values().to_vec())
            .collect();
        let items: Vec<String> = column(request.inputs.items.as_ref())
            .iter()
            .flat_map(|items| items.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            .filter(|item| !disliked.contains(item))
            .take(request.options.k)
            .collect();
        let rows: Vec<(i64, usize)> =
            users.iter().flat_map(|user| (0..items.len()).map(|item| (*user, item))).collect();
        let boost = request.options.new_boost.unwrap_or(1.0) as f32;
        let all = |value: f32| Arc::new(Float32Array::from(vec![value; rows.len()])) as ArrayRef;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|(user, _)| Some(*user)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(_, item)| Some(items[*item].as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|(_, item)| Some(*item as i64 + 1)).collect::<Int64Array>()),
            all(boost),
            all(0.25),
            Arc::new(rows.iter().map(|_| Some(true)).collect::<BooleanArray>()),
            all(1.0),
        ];
        let schema = recommend::schema(IDS, request.options.explain);
        for (list, of) in schema.fields()[columns.len()..].iter().zip(["price", "lamp"]) {
            columns.push(reason(list.data_type(), of, rows.len()));
        }
        let batch = RecordBatch::try_new(schema, columns)?;
        Ok(stream::iter([Ok(batch)]).boxed())
    }

    fn explain(&self, _: Request<ExplainOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("explain_recommendation")
    }

    fn title_effect(&self, _: Request<TitleOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("title_effect")
    }

    fn audience(&self, _: Request<AudienceOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("audience")
    }

    fn evaluate(&self, _: Request<EvaluateOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("evaluate")
    }
}

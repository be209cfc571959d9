//! A recommender that says what it was asked, and a model that is slow: what real ones cannot be made to show.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{Result, not_impl_err};
use debut_udfs::audience::{self, AudienceOptions};
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::EvaluateOptions;
use debut_udfs::explain_recommendation::{self, ExplainOptions};
use debut_udfs::forecast_launch::ForecastOptions;
use debut_udfs::gaps::GapsOptions;
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::model::{Job, Modality, Model, ModelInfo, ModelProvider, Output, Task};
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::{Recommenders, Request, Rows};
use debut_udfs::title_effect::{self, TitleOptions};
use debut_udfs::trainer::Table;
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

/// The first column of an argument that is rows.
fn first_column(table: Option<&Table>) -> Vec<ArrayRef> {
    table.into_iter().flat_map(|table| &table.batches).map(|batch| Arc::clone(batch.column(0))).collect()
}

fn users_of(table: Option<&Table>) -> Vec<i64> {
    let mut users: Vec<i64> =
        first_column(table).iter().flat_map(|users| users.as_primitive::<Int64Type>().values().to_vec()).collect();
    users.dedup();
    users
}

fn items_of(table: Option<&Table>) -> Vec<String> {
    let items = first_column(table);
    items
        .iter()
        .flat_map(|items| items.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn rows(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<Rows> {
    let batch = RecordBatch::try_new(schema, columns)?;
    Ok(stream::iter([Ok(batch)]).boxed())
}

fn texts<T: AsRef<str>>(texts: &[T]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

/// Recommends to each user the first items, as many as were asked for; the score is the boost that was asked for. Each item has
/// two buyers, 1 and 2.
#[derive(Debug)]
pub(super) struct Shop;

impl Recommenders for Shop {
    fn recommend(&self, request: Request<RecommendOptions>, _config: &DebutConfig) -> Result<Rows> {
        let disliked = request.inputs.disliked.iter().flat_map(|table| &table.batches).flat_map(|batch| {
            let items = batch.column_by_name("item_id").unwrap().as_string::<i32>();
            items.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        let disliked = disliked.collect::<Vec<_>>();
        let users = users_of(request.inputs.users.as_ref());
        let items: Vec<String> = items_of(request.inputs.items.as_ref())
            .into_iter()
            .filter(|item| !disliked.contains(item))
            .take(request.options.k)
            .collect();
        let pairs: Vec<(i64, usize)> =
            users.iter().flat_map(|user| (0..items.len()).map(|item| (*user, item))).collect();
        let boost = request.options.new_boost.unwrap_or(1.0) as f32;
        let all = |value: f32| Arc::new(Float32Array::from(vec![value; pairs.len()])) as ArrayRef;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(pairs.iter().map(|(user, _)| Some(*user)).collect::<Int64Array>()),
            Arc::new(pairs.iter().map(|(_, item)| Some(items[*item].as_str())).collect::<StringArray>()),
            Arc::new(pairs.iter().map(|(_, item)| Some(*item as i64 + 1)).collect::<Int64Array>()),
            all(boost),
            all(0.25),
            Arc::new(pairs.iter().map(|_| Some(true)).collect::<BooleanArray>()),
            all(1.0),
        ];
        let schema = recommend::schema(IDS, request.options.explain);
        for (list, of) in schema.fields()[columns.len()..].iter().zip(["price", "lamp"]) {
            columns.push(reason(list.data_type(), of, pairs.len()));
        }
        rows(schema, columns)
    }

    fn explain(&self, request: Request<ExplainOptions>, _config: &DebutConfig) -> Result<Rows> {
        let (users, items) = (users_of(request.inputs.users.as_ref()), items_of(request.inputs.items.as_ref()));
        let half = Arc::new(Float32Array::from(vec![0.5; items.len()])) as ArrayRef;
        let columns = vec![
            Arc::new(Int64Array::from(vec![users[0]; items.len()])) as ArrayRef,
            texts(&items),
            Arc::clone(&half),
            texts(&vec!["word"; items.len()]),
            texts(&items),
            Arc::new(StringArray::new_null(items.len())),
            half,
        ];
        rows(explain_recommendation::schema(IDS), columns)
    }

    fn title_effect(&self, request: Request<TitleOptions>, _config: &DebutConfig) -> Result<Rows> {
        let items = items_of(request.inputs.items.as_ref());
        let number = |value: f64| Arc::new(Float64Array::from(vec![value; items.len()])) as ArrayRef;
        let columns = vec![
            texts(&items),
            texts(&vec!["none"; items.len()]),
            Arc::new(StringArray::new_null(items.len())),
            texts(&items),
            number(1.5),
            number(0.0),
        ];
        rows(title_effect::schema(IDS), columns)
    }

    fn audience(&self, request: Request<AudienceOptions>, _config: &DebutConfig) -> Result<Rows> {
        let items = items_of(request.inputs.items.as_ref());
        let items: Vec<&String> = items.iter().flat_map(|item| [item, item]).collect();
        let of_both = |values: [f32; 2]| Arc::new(Float32Array::from(values.repeat(items.len() / 2))) as ArrayRef;
        let both = |values: [i64; 2]| Arc::new(Int64Array::from(values.repeat(items.len() / 2))) as ArrayRef;
        let columns = vec![texts(&items), both([1, 2]), both([1, 2]), of_both([0.5, 0.25]), of_both([0.5, 0.25])];
        rows(audience::schema(IDS), columns)
    }

    fn gaps(&self, _: Request<GapsOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("gaps")
    }

    fn forecast(&self, _: Request<ForecastOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("forecast_launch")
    }

    fn evaluate(&self, _: Request<EvaluateOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("evaluate")
    }
}

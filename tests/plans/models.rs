//! Models that cost nothing, and functions without a model that compute the same.
//!
//! Takes nothing; gives sessions in which `plain_embed`, `plain_predict` and `plain_score` stand beside `embed`,
//! `predict` and `score`.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, LazyLock};
use std::task::Poll;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, StringArray};
use arrow::datatypes::{DataType, Float32Type};
use async_trait::async_trait;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use debut::compress::Compress;
use debut::engine::{Access, Engine, EngineOptions, Session, Workers};
use debut::home::Home;
use debut::inference::Models;
use debut::recommend::{Recommend, RecommendTrainer};
use debut_udfs::config::DebutConfig;
use debut_udfs::model::{Input, Job, Modality, Model, ModelInfo, ModelProvider, Output, Task};
use debut_udfs::vectors::vector_type;
use tempfile::TempDir;

static HOME: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// A number for a text, with many equals.
fn number(text: &str) -> f32 {
    // Not `sum`, whose empty sum is -0.0: which of two equal zeros `max` gives is not determined.
    text.bytes().fold(0.0, |sum, byte| sum + f32::from(byte % 5)) / 4.0
}

/// A logit for a pair, 0 for equals.
fn logit(first: &str, second: &str) -> f32 {
    number(first) - number(second)
}

#[derive(Debug)]
struct TextModel {
    info: ModelInfo,
}

#[async_trait]
impl Model for TextModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &str {
        "test"
    }

    async fn run(&self, job: Job) -> Result<Output> {
        // Results come later than they are asked for, as those of a real model. Outside of Tokio too, where a plan has
        // no node for a call.
        let mut is_later = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_later, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let values = match &job.input {
            Input::Texts(texts) if self.info.task == Task::Embedding => {
                texts.iter().flatten().flat_map(|text| [number(text), text.len() as f32]).collect()
            }
            Input::Texts(texts) => texts.iter().flatten().map(number).collect(),
            Input::Bytes(_) | Input::TextAndBytes(..) => return exec_err!("the model reads text"),
            Input::Pairs(first, second) => first.iter().zip(second).filter_map(|(a, b)| Some(logit(a?, b?))).collect(),
        };
        Ok(Output { values, failures: Vec::new() })
    }
}

#[derive(Debug)]
struct TextModels;

impl ModelProvider for TextModels {
    fn describe(&self, reference: &str, _config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        let name = reference.split('@').next().unwrap_or(reference);
        let task = match name {
            "vectors" => Task::Embedding,
            "numbers" => Task::Regression,
            "pairs" => Task::CrossEncoder,
            _ => return plan_err!("there is no model '{reference}'"),
        };
        Ok(Arc::new(info(name, task, Modality::Text)))
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(TextModel { info: self.describe(reference, config)?.as_ref().clone() }))
    }
}

/// A model of this name, whose vectors have two numbers.
pub(crate) fn info(name: &str, task: Task, modality: Modality) -> ModelInfo {
    ModelInfo {
        name: name.to_string(),
        version: "1".to_string(),
        task,
        modality,
        text_tower: None,
        dimension: if task == Task::Embedding { 2 } else { 0 },
        labels: Vec::new(),
        ids: None,
        trained_until: None,
        image_model: None,
        max_tokens: 64,
        fingerprint: name.to_string(),
        prompts: BTreeMap::new(),
    }
}

/// A session whose models are those of `provider`.
pub(crate) fn session_over(provider: Arc<dyn ModelProvider>) -> Session {
    let models = Arc::new(Models::new(Home::at(HOME.path())));
    let workers = Workers {
        models: provider,
        trainer: Arc::new(RecommendTrainer::new(Arc::clone(&models))),
        compressor: Arc::new(Compress::new(Arc::clone(&models))),
        recommenders: Arc::new(Recommend::new(Arc::clone(&models))),
    };
    let engine = Engine::with_workers(models, workers, &EngineOptions::default()).unwrap();
    engine.session(&Access::everything()).unwrap()
}

/// A session over the models of texts.
pub(crate) fn session() -> Session {
    let session = session_over(Arc::new(TextModels));
    register_plain(&session);
    session
}

fn register_plain(session: &Session) {
    let texts = |arguments: usize| vec![DataType::Utf8; arguments];
    let embed = |arguments: &[ArrayRef]| -> ArrayRef {
        let rows =
            strings(&arguments[0]).iter().map(|text| text.map(|text| [number(text), text.len() as f32].map(Some)));
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2))
    };
    let predict = |arguments: &[ArrayRef]| -> ArrayRef {
        Arc::new(strings(&arguments[0]).iter().map(|text| text.map(number)).collect::<Float32Array>())
    };
    let score = |arguments: &[ArrayRef]| -> ArrayRef {
        let pairs = strings(&arguments[0]).iter().zip(strings(&arguments[1]));
        // The same two ways to the sigmoid as in `score`, so that results are equal to the last bit.
        let sigmoid = |x: f32| if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) };
        Arc::new(pairs.map(|(a, b)| Some(sigmoid(logit(a?, b?)))).collect::<Float32Array>())
    };
    type Kernel = Box<dyn Fn(&[ArrayRef]) -> ArrayRef + Send + Sync>;
    let functions: [(&str, usize, DataType, Kernel); 3] = [
        ("plain_embed", 1, vector_type(2), Box::new(embed)),
        ("plain_predict", 2, DataType::Float32, Box::new(predict)),
        ("plain_score", 3, DataType::Float32, Box::new(score)),
    ];
    for (name, arguments, result, kernel) in functions {
        let run = Arc::new(move |arguments: &[ColumnarValue]| {
            let is_constant = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
            let result = kernel(&ColumnarValue::values_to_arrays(arguments)?);
            Ok(match is_constant {
                true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
                false => ColumnarValue::Array(result),
            })
        });
        session.context().register_udf(create_udf(name, texts(arguments), result, Volatility::Immutable, run));
    }
}

fn strings(array: &ArrayRef) -> &StringArray {
    array.as_string()
}

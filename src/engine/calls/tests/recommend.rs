//! Calls of `recommend`, `audience`, `evaluate` and `score` with a recommender, over one that says what it was asked.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float32Type, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{Result, exec_err, internal_err, not_impl_err, plan_err};
use debut_udfs::audience::{self, AudienceOptions};
use debut_udfs::config::DebutConfig;
use debut_udfs::evaluate::{self, EvaluateOptions};
use debut_udfs::explain_recommendation::ExplainOptions;
use debut_udfs::forecast_launch::ForecastOptions;
use debut_udfs::gaps::GapsOptions;
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::model::{Input, Job, Modality, Model, ModelInfo, ModelProvider, Output, Task};
use debut_udfs::options::Inputs;
use debut_udfs::recommend::{self, RecommendOptions};
use debut_udfs::recommender::{Recommenders, Request, Rows, UserKey};
use debut_udfs::title_effect::TitleOptions;
use debut_udfs::trainer::Table;
use futures::stream::{self, StreamExt};

use crate::compress::Compress;
use crate::engine::{Access, Engine, EngineOptions, Session, Workers};
use crate::home::Home;
use crate::inference::Models;
use crate::train::EncoderTrainer;

/// Gives a row for each user and says what it was asked.
#[derive(Debug, Default)]
pub(super) struct Saying {
    asked: Mutex<Vec<Inputs<Table>>>,
    recommended: Mutex<Vec<RecommendOptions>>,
    evaluated: Mutex<Vec<EvaluateOptions>>,
    targeted: Mutex<Vec<AudienceOptions>>,
}

impl Saying {
    fn ask<O: Clone>(&self, said: &Mutex<Vec<O>>, request: &Request<O>) {
        said.lock().unwrap().push(request.options.clone());
        self.asked.lock().unwrap().push(request.inputs.clone());
        request.progress.begin(1);
    }
}

fn rows(schema: SchemaRef, columns: Vec<ArrayRef>) -> Rows {
    stream::iter([RecordBatch::try_new(schema, columns).map_err(Into::into)]).boxed()
}

/// The users of a table, or 7.
fn users(inputs: &Inputs<Table>) -> Int64Array {
    let Some(users) = &inputs.users else { return vec![7].into() };
    let all = users.batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>());
    all.collect()
}

impl Recommenders for Saying {
    fn recommend(&self, request: Request<RecommendOptions>, _config: &DebutConfig) -> Result<Rows> {
        self.ask(&self.recommended, &request);
        if request.options.seed == 13 {
            return Ok(stream::iter([exec_err!("the factors are not numbers")]).boxed());
        }
        let users = users(&request.inputs);
        let ones = || Arc::new(Float32Array::from(vec![1.0; users.len()])) as ArrayRef;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(users.clone()),
            Arc::new(StringArray::from(vec!["mug"; users.len()])),
            Arc::new(Int64Array::from(vec![1; users.len()])),
            ones(),
            ones(),
            Arc::new(BooleanArray::from(vec![true; users.len()])),
            ones(),
        ];
        Ok(rows(recommend::schema(request.ids, false), columns))
    }

    fn explain(&self, _: Request<ExplainOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("explain_recommendation")
    }

    fn title_effect(&self, _: Request<TitleOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("title_effect")
    }

    fn gaps(&self, _: Request<GapsOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("gaps")
    }

    fn forecast(&self, _: Request<ForecastOptions>, _config: &DebutConfig) -> Result<Rows> {
        not_impl_err!("forecast_launch")
    }

    fn audience(&self, request: Request<AudienceOptions>, _config: &DebutConfig) -> Result<Rows> {
        self.ask(&self.targeted, &request);
        let columns = audience::schema(request.ids);
        let none = columns.fields().iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect();
        Ok(rows(columns, none))
    }

    fn evaluate(&self, request: Request<EvaluateOptions>, _config: &DebutConfig) -> Result<Rows> {
        self.ask(&self.evaluated, &request);
        let columns = evaluate::schema();
        let none = columns.fields().iter().map(|field| arrow::array::new_empty_array(field.data_type())).collect();
        Ok(rows(columns, none))
    }
}

/// Recommenders by name: `shop` and `again` with integer users and text items, `named` with text users; and an encoder.
#[derive(Debug)]
struct Shops;

impl ModelProvider for Shops {
    fn describe(&self, reference: &str, _config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        let name = reference.strip_suffix("@3").unwrap_or(reference);
        let ids = |user| Some(Ids { user, item: IdType::Text });
        // 'again' was trained on all of 2025, 'shop' on the eleven months before December.
        let trained_until = match name {
            "shop" => Some(1_764_547_200_000_000),
            "again" => Some(1_767_225_600_000_000),
            _ => None,
        };
        let (task, ids) = match name {
            "shop" | "again" => (Task::Recommender, ids(IdType::Integer)),
            "named" => (Task::Recommender, ids(IdType::Text)),
            "encoder" => (Task::Embedding, None),
            _ => return plan_err!("there is no model '{name}'"),
        };
        Ok(Arc::new(ModelInfo {
            name: name.into(),
            version: "3".into(),
            task,
            modality: Modality::Text,
            text_tower: None,
            dimension: 2,
            labels: vec![],
            ids,
            trained_until,
            image_model: (name == "again").then(|| "pictures@1".into()),
            max_tokens: 8,
            fingerprint: name.into(),
            prompts: BTreeMap::new(),
        }))
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        Ok(Arc::new(Sums(self.describe(reference, config)?)))
    }
}

/// The logit of a user and an item: the number that the user is, or the sum of its vector, and the length of the item. The
/// vector of a text is its length and 0, normalised.
#[derive(Debug)]
struct Sums(Arc<ModelInfo>);

#[async_trait]
impl Model for Sums {
    fn info(&self) -> &ModelInfo {
        &self.0
    }

    fn device(&self) -> &str {
        "cpu"
    }

    async fn run(&self, job: Job) -> Result<Output> {
        let values = match &job.input {
            Input::Texts(texts) => texts.iter().flat_map(|_| [1.0, 0.0]).collect(),
            Input::Bytes(_) | Input::TextAndBytes(..) => return internal_err!("bytes"),
            Input::Pairs(users, items) => {
                let mut logits = Vec::new();
                for (user, item) in users.iter().zip(items) {
                    let (Some(user), Some(item)) = (user, item) else { return internal_err!("a NULL") };
                    let user = match UserKey::decode(user)? {
                        UserKey::Id(id) => id.parse().unwrap_or(0.5),
                        UserKey::Vector(vector) => vector.iter().sum(),
                    };
                    logits.push(user + item.len() as f32);
                }
                logits
            }
        };
        Ok(Output { values, failures: vec![] })
    }
}

struct Fixture {
    session: Session,
    recommenders: Arc<Saying>,
    _home: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let models = Arc::new(Models::new(Home::at(home.path())));
        let recommenders = Arc::new(Saying::default());
        let workers = Workers {
            models: Arc::new(Shops),
            trainer: Arc::new(EncoderTrainer::new(Arc::clone(&models))),
            compressor: Arc::new(Compress::new(Arc::clone(&models))),
            recommenders: Arc::clone(&recommenders) as _,
        };
        let engine = Engine::with_workers(models, workers, &EngineOptions::default()).unwrap();
        let session = engine.session(&Access::everything()).unwrap();
        let fixture = Self { session, recommenders, _home: home };
        fixture
            .rows(
                "CREATE TABLE i AS SELECT * FROM (VALUES (1, 'mug', TIMESTAMP '2026-01-01'), (2, 'pot', NULL))
                     AS t(user_id, item_id, timestamp);
                 CREATE TABLE p AS SELECT * FROM (VALUES ('mug', 'a mug'), ('pot', NULL)) AS t(item_id, text)",
            )
            .await
            .unwrap();
        fixture
    }

    async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        for statement in self.session.statements(sql)? {
            rows = self.session.run(statement).await?.collect().await?;
        }
        Ok(rows)
    }

    async fn message(&self, sql: &str) -> String {
        self.rows(sql).await.unwrap_err().strip_backtrace()
    }

    /// The one column of floats of a query, as text.
    async fn floats(&self, sql: &str) -> Vec<Option<f32>> {
        let rows = self.rows(sql).await.unwrap();
        rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Float32Type>().iter().collect::<Vec<_>>()).collect()
    }
}

fn sigmoid(x: f32) -> Option<f32> {
    Some(1.0 / (1.0 + (-x).exp()))
}

#[tokio::test]
async fn recommend_hands_over_tables_and_gives_rows() {
    let fixture = Fixture::new().await;
    let sql = "SELECT user_id, item_id, r.rank FROM recommend(model => 'shop', k => 5, explore => true,
                   items => (SELECT * FROM p), users => (SELECT CAST(user_id AS SMALLINT) AS user_id FROM i)) AS r
               WHERE is_new ORDER BY user_id";
    let found = fixture.rows(sql).await.unwrap();
    assert_eq!(found[0].column(0).as_primitive::<Int64Type>().values().to_vec(), [1, 2]);
    assert_eq!(found[0].schema().field(1).data_type(), &DataType::Utf8);
    let called = fixture.rows("CALL recommend(model => 'shop@3', seed => 1)").await.unwrap();
    assert_eq!((called[0].num_columns(), called[0].num_rows()), (7, 1));
    let options = fixture.recommenders.recommended.lock().unwrap();
    assert_eq!((options[0].k, options[0].explore, options[1].seed), (5, Some(100.0), 1));
    let asked = fixture.recommenders.asked.lock().unwrap();
    let items = asked[0].items.as_ref().unwrap();
    assert_eq!((items.rows(), items.schema.field(1).data_type()), (2, &DataType::Utf8View));
    assert!(items.batches.iter().all(|batch| batch.schema() == items.schema));
    assert_eq!(asked[0].users.as_ref().unwrap().schema.fields().len(), 1);
    assert!(asked[1].iter().next().is_none());
}

#[tokio::test]
async fn the_session_model_is_asked_where_a_call_names_none() {
    let fixture = Fixture::new().await;
    fixture.rows("SET debut.model = 'shop'; SELECT * FROM recommend(k => 3)").await.unwrap();
    let message = fixture.message("SET debut.model = 'encoder'; SELECT * FROM recommend(k => 3)").await;
    assert!(message.contains("recommend: model 'encoder@3' is an embedding model and recommends nothing"), "{message}");
}

#[tokio::test]
async fn audience_and_evaluate_are_asked() {
    let fixture = Fixture::new().await;
    let found = fixture.rows("CALL audience(model => 'shop', items => (SELECT * FROM p), k => 7)").await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert_eq!(fixture.recommenders.targeted.lock().unwrap()[0].k, 7);
    let sql = "SELECT metric, value FROM evaluate(model => 'shop', against => 'again', k => [20, 10], since => DATE '2026-01-01',
                   interactions => (SELECT *, user_id = 1 AS liked FROM i), columns => 'label=liked') WHERE value > 0";
    fixture.rows(sql).await.unwrap();
    let options = fixture.recommenders.evaluated.lock().unwrap();
    assert_eq!((&options[0].k[..], options[0].against.as_deref()), (&[10, 20][..], Some("again@3")));
    assert_eq!(options[0].since, Some(1_767_225_600_000_000));
    let asked = fixture.recommenders.asked.lock().unwrap();
    let interactions = &asked[1].interactions.as_ref().unwrap().schema;
    assert_eq!(interactions.field(3).name(), "label");
    assert_eq!(interactions.field(3).data_type(), &DataType::Float64);
}

#[tokio::test]
async fn two_models_are_compared_on_what_neither_was_trained_on() {
    let fixture = Fixture::new().await;
    let evaluate = |more: &str| format!("SELECT * FROM evaluate(interactions => (SELECT * FROM i), {more})");
    fixture.rows(&evaluate("model => 'shop', against => 'again'")).await.unwrap();
    fixture.rows(&evaluate("model => 'again', against => 'shop'")).await.unwrap();
    // Alone, a model says itself where its training data end.
    fixture.rows(&evaluate("model => 'shop'")).await.unwrap();
    let since = fixture.recommenders.evaluated.lock().unwrap().iter().map(|options| options.since).collect::<Vec<_>>();
    assert_eq!(since, [Some(1_767_225_600_000_000), Some(1_767_225_600_000_000), None]);
    for models in ["model => 'shop', against => 'again'", "model => 'again', against => 'shop'"] {
        let call = evaluate(&format!("{models}, since => TIMESTAMP '2025-12-31 23:59:59'"));
        let message = fixture.message(&format!("EXPLAIN {call}")).await;
        for part in [
            "evaluate: since is 2025-12-31 23:59:59",
            "'shop@3' was trained on interactions up to 2025-11-30 23:59:59.999999",
            "'again@3' was trained on interactions up to 2025-12-31 23:59:59.999999",
            "give '2026-01-01 00:00:00' or later",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    fixture.rows(&evaluate("model => 'shop', against => 'again', since => DATE '2026-01-01'")).await.unwrap();
}

#[tokio::test]
async fn explain_asks_nobody() {
    let fixture = Fixture::new().await;
    let rows =
        fixture.rows("EXPLAIN SELECT * FROM recommend(model => 'shop', users => (SELECT * FROM i))").await.unwrap();
    let plan = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    assert!(plan.contains("Recommend: diversity=0, ") && plan.contains("model=shop@3"), "{plan}");
    assert!(plan.contains("RecommendExec: ") && plan.contains("inputs=[users]"), "{plan}");
    assert!(fixture.recommenders.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_goes_wrong_is_the_error_of_the_query() {
    let fixture = Fixture::new().await;
    let message = fixture.message("SELECT * FROM recommend(model => 'shop', seed => 13)").await;
    assert!(message.contains("the factors are not numbers"), "{message}");
    let too_large = "CALL recommend(model => 'shop', users => (SELECT 18446744073709551615 AS user_id))";
    let message = fixture.message(too_large).await;
    assert!(message.contains("18446744073709551615"), "{message}");
}

#[tokio::test]
async fn mistakes_are_found_while_planning() {
    let fixture = Fixture::new().await;
    for (call, part) in [
        ("recommend('shop')", "recommend: arguments have names"),
        (
            "recommend(model => 'shop', interactions => (SELECT * FROM i))",
            "recommend: there is no option 'interactions'",
        ),
        ("recommend(model => 'nobody')", "no model 'nobody'"),
        ("recommend(model => 'shop', k => 0)", "recommend: k is an integer from 1 to 1000000, not '0'"),
        ("recommend(model => 'shop', users => (SELECT * FROM p))", "recommend: users has no column 'user_id'"),
        ("recommend(model => 'named', users => (SELECT * FROM i))", "write CAST(user_id AS VARCHAR) AS user_id"),
        ("audience(model => 'shop')", "audience needs items => (SELECT ...)"),
        ("evaluate(model => 'shop', items => (SELECT * FROM p))", "evaluate needs interactions => (SELECT ...)"),
        ("evaluate(model => 'shop', against => 'named', interactions => (SELECT * FROM i))", "'shop@3' and 'named@3'"),
        ("evaluate(model => 'shop', against => 'encoder', interactions => (SELECT * FROM i))", "is an embedding model"),
        ("evaluate(model => 'shop', interactions => (SELECT user_id, item_id FROM i))", "no column 'timestamp'"),
    ] {
        let message = fixture.message(&format!("EXPLAIN SELECT * FROM {call}")).await;
        assert!(message.contains(part), "{call}: {message}");
    }
    assert!(fixture.recommenders.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn score_takes_users_of_a_recommender() {
    let fixture = Fixture::new().await;
    let scores = fixture.floats("SELECT score(user_id - 6, item_id, 'shop') FROM i ORDER BY user_id").await;
    assert_eq!(scores, [sigmoid(-2.0), sigmoid(-1.0)]);
    assert_eq!(fixture.floats("SELECT score(-3, 'mug', 'shop')").await, [sigmoid(0.0)]);
    assert_eq!(fixture.floats("SELECT score(NULL, 'mug', 'shop')").await, [None]);
    assert_eq!(fixture.floats("SELECT score(1, text, 'shop') FROM p ORDER BY item_id").await, [sigmoid(6.0), None]);
    assert_eq!(fixture.floats("SELECT score('zoë', item_id, 'named') FROM p LIMIT 1").await, [sigmoid(3.5)]);
    // An ad-hoc user: the profile of a history, which is (1, 0) here.
    let profile = "WITH u AS (SELECT profile(embed(item_id, 'shop')) AS v FROM i)
                   SELECT score(v, p.text, 'shop') FROM u, p WHERE text IS NOT NULL";
    assert_eq!(fixture.floats(profile).await.len(), 1);
    // Only the rows of a branch are run.
    let branch = "SELECT CASE WHEN user_id = 1 THEN score(user_id, item_id, 'shop') END FROM i ORDER BY user_id";
    assert_eq!(fixture.floats(branch).await, [sigmoid(4.0), None]);
    let branch = "WITH u AS (SELECT embed(item_id, 'shop') AS v, * FROM i)
                  SELECT CASE WHEN user_id = 1 THEN score(v, item_id, 'shop') END FROM u ORDER BY user_id";
    assert_eq!(fixture.floats(branch).await, [sigmoid(4.0), None]);
    let plan = fixture.rows("EXPLAIN SELECT score(user_id, item_id, 'shop') FROM i").await.unwrap();
    let plan = arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(plan.contains("InferExec"), "batched like embed: {plan}");
    for (call, part) in [
        ("score(user_id, item_id, 'encoder')", "score reads text, not Int64"),
        (
            "score(user_id, item_id, 'named')",
            "the user ids of model 'named@3' are text (Utf8); write CAST(user_id AS VARCHAR)",
        ),
        ("score(item_id, item_id, 'shop')", "the user ids of model 'shop@3' are integer (Int64)"),
        ("score(user_id, embed(item_id, 'shop'), 'shop')", "reads an item's text, not its vector"),
        ("score(embed(item_id, 'encoder'), item_id, 'shop')", "different models"),
        ("score(item_id, user_id, 'shop')", "score reads text, not Int64"),
        ("classify(item_id, 'shop')", "is a recommender and has no labels; use recommend(model => 'shop', ...)"),
    ] {
        let message = fixture.message(&format!("SELECT {call} FROM i")).await;
        assert!(message.contains(part), "{call}: {message}");
    }
}

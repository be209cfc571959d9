//! Calls of `finetune` from SQL to their rows, over a trainer that counts instead of training.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt64Type};
use datafusion::common::{Result, exec_err, plan_err};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, Since};
use debut_udfs::options::Inputs;
use debut_udfs::trainer::{EpochRow, TrainRequest, Trainer};
use futures::channel::mpsc;
use futures::stream::{BoxStream, StreamExt};

use super::recommend::Saying;
use crate::compress::Compress;
use crate::engine::repeatable::leaves_nothing_half_done;
use crate::engine::{Access, Engine, EngineOptions, Session, Workers};
use crate::home::Home;
use crate::inference::Models;

/// Gives a row per epoch; an item text of 'bad' is refused while planning, one of 'fail' ends the first epoch.
#[derive(Debug, Default)]
struct Counting {
    validated: AtomicUsize,
    trained: AtomicUsize,
    /// Epochs that were asked for, the rows of those that were given out.
    epochs: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    requests: Mutex<Vec<TrainRequest>>,
    /// Where set, every epoch waits for a message here.
    gate: Mutex<Option<mpsc::UnboundedReceiver<()>>>,
}

/// Counts a training that ended, whichever way.
struct Ending(Arc<AtomicUsize>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Trainer for Counting {
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, _config: &DebutConfig) -> Result<()> {
        self.validated.fetch_add(1, Ordering::SeqCst);
        if options.base == "nobody" {
            return plan_err!("there is no model 'nobody'");
        }
        match inputs.iter().find(|(_, schema)| schema.field_with_name("item_id").is_err()) {
            Some((name, _)) => plan_err!("{name} has no column item_id"),
            None => Ok(()),
        }
    }

    fn train(&self, request: TrainRequest, _config: &DebutConfig) -> Result<BoxStream<'static, Result<EpochRow>>> {
        self.trained.fetch_add(1, Ordering::SeqCst);
        let epochs = request.options.epochs;
        let fails = request.options.model == "fails";
        self.requests.lock().unwrap().push(request);
        let mut gate = self.gate.lock().unwrap().take();
        let (given, ending) = (Arc::clone(&self.epochs), Ending(Arc::clone(&self.ended)));
        let rows = futures::stream::unfold((1, ending), move |(epoch, ending)| {
            let opened = gate.as_mut().map(|gate| gate.next());
            let opened = opened.is_none_or(|next| futures::FutureExt::now_or_never(next).is_some());
            given.fetch_add(usize::from(epoch <= epochs && opened), Ordering::SeqCst);
            async move {
                if epoch > epochs {
                    return None;
                }
                if !opened {
                    futures::future::pending::<()>().await;
                }
                let row = if fails {
                    exec_err!("the loss is not a number in step 7")
                } else {
                    Ok(EpochRow { epoch, run: "run".to_string(), ..EpochRow::default() })
                };
                Some((row, (epoch + 1, ending)))
            }
        });
        Ok(rows.boxed())
    }
}

struct Fixture {
    session: Session,
    trainer: Arc<Counting>,
    _home: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let trainer = Arc::new(Counting::default());
        let models = Arc::new(Models::new(Home::at(home.path())));
        let workers = Workers {
            models: Arc::clone(&models) as _,
            trainer: Arc::clone(&trainer) as _,
            compressor: Arc::new(Compress::new(Arc::clone(&models))),
            recommenders: Arc::new(Saying::default()),
        };
        let engine = Engine::with_workers(models, workers, &EngineOptions::default()).unwrap();
        let session = engine.session(&Access::everything()).unwrap();
        let fixture = Self { session, trainer, _home: home };
        fixture
            .rows("CREATE TABLE i AS SELECT * FROM (VALUES (1, 10), (2, 20), (1, 20)) AS t(user_id, item_id)")
            .await
            .unwrap();
        fixture
            .rows("CREATE TABLE p AS SELECT * FROM (VALUES (10, 'mug'), (20, 'spade')) AS t(item_id, text)")
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

    fn trained(&self) -> usize {
        self.trainer.trained.load(Ordering::SeqCst)
    }
}

/// A call over the fixture's tables, with more arguments.
fn call(more: &str) -> String {
    format!(
        "finetune(model => 'shop', interactions => (SELECT * FROM i), items => (SELECT item_id, text FROM p){more})"
    )
}

fn epochs(rows: &[RecordBatch]) -> Vec<u64> {
    let column = |batch: &RecordBatch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

#[tokio::test]
async fn a_call_gives_a_row_per_epoch() {
    let fixture = Fixture::new().await;
    for sql in [format!("SELECT * FROM {}", call("")), format!("CALL {}", call(", epochs => 1 + 2"))] {
        let rows = fixture.rows(&sql).await.unwrap();
        assert_eq!(epochs(&rows), [1, 2, 3], "{sql}");
        assert_eq!(rows[0].num_columns(), 10);
    }
    assert_eq!(fixture.trained(), 2);
    let requests = fixture.trainer.requests.lock().unwrap();
    assert_eq!(requests[0].options, requests[1].options);
    let interactions = requests[0].inputs.interactions.as_ref().unwrap();
    assert_eq!(interactions.rows(), 3);
    assert_eq!(requests[0].inputs.items.as_ref().unwrap().rows(), 2);
    assert!(requests[0].inputs.examples.is_none());
    assert_eq!(requests[0].options.base, debut_udfs::config::DEFAULT_MODEL);
}

#[tokio::test]
async fn calls_stand_where_tables_stand() {
    let fixture = Fixture::new().await;
    let sql = format!(
        "WITH chosen AS (SELECT * FROM i WHERE user_id = 1) \
         SELECT count(*) AS n, max(f.epoch) FROM {} AS f WHERE f.epoch > 1",
        call("").replace("FROM i)", "FROM chosen)")
    );
    let rows = fixture.rows(&sql).await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(fixture.trainer.requests.lock().unwrap()[0].inputs.interactions.as_ref().unwrap().rows(), 2);
    let sql = format!("CREATE TABLE run AS SELECT finetune.epoch, version FROM {}; SELECT * FROM run", call(""));
    assert_eq!(epochs(&fixture.rows(&sql).await.unwrap()), [1, 2, 3]);
    // The model of the session is where a call starts from.
    fixture.rows(&format!("SET debut.model = 'other'; CALL {}", call(""))).await.unwrap();
    assert_eq!(fixture.trainer.requests.lock().unwrap()[2].options.base, "other");
}

#[tokio::test]
async fn explain_checks_and_never_trains() {
    let fixture = Fixture::new().await;
    for explain in ["EXPLAIN SELECT * FROM", "EXPLAIN CALL", "EXPLAIN VERBOSE CALL"] {
        let rows = fixture.rows(&format!("{explain} {}", call(", seed => 7"))).await.unwrap();
        let plan = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
        assert!(plan.contains("Finetune: accumulate=1, ") && plan.contains("seed=7"), "{plan}");
        assert!(plan.contains("FinetuneExec: ") && plan.contains("inputs=[interactions, items]"), "{plan}");
        let message = fixture.message(&format!("{explain} {}", call(", base => 'nobody'"))).await;
        assert!(message.contains("no model 'nobody'"), "{message}");
    }
    assert_eq!((fixture.trained(), fixture.trainer.validated.load(Ordering::SeqCst)), (0, 6));
    fixture.rows(&format!("SELECT * FROM {} LIMIT 0", call(""))).await.unwrap();
    assert_eq!(fixture.trained(), 0, "nothing is asked for");
    // ANALYZE runs what it explains.
    let rows = fixture.rows(&format!("EXPLAIN ANALYZE CALL {}", call(""))).await.unwrap();
    let plan = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    assert!(plan.contains("FinetuneExec: ") && plan.contains("input_rows="), "{plan}");
    assert_eq!(fixture.trained(), 1);
}

#[tokio::test]
async fn a_job_tries_again_what_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let call = call("");
    for (sql, again) in [
        ("SELECT * FROM i".to_owned(), true),
        ("CREATE TABLE t AS SELECT * FROM i".to_owned(), true),
        ("COPY (SELECT * FROM i) TO 'out.csv'".to_owned(), true),
        ("SHOW MODELS".to_owned(), false),
        ("DROP MODEL IF EXISTS m".to_owned(), false),
        (format!("CALL {call}"), false),
        (format!("CREATE TABLE t AS SELECT * FROM i CROSS JOIN {call}"), false),
        ("CREATE TABLE m AS SELECT 1 AS a; INSERT INTO m VALUES (2)".to_owned(), false),
    ] {
        let mut statements = fixture.session.statements(&sql).unwrap();
        let last = statements.pop().unwrap();
        for statement in statements {
            fixture.session.run(statement).await.unwrap();
        }
        let plan = fixture.session.plan(last).await.unwrap();
        assert_eq!(leaves_nothing_half_done(&plan).unwrap(), again, "{sql}");
    }
    assert_eq!(fixture.trained(), 0);
}

#[tokio::test]
async fn a_statement_trains_once_and_to_the_end() {
    let fixture = Fixture::new().await;
    let call = call("");
    for (sql, part) in [
        (format!("SELECT * FROM {call} LIMIT 1"), "LIMIT 1 would stop the training before its 3 epochs"),
        (format!("SELECT * FROM {call} LIMIT 2 OFFSET 2"), "LIMIT 4 would stop"),
        (format!("SELECT * FROM (SELECT epoch FROM {call} WHERE epoch > 1) LIMIT 2"), "LIMIT 2 would stop"),
        (format!("SELECT * FROM {call} CROSS JOIN i LIMIT 100"), "would stop the training"),
        (format!("SELECT DISTINCT run FROM {call} LIMIT 100"), "would stop the training"),
        (format!("WITH f AS (SELECT * FROM {call}) SELECT * FROM f AS a JOIN f AS b USING (epoch)"), "2 times"),
        (format!("SELECT * FROM {call} UNION ALL SELECT * FROM {call}"), "trains once"),
        (format!("SELECT * FROM i WHERE EXISTS (SELECT * FROM {call})"), "not in a sub-query of an expression"),
        (format!("CREATE VIEW f AS SELECT * FROM {call}; SELECT * FROM f LIMIT 1"), "LIMIT 1 would stop"),
    ] {
        let message = fixture.message(&sql).await;
        assert!(message.contains(part), "{sql}: {message}");
    }
    assert_eq!(fixture.trained(), 0);
    let last = fixture.rows(&format!("SELECT * FROM {call} ORDER BY epoch DESC LIMIT 1")).await.unwrap();
    assert_eq!(epochs(&last), [3]);
    // What programs put behind every query.
    assert_eq!(epochs(&fixture.rows(&format!("SELECT * FROM {call} LIMIT 1000")).await.unwrap()), [1, 2, 3]);
    assert_eq!(fixture.trainer.ended.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn rows_come_as_they_are_made_and_dropping_them_cancels() {
    let fixture = Fixture::new().await;
    let (open, gate) = mpsc::unbounded();
    *fixture.trainer.gate.lock().unwrap() = Some(gate);
    let statement =
        fixture.session.statements(&format!("SELECT * FROM {}", call(", epochs => 100"))).unwrap().remove(0);
    let frame = fixture.session.run(statement).await.unwrap();
    let mut stream = frame.execute_stream().await.unwrap();
    assert_eq!(fixture.trained(), 0, "nothing happens before somebody reads");
    open.unbounded_send(()).unwrap();
    assert_eq!(epochs(&[stream.next().await.unwrap().unwrap()]), [1]);
    // The second epoch takes its time: the first is there all the same.
    let waiting = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(waiting.is_err(), "no row before its epoch");
    assert_eq!(fixture.trainer.ended.load(Ordering::SeqCst), 0);
    drop(stream);
    for _ in 0..100 {
        if fixture.trainer.ended.load(Ordering::SeqCst) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fixture.trainer.ended.load(Ordering::SeqCst), 1, "the training was dropped");
    assert_eq!(fixture.trainer.epochs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_training_that_fails_is_the_error_of_the_query() {
    let fixture = Fixture::new().await;
    let message = fixture.message(&format!("CALL {}", call("").replace("'shop'", "'fails'"))).await;
    assert!(message.contains("the loss is not a number in step 7"), "{message}");
    let broken = call("").replace("SELECT * FROM i", "SELECT user_id, 1 / (user_id - user_id) AS item_id FROM i");
    let message = fixture.message(&format!("CALL {broken}")).await;
    assert!(message.contains("Divide by zero"), "{message}");
    assert_eq!(fixture.trained(), 1, "a sub-query that fails starts no training");
}

#[tokio::test]
async fn mistakes_are_found_while_planning() {
    let fixture = Fixture::new().await;
    let items = "items => (SELECT * FROM p)";
    for (arguments, part) in [
        ("", "finetune needs model => ..."),
        ("'shop'", "arguments have names, and ''shop'' has none"),
        ("model => shop", "write text in quotes, 'shop'"),
        ("model => 'shop', items => p", "items => (SELECT * FROM items), not p"),
        ("model => 'shop', items => 'p.parquet'", "items is a sub-query in parentheses"),
        ("model => 'shop', items => (SELECT * FROM nowhere)", "nowhere"),
        ("model => 'shop', items => (SELECT 1 AS a, 2 AS a)", "a"),
        ("model => 'shop', epochs => (SELECT 3)", "epochs is a value that is known while planning"),
        ("model => 'shop', epochs => random()", "epochs is a value that is known while planning"),
        ("model => 'shop', epochs => i.item_id", "finetune: epochs is i.item_id"),
        ("model => 'shop', epochs => 0", "epochs is an integer from 1 to 10000, not '0'"),
        ("model => 'shop', learning_rate => -1e-3", "learning_rate is a number above 0 and up to 100, not '-0.001'"),
        ("model => 'shop', epoch => 3", "no option 'epoch'; did you mean 'epochs'?"),
        ("model => 'shop', items => (SELECT * FROM p), items => (SELECT * FROM p)", "items is given twice"),
        (items, "finetune needs model => ..."),
        ("model => 'shop', items => (SELECT * FROM p)", "needs interactions => (SELECT user_id, item_id FROM ...)"),
        ("model => 'shop', items => (SELECT * FROM p), interactions => (SELECT user_id FROM i)", "no column item_id"),
    ] {
        let message = fixture.message(&format!("EXPLAIN SELECT * FROM finetune({arguments})")).await;
        assert!(message.contains(part), "{arguments}: {message}");
    }
    let correlated = call("").replace("FROM i)", "FROM i WHERE user_id = o.user_id)");
    let message = fixture.message(&format!("SELECT * FROM i AS o, LATERAL (SELECT * FROM {correlated})")).await;
    assert!(message.contains("cannot use columns of the outer query"), "{message}");
    assert_eq!(fixture.trained(), 0);
}

#[tokio::test]
async fn moments_may_be_computed() {
    let fixture = Fixture::new().await;
    fixture.rows(&format!("CALL {}", call(", since => DATE '2026-02-01' - INTERVAL '1 day'"))).await.unwrap();
    let since = fixture.trainer.requests.lock().unwrap()[0].options.since.clone().unwrap();
    assert!(matches!(&since, Since::Time(time) if time.starts_with("2026-01-31")), "{since:?}");
    fixture.rows(&format!("CALL {}", call(", since => now() - INTERVAL '1 day'"))).await.unwrap();
}

#[tokio::test]
async fn a_recommender_is_trained_on_columns_of_one_type() {
    let fixture = Fixture::new().await;
    let call = "CALL finetune(model => 'shop', objective => 'recommend', columns => 'timestamp=day, text=title',
                interactions => (SELECT *, DATE '2026-01-31' AS day, 'x' AS other FROM i),
                items => (SELECT CAST(item_id AS INT) AS item_id, text AS title, 3 AS price FROM p))";
    fixture.rows(call).await.unwrap();
    let inputs = fixture.trainer.requests.lock().unwrap()[0].inputs.clone();
    let columns = |schema: &SchemaRef| schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    assert_eq!(columns(&inputs.interactions.as_ref().unwrap().schema), ["user_id", "item_id", "timestamp"]);
    let items = inputs.items.as_ref().unwrap();
    assert_eq!(columns(&items.schema), ["item_id", "text", "price"]);
    assert_eq!((items.rows(), items.schema.field(0).data_type()), (2, &DataType::Int64));
    let message = fixture.message(&call.replace("AS day", "AS date")).await;
    assert!(message.contains("finetune: interactions has no column 'day'"), "{message}");
    let message = fixture.message(&call.replace("CAST(item_id AS INT)", "'a'")).await;
    assert!(message.contains("item_id is Int64 in interactions and Utf8 in items"), "{message}");
}

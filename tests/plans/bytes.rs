//! Models that read bytes, through SQL: the rows of every Arrow form of bytes reach the model once each, and a column
//! of another modality is refused while the query is planned.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use datafusion::common::{Result, exec_err, plan_err};
use debut::engine::Session;
use debut_udfs::config::DebutConfig;
use debut_udfs::model::{Job, Modality, Model, ModelInfo, ModelProvider, Output, Task, TextTower};
use tokio::runtime::Runtime;

use super::models::{info, session_over};

/// `sizes` makes (length, first byte) of bytes, and writes down what it was handed; a value without bytes fails.
#[derive(Debug)]
struct Sizes {
    info: ModelInfo,
    handed: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[async_trait]
impl Model for Sizes {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &str {
        "test"
    }

    async fn run(&self, job: Job) -> Result<Output> {
        if !self.info.reads(job.input.kind().parts()[0]) {
            return exec_err!("{}", job.input.kind());
        }
        let values: Vec<&[u8]> = (0..job.input.rows()).map(|row| job.input.row(row).0).collect();
        self.handed.lock().unwrap().extend(values.iter().map(|value| value.to_vec()));
        let failures = values.iter().enumerate().filter(|(_, value)| value.is_empty());
        Ok(Output {
            failures: failures.map(|(row, _)| (row, "no bytes".to_string())).collect(),
            values: values
                .iter()
                .flat_map(|value| [value.len() as f32, f32::from(value.first().copied().unwrap_or(0))])
                .collect(),
        })
    }
}

#[derive(Debug, Default)]
struct Provider {
    handed: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ModelProvider for Provider {
    fn describe(&self, reference: &str, _config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        let name = reference.split('@').next().unwrap_or(reference);
        let modality = match name {
            "sizes" => Modality::Bytes,
            "texts" => Modality::Text,
            "both" => {
                let text_tower = Some(TextTower { logit_scale: 10.0, logit_bias: None });
                return Ok(Arc::new(ModelInfo { text_tower, ..info(name, Task::Embedding, Modality::Bytes) }));
            }
            _ => return plan_err!("there is no model '{reference}'"),
        };
        Ok(Arc::new(info(name, Task::Embedding, modality)))
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        let info = self.describe(reference, config)?.as_ref().clone();
        Ok(Arc::new(Sizes { info, handed: Arc::clone(&self.handed) }))
    }
}

/// A session whose default model is `sizes`, over a table of bytes and texts; and what the model was handed.
struct Fixture {
    runtime: Runtime,
    session: Session,
    handed: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Fixture {
    fn new() -> Self {
        let provider = Provider::default();
        let handed = Arc::clone(&provider.handed);
        let session = session_over(Arc::new(provider));
        let fixture = Self { runtime: Runtime::new().unwrap(), session, handed };
        fixture.rows(
            "SET debut.model = 'sizes'; SET debut.image_model = 'sizes';
             CREATE TABLE photos AS SELECT * FROM (VALUES
                 (1, X'ff00'), (2, NULL), (3, X'00'), (4, X'ff00'), (5, X'7a6fc3ab')
             ) AS t(id, photo)",
        );
        fixture
    }

    fn try_rows(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.runtime.block_on(super::rows(&self.session, sql))
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(sql).unwrap()
    }

    /// What the model was handed since the last time, sorted.
    fn handed(&self) -> Vec<Vec<u8>> {
        let mut handed = std::mem::take(&mut *self.handed.lock().unwrap());
        handed.sort();
        handed
    }
}

const VECTORS: [[&str; 2]; 5] =
    [["1", "[2.0, 255.0]"], ["2", "NULL"], ["3", "[1.0, 0.0]"], ["4", "[2.0, 255.0]"], ["5", "[4.0, 122.0]"]];

#[test]
fn every_form_of_bytes_reaches_the_model_once() {
    let fixture = Fixture::new();
    let distinct = [b"\x00".to_vec(), "zoë".as_bytes().to_vec(), b"\xff\x00".to_vec()];
    let dictionary = "Dictionary(Int32, Binary)";
    for form in ["Binary", "LargeBinary", "BinaryView", dictionary] {
        let sql = format!("SELECT id, embed(arrow_cast(photo, '{form}')) FROM photos ORDER BY id");
        assert_eq!(fixture.rows(&sql), VECTORS, "{form}");
        assert_eq!(fixture.handed(), distinct, "{form}");
    }
    let none = fixture.rows("SELECT embed(photo) FROM photos WHERE id > 9");
    assert!(none.is_empty() && fixture.handed().is_empty());
}

#[test]
fn nodes_of_a_plan_share_bytes() {
    let fixture = Fixture::new();
    let sql = "SELECT a.id, embed(a.photo), embed(b.photo)
               FROM (SELECT * FROM photos LIMIT 9) a JOIN (SELECT * FROM photos LIMIT 8) b USING (id) ORDER BY id";
    let expected = VECTORS.map(|[id, vector]| [id, vector, vector]);
    assert_eq!(fixture.rows(sql), expected);
    assert_eq!(fixture.handed().len(), 3);
}

#[test]
fn a_literal_is_computed_while_planning_and_a_failure_is_a_row_s() {
    let fixture = Fixture::new();
    assert_eq!(fixture.rows("SELECT embed(X'0102'), embed(NULL)"), [["[2.0, 1.0]", "NULL"]]);
    assert_eq!(fixture.rows("SELECT score(X'0102', X'0102', 'sizes'), score(X'01', NULL)"), [["1.0", "NULL"]]);
    let scores = fixture.rows("SELECT score(photo, X'00') > 0.9 FROM photos ORDER BY id");
    assert_eq!(scores, [["false"], ["NULL"], ["true"], ["false"], ["false"]]);
    assert_eq!(fixture.rows("SELECT try_embed(X'')['error'], try_embed(X'01')['error']"), [["no bytes", "NULL"]]);
    let message = fixture.try_rows("SELECT embed(arrow_cast('', 'Binary'))").unwrap_err();
    assert!(message.contains("embed: model 'sizes@1': row 1: no bytes"), "{message}");
}

#[test]
fn another_modality_is_refused_while_planning() {
    let fixture = Fixture::new();
    fixture.rows("CREATE TABLE items AS SELECT 'a mug' AS title, X'00' AS photo, 7 AS id");
    let text = "model 'texts@1' reads text, and 'photo' is Binary; if the bytes are text, write arrow_cast(";
    let bytes = "model 'sizes@1' reads bytes, and 'title' is Utf8; name a column of bytes";
    for (sql, wanted) in [
        ("EXPLAIN SELECT embed(photo, 'texts') FROM items", format!("embed: {text}")),
        ("EXPLAIN SELECT try_embed(photo, 'texts') FROM items", format!("try_embed: {text}")),
        ("EXPLAIN SELECT score(title, photo, 'texts') FROM items", format!("score: {text}")),
        ("EXPLAIN SELECT score(photo, embed('a', 'texts'), 'texts') FROM items", format!("score: {text}")),
        ("EXPLAIN SELECT embed(title) FROM items", format!("embed: {bytes}")),
        ("SELECT id FROM items ORDER BY score(title, X'00')", format!("score: {bytes}")),
        ("SELECT id FROM items ORDER BY embed(title)", format!("embed: {bytes}")),
        ("EXPLAIN SELECT embed('a mug')", "embed: model 'sizes@1' reads bytes, and '".to_string()),
        ("EXPLAIN SELECT embed(id) FROM items", "embed reads text, not Int64".to_string()),
    ] {
        let message = fixture.try_rows(sql).unwrap_err();
        assert!(message.contains(&wanted), "{sql}: {message}");
    }
    assert!(fixture.handed().is_empty());
}

#[test]
fn a_model_of_two_towers_is_handed_each_input_once_and_labels_too() {
    const T: &str = "[2.0, 116.0]";
    let fixture = Fixture::new();
    let sql =
        "SELECT id, classify(photo, ARRAY['no', 'yes'], 'both')['label'], embed('t' || CAST(id % 2 AS VARCHAR), 'both')
               FROM photos ORDER BY id";
    let expected = [["1", "no", T], ["2", "NULL", T], ["3", "yes", T], ["4", "no", T], ["5", "yes", T]];
    assert_eq!(fixture.rows(sql), expected);
    let once: [&[u8]; 7] = [b"\x00", b"no", b"t0", b"t1", b"yes", "zo\u{eb}".as_bytes(), b"\xff\x00"];
    assert_eq!(fixture.handed(), once);

    // Over many batches and partitions too.
    let sql = "SELECT count(*) FROM (
                   SELECT classify(arrow_cast(CAST(value % 7 AS VARCHAR), 'Binary'), ARRAY['no', 'yes'], 'both') AS c
                   FROM generate_series(1, 50000)) WHERE c['probability'] > 0.1";
    assert_eq!(fixture.rows(sql), [["50000"]]);
    assert_eq!(fixture.handed().len(), 7 + 2);
}

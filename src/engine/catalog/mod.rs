//! The schema `debut`: what the registry holds and what was trained, as tables that a BI tool can read.
//!
//! Takes the registry; gives `debut.models` (the version in use of each model), `debut.model_versions` (all of them),
//! `debut.training_runs` (a row a run), `debut.metrics` (a row a measured value), `debut.evaluations`,
//! `debut.embedding_cache` (a row a model whose vectors are kept) and `debut.jobs` (a row a statement of a job's run).
//! Each read of a table lists its folder anew.

mod embedding_cache;
mod evaluations;
mod jobs;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampSecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;

use self::embedding_cache::EmbeddingCache;
use self::evaluations::evaluations_table;
use self::jobs::jobs_table;
use crate::jobs::Runs as JobRuns;
use crate::recommend::evaluation::record::Records;
use crate::registry::manifest::Manifest;
use crate::registry::{Listed, Registry};
use crate::train::run::info::RunInfo;
use crate::train::run::metrics::Metric;
use crate::train::run::{self, Runs};

/// The schema's name.
pub const SCHEMA: &str = "debut";

/// The tables of the schema `debut`.
#[derive(Debug)]
pub struct DebutSchema {
    registry: Arc<Registry>,
}

impl DebutSchema {
    /// The tables over this registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

const TABLES: [&str; 7] =
    ["models", "model_versions", "training_runs", "metrics", "evaluations", "embedding_cache", "jobs"];

#[async_trait]
impl SchemaProvider for DebutSchema {
    fn table_names(&self) -> Vec<String> {
        TABLES.map(str::to_string).to_vec()
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.contains(&name)
    }

    /// Asked for every table when a program looks at what there is; reads nothing.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let runs = || Runs::open(self.registry.home()).list().map_err(external);
        let batch = match name {
            "models" => {
                let mut versions = self.registry.list().map_err(external)?;
                versions.retain(|version| version.current);
                versions_table(&versions)?
            }
            "model_versions" => versions_table(&self.registry.list().map_err(external)?)?,
            "training_runs" => runs_table(&runs()?)?,
            "metrics" => metrics_table(&runs()?)?,
            "evaluations" => evaluations_table(&Records::open(self.registry.home()))?,
            "embedding_cache" => return Ok(Some(Arc::new(EmbeddingCache::new(self.registry.home())?))),
            "jobs" => jobs_table(&JobRuns::open(self.registry.home()))?,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Model versions as rows; what cannot be read of a damaged one is NULL, and its `problem` says why.
///
/// # Errors
/// None in practice: the columns are built together.
pub fn versions_table(versions: &[Listed]) -> Result<RecordBatch> {
    let manifest = |listed: &'_ Listed| listed.model.as_ref().ok().map(|model| model.manifest.clone());
    let manifests: Vec<Option<Manifest>> = versions.iter().map(manifest).collect();
    let text = |value: &dyn Fn(&Manifest) -> Option<String>| -> ArrayRef {
        Arc::new(manifests.iter().map(|manifest| manifest.as_ref().and_then(value)).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&Manifest) -> Option<usize>| -> ArrayRef {
        let value = |manifest: &Manifest| value(manifest).map(|value| value as u64);
        Arc::new(manifests.iter().map(|manifest| manifest.as_ref().and_then(value)).collect::<UInt64Array>())
    };
    let created = |manifest: &Manifest| i64::try_from(manifest.created_at).unwrap_or(i64::MAX);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", Arc::new(versions.iter().map(|listed| Some(listed.name.as_str())).collect::<StringArray>())),
        ("version", Arc::new(versions.iter().map(|listed| Some(listed.version.as_str())).collect::<StringArray>())),
        ("in_use", Arc::new(versions.iter().map(|listed| Some(listed.current)).collect::<BooleanArray>())),
        ("task", text(&|manifest| Some(manifest.task.to_string()))),
        ("modality", text(&|manifest| Some(manifest.what_it_reads()))),
        ("dimension", number(&|manifest| Some(manifest.dimension))),
        ("max_tokens", number(&|manifest| Some(manifest.max_tokens).filter(|tokens| *tokens > 0))),
        ("picture_size", text(&|manifest| manifest.picture.map(|size| size.to_string()))),
        ("architecture", text(&|manifest| Some(manifest.architecture.clone()))),
        ("pooling", text(&|manifest| Some(manifest.pooling.to_string()))),
        ("fingerprint", text(&|manifest| Some(manifest.fingerprint.clone()))),
        ("source", text(&|manifest| Some(manifest.source.clone()))),
        (
            "created_at",
            Arc::new(manifests.iter().map(|manifest| manifest.as_ref().map(created)).collect::<TimestampSecondArray>()),
        ),
        (
            "problem",
            Arc::new(
                versions
                    .iter()
                    .map(|listed| listed.model.as_ref().err().map(ToString::to_string))
                    .collect::<StringArray>(),
            ),
        ),
    ];
    table(columns, &["name", "version", "in_use"])
}

/// Training runs as rows; what cannot be read of a damaged one is NULL, and its `problem` says why.
fn runs_table(runs: &[run::Listed]) -> Result<RecordBatch> {
    let infos: Vec<Option<&RunInfo>> = runs.iter().map(|run| run.info.as_ref().ok()).collect();
    let text = |value: &dyn Fn(&RunInfo) -> Option<String>| -> ArrayRef {
        Arc::new(infos.iter().map(|info| value((*info)?)).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&RunInfo) -> Option<u64>| -> ArrayRef {
        Arc::new(infos.iter().map(|info| value((*info)?)).collect::<UInt64Array>())
    };
    let float = |value: &dyn Fn(&RunInfo) -> Option<f64>| -> ArrayRef {
        Arc::new(infos.iter().map(|info| value((*info)?)).collect::<Float64Array>())
    };
    let instant = |value: &dyn Fn(&RunInfo) -> Option<u64>| -> ArrayRef {
        let value = |info: &RunInfo| value(info).map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        Arc::new(infos.iter().map(|info| value((*info)?)).collect::<TimestampSecondArray>())
    };
    let resumed = infos.iter().map(|info| info.map(|info| info.resumed)).collect::<UInt32Array>();
    let status = runs.iter().map(|run| run.status().map(|status| status.to_string()));
    let problem = runs.iter().map(|run| run.info.as_ref().err().map(ToString::to_string));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("run", Arc::new(runs.iter().map(|run| Some(run.id.as_str())).collect::<StringArray>())),
        ("status", Arc::new(status.collect::<StringArray>())),
        ("model", text(&|info| Some(info.setup.model.clone()))),
        ("base", text(&|info| Some(info.setup.base.clone()))),
        ("objective", text(&|info| Some(info.setup.objective.clone()))),
        ("method", text(&|info| Some(info.setup.method.clone()))),
        ("metric", text(&|info| Some(info.setup.metric.name.clone()))),
        ("best", float(&|info| info.best.as_ref().map(|best| best.value))),
        ("best_epoch", number(&|info| info.best.as_ref().map(|best| best.epoch))),
        ("baseline", float(&|info| info.baseline)),
        ("compared", text(&|info| info.compared.clone())),
        ("published", text(&|info| info.published().map(str::to_owned))),
        ("not_published", text(&|info| info.unpublished().map(str::to_owned))),
        ("options", text(&|info| serde_json::to_string(&info.setup.options).ok())),
        ("texts", number(&|info| Some(info.setup.data.texts))),
        ("train_examples", number(&|info| Some(info.setup.data.train))),
        ("validation_examples", number(&|info| Some(info.setup.data.validation))),
        ("data_fingerprint", text(&|info| Some(info.setup.data.fingerprint.clone()))),
        ("parameters", number(&|info| info.parameters)),
        ("device", text(&|info| Some(info.setup.device.clone()))),
        ("threads", number(&|info| Some(info.setup.threads as u64))),
        ("started_at", instant(&|info| Some(info.started_at))),
        ("finished_at", instant(&|info| info.finished_at)),
        ("resumed", Arc::new(resumed)),
        ("folder", Arc::new(runs.iter().map(|run| Some(run.folder.display().to_string())).collect::<StringArray>())),
        ("problem", Arc::new(problem.collect::<StringArray>())),
    ];
    table(columns, &["run", "folder"])
}

/// Measured values as rows, by run and in the order that they were measured in. One run's damaged file does not hide the
/// values of the others.
fn metrics_table(runs: &[run::Listed]) -> Result<RecordBatch> {
    let mut values: Vec<(&str, Metric)> = Vec::new();
    for run in runs {
        match run.metrics() {
            Ok(metrics) => values.extend(metrics.into_iter().map(|metric| (run.id.as_str(), metric))),
            Err(error) => tracing::warn!("left out of debut.metrics: {error}"),
        }
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("run", Arc::new(values.iter().map(|(run, _)| Some(*run)).collect::<StringArray>())),
        ("epoch", Arc::new(values.iter().map(|(_, metric)| Some(metric.epoch)).collect::<UInt64Array>())),
        ("step", Arc::new(values.iter().map(|(_, metric)| Some(metric.step)).collect::<UInt64Array>())),
        ("name", Arc::new(values.iter().map(|(_, metric)| Some(metric.name.as_str())).collect::<StringArray>())),
        ("value", Arc::new(values.iter().map(|(_, metric)| Some(metric.value)).collect::<Float64Array>())),
        ("seconds", Arc::new(values.iter().map(|(_, metric)| Some(metric.seconds)).collect::<Float64Array>())),
    ];
    table(columns, &["run", "epoch", "step", "name", "value", "seconds"])
}

/// Columns as a batch; those that are not `always_known` may hold NULL.
fn table(columns: Vec<(&str, ArrayRef)>, always_known: &[&str]) -> Result<RecordBatch> {
    let fields = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), !always_known.contains(name)))
        .collect::<Vec<_>>();
    let values = columns.into_iter().map(|(_, values)| values).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, UInt64Type};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::home::Home;
    use crate::train::run::info::{Best, Criterion, Data, Outcome, Setup};

    fn setup() -> Setup {
        Setup {
            model: "shop".into(),
            base: "base@1".into(),
            base_fingerprint: "0".into(),
            objective: "bce".into(),
            method: "lora".into(),
            options: [("rank".to_owned(), 8.into())].into_iter().collect(),
            data: Data { fingerprint: "1".into(), texts: 3, train: 2, validation: 1, until: None, notes: vec![] },
            metric: Criterion { name: "auc".into(), higher_is_better: true },
            device: "cpu".into(),
            threads: 2,
        }
    }

    pub(super) async fn rows(home: &Home, sql: &str) -> RecordBatch {
        let context = SessionContext::new();
        let schema = DebutSchema::new(Arc::new(Registry::open(home)));
        context.catalog("datafusion").unwrap().register_schema(SCHEMA, Arc::new(schema)).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    #[tokio::test]
    async fn runs_and_what_they_measured_can_be_queried() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let runs = Runs::open(&home);
        let none = rows(&home, "SELECT count(*) FROM debut.training_runs, debut.metrics").await;
        assert_eq!(none.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 0);

        let mut run = runs.create(setup()).unwrap();
        run.log(1, 10, &[("train_loss", 0.5), ("auc", 0.75)]).unwrap();
        run.update(|info| info.best = Some(Best { epoch: 1, step: 10, value: 0.75 })).unwrap();
        run.finish(Outcome::Published("shop@1".into())).unwrap();
        let values = "SELECT m.step, m.value FROM debut.metrics m JOIN debut.training_runs r USING (run)
                      WHERE m.name = r.metric AND r.published = 'shop@1' AND r.status = 'finished' AND r.best = m.value";
        let found = rows(&home, values).await;
        assert_eq!(found.column(0).as_primitive::<UInt64Type>().value(0), 10);
        assert_eq!(found.column(1).as_primitive::<Float64Type>().value(0), 0.75);
    }

    #[tokio::test]
    async fn a_damaged_run_is_a_row_with_its_problem() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let runs = Runs::open(&home);
        let mut damaged = runs.create(setup()).unwrap();
        std::fs::write(damaged.folder().join("run.json"), "").unwrap();
        damaged.log(1, 1, &[("train_loss", 1.0)]).unwrap();
        let mut other = runs.create(setup()).unwrap();
        std::fs::write(other.folder().join("metrics.jsonl"), "?\n").unwrap();
        other.log(1, 1, &[("train_loss", 1.0)]).unwrap();
        let found =
            rows(&home, "SELECT run, status, problem FROM debut.training_runs ORDER BY problem NULLS LAST").await;
        assert_eq!(found.column(0).as_string::<i32>().value(0), damaged.id());
        assert!(found.column(1).is_null(0) && found.column(2).as_string::<i32>().value(0).contains("run.json"));
        assert_eq!((found.column(1).as_string::<i32>().value(1), found.column(2).is_null(1)), ("running", true));
        // A file of values that cannot be read hides no other run's.
        let values = rows(&home, "SELECT run FROM debut.metrics").await;
        assert_eq!((values.num_rows(), values.column(0).as_string::<i32>().value(0)), (1, damaged.id()));
    }
}

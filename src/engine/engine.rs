//! The engine: what all sessions of a process share.
//!
//! Takes where models live and the limits of the process; gives sessions. Models, workers, functions, optimizer rules, the
//! memory pool, the disk manager and the caches are built once, so that a session costs little: a server opens one for
//! every connection. What a session changes (settings, views, prepared statements) is its own.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::common::{Result, plan_err};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use debut_udfs::config::{CacheSize, DebutConfig, Device, Switch};
use debut_udfs::frames::Frames;
use debut_udfs::functions::register_all;
use debut_udfs::model::ModelProvider;

use super::access::Access;
use super::calls::guard::FinetuneGuard;
use super::calls::relation::CallRelation;
use super::calls::workers::Workers;
use super::catalog::{DebutSchema, SCHEMA};
use super::infer::late::LateInference;
use super::infer::lift::LiftInference;
use super::planner::DebutQueryPlanner;
use super::session::Session;
use super::{delta, manage, stores, url_tables};
use crate::compress::Compress;
use crate::inference::{self, Models};
use crate::recommend::{Recommend, RecommendTrainer};

/// Bytes that the queries of all served sessions together may spill to disk, unless [`EngineOptions::spill_limit`] says
/// otherwise: 20 GiB.
pub const SERVED_SPILL_LIMIT: u64 = 20 << 30;

/// Most rows of a row group in Parquet files that are written: of vectors of 384 numbers, 200 MB.
const GROUP_ROWS: usize = 1 << 17;

/// How an engine begins. The settings are those that every session starts with.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Where models run.
    pub device: Device,
    /// Never reach out to the network.
    pub offline: bool,
    /// Whether vectors that models make are kept and found again.
    pub cache: Switch,
    /// The folder of these vectors; `cache` in Debut's home if `None`.
    pub cache_folder: Option<PathBuf>,
    /// How large it may be.
    pub cache_size: CacheSize,
    /// Bytes that the queries of all sessions together may hold before they spill or fail; no limit if `None`.
    pub memory_limit: Option<usize>,
    /// Bytes that the queries of all served sessions together may have on disk; [`SERVED_SPILL_LIMIT`] if `None`. A session
    /// with access to everything has DataFusion's limit, 100 GiB, or its own: `SET datafusion.runtime.max_temp_directory_size`.
    pub spill_limit: Option<u64>,
}

/// An engine.
pub struct Engine {
    models: Arc<Models>,
    workers: Workers,
    /// What sessions are copies of, without catalogs.
    template: SessionState,
    schema: Arc<DebutSchema>,
    served: RuntimeEnv,
}

impl Engine {
    /// Opens an engine over these models. Touches neither the registry nor the runtime: `SELECT 1` needs no model.
    ///
    /// # Errors
    /// A `DATAFUSION_*` variable of the environment is malformed.
    pub fn open(models: Arc<Models>, options: &EngineOptions) -> Result<Self> {
        let recommend = Arc::new(Recommend::new(Arc::clone(&models)));
        let workers = Workers {
            models: Arc::clone(&recommend) as _,
            trainer: Arc::new(RecommendTrainer::new(Arc::clone(&models))),
            compressor: Arc::new(Compress::new(Arc::clone(&models))),
            recommenders: recommend,
        };
        Self::with_workers(models, workers, options)
    }

    /// Opens an engine over the registry of these models, whose functions are the work of `workers`.
    ///
    /// # Errors
    /// A `DATAFUSION_*` variable of the environment is malformed.
    pub fn with_workers(models: Arc<Models>, workers: Workers, options: &EngineOptions) -> Result<Self> {
        let mut config = SessionConfig::from_env()?.with_information_schema(true);
        let cache_folder = match &options.cache_folder {
            None => String::new(),
            Some(folder) => match folder.to_str() {
                Some(folder) => folder.to_owned(),
                None => return plan_err!("the folder of the cache, '{}', is not UTF-8", folder.display()),
            },
        };
        let settings = DebutConfig {
            device: options.device,
            offline: options.offline,
            cache: options.cache,
            cache_size: options.cache_size,
            cache_folder,
            ..DebutConfig::default()
        };
        config.options_mut().extensions.insert(settings);
        // Vectors in a Parquet file remember the model that made them.
        config.options_mut().execution.parquet.skip_metadata = false;
        // Writers hold a row group in memory, and a sort holds everything: what comes from a sorted file is merged instead.
        config.options_mut().execution.parquet.max_row_group_size = GROUP_ROWS;
        config.options_mut().optimizer.prefer_existing_sort = true;
        let mut runtime = RuntimeEnvBuilder::new();
        if let Some(bytes) = options.memory_limit {
            runtime = runtime.with_memory_limit(bytes, 1.0);
        }
        let runtime = runtime.build_arc()?;
        let spill = options.spill_limit.unwrap_or(SERVED_SPILL_LIMIT);
        // A server lives long: what is listed once must not hide the files that come later.
        let caches = CacheManagerConfig::default().with_list_files_cache_limit(0);
        let served = RuntimeEnv {
            disk_manager: Arc::new(DiskManager::builder().with_max_temp_directory_size(spill).build()?),
            cache_manager: RuntimeEnvBuilder::new().with_cache_manager(caches).build()?.cache_manager,
            ..runtime.as_ref().clone()
        };
        let template = SessionStateBuilder::new_with_default_features()
            .with_config(config.clone().with_create_default_catalog_and_schema(false))
            .with_runtime_env(runtime)
            .with_optimizer_rules(optimizer_rules())
            .with_analyzer_rule(Arc::new(FinetuneGuard))
            .with_query_planner(Arc::new(DebutQueryPlanner::new(workers.clone())))
            .build();
        let context = SessionContext::new_with_state(template);
        stores::register_options(&context);
        register_all(&context, Arc::clone(&workers.models))?;
        context.register_udf(Frames::new(Some(inference::frames)).into());
        manage::register(&context, &models);
        let schema = Arc::new(DebutSchema::new(Arc::clone(models.registry())));
        let mut template = context.state();
        *template.config_mut() = config;
        Ok(Self { models, workers, template, schema, served })
    }

    /// The models that the functions of sessions use.
    pub fn models(&self) -> &Arc<Models> {
        &self.models
    }

    /// What finds and runs models for the functions of sessions.
    pub fn provider(&self) -> &Arc<dyn ModelProvider> {
        &self.workers.models
    }

    /// Opens a session that may do what `access` says.
    ///
    /// # Errors
    /// None in practice: a new catalog takes every schema.
    pub fn session(&self, access: &Access) -> Result<Session> {
        let template = self.template.clone();
        let config = template.config().clone().with_extension(Arc::new(access.clone()));
        let runtime = match access.stores() {
            Some(stores) => Arc::new(RuntimeEnv { object_store_registry: stores, ..self.served.clone() }),
            None => Arc::clone(template.runtime_env()),
        };
        let builder = SessionStateBuilder::new_from_existing(template)
            .with_config(config)
            .with_runtime_env(runtime)
            .with_relation_planners(vec![Arc::new(CallRelation::new(self.workers.clone(), access.clone()))])
            .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
        let mut state = builder.build();
        access.restrict_formats(state.table_factories_mut());
        delta::register(state.table_factories_mut());
        let default = state.config_options().catalog.default_catalog.clone();
        if let Some(catalog) = state.catalog_list().catalog(&default) {
            catalog.register_schema(SCHEMA, Arc::clone(&self.schema) as _)?;
        }
        let context = url_tables::enable(state, access);
        Ok(Session::new(context, Arc::clone(&self.models), access.clone()))
    }
}

/// DataFusion's optimizer rules with ours among them.
///
/// Calls are lifted after expressions were simplified, so that literals are constants by then, but before filters are pushed
/// down, because a filter that is pushed below a projection takes a copy of the projection's calls with it.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        let name = rule.name().to_string();
        if name == "push_down_limit" {
            rules.push(Arc::new(LiftInference));
        }
        rules.push(rule);
        if name == "push_down_limit" {
            rules.push(Arc::new(LateInference));
        }
    }
    rules
}

//! The models of this process by name and device: the provider behind every SQL function.
//!
//! Takes references such as `name@version`; gives what the registry knows of them, and loaded models, each at most once
//! per process and device. Held by `engine::Session`; several sessions may share one.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::common::{DataFusionError, Result};
use debut_udfs::config::DebutConfig;
use debut_udfs::model::{Model, ModelInfo, ModelProvider};

use super::cache::{self, Cache, CachedModel, Settings};
use super::pool::Pool;
use super::runtime::{Runtime, Target};
use super::towers::{Tower, TwoTowers};
use super::{Error, LoadedModel};
use crate::fetch::Progress;
use crate::home::Home;
use crate::registry::{self, ImportOptions, ModelVersion, Registry, TEXT_TOWER};

/// What makes two loads the same: the version's folder, what is in it, and where it runs.
type Key = (PathBuf, String, Target);

/// Sessions live as long as the process: opening one takes longer than most queries.
static LOADED: LazyLock<Pool<Key, LoadedModel>> = LazyLock::new(Pool::default);

/// A cache and what it was opened with.
type LastCache = Arc<Mutex<Option<(Settings, Arc<Cache>)>>>;

/// The models of a home.
#[derive(Clone)]
pub struct Models {
    registry: Arc<Registry>,
    progress: Arc<Progress<'static>>,
    /// The cache that was used last; sessions of a process rarely have different ones.
    cache: LastCache,
}

impl Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Models {
    /// The models in `home`, which may not exist yet. What takes long says nothing.
    pub fn new(home: Home) -> Self {
        Self::with_progress(home, Box::new(crate::fetch::silent))
    }

    /// The models in `home`; what takes long (downloads, imports) is told to `progress`.
    pub fn with_progress(home: Home, progress: Box<Progress<'static>>) -> Self {
        Self { registry: Arc::new(Registry::open(&home)), progress: progress.into(), cache: Arc::default() }
    }

    /// Where the models are.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Whom to tell what takes long.
    pub fn progress(&self) -> &Progress<'static> {
        &*self.progress
    }

    /// Imports a model; `options` are `key=value`, as in `CREATE MODEL ... OPTIONS (key value)`.
    ///
    /// # Errors
    /// An option is unknown, or the source is no model; nothing is left behind then.
    pub fn import(
        &self,
        name: &str,
        source: &str,
        options: &[String],
        offline: bool,
    ) -> Result<ModelVersion, registry::Error> {
        let pairs = options.iter().map(|option| option.split_once('=').unwrap_or((option, "")));
        let pairs: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let options = ImportOptions { offline, ..ImportOptions::from_map(&pairs)? };
        self.registry.import(name, source, &options, &*self.progress)
    }

    /// Removes a version, or a model with all its versions, from disk and from memory. Gives whether there was one.
    ///
    /// # Errors
    /// There is none and `if_exists` is not set, or the file system refuses.
    pub fn remove(&self, reference: &str, if_exists: bool) -> Result<bool, registry::Error> {
        match self.registry.remove(reference, &*self.progress) {
            Ok(()) => {
                LOADED.evict(|(folder, ..)| !folder.exists());
                Ok(true)
            }
            Err(registry::Error::Unknown { .. }) if if_exists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Closes every session of the process, waits for the batches that run, and for what is written to caches. For the end of
    /// `main`.
    pub fn unload_all() {
        cache::flush_all();
        LOADED.evict(|_| true);
    }

    fn find(&self, reference: &str, config: &DebutConfig) -> Result<ModelVersion> {
        self.registry.resolve_or_install(reference, config.offline, &*self.progress).map_err(external)
    }
}

impl ModelProvider for Models {
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>> {
        Ok(Arc::new(self.find(reference, config)?.info()))
    }

    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        self.load_version(&self.find(reference, config)?, config)
    }
}

impl Models {
    /// A version that is found already, ready to run; one that is kept within another too.
    ///
    /// # Errors
    /// As [`ModelProvider::load`].
    pub(crate) fn load_version(&self, version: &ModelVersion, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        if version.manifest.text_tower.is_none() {
            return self.load_tower(version, config);
        }
        let texts = self.registry.kept_within(version, TEXT_TOWER).map_err(external)?;
        let runtime = self.runtime(config)?;
        let device = runtime.place(config.device).map_err(external)?.target.to_string();
        let tower = |version: ModelVersion| {
            let (models, config) = (self.clone(), config.clone());
            Tower::new(move || models.load_tower(&version, &config))
        };
        Ok(Arc::new(TwoTowers::new(version.info(), device, tower(version.clone()), tower(texts))))
    }

    fn runtime(&self, config: &DebutConfig) -> Result<&'static Runtime> {
        Runtime::load(self.registry.home(), config.device, config.offline, &*self.progress).map_err(external)
    }

    /// A model of one tower, or the tower that is in the version's own folder.
    fn load_tower(&self, version: &ModelVersion, config: &DebutConfig) -> Result<Arc<dyn Model>> {
        let runtime = self.runtime(config)?;
        let target = runtime.place(config.device).map_err(external)?.target;
        let key = (version.path.clone(), version.manifest.fingerprint.clone(), target.clone());
        let device = target.to_string();
        let identity = self.cached(version, config, &target, runtime.version())?;
        let (version, info) = (version.clone(), version.info());
        let open = move || {
            let load =
                || LoadedModel::open(&version.path, version.info(), &version.manifest, runtime.environment(), &target);
            LOADED.get_or_load(key.clone(), load)
        };
        Ok(match identity {
            Some((cache, identity)) => Arc::new(CachedModel::new(info, device, cache, identity, open)),
            None => open().map_err(external)?,
        })
    }

    /// The cache for the vectors of `version`, and the model's identity in it; `None` if it makes none or the cache is off.
    fn cached(
        &self,
        version: &ModelVersion,
        config: &DebutConfig,
        target: &Target,
        runtime: &str,
    ) -> Result<Option<(Arc<Cache>, [u8; 32])>> {
        if !version.manifest.task.embeds() {
            return Ok(None);
        }
        let Some(settings) = Settings::of(config, self.registry.home()) else { return Ok(None) };
        let identity = cache::identity::identity(version, target, runtime).map_err(external)?;
        let mut last = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, cache)) = &*last
            && *same == settings
        {
            return Ok(Some((Arc::clone(cache), identity)));
        }
        let thread = |source: std::io::Error| Error::Thread { model: version.reference(), source: source.into() };
        let cache = Cache::open(&settings, Arc::clone(&self.progress)).map_err(|error| external(thread(error)))?;
        *last = Some((settings, Arc::clone(&cache)));
        Ok(Some((cache, identity)))
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

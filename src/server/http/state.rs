//! What all requests share: takes the engine, the users and the options; gives the state of a server.

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;
use debut_udfs::config::DebutConfig;
use debut_udfs::model::ModelProvider;
use debut_udfs::models::Models;
use tokio::runtime::Handle;

use super::auth::Authenticate;
use super::batching::Batchers;
use super::bodies::Bodies;
use super::feedback::{Feedback, FeedbackError};
use super::metrics::Metrics;
use super::options::HttpOptions;
use super::page_file::Page;
use crate::engine::Session;
use crate::engine::describe::describe;

/// How long after a failure the default model is tried again.
const LOAD_AGAIN: Duration = Duration::from_secs(10);

/// What the server needs of the engine.
pub struct HttpEngine {
    /// Opens a session for one request, with the access that clients have.
    pub open_session: Box<dyn Fn() -> Result<Session> + Send + Sync>,
    /// The models that the sessions' functions use.
    pub provider: Arc<dyn ModelProvider>,
    /// The threads that compute; never those that serve sockets.
    pub threads: Handle,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No session can be opened.
    #[error("cannot open a session: {}", describe(.0))]
    Session(#[source] DataFusionError),
    /// Feedback cannot be kept.
    #[error(transparent)]
    Feedback(#[from] FeedbackError),
    /// The page cannot be shown.
    #[error("the page {}: {}", path.display(), describe(reason))]
    Page {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: DataFusionError,
    },
}

/// The state of a server.
pub struct HttpState {
    pub(super) engine: HttpEngine,
    pub(super) users: Arc<dyn Authenticate>,
    pub(super) options: HttpOptions,
    pub(super) models: Models,
    pub(super) bodies: Arc<Bodies>,
    pub(super) batchers: Arc<Batchers>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) feedback: Option<Feedback>,
    pub(super) page: Option<Arc<Page>>,
    pub(super) pool: Arc<dyn MemoryPool>,
    readiness: Mutex<Readiness>,
    stopping: AtomicBool,
}

/// What became of the default model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It is being loaded, and fetched before if it is not installed.
    Loading,
    /// It is there.
    Ready,
    /// It could not be loaded; it is tried again.
    Failed(String),
    /// The server ends.
    Stopping,
}

impl Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState").field("options", &self.options).finish_non_exhaustive()
    }
}

impl HttpState {
    /// Opens the state of a server, and begins to load the default model.
    ///
    /// # Errors
    /// No session can be opened, the folder of feedback cannot be written, or the page's file makes not what the page needs.
    pub async fn open(
        engine: HttpEngine,
        users: Arc<dyn Authenticate>,
        options: HttpOptions,
    ) -> Result<Arc<Self>, StartError> {
        let session = (engine.open_session)().map_err(StartError::Session)?;
        let page = match &options.page {
            Some(path) => {
                let page = Page::open(path, &session).await;
                let failed = |reason| StartError::Page { path: path.clone(), reason };
                Some(Arc::new(page.map_err(failed)?))
            }
            None => None,
        };
        let state = session.context().state();
        let config = DebutConfig::of(state.config_options());
        let models = Models::new(Arc::clone(&engine.provider)).with_options(state.config_options());
        let metrics = Arc::new(Metrics::default());
        let feedback =
            options.feedback.as_ref().map(|folder| Feedback::open(folder, Arc::clone(&metrics))).transpose()?;
        let batchers = Batchers::new(
            Arc::clone(&engine.provider),
            config,
            options.batching,
            Arc::clone(&metrics),
            engine.threads.clone(),
        );
        let state = Arc::new(Self {
            users,
            bodies: Bodies::new(options.max_bodies),
            options,
            models,
            batchers,
            metrics,
            feedback,
            page,
            pool: Arc::clone(&session.context().runtime_env().memory_pool),
            readiness: Mutex::new(Readiness::Loading),
            stopping: AtomicBool::new(false),
            engine,
        });
        state.engine.threads.spawn(load_default(Arc::downgrade(&state)));
        Ok(state)
    }

    /// Whether requests that need the default model can be answered.
    pub(super) fn readiness(&self) -> Readiness {
        if self.stopping.load(Ordering::Acquire) {
            return Readiness::Stopping;
        }
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server is told to stop: it is not ready any more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn learned(&self, readiness: Readiness) {
        *self.readiness.lock().unwrap_or_else(PoisonError::into_inner) = readiness;
    }
}

/// Loads the default model, until it is there or the server is gone. It is the only one who does so for `/ready`.
async fn load_default(state: Weak<HttpState>) {
    loop {
        let Some(strong) = state.upgrade() else { return };
        let models = strong.models.clone();
        let load = move || models.describe(None).and_then(|info| models.load(&info)).and_then(|model| model.open());
        let loaded = tokio::task::spawn_blocking(load).await;
        let failed = match loaded {
            Ok(Ok(())) => return strong.learned(Readiness::Ready),
            Ok(Err(error)) => describe(&error),
            Err(error) => error.to_string(),
        };
        tracing::warn!(failed, "the default model is not loaded; it is tried again");
        strong.learned(Readiness::Failed(failed));
        drop(strong);
        tokio::time::sleep(LOAD_AGAIN).await;
    }
}

//! The life of a training, whatever it trains: takes a call of `finetune`, gives its rows, a run on disk and a version in the
//! registry.
//!
//! ```text
//! start: a thread -> open: base, device -> run: a new run, or the one that was interrupted -> publish -> the run's end
//! ```
//! What differs comes from [`super::EncoderTrainer`] and from `recommend`: how tables are read, how it is trained, what a
//! version is made of, and whether it is better than the one in use.
//!
//! The thread computes all the time; the stream of rows only listens. When nobody listens any more the training stops before
//! its next batch.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::config::{DebutConfig, Switch};
use debut_udfs::finetune::{FinetuneOptions, NAME, Publish};
use debut_udfs::options::Inputs;
use debut_udfs::progress::Progress;
use debut_udfs::trainer::{EpochRow, Table, TrainRequest};
use futures::stream::BoxStream;
use serde_json::{Map, Value as Json};

use super::failure::{Failure, Result, Stopped, failed};
use super::run::info::{Criterion, Data, Outcome, Setup};
use super::run::{Run, Runs};
use super::since;
use crate::background::{self, Listener};
use crate::inference::Models;
use crate::inference::runtime::{Runtime, Target};
use crate::inference::threads::cores;
use crate::registry::manifest::Training;
use crate::registry::{Candidate, ModelVersion};

/// Before the run in the source of a version.
const RUN: &str = ", run ";

/// One call of `finetune`.
pub(crate) struct Call<'a> {
    pub(crate) models: &'a Models,
    pub(crate) options: &'a FinetuneOptions,
    pub(crate) config: &'a DebutConfig,
    pub(crate) progress: &'a Progress,
    pub(crate) rows: &'a Listener<EpochRow>,
}

/// A call whose base is there and whose data was read, with the device to train on.
pub(crate) struct Opened<'a> {
    call: &'a Call<'a>,
    data: Data,
    pub(crate) base: ModelVersion,
    pub(crate) runtime: &'static Runtime,
    pub(crate) target: Target,
}

/// Starts the training of a request in a thread of its own; gives its rows.
///
/// # Errors
/// There can be no more threads.
pub(crate) fn start(
    models: &Arc<Models>,
    request: TrainRequest,
    config: &DebutConfig,
    train: impl FnOnce(&Call<'_>, Inputs<Table>) -> Result<(), Stopped> + Send + 'static,
) -> QueryResult<BoxStream<'static, QueryResult<EpochRow>>> {
    let (models, mut config) = (Arc::clone(models), config.clone());
    // What a training measures is made by the models themselves, and its texts are not asked for again.
    config.cache = Switch::Off;
    background::start(NAME, move |rows| {
        let TrainRequest { options, inputs, progress } = request;
        let call = Call { models: &models, options: &options, config: &config, progress: &progress, rows };
        match train(&call, inputs) {
            Ok(()) | Err(Stopped::Cancelled) => {}
            Err(Stopped::Failed(failure)) => rows.send(Err(query(failure))),
        }
    })
}

/// A failure as the error of a query.
pub(crate) fn query(failure: Failure) -> DataFusionError {
    DataFusionError::External(failure.into()).context(format!("{NAME} failed"))
}

/// The version that training starts from.
///
/// # Errors
/// It is not there, or cannot be installed.
pub(crate) fn base(models: &Models, options: &FinetuneOptions, offline: bool) -> Result<ModelVersion> {
    if options.goes_on() {
        return Ok(since::last(models, options)?.0);
    }
    models.registry().resolve_or_install(&options.base, offline, models.progress()).map_err(failed)
}

impl<'a> Call<'a> {
    /// Whether nobody listens any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.rows.is_gone()
    }

    /// # Errors
    /// [`Stopped::Cancelled`] once nobody listens any more.
    pub(crate) fn check_cancelled(&self) -> Result<(), Stopped> {
        if self.is_cancelled() { Err(Stopped::Cancelled) } else { Ok(()) }
    }

    /// Hands a row over. Who does not listen is noticed before the next batch.
    pub(crate) fn send(&self, row: EpochRow) {
        self.rows.send(Ok(row));
    }

    /// The version that training starts from.
    ///
    /// # Errors
    /// It is not there, or cannot be installed.
    pub(crate) fn base(&self) -> Result<ModelVersion> {
        base(self.models, self.options, self.config.offline)
    }

    /// Gets ready to train on `data`. `None` where this very call has published its version already and its process died
    /// before it could say so: then its last row was sent.
    ///
    /// # Errors
    /// The runtime or the device is not there, or the file system says no.
    pub(crate) fn open(&'a self, base: ModelVersion, data: Data) -> Result<Option<Opened<'a>>> {
        if let Some(row) = self.recover(&base, &data.fingerprint)? {
            self.send(row);
            return Ok(None);
        }
        let (home, config) = (self.models.registry().home(), self.config);
        let runtime = Runtime::load(home, config.device, config.offline, self.models.progress()).map_err(failed)?;
        let target = runtime.place(config.device).map_err(failed)?.target;
        Ok(Some(Opened { call: self, data, base, runtime, target }))
    }

    /// Where the base is the version that this very call has published: the row that the call would have ended with. It
    /// would train on top of its own result otherwise.
    fn recover(&self, base: &ModelVersion, fingerprint: &str) -> Result<Option<EpochRow>> {
        let (Some(id), true) = (run_of(base), base.name == self.options.model) else { return Ok(None) };
        let runs = Runs::open(self.models.registry().home());
        let Some(info) = runs.recover(id, &base.reference()).map_err(failed)? else { return Ok(None) };
        if info.setup.options != self.values() || info.setup.data.fingerprint != fingerprint {
            return Ok(None);
        }
        Ok(Some(EpochRow {
            epoch: info.best.as_ref().map_or(0, |best| best.epoch),
            step: info.best.as_ref().map_or(0, |best| best.step),
            metric: info.best.as_ref().map(|best| best.value),
            run: info.id,
            version: Some(base.reference()),
            message: Some("this call published its version before its process ended".into()),
            ..EpochRow::default()
        }))
    }

    /// Every option with its value.
    fn values(&self) -> Map<String, Json> {
        self.options.values().iter().map(|(name, value)| ((*name).to_owned(), Json::from(value.as_str()))).collect()
    }
}

impl Opened<'_> {
    /// Trains from the beginning or, where a run of the same options and data did not come to its end, from where that
    /// stopped. `train` gives the last row and what became of the model; epochs are compared by `metric`.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or what `train` says, or the file system.
    pub(crate) fn run(
        &self,
        metric: Criterion,
        train: impl FnOnce(&mut Run) -> Result<(EpochRow, Outcome), Stopped>,
    ) -> Result<(), Stopped> {
        let options = self.call.options;
        let setup = Setup {
            model: options.model.clone(),
            base: self.base.reference(),
            base_fingerprint: self.base.manifest.fingerprint.clone(),
            objective: options.objective.name().to_owned(),
            method: options.method.to_string(),
            options: self.call.values(),
            data: self.data.clone(),
            metric,
            device: self.target.to_string(),
            threads: cores(),
        };
        let row = conduct(&Runs::open(self.call.models.registry().home()), setup, options.resume, train)?;
        // Who does not listen any more can read it in debut.training_runs.
        self.call.send(row);
        Ok(())
    }

    /// Makes a version of `base` and publishes it if the options want that. `build` writes a candidate; `refusal` says why that does
    /// not take the place of the version in use, if it does not.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or what `build` and `refusal` say, or the registry. Nothing is left behind then.
    pub(crate) fn publish(
        &self,
        run: &Run,
        base: &ModelVersion,
        build: impl FnOnce(&mut Candidate) -> Result<(), Stopped>,
        refusal: impl FnOnce(&Candidate, Option<&ModelVersion>) -> Result<Option<String>, Stopped>,
    ) -> Result<Outcome, Stopped> {
        let Call { models, options, .. } = *self.call;
        if options.publish == Publish::Never {
            return Ok(Outcome::NotPublished("publish is 'never'".into()));
        }
        let build = |candidate: &mut Candidate| {
            candidate.manifest.source = format!("finetune of {}{RUN}{}", base.reference(), run.id());
            candidate.manifest.training = Some(Training {
                objective: options.objective.name().to_owned(),
                method: options.method.name().to_owned(),
                until: self.data.until,
            });
            build(candidate)
        };
        let mut reason = None;
        let wanted = |candidate: &Candidate, in_use: Option<&ModelVersion>| -> Result<bool, Stopped> {
            self.call.check_cancelled()?;
            // The same content is the version in use, and stays it.
            let same = in_use.is_some_and(|in_use| in_use.manifest.fingerprint == candidate.manifest.fingerprint);
            if options.publish == Publish::IfBetter && !same {
                reason = refusal(candidate, in_use)?;
                self.call.check_cancelled()?;
            }
            Ok(reason.is_none())
        };
        let published = models.registry().publish_trained(&options.model, base, models.progress(), build, wanted)?;
        Ok(match published {
            Some(version) => Outcome::Published(version.reference()),
            None => Outcome::NotPublished(reason.unwrap_or_default()),
        })
    }
}

/// The run that made a version, if one did.
fn run_of(version: &ModelVersion) -> Option<&str> {
    version.manifest.source.rsplit_once(RUN).map(|(_, run)| run)
}

/// A run from its beginning, or from where it stopped, to its end; gives the last row with what became of the model.
fn conduct(
    runs: &Runs,
    setup: Setup,
    resume: bool,
    train: impl FnOnce(&mut Run) -> Result<(EpochRow, Outcome), Stopped>,
) -> Result<EpochRow, Stopped> {
    let resumed = if resume { runs.resume(&setup).map_err(failed)? } else { None };
    let mut run = match resumed {
        Some(run) => run,
        None => runs.create(setup).map_err(failed)?,
    };
    let stopped = match train(&mut run) {
        Ok((mut row, outcome)) => {
            match &outcome {
                Outcome::Published(version) => row.version = Some(version.clone()),
                Outcome::NotPublished(reason) => {
                    let rest = row.message.take().map_or_else(String::new, |rest| format!("; {rest}"));
                    row.message = Some(format!("not published: {reason}{rest}"));
                }
            }
            run.finish(outcome).map_err(failed)?;
            return Ok(row);
        }
        Err(stopped) => stopped,
    };
    // What stopped the training is what the caller must hear, whether that can be written down or not.
    let id = run.id().to_owned();
    let ended = match &stopped {
        Stopped::Cancelled => run.cancel().map(drop),
        // A disk that is full or gone stops a run like a crash: the same call resumes it.
        Stopped::Failed(failure) if failure.is_of_the_disk() => Ok(()),
        Stopped::Failed(failure) => run.fail(&failure.to_string()).map(drop),
    };
    if let Err(error) = ended {
        tracing::warn!("cannot write down how training run {id} ended: {error}");
    }
    Err(stopped)
}

/// What a run that was interrupted says in its first row.
pub(crate) fn resumption(run: &Run) -> Option<&'static str> {
    match run.info().resumed {
        0 => None,
        _ if run.is_fresh() => Some("the run starts over"),
        _ => Some("the run resumes where it stopped"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::home::Home;
    use crate::train::run::Listed;
    use crate::train::run::info::Status;

    #[derive(Debug, thiserror::Error)]
    #[error("the loss is NaN at step 4")]
    struct NotFinite;

    fn setup() -> Setup {
        Setup {
            model: "shop".into(),
            base: "base@1".into(),
            base_fingerprint: "0123456789abcdef".into(),
            objective: "recommend".into(),
            method: "full".into(),
            options: Map::new(),
            data: Data { fingerprint: "f".into(), ..Data::default() },
            metric: Criterion { name: "recall@20".into(), higher_is_better: true },
            device: "cpu".into(),
            threads: 2,
        }
    }

    /// A file takes the place of a run's folder while it is trained, so that its end cannot be written down.
    fn without_a_folder(stopped: Stopped) -> Stopped {
        let home = tempfile::tempdir().unwrap();
        let runs = Runs::open(&Home::at(home.path()));
        let stopped = conduct(&runs, setup(), true, |run| {
            std::fs::remove_dir_all(run.folder()).unwrap();
            std::fs::write(run.folder(), "").unwrap();
            assert!(run.update(|_| {}).is_err());
            Err(stopped)
        });
        stopped.unwrap_err()
    }

    #[test]
    fn the_first_error_is_told_where_the_end_cannot_be_written_down() {
        assert!(matches!(without_a_folder(Stopped::Cancelled), Stopped::Cancelled));
        let stopped = without_a_folder(failed(NotFinite).into());
        assert!(matches!(stopped, Stopped::Failed(failure) if failure.to_string() == NotFinite.to_string()));
    }

    #[test]
    fn an_end_says_what_became_of_the_run() {
        let home = tempfile::tempdir().unwrap();
        let runs = Runs::open(&Home::at(home.path()));
        let statuses = || runs.list().unwrap().iter().filter_map(Listed::status).collect::<Vec<_>>();
        let stop = |stopped: Stopped| drop(conduct(&runs, setup(), true, |_| Err(stopped)).unwrap_err());
        // What can be resumed is resumed: it is one run until it fails.
        stop(Stopped::Cancelled);
        assert_eq!(statuses(), [Status::Cancelled]);
        stop(failed(std::io::Error::other("no space left")).into());
        assert_eq!(statuses(), [Status::Interrupted]);
        stop(failed(NotFinite).into());
        assert_eq!(statuses(), [Status::Failed]);

        let row = EpochRow { message: Some("stopped early".into()), ..EpochRow::default() };
        let ended = |outcome: Outcome| conduct(&runs, setup(), true, |_| Ok((row.clone(), outcome))).unwrap();
        let refused = ended(Outcome::NotPublished("it is worse".into()));
        assert_eq!(refused.message.as_deref(), Some("not published: it is worse; stopped early"));
        assert_eq!(refused.version, None);
        let published = ended(Outcome::Published("shop@1".into()));
        assert_eq!((published.version.as_deref(), published.message), (Some("shop@1"), row.message));
        assert_eq!(statuses().iter().filter(|status| **status == Status::Finished).count(), 2);
    }
}

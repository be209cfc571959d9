//! What a version costs and gains beside its base: takes texts, gives vectors, speed and size, by the very path that `embed` takes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Array, StringArray};
use debut_udfs::compress::NAME;
use debut_udfs::config::DebutConfig;
use debut_udfs::model::{Input, Job, Model, Stats};
use debut_udfs::models::prompt_of;
use futures::executor::block_on;

use super::error::Error;
use super::texts::Texts;
use crate::cancellation::{self, Stop};
use crate::fetch::files;
use crate::inference::runtime::{Runtime, Target};
use crate::inference::{LoadedModel, Models};
use crate::linalg::dense::Matrix;
use crate::linalg::neighbours::{MOST_QUERIES, NEAREST, nearest, overlap};
use crate::registry::ModelVersion;
use crate::train::Stopped;
use crate::train::failure::{Result, failed};

/// Texts that are embedded before it is asked whether anybody waits.
const TOGETHER: usize = 1024;
/// Times that both models are timed, in turn.
const ROUNDS: usize = 5;
/// How long a round of the base is meant to take, in seconds.
const ROUND: f64 = 1.0;
/// Fewest texts of a round.
const FEWEST_TIMED: usize = 64;
/// Written when a version is complete.
const MANIFEST: &str = "debut.json";

/// What was found of one version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Size of its files, the manifest left out.
    pub(super) bytes: u64,
    pub(super) rows_per_second: f64,
    pub(super) overlap: Option<f64>,
    pub(super) cosine: Option<f64>,
}

/// A base and its vectors, to measure others by.
pub(super) struct Ruler<'a> {
    config: &'a DebutConfig,
    runtime: &'static Runtime,
    target: Target,
    texts: &'a Texts,
    stop: Stop<'a>,
    model: Arc<dyn Model>,
    prompt: String,
    vectors: Matrix,
    nearest: Vec<Vec<u32>>,
    /// What both models are timed on.
    timed: StringArray,
    measured: Measured,
}

impl<'a> Ruler<'a> {
    /// Measures the base.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the runtime is not there, or the base fails.
    pub(super) fn new(
        models: &Models,
        config: &'a DebutConfig,
        base: &ModelVersion,
        texts: &'a Texts,
        stop: Stop<'a>,
    ) -> Result<Self, Stopped> {
        let (home, progress) = (models.registry().home(), models.progress());
        let runtime = Runtime::load(home, config.device, config.offline, progress).map_err(failed)?;
        let target = runtime.place(config.device).map_err(failed)?.target;
        let model = models.load_version(base, config).map_err(failed)?;
        let prompt = prompt_of(NAME, &base.info(), "document").map_err(failed)?;
        let measured =
            Measured { bytes: bytes(&base.path), rows_per_second: 0.0, overlap: Some(1.0), cosine: Some(1.0) };
        let (vectors, timed) = (Matrix::default(), texts.all().slice(0, 0));
        let nearest = Vec::new();
        let mut ruler = Self { config, runtime, target, texts, stop, model, prompt, vectors, nearest, timed, measured };
        let begun = Instant::now();
        ruler.vectors = ruler.embed(ruler.model.as_ref(), texts.all())?;
        let rate = texts.all().len() as f64 / begun.elapsed().as_secs_f64();
        ruler.nearest = nearest_of(&ruler.vectors, texts.held_out());
        let timed = ((rate * ROUND) as usize).max(FEWEST_TIMED).min(texts.held_out());
        ruler.timed = texts.all().slice(0, timed);
        let rates = (0..ROUNDS).map(|_| ruler.rate(ruler.model.as_ref())).collect::<Result<Vec<_>, _>>()?;
        ruler.measured.rows_per_second = median(rates);
        Ok(ruler)
    }

    /// What was found of the base.
    pub(super) fn base(&self) -> &Measured {
        &self.measured
    }

    /// The base's vectors of the texts that fit, a row each, of length one.
    pub(super) fn fitted(&self) -> Matrix {
        let rows = self.texts.held_out() as u32..self.vectors.rows() as u32;
        self.vectors.gather(&rows.collect::<Vec<_>>())
    }

    /// Measures a version whose files are in its folder, whatever the registry knows of it.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the version fails.
    pub(super) fn measure(&self, version: &ModelVersion) -> Result<Measured, Stopped> {
        let model = self.open(version)?;
        let vectors = self.embed(&model, self.texts.all())?;
        let found = nearest_of(&vectors, self.texts.held_out());
        let held_out = (0..self.texts.held_out() as u32).collect::<Vec<_>>();
        let cosine = (vectors.columns() == self.vectors.columns())
            .then(|| mean_cosine(&vectors.gather(&held_out), &self.vectors.gather(&held_out)));
        // In turn with the base: what else the machine does is the same for both.
        let mut ratios = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let theirs = self.rate(self.model.as_ref())?;
            ratios.push(self.rate(&model)? / theirs);
        }
        Ok(Measured {
            bytes: bytes(&version.path),
            rows_per_second: self.measured.rows_per_second * median(ratios),
            overlap: overlap(&found, &self.nearest),
            cosine,
        })
    }

    /// What a version gives for the first texts that fit, a row each, whatever the registry knows of it.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the version fails.
    pub(super) fn run(&self, version: &ModelVersion, texts: usize) -> Result<Matrix, Stopped> {
        let fitted = self.texts.all().len() - self.texts.held_out();
        let texts = self.texts.all().slice(self.texts.held_out(), texts.min(fitted));
        self.embed(&self.open(version)?, &texts)
    }

    /// The overlap of the nearest of the texts that fit by a version and by the base.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the version fails.
    pub(super) fn overlap_of_fitted(&self, version: &ModelVersion) -> Result<f64, Stopped> {
        let vectors = self.run(version, usize::MAX)?;
        let nearest = |vectors: &Matrix| nearest_of(vectors, vectors.rows());
        Ok(overlap(&nearest(&vectors), &nearest(&self.fitted())).unwrap_or(0.0))
    }

    /// One less the mean cosine of a version's vectors of the first texts that fit to the base's.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the version fails.
    pub(super) fn loss(&self, version: &ModelVersion, texts: usize) -> Result<f64, Stopped> {
        let vectors = self.run(version, texts)?;
        Ok(1.0 - mean_cosine(&vectors, &self.fitted()))
    }

    fn open(&self, version: &ModelVersion) -> Result<LoadedModel, Stopped> {
        let environment = self.runtime.environment();
        let model = LoadedModel::open(&version.path, version.info(), &version.manifest, environment, &self.target);
        Ok(model.map_err(failed)?)
    }

    /// Texts a second, once.
    fn rate(&self, model: &dyn Model) -> Result<f64, Stopped> {
        let begun = Instant::now();
        self.embed(model, &self.timed)?;
        Ok(self.timed.len() as f64 / begun.elapsed().as_secs_f64())
    }

    /// What a model gives for texts, a row each: vectors are of length one.
    fn embed(&self, model: &dyn Model, texts: &StringArray) -> Result<Matrix, Stopped> {
        let mut values = Vec::with_capacity(texts.len() * model.info().width(false));
        for start in (0..texts.len()).step_by(TOGETHER) {
            cancellation::check(self.stop)?;
            let some = texts.slice(start, TOGETHER.min(texts.len() - start));
            let job = Job {
                input: Input::Texts(some.clone()),
                prompt: self.prompt.clone(),
                max_batch_tokens: self.config.max_batch_tokens,
                stats: Arc::new(Stats::default()),
            };
            let output = block_on(model.run(job)).map_err(failed)?;
            if let Some((row, reason)) = output.failures.into_iter().next() {
                return Err(failed(Error::NoVector { text: some.value(row).to_owned(), reason }).into());
            }
            values.extend(output.values);
        }
        Ok(Matrix::new(texts.len(), model.info().width(false), values))
    }
}

/// The nearest texts of those that are held out, or of some of many.
fn nearest_of(vectors: &Matrix, held_out: usize) -> Vec<Vec<u32>> {
    nearest(vectors, held_out.min(MOST_QUERIES), NEAREST)
}

/// The mean product of the rows of `vectors` and the first ones of `others`, all of length one.
fn mean_cosine(vectors: &Matrix, others: &Matrix) -> f64 {
    let cosine = |row: usize| {
        vectors.row(row).iter().zip(others.row(row)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
    };
    (0..vectors.rows()).map(cosine).sum::<f64>() / vectors.rows().max(1) as f64
}

/// The middle one, by size.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Size of all files in a version's folder, but for the manifest, which a version that is being made has not yet.
fn bytes(folder: &Path) -> u64 {
    let manifest = fs::metadata(folder.join(MANIFEST)).map_or(0, |metadata| metadata.len());
    files::folder_bytes(folder).saturating_sub(manifest)
}

//! `compress(...)`: takes a version of a model of texts and texts as it will read them, gives a smaller version, and what each step
//! costs and gains.
//!
//! # Layout
//! - [`texts`]: from the call's rows to texts that fit and texts that are held out
//! - [`measure`]: a version's vectors, speed and size beside the base's
//! - [`reduce`]: fewer dimensions; [`half`]: weights as half floats; [`int8`]: products in eight bits,
//!   those that [`search`] finds by the numbers that [`calibrate`] sees
//! - [`graph`]: the base's graph with these steps taken
//! - [`error`]: what cannot be compressed
//!
//! Names `train` for its way to open and write graphs; nothing is trained here.

mod calibrate;
mod error;
mod graph;
mod half;
mod int8;
mod measure;
mod reduce;
mod search;
mod texts;

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as QueryResult};
use debut_udfs::compress::{CompressOptions, CompressRequest, Compressor, Format, NAME, Publish, Variant};
use debut_udfs::config::{DebutConfig, Switch};
use debut_udfs::progress::Progress;
use debut_udfs::trainer::Table;
use futures::stream::BoxStream;

use self::error::check;
use self::graph::Steps;
use self::measure::{Measured, Ruler};
use self::reduce::Reduction;
use self::texts::Texts;
use crate::background::{self, Listener};
use crate::inference::Models;
use crate::registry::name::Name;
use crate::registry::{Candidate, ModelVersion};
use crate::train::Stopped;
use crate::train::failure::{Failure, failed};

/// How much faster than its base a version in eight bits is to be.
const WORTHWHILE: f64 = 1.1;

/// Compresses the models of a home.
#[derive(Debug, Clone)]
pub struct Compress {
    models: Arc<Models>,
}

impl Compress {
    /// Compresses these models.
    pub fn new(models: Arc<Models>) -> Self {
        Self { models }
    }
}

impl Compressor for Compress {
    fn validate(&self, options: &CompressOptions, config: &DebutConfig) -> QueryResult<()> {
        options.model.parse::<Name>().map_err(|error| query(failed(error)))?;
        let base = base(&self.models, options, config).map_err(query)?;
        check(options, &base).map_err(query)
    }

    fn compress(
        &self,
        request: CompressRequest,
        config: &DebutConfig,
    ) -> QueryResult<BoxStream<'static, QueryResult<Variant>>> {
        let (models, mut config) = (Arc::clone(&self.models), config.clone());
        // What is measured is made by the models themselves.
        config.cache = Switch::Off;
        background::start(NAME, move |rows| {
            let CompressRequest { options, examples, progress } = request;
            let work = Work { models: &models, options: &options, config: &config, progress: &progress, rows };
            match work.run(examples) {
                Ok(()) | Err(Stopped::Cancelled) => {}
                Err(Stopped::Failed(failure)) => rows.send(Err(query(failure))),
            }
        })
    }
}

/// A failure as the error of a query.
fn query(failure: Failure) -> DataFusionError {
    DataFusionError::External(failure.into()).context(format!("{NAME} failed"))
}

fn base(models: &Models, options: &CompressOptions, config: &DebutConfig) -> Result<ModelVersion, Failure> {
    models.registry().resolve_or_install(&options.base, config.offline, models.progress()).map_err(failed)
}

/// One call.
struct Work<'a> {
    models: &'a Models,
    options: &'a CompressOptions,
    config: &'a DebutConfig,
    progress: &'a Progress,
    rows: &'a Listener<Variant>,
}

impl Work<'_> {
    /// From the examples to the last row.
    fn run(&self, examples: Table) -> Result<(), Stopped> {
        let Self { options, progress, .. } = *self;
        let base = base(self.models, options, self.config)?;
        check(options, &base)?;
        let texts = Texts::of(&examples, options.seed)?;
        drop(examples);
        let steps = [options.dimensions.is_some(), options.to.is_some()].into_iter().filter(|is_taken| *is_taken);
        progress.begin(1 + steps.count() as u64);
        let stop = || self.rows.is_gone();
        let ruler = Ruler::new(self.models, self.config, &base, &texts, &stop)?;
        let of_base = ruler.base();
        let row = Self::row("base".into(), base.manifest.dimension, of_base, texts.note());
        self.rows.send(Ok(Variant { version: Some(base.reference()), ..row }));
        progress.reach(1);

        let mut last = Variant::default();
        let gained = Cell::new((of_base.bytes, 1.0));
        let build = |candidate: &mut Candidate| -> Result<(), Stopped> {
            candidate.manifest.training = None;
            let mut steps = Steps::default();
            if let Some(width) = options.dimensions {
                let reduction = Reduction::find(ruler.fitted(), width)?;
                let message = reduction.words();
                steps.reduction = Some(reduction);
                last = self.take(&steps, &base, candidate, &ruler, message)?;
                progress.reach(2);
                if options.to.is_some() {
                    self.rows.send(Ok(std::mem::take(&mut last)));
                }
            }
            if let Some(format) = options.to {
                steps.half = true;
                let message = match format {
                    Format::Fp16 => {
                        "the weights are half floats in the files; a CPU computes in f32 as before".to_owned()
                    }
                    Format::Int8 => {
                        let found = search::search(&base, candidate, &ruler)?;
                        let message = found.words();
                        steps.int8 = Some(found.int8);
                        message
                    }
                };
                last = self.take(&steps, &base, candidate, &ruler, message)?;
                progress.reach(2 + u64::from(options.dimensions.is_some()));
            }
            candidate.manifest.source = format!("{NAME} of {} ({})", base.reference(), last.variant);
            gained.set((last.bytes, last.rows_per_second / of_base.rows_per_second));
            Ok(())
        };
        let mut refusal = None;
        let wanted = |_: &Candidate, _: Option<&ModelVersion>| -> Result<bool, Stopped> {
            if stop() {
                return Err(Stopped::Cancelled);
            }
            let (bytes, times) = gained.get();
            refusal = match options.publish {
                Publish::Never => Some("publish is 'never'".to_owned()),
                Publish::IfBetter if options.to == Some(Format::Int8) && times < WORTHWHILE => Some(format!(
                    "it is {times:.2} times as fast as the base on this machine, and int8 is for speed; publish => 'always' keeps it"
                )),
                Publish::IfBetter if options.dimensions.is_none() && bytes >= of_base.bytes => {
                    Some("its files are not smaller than the base's; publish => 'always' keeps it".to_owned())
                }
                Publish::IfBetter | Publish::Always => None,
            };
            Ok(refusal.is_none())
        };
        let registry = self.models.registry();
        let published = registry.publish_trained(&options.model, &base, self.models.progress(), build, wanted)?;
        last.version = published.map(|version| version.reference());
        if let Some(refusal) = refusal {
            let rest = last.message.take().map_or_else(String::new, |rest| format!("; {rest}"));
            last.message = Some(format!("not published: {refusal}{rest}"));
        }
        self.rows.send(Ok(last));
        Ok(())
    }

    /// Writes the graph of the base with these steps taken, and measures it.
    fn take(
        &self,
        steps: &Steps,
        base: &ModelVersion,
        candidate: &mut Candidate,
        ruler: &Ruler<'_>,
        message: String,
    ) -> Result<Variant, Stopped> {
        graph::write(base, steps, candidate)?;
        let measured = ruler.measure(&candidate.version(&self.options.model))?;
        Ok(Self::row(steps.name(), candidate.manifest.dimension, &measured, message))
    }

    fn row(variant: String, dimension: usize, measured: &Measured, message: String) -> Variant {
        let Measured { bytes, rows_per_second, overlap, cosine } = *measured;
        let (dimension, message) = (dimension as u64, Some(message));
        Variant { variant, dimension, bytes, rows_per_second, overlap, cosine, version: None, message }
    }
}

#[cfg(test)]
mod tests;

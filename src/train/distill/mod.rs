//! `finetune(objective => 'distill', student => 'static', ...)`: takes a teacher and texts without labels, gives a version that makes nearly the teacher's
//! vectors at a fraction of the cost: a sum of vectors of tokens, and of pairs of neighbouring tokens.
//!
//! # How a training goes
//! ```text
//! texts -> the teacher's vectors of them and of single tokens -> first vectors (a ridge regression) -> epochs of steps -> registry
//! ```
//! # Layout
//! - [`teacher`]: its vectors of single tokens; those of texts come from `tower`
//! - [`features`]: which vectors make a text
//! - [`start`]: the first vector of every token
//! - [`student`]: the steps of a training
//! - [`graph`]: the student as an ONNX graph
//! - [`version`]: which versions can teach, and what a student is compared with

mod features;
mod graph;
mod start;
mod student;
mod teacher;
#[cfg(test)]
mod tests;
mod version;

use arrow::array::{Array, StringViewArray};
use debut_udfs::finetune::{NAME, Schedule};
use debut_udfs::models::prompt_of;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::{EpochRow, Table};

use super::data::{self, Dataset, Examples, InputColumn};
use super::failure::{Result, Stopped, failed};
use super::inputs::TokenizedTexts;
use super::lifecycle::{Call, Opened, resumption};
use super::objective::overlap::{MOST_TEXTS, OVERLAP, overlap};
use super::objective::{Batches, COSINE};
use super::optimizer::schedule;
use super::run::info::{Best, Criterion, Data, Outcome};
use super::run::{Run, metrics};
use super::settings;
use super::tower::{self, Place};
use crate::linalg::dense::Matrix;
use crate::registry::{Candidate, ModelVersion};
use features::Features;
use start::Known;
use student::{Bags, Student};
pub(super) use version::{STATIC, check};

/// Fewer texts than this teach nothing.
const FEWEST_TEXTS: usize = 50;

/// Examples that are too few.
#[derive(Debug, thiserror::Error)]
#[error(
    "objective 'distill' needs {least} different texts to train on, and there are {found} (and {held_out} held out); give it all \
     texts of the shop, they need no labels",
    least = FEWEST_TEXTS
)]
struct TooFew {
    found: usize,
    held_out: usize,
}

/// One training.
struct Distillation<'a> {
    call: &'a Call<'a>,
    opened: &'a Opened<'a>,
    texts: StringViewArray,
    /// Rows of `texts`, ascending.
    train: Vec<u32>,
    /// The same of those that are held out.
    validation: Vec<u32>,
}

/// The call from its tables to its last row.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the examples are no texts or too few, or the teacher, the runtime or the disk fails.
pub(super) fn run(call: &Call<'_>, tables: Inputs<Table>) -> Result<(), Stopped> {
    let base = call.base()?;
    let options = settings::data(call.options, &base, None).map_err(failed)?;
    let dataset = Dataset::build(&tables, &options).map_err(failed)?;
    drop(tables);
    let (InputColumn::Texts(texts), Examples::Texts(examples)) = (dataset.inputs, dataset.examples) else {
        return Err(failed(data::Error::NoEncoder(call.options.objective.name())).into());
    };
    let rows = |examples_of: &[u32]| {
        let mut rows = examples_of.iter().map(|example| examples.input[*example as usize]).collect::<Vec<_>>();
        rows.sort_unstable();
        rows.dedup();
        rows
    };
    let (train, validation) = (rows(&dataset.train), rows(&dataset.validation));
    if train.len() < FEWEST_TEXTS {
        return Err(failed(TooFew { found: train.len(), held_out: validation.len() }).into());
    }
    let data = Data {
        fingerprint: dataset.fingerprint,
        texts: texts.len() as u64,
        train: train.len() as u64,
        validation: validation.len() as u64,
        until: dataset.until,
        notes: dataset.notes,
    };
    let Some(opened) = call.open(base, data)? else { return Ok(()) };
    let metric = Criterion { name: OVERLAP.into(), higher_is_better: true };
    let distillation = Distillation { call, opened: &opened, texts, train, validation };
    opened.run(metric, |run| distillation.train(run))
}

/// What is known before the first step.
struct Prepared {
    /// The teacher's vectors, a row a text, of length one.
    vectors: Matrix,
    features: Features,
    /// What makes each text.
    bags: Bags,
    /// The first vectors of all features.
    first: Vec<f32>,
}

impl Distillation<'_> {
    fn train(&self, run: &mut Run) -> Result<(EpochRow, Outcome), Stopped> {
        let options = self.call.options;
        let prepared = self.prepare()?;
        let Prepared { vectors, features, bags, .. } = &prepared;
        let dimension = vectors.columns();
        // What no text of the training has stays as it begins, and needs no room beside.
        let mut seen = self.train.iter().flat_map(|row| bags.of(*row as usize)).copied().collect::<Vec<_>>();
        seen.sort_unstable();
        seen.dedup();
        let row_of = |feature: u32| &prepared.first[feature as usize * dimension..][..dimension];
        let mut student = Student::new(dimension, seen.iter().flat_map(|feature| row_of(*feature)).copied().collect());
        let place = |feature: &u32| seen.binary_search(feature).map_or(0, |place| place as u32);
        let of_training = Bags::new((0..bags.len()).map(|text| {
            let is_trained = self.train.binary_search(&(text as u32)).is_ok();
            bags.of(text).iter().filter(|_| is_trained).map(place).collect::<Vec<_>>()
        }));
        let table = |student: &Student| {
            let mut table = prepared.first.clone();
            for (feature, vector) in seen.iter().zip(student.vectors.chunks_exact(dimension)) {
                table[*feature as usize * dimension..][..dimension].copy_from_slice(vector);
            }
            table
        };
        run.update(|info| info.parameters = Some((features.len() * dimension) as u64)).map_err(failed)?;
        let mut measured = self.measure(&prepared.first, &prepared);
        let mut message = resumption(run).map(str::to_owned).into_iter().collect::<Vec<_>>();
        message.push(format!(
            "{}'s vectors of {} tokens alone, mapped; {} pairs of tokens begin at zero",
            self.opened.base.reference(),
            features.tokens(),
            features.pairs().len()
        ));
        message.extend_from_slice(&run.info().setup.data.notes);
        self.call.send(EpochRow { message: Some(message.join("; ")), ..self.row(run, 0, 0, &measured) });

        let count = Batches::count(self.train.len(), options.batch_size) as u64;
        let total = (count * options.epochs).min(options.max_steps.unwrap_or(u64::MAX));
        self.call.progress.begin(total);
        let (mut best, mut best_epoch) = (prepared.first.clone(), 0);
        let mut best_value = measured.overlap;
        let (mut step, mut epoch) = (0, 0);
        let mut last = self.row(run, 0, 0, &measured);
        while step < total {
            if epoch > 0 {
                self.call.send(last);
            }
            // Epochs are few: their number was read from an option that is at most ten thousand.
            let batches = Batches::train(&self.train, options.batch_size, options.seed, epoch as u32);
            let (mut sum, mut texts, mut rate) = (0.0, 0, 0.0);
            for index in 0..batches.len() {
                if step == total {
                    break;
                }
                self.call.check_cancelled()?;
                let batch = batches.examples(index);
                rate = schedule::rate(Schedule::Linear, options.learning_rate, step, total, 0);
                sum += student.step(&of_training, vectors.values(), batch, rate) * batch.len() as f64;
                texts += batch.len();
                step += 1;
                self.call.progress.reach(step);
            }
            epoch += 1;
            let now = table(&student);
            measured = self.measure(&now, &prepared);
            let train_loss = sum / texts.max(1) as f64;
            last = EpochRow {
                train_loss: Some(train_loss),
                learning_rate: Some(rate),
                ..self.row(run, epoch, step, &measured)
            };
            self.log(run, &last, &measured)?;
            if measured.overlap.is_none() || measured.overlap > best_value {
                (best, best_value, best_epoch) = (now, measured.overlap, epoch);
                if let Some(value) = best_value {
                    run.update(|info| info.best = Some(Best { epoch, step, value })).map_err(failed)?;
                }
            }
            if let Some(patience) = options.patience.filter(|patience| epoch - best_epoch >= *patience && step < total)
            {
                last.message = Some(format!(
                    "stopped after epoch {epoch}: none of the last {patience} was better than epoch {best_epoch}"
                ));
                break;
            }
        }
        let outcome = self.publish(run, &prepared, &best)?;
        Ok((last, outcome))
    }

    fn prepare(&self) -> Result<Prepared, Stopped> {
        let Call { options, .. } = *self.call;
        let base = &self.opened.base;
        let stop = || self.call.is_cancelled();
        let vectors = self.vectors(base, &self.texts)?;
        let prompt = prompt_of(NAME, &base.info(), "document").map_err(failed)?;
        let ids = TokenizedTexts::new(&self.texts, base, &prompt, options.max_tokens, &stop)?;
        let tokens = teacher::tokens(base, &self.place(), &stop)?;
        let known =
            |rows: &[u32]| Known { ids: rows.iter().map(|row| ids.ids(*row)).collect(), vectors: vectors.gather(rows) };
        let (train, validation) = (known(&self.train), known(&self.validation));
        let first = start::vectors(&tokens.vectors, &tokens.special, &train, &validation, &stop)?;
        let features = Features::of(tokens.vectors.rows(), &ids, &self.train);
        let mut first = first.values().to_vec();
        first.resize(features.len() * vectors.columns(), 0.0);
        let bags = Bags::new((0..self.texts.len() as u32).map(|row| features.of_text(ids.ids(row))));
        Ok(Prepared { vectors, features, bags, first })
    }

    fn place(&self) -> Place<'_> {
        Place { runtime: self.opened.runtime, target: &self.opened.target }
    }

    /// The vectors of texts by a version, a row each, of length one.
    fn vectors(&self, version: &ModelVersion, texts: &StringViewArray) -> Result<Matrix, Stopped> {
        let stop = || self.call.is_cancelled();
        let values = tower::embed(version, None, texts, self.call.options.max_tokens, self.place(), &stop)?;
        let mut vectors = Matrix::new(texts.len(), version.manifest.dimension, values);
        vectors.normalize_rows();
        Ok(vectors)
    }

    /// The held-out texts that students are measured by.
    fn held_out(&self) -> &[u32] {
        &self.validation[..self.validation.len().min(MOST_TEXTS)]
    }

    /// How good a student with these vectors is.
    fn measure(&self, table: &[f32], prepared: &Prepared) -> Measured {
        let Prepared { vectors, bags, .. } = prepared;
        let rows = self.held_out();
        let ours = rows.iter().flat_map(|row| student::embed(table, vectors.columns(), bags.of(*row as usize)));
        let (ours, theirs) = (Matrix::new(rows.len(), vectors.columns(), ours.collect()), vectors.gather(rows));
        let both = ours.values().iter().zip(theirs.values());
        let cosines = both.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        let cosine = (!rows.is_empty()).then(|| cosines / rows.len() as f64);
        Measured { overlap: overlap(&theirs, &ours), cosine }
    }

    fn row(&self, run: &Run, epoch: u64, step: u64, measured: &Measured) -> EpochRow {
        EpochRow {
            epoch,
            step,
            validation_loss: measured.cosine.map(|cosine| 1.0 - cosine),
            metric: measured.overlap,
            elapsed: run.seconds(),
            run: run.id().to_owned(),
            ..EpochRow::default()
        }
    }

    fn log(&self, run: &mut Run, row: &EpochRow, measured: &Measured) -> Result<()> {
        let values = [
            (metrics::TRAIN_LOSS, row.train_loss),
            (metrics::LEARNING_RATE, row.learning_rate),
            (metrics::VALIDATION_LOSS, row.validation_loss),
            (OVERLAP, measured.overlap),
            (COSINE, measured.cosine),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
        run.log(row.epoch, row.step, &values).map_err(failed)
    }

    /// Writes a version and makes it the one in use, unless that is nearer to the teacher.
    fn publish(&self, run: &Run, prepared: &Prepared, table: &[f32]) -> Result<Outcome, Stopped> {
        let (options, base) = (self.call.options, &self.opened.base);
        let build = |candidate: &mut Candidate| -> Result<(), Stopped> {
            Ok(version::write(candidate, graph::build(&prepared.features, table, base.manifest.dimension))?)
        };
        let rows = self.held_out();
        let refusal = |candidate: &Candidate, in_use: Option<&ModelVersion>| -> Result<Option<String>, Stopped> {
            let Some(in_use) = in_use else { return Ok(None) };
            version::comparable(options, Some(in_use)).map_err(failed)?;
            let texts = StringViewArray::from_iter_values(rows.iter().map(|row| self.texts.value(*row as usize)));
            let theirs = prepared.vectors.gather(rows);
            let measure = |version: &ModelVersion| -> Result<Option<f64>, Stopped> {
                Ok(overlap(&theirs, &self.vectors(version, &texts)?))
            };
            let (ours, before) = (measure(&candidate.version(&options.model))?, measure(in_use)?);
            Ok(version::refusal(ours, before, &in_use.reference()))
        };
        self.opened.publish(run, base, build, refusal)
    }
}

/// How good a student is, on what was held out; nothing where nothing was.
struct Measured {
    overlap: Option<f64>,
    cosine: Option<f64>,
}

//! Epochs of steps: takes a training that is ready, gives the values of its best epoch. Keeps on disk what it takes to
//! go on after its process died, and says after every epoch what it came to.

use std::ops::ControlFlow;

use debut_udfs::finetune::{FinetuneOptions, Optimizer, Schedule};

use super::failure::{Result, Stopped, failed};
use super::inputs::{Inputs, View, ahead};
use super::measure::{Ground, Measured};
use super::method::{Method, adalora};
use super::objective::Batches;
use super::optimizer::schedule;
use super::run::checkpoint::{Checkpoint, Epoch, Progress};
use super::run::info::Best;
use super::run::{Run, metrics};
use super::step::{EvalSession, NamedTensor, State, StepSession};

/// In front of the names of the best epoch's values in a checkpoint.
const BEST: &str = "best/";
/// AdaLoRA takes ranks away after this many steps.
const PRUNE_EVERY: u64 = 10;

/// A training that is ready to go.
pub(super) struct Fit<'a> {
    pub(super) options: &'a FinetuneOptions,
    pub(super) ground: &'a Ground<'a>,
    /// What the graph of a step reads.
    pub(super) inputs: &'a dyn Inputs,
    /// The examples to train on.
    pub(super) train: &'a [u32],
    pub(super) steps: StepSession,
    pub(super) evaluation: EvalSession,
}

/// What a training came to.
#[derive(Debug)]
pub(super) struct Fitted {
    /// What was trained, as it was after the best epoch.
    pub(super) values: Vec<NamedTensor>,
    /// Why it ended before its last epoch, if it did.
    pub(super) early: Option<String>,
}

/// How the optimizer's steps lie in the run.
#[derive(Debug, Clone, Copy)]
struct Course {
    schedule: Schedule,
    peak: f64,
    total: u64,
    warm_up: u64,
}

impl Course {
    fn of(options: &FinetuneOptions, batches: usize) -> Self {
        let an_epoch = batches.div_ceil(options.accumulate) as u64;
        let total = (an_epoch * options.epochs).min(options.max_steps.unwrap_or(u64::MAX));
        let warm_up = (options.warmup * total as f64).round() as u64;
        Self { schedule: options.schedule, peak: options.learning_rate, total, warm_up }
    }

    fn rate(&self, step: u64) -> f64 {
        schedule::rate(self.schedule, self.peak, step, self.total, self.warm_up)
    }
}

impl Fit<'_> {
    /// Steps of the optimizer that the whole training takes.
    pub(super) fn total_steps(&self) -> u64 {
        self.course().total
    }

    fn course(&self) -> Course {
        Course::of(self.options, self.batches())
    }

    /// Batches in an epoch.
    fn batches(&self) -> usize {
        Batches::count(self.train.len(), self.options.batch_size)
    }

    /// Trains to the end, from the run's checkpoint if it has one. `report` is told of every epoch, those of the
    /// checkpoint first, and whether it is the last.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or a loss that is not finite, the runtime, the disk.
    pub(super) fn run(
        mut self,
        run: &mut Run,
        progress: &dyn Fn(u64),
        report: &mut dyn FnMut(&Epoch, bool),
    ) -> Result<Fitted, Stopped> {
        let mut done = Progress::default();
        let mut best = None;
        if let Some(checkpoint) = run.take_checkpoint() {
            best = Some(self.restore(&checkpoint)?);
            done = checkpoint.progress;
        }
        let course = self.course();
        progress(done.step);
        let ended = |fit: &Self, done: &Progress| {
            done.epoch >= fit.options.epochs || done.step >= course.total || fit.early(done).is_some()
        };
        for epoch in &done.history {
            report(epoch, epoch.epoch == done.epoch && ended(&self, &done));
        }
        while !ended(&self, &done) {
            let (train_loss, rate) = self.epoch(&mut done, &course, run, progress)?;
            done.epoch += 1;
            let measured = self.evaluate()?;
            let epoch = Epoch {
                epoch: done.epoch,
                step: done.step,
                train_loss: Some(train_loss),
                validation_loss: measured.as_ref().map(|measured| measured.loss),
                metric: measured.as_ref().and_then(Measured::metric),
                learning_rate: Some(rate),
                seconds: run.seconds(),
            };
            if let Some(measured) = &measured {
                measured.log(run, epoch.epoch, epoch.step)?;
            }
            if self.is_best(&epoch, &done) {
                done.best_epoch = Some(epoch.epoch);
                best = Some(self.steps.parameters().map_err(failed)?);
                if let (Some(value), Some(measured)) = (epoch.metric, &measured) {
                    run.update(|info| {
                        info.best = Some(Best { epoch: epoch.epoch, step: epoch.step, value });
                        info.top_losses = self.ground.top_losses(measured);
                    })
                    .map_err(failed)?;
                }
            }
            done.history.push(epoch.clone());
            self.checkpoint(&done, best.as_deref().unwrap_or_default(), run)?;
            report(&epoch, ended(&self, &done));
        }
        let early = self.early(&done);
        let values = match best {
            Some(values) => values,
            None => self.steps.parameters().map_err(failed)?,
        };
        Ok(Fitted { values, early })
    }

    /// Runs the batches of the epoch after those that are done; gives its mean loss and its last learning rate.
    fn epoch(
        &mut self,
        done: &mut Progress,
        course: &Course,
        run: &mut Run,
        progress: &dyn Fn(u64),
    ) -> Result<(f64, f64), Stopped> {
        let Self { options, ground, inputs, train, ref mut steps, .. } = *self;
        let FinetuneOptions { seed, batch_size, accumulate, .. } = *options;
        // Epochs are few: their number was read from an option that is at most ten thousand.
        let epoch = done.epoch as u32;
        let batches = Batches::train(train, batch_size, seed, epoch);
        let (mut sum, mut weight) = (0.0, 0.0);
        let mut rate = course.rate(done.step);
        let objective = ground.objective;
        let read = |index: usize| {
            let batch = batches.batch(objective, index);
            let feeds = inputs.batch(&batch, View::Training { seed, epoch, batch: index as u32 })?;
            Ok((batch.weight, feeds))
        };
        ahead(batches.len(), read, |index, (of_batch, feeds)| {
            ground.check_cancelled()?;
            let apply = (index + 1) % accumulate == 0 || index + 1 == batches.len();
            rate = course.rate(done.step);
            let outcome = steps.step(&feeds, rate as f32, apply).map_err(failed)?;
            sum += f64::from(outcome.loss) * f64::from(of_batch);
            weight += f64::from(of_batch);
            if let Some(norm) = outcome.gradient_norm {
                done.step += 1;
                let values = [
                    (metrics::TRAIN_LOSS, f64::from(outcome.loss)),
                    (metrics::LEARNING_RATE, rate),
                    (metrics::GRADIENT_NORM, f64::from(norm)),
                ];
                run.log(done.epoch + 1, done.step, &values).map_err(failed)?;
                prune(steps, options, done.step, course.total)?;
                progress(done.step);
                if done.step == course.total {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((if weight > 0.0 { sum / weight } else { 0.0 }, rate))
    }

    /// Measures the parameters as they are.
    fn evaluate(&mut self) -> Result<Option<Measured>, Stopped> {
        let mut results = Vec::with_capacity(self.ground.batches.len());
        self.ground.each_batch(self.inputs, |feeds| {
            let evaluation = self.evaluation.run(&mut self.steps, &feeds).map_err(failed)?;
            results.push((evaluation.loss, evaluation.outputs.into_iter().map(|(_, _, values)| values).collect()));
            Ok(())
        })?;
        Ok(self.ground.summarize(&results))
    }

    /// Without validation the last epoch is the best. So it is of a head that trains to its end: as its rate comes down its epochs
    /// differ by little, and which of them a small validation set finds best is chance.
    fn is_best(&self, epoch: &Epoch, done: &Progress) -> bool {
        if self.options.method == Method::Head && self.options.patience.is_none() {
            return true;
        }
        match (epoch.metric, done.best().and_then(|best| best.metric)) {
            (Some(metric), Some(best)) => self.ground.objective.metric().better(metric, best),
            _ => true,
        }
    }

    /// Why training stops although there are epochs left.
    fn early(&self, done: &Progress) -> Option<String> {
        let (patience, best) = (self.options.patience?, done.best_epoch?);
        (done.epoch - best >= patience && done.epoch < self.options.epochs).then(|| {
            format!("stopped after epoch {}: none of the last {patience} was better than epoch {best}", done.epoch)
        })
    }

    fn checkpoint(&self, done: &Progress, best: &[NamedTensor], run: &mut Run) -> Result<(), Stopped> {
        let mut tensors = self.steps.state().map_err(failed)?.tensors;
        tensors
            .extend(best.iter().map(|(name, shape, values)| (format!("{BEST}{name}"), shape.clone(), values.clone())));
        Ok(run.checkpoint(&Checkpoint { progress: done.clone(), tensors }).map_err(failed)?)
    }

    /// Goes on from a checkpoint; gives the best epoch's values.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<Vec<NamedTensor>, Stopped> {
        let is_best = |(name, _, _): &&NamedTensor| name.starts_with(BEST);
        let tensors = checkpoint.tensors.iter().filter(|tensor| !is_best(tensor)).cloned().collect();
        let Progress { epoch, step, .. } = checkpoint.progress;
        // Checkpoints are made at the ends of epochs, where nothing is pending.
        let state = State { step, batches: epoch * self.batches() as u64, pending: 0, tensors };
        self.steps.restore(&state).map_err(failed)?;
        let best = checkpoint.tensors.iter().filter(is_best);
        Ok(best.map(|(name, shape, values)| (name[BEST.len()..].to_owned(), shape.clone(), values.clone())).collect())
    }
}

/// Takes singular values from the layers that need them least.
fn prune(steps: &mut StepSession, options: &FinetuneOptions, step: u64, total: u64) -> Result<(), Stopped> {
    let Method::AdaLora { rank, .. } = options.method else { return Ok(()) };
    if !step.is_multiple_of(PRUNE_EVERY) && step != total {
        return Ok(());
    }
    let names = steps.parameter_names().filter(|name| adalora::is_singular_values(name));
    let names = names.map(str::to_owned).collect::<Vec<_>>();
    let mut layers = Vec::with_capacity(names.len());
    for name in &names {
        let values = steps.read(name).map_err(failed)?;
        // The mean gradient says how much the loss hangs on a value. Without one the value's size has to do.
        let gradient = match options.optimizer {
            Optimizer::AdamW { .. } => steps.read(&format!("mean/{name}")).map_err(failed)?,
            Optimizer::Sgd { .. } => vec![1.0; values.len()],
        };
        layers.push((values, gradient));
    }
    adalora::prune(&mut layers, adalora::budget(adalora::first_rank(rank), rank, step, total));
    for (name, (values, _)) in names.iter().zip(&layers) {
        steps.write(name, values).map_err(failed)?;
    }
    Ok(())
}

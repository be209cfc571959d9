//! What a person sees on stderr while they wait.
//!
//! Takes the steps of downloads and imports, and the plan of a running query; gives lines, and on a terminal one that
//! changes. It reads what the nodes that run or train models count anyway.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use debut_udfs::progress::Progress as CallProgress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::messages::message;
use super::note;
use crate::engine::calls::exec::CallExec;
use crate::fetch::Progress;

/// Between two looks at the metrics.
const TICK: Duration = Duration::from_millis(200);

/// Shorter waits need no explanation.
const PATIENCE: Duration = Duration::from_millis(700);

/// How long the speed is watched before anything is foretold from it.
const OBSERVATION: Duration = Duration::from_secs(2);

/// The node that runs models.
const INFERENCE: &str = "InferExec";

/// Stderr, with the one line that may change.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    bar: ProgressBar,
    interactive: bool,
    /// Whether programs read it: a JSON object a line, and no line that changes.
    json: bool,
}

impl Terminal {
    /// The process's stderr.
    pub(super) fn new() -> Self {
        let interactive = stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, interactive, json: false }
    }

    /// The process's stderr for programs.
    pub(super) fn json() -> Self {
        Self { interactive: false, json: true, ..Self::new() }
    }

    /// Says what is being done, a line a step, above the line that changes.
    pub(super) fn sink(&self) -> Box<Progress<'static>> {
        let terminal = self.clone();
        Box::new(move |step| terminal.step(step))
    }

    /// Says one step.
    pub(super) fn step(&self, step: &str) {
        match self.json {
            true => note(message(step)),
            false => self.bar.suspend(|| note(step)),
        }
    }

    /// Shows how far the models of a plan have come until the answer is dropped. Nothing without a terminal or a model.
    pub(super) fn watch(&self, plan: &Arc<dyn ExecutionPlan>) -> Option<Watch> {
        let work = Work::of(plan)?;
        if !self.interactive {
            return None;
        }
        let bar = self.bar.clone();
        let painter = tokio::spawn(async move {
            let begun = Instant::now();
            let mut first = None;
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                let (done, total) = work.counts();
                if done > 0 && first.is_none() {
                    first = Some((Instant::now(), done));
                }
                if begun.elapsed() < PATIENCE {
                    continue;
                }
                if bar.is_hidden() {
                    // `{msg}` alone is a valid template; should it ever not be, the default one does.
                    bar.set_style(
                        ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
                    );
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                let speed = first.map(|(since, before)| Speed { count: done - before, time: since.elapsed() });
                bar.set_message(status(work.words(), done, total, speed));
                bar.tick();
            }
        });
        Some(Watch { painter, bar: self.bar.clone() })
    }
}

/// Keeps the line up to date; takes it away when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    painter: JoinHandle<()>,
    bar: ProgressBar,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.painter.abort();
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        self.bar.reset();
    }
}

/// What takes long in a plan.
enum Work {
    /// Nodes that run models, and how many rows they will see, where that is known.
    Inference(Vec<Arc<dyn ExecutionPlan>>, Option<usize>),
    /// A call, and what it works on, in words.
    Call(Arc<CallProgress>, (&'static str, &'static str)),
}

impl Work {
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(call) = call(plan) {
            return Some(Self::Call(Arc::clone(call.progress()), call.call().progress_words()));
        }
        let mut nodes = Vec::new();
        inference_nodes(plan, &mut nodes);
        let total = total(&nodes);
        (!nodes.is_empty()).then_some(Self::Inference(nodes, total))
    }

    /// What is done, and what there is in all.
    fn counts(&self) -> (usize, Option<usize>) {
        match self {
            Self::Inference(nodes, total) => {
                (nodes.iter().filter_map(|node| node.metrics()?.output_rows()).sum(), *total)
            }
            Self::Call(progress, _) => {
                let (steps, total) = progress.get();
                (steps as usize, (total > 0).then_some(total as usize))
            }
        }
    }

    /// Who works, on what.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Inference(..) => ("model", "texts"),
            Self::Call(_, words) => *words,
        }
    }
}

fn call(plan: &Arc<dyn ExecutionPlan>) -> Option<&CallExec> {
    match plan.downcast_ref::<CallExec>() {
        Some(node) => Some(node),
        None => plan.children().into_iter().find_map(call),
    }
}

fn inference_nodes(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<Arc<dyn ExecutionPlan>>) {
    if plan.name() == INFERENCE {
        found.push(Arc::clone(plan));
    }
    for child in plan.children() {
        inference_nodes(child, found);
    }
}

/// Rows that the nodes will see, if the plan knows exactly; a guess would make a bar that lies.
fn total(nodes: &[Arc<dyn ExecutionPlan>]) -> Option<usize> {
    let statistics = StatisticsContext::new();
    let rows = |node: &Arc<dyn ExecutionPlan>| {
        let input = Arc::clone(node.children().first()?);
        match statistics.compute(input.as_ref(), &StatisticsArgs::new()).ok()?.num_rows {
            Precision::Exact(rows) => Some(rows),
            _ => None,
        }
    };
    nodes.iter().map(rows).sum()
}

/// What was done since the first came out, and in what time: loading the model does not count.
#[derive(Debug, Clone, Copy)]
struct Speed {
    count: usize,
    time: Duration,
}

/// The line: `model: 12,340 / 50,000 texts, 2,310/s, about 16 s left`.
fn status((who, what): (&str, &str), done: usize, total: Option<usize>, speed: Option<Speed>) -> String {
    if done == 0 {
        return format!("{who}: starting");
    }
    let mut line = format!("{who}: {}", thousands(done));
    if let Some(total) = total {
        line += &format!(" / {}", thousands(total));
    }
    line += &format!(" {what}");
    let Some(speed) = speed.filter(|speed| speed.time >= OBSERVATION && speed.count > 0) else { return line };
    let rate = speed.count as f64 / speed.time.as_secs_f64();
    line += &format!(", {}/s", thousands(rate.round() as usize));
    if let Some(left) = total.and_then(|total| total.checked_sub(done)).filter(|left| *left > 0) {
        line += &format!(", about {} left", duration(left as f64 / rate));
    }
    line
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil().max(1.0) as u64;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "1,234,567"].map(String::from), [0, 999, 1000, 1_234_567].map(thousands));
    }

    #[test]
    fn nothing_is_foretold_from_too_little() {
        let speed = |count, secs| Some(Speed { count, time: Duration::from_secs(secs) });
        let status = |done, total, speed| status(("model", "texts"), done, total, speed);
        assert_eq!(status(0, Some(10), None), "model: starting");
        assert_eq!(status(64, Some(50_000), speed(64, 1)), "model: 64 / 50,000 texts");
        assert_eq!(status(12_000, None, speed(10_000, 5)), "model: 12,000 texts, 2,000/s");
        assert_eq!(
            status(12_000, Some(50_000), speed(10_000, 5)),
            "model: 12,000 / 50,000 texts, 2,000/s, about 19 s left"
        );
        assert_eq!(status(50_000, Some(50_000), speed(40_000, 20)), "model: 50,000 / 50,000 texts, 2,000/s");
    }

    #[test]
    fn durations_are_rough() {
        assert_eq!(duration(0.2), "1 s");
        assert_eq!(duration(150.0), "3 min");
        assert_eq!(duration(7380.0), "2 h 3 min");
    }
}

//! `metrics.jsonl`: what was measured while a run went on, a JSON object a line.
//!
//! Takes values as the trainer measures them; gives them back to `debut.metrics` and the report. Lines are only ever
//! appended, whole. A process that dies in the middle of one leaves a torn last line, which is no value and is left out.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::fetch::files;

/// The file's name.
pub const FILE: &str = "metrics.jsonl";

/// The loss of a step on its batch.
pub const TRAIN_LOSS: &str = "train_loss";
/// The loss on the held-out examples, after an epoch.
pub const VALIDATION_LOSS: &str = "validation_loss";
/// The learning rate of a step.
pub const LEARNING_RATE: &str = "learning_rate";
/// The gradient's norm at a step, before clipping.
pub const GRADIENT_NORM: &str = "gradient_norm";
/// How much a component of a recommender counts for new items.
pub const WEIGHT: &str = "weight";
/// The same for items with a history.
pub const WARM_WEIGHT: &str = "warm_weight";

/// The name of what was measured of a component alone: `recall@20/text_knn`.
pub fn of_component(metric: &str, component: &str) -> String {
    format!("{metric}/{component}")
}

/// What was measured, and of which component; `None` if it is about the whole.
pub fn component_of(name: &str) -> Option<(&str, &str)> {
    name.split_once('/')
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The epoch, counted from 1; 0 is before training.
    pub epoch: u64,
    /// Steps of the optimizer that were taken.
    pub step: u64,
    /// What was measured: a constant of this module, the objective's metric, or anything else.
    pub name: String,
    /// The value; one that is not a number is `null` in the file.
    #[serde(with = "number")]
    pub value: f64,
    /// Seconds of training when it was measured, those before an interruption included.
    pub seconds: f64,
}

/// JSON has no NaN and no infinity: both are `null`, and `null` is NaN.
pub(super) mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*value).filter(|value| value.is_finite()).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the file of a run that goes on from its checkpoint at `step`, and gives what was measured until then. What
    /// was measured later is dropped: it will be measured again. `None` drops everything.
    pub(super) fn open(folder: &Path, step: Option<u64>) -> Result<(Self, Vec<Metric>)> {
        let path = folder.join(FILE);
        let mut kept = if step.is_some() { read(folder)? } else { Vec::new() };
        kept.retain(|metric| Some(metric.step) <= step);
        // Written anew even if nothing is dropped: a torn last line must not become the beginning of the next.
        files::write(&path, &lines(&path, &kept)?)?;
        let file = File::options().append(true).open(&path).map_err(Error::io("open", &path))?;
        Ok((Self { path, file }, kept))
    }

    /// Appends values in one write.
    pub(super) fn append(&mut self, metrics: &[Metric]) -> Result<()> {
        let lines = lines(&self.path, metrics)?;
        self.file.write_all(&lines).map_err(Error::io("write", &self.path))
    }

    /// Waits until all is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }
}

fn lines(path: &Path, metrics: &[Metric]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for metric in metrics {
        serde_json::to_writer(&mut lines, metric).map_err(|error| Error::io("write", path)(error.into()))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The values in a run's folder, in the order that they were measured in; none if nothing was.
///
/// # Errors
/// The file cannot be read, or a line that is not the last is no value.
pub fn read(folder: &Path) -> Result<Vec<Metric>> {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(Error::io("read", &path))?,
    };
    // What follows the last line end was not written to its end.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
    let lines = whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| {
                Error::damaged(&path, format!("has no measured value in line {} ({error})", number + 1))
            })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn metric(step: u64, value: f64) -> Metric {
        Metric { epoch: 1, step, name: TRAIN_LOSS.to_owned(), value, seconds: 0.5 }
    }

    #[test]
    fn a_torn_last_line_is_no_value() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        let values = [metric(1, 2.5), metric(2, 1.25)];
        Log::open(folder.path(), None).unwrap().0.append(&values).unwrap();
        let whole = std::fs::read(folder.path().join(FILE)).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        // Wherever the process died.
        for end in 0..=whole.len() {
            std::fs::write(folder.path().join(FILE), &whole[..end]).unwrap();
            let expected = if end == whole.len() { 2 } else { usize::from(end > first) };
            assert_eq!(read(folder.path()).unwrap(), values[..expected], "{end}");
            // The next value starts a line of its own.
            let (mut log, kept) = Log::open(folder.path(), Some(9)).unwrap();
            assert_eq!(kept.len(), expected);
            log.append(&[metric(3, 0.5)]).unwrap();
            assert_eq!(read(folder.path()).unwrap().len(), expected + 1);
        }
    }

    #[test]
    fn going_on_from_a_step_drops_what_came_after_it() {
        let folder = tempfile::tempdir().unwrap();
        Log::open(folder.path(), None).unwrap().0.append(&[metric(1, 3.0), metric(2, 2.0), metric(3, 1.0)]).unwrap();
        let (mut log, kept) = Log::open(folder.path(), Some(2)).unwrap();
        assert_eq!(kept, [metric(1, 3.0), metric(2, 2.0)]);
        log.append(&[metric(3, 0.5)]).unwrap();
        log.sync().unwrap();
        assert_eq!(read(folder.path()).unwrap(), [metric(1, 3.0), metric(2, 2.0), metric(3, 0.5)]);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_that_says_where() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"epoch\":1}\n").unwrap();
        let message = read(folder.path()).unwrap_err().to_string();
        assert!(message.contains(FILE) && message.contains("line 1"), "{message}");
    }

    #[test]
    fn a_loss_that_is_not_a_number_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        Log::open(folder.path(), None).unwrap().0.append(&[metric(1, f64::NAN), metric(2, f64::INFINITY)]).unwrap();
        assert!(read(folder.path()).unwrap().iter().all(|metric| metric.value.is_nan()));
    }
}

//! TensorBoard's event files: takes measured values; appends them to a file that `tensorboard --logdir` shows.
//!
//! # Layout
//! - `message`: the protobuf messages, as far as scalars need them
//! - `record`: the frame around each of them
//!
//! A resumed run begins a file of its own, which tells TensorBoard to forget what came after the step that it goes on
//! from.

mod message;
mod record;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message;

use super::{Error, Result};
use message::{Event, SessionLog, Status, Summary, Value};

/// What the first event of a file must say.
const VERSION: &str = "brain.Event:2";

/// A file of events, open for appending.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// Begins a file. `resumed` is how often the run went on before; `step` is where it goes on now.
    pub(super) fn open(folder: &Path, now: Duration, resumed: u32, step: u64) -> Result<Self> {
        // TensorBoard knows the files by the first part, and reads those of a folder in the order of their names.
        let path = folder.join(format!("events.out.tfevents.{:010}.debut.{resumed}", now.as_secs()));
        let file = File::options().create(true).append(true).open(&path).map_err(Error::io("create", &path))?;
        let mut events = Self { path, file };
        events.write(&header(now))?;
        if resumed > 0 {
            events.write(&start(now, step + 1))?;
        }
        Ok(events)
    }

    /// Appends what was measured after `step` steps.
    pub(super) fn append(&mut self, now: Duration, step: u64, values: &[(&str, f64)]) -> Result<()> {
        self.write(&scalars(now, step, values))
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        // In one write, so that a file is never torn but at its end, where TensorBoard expects it.
        self.file.write_all(&record::frame(&event.encode_to_vec())).map_err(Error::io("write", &self.path))
    }
}

fn header(now: Duration) -> Event {
    Event { wall_time: now.as_secs_f64(), file_version: Some(VERSION.to_owned()), ..Event::default() }
}

/// Tells TensorBoard that training begins at `step`: what it has of that step and later ones is of the past.
fn start(now: Duration, step: u64) -> Event {
    let session_log = SessionLog { status: Status::Start.into() };
    Event { wall_time: now.as_secs_f64(), step: signed(step), session_log: Some(session_log), ..Event::default() }
}

fn scalars(now: Duration, step: u64, values: &[(&str, f64)]) -> Event {
    // TensorBoard shows 32-bit floats.
    let value = |(name, value): &(&str, f64)| Value { tag: (*name).to_owned(), simple_value: Some(*value as f32) };
    let summary = Summary { value: values.iter().map(value).collect() };
    Event { wall_time: now.as_secs_f64(), step: signed(step), summary: Some(summary), ..Event::default() }
}

fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Made with TensorBoard's own writer by `tests/reference/make_events.py`.
    const REFERENCE: &[u8] = include_bytes!("../../../../tests/reference/events.tfevents");

    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        let at = |quarter: u64| Duration::from_millis(1_764_000_000_000 + 250 * quarter);
        let events = [
            header(at(0)),
            start(at(1), 41),
            scalars(at(2), 41, &[("train_loss", 0.5), ("learning_rate", 2e-5)]),
            scalars(at(3), 300, &[("mrr", f64::NAN)]),
            scalars(at(4), 0, &[("größe", -1.25)]),
        ];
        let bytes: Vec<u8> = events.iter().flat_map(|event| record::frame(&event.encode_to_vec())).collect();
        assert_eq!(bytes, REFERENCE);
    }

    #[test]
    fn a_resumed_run_has_a_second_file_that_sorts_behind_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let now = Duration::from_secs(1_764_000_000);
        Events::open(folder.path(), now, 0, 0).unwrap().append(now, 1, &[("train_loss", 2.0)]).unwrap();
        Events::open(folder.path(), now, 1, 0).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["events.out.tfevents.1764000000.debut.0", "events.out.tfevents.1764000000.debut.1"]);
    }
}

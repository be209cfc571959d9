//! What is said on stderr where programs read it (`--log json`): takes a line, or an event of `tracing`; gives a JSON object.

use std::fmt::Display;
use std::io::Write;

use serde_json::{Value, json};

use super::note;

/// What is said besides the events of a run, as an object.
pub(super) fn message(text: impl Display) -> Value {
    json!({"event": "message", "message": text.to_string()})
}

/// Takes an event of `tracing` at a time.
#[derive(Debug)]
pub(super) struct Messages;

impl Write for Messages {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        note(message(String::from_utf8_lossy(event).trim_end()));
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

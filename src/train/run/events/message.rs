//! TensorBoard's messages, for `prost`, as far as scalars need them.
//!
//! Field numbers and types are those of `tensorboard/compat/proto/event.proto` and `summary.proto`.

use prost::{Enumeration, Message};

/// One record of an event file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    /// Steps of the optimizer that were taken.
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    /// Of the first event of a file alone.
    #[prost(string, optional, tag = "3")]
    pub(super) file_version: Option<String>,
    /// Measured values.
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
    /// That training begins here.
    #[prost(message, optional, tag = "7")]
    pub(super) session_log: Option<SessionLog>,
}

/// Values that were measured at once.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<Value>,
}

/// One value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    /// The number.
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
}

/// What happens to the run.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct SessionLog {
    /// What.
    #[prost(enumeration = "Status", tag = "1")]
    pub(super) status: i32,
}

/// The one event of a run's life that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum Status {
    /// Not given; proto2 and 3 want a zero.
    Unspecified = 0,
    /// Training begins at the event's step.
    Start = 1,
}

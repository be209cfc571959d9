//! Events as JSON and as columns.
//!
//! The columns have the names and types by which `evaluate` and `finetune` know them: `user_id`, `item_id`, `timestamp`,
//! `label`, `propensity`; `shown`, `rank`, `model`, `context` and `request_id` stand beside.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use debut_udfs::ids::IdType;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::server::http::error::{ApiError, Result};
use crate::server::http::values::Id;

/// What was shown to a user, or what a user did, and what came of it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Event {
    /// Who. Integers or texts, the same in all events of a log.
    pub(in super::super) user_id: Id,
    /// What.
    pub(in super::super) item_id: Id,
    /// When, such as `2026-11-28T12:00:00Z`; by default when the server got it.
    pub(in super::super) timestamp: Option<String>,
    /// Whether the item was shown by a recommendation.
    pub(in super::super) shown: bool,
    /// What came of it: whether it was bought, or a number from 0 to 1.
    #[schema(value_type = LabelSchema)]
    pub(in super::super) label: Label,
    /// The probability with which the item was shown, above 0 and up to 1, as `recommend` gives it.
    pub(in super::super) propensity: Option<f64>,
    /// Its place in the list, from 1.
    #[schema(minimum = 1)]
    pub(in super::super) rank: Option<i32>,
    /// The model that recommended it.
    pub(in super::super) model: Option<String>,
    /// Whatever else is to be kept, as JSON.
    pub(in super::super) context: Option<serde_json::Map<String, serde_json::Value>>,
}

/// `true`, `false`, or a number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what a client sends; it is kept as a number")]
pub(in super::super) enum LabelSchema {
    /// Whether it was bought.
    Flag(bool),
    /// How good it was.
    Number(f64),
}

/// What came of an event, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Label(f64);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelVisitor;
        impl Visitor<'_> for LabelVisitor {
            type Value = Label;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a number from 0 to 1")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Label, E> {
                Ok(Label(f64::from(u8::from(value))))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Label, E> {
                if (0.0..=1.0).contains(&value) {
                    return Ok(Label(value));
                }
                Err(E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Label, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Label, E> {
                self.visit_f64(value as f64)
            }
        }
        deserializer.deserialize_any(LabelVisitor)
    }
}

/// The events of a request, checked.
#[derive(Debug)]
pub(in super::super) struct Events {
    events: Vec<Event>,
    micros: Vec<i64>,
    users: IdType,
    items: IdType,
}

impl Events {
    /// Checks events. There is at least one.
    ///
    /// # Errors
    /// A value is out of its range, or ids are of several types; the message says in which event.
    pub(in super::super) fn check(events: Vec<Event>) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let mut micros = Vec::with_capacity(events.len());
        for (row, event) in events.iter().enumerate() {
            let field = |name: &str, message: &str| ApiError::field(format!("events[{row}].{name}"), message);
            if event.propensity.is_some_and(|propensity| !(propensity > 0.0 && propensity <= 1.0)) {
                return Err(field(
                    "propensity",
                    "it is the probability with which the item was shown, above 0 and up to 1",
                ));
            }
            if event.propensity.is_some() && !event.shown {
                return Err(field("propensity", "what was not shown has none"));
            }
            if event.rank.is_some_and(|rank| rank < 1) {
                return Err(field("rank", "the first place is 1"));
            }
            micros.push(match &event.timestamp {
                None => now,
                Some(text) => {
                    let nanos = string_to_timestamp_nanos(text);
                    nanos.map_err(|_| field("timestamp", "write it as 2026-11-28T12:00:00Z"))? / 1000
                }
            });
        }
        let (users, items) = (
            type_of("user_id", events.iter().map(|event| &event.user_id))?,
            type_of("item_id", events.iter().map(|event| &event.item_id))?,
        );
        Ok(Self { events, micros, users, items })
    }

    /// Number of events.
    pub(in super::super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The types of users' and items' ids.
    pub(super) fn id_types(&self) -> (IdType, IdType) {
        (self.users, self.items)
    }
}

fn type_of<'a>(field: &str, mut ids: impl Iterator<Item = &'a Id>) -> Result<IdType> {
    let one = |id: &Id| if matches!(id, Id::Integer(_)) { IdType::Integer } else { IdType::Text };
    let first = ids.next().map_or(IdType::Text, one);
    match ids.position(|id| one(id) != first) {
        Some(row) => {
            Err(ApiError::field(format!("events[{}].{field}", row + 1), format!("the ids before it are {first}")))
        }
        None => Ok(first),
    }
}

/// The columns of a log.
pub(super) fn schema((users, items): (IdType, IdType)) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("user_id", users.data_type(), false),
        Field::new("item_id", items.data_type(), false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("shown", DataType::Boolean, false),
        Field::new("label", DataType::Float64, false),
        Field::new("propensity", DataType::Float64, true),
        Field::new("rank", DataType::Int32, true),
        Field::new("model", DataType::Utf8, true),
        Field::new("context", DataType::Utf8, true),
        Field::new("request_id", DataType::Utf8, true),
    ]))
}

/// The types of the ids in a file of a log.
pub(super) fn types_in(schema: &Schema) -> Option<(IdType, IdType)> {
    let of = |name: &str| IdType::of(schema.field_with_name(name).ok()?.data_type());
    Some((of("user_id")?, of("item_id")?))
}

/// The events of requests, each with its key, as rows.
///
/// # Errors
/// None in practice: the columns are those of the schema.
pub(super) fn batch<'a>(
    types: (IdType, IdType),
    requests: impl Iterator<Item = (&'a Events, Option<&'a str>)> + Clone,
) -> Result<RecordBatch, ArrowError> {
    let events = requests.clone().flat_map(|(events, _)| &events.events);
    let ids = |id: fn(&Event) -> &Id, id_type: IdType| -> ArrayRef {
        let ids = events.clone().map(id);
        match id_type {
            IdType::Integer => {
                Arc::new(ids.map(|id| if let Id::Integer(id) = id { Some(*id) } else { None }).collect::<Int64Array>())
            }
            IdType::Text => {
                Arc::new(ids.map(|id| if let Id::Text(id) = id { Some(id) } else { None }).collect::<StringArray>())
            }
        }
    };
    let contexts = events.clone().map(|event| event.context.as_ref().map(serde_json::to_string).transpose());
    let contexts = contexts.collect::<Result<Vec<_>, _>>().map_err(|error| ArrowError::JsonError(error.to_string()))?;
    let times = requests.clone().flat_map(|(events, _)| events.micros.iter().map(|micros| Some(*micros)));
    let keys = requests.clone().flat_map(|(events, key)| std::iter::repeat_n(key, events.len()));
    let columns: Vec<ArrayRef> = vec![
        ids(|event| &event.user_id, types.0),
        ids(|event| &event.item_id, types.1),
        Arc::new(times.collect::<TimestampMicrosecondArray>()),
        Arc::new(events.clone().map(|event| Some(event.shown)).collect::<BooleanArray>()),
        Arc::new(events.clone().map(|event| Some(event.label.0)).collect::<Float64Array>()),
        Arc::new(events.clone().map(|event| event.propensity).collect::<Float64Array>()),
        Arc::new(events.clone().map(|event| event.rank).collect::<Int32Array>()),
        Arc::new(events.clone().map(|event| event.model.as_deref()).collect::<StringArray>()),
        Arc::new(StringArray::from(contexts)),
        Arc::new(keys.collect::<StringArray>()),
    ];
    RecordBatch::try_new(schema(types), columns)
}

//! The idempotency keys of the last requests, each with the number of its events.

use std::collections::{HashMap, VecDeque};

use arrow::array::{Array, AsArray};
use datafusion::parquet::arrow::ProjectionMask;

use super::FeedbackError;
use super::folder::{Folder, reader};

/// The keys, up to a number; the oldest go first.
#[derive(Debug)]
pub(super) struct Keys {
    most: usize,
    events: HashMap<String, usize>,
    order: VecDeque<String>,
}

impl Keys {
    /// The keys that stand beside the events of a folder, of the newest files first.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn read(folder: &Folder, most: usize) -> Result<Self, FeedbackError> {
        let mut newest_first: Vec<Vec<(String, usize)>> = Vec::new();
        let mut found = 0;
        for (number, _) in folder.files().rev() {
            if found >= most {
                break;
            }
            let path = folder.file(number);
            let damaged = |reason: String| FeedbackError::Damaged { path: path.clone(), reason };
            let builder = reader(&path)?;
            let only = ProjectionMask::columns(builder.parquet_schema(), ["request_id"]);
            let batches = builder.with_projection(only).build().map_err(|error| damaged(error.to_string()))?;
            let mut keys: Vec<(String, usize)> = Vec::new();
            for batch in batches {
                let batch = batch.map_err(|error| damaged(error.to_string()))?;
                let column = batch.columns().first().and_then(|column| column.as_string_opt::<i32>());
                let column = column.ok_or_else(|| damaged("it has no column request_id of texts".to_owned()))?;
                for key in column.iter().flatten() {
                    // The events of a request stand together.
                    match keys.last_mut().filter(|(last, _)| last == key) {
                        Some((_, events)) => *events += 1,
                        None => keys.push((key.to_owned(), 1)),
                    }
                }
                debug_assert_eq!(column.len(), batch.num_rows());
            }
            found += keys.len();
            newest_first.push(keys);
        }
        let mut known = Self { most, events: HashMap::new(), order: VecDeque::new() };
        newest_first.into_iter().rev().flatten().for_each(|(key, events)| known.add(key, events));
        Ok(known)
    }

    /// The number of events of a request with this key.
    pub(super) fn get(&self, key: &str) -> Option<usize> {
        self.events.get(key).copied()
    }

    /// Remembers a key.
    pub(super) fn add(&mut self, key: String, events: usize) {
        if self.events.insert(key.clone(), events).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.events.remove(&oldest);
            }
        }
    }
}

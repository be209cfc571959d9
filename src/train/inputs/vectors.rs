//! Vectors of a frozen encoder, computed once: what a head is trained on where nothing of the encoder is, and where heads
//! begin.

use super::{Inputs, View};
use crate::train::encoder::VECTORS;
use crate::train::failure::Result;
use crate::train::objective::Embeddings;
use crate::train::step::Feed;

/// In place of a row without a vector.
const NONE: u32 = u32::MAX;

/// Vectors of some rows of a dataset.
#[derive(Debug)]
pub(in crate::train) struct Vectors {
    dimension: usize,
    /// Of each row, which vector is its.
    places: Vec<u32>,
    values: Vec<f32>,
}

impl Vectors {
    /// The vectors `values`, of `dimension` numbers, of these rows, each once.
    pub(in crate::train) fn new(dimension: usize, rows: &[u32], values: Vec<f32>) -> Self {
        let count = rows.iter().max().map_or(0, |row| *row as usize + 1);
        let mut places = vec![NONE; count];
        for (place, row) in rows.iter().enumerate() {
            places[*row as usize] = place as u32;
        }
        Self { dimension, places, values }
    }

    /// The vectors of these rows, in this order.
    pub(in crate::train) fn of(&self, rows: &[u32]) -> Embeddings {
        let vector = |row: &u32| {
            let place = self.places.get(*row as usize).copied().unwrap_or(NONE) as usize;
            self.values.get(place * self.dimension..(place + 1) * self.dimension).unwrap_or_default()
        };
        Embeddings { dimension: self.dimension, values: rows.iter().flat_map(vector).copied().collect() }
    }
}

impl Inputs for Vectors {
    fn feeds(&self, rows: &[u32], _view: View) -> Result<Vec<Feed>> {
        Ok(vec![Feed::f32(VECTORS, &[rows.len(), self.dimension], self.of(rows).values)])
    }
}

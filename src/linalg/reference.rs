//! Reads what other implementations computed (`tests/reference/make_components.py`), for unit tests.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::linalg::sparse::Csr;

/// Rows of (column, value).
pub(crate) type Pairs = Vec<Vec<(u32, f32)>>;

/// One part of the reference.
pub(crate) fn read<T: DeserializeOwned>(part: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/recommend/components.json");
    let mut all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(all[part].take()).unwrap()
}

/// Rows of the reference as a matrix.
pub(crate) fn csr(columns: usize, rows: Pairs) -> Csr {
    Csr::from_rows(columns, rows)
}

/// Panics where two lists are further apart than `tolerance`, absolutely and relative to what is wanted.
pub(crate) fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32) {
    assert_eq!(found.len(), wanted.len());
    for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{place}: {found}, not {wanted}");
    }
}

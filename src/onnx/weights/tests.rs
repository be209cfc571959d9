//! State dicts as PyTorch writes them (`tests/reference/make_state_dicts.py`), damaged ones, and ones with code.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/state_dicts");
    std::fs::read(folder.join(name)).unwrap()
}

/// The weights of a folder that holds these bytes as `model.pth`.
fn open(bytes: &[u8]) -> Result<Weights> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.pth"), bytes).unwrap();
    Weights::open(folder.path())
}

fn written(weights: &Weights, name: &str, transpose: bool) -> Vec<f32> {
    let mut bytes = Vec::new();
    weights.write_f32(name, transpose, &mut bytes).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn both_formats_of_pytorch_are_read() {
    for name in ["archive.pth", "sequence.pth", "training.pth", "training-sequence.pth"] {
        let weights = open(&file(name)).unwrap();
        assert_eq!(weights.names().count(), 13, "{name}");
        for float in ["f32", "f16", "bf16", "f64", "parameter"] {
            weights.expect_shape(float, &[2, 3]).unwrap();
            assert_eq!(written(&weights, float, false), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}: {float}");
            assert_eq!(written(&weights, float, true), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "{name}: {float}");
            assert_eq!(weights.read_f32(float).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}: {float}");
        }
        weights.expect_shape("turned", &[3, 2]).unwrap();
        assert_eq!(written(&weights, "turned", false), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "{name}");
        assert_eq!(written(&weights, "turned", true), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{name}");
        assert_eq!(written(&weights, "tail", false), [4.0, 5.0], "{name}");
        assert_eq!(written(&weights, "scalar", false), [7.0], "{name}");
        assert_eq!(written(&weights, "empty", false), [0.0; 0], "{name}");
        for whole in ["i64", "i32", "u8", "bool"] {
            let message = weights.expect_shape(whole, &[2, 3]).unwrap_err().to_string();
            assert!(message.contains(whole) && message.contains("F64, F32"), "{message}");
        }
        let mut rows = Vec::new();
        weights.write_rows_f32("f64", 1..2, true, &mut rows).unwrap();
        assert_eq!(rows, [3.0f32, 4.0, 5.0].map(f32::to_le_bytes).concat());
    }
}

#[test]
fn more_than_tensors_is_refused_by_name() {
    for (name, expected) in
        [("code/code.pth", "posix.system"), ("module.pth", "torch.nn.modules.linear.Linear"), ("number.pth", "'epoch'")]
    {
        let message = open(&file(name)).unwrap_err().to_string();
        assert!(message.contains("model.pth") && message.contains(expected), "{message}");
    }
    let message = open(b"text").unwrap_err().to_string();
    assert!(message.contains("torch.save"), "{message}");
}

/// A tensor that reaches beyond its storage, overlaps itself, or has a shape whose product overflows.
#[test]
fn tensors_must_lie_within_their_storage() {
    let good = file("archive.pth");
    // The shape and strides of the first tensor: (2, 3) and (3, 1).
    let shape = b"K\0K\x02K\x03\x86q";
    let at = good.windows(shape.len()).position(|window| window == shape).unwrap();
    for (offset, value) in [(1, 1u8), (3, 3), (5, 4), (10, 4), (12, 200)] {
        let mut bad = good.clone();
        bad[at + offset] = value;
        let message = open(&bad).unwrap_err().to_string();
        assert!(message.contains("'f32'") && message.contains("does not fit"), "{message}");
    }
    // Six elements that are all the first one are read; more than the storage has are not.
    let mut expanded = good.clone();
    (expanded[at + 10], expanded[at + 12]) = (0, 0);
    assert_eq!(written(&open(&expanded).unwrap(), "f32", false), [0.0; 6]);
    expanded[at + 3] = 200;
    assert!(open(&expanded).unwrap_err().to_string().contains("does not fit"));
}

/// Every prefix and thousands of random changes, or as many as `DEBUT_FUZZ_CASES` says, are read or are an error; none is a panic.
#[test]
fn damaged_files_are_errors() {
    let changes = std::env::var("DEBUT_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000);
    for name in ["archive.pth", "sequence.pth"] {
        let good = file(name);
        for length in 0..good.len() {
            let _ = torch::read(&good[..length]);
        }
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..changes {
            let mut bad = good.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..bad.len());
                bad[at] =
                    if random.random_bool(0.5) { random.random() } else { bad[at] ^ (1 << random.random_range(0..8)) };
            }
            for (_, entry) in torch::read(&bad).unwrap_or_default() {
                let data = bad.get(entry.start..entry.end).unwrap();
                let width = entry.dtype.bitsize() / 8;
                let count = entry.shape.iter().product::<usize>();
                assert_eq!(row_major(data, width, &entry.shape, entry.strides.as_deref()).len(), count * width);
            }
        }
    }
}

#[test]
fn files_are_chosen_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let found = || files::find(folder.path()).map(|files| files.len()).map_err(|error| error.to_string());
    assert_eq!(found(), Ok(0));
    std::fs::write(path("a.pth"), b"").unwrap();
    assert_eq!(found(), Ok(1));
    std::fs::write(path("b.pt"), b"").unwrap();
    assert!(found().unwrap_err().contains("a.pth, b.pt"));
    std::fs::write(path("pytorch_model.bin"), file("archive.pth")).unwrap();
    assert_eq!(files::find(folder.path()).unwrap(), [path("pytorch_model.bin")]);
    assert_eq!(Weights::open(folder.path()).unwrap().names().count(), 13);
}

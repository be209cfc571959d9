//! Pictures as Pillow and the image processors of `transformers` see them, and files that are none.
//!
//! `tests/reference/images` is the work of `tests/reference/make_images.py`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arrow::array::BinaryViewArray;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use debut_udfs::config::BatchTokens;
use debut_udfs::model::{Input, Job, Modality, Model, Output, Stats};
use futures::executor::block_on;
use proptest::prelude::*;
use prost::Message;
use serde::Deserialize;

use super::frames::frames;
use super::picture::Picture;
use super::resize::Resized;
use crate::inference::contain::contained;
use crate::inference::{LoadedModel, fixtures};
use crate::onnx::graph::{Dim, GraphBuilder, attribute_int, attribute_ints};
use crate::onnx::proto::DataType;
use crate::registry::manifest::{GraphOutput, Manifest, OutputKind};
use crate::registry::pictures::Steps;

#[derive(Deserialize)]
struct Expected {
    pictures: BTreeMap<String, Rgb>,
    films: BTreeMap<String, Vec<String>>,
    processors: BTreeMap<String, Processor>,
}

#[derive(Deserialize)]
struct Rgb {
    width: usize,
    height: usize,
    rgb: String,
}

#[derive(Deserialize)]
struct Processor {
    config: serde_json::Value,
    levels: BTreeMap<String, String>,
    numbers: BTreeMap<usize, [f32; 3]>,
}

static EXPECTED: LazyLock<Expected> = LazyLock::new(|| serde_json::from_slice(&read("expected.json")).unwrap());

fn read(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/images");
    fs::read(folder.join(name)).unwrap()
}

fn decoded(bytes: &[u8]) -> Result<Picture, String> {
    let mut picture = Picture::default();
    picture.decode(bytes).map(|()| picture).map_err(|error| error.to_string())
}

fn steps(config: &serde_json::Value) -> Steps {
    Steps::parse(config.to_string().as_bytes()).unwrap()
}

/// The largest difference, and the mean.
fn difference(found: impl IntoIterator<Item = f32>, expected: &[u8]) -> (f32, f32) {
    let differences: Vec<f32> =
        found.into_iter().zip(expected).map(|(found, expected)| (found - f32::from(*expected)).abs()).collect();
    assert_eq!(differences.len(), expected.len());
    (differences.iter().copied().fold(0.0, f32::max), differences.iter().sum::<f32>() / differences.len() as f32)
}

/// Pillow decodes JPEG with another library, whose colours differ by a few levels where they are stored at half the size.
fn is_jpeg(name: &str) -> bool {
    name.ends_with(".jpg")
}

#[test]
fn every_format_is_decoded_as_pillow_does() {
    for (name, expected) in &EXPECTED.pictures {
        let picture = decoded(&read(name)).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert_eq!((picture.width, picture.height), (expected.width, expected.height), "{name}");
        let rgb = BASE64_STANDARD.decode(&expected.rgb).unwrap();
        assert_eq!(picture.rgb.len(), rgb.len());
        let (largest, mean) = difference(picture.rgb.iter().map(|level| f32::from(*level)), &rgb);
        if is_jpeg(name) {
            assert!(largest <= 6.0 && mean < 0.5, "{name}: {largest}, on average {mean}");
        } else {
            assert_eq!(largest, 0.0, "{name}");
        }
    }
}

#[test]
fn every_processor_is_that_of_transformers() {
    for (name, processor) in &EXPECTED.processors {
        let mut steps = steps(&processor.config);
        for (&level, expected) in &processor.numbers {
            for (numbers, expected) in steps.levels.iter().zip(expected) {
                assert!((numbers[level] - expected).abs() < 1e-6, "{name}, {level}: {} not {expected}", numbers[level]);
            }
        }
        steps.levels = std::array::from_fn(|_| std::array::from_fn(|level| level as f32));
        for (picture, expected) in &processor.levels {
            let expected = BASE64_STANDARD.decode(expected).unwrap();
            let mut out = vec![f32::NAN; 3 * steps.output[0] * steps.output[1]];
            // The buffers are those of the picture before.
            let mut resized = Resized::default();
            let picture_before = decoded(&read("wide.png")).unwrap();
            resized.resize(&picture_before, &steps).unwrap().write(&steps, &mut out);
            resized.resize(&decoded(&read(picture)).unwrap(), &steps).unwrap().write(&steps, &mut out);
            let (largest, mean) = difference(out, &expected);
            let most = if is_jpeg(picture) { 3.0 } else { 1.0 };
            assert!(largest <= most && mean < 0.6, "{name} of {picture}: {largest}, on average {mean}");
        }
    }
}

#[test]
fn the_frames_of_a_film_are_those_of_pillow() {
    for (name, expected) in &EXPECTED.films {
        let found = frames(&read(name), 9).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (frame, expected) in found.iter().zip(expected) {
            let (found, expected) = (decoded(frame).unwrap().rgb, BASE64_STANDARD.decode(expected).unwrap());
            let (largest, _) = difference(found.into_iter().map(f32::from), &expected);
            // The decoder of WebP rounds down where it lays a frame over the one before.
            assert!(largest <= if name.ends_with(".webp") { 1.0 } else { 0.0 }, "{name}: {largest}");
        }
        assert_eq!(frames(&read(name), 1).unwrap(), found[1..2], "{name}");
        let half = &read(name)[..read(name).len() / 2];
        assert!(!frames(half, 9).unwrap_err().is_empty());
    }
}

/// The header of a PNG, and no more.
fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
    };
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", b"x"), chunk(b"IEND", b"")].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[test]
fn a_picture_that_is_none_says_why() {
    let jpeg = read("wide-420.jpg");
    let half = |name: &str| {
        let bytes = read(name);
        bytes[..bytes.len() / 2].to_vec()
    };
    let no_end = jpeg[..jpeg.len() - 2].to_vec();
    let mut wrong_size = jpeg.clone();
    let at = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    wrong_size[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
    for (bytes, said) in [
        (png(50_000, 50_000), "the PNG has 50000 x 50000 pixels; up to 64 megapixels and edges of 65535 are decoded"),
        (png(70_000, 1), "the PNG has 70000 x 1 pixels"),
        (png(0, 1), "PNG"),
        (wrong_size, "the JPEG has 65535 x 65535 pixels"),
        (half("wide-420.jpg"), "the JPEG is cut off"),
        (half("progressive.jpg"), "the JPEG is cut off"),
        (no_end, "the JPEG is cut off"),
        (half("wide.png"), "the PNG is damaged"),
        (half("still.gif"), "the GIF is damaged"),
        (half("lossless.webp"), "the WebP is damaged"),
        (b"\xff\xd8\xff".to_vec(), "the JPEG is cut off"),
        (b"\xff\xd8\xff\xd9".to_vec(), "the JPEG"),
        (b"GIF89a".to_vec(), "the GIF is damaged"),
        (b"<html>not found</html>".to_vec(), "it is text"),
        (Vec::new(), "it is empty"),
    ] {
        let reason = decoded(&bytes).map(|_| ()).unwrap_err();
        assert!(reason.contains(said), "{reason} instead of {said}");
    }
}

#[test]
fn a_very_long_picture_takes_no_more_than_a_square_one() {
    let config = serde_json::json!({
        "size": {"shortest_edge": 224}, "resample": 3, "crop_size": 224, "do_center_crop": true, "do_normalize": false,
    });
    let steps = steps(&config);
    let mut out = vec![0.0; 3 * 224 * 224];
    for (width, height) in [(1, 65_535), (65_535, 1)] {
        let mut picture = Picture::default();
        (picture.width, picture.height, picture.rgb) = (width, height, vec![255; 3 * 65_535]);
        Resized::default().resize(&picture, &steps).unwrap().write(&steps, &mut out);
        assert!(out.iter().all(|number| *number == 1.0));
    }
}

/// A model that gives the mean red, green and blue of a picture, resized to 4 x 6.
fn mean_color() -> LoadedModel {
    let folder = tempfile::tempdir().unwrap();
    let mut graph = GraphBuilder::new("color");
    let dims = [Dim::Named("batch"), Dim::Fixed(3), Dim::Fixed(4), Dim::Fixed(6)];
    let pixels = graph.input("pixel_values", DataType::Float, &dims);
    let attributes = vec![attribute_ints("axes", &[2, 3]), attribute_int("keepdims", 0)];
    let mean = graph.node("ReduceMean", &[&pixels], attributes);
    graph.rename(&mean, "color");
    graph.output("color", DataType::Float, &[Dim::Named("batch"), Dim::Fixed(3)]);
    fs::write(folder.path().join("model.onnx"), graph.finish().encode_to_vec()).unwrap();
    let config = r#"{"size": {"height": 4, "width": 6}, "resample": 2, "do_normalize": false}"#;
    fs::write(folder.path().join("preprocessor_config.json"), config).unwrap();
    let manifest = Manifest {
        modality: Modality::Bytes,
        dimension: 3,
        output: GraphOutput { name: "color".into(), kind: OutputKind::SentenceEmbedding },
        ..fixtures::manifest("onnx-sentence-embedding")
    };
    fixtures::open_as(folder.path(), "color", &manifest).unwrap()
}

fn run(model: &LoadedModel, values: &[&[u8]], max_batch_tokens: usize) -> (Output, Arc<Stats>) {
    let stats = Arc::new(Stats::default());
    let input = Input::Bytes(BinaryViewArray::from_iter_values(values));
    let job = Job {
        input,
        prompt: String::new(),
        max_batch_tokens: BatchTokens::Most(max_batch_tokens),
        stats: Arc::clone(&stats),
    };
    (block_on(model.run(job)).unwrap(), stats)
}

#[test]
fn pictures_keep_their_rows_beside_those_that_fail() {
    let model = mean_color();
    let (wide, tall, jpeg) = (read("wide.png"), read("tall.png"), read("wide-420.jpg"));
    let cut = &jpeg[..jpeg.len() / 2];
    let kinds: [&[u8]; 5] = [&wide, b"no picture", &tall, cut, &jpeg];
    let alone = kinds.map(|kind| run(&model, &[kind], 512).0);
    let rows: Vec<usize> = (0..500).map(|row| (row * 7 + row / 11) % 5).collect();
    let values: Vec<&[u8]> = rows.iter().map(|kind| kinds[*kind]).collect();
    let (together, stats) = run(&model, &values, 7);
    for (row, kind) in rows.iter().enumerate() {
        let found = &together.values[3 * row..3 * row + 3];
        for (found, expected) in found.iter().zip(&alone[*kind].values) {
            assert!((found - expected).abs() < 1e-5, "row {row}: {found}, alone {expected}");
        }
    }
    let failed: Vec<usize> =
        rows.iter().enumerate().filter(|(_, kind)| matches!(kind, 1 | 3)).map(|(row, _)| row).collect();
    assert_eq!(together.failures.iter().map(|(row, _)| *row).collect::<Vec<_>>(), failed);
    assert!(
        together.failures.iter().all(|(row, why)| why.contains(["it is text", "the JPEG is cut off"][rows[*row] / 2]))
    );
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as usize;
    // A picture of 4 x 6 is one token: seven are a run.
    assert_eq!(read(&stats.rows), rows.len() - failed.len());
    assert_eq!(read(&stats.batches), (rows.len() - failed.len()).div_ceil(7));
    assert!(run(&model, &[], 512).0.values.is_empty());
    let (none, _) = run(&model, &[b"", cut], 512);
    assert_eq!((none.values, none.failures.len()), (vec![0.0; 6], 2));
}

/// A change that damages a file.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0usize..8192;
    prop_oneof![
        6 => (at(), any::<u8>()).prop_map(|(at, value)| Damage::Set(at, value)),
        2 => (0usize..64, any::<u8>()).prop_map(|(at, value)| Damage::Set(at, value)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), 1usize..64).prop_map(|(at, length)| Damage::Drop(at, length)),
        1 => (at(), 1usize..64).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len().max(1);
        match *damage {
            Damage::Set(at, value) => bytes.iter_mut().skip(at % length).take(1).for_each(|byte| *byte = value),
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Drop(at, count) => drop(bytes.drain(at % length..(at % length + count).min(bytes.len()))),
            Damage::Repeat(at, count) => {
                let piece = bytes[at % length..(at % length + count).min(bytes.len())].to_vec();
                bytes.extend(piece);
            }
        }
    }
    bytes
}

/// `DEBUT_FUZZ_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("DEBUT_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// A damaged file is a picture or a reason. A decoder that panics is contained, and then the reason.
    #[test]
    fn a_damaged_file_is_a_picture_or_a_reason(
        name in prop::sample::select(EXPECTED.pictures.keys().cloned().collect::<Vec<_>>()),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let bytes = damaged(read(&name), &damages);
        match contained(|| decoded(&bytes)) {
            Ok(Ok(picture)) => prop_assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height),
            Ok(Err(reason)) | Err(reason) => prop_assert!(!reason.is_empty()),
        }
        for frame in frames(&bytes, 2).unwrap_or_default() {
            prop_assert!(!frame.is_empty() || bytes.is_empty());
        }
    }
}

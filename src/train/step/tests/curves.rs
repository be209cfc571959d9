//! Loss curves and gradient norms over 20 steps against PyTorch's (`tests/reference/training.json`, written by
//! `make_training.py`).

use std::path::Path;

use super::fixtures::{Training, Version, adamw, batch, minilm, settings, small};
use crate::train::method::Method;
use crate::train::optimizer::Optimizer;
use crate::train::parameter::Parameter;
use crate::train::step::Settings;

/// Four digits. Rounding in another order is amplified by Adam, which divides by the gradient's own size.
const TOLERANCE: f64 = 1e-4;

fn reference(model: &str, curve: &str, what: &str) -> Vec<f64> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/training.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(json[model][curve][what].clone()).unwrap()
}

fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs() / expected.abs().max(0.1);
        assert!(difference < tolerance, "{name}, step {step}: {found} instead of {expected}");
    }
}

/// `A` of the script.
fn given(parameters: &mut [Parameter]) {
    for parameter in parameters.iter_mut().filter(|parameter| parameter.name.ends_with(".lora_A")) {
        let [from, rank] = parameter.shape[..] else { continue };
        for (place, value) in parameter.values.iter_mut().enumerate() {
            let (i, j) = (place / rank, place % rank);
            *value = (((i * 37 + j * 101) % 97) as f64 / 97.0 - 0.5) as f32 * 2.0 / (from as f32).sqrt();
        }
    }
}

struct Curve<'a> {
    name: &'a str,
    method: Method,
    settings: Settings,
    rate: f32,
    batches: usize,
}

fn check(model: &str, version: &Version, curve: Curve<'_>) {
    let mut training = Training::new(version, &curve.method, curve.settings, given);
    let feeds = (0..curve.batches).map(|number| batch(version.vocabulary, number)).collect::<Vec<_>>();
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        for (number, feeds) in feeds.iter().enumerate() {
            let outcome = training.session.step(feeds, curve.rate, number + 1 == curve.batches).unwrap();
            losses.push(f64::from(outcome.loss));
            norms.extend(outcome.gradient_norm.map(f64::from));
        }
    }
    let name = format!("{model} {}", curve.name);
    assert_close(&format!("{name} loss"), &losses, &reference(model, curve.name, "losses"), TOLERANCE);
    assert_close(&format!("{name} norm"), &norms, &reference(model, curve.name, "norms"), 10.0 * TOLERANCE);
}

fn curves(model: &str, version: &Version, rate: f32) {
    let layers = 1;
    check(
        model,
        version,
        Curve { name: "full", method: Method::Full, settings: settings(adamw(0.01)), rate, batches: 1 },
    );
    let lora = Method::Lora { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec![] };
    check(
        model,
        version,
        Curve { name: "lora", method: lora, settings: settings(adamw(0.0)), rate: 10.0 * rate, batches: 1 },
    );
    let sgd = settings(Optimizer::Sgd { momentum: 0.9, weight_decay: 0.01 });
    check(
        model,
        version,
        Curve {
            name: "bitfit_sgd_clip",
            method: Method::BitFit,
            settings: Settings { clip: Some(0.5), ..sgd },
            rate: 100.0 * rate,
            batches: 1,
        },
    );
    check(
        model,
        version,
        Curve {
            name: "top_layer_accumulated",
            method: Method::TopLayers { layers },
            settings: Settings { clip: Some(1.0), accumulate: true, ..settings(adamw(0.1)) },
            rate,
            batches: 3,
        },
    );
}

#[test]
fn small_model_follows_pytorch() {
    curves("small", &small("bert-mean-normalize"), 1e-3);
}

#[test]
fn minilm_follows_pytorch() {
    curves("minilm", &minilm(), 2e-5);
}

//! Smaller graphs: attention is still recognised in them, and what is rounded is as near as the steps say.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::half::halve;
use super::int8::tests::{all_products, rounded_by};
use crate::home::Home;
use crate::inference::fixtures::reference_folder;
use crate::onnx::fuse::fuse;
use crate::onnx::proto::ModelProto;
use crate::random::Random;
use crate::registry::import::ImportOptions;
use crate::registry::{ModelVersion, Registry};
use crate::train::encoder::Encoder;
use crate::train::measure::open_encoder;

/// A reference model, imported into a home of its own.
fn imported(name: &str) -> (tempfile::TempDir, ModelVersion) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&Home::at(folder.path()));
    let from = reference_folder(name);
    let version = registry.import("m", from.to_str().unwrap(), &ImportOptions::default(), &|_| {}).unwrap();
    (folder, version)
}

fn fused(encoder: Encoder) -> (usize, ModelProto) {
    let (mut model, _) = encoder.score().unwrap();
    (fuse(&mut model), model)
}

fn count(model: &ModelProto, operator: &str) -> usize {
    model.graph.iter().flat_map(|graph| &graph.node).filter(|node| node.op_type() == operator).count()
}

#[test]
fn attention_is_recognised_in_smaller_graphs() {
    for name in ["bert-mean-normalize", "mpnet-mean", "distilbert-mean", "xlm-roberta-mean"] {
        let (_folder, version) = imported(name);
        assert_eq!(fused(open_encoder(&version.graph(), &version.manifest).unwrap()).0, 2, "{name}");

        let mut half = open_encoder(&version.graph(), &version.manifest).unwrap();
        let folder = half.folder.clone();
        halve(&mut half.graph, &folder).unwrap();
        assert_eq!(fused(half).0, 2, "{name}");

        let mut int8 = open_encoder(&version.graph(), &version.manifest).unwrap();
        let products = all_products(&mut int8);
        let (attentions, model) = fused(int8);
        assert_eq!((attentions, count(&model, "MatMulInteger")), (2, products), "{name}");
        // Queries, keys and values are products of one value, which is converted once.
        assert_eq!(count(&model, "QuantizeLinear"), 8, "{name}");
    }
}

#[test]
fn what_is_rounded_is_within_half_a_step() {
    let (inputs, outputs) = (40, 7);
    let mut random = Random::new(5, 0);
    let mut weight = random.normals(inputs * outputs, 0.3);
    // A column of zeros, and one number that is much larger than the others of its column.
    (0..inputs).for_each(|row| weight[row * outputs] = 0.0);
    weight[3 * outputs + 2] = 50.0;
    let factors = (0..inputs).map(|row| 0.5 + row as f32 / 10.0).collect::<Vec<_>>();
    for (vnni, largest) in [(true, 127), (false, 63)] {
        let (bytes, steps) = rounded_by(&weight, &factors, vnni);
        assert!(bytes.iter().all(|byte| i32::from(*byte).abs() <= largest));
        let mut reached = BTreeMap::<usize, i32>::new();
        for (place, byte) in bytes.iter().enumerate() {
            let (row, column) = (place / outputs, place % outputs);
            let exact = weight[place] * factors[row];
            assert!((exact - f32::from(*byte) * steps[column]).abs() <= 0.5001 * steps[column], "{place}");
            let most = reached.entry(column).or_default();
            *most = (*most).max(i32::from(*byte).abs());
        }
        // All of the range is used, but for zeros.
        assert!(reached.iter().all(|(column, most)| *most == if *column == 0 { 0 } else { largest }), "{reached:?}");
    }
}

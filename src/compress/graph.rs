//! The graph of a smaller version: takes the base and the steps to take, writes the graph and says in the manifest what it gives.

use super::half::halve;
use super::int8::Int8;
use super::reduce::Reduction;
use crate::onnx;
use crate::onnx::graph::GraphBuilder;
use crate::onnx::graph::Value;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Candidate, ModelVersion};
use crate::train::failure::{Result, failed};
use crate::train::measure::open_encoder;

/// What is done to a base.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Makes its vectors narrower.
    pub(super) reduction: Option<Reduction>,
    /// Computes products in eight bits.
    pub(super) int8: Option<Int8>,
    /// Whether the weights that are left are stored as half floats.
    pub(super) half: bool,
}

impl Steps {
    /// What was done, for people.
    pub(super) fn name(&self) -> String {
        let width = self.reduction.as_ref().map(|reduction| format!("{} dimensions", reduction.width));
        let format = if self.int8.is_some() { Some("int8") } else { self.half.then_some("fp16") };
        width.into_iter().chain(format.map(str::to_owned)).collect::<Vec<_>>().join(", ")
    }
}

/// Writes the graph of `base` with these steps taken.
///
/// # Errors
/// The base cannot be read, or the disk fails.
pub(super) fn write(base: &ModelVersion, steps: &Steps, candidate: &mut Candidate) -> Result<()> {
    let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
    if let Some(reduction) = &steps.reduction {
        encoder.embeddings = narrower(&mut encoder.graph, &encoder.embeddings, reduction);
        encoder.dimension = reduction.width;
    }
    if let Some(int8) = &steps.int8 {
        int8.convert(&mut encoder)?;
    }
    candidate.manifest.needs_vnni = steps.int8.as_ref().is_some_and(Int8::needs_vnni) || base.manifest.needs_vnni;
    if steps.half {
        let folder = encoder.folder.clone();
        halve(&mut encoder.graph, &folder)?;
    }
    let (graph, weights) = match &steps.reduction {
        Some(reduction) => {
            let (graph, weights, name) = encoder.into_vectors().map_err(failed)?;
            candidate.manifest.dimension = reduction.width;
            candidate.manifest.output = GraphOutput { name, kind: OutputKind::SentenceEmbedding };
            (graph, weights)
        }
        None => {
            (candidate.manifest.dimension, candidate.manifest.output) =
                (base.manifest.dimension, base.manifest.output.clone());
            encoder.score().map_err(failed)?
        }
    };
    onnx::file::write(graph, &candidate.graph(), &weights).map_err(failed)
}

/// Narrower vectors of `vectors`, `[batch, dimension]`.
fn narrower(graph: &mut GraphBuilder, vectors: &Value, reduction: &Reduction) -> Value {
    let scope = graph.scope("reduction");
    let narrower = match &reduction.directions {
        Some(directions) => {
            let shape = [directions.rows(), directions.columns()];
            let directions = graph.tensor_f32("reduction/directions", &shape, directions.values());
            graph.matmul(vectors, &directions)
        }
        None => {
            let (start, end) = (graph.list_i64(&[0]), graph.list_i64(&[reduction.width as i64]));
            let axis = graph.list_i64(&[1]);
            graph.node("Slice", &[vectors, &start, &end, &axis], vec![])
        }
    };
    graph.scope(scope);
    narrower
}

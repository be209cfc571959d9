//! What the products of a graph read: takes a base and texts, gives the largest number of each column of each value.

use std::collections::BTreeMap;

use debut_udfs::model::Task;

use super::int8::Group;
use super::measure::Ruler;
use crate::onnx;
use crate::onnx::graph::attribute_int;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Candidate, ModelVersion};
use crate::train::Stopped;
use crate::train::failure::failed;
use crate::train::measure::open_encoder;

/// Texts that are read; more change the largest numbers little.
const TEXTS: usize = 128;

/// The largest number of each column of the groups' inputs, over some of the texts that fit, padding included. Writes a graph of
/// these numbers where the candidate's is to be.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the base cannot be read or run, or the disk fails.
pub(super) fn largest(
    base: &ModelVersion,
    groups: &[Group],
    candidate: &Candidate,
    ruler: &Ruler<'_>,
) -> Result<BTreeMap<String, Vec<f32>>, Stopped> {
    let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
    let graph = &mut encoder.graph;
    graph.scope("calibration");
    let largest = groups.iter().map(|group| {
        let input = graph.value(&group.input);
        let rows = graph.reshape(&input, &[-1, group.inputs as i64]);
        let rows = graph.node("Abs", &[&rows], vec![]);
        graph.reduce_extreme("ReduceMax", &rows, 0, true)
    });
    let largest = largest.collect::<Vec<_>>();
    let largest = graph.node("Concat", &largest.iter().collect::<Vec<_>>(), vec![attribute_int("axis", 1)]);
    // A row for each text, as of any model: those of a batch are alike.
    let count = graph.node("Shape", &[&encoder.embeddings], vec![]);
    let (start, end) = (graph.list_i64(&[0]), graph.list_i64(&[1]));
    let count = graph.node("Slice", &[&count, &start, &end], vec![]);
    let one = graph.list_i64(&[1]);
    let shape = graph.node("Concat", &[&count, &one], vec![attribute_int("axis", 0)]);
    encoder.embeddings = graph.node("Expand", &[&largest, &shape], vec![]);
    encoder.dimension = groups.iter().map(|group| group.inputs).sum();
    let width = encoder.dimension;
    let (graph, weights, name) = encoder.into_vectors().map_err(failed)?;
    onnx::file::write(graph, &candidate.graph(), &weights).map_err(failed)?;

    let mut version = candidate.version(&base.name);
    // Logits are handed on as they are, and vectors are not.
    version.manifest.task = Task::Classification;
    version.manifest.labels = vec![String::new(); width];
    version.manifest.output = GraphOutput { name, kind: OutputKind::Logits };
    let rows = ruler.run(&version, TEXTS)?;
    let mut columns = vec![0.0_f32; width];
    for row in 0..rows.rows() {
        columns.iter_mut().zip(rows.row(row)).for_each(|(column, number)| *column = column.max(*number));
    }
    let mut columns = columns.into_iter();
    Ok(groups.iter().map(|group| (group.input.clone(), columns.by_ref().take(group.inputs).collect())).collect())
}

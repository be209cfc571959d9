//! Opening a session.
//!
//! Takes the graph of a model version as the registry keeps it; gives a session over the graph as it is scored: only
//! the output that is read, attention fused, every optimisation of the runtime.

use std::path::Path;

use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorElementType;
use prost::Message;

use super::Error;
use super::runtime::Target;
use super::session::Reading;
use super::threads::cores;
use crate::onnx;
use crate::onnx::proto::ModelProto;
use crate::registry::manifest::OutputKind;

/// Where the runtime looks for weights outside of a graph that it gets from memory.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// Idle threads of a session burn a core while they wait for work in a busy loop; this ends the loop with each run, so
/// that tokenizing and the rest of the query have the cores between runs.
const STOP_SPINNING: &str = "session.force_spinning_stop";

/// Opens the graph in `path` on `target`.
///
/// # Errors
/// The graph or its weights are gone or damaged, the device is not there, or the output is not what `reading` says.
pub(crate) fn open_session(
    path: &Path,
    reading: &Reading,
    environment: &Environment,
    target: &Target,
) -> Result<Session, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let graph = scoring_graph(path, folder, reading)?;
    let session = builder(environment, target, folder)
        .and_then(|mut builder| builder.commit_from_memory(&graph))
        .map_err(|source| Error::Open { model: reading.model.clone(), device: target.to_string(), source })?;
    check_output(&session, reading)?;
    Ok(session)
}

/// The graph as it is scored, in the runtime's own format; the weights stay where they are.
fn scoring_graph(path: &Path, folder: &Path, reading: &Reading) -> Result<Vec<u8>, Error> {
    if let Err(source) = path.metadata() {
        return Err(Error::Vanished { model: reading.model.clone(), path: path.to_path_buf(), source });
    }
    let failed =
        |source| Error::Graph { model: reading.model.clone(), path: path.to_path_buf(), source: Box::new(source) };
    let mut graph = onnx::file::read(path).map_err(failed)?;
    onnx::check_external_data(&graph, folder).map_err(failed)?;
    keep_output(&mut graph, &reading.output);
    let fused = onnx::fuse::fuse(&mut graph);
    tracing::debug!(model = reading.model, fused, "attention layers were fused for scoring");
    Ok(graph.encode_to_vec())
}

/// Drops all outputs but one, so that the runtime removes what only the others need.
fn keep_output(model: &mut ModelProto, name: &str) {
    if let Some(graph) = &mut model.graph
        && graph.output.iter().any(|output| output.name() == name)
    {
        graph.output.retain(|output| output.name() == name);
    }
}

fn builder(environment: &Environment, target: &Target, folder: &Path) -> Result<SessionBuilder, ort::Error> {
    let builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(cores())?
        // Memory patterns are kept per input shape, and batches come in hundreds of shapes. Without them the runtime's
        // arena stops growing after the largest batch; shrinking it after each run, or having none, takes more memory.
        .with_memory_pattern(false)?
        // Failed runs come back as errors; the runtime need not print them too, least of all those that were cancelled.
        .with_log_level(LogLevel::Fatal)?
        .with_config_entry(STOP_SPINNING, "1")?
        .with_config_entry(EXTERNAL_DATA_FOLDER, folder.to_string_lossy())?;
    match target {
        Target::Cpu => Ok(builder),
        Target::Cuda { .. } => {
            let cuda = ep::CUDA::default()
                .with_device_id(0)
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                // Ten bits of mantissa are not what a vector in fp32 promises.
                .with_tf32(false);
            Ok(builder.with_execution_providers([cuda.build().error_on_failure()])?)
        }
    }
}

/// The output that is read must be there, in `f32`, and of the manifest's width.
fn check_output(session: &Session, reading: &Reading) -> Result<(), Error> {
    let rank = if reading.kind == OutputKind::TokenEmbeddings { 3 } else { 2 };
    let wrong = |found: String| Error::Output {
        model: reading.model.clone(),
        output: reading.output.clone(),
        found,
        expected: format!("a float32 tensor of rank {rank} whose last dimension is {}", reading.width),
    };
    let output = session.outputs().iter().find(|output| output.name() == reading.output);
    let dtype = output.ok_or_else(|| wrong("not an output of the graph".to_string()))?.dtype();
    let fits = dtype.tensor_type() == Some(TensorElementType::Float32)
        && dtype.tensor_shape().is_some_and(|shape| {
            // Exporters leave dimensions open (-1), or even all of them (rank 0).
            let last = shape.last().copied().unwrap_or(-1);
            (shape.is_empty() || shape.len() == rank) && (last < 0 || usize::try_from(last) == Ok(reading.width))
        });
    if fits { Ok(()) } else { Err(wrong(dtype.to_string())) }
}

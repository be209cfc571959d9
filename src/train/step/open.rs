//! Opening sessions for training: takes a model of [`super::graph`], gives a session on the device, and fills its
//! inputs.

use std::path::Path;

use debut_udfs::finetune::Precision;
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, Session};
use ort::value::{Tensor, TensorElementType};
use prost::Message;

use super::blocked::block;
use super::feed::{Feed, FeedValues};
use super::state::NamedTensor;
use crate::inference::runtime::Target;
use crate::inference::threads::cores;
use crate::onnx::proto::ModelProto;
use crate::train::error::Error;

/// Where the runtime looks for weights outside of a graph that it gets from memory.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";
/// Threads that wait for work in a busy loop between steps would take the core that prepares the next batch.
const STOP_SPINNING: &str = "session.force_spinning_stop";

/// Opens `model`, whose frozen weights are in `folder`.
///
/// # Errors
/// The runtime refuses the model or the device; mixed precision where the device has none.
pub(super) fn open(
    model: &ModelProto,
    folder: &Path,
    environment: &Environment,
    target: &Target,
    precision: Precision,
) -> Result<Session, Error> {
    if precision == Precision::Mixed && *target == Target::Cpu {
        return Err(Error::Option {
            option: "precision",
            value: "mixed".into(),
            expected: "full on the CPU, which has no faster way to multiply less exactly; an NVIDIA GPU has".into(),
        });
    }
    let bytes = match target {
        Target::Cpu => block(model, environment).map(|model| model.encode_to_vec()),
        Target::Cuda { .. } => Ok(model.encode_to_vec()),
    };
    bytes
        .and_then(|bytes| builder(environment, target, folder, precision)?.commit_from_memory(&bytes))
        .map_err(|source| Error::Open { device: target.to_string(), source })
}

fn builder(
    environment: &Environment,
    target: &Target,
    folder: &Path,
    precision: Precision,
) -> Result<SessionBuilder, ort::Error> {
    let builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(cores())?
        // Patterns are kept for every shape that batches come in; the arena grows once and stays.
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Fatal)?
        .with_deterministic_compute(true)?
        .with_config_entry(STOP_SPINNING, "1")?
        .with_config_entry(EXTERNAL_DATA_FOLDER, folder.to_string_lossy())?;
    match target {
        Target::Cpu => Ok(builder),
        Target::Cuda { .. } => {
            let cuda = ep::CUDA::default()
                .with_device_id(0)
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                .with_tf32(precision == Precision::Mixed);
            Ok(builder.with_execution_providers([cuda.build().error_on_failure()])?)
        }
    }
}

/// The memory that the session's tensors are in.
pub(super) fn allocator(session: &Session, target: &Target) -> Result<Allocator, ort::Error> {
    match target {
        Target::Cpu => Ok(Allocator::default()),
        Target::Cuda { .. } => {
            let memory = MemoryInfo::new(AllocationDevice::CUDA, 0, AllocatorType::Device, MemoryType::Default)?;
            Allocator::new(session, memory)
        }
    }
}

/// The inputs of a session that batches fill.
#[derive(Debug)]
pub(super) struct FeedInputs(Vec<(String, Option<TensorElementType>)>);

impl FeedInputs {
    /// Those inputs of `session` that are not `own`.
    pub(super) fn of(session: &Session, own: impl Fn(&str) -> bool) -> Self {
        let inputs = session.inputs().iter().filter(|input| !own(input.name()));
        Self(inputs.map(|input| (input.name().to_owned(), input.dtype().tensor_type())).collect())
    }

    /// Binds what `feeds` has for each. Feeds that the graph does not take are left out: not every model has all inputs.
    ///
    /// # Errors
    /// An input that no feed fills, or a feed of another type or with more or fewer values than its shape says.
    pub(super) fn bind(
        &self,
        binding: &mut IoBinding,
        feeds: &[&Feed],
        failed: impl Fn(ort::Error) -> Error,
    ) -> Result<(), Error> {
        for (name, element) in &self.0 {
            let wrong = |reason: String| Error::Feed { input: name.clone(), reason };
            let feed = feeds.iter().find(|feed| feed.name == *name).ok_or_else(|| wrong("no feed has it".into()))?;
            let shape = &feed.shape;
            let (expected, found) = (shape.iter().product::<usize>(), feed.values.len());
            if expected != found {
                return Err(wrong(format!(
                    "its feed has {found} values in the shape {shape:?}, which holds {expected}"
                )));
            }
            let bound = match (&feed.values, element) {
                (FeedValues::F32(values), Some(TensorElementType::Float32)) => {
                    bind(binding, name, shape, values.clone())
                }
                (FeedValues::I64(values), Some(TensorElementType::Int64)) => bind(binding, name, shape, values.clone()),
                (FeedValues::I64(values), Some(TensorElementType::Int32)) => {
                    let narrow = values.iter().map(|value| i32::try_from(*value)).collect::<Result<Vec<_>, _>>();
                    bind(binding, name, shape, narrow.map_err(|_| wrong("a value is too large for int32".into()))?)
                }
                (values, element) => {
                    let given = if matches!(values, FeedValues::F32(_)) { "float32" } else { "int64" };
                    let takes = element.map_or_else(|| "no tensor".to_owned(), |element| element.to_string());
                    return Err(wrong(format!("it takes {takes}, its feed has {given}")));
                }
            };
            bound.map_err(&failed)?;
        }
        Ok(())
    }
}

fn bind<T>(binding: &mut IoBinding, name: &str, shape: &[usize], values: Vec<T>) -> Result<(), ort::Error>
where
    T: ort::value::PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
{
    binding.bind_input(name, &Tensor::from_array((shape.to_vec(), values))?)
}

/// Runs a model that is bound but for its outputs; gives each of `outputs`, `f32`, on the host.
///
/// # Errors
/// An output is not there or not `f32`, or the runtime fails.
pub(super) fn run(
    session: &mut Session,
    mut binding: IoBinding,
    outputs: &[String],
    failed: impl Fn(ort::Error) -> Error,
) -> Result<Vec<NamedTensor>, Error> {
    let host =
        MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput).map_err(&failed)?;
    for output in outputs {
        binding.bind_output_to_device(output, &host).map_err(&failed)?;
    }
    let results = session.run_binding(&binding).map_err(&failed)?;
    let read = |name: &String| {
        let missing = || failed(ort::Error::new(format!("it gave no output '{name}'")));
        let (shape, values) = results.get(name).ok_or_else(missing)?.try_extract_tensor::<f32>().map_err(&failed)?;
        let shape = shape.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
        Ok((name.clone(), shape, values.to_vec()))
    };
    outputs.iter().map(read).collect()
}

/// Binds a scalar.
pub(super) fn bind_scalar(binding: &mut IoBinding, name: &str, value: f32) -> Result<(), ort::Error> {
    bind(binding, name, &[], vec![value])
}

/// Memory of the host, for what every step gives.
pub(super) fn host_scalar() -> Result<Tensor<f32>, ort::Error> {
    Tensor::new(&Allocator::default(), Vec::<usize>::new())
}

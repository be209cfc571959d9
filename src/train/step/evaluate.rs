//! Evaluation: takes a training graph and batches, gives the loss and the outputs of the forward part at the values that
//! the parameters have in a [`StepSession`]. Called by the trainer on the validation batches.

use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;

use super::feed::Feed;
use super::graph::{LOSS, TrainGraph};
use super::open::{FeedInputs, Precision, open};
use super::session::StepSession;
use super::state::NamedTensor;
use crate::inference::runtime::Target;
use crate::train::error::Error;

/// The forward part of a training, without dropout. It reads the parameters where a step leaves them and changes nothing.
#[derive(Debug)]
pub struct EvalSession {
    session: Session,
    feeds: FeedInputs,
    takes: Vec<String>,
    outputs: Vec<String>,
    device: String,
}

/// What an evaluation gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The batch's loss.
    pub loss: f32,
    /// The outputs that the training graph was built with: name, shape, values.
    pub outputs: Vec<NamedTensor>,
}

impl EvalSession {
    /// Opens the forward part of `graph` on `target`, which must be that of the steps.
    ///
    /// # Errors
    /// The runtime refuses the model or the device.
    pub fn open(
        graph: &TrainGraph,
        environment: &Environment,
        target: &Target,
        precision: Precision,
    ) -> Result<Self, Error> {
        let session = open(&graph.evaluate, &graph.folder, environment, target, precision)?;
        let is_parameter = |name: &str| graph.parameters.iter().any(|parameter| parameter.name == name);
        let names = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<Vec<_>>();
        let takes = names(&mut session.inputs().iter().map(|input| input.name()).filter(|name| is_parameter(name)));
        let outputs = names(&mut session.outputs().iter().map(|output| output.name()).filter(|name| *name != LOSS));
        Ok(Self { feeds: FeedInputs::of(&session, is_parameter), session, takes, outputs, device: target.to_string() })
    }

    /// Runs one batch with the parameters of `training`.
    ///
    /// # Errors
    /// A feed is missing or does not fit, an output is not `f32`, or the runtime fails.
    pub fn run(&mut self, training: &mut StepSession, feeds: &[Feed]) -> Result<Evaluation, Error> {
        let step = training.steps();
        let device = self.device.clone();
        let failed = |source| Error::Run { step, device: device.clone(), source };
        let mut binding = self.session.create_binding().map_err(failed)?;
        let takes = |name: &str| self.takes.iter().any(|other| other == name);
        training.tensors.bind(&mut binding, false, takes).map_err(failed)?;
        self.feeds.bind(&mut binding, &feeds.iter().collect::<Vec<_>>(), failed)?;
        let host =
            MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput).map_err(failed)?;
        for output in self.outputs.iter().map(String::as_str).chain([LOSS]) {
            binding.bind_output_to_device(output, &host).map_err(failed)?;
        }
        let results = self.session.run_binding(&binding).map_err(failed)?;
        let read = |name: &str| {
            let missing = || failed(ort::Error::new(format!("it gave no output '{name}'")));
            let (shape, values) = results.get(name).ok_or_else(missing)?.try_extract_tensor::<f32>().map_err(failed)?;
            let shape = shape.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect::<Vec<_>>();
            Ok((name.to_owned(), shape, values.to_vec()))
        };
        let loss = read(LOSS)?.2.first().copied().unwrap_or(f32::NAN);
        let outputs = self.outputs.iter().map(|name| read(name)).collect::<Result<_, Error>>()?;
        Ok(Evaluation { loss, outputs })
    }
}

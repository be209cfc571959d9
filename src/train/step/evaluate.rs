//! Evaluation: takes a training graph and batches, gives the loss and the outputs of the forward part at the values
//! that the parameters have in a [`StepSession`].

use debut_udfs::finetune::Precision;
use ort::environment::Environment;
use ort::session::Session;

use super::feed::Feed;
use super::graph::{LOSS, TrainGraph};
use super::open::{FeedInputs, open, run};
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
    /// What is read, the loss last.
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
        let mut outputs = names(&mut session.outputs().iter().map(|output| output.name()).filter(|name| *name != LOSS));
        outputs.push(LOSS.to_owned());
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
        let mut outputs = run(&mut self.session, binding, &self.outputs, failed)?;
        let loss = outputs.pop().and_then(|(_, _, values)| values.first().copied()).unwrap_or(f32::NAN);
        Ok(Evaluation { loss, outputs })
    }
}

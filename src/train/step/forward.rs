//! A graph without anything to train: takes an encoder and values of its graph, gives these values for batches.

use debut_udfs::finetune::Precision;
use ort::environment::Environment;
use ort::session::Session;

use super::feed::Feed;
use super::graph::forward;
use super::open::{FeedInputs, open, run};
use crate::inference::runtime::Target;
use crate::onnx::graph::Value;
use crate::train::encoder::Encoder;
use crate::train::error::Error;

/// A model that gives values for batches.
#[derive(Debug)]
pub struct ForwardSession {
    session: Session,
    feeds: FeedInputs,
    outputs: Vec<String>,
    device: String,
}

impl ForwardSession {
    /// Opens `encoder` on `target`, with `outputs`, values of its graph, as what it gives.
    ///
    /// # Errors
    /// The runtime refuses the model or the device.
    pub fn open(
        encoder: Encoder,
        outputs: &[Value],
        environment: &Environment,
        target: &Target,
    ) -> Result<Self, Error> {
        let (graph, _, folder) = encoder.into_training();
        let session = open(&forward(graph, outputs), &folder, environment, target, Precision::Full)?;
        Ok(Self {
            feeds: FeedInputs::of(&session, |_| false),
            session,
            outputs: outputs.iter().map(|output| output.name().to_owned()).collect(),
            device: target.to_string(),
        })
    }

    /// Runs one batch; gives the values of each output.
    ///
    /// # Errors
    /// A feed is missing or does not fit, an output is not `f32`, or the runtime fails.
    pub fn run(&mut self, feeds: &[Feed]) -> Result<Vec<Vec<f32>>, Error> {
        let device = self.device.clone();
        let failed = |source| Error::Run { step: 0, device: device.clone(), source };
        let mut binding = self.session.create_binding().map_err(failed)?;
        self.feeds.bind(&mut binding, &feeds.iter().collect::<Vec<_>>(), failed)?;
        let outputs = run(&mut self.session, binding, &self.outputs, failed)?;
        Ok(outputs.into_iter().map(|(_, _, values)| values).collect())
    }
}

//! Running steps: takes a training graph, a device and batches; keeps parameters and the optimizer's state on the
//! device and gives the loss and the gradient's norm of each step.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use debut_udfs::finetune::Precision;
use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::{IoBinding, Session};
use ort::value::Tensor;

use super::buffers::Buffers;
use super::dropout::masks;
use super::feed::Feed;
use super::graph::{LOSS, NORM, SHARE, TrainGraph, gradient, slot};
use super::open::{FeedInputs, allocator, bind_scalar, host_scalar, open};
use super::state::{NamedTensor, State};
use crate::inference::runtime::Target;
use crate::train::encoder::Dropout;
use crate::train::error::Error;
use crate::train::optimizer::{self, Optimizer};

const NORM_NAME: &str = "gradient's norm";

/// What a step gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The batch's loss, before the step.
    pub loss: f32,
    /// The norm of the gradient over all parameters, before clipping; `None` where the batch was only accumulated.
    pub gradient_norm: Option<f32>,
}

/// A training in progress.
#[derive(Debug)]
pub struct StepSession {
    forward: Runner,
    update: Option<Runner>,
    /// Parameters first, then the optimizer's tensors.
    pub(super) tensors: Buffers,
    /// How many of them are parameters.
    parameters: usize,
    accumulated: Option<Buffers>,
    optimizer: Optimizer,
    dropouts: Vec<Dropout>,
    seed: u64,
    device: String,
    step: u64,
    batches: u64,
    pending: u64,
}

/// One of the models with what it is bound to.
#[derive(Debug)]
struct Runner {
    session: Session,
    feeds: FeedInputs,
    loss: Option<Tensor<f32>>,
    norm: Option<Tensor<f32>>,
    /// By the sides of the buffers that are read.
    bindings: HashMap<[usize; 2], IoBinding>,
    /// Whether it changes the parameters.
    updates: bool,
}

impl StepSession {
    /// Opens the models of `graph` on `target`, with every parameter at its first values.
    ///
    /// # Errors
    /// The runtime refuses a model or the device; mixed precision where the device has none.
    pub fn open(
        graph: &TrainGraph,
        environment: &Environment,
        target: &Target,
        precision: Precision,
    ) -> Result<Self, Error> {
        let device = target.to_string();
        let failed = |source| Error::Open { device: device.clone(), source };
        let session = open(&graph.step, &graph.folder, environment, target, precision)?;
        let update = match &graph.update {
            Some(update) => Some(open(update, &graph.folder, environment, target, precision)?),
            None => None,
        };
        let memory = allocator(&session, target).map_err(failed)?;
        let slots = optimizer::slots(graph.settings.optimizer);
        let tensors = tensors(graph, slots, &memory).map_err(failed)?;
        let accumulated = match &update {
            None => None,
            Some(_) => {
                let named =
                    graph.parameters.iter().map(|parameter| (gradient(&parameter.name), parameter.shape.clone()));
                Some(Buffers::new(&memory, named).map_err(failed)?)
            }
        };
        let optimizer = graph.settings.optimizer;
        let own = |name: &str| {
            name == SHARE
                || optimizer::scalars(optimizer).contains(&name)
                || tensors.find(name).is_some()
                || accumulated.as_ref().is_some_and(|buffers| buffers.find(name).is_some())
        };
        let feeds = FeedInputs::of(&session, own);
        let forward = Runner::new(session, feeds, true, update.is_none()).map_err(failed)?;
        let update = match update {
            Some(session) => {
                let feeds = FeedInputs::of(&session, own);
                Some(Runner::new(session, feeds, false, true).map_err(failed)?)
            }
            None => None,
        };
        Ok(Self {
            forward,
            update,
            tensors,
            parameters: graph.parameters.len(),
            accumulated,
            optimizer,
            dropouts: graph.dropouts.clone(),
            seed: graph.settings.seed,
            device,
            step: 0,
            batches: 0,
            pending: 0,
        })
    }

    /// Runs one batch at the learning rate `rate`. With `apply` the parameters move by the mean gradient of this batch
    /// and of those since the last step; without, its gradient is kept for the next one that does.
    ///
    /// # Errors
    /// A feed is missing or does not fit, the runtime fails, `apply` is not set in a graph that cannot accumulate, or the
    /// loss or the gradient's norm is not finite. The parameters are then as they were.
    pub fn step(&mut self, feeds: &[Feed], rate: f32, apply: bool) -> Result<Outcome, Error> {
        if !apply && self.update.is_none() {
            let expected = "a step for every batch: the training graph was built without accumulation".into();
            return Err(Error::Option { option: "accumulate", value: "on".into(), expected });
        }
        let step = self.step + 1;
        let (device, optimizer) = (self.device.clone(), self.optimizer);
        let failed = |source| Error::Run { step, device: device.clone(), source };
        let values = optimizer::scalar_values(optimizer, f64::from(rate), step);
        let mut scalars = optimizer::scalars(optimizer).iter().copied().zip(values).collect::<Vec<_>>();

        let fused = self.update.is_none();
        let masks = masks(&self.dropouts, feeds, self.seed, self.batches)?;
        let inputs = feeds.iter().chain(&masks).collect::<Vec<_>>();
        let first = if fused { scalars.as_slice() } else { &[] };
        self.forward.run(&mut self.tensors, self.accumulated.as_mut(), &inputs, first, failed)?;
        let loss = finite(self.forward.loss.as_ref(), "loss", step)?;
        let mut gradient_norm = None;
        if fused {
            gradient_norm = Some(finite(self.forward.norm.as_ref(), NORM_NAME, step)?);
        } else if let (Some(update), Some(accumulated)) = (&mut self.update, &mut self.accumulated) {
            accumulated.swap();
            self.pending += 1;
            if apply {
                scalars.push((SHARE, (1.0 / self.pending as f64) as f32));
                update.run(&mut self.tensors, Some(accumulated), &[], &scalars, failed)?;
                gradient_norm = Some(finite(update.norm.as_ref(), NORM_NAME, step)?);
                accumulated.swap();
                self.pending = 0;
            }
        }
        self.batches += 1;
        if apply {
            self.tensors.swap();
            self.step = step;
        }
        Ok(Outcome { loss, gradient_norm })
    }

    /// Steps of the optimizer so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The values of one tensor: a parameter by its name, or one of the optimizer's.
    ///
    /// # Errors
    /// There is none of that name, or the device fails.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let place = self.tensors.find(name).ok_or_else(|| unknown(name))?;
        self.tensors.read(place).map_err(|source| self.failed(source))
    }

    /// Sets the values of one tensor.
    ///
    /// # Errors
    /// There is none of that name, it has another number of values, or the device fails.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let place = self.tensors.find(name).ok_or_else(|| unknown(name))?;
        let elements = self.tensors.tensors().nth(place).map_or(0, |(_, shape)| shape.iter().product());
        if elements != values.len() {
            let reason = format!("'{name}' has {elements} values here, {} there", values.len());
            return Err(Error::State(reason));
        }
        self.tensors.write(place, values).map_err(|source| Error::Run {
            step: self.step,
            device: self.device.clone(),
            source,
        })
    }

    /// The trained values of all parameters: name, shape, values.
    ///
    /// # Errors
    /// The device fails.
    pub fn parameters(&self) -> Result<Vec<NamedTensor>, Error> {
        let named = self.tensors.tensors().take(self.parameters).enumerate();
        let one = |(place, (name, shape)): (usize, (&str, &[usize]))| {
            let values = self.tensors.read(place).map_err(|source| self.failed(source))?;
            Ok((name.to_owned(), shape.to_vec(), values))
        };
        named.map(one).collect()
    }

    /// The names of all parameters.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.tensors().take(self.parameters).map(|(name, _)| name)
    }

    /// Everything that steps have changed.
    ///
    /// # Errors
    /// The device fails.
    pub fn state(&self) -> Result<State, Error> {
        let mut tensors = Vec::new();
        let accumulated = self.accumulated.as_ref().filter(|_| self.pending > 0);
        for buffers in [Some(&self.tensors), accumulated].into_iter().flatten() {
            for (place, (name, shape)) in buffers.tensors().enumerate() {
                let values = buffers.read(place).map_err(|source| self.failed(source))?;
                tensors.push((name.to_owned(), shape.to_vec(), values));
            }
        }
        Ok(State { step: self.step, batches: self.batches, pending: self.pending, tensors })
    }

    /// Goes on from a state that a session of an equal graph gave.
    ///
    /// # Errors
    /// Tensors are missing, or have other names or shapes; nothing is changed then. Or the device fails.
    pub fn restore(&mut self, state: &State) -> Result<(), Error> {
        let saved = state.tensors.iter().map(|(name, shape, values)| (name.as_str(), (shape.as_slice(), values)));
        let saved = saved.collect::<HashMap<_, _>>();
        let device = self.device.clone();
        let pending = state.pending > 0;
        if pending && self.accumulated.is_none() {
            return Err(Error::State("it has accumulated gradients, and this training accumulates none".into()));
        }
        let accumulated = self.accumulated.as_mut().filter(|_| pending);
        let mut all = [Some(&mut self.tensors), accumulated].into_iter().flatten().collect::<Vec<_>>();
        for (name, shape) in all.iter().flat_map(|buffers| buffers.tensors()) {
            let (found, values) = saved.get(name).ok_or_else(|| unknown(name))?;
            if *found != shape || values.len() != shape.iter().product::<usize>() {
                let reason = format!("'{name}' has the shape {shape:?} here, {found:?} there");
                return Err(Error::State(reason));
            }
        }
        for buffers in &mut all {
            let names = buffers.tensors().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
            for (place, name) in names.iter().enumerate() {
                if let Some((_, values)) = saved.get(name.as_str()) {
                    buffers.write(place, values).map_err(|source| Error::Run {
                        step: state.step,
                        device: device.clone(),
                        source,
                    })?;
                }
            }
        }
        (self.step, self.batches, self.pending) = (state.step, state.batches, state.pending);
        Ok(())
    }

    fn failed(&self, source: ort::Error) -> Error {
        Error::Run { step: self.step, device: self.device.clone(), source }
    }
}

impl Runner {
    fn new(session: Session, feeds: FeedInputs, loss: bool, updates: bool) -> Result<Self, ort::Error> {
        let scalar = |wanted: bool| wanted.then(host_scalar).transpose();
        Ok(Self { session, feeds, loss: scalar(loss)?, norm: scalar(updates)?, bindings: HashMap::new(), updates })
    }

    /// Runs the model on `feeds` and `scalars` and the sides that the buffers are on.
    fn run(
        &mut self,
        tensors: &mut Buffers,
        accumulated: Option<&mut Buffers>,
        feeds: &[&Feed],
        scalars: &[(&str, f32)],
        failed: impl Fn(ort::Error) -> Error,
    ) -> Result<(), Error> {
        // What is bound stays bound: from the third step on only the batch and the scalars are new.
        let binding = match self.bindings.entry([tensors.side(), accumulated.as_deref().map_or(0, Buffers::side)]) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let mut binding = self.session.create_binding().map_err(&failed)?;
                let names = self.session.inputs().iter().map(|input| input.name()).collect::<HashSet<_>>();
                let takes = |name: &str| names.contains(name);
                tensors.bind(&mut binding, self.updates, takes).map_err(&failed)?;
                if let Some(accumulated) = accumulated {
                    accumulated.bind(&mut binding, true, takes).map_err(&failed)?;
                }
                for (name, scalar) in [(LOSS, &mut self.loss), (NORM, &mut self.norm)] {
                    if let Some(scalar) = scalar {
                        binding.bind_output(name, scalar).map_err(&failed)?;
                    }
                }
                entry.insert(binding)
            }
        };
        self.feeds.bind(binding, feeds, &failed)?;
        for (name, value) in scalars {
            bind_scalar(binding, name, *value).map_err(&failed)?;
        }
        self.session.run_binding(binding).map_err(failed)?;
        Ok(())
    }
}

/// All tensors that a step changes, the parameters at their first values.
fn tensors(graph: &TrainGraph, slots: &[&str], memory: &Allocator) -> Result<Buffers, ort::Error> {
    let parameters = &graph.parameters;
    let values = parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone()));
    let state = slots.iter().flat_map(|name| {
        parameters.iter().map(move |parameter| (slot(name, &parameter.name), parameter.shape.clone()))
    });
    let mut tensors = Buffers::new(memory, values.chain(state))?;
    for (place, parameter) in parameters.iter().enumerate() {
        tensors.write(place, &parameter.values)?;
    }
    Ok(tensors)
}

fn finite(scalar: Option<&Tensor<f32>>, what: &'static str, step: u64) -> Result<f32, Error> {
    let value = scalar.and_then(|scalar| scalar.extract_tensor().1.first().copied()).unwrap_or(f32::NAN);
    if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { what, value, step }) }
}

fn unknown(name: &str) -> Error {
    Error::State(format!("there is no tensor '{name}'"))
}

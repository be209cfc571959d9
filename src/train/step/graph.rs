//! The training graph: takes an encoder with what is trained and a loss on top, gives the models that a step and an
//! evaluation run.
//!
//! Without accumulation one model does a whole step: forward, loss, backward, clipping, optimizer. With it there are two:
//! one adds each batch's gradients to accumulators, the other updates from them.
//!
//! # Names
//! A parameter is an input under its own name, each of its optimizer's tensors under `slot/name`, its accumulator under
//! `accumulated/name`; what they become is an output under the same name behind `next/`.

use std::path::PathBuf;

use crate::autodiff::gradients;
use crate::onnx::fuse::remove_dead;
use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::{DataType, GraphProto, ModelProto, TypeProto, ValueInfoProto, type_proto};
use crate::onnx::shapes::Shapes;
use crate::train::encoder::{Dropout, Encoder};
use crate::train::error::Error;
use crate::train::optimizer::{self, Optimizer, clip};
use crate::train::parameter::Parameter;

pub(super) const LOSS: &str = "step/loss";
pub(super) const NORM: &str = "step/gradient_norm";
/// What accumulated gradients are multiplied by: one over their number.
pub(super) const SHARE: &str = "optimizer/share";
const NEXT: &str = "next/";
const ACCUMULATED: &str = "accumulated/";

/// How a step is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Largest norm of the gradient over all parameters; longer ones are scaled down to it.
    pub clip: Option<f32>,
    /// Whether gradients of several batches may be added up before a step.
    pub accumulate: bool,
    /// The seed of what is dropped out.
    pub seed: u64,
}

/// The models of a training, to be opened by [`super::StepSession`] and [`super::EvalSession`].
#[derive(Debug)]
pub struct TrainGraph {
    /// Runs for every batch.
    pub(super) step: ModelProto,
    /// Runs after the last of several batches, where gradients are added up.
    pub(super) update: Option<ModelProto>,
    /// The forward part alone, without dropout.
    pub(super) evaluate: ModelProto,
    /// What is trained.
    pub(super) parameters: Vec<Parameter>,
    pub(super) settings: Settings,
    pub(super) dropouts: Vec<Dropout>,
    /// Where the frozen weights are.
    pub(super) folder: PathBuf,
}

impl TrainGraph {
    /// Differentiates `loss`, a value of `encoder.graph` with one element, with respect to `parameters` (declared inputs
    /// of that graph) and adds the optimizer. `outputs` are the values of the graph that evaluation gives besides the
    /// loss, by their names.
    ///
    /// # Errors
    /// There are no parameters, or an operator between a parameter and the loss has no
    /// gradient.
    pub fn build(
        encoder: Encoder,
        parameters: Vec<Parameter>,
        loss: &Value,
        outputs: &[Value],
        settings: Settings,
    ) -> Result<Self, Error> {
        if parameters.is_empty() {
            let reason = "neither the encoder nor the objective has anything to train".into();
            return Err(Error::NothingToTrain { method: "head", reason });
        }
        let (graph, dropouts, folder) = encoder.into_training();
        let untrained = graph.finish();
        let evaluate = evaluation(&untrained, loss, outputs, &dropouts);

        let mut graph = GraphBuilder::from_model(untrained);
        let values = parameters.iter().map(|parameter| graph.value(&parameter.name)).collect::<Vec<_>>();
        graph.scope("backward");
        let gradients = gradients(&mut graph, loss, &values)?;
        output_loss(&mut graph, loss);
        graph.scope("optimizer");
        let update = if settings.accumulate {
            accumulate(&mut graph, &parameters, &gradients);
            let mut update = GraphBuilder::new("update");
            let accumulated = parameters.iter().map(|parameter| Some(accumulator(&mut update, parameter)));
            let accumulated = accumulated.collect::<Vec<_>>();
            declare(&mut update, &parameters);
            let share = update.input(SHARE, DataType::Float, &[]);
            optimize(&mut update, &parameters, &accumulated, Some(&share), &settings);
            clear(&mut update, &parameters);
            Some(finish(update))
        } else {
            optimize(&mut graph, &parameters, &gradients, None, &settings);
            None
        };
        Ok(Self { step: finish(graph), update, evaluate, parameters, settings, dropouts, folder })
    }

    /// What is trained, with its first values.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }
}

/// Name of a tensor that the optimizer keeps for a parameter.
pub(super) fn slot(slot: &str, parameter: &str) -> String {
    format!("{slot}/{parameter}")
}

/// Name of the sum of a parameter's gradients.
pub(super) fn gradient(parameter: &str) -> String {
    format!("{ACCUMULATED}{parameter}")
}

/// Name of what a tensor becomes in a step.
pub(super) fn next(name: &str) -> String {
    format!("{NEXT}{name}")
}

/// The forward part: gives the loss and `outputs`, drops nothing out.
fn evaluation(untrained: &ModelProto, loss: &Value, outputs: &[Value], dropouts: &[Dropout]) -> ModelProto {
    let mut graph = GraphBuilder::from_model(untrained.clone());
    for dropout in dropouts {
        let (from, to) = (graph.value(&dropout.output), graph.value(&dropout.of));
        graph.redirect(&from, &to, &[]);
        graph.take_input(&dropout.input);
    }
    // The pooled vectors themselves may be asked for, dropped out or not.
    for output in outputs {
        let kept = dropouts.iter().find(|dropout| dropout.output == output.name()).map(|dropout| dropout.of.as_str());
        if let Some(of) = kept {
            let of = graph.value(of);
            let copy = graph.node("Identity", &[&of], vec![]);
            graph.rename(output, &format!("{}/dropped", output.name()));
            graph.rename(&copy, output.name());
        }
    }
    output_loss(&mut graph, loss);
    forward(graph, outputs)
}

/// The graph as a model that gives `outputs` too.
pub(super) fn forward(mut graph: GraphBuilder, outputs: &[Value]) -> ModelProto {
    graph.sort();
    let shapes = Shapes::infer(graph.graph());
    let mut model = graph.finish();
    if let Some(graph) = &mut model.graph {
        graph.output.extend(outputs.iter().map(|output| of_any_shape(output, &shapes)));
        clean(graph);
    }
    model
}

/// Declares an output whose shape is known when it is there.
fn of_any_shape(output: &Value, shapes: &Shapes) -> ValueInfoProto {
    let element = shapes.element(output.name()).unwrap_or(DataType::Float);
    let tensor = type_proto::Tensor { elem_type: Some(element as i32), shape: None };
    ValueInfoProto {
        name: Some(output.name().to_owned()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None }),
        ..ValueInfoProto::default()
    }
}

/// Gives the loss as a scalar.
fn output_loss(graph: &mut GraphBuilder, loss: &Value) {
    let scalar = graph.reshape(loss, &[]);
    graph.rename(&scalar, LOSS);
    graph.output(LOSS, DataType::Float, &[]);
}

fn dims(parameter: &Parameter) -> Vec<Dim> {
    parameter.shape.iter().map(|size| Dim::Fixed(*size)).collect()
}

fn declare(graph: &mut GraphBuilder, parameters: &[Parameter]) {
    for parameter in parameters {
        graph.input(&parameter.name, DataType::Float, &dims(parameter));
    }
}

fn accumulator(graph: &mut GraphBuilder, parameter: &Parameter) -> Value {
    graph.input(&gradient(&parameter.name), DataType::Float, &dims(parameter))
}

/// Names `value` as what the tensor `name` of the parameter's shape becomes.
fn output_next(graph: &mut GraphBuilder, parameter: &Parameter, name: &str, value: &Value) {
    let name = next(name);
    graph.rename(value, &name);
    graph.output(&name, DataType::Float, &dims(parameter));
}

/// Adds each gradient to its accumulator.
fn accumulate(graph: &mut GraphBuilder, parameters: &[Parameter], gradients: &[Option<Value>]) {
    for (parameter, gradient) in parameters.iter().zip(gradients) {
        let sum = accumulator(graph, parameter);
        let sum = match gradient {
            Some(gradient) => graph.add(&sum, gradient),
            None => graph.node("Identity", &[&sum], vec![]),
        };
        output_next(graph, parameter, &self::gradient(&parameter.name), &sum);
    }
}

/// Sets the accumulators back.
fn clear(graph: &mut GraphBuilder, parameters: &[Parameter]) {
    let zero = graph.scalar_f32(0.0);
    for parameter in parameters {
        let name = gradient(&parameter.name);
        let sum = graph.value(&name);
        let cleared = graph.mul(&sum, &zero);
        output_next(graph, parameter, &name, &cleared);
    }
}

/// Adds the norm, clipping and every parameter's update; `share` is what the gradients are to be multiplied by.
fn optimize(
    graph: &mut GraphBuilder,
    parameters: &[Parameter],
    gradients: &[Option<Value>],
    share: Option<&Value>,
    settings: &Settings,
) {
    let all = gradients.iter().flatten().cloned().collect::<Vec<_>>();
    let mut norm = clip::norm(graph, &all);
    let mut factor = share.cloned();
    if let Some(share) = share {
        norm = graph.mul(&norm, share);
    }
    if let Some(limit) = settings.clip {
        let clipped = clip::factor(graph, &norm, limit);
        factor = Some(match factor {
            Some(share) => graph.mul(&share, &clipped),
            None => clipped,
        });
    }
    graph.rename(&norm, NORM);
    graph.output(NORM, DataType::Float, &[]);

    let scalars = optimizer::declare(settings.optimizer, graph);
    let slots = optimizer::slots(settings.optimizer);
    for (parameter, gradient) in parameters.iter().zip(gradients) {
        let state = slots
            .iter()
            .map(|slot| graph.input(&self::slot(slot, &parameter.name), DataType::Float, &dims(parameter)))
            .collect::<Vec<_>>();
        let (value, state) = match gradient {
            Some(gradient) => {
                let gradient = match &factor {
                    Some(factor) => graph.mul(gradient, factor),
                    None => gradient.clone(),
                };
                let update = optimizer::update(settings.optimizer, graph, parameter, &gradient, &state, &scalars);
                (update.value, update.slots)
            }
            // The loss does not depend on it: it stays.
            None => {
                let value = graph.value(&parameter.name);
                let state = state.iter().map(|tensor| graph.node("Identity", &[tensor], vec![])).collect();
                (graph.node("Identity", &[&value], vec![]), state)
            }
        };
        output_next(graph, parameter, &parameter.name, &value);
        for (slot, tensor) in slots.iter().zip(&state) {
            output_next(graph, parameter, &self::slot(slot, &parameter.name), tensor);
        }
    }
}

/// The model, without what no output needs.
fn finish(graph: GraphBuilder) -> ModelProto {
    let mut model = graph.finish();
    if let Some(graph) = &mut model.graph {
        clean(graph);
    }
    model
}

fn clean(graph: &mut GraphProto) {
    remove_dead(graph);
    // What an exporter noted of values in between need not hold for what was put in their place.
    graph.value_info.clear();
}

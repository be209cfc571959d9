//! The walk from the loss back to the parameters.

use std::collections::{HashMap, HashSet};

use super::context::{Context, operator_name};
use super::rules::{self, Rule};
use super::{Error, OLDEST_OPSET};
use crate::onnx::graph::{GraphBuilder, Value, reads};
use crate::onnx::proto::{DataType, NodeProto};
use crate::onnx::shapes::{Shapes, Size};

/// A node between parameters and loss.
struct Step<'a> {
    node: &'a NodeProto,
    rule: fn(&mut Context<'_>) -> rules::Gradients,
}

/// See [`super::gradients`]; on an error the graph may be half done.
pub(super) fn walk(graph: &mut GraphBuilder, loss: &Value, parameters: &[Value]) -> Result<Vec<Option<Value>>, Error> {
    if graph.opset() < OLDEST_OPSET {
        return Err(Error::Opset { found: graph.opset(), needed: OLDEST_OPSET });
    }
    let nodes = graph.graph().node.clone();
    let shapes = Shapes::infer(graph.graph());
    check(&shapes, loss, parameters)?;
    let dependent = dependent(&nodes, &shapes, parameters);
    let steps = steps(&nodes, &dependent, loss)?;

    graph.scope("gradient");
    let mut pending: HashMap<String, Vec<Value>> = HashMap::new();
    if dependent.contains(loss.name()) {
        pending.insert(loss.name().to_owned(), vec![seed(graph, &shapes, loss)]);
    }
    let mut done: HashMap<String, Value> = HashMap::new();
    for Step { node, rule } in steps.into_iter().rev() {
        // All readers of this node's outputs come after it and have been passed.
        let gradients: Vec<_> = node.output.iter().map(|name| settle(graph, &mut pending, &mut done, name)).collect();
        if gradients.iter().all(Option::is_none) {
            continue;
        }
        let wanted: Vec<_> = node.input.iter().map(|name| dependent.contains(name)).collect();
        let mut context = Context::new(graph, &shapes, node, &gradients, &wanted);
        if gradients[0].is_none() && !rules::takes_any_output(node) {
            return Err(context.unsupported("the loss depends on an output of it other than the first"));
        }
        let passed = rule(&mut context)?;
        for ((name, gradient), wanted) in node.input.iter().zip(passed).zip(wanted) {
            if let (Some(gradient), true) = (gradient, wanted) {
                pending.entry(name.clone()).or_default().push(gradient);
            }
        }
    }
    Ok(parameters.iter().map(|parameter| settle(graph, &mut pending, &mut done, parameter.name())).collect())
}

fn check(shapes: &Shapes, loss: &Value, parameters: &[Value]) -> Result<(), Error> {
    let no_loss = |reason: &str| Error::Loss { loss: loss.name().to_owned(), reason: reason.to_owned() };
    if !shapes.contains(loss.name()) {
        return Err(no_loss("the graph has no such value"));
    }
    if shapes.element(loss.name()).is_some_and(|element| !is_float(element)) {
        return Err(no_loss("its elements are not floats"));
    }
    let single = |size: &Size| size.fixed().is_none_or(|size| size == 1);
    if shapes.dims(loss.name()).is_some_and(|dims| !dims.iter().all(single)) {
        return Err(no_loss("it is not one number; sum it or take its mean first"));
    }
    match parameters.iter().find(|parameter| !shapes.contains(parameter.name())) {
        Some(missing) => Err(Error::Parameter { parameter: missing.name().to_owned() }),
        None => Ok(()),
    }
}

/// Names of the values that depend on a parameter in a differentiable way.
fn dependent(nodes: &[NodeProto], shapes: &Shapes, parameters: &[Value]) -> HashSet<String> {
    let mut dependent: HashSet<String> = parameters.iter().map(|parameter| parameter.name().to_owned()).collect();
    for node in nodes {
        let depends = reads(node).into_iter().any(|name| dependent.contains(name));
        if depends && !matches!(rules::find(node), Some(Rule::NoGradient)) {
            // Integers and booleans have no derivative. What is not known to be one may be a float.
            let floats = node.output.iter().filter(|name| shapes.element(name).is_none_or(is_float));
            dependent.extend(floats.filter(|name| !name.is_empty()).cloned());
        }
    }
    dependent
}

/// The nodes through which the loss depends on a parameter, in the graph's order.
fn steps<'a>(nodes: &'a [NodeProto], dependent: &HashSet<String>, loss: &Value) -> Result<Vec<Step<'a>>, Error> {
    let mut reaching: HashSet<&str> = HashSet::from([loss.name()]);
    let mut steps = vec![];
    for node in nodes.iter().rev() {
        let on_path = |name: &String| reaching.contains(name.as_str()) && dependent.contains(name);
        if !node.output.iter().any(on_path) || !reads(node).into_iter().any(|name| dependent.contains(name)) {
            continue;
        }
        reaching.extend(reads(node));
        match rules::find(node) {
            Some(Rule::Passes(rule)) => steps.push(Step { node, rule }),
            Some(Rule::NoGradient) => {}
            None => {
                return Err(Error::NoRule { operator: operator_name(node), node: node.name().to_owned() });
            }
        }
    }
    steps.reverse();
    Ok(steps)
}

/// The gradient of the loss by itself: one.
fn seed(graph: &mut GraphBuilder, shapes: &Shapes, loss: &Value) -> Value {
    let mut one = graph.scalar_f32(1.0);
    if let Some(element) = shapes.element(loss.name()).filter(|element| *element != DataType::Float) {
        one = graph.cast(&one, element);
    }
    if shapes.rank(loss.name()) == Some(0) {
        return one;
    }
    let shape = graph.node("Shape", &[loss], vec![]);
    graph.node("Expand", &[&one, &shape], vec![])
}

/// The whole gradient of a value: the sum of what its readers passed to it, computed once.
fn settle(
    graph: &mut GraphBuilder,
    pending: &mut HashMap<String, Vec<Value>>,
    done: &mut HashMap<String, Value>,
    name: &str,
) -> Option<Value> {
    if let Some(value) = done.get(name) {
        return Some(value.clone());
    }
    let parts = pending.remove(name)?;
    let value = match parts.as_slice() {
        [] => return None,
        [single] => single.clone(),
        parts => graph.node(if parts.len() == 2 { "Add" } else { "Sum" }, &parts.iter().collect::<Vec<_>>(), vec![]),
    };
    done.insert(name.to_owned(), value.clone());
    Some(value)
}

/// Types that a gradient can have.
pub(super) fn is_float(element: DataType) -> bool {
    matches!(element, DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16)
}

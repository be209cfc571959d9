//! Changing a graph that is there: other names, other readers, initializers taken out, nodes put in order. Part of
//! [`super`]; used for training, where a model's graph is only the beginning.

use std::collections::{HashMap, HashSet};

use super::{GraphBuilder, Value, output_name};
use crate::onnx::proto::{GraphProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};

/// A state of a graph to go back to; see [`GraphBuilder::mark`].
#[derive(Debug)]
pub struct Mark {
    nodes: Vec<NodeProto>,
    initializers: usize,
    imports: Vec<OperatorSetIdProto>,
    ir_version: Option<i64>,
    scope: String,
    counts: HashMap<String, usize>,
    constants: HashMap<String, Value>,
    taken: HashSet<String>,
}

impl Mark {
    /// The prefix of names at the mark.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

impl GraphBuilder {
    /// Gives the value `from`, already made by a node, another name.
    pub fn rename(&mut self, from: &Value, to: &str) -> Value {
        self.taken.insert(to.to_owned());
        for node in &mut self.graph.node {
            for name in node.input.iter_mut().chain(&mut node.output) {
                if name == from.name() {
                    to.clone_into(name);
                }
            }
        }
        Value(to.into())
    }

    /// Takes an initializer out of the graph, for example to declare an input of the same name.
    pub fn take_initializer(&mut self, name: &str) -> Option<TensorProto> {
        let index = self.graph.initializer.iter().position(|tensor| tensor.name() == name)?;
        Some(self.graph.initializer.remove(index))
    }

    /// Takes a declared input out of the graph, for example to give an initializer of the same name.
    pub fn take_input(&mut self, name: &str) -> Option<ValueInfoProto> {
        let index = self.graph.input.iter().position(|info| info.name() == name)?;
        Some(self.graph.input.remove(index))
    }

    /// Takes a declared output out of the graph; the node that gives it stays.
    pub fn take_output(&mut self, name: &str) -> Option<ValueInfoProto> {
        let index = self.graph.output.iter().position(|info| info.name() == name)?;
        Some(self.graph.output.remove(index))
    }

    /// Makes everything that reads `from` read `to`: nodes (subgraphs too) but those named in `except`, and the graph's
    /// outputs, which are then named as `to` is. Nodes that make `to` out of `from` belong in `except`.
    pub fn redirect(&mut self, from: &Value, to: &Value, except: &[&str]) {
        for node in self.graph.node.iter_mut().filter(|node| !except.contains(&node.name())) {
            redirect_node(node, from.name(), to.name());
        }
        redirect_outputs(&mut self.graph, from.name(), to.name());
    }

    /// An output of the node that gives `first`, by its place; the node gives it from now on if it did not. `None` where
    /// no node gives `first`.
    pub fn output_of(&mut self, first: &Value, index: usize) -> Option<Value> {
        let node = self.graph.node.iter_mut().find(|node| node.output.iter().any(|name| name == first.name()))?;
        while node.output.len() <= index {
            node.output.push(String::new());
        }
        if node.output[index].is_empty() {
            let mut name = output_name(first.name(), index);
            while self.taken.contains(&name) {
                name.push('_');
            }
            self.taken.insert(name.clone());
            node.output[index] = name;
        }
        Some(Value(node.output[index].as_str().into()))
    }

    /// Puts the nodes in an order in which each follows what it reads; those that are so already keep their place. Needed
    /// after [`Self::redirect`] to a value that was added later.
    pub fn sort(&mut self) {
        let makers: HashMap<String, usize> = (self.graph.node.iter().enumerate())
            .flat_map(|(index, node)| node.output.iter().map(move |name| (name.clone(), index)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let before = |index: usize| {
            let names = reads(&self.graph.node[index]);
            let mut makers: Vec<usize> = names.into_iter().filter_map(|name| makers.get(name).copied()).collect();
            makers.sort_unstable_by(|a, b| b.cmp(a));
            makers
        };
        // Depth first without recursion: a node is placed when all that it reads is.
        let mut order = Vec::with_capacity(self.graph.node.len());
        let mut entered = vec![false; self.graph.node.len()];
        for root in 0..self.graph.node.len() {
            let mut stack = vec![(root, false)];
            while let Some((index, done)) = stack.pop() {
                if done {
                    order.push(index);
                } else if !std::mem::replace(&mut entered[index], true) {
                    stack.push((index, true));
                    stack
                        .extend(before(index).into_iter().filter(|maker| !entered[*maker]).map(|maker| (maker, false)));
                }
            }
        }
        if !order.is_sorted() {
            let mut nodes: Vec<_> = std::mem::take(&mut self.graph.node).into_iter().map(Some).collect();
            self.graph.node = order.into_iter().filter_map(|index| nodes[index].take()).collect();
        }
    }

    /// Says that the graph is written in a newer version of the ONNX operators, up to 17: nothing that a graph in version 13
    /// or newer can use means something else there, but for `RoiAlign` and `BatchNormalization` in training. Gives whether
    /// the graph is now in that version or a newer one.
    pub fn raise_opset(&mut self, version: i64) -> bool {
        let found = self.opset();
        let changed = |node: &NodeProto| match node.op_type() {
            "RoiAlign" => true,
            "BatchNormalization" => node.output.len() > 1,
            _ => false,
        };
        if found >= version || version > 17 || found < 13 || self.graph.node.iter().any(changed) {
            return found >= version;
        }
        for set in self.model.opset_import.iter_mut().filter(|set| matches!(set.domain(), "" | "ai.onnx")) {
            set.version = Some(version);
        }
        // The format's own version is one that has these operators. https://onnx.ai/onnx/repo-docs/Versioning.html
        self.model.ir_version = self.model.ir_version.max(Some(8));
        true
    }

    /// The graph as it is now, to go back to if what is then added cannot be finished.
    pub fn mark(&self) -> Mark {
        Mark {
            nodes: self.graph.node.clone(),
            initializers: self.graph.initializer.len(),
            imports: self.model.opset_import.clone(),
            ir_version: self.model.ir_version,
            scope: self.scope.clone(),
            counts: self.counts.clone(),
            constants: self.constants.clone(),
            taken: self.taken.clone(),
        }
    }

    /// Takes back all nodes and initializers that were added since `mark`.
    pub fn reset(&mut self, mark: Mark) {
        self.graph.node = mark.nodes;
        self.graph.initializer.truncate(mark.initializers);
        (self.model.opset_import, self.model.ir_version) = (mark.imports, mark.ir_version);
        (self.scope, self.counts, self.constants, self.taken) = (mark.scope, mark.counts, mark.constants, mark.taken);
    }
}

/// Names of nodes and of the values that they give, in subgraphs too.
pub(super) fn collect_names(nodes: &[NodeProto], names: &mut HashSet<String>) {
    for node in nodes {
        names.insert(node.name().to_owned());
        names.extend(node.output.iter().cloned());
        for graph in subgraphs(node) {
            names.extend(graph.input.iter().map(|info| info.name().to_owned()));
            names.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
            collect_names(&graph.node, names);
        }
    }
}

/// Names of the values that a node reads, its subgraphs included: there also names of the subgraphs' own.
pub fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<_> = node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for graph in subgraphs(node) {
        names.extend(graph.output.iter().map(ValueInfoProto::name));
        names.extend(graph.node.iter().flat_map(reads));
    }
    names
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.as_deref().into_iter().chain(&attribute.graphs))
}

pub(super) fn redirect_node(node: &mut NodeProto, from: &str, to: &str) {
    for name in node.input.iter_mut().filter(|name| *name == from) {
        to.clone_into(name);
    }
    for attribute in &mut node.attribute {
        for graph in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
            graph.node.iter_mut().for_each(|node| redirect_node(node, from, to));
            redirect_outputs(graph, from, to);
        }
    }
}

fn redirect_outputs(graph: &mut GraphProto, from: &str, to: &str) {
    for output in graph.output.iter_mut().filter(|output| output.name() == from) {
        output.name = Some(to.to_owned());
    }
}

//! LoRA: beside each chosen linear layer `x W` a product of two thin matrices, `x A B * alpha / rank`, of which only
//! `A` and `B` are trained; at the end it is added to `W`. <https://arxiv.org/abs/2106.09685>

use std::collections::BTreeSet;

use super::delta;
use super::modules::{Linear, linears};
use crate::onnx::graph::Value;
use crate::onnx::shapes::Shapes;
use crate::random::Random;
use crate::train::delta::fold;
use crate::train::encoder::Encoder;
use crate::train::error::Error;
use crate::train::parameter::Parameter;

/// The query and value projections under the names that BERT, RoBERTa, DistilBERT, MPNet and decoders give them.
const DEFAULT_TARGETS: [&str; 8] = ["query", "value", "q_lin", "v_lin", "attn.q", "attn.v", "q_proj", "v_proj"];
/// Stands for every linear layer.
const ALL: &str = "all";

/// Options of LoRA.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lora<'a> {
    pub(super) rank: usize,
    pub(super) alpha: f32,
    pub(super) dropout: f32,
    pub(super) targets: &'a [String],
}

impl Lora<'_> {
    pub(super) fn edit(&self, encoder: &mut Encoder, seed: u64) -> Result<(), Error> {
        let scale = self.alpha / self.rank as f32;
        let mut random = Random::expanded(seed);
        let linears = targets(encoder, "lora", self.targets)?;
        self.check_dropout(encoder, &linears)?;
        for linear in linears {
            check_rank(self.rank, &linear)?;
            let (a, b) = (format!("{}.lora_A", linear.name), format!("{}.lora_B", linear.name));
            // As PEFT: uniform within 1 / sqrt(from), and zeros, so that training begins at the model as it was.
            let bound = 1.0 / (linear.from as f32).sqrt();
            let first = random.uniforms(linear.from * self.rank, bound);
            let a = Parameter::new(a, &[linear.from, self.rank], first);
            let b = Parameter::new(b, &[self.rank, linear.to], vec![0.0; self.rank * linear.to]);
            if encoder.is_training() {
                let (a, b) = (encoder.declare(a)?, encoder.declare(b)?);
                self.add(encoder, &linear, &a, &b, scale);
            } else {
                let (a, b) = (encoder.trained(&a.name, &a.shape)?, encoder.trained(&b.name, &b.shape)?);
                merge(encoder, &linear, &a, &b, scale)?;
            }
        }
        Ok(())
    }

    /// What is dropped out has a row for each token of each text.
    fn check_dropout(&self, encoder: &mut Encoder, linears: &[Linear]) -> Result<(), Error> {
        if self.dropout <= 0.0 || !encoder.is_training() {
            return Ok(());
        }
        encoder.graph.sort();
        let shapes = Shapes::infer(encoder.graph.graph());
        let flat = |linear: &&Linear| linear.uses.iter().any(|r#use| shapes.rank(r#use.input.name()) != Some(3));
        match linears.iter().find(flat) {
            None => Ok(()),
            Some(linear) => Err(Error::Option {
                option: "dropout",
                value: self.dropout.to_string(),
                expected: format!("0 where '{}' is trained, which does not read a row for each token", linear.name),
            }),
        }
    }

    /// Adds `x A B * scale` to what each use of the layer gives.
    fn add(&self, encoder: &mut Encoder, linear: &Linear, a: &Value, b: &Value, scale: f32) {
        encoder.graph.scope(format!("{}/lora", linear.name));
        for r#use in &linear.uses {
            let input = encoder.current(&r#use.input);
            let x = encoder.dropout(&input, self.dropout, linear.from, true);
            let graph = &mut encoder.graph;
            let mut thin = graph.matmul(&x, a);
            if scale != 1.0 {
                let scale = graph.scalar_f32(scale);
                thin = graph.mul(&thin, &scale);
            }
            let change = graph.matmul(&thin, b);
            let sum = graph.add(&r#use.output, &change);
            encoder.replace(&r#use.output, &sum, &[sum.name()]);
        }
    }
}

/// Adds `A B * scale` to a layer's weight, in a graph to be scored: in place, or beside it if the weights are to stay.
pub(super) fn merge(encoder: &mut Encoder, linear: &Linear, a: &[f32], b: &[f32], scale: f32) -> Result<(), Error> {
    if encoder.keeps_weights() {
        delta::beside(&mut encoder.graph, linear, a, b, scale);
        return Ok(());
    }
    encoder.fold(&linear.weight, |weight| fold(weight, linear.transposed, [linear.from, linear.to], a, b, scale))
}

/// A product of rank higher than the weight's own would have more values than the weight.
pub(super) fn check_rank(rank: usize, linear: &Linear) -> Result<(), Error> {
    let most = linear.from.min(linear.to);
    if (1..=most).contains(&rank) {
        return Ok(());
    }
    let expected = format!("from 1 to {most} for '{}' ({} x {})", linear.name, linear.from, linear.to);
    Err(Error::Option { option: "rank", value: rank.to_string(), expected })
}

/// The linear layers that `wanted` names: by the end of their names (`query`, `attention.output.dense`), or `all`. Where
/// it is empty, the query and value projections.
pub(super) fn targets(encoder: &Encoder, method: &'static str, wanted: &[String]) -> Result<Vec<Linear>, Error> {
    let all = linears(&encoder.graph);
    let names = |name: &str, target: &str| {
        target == ALL || name == target || name.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
    };
    let there = || {
        let kinds = all.iter().map(|linear| kind(&linear.name)).collect::<BTreeSet<_>>();
        kinds.into_iter().collect::<Vec<_>>().join(", ")
    };
    if all.is_empty() {
        let reason = "the graph has no linear layers; convolutions are trained by 'full', 'top_layers' and 'bitfit', and 'head' \
                      leaves them as they are";
        return Err(Error::NothingToTrain { method, reason: reason.into() });
    }
    for target in wanted {
        if !all.iter().any(|linear| names(&linear.name, target)) {
            let reason = format!("no linear layer's name ends with the target '{target}'; there are: {}", there());
            return Err(Error::NothingToTrain { method, reason });
        }
    }
    let chosen = all.iter().filter(|linear| {
        if wanted.is_empty() {
            DEFAULT_TARGETS.iter().any(|target| names(&linear.name, target))
        } else {
            wanted.iter().any(|target| names(&linear.name, target))
        }
    });
    let chosen = chosen.cloned().collect::<Vec<_>>();
    if chosen.is_empty() {
        let reason = format!(
            "no linear layer is called query or value (or q_lin, v_lin, attn.q, attn.v); name some with targets, there are: \
             {}",
            there()
        );
        return Err(Error::NothingToTrain { method, reason });
    }
    Ok(chosen)
}

/// A module's name without the layer it is in.
fn kind(name: &str) -> String {
    let parts = name.split('.').collect::<Vec<_>>();
    let after = parts.iter().rposition(|part| part.parse::<usize>().is_ok()).map_or(0, |place| place + 1);
    parts[after..].join(".")
}

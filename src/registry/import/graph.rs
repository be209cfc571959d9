//! The graph of an ONNX export: takes its declared inputs and outputs, gives the output to read and what it holds.
//! Nothing is run; a graph that cannot be fed or read is refused here.

use super::settings::Settings;
use super::source::Source;
use crate::onnx::architectures::{PIXELS, Picture};
use crate::onnx::proto::{DataType, Dimension, DimensionValue, GraphProto, ModelProto, ValueInfoProto, type_proto};
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Error, PREPROCESSOR, Result};

/// Inputs that can be filled from text.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];
/// What exporters call vectors that are pooled already, the best first. BERT's `pooler_output` was trained to tell whether
/// a sentence follows another, so it comes after everything else.
const SENTENCE: [&str; 5] = ["sentence_embedding", "image_embeds", "text_embeds", "embeddings", "sentence_embeddings"];
const TOKENS: [&str; 3] = ["last_hidden_state", "token_embeddings", "hidden_states"];
const LOGITS: &str = "logits";
const POOLER: &str = "pooler_output";

/// The vectors of pictures, the best first.
const OF_PICTURES: [&str; 4] = ["image_embeds", "pooler_output", "embedding", "embeddings"];

/// What is read of a graph.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The output.
    pub(super) output: GraphOutput,
    /// Its last dimension, where the graph says it.
    pub(super) width: Option<usize>,
}

/// Checks the inputs and chooses the output. `pictures` is the size of those that it reads; `want_tokens` is for a user who
/// names a pooling.
///
/// # Errors
/// An input that cannot be filled, or no output that can be read.
pub(super) fn read(
    source: &Source,
    model: &ModelProto,
    settings: &Settings,
    pictures: Option<Picture>,
    want_tokens: bool,
) -> Result<Reading> {
    let Some(graph) = &model.graph else { return Err(source.refuse("its ONNX file has no graph")) };
    match pictures {
        None => check_inputs(source, graph)?,
        Some(size) => {
            check_pixels(source, graph, size)?;
            let outputs = graph.output.iter().map(Output::of).collect::<Vec<_>>();
            return choose_of_picture(&outputs).map_err(|reason| refuse(source, &outputs, reason));
        }
    }
    let outputs = graph.output.iter().map(Output::of).collect::<Vec<_>>();
    choose(&outputs, settings.classifier, want_tokens).map_err(|reason| refuse(source, &outputs, reason))
}

fn refuse(source: &Source, outputs: &[Output<'_>], reason: String) -> Error {
    let there = outputs.iter().map(Output::describe).collect::<Vec<_>>().join(", ");
    source.refuse(format!("{reason}; its graph gives {there}"))
}

/// What has to be fed. Old graphs declare their weights as inputs too.
fn inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name() == name);
    graph.input.iter().filter(|input| !is_weight(input.name())).collect()
}

/// Whether a graph reads pictures: `pixel_values`, or nothing but floats of four dimensions.
pub(super) fn reads_pixels(model: &ModelProto) -> bool {
    let inputs = model.graph.as_ref().map(inputs).unwrap_or_default();
    match inputs.as_slice() {
        [input] => {
            let (element, dims) = tensor_type(input);
            input.name() == PIXELS || element == Some(DataType::Float) && dims.is_some_and(|dims| dims.len() == 4)
        }
        inputs => inputs.iter().any(|input| input.name() == PIXELS),
    }
}

/// The only input must take `f32 [batch, 3, height, width]` of the size that pictures are made in.
fn check_pixels(source: &Source, graph: &GraphProto, size: Picture) -> Result<()> {
    let inputs = inputs(graph);
    let [input] = inputs.as_slice() else {
        let names = inputs.iter().map(|input| input.name()).collect::<Vec<_>>().join("', '");
        return Err(source.refuse(format!(
            "its graph needs the inputs '{names}', and Debut can make only one from a picture; export the part of the model \
             that reads pictures"
        )));
    };
    let (name, (element, dims)) = (input.name(), tensor_type(input));
    if element != Some(DataType::Float) {
        return Err(source.refuse(format!("its graph's input '{name}' is not of float32")));
    }
    let Some(dims) = dims else { return Ok(()) };
    let [batch, rest @ ..] = dims else {
        return Err(source.refuse(format!("its graph's input '{name}' is one number")));
    };
    if let Some(size) = fixed(batch) {
        return Err(source.refuse(format!(
            "its graph's input '{name}' has a batch fixed at {size}; export it with a dynamic first axis"
        )));
    }
    let made = [3, size.height as i64, size.width as i64];
    if rest.len() != 3 || rest.iter().zip(made).any(|(dim, made)| fixed(dim).is_some_and(|fixed| fixed != made)) {
        let dims = rest.iter().map(|dim| fixed(dim).map_or("?".to_owned(), |size| size.to_string()));
        let dims = dims.collect::<Vec<_>>().join(", ");
        return Err(source.refuse(format!(
            "its graph's input '{name}' is [batch, {dims}], and {PREPROCESSOR} makes [batch, 3, {}, {}]",
            size.height, size.width
        )));
    }
    Ok(())
}

/// The output that is the vector of a picture: by its name, or the only one of two dimensions that holds no logits.
fn choose_of_picture(outputs: &[Output<'_>]) -> Result<Reading, String> {
    let named = OF_PICTURES.iter().find_map(|name| outputs.iter().find(|it| it.name == *name && it.fits(2)));
    let only = || match outputs.iter().filter(|it| it.rank == Some(2) && it.name != LOGITS).collect::<Vec<_>>()[..] {
        [output] => Some(output),
        _ => None,
    };
    let output = named.or_else(only).ok_or(
        "no output can be told to hold one vector a picture ([batch, width]); export it with the pooled features as output",
    )?;
    if output.element != Some(DataType::Float) {
        return Err(format!("its output '{}' does not hold float32; export it in float32", output.name));
    }
    let output_kind = OutputKind::SentenceEmbedding;
    Ok(Reading { output: GraphOutput { name: output.name.to_owned(), kind: output_kind }, width: output.width })
}

fn check_inputs(source: &Source, graph: &GraphProto) -> Result<()> {
    let inputs = inputs(graph);
    for input in &inputs {
        let name = input.name();
        if !INPUTS.contains(&name) {
            let known = INPUTS.join(", ");
            return Err(
                source.refuse(format!("its graph needs the input '{name}', and Debut can make only {known} from text"))
            );
        }
        let (element, dims) = tensor_type(input);
        if ![Some(DataType::Int64), Some(DataType::Int32)].contains(&element) {
            return Err(source.refuse(format!("its graph's input '{name}' is not of int64 or int32")));
        }
        if let Some(dims) = dims {
            if dims.len() != 2 {
                return Err(source.refuse(format!("its graph's input '{name}' has {} dimensions, not 2", dims.len())));
            }
            if let Some(size) = dims.iter().find_map(fixed) {
                return Err(source.refuse(format!(
                    "its graph's input '{name}' has a dimension fixed at {size}; export it with dynamic axes for batch and \
                     sequence"
                )));
            }
        }
    }
    if !inputs.iter().any(|input| input.name() == INPUTS[0]) {
        return Err(source.refuse(format!("its graph has no input '{}'", INPUTS[0])));
    }
    Ok(())
}

/// An output as the graph declares it.
struct Output<'a> {
    name: &'a str,
    element: Option<DataType>,
    /// Number of dimensions.
    rank: Option<usize>,
    /// The last dimension.
    width: Option<usize>,
}

impl<'a> Output<'a> {
    fn of(value: &'a ValueInfoProto) -> Self {
        let (element, dims) = tensor_type(value);
        let width = dims.and_then(|dims| fixed(dims.last()?)).and_then(|size| usize::try_from(size).ok());
        Self { name: value.name(), element, rank: dims.map(<[_]>::len), width }
    }

    fn describe(&self) -> String {
        let element = self.element.map_or_else(|| "?".to_owned(), |element| format!("{element:?}").to_lowercase());
        let rank = self.rank.map_or_else(|| "?".to_owned(), |rank| rank.to_string());
        format!("'{}' ({element}, {rank} dimensions)", self.name)
    }

    /// Whether it can have so many dimensions.
    fn fits(&self, rank: usize) -> bool {
        self.rank.is_none_or(|known| known == rank)
    }
}

fn choose(outputs: &[Output<'_>], classifier: bool, want_tokens: bool) -> Result<Reading, String> {
    let named = |names: &[&str], rank| {
        names.iter().find_map(|name| outputs.iter().find(|output| output.name == *name && output.fits(rank)))
    };
    let only = |rank| match outputs.iter().filter(|output| output.rank == Some(rank)).collect::<Vec<_>>().as_slice() {
        [output] => Some(*output),
        _ => None,
    };
    let pooled = || named(&SENTENCE, 2);
    let tokens = || named(&TOKENS, 3);
    let found = if classifier {
        let logits = named(&[LOGITS], 2).or_else(|| only(2)).ok_or("it is a classifier, but no output holds logits")?;
        Some((logits, OutputKind::Logits))
    } else {
        let tokens = tokens().or_else(|| only(3)).map(|output| (output, OutputKind::TokenEmbeddings));
        let pooled = pooled().map(|output| (output, OutputKind::SentenceEmbedding));
        let logits = || Some((named(&[LOGITS], 2).filter(|output| output.width == Some(1))?, OutputKind::Logits));
        let rest = || {
            let output = only(2).or_else(|| named(&[POOLER], 2)).filter(|output| output.name != LOGITS)?;
            Some((output, OutputKind::SentenceEmbedding))
        };
        let best = if want_tokens { tokens.or(pooled) } else { pooled.or(tokens) };
        best.or_else(logits).or_else(rest)
    };
    let (output, kind) = found.ok_or("no output can be told to hold vectors of tokens or of sentences")?;
    if output.element != Some(DataType::Float) {
        return Err(format!("its output '{}' does not hold float32; export it in float32", output.name));
    }
    if kind == OutputKind::Logits && output.width.is_some_and(|labels| labels != 1) {
        let labels = output.width.unwrap_or_default();
        return Err(format!("it is a classifier of {labels} labels, and a cross-encoder has one"));
    }
    Ok(Reading { output: GraphOutput { name: output.name.to_owned(), kind }, width: output.width })
}

/// The element type and dimensions of a tensor, where they are declared.
fn tensor_type(value: &ValueInfoProto) -> (Option<DataType>, Option<&[Dimension]>) {
    match value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => (
            tensor.elem_type.and_then(|element| DataType::try_from(element).ok()),
            tensor.shape.as_ref().map(|shape| shape.dim.as_slice()),
        ),
        _ => (None, None),
    }
}

/// The size of a dimension, if it is fixed.
fn fixed(dimension: &Dimension) -> Option<i64> {
    match dimension.value {
        Some(DimensionValue::DimValue(size)) => Some(size),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn output(name: &str, rank: Option<usize>, width: Option<usize>) -> Output<'_> {
        Output { name, element: Some(DataType::Float), rank, width }
    }

    fn chosen(outputs: &[Output<'_>], classifier: bool, want_tokens: bool) -> (String, OutputKind) {
        let reading = choose(outputs, classifier, want_tokens).unwrap();
        (reading.output.name, reading.output.kind)
    }

    #[test]
    fn outputs_are_told_apart_by_name_and_then_by_rank() {
        let hidden = || output("last_hidden_state", Some(3), Some(32));
        let pooler = || output("pooler_output", Some(2), Some(32));
        let sentence = || output("sentence_embedding", Some(2), Some(32));
        let tokens = |name: &str| (name.to_owned(), OutputKind::TokenEmbeddings);
        let pooled = |name: &str| (name.to_owned(), OutputKind::SentenceEmbedding);

        assert_eq!(chosen(&[hidden(), pooler()], false, false), tokens("last_hidden_state"));
        assert_eq!(chosen(&[hidden(), sentence()], false, false), pooled("sentence_embedding"));
        assert_eq!(chosen(&[hidden(), sentence()], false, true), tokens("last_hidden_state"));
        assert_eq!(chosen(&[output("1234", Some(3), None), pooler()], false, false), tokens("1234"));
        assert_eq!(chosen(&[output("v", Some(2), Some(8))], false, false), pooled("v"));
        assert_eq!(chosen(&[pooler()], false, false), pooled("pooler_output"));
        assert_eq!(chosen(&[output("last_hidden_state", None, None)], false, false), tokens("last_hidden_state"));
        let logits = ("logits".to_owned(), OutputKind::Logits);
        assert_eq!(chosen(&[output("logits", Some(2), Some(1))], true, false), logits);
        assert_eq!(chosen(&[output("logits", Some(2), Some(1))], false, false), logits);
    }

    #[test]
    fn outputs_that_cannot_be_read_are_refused() {
        let refused = |outputs: &[Output<'_>], classifier| choose(outputs, classifier, false).unwrap_err();
        assert!(refused(&[output("logits", Some(2), Some(3))], true).contains("3 labels"));
        assert!(refused(&[output("logits", Some(2), Some(3))], false).contains("no output"));
        assert!(refused(&[output("a", Some(3), None), output("b", Some(3), None)], false).contains("no output"));
        let half = Output { element: Some(DataType::Float16), ..output("last_hidden_state", Some(3), None) };
        assert!(refused(&[half], false).contains("float32"));
    }
}

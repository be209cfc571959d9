//! What is trained: takes an encoder, edits its graph and gives the parameters; and takes trained values and gives the
//! encoder that scores with them. One file a method.
//!
//! A method is one description of an edit (`edit`), made twice: for training, where what it declares are inputs,
//! and for scoring, where the same declarations are initializers with the trained values, or are folded into the weights
//! (LoRA, AdaLoRA). So the two graphs cannot drift apart.

pub mod adalora;
mod adapter;
mod bitfit;
mod delta;
mod full;
mod layers;
mod lora;
mod modules;
mod prefix;
mod top_layers;

pub use debut_udfs::finetune::Method;

use super::encoder::Encoder;
use super::error::Error;
use super::parameter::Parameter;
use crate::onnx::proto::DataType;

/// Edits the encoder's graph and gives what is trained: inputs of the graph from now on. Empty for [`Method::Head`].
///
/// # Errors
/// Nothing in the model is what the method trains (the message says what there is), its weights are halves or bytes, or an
/// option does not fit the model.
pub fn apply(method: &Method, encoder: &mut Encoder, seed: u64) -> Result<Vec<Parameter>, Error> {
    if *method != Method::Head {
        refuse_narrow(method, encoder)?;
    }
    edit(method, encoder, seed)?;
    Ok(encoder.take_parameters())
}

/// Refuses a model that was compressed: what is left of its weights in `f32` are biases, and training these in place of
/// all of them is not what was asked for.
fn refuse_narrow(method: &Method, encoder: &Encoder) -> Result<(), Error> {
    let narrow = encoder.graph.graph().initializer.iter().filter(|tensor| tensor.dims.len() > 1).find_map(|tensor| {
        let kind = match DataType::try_from(tensor.data_type()) {
            Ok(DataType::Float16) => "fp16",
            Ok(DataType::Bfloat16) => "bf16",
            Ok(DataType::Int8) => "int8",
            Ok(DataType::Uint8) => "uint8",
            _ => return None,
        };
        Some((kind, tensor.name().to_owned()))
    });
    narrow.map_or(Ok(()), |(kind, tensor)| Err(Error::NarrowWeights { method: method.to_string(), kind, tensor }))
}

/// The encoder with what was trained in it: `encoder` as the base version's was opened, `trained` the name and values of
/// each parameter that [`apply`] gave. LoRA and AdaLoRA are added to the weights, what other methods put in stays as nodes.
/// It goes on as an encoder that scores: [`Encoder::score`], or [`Encoder::score_head`] with a head on top.
///
/// # Errors
/// A trained tensor is missing or does not fit this model.
pub fn export(
    method: &Method,
    encoder: Encoder,
    trained: impl IntoIterator<Item = (String, Vec<f32>)>,
) -> Result<Encoder, Error> {
    put(method, encoder.with_values(trained.into_iter().collect()))
}

/// [`export`] of a version that is kept as a delta: the base's weights stay as they are, and the thin products of LoRA and
/// AdaLoRA stand beside them. What is written then is small where the weights' files are shared
/// ([`super::weights::FrozenWeights::link`]).
///
/// # Errors
/// As for [`export`].
pub fn export_delta(
    method: &Method,
    encoder: Encoder,
    trained: impl IntoIterator<Item = (String, Vec<f32>)>,
) -> Result<Encoder, Error> {
    put(method, encoder.with_values(trained.into_iter().collect()).keeping_weights())
}

fn put(method: &Method, mut encoder: Encoder) -> Result<Encoder, Error> {
    // First values are of no consequence here, so neither is the seed.
    edit(method, &mut encoder, 0)?;
    encoder.take_parameters();
    Ok(encoder)
}

fn edit(method: &Method, encoder: &mut Encoder, seed: u64) -> Result<(), Error> {
    if resumes(method, encoder)? {
        return Ok(());
    }
    match method {
        Method::Head => Ok(()),
        Method::BitFit => bitfit::edit(encoder),
        Method::Lora { rank, alpha, dropout, targets } => {
            lora::Lora { rank: *rank, alpha: *alpha as f32, dropout: *dropout as f32, targets }.edit(encoder, seed)
        }
        Method::Adapter { width } => adapter::edit(encoder, *width, seed),
        Method::Prefix { length } => prefix::edit(encoder, *length, seed),
        Method::AdaLora { rank, alpha, targets } => {
            adalora::edit(encoder, adalora::first_rank(*rank), *alpha as f32, targets, seed)
        }
        Method::TopLayers { layers } => top_layers::edit(encoder, *layers),
        Method::Full => full::edit(encoder),
        Method::Layers => layers::edit(encoder),
    }
}

/// Where a version has adapters or a prefix already, training goes on with these.
fn resumes(method: &Method, encoder: &mut Encoder) -> Result<bool, Error> {
    let (option, wanted, mark, sized) = match method {
        Method::Adapter { width } => ("width", *width, adapter::MARK, adapter::BIAS),
        Method::Prefix { length } => ("length", *length, prefix::MARK, prefix::KEY),
        _ => return Ok(false),
    };
    let tensors = &encoder.graph.graph().initializer;
    let there = tensors.iter().filter(|tensor| tensor.name().contains(mark));
    let there = there.map(|tensor| (tensor.name().to_owned(), tensor.dims.clone())).collect::<Vec<_>>();
    let has = there.iter().find(|(name, _)| name.ends_with(sized)).and_then(|(_, dims)| dims.last().copied());
    match has {
        None => Ok(false),
        Some(has) if has == wanted as i64 => {
            there.iter().try_for_each(|(name, _)| encoder.train(name))?;
            Ok(true)
        }
        Some(has) => {
            let expected = format!("{has}, as in the base, whose {method} is trained on");
            Err(Error::Option { option, value: wanted.to_string(), expected })
        }
    }
}

//! What is trained: takes an encoder, edits its graph and gives the parameters; and takes trained values and gives the
//! encoder that scores with them. One file a method.
//!
//! A method is one description of an edit ([`Method::edit`]), made twice: for training, where what it declares are inputs,
//! and for scoring, where the same declarations are initializers with the trained values, or are folded into the weights
//! (LoRA, AdaLoRA). So the two graphs cannot drift apart.

pub mod adalora;
mod adapter;
mod bitfit;
mod delta;
mod full;
mod lora;
mod modules;
mod prefix;
mod random;
mod top_layers;

use std::fmt::{self, Display};

use super::encoder::Encoder;
use super::error::Error;
use super::parameter::Parameter;

/// A way to train an encoder.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// Nothing of the encoder: only the objective's head.
    Head,
    /// The biases.
    BitFit,
    /// Thin products beside linear layers.
    Lora {
        /// Width of the thin matrices.
        rank: usize,
        /// The products are multiplied by `alpha / rank`.
        alpha: f32,
        /// Share of their inputs that is dropped out while training.
        dropout: f32,
        /// Ends of the names of the layers; none for query and value, `all` for all.
        targets: Vec<String>,
    },
    /// Small networks behind each block.
    Adapter {
        /// Width of their middle.
        width: usize,
    },
    /// Keys and values in front of each attention's own.
    Prefix {
        /// How many.
        length: usize,
    },
    /// LoRA whose rank goes where it is needed most.
    AdaLora {
        /// Rank of every product at the beginning.
        rank: usize,
        /// Mean rank at the end.
        target_rank: usize,
        /// The products are multiplied by `alpha / rank`.
        alpha: f32,
        /// Ends of the names of the layers; none for query and value, `all` for all.
        targets: Vec<String>,
    },
    /// The last transformer layers.
    TopLayers {
        /// How many.
        layers: usize,
    },
    /// Everything.
    Full {
        /// The embedding tables too.
        embeddings: bool,
    },
}

impl Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "head",
            Self::BitFit => "bitfit",
            Self::Lora { .. } => "lora",
            Self::Adapter { .. } => "adapter",
            Self::Prefix { .. } => "prefix",
            Self::AdaLora { .. } => "adalora",
            Self::TopLayers { .. } => "top_layers",
            Self::Full { .. } => "full",
        })
    }
}

impl Method {
    /// Edits the encoder's graph and gives what is trained: inputs of the graph from now on. Empty for
    /// [`Self::Head`].
    ///
    /// # Errors
    /// Nothing in the model is what the method trains (the message says what there is), or an option is out of range.
    pub fn apply(&self, encoder: &mut Encoder, seed: u64) -> Result<Vec<Parameter>, Error> {
        self.edit(encoder, seed)?;
        Ok(encoder.take_parameters())
    }

    /// The encoder with what was trained in it: `encoder` as the base version's was opened, `trained` the name and values
    /// of each parameter that [`Self::apply`] gave. LoRA and AdaLoRA are added to the weights, what other methods put in
    /// stays as nodes. It goes on as an encoder that scores: [`Encoder::score`], or [`Encoder::score_head`] with a head on
    /// top.
    ///
    /// # Errors
    /// A trained tensor is missing or does not fit this model.
    pub fn export(
        &self,
        encoder: Encoder,
        trained: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Encoder, Error> {
        self.put(encoder.with_values(trained.into_iter().collect()))
    }

    /// [`Self::export`] of a version that is kept as a delta: the base's weights stay as they are, and the thin products of
    /// LoRA and AdaLoRA stand beside them. What is written then is small where the weights' files are shared
    /// ([`super::weights::FrozenWeights::link`]).
    ///
    /// # Errors
    /// As for [`Self::export`].
    pub fn export_delta(
        &self,
        encoder: Encoder,
        trained: impl IntoIterator<Item = (String, Vec<f32>)>,
    ) -> Result<Encoder, Error> {
        self.put(encoder.with_values(trained.into_iter().collect()).keeping_weights())
    }

    /// Where a version has adapters or a prefix already, training goes on with these.
    fn goes_on(&self, encoder: &mut Encoder) -> Result<bool, Error> {
        let (option, wanted, mark, sized) = match self {
            Self::Adapter { width } => ("width", *width, adapter::MARK, adapter::BIAS),
            Self::Prefix { length } => ("length", *length, prefix::MARK, prefix::KEY),
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
                let expected = format!("{has}, as in the base, whose {self} is trained on");
                Err(Error::Option { option, value: wanted.to_string(), expected })
            }
        }
    }

    fn put(&self, mut encoder: Encoder) -> Result<Encoder, Error> {
        // First values are of no consequence here, so neither is the seed.
        self.edit(&mut encoder, 0)?;
        encoder.take_parameters();
        Ok(encoder)
    }

    fn edit(&self, encoder: &mut Encoder, seed: u64) -> Result<(), Error> {
        if self.goes_on(encoder)? {
            return Ok(());
        }
        match self {
            Self::Head => Ok(()),
            Self::BitFit => bitfit::edit(encoder),
            Self::Lora { rank, alpha, dropout, targets } => {
                check_alpha(*alpha)?;
                if !(0.0..1.0).contains(dropout) {
                    let expected = "at least 0 and below 1".into();
                    return Err(Error::Option { option: "dropout", value: dropout.to_string(), expected });
                }
                lora::Lora { rank: *rank, alpha: *alpha, dropout: *dropout, targets }.edit(encoder, seed)
            }
            Self::Adapter { width } => adapter::edit(encoder, *width, seed),
            Self::Prefix { length } => prefix::edit(encoder, *length, seed),
            Self::AdaLora { rank, target_rank, alpha, targets } => {
                check_alpha(*alpha)?;
                if !(1..=*rank).contains(target_rank) {
                    let expected = format!("from 1 to the rank at the beginning, {rank}");
                    return Err(Error::Option { option: "target_rank", value: target_rank.to_string(), expected });
                }
                adalora::edit(encoder, *rank, *alpha, targets, seed)
            }
            Self::TopLayers { layers } => top_layers::edit(encoder, *layers),
            Self::Full { embeddings } => full::edit(encoder, *embeddings),
        }
    }
}

fn check_alpha(alpha: f32) -> Result<(), Error> {
    if alpha > 0.0 && alpha.is_finite() {
        return Ok(());
    }
    Err(Error::Option { option: "alpha", value: alpha.to_string(), expected: "a positive number".into() })
}

//! BitFit: only what is added is trained, the biases of linear layers and normalisations: about a thousandth of the
//! parameters. <https://arxiv.org/abs/2106.10199>

use super::modules::{Role, weights};
use crate::train::encoder::Encoder;
use crate::train::error::Error;

pub(super) fn edit(encoder: &mut Encoder) -> Result<(), Error> {
    let biases = weights(&encoder.graph).into_iter().filter(|weight| weight.role == Role::Bias).collect::<Vec<_>>();
    if biases.is_empty() {
        let reason = "the graph adds no vector of f32 weights to anything, so it has no biases".into();
        return Err(Error::NothingToTrain { method: "bitfit", reason });
    }
    biases.iter().try_for_each(|bias| encoder.train(&bias.name))
}

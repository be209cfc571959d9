//! Full fine-tuning: every weight is trained but the embedding tables, half of a small model and easily spoiled by a small
//! set of texts.

use super::modules::{Role, weights};
use crate::train::encoder::Encoder;
use crate::train::error::Error;

pub(super) fn edit(encoder: &mut Encoder) -> Result<(), Error> {
    let chosen = weights(&encoder.graph).into_iter().filter(|weight| weight.role != Role::Table);
    let chosen = chosen.collect::<Vec<_>>();
    if chosen.is_empty() {
        let others = encoder.graph.graph().initializer.len();
        let reason = format!("none of the graph's {others} initializers is a tensor of f32 weights");
        return Err(Error::NothingToTrain { method: "full", reason });
    }
    chosen.iter().try_for_each(|weight| encoder.train(&weight.name))
}

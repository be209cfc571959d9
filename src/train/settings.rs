//! What the options of a `finetune` call mean to the parts of a training.
//!
//! Takes [`FinetuneOptions`], which SQL made; gives the options of `data`, `objective`, `method`, `optimizer` and
//! `step`.

use debut_udfs::finetune::options as sql;
use debut_udfs::finetune::{FinetuneOptions, Objective};

use super::data::{self, Columns, Kind};
use super::method::Method;
use super::objective;
use super::optimizer::Optimizer;
use super::step;

/// Most pairs that one user gives to a contrastive training.
const PAIRS_PER_USER: usize = 32;
/// AdaLoRA begins with this many times the rank that it ends with, as in <https://arxiv.org/abs/2303.10512>.
const FIRST_RANK: f64 = 1.5;

/// How the tables become examples.
///
/// # Errors
/// A role is named twice, or is none; the objective trains more than an encoder.
pub(super) fn data(options: &FinetuneOptions) -> data::Result<data::Options> {
    let columns = options.columns.iter().map(|(role, column)| (role.as_str(), column.as_str()));
    Ok(data::Options {
        kind: kind(&options.objective)?,
        columns: Columns::new(columns)?,
        split: options.split,
        validation: options.validation,
        since: options.since.clone(),
        replay: options.replay,
        pairs_per_user: PAIRS_PER_USER,
        seed: options.seed,
    })
}

fn kind(objective: &Objective) -> data::Result<Kind> {
    Ok(match objective {
        Objective::Bce { .. } => Kind::Bce,
        Objective::Contrastive { .. } => Kind::Contrastive,
        Objective::Bpr { .. } => Kind::Bpr,
        Objective::Classification { .. } => Kind::Classification,
        Objective::Regression => Kind::Regression,
        Objective::Similarity => Kind::Similarity,
        Objective::Recommend { .. } => {
            return Err(data::Error::Option {
                option: "objective",
                value: format!("'{}'", objective.name()),
                reason: "is a recommender's, and this trains encoders alone".to_owned(),
            });
        }
    })
}

/// The options of the objective.
pub(super) fn objective(options: &FinetuneOptions) -> objective::Settings {
    let mut settings = objective::Settings::default();
    match &options.objective {
        Objective::Bce { negatives } | Objective::Bpr { negatives } => settings.negatives = *negatives,
        Objective::Contrastive { temperature } => settings.temperature = *temperature as f32,
        Objective::Classification { class_weights } => settings.class_weights = *class_weights,
        Objective::Regression | Objective::Similarity | Objective::Recommend { .. } => {}
    }
    settings
}

/// What is trained.
pub(crate) fn method(options: &FinetuneOptions) -> Method {
    match &options.method {
        sql::Method::Head => Method::Head,
        sql::Method::BitFit => Method::BitFit,
        sql::Method::Lora { rank, alpha, targets } => Method::Lora {
            rank: *rank,
            alpha: *alpha as f32,
            dropout: options.dropout as f32,
            targets: targets.clone(),
        },
        sql::Method::Adapter { width } => Method::Adapter { width: *width },
        sql::Method::Prefix { length } => Method::Prefix { length: *length },
        sql::Method::AdaLora { rank, alpha, targets } => Method::AdaLora {
            rank: (*rank as f64 * FIRST_RANK).ceil() as usize,
            target_rank: *rank,
            alpha: *alpha as f32,
            targets: targets.clone(),
        },
        sql::Method::TopLayers { layers } => Method::TopLayers { layers: *layers },
        sql::Method::Full => Method::Full { embeddings: false },
    }
}

/// Share of the pooled vectors' values that are dropped out: where the method has no place of its own for that.
pub(super) fn embeddings_dropout(options: &FinetuneOptions) -> f32 {
    if matches!(options.method, sql::Method::Lora { .. }) { 0.0 } else { options.dropout as f32 }
}

/// How a step is made.
pub(super) fn step(options: &FinetuneOptions) -> step::Settings {
    let weight_decay = options.weight_decay;
    step::Settings {
        optimizer: match options.optimizer {
            sql::Optimizer::AdamW => Optimizer::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay },
            sql::Optimizer::Sgd { momentum } => Optimizer::Sgd { momentum, weight_decay },
        },
        clip: options.clip.map(|clip| clip as f32),
        accumulate: options.accumulate > 1,
        seed: options.seed,
    }
}

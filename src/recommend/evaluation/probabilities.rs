//! Whether a model's probabilities are true, and how well it finds the users for an item.
//!
//! Takes a model and what happened, gives rows of log-loss, calibration and of the AUC over users, with activity as
//! what anybody could go by; and the bins of a picture.

use super::bootstrap::Resampling;
use super::calibration::{Binning, base_rate, bins, brier, calibration_error, log_loss};
use super::context::EvaluationContext;
use super::context::Segment;
use super::metrics::Evaluator;
use super::per_user::PerUser;
use super::record::CalibrationBin;
use super::rows::{Subject, Table};
use super::{Column, Metric};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::logistic::sigmoid;
use crate::recommend::components::NEAREST_TEXTS;
use crate::recommend::components::scores::Pairs;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::UserBatch;
use crate::recommend::ranking::BlockScores;

/// Pairs whose probabilities are looked at, at most; of more, every so many users.
const PAIRS: usize = 4_000_000;
/// Goods whose users are ranked at a time.
const ITEMS: usize = 64;
/// What `audience` is measured by.
const AUDIENCE_AUC: &str = "audience_auc";

/// Adds the rows; gives the bins.
pub(crate) fn rows(
    table: &mut Table,
    loaded: &Loaded,
    user_batch: &UserBatch<'_>,
    candidates: &CallItems<'_>,
    context: &EvaluationContext<'_>,
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<Vec<CalibrationBin>, Cancelled> {
    let recommender = loaded.recommender.as_ref();
    let logits = recommender.logits(user_batch, &candidates.candidates, 1.0);
    let (users, first) = (user_batch.len(), candidates.candidates.known.len());
    let width = candidates.candidates.new.len();
    let step = (users * context.new.len()).div_ceil(PAIRS).max(1);
    let (mut happened, mut probabilities) = (Vec::new(), Vec::new());
    let mut row = vec![0.0; width];
    for user in (0..users).step_by(step) {
        check(stop)?;
        logits.scores_into(user..user + 1, first..first + width, &mut row);
        let (taken, _) = context.ground_truth.taken.row(user);
        for item in context.new {
            happened.push(taken.binary_search(item).is_ok());
            probabilities.push(sigmoid(f64::from(row[*item as usize - first])));
        }
    }
    let found = bins(&happened, &probabilities, Binning::default());
    let looked_at = users.div_ceil(step);
    let method = loaded.reference.as_str();
    table.number(method, Metric::LogLoss.name(), log_loss(&happened, &probabilities), looked_at);
    table.number(method, Metric::Brier.name(), brier(&happened, &probabilities), looked_at);
    table.number(method, Metric::CalibrationError.name(), calibration_error(&found), looked_at);
    table.number("base_rate", Metric::LogLoss.name(), base_rate(&happened).map(|(_, loss)| loss), looked_at);

    audience(table, loaded, user_batch, candidates, context, resampling, stop)?;
    let bin = |bin: &super::calibration::Bin| CalibrationBin {
        low: bin.low,
        high: bin.high,
        rows: bin.rows as u64,
        predicted: bin.predicted,
        observed: bin.observed,
    };
    Ok(found.iter().map(bin).collect())
}

/// For each new good with takers, whether its takers are ranked above other users: by the model, by how active users are, and by
/// the nearest texts.
fn audience(
    table: &mut Table,
    loaded: &Loaded,
    user_batch: &UserBatch<'_>,
    candidates: &CallItems<'_>,
    context: &EvaluationContext<'_>,
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<(), Cancelled> {
    let recommender = loaded.recommender.as_ref();
    let logits = recommender.logits(user_batch, &candidates.candidates, 1.0);
    let pairs = Pairs {
        components: &recommender.components,
        representations: &user_batch.representations,
        item_batch: &candidates.candidates.new,
    };
    let (users, first, width) = (user_batch.len(), candidates.candidates.known.len(), candidates.candidates.new.len());
    let knn = recommender.components.list().find(NEAREST_TEXTS);
    let takers = context.ground_truth.taken.transpose();
    let activity =
        (0..users).map(|user| user_batch.representations.history.row(user).0.len() as f32).collect::<Vec<_>>();
    let mut evaluator = Evaluator::new(&[], context.seed);
    let mut tables = [PerUser::new(1), PerUser::new(1), PerUser::new(1)];
    let (mut by_model, mut by_text) = (vec![0.0; users * ITEMS], vec![0.0; users * ITEMS]);
    let mut values = [f64::NAN; 2];
    for start in (0..width).step_by(ITEMS) {
        check(stop)?;
        let block = start..width.min(start + ITEMS);
        let size = block.len();
        logits.scores_into(0..users, first + block.start..first + block.end, &mut by_model[..users * size]);
        if let Some(knn) = knn {
            pairs.scores_into(knn, 0..users, block.clone(), &mut by_text[..users * size]);
        }
        for (column, good) in block.enumerate() {
            let good = (first + good) as u32;
            let chosen = takers.row(good as usize).0;
            if chosen.is_empty() || !context.is_new[good as usize] {
                continue;
            }
            let column_of = |scores: &[f32]| (0..users).map(|user| scores[user * size + column]).collect::<Vec<_>>();
            for (scores, table) in [column_of(&by_model), activity.clone(), column_of(&by_text)].iter().zip(&mut tables)
            {
                evaluator.rank(u64::from(good), scores, &[]);
                evaluator.measure(chosen, &[], &mut values);
                table.push(good, &values[1..]);
            }
        }
    }
    let methods = [Some(loaded.reference.as_str()), Some("activity"), knn.map(|knn| knn.name())];
    for (method, means) in methods.into_iter().zip(&tables).filter_map(|(method, means)| Some((method?, means))) {
        let estimate = resampling.means(means, stop)?.into_iter().next().flatten();
        let (subject, column) = (Subject { method, boost: None }, Column { metric: Metric::Auc, k: None });
        if let Some(row) = table.estimate(subject, "new", Segment::New, column, estimate) {
            AUDIENCE_AUC.clone_into(&mut row.metric);
        }
    }
    Ok(())
}

//! `audience(...)`: takes the users and items of a call, gives the users who are most likely to buy each item.

use std::sync::Arc;

use arrow::array::{Float32Array, Int64Array, RecordBatch};
use datafusion::common::{DataFusionError, Result};
use debut_udfs::audience::{self, AudienceOptions};
use debut_udfs::recommender::Request;

use super::BATCH;
use crate::background::Listener;
use crate::fetch::Progress;
use crate::linalg::logistic::sigmoid;
use crate::recommend::inputs;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::inputs::users::CallUsers;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::ranking::top_users;

/// The rows of `audience`. What people should know beside them is told to `notes`.
pub(super) fn rows(
    request: &Request<AudienceOptions>,
    loaded: &Loaded,
    notes: &Progress<'_>,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let (options, recommender) = (&request.options, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let (users, items) = inputs::read(audience::NAME, loaded, &request.inputs, false, notes, &stop)?;
    let (CallUsers { ids, user_batch, .. }, CallItems { ids: item_ids, candidates, .. }) = (&users, &items);
    let logits = recommender.logits(user_batch, candidates, 1.0);
    let had = inputs::had(recommender, &users, &items);
    let best = top_users(&logits, options.k, Some(&had), &stop)?;
    for item in 0..best.rows() {
        let (users, logits) = best.row(item);
        for (part, (users, logits)) in users.chunks(BATCH).zip(logits.chunks(BATCH)).enumerate() {
            let first = (part * BATCH) as i64 + 1;
            let probabilities = logits.iter().map(|logit| sigmoid(f64::from(*logit)) as f32).collect::<Float32Array>();
            let probabilities = Arc::new(probabilities);
            listener.send(
                RecordBatch::try_new(
                    audience::schema(request.ids),
                    vec![
                        item_ids.array(users.iter().map(|_| item as u32)),
                        ids.array(users.iter().copied()),
                        Arc::new((first..first + users.len() as i64).collect::<Int64Array>()),
                        Arc::clone(&probabilities) as _,
                        probabilities,
                    ],
                )
                .map_err(DataFusionError::from),
            );
        }
    }
    Ok(())
}

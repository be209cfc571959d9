//! What happened: takes the interactions of a call, gives who took which of the candidates, and what was logged with propensities.

use arrow::array::Array;
use debut_udfs::trainer::Table;

use crate::linalg::sparse::Csr;
use crate::recommend::dataset::ids::id_in;
use crate::recommend::dataset::interactions::{Columns, earlier};
use crate::recommend::dataset::snapshot::WEEK;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::model::recommender::Recommender;

/// What happened after the model's training.
#[derive(Debug)]
pub(crate) struct GroundTruth {
    /// Users of the model x candidates: what they took and had not had.
    pub(crate) taken: Csr,
    /// The same, the value being the whole weeks since the item's launch, plus one.
    pub(crate) weeks: Csr,
    /// Rows with a propensity: user, good, reward, propensity; in order of users.
    pub(crate) logged: Vec<(u32, u32, f64, f64)>,
    /// What was left out and why, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// Reads the interactions at `since` or later.
pub(crate) fn read(recommender: &Recommender, candidates: &CallItems<'_>, table: &Table, since: i64) -> GroundTruth {
    let places = candidates.places();
    let columns = Columns::of(table);
    let (user_ids, item_ids) = (columns.ids("user_id"), columns.ids("item_id"));
    let mut events = Vec::new();
    let (mut early, mut unlisted, mut cold_start_users) = (0usize, 0usize, 0usize);
    for (batch, (users, items)) in user_ids.iter().zip(&item_ids).enumerate() {
        for row in 0..users.len() {
            let Some(time) = columns.time("timestamp", batch, row).filter(|time| *time >= since) else {
                early += 1;
                continue;
            };
            let Some(item) = id_in(items.as_ref(), row).and_then(|id| places.get(&id).copied()) else {
                unlisted += 1;
                continue;
            };
            let user = recommender.users.find_in(users.as_ref(), row);
            cold_start_users += usize::from(user.is_none() && users.is_valid(row));
            let label = columns.number("label", batch, row).unwrap_or(1.0);
            events.push((user, item, time, label, columns.number("propensity", batch, row)));
        }
    }
    // A launch is when it was said to be, or when anybody, known or not, first took the item.
    let mut launched = candidates.launched.clone();
    for (_, item, time, ..) in events.iter().filter(|event| event.3 > 0.0) {
        earlier(&mut launched[*item as usize], *time);
    }
    let mut rows = vec![Vec::new(); recommender.users.len()];
    let mut logged = Vec::new();
    for (user, item, time, label, propensity) in events {
        let Some(user) = user else { continue };
        if let Some(propensity) = propensity {
            logged.push((user, item, label, propensity));
        }
        let had = candidates.candidates.known.known.get(item as usize).copied().flatten();
        let had = had.is_some_and(|known| {
            recommender.representations.history.row(user as usize).0.binary_search(&known).is_ok()
        });
        if label > 0.0 && !had {
            let weeks = launched[item as usize].map_or(0, |launch| (time - launch).max(0) / WEEK);
            rows[user as usize].push((item, weeks as f32 + 1.0));
        }
    }
    logged.sort_by_key(|row| (row.0, row.1));
    for row in &mut rows {
        // Of several times the first counts.
        row.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        row.dedup_by_key(|(item, _)| *item);
    }
    let weeks = Csr::from_rows(candidates.candidates.len(), rows);
    let parts = [
        (early, "interactions are earlier than what is evaluated, or have no timestamp"),
        (unlisted, "interactions are with items that are not among the items"),
        (cold_start_users, "interactions are of users whom the model does not know; they are not ranked"),
        candidates.left_out,
    ];
    let notes = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    GroundTruth { taken: weeks.clone().map(|_| 1.0), weeks, logged, notes }
}

//! Whether forecasts of launches come true: takes a model and what happened, gives the share of launches that its intervals hold, and the
//! mean absolute errors of its means and of the mean of similar items.

use datafusion::common::{DataFusionError, Result};
use debut_udfs::trainer::Table as Input;

use super::bootstrap::Resampling;
use super::context::Segment;
use super::per_user::PerUser;
use super::rows::{Subject, Table};
use super::{Column, Metric};
use crate::cancellation::Stop;
use crate::recommend::dataset::ids::{Ids, id_in};
use crate::recommend::dataset::interactions::{Columns, Event, earlier};
use crate::recommend::forecast::forecaster::Forecaster;
use crate::recommend::forecast::outcome::{Outcome, outcomes};
use crate::recommend::forecast::regression::Forecast;
use crate::recommend::inputs::items::CallItems;
use crate::recommend::model::launch_features::launch_features;
use crate::recommend::model::loaded::Loaded;

/// What anybody could go by: the buyers that similar items have in as many weeks.
const SIMILAR: &str = "similar_items";

/// Adds the rows for new candidates that were launched at `since` or later, and whose first so many weeks are known; gives why there
/// are none, for people.
pub(crate) fn rows(
    table: &mut Table,
    loaded: &Loaded,
    candidates: &CallItems<'_>,
    interactions: &Input,
    (since, weeks): (i64, usize),
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<Option<String>> {
    let recommender = loaded.recommender.as_ref();
    let forecaster = Forecaster::fit(recommender.past_launches.as_ref(), weeks, stop);
    let forecaster = match forecaster.map_err(|error| DataFusionError::External(Box::new(error)))? {
        Ok(forecaster) => forecaster,
        Err(reason) => return Ok(Some(format!("no forecasts of {weeks} weeks were measured: {reason}"))),
    };
    let outcomes = launches(&recommender.users, candidates, interactions, since);
    let prices = &candidates.unsold.prices;
    let features = launch_features(recommender, &candidates.candidates, prices, stop)?;
    let (mut model, mut similar, mut revenues) = (PerUser::new(3), PerUser::new(1), PerUser::new(2));
    for (item, (features, outcome)) in (0..).zip(features.iter().zip(&outcomes)) {
        let Some((buyers, units)) = outcome.first(weeks) else { continue };
        let buyers = f64::from(buyers);
        let measured = |forecast: &Forecast, outcome: f64| {
            [f64::from(u8::from(forecast.holds(outcome))), (forecast.mean - outcome).abs()]
        };
        let [held, error] = measured(&forecaster.buyers(features), buyers);
        model.push(item, &[held, error, buyers]);
        similar.push(item, &[(forecaster.similar_buyers(features) - buyers).abs()]);
        if let Some(forecast) = forecaster.revenue(features) {
            let revenue = f64::from(units) * f64::from(features.price).exp();
            revenues.push(item, &measured(&forecast, revenue));
        }
    }
    if model.rows() == 0 {
        let reason = "no new item was launched so long before the last interaction";
        return Ok(Some(format!("no forecasts of {weeks} weeks were measured: {reason}")));
    }
    let reference = loaded.reference.as_str();
    let metrics: [(&str, &PerUser, &[Metric]); 3] = [
        (reference, &model, &[Metric::ForecastCoverage, Metric::ForecastError, Metric::Buyers]),
        (SIMILAR, &similar, &[Metric::ForecastError]),
        (reference, &revenues, &[Metric::RevenueCoverage, Metric::RevenueError]),
    ];
    for (method, values, metrics) in metrics {
        for (metric, estimate) in metrics.iter().zip(resampling.means(values, stop)?) {
            let (subject, column) = (Subject { method, boost: None }, Column { metric: *metric, k: None });
            if let Some(row) = table.estimate(subject, "new", Segment::New, column, estimate) {
                // Buyers of launches, not of users.
                row.users = recommender.users.len() as u64;
                row.items = values.rows() as u64;
                row.week = Some(weeks as u64);
            }
        }
    }
    Ok(None)
}

/// What each candidate without a history did; nothing of one that is not a launch.
fn launches(trained: &Ids, candidates: &CallItems<'_>, interactions: &Input, since: i64) -> Vec<Outcome> {
    let (places, known) = (candidates.places(), candidates.candidates.known.len());
    let columns = Columns::of(interactions);
    let (user_ids, item_ids) = (columns.ids("user_id"), columns.ids("item_id"));
    let mut rows = Vec::new();
    for (batch, ids) in user_ids.iter().enumerate() {
        rows.extend((0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| (batch, row)));
    }
    let users = Ids::sorted(trained.class(), &user_ids, &mut rows).distinct();
    // As in training: an item counts whose launch was said to be then, or that a known user bought.
    let mut launched = candidates.launched[known..].to_vec();
    let mut counts = launched.iter().map(Option::is_some).collect::<Vec<_>>();
    let (mut events, mut end) = (Vec::new(), i64::MIN);
    for (batch, (user_ids, item_ids)) in user_ids.iter().zip(&item_ids).enumerate() {
        for row in 0..user_ids.len() {
            let Some(time) = columns.time("timestamp", batch, row) else { continue };
            end = end.max(time.saturating_add(1));
            let bought = columns.number("label", batch, row).unwrap_or(1.0) > 0.0;
            let item = id_in(item_ids.as_ref(), row).and_then(|id| places.get(&id).copied());
            let Some(item) = item.and_then(|item| (item as usize).checked_sub(known)).filter(|_| bought) else {
                continue;
            };
            // A purchase before `since` makes a launch earlier, too.
            earlier(&mut launched[item], time);
            counts[item] |= trained.find_in(user_ids.as_ref(), row).is_some();
            let user = users.find_in(user_ids.as_ref(), row);
            let quantity = columns.quantity(batch, row);
            events.push(Event { time, user, item: item as u32, weight: 1.0, quantity });
        }
    }
    for ((launch, counts), is_new) in launched.iter_mut().zip(counts).zip(&candidates.is_new[known..]) {
        *launch = launch.filter(|launch| counts && *is_new && *launch >= since);
    }
    outcomes(&events, &launched, end)
}

//! `forecast_launch(...)`: takes items, gives what each sells in its first weeks and what it takes from similar items.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, exec_err};
use debut_udfs::forecast_launch::{self, ForecastOptions};
use debut_udfs::ids::Ids as IdTypes;
use debut_udfs::recommender::Request;

use super::lists::list_of_structs;
use crate::background::Listener;
use crate::recommend::dataset::ids::Ids;
use crate::recommend::forecast::forecaster::Forecaster;
use crate::recommend::forecast::past_launches::{LaunchFeatures, shares};
use crate::recommend::forecast::regression::Forecast;
use crate::recommend::forecast::substitution::Substitution;
use crate::recommend::inputs::new_items::NewItems;
use crate::recommend::model::launch_features::launch_features;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::{Candidates, Recommender};

/// Items that are embedded and scored together.
const TOGETHER: usize = 1024;
/// Items that a launch takes buyers from, as rows name them, at most: the most similar ones.
const TAKEN_FROM: usize = 10;

/// The rows of `forecast_launch`.
pub(super) fn rows(
    request: &Request<ForecastOptions>,
    loaded: &Loaded,
    listener: &Listener<RecordBatch>,
) -> Result<()> {
    let name = forecast_launch::NAME;
    let (weeks, recommender) = (request.options.weeks, loaded.recommender.as_ref());
    let stop = || listener.is_gone();
    let forecaster = Forecaster::fit(recommender.past_launches.as_ref(), weeks, &stop);
    let forecaster = match forecaster.map_err(|error| DataFusionError::External(Box::new(error)))? {
        Ok(forecaster) => forecaster,
        Err(reason) => return exec_err!("{name}: '{}' cannot forecast {weeks} weeks: {reason}", loaded.reference),
    };
    let substitution = recommender.past_launches.as_ref().and_then(|past| past.substitution);
    let Some(table) = &request.inputs.items else { return Ok(()) };
    let (ids, items) = NewItems::with_text(name, loaded, table, &stop)?;
    let left_out = table.rows() - ids.len();
    if left_out > 0 {
        tracing::warn!("{name}: {left_out} items have no text and are left out");
    }
    let numbers = (0..ids.len() as u32).collect::<Vec<_>>();
    for together in numbers.chunks(TOGETHER) {
        let items = items.gather(together);
        let candidates = items.candidates(loaded, &[], &stop)?;
        let features = launch_features(recommender, &candidates, &items.prices, &stop)?;
        let launches = Launches { recommender, ids: ids.gather(together), candidates, features };
        listener.send(launches.batch(&forecaster, substitution, request.ids));
    }
    Ok(())
}

/// Items to be launched.
struct Launches<'a> {
    recommender: &'a Recommender,
    ids: Ids,
    candidates: Candidates<'a>,
    features: Vec<LaunchFeatures>,
}

impl Launches<'_> {
    fn batch(&self, forecaster: &Forecaster, substitution: Option<Substitution>, ids: IdTypes) -> Result<RecordBatch> {
        let schema = forecast_launch::schema(ids);
        let buyers = self.features.iter().map(|features| forecaster.buyers(features)).collect::<Vec<_>>();
        let revenue = self.features.iter().map(|features| forecaster.revenue(features)).collect::<Vec<_>>();
        let of_buyers = |end: fn(&Forecast) -> f64| numbers(buyers.iter().map(|forecast| Some(end(forecast))));
        let of_revenue = |end: fn(&Forecast) -> f64| numbers(revenue.iter().map(|forecast| forecast.as_ref().map(end)));
        let taken = |share: fn(&Substitution) -> f64| {
            let share = substitution.as_ref().map(share);
            numbers(buyers.iter().map(move |forecast| Some(share? * forecast.mean)))
        };
        let similar = self.features.iter().map(|features| forecaster.similar_buyers(features));
        let weeks = vec![forecaster.weeks as i64; buyers.len()];
        let columns: Vec<ArrayRef> = vec![
            self.ids.array(0..self.ids.len() as u32),
            Arc::new(Int64Array::from(weeks)),
            of_buyers(|forecast| forecast.mean),
            of_buyers(|forecast| forecast.low),
            of_buyers(|forecast| forecast.high),
            of_revenue(|forecast| forecast.mean),
            of_revenue(|forecast| forecast.low),
            of_revenue(|forecast| forecast.high),
            numbers(similar.map(Some)),
            taken(|substitution| substitution.share),
            taken(|substitution| substitution.low),
            taken(|substitution| substitution.high),
            self.taken_from(&buyers, substitution, schema.field(schema.fields().len() - 1).data_type())?,
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// For each item the similar ones with the buyers that each loses, the most similar first.
    fn taken_from(&self, buyers: &[Forecast], substitution: Option<Substitution>, kind: &DataType) -> Result<ArrayRef> {
        let (mut lengths, mut known, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for (forecast, neighbours) in buyers.iter().zip(self.candidates.new.neighbours.iter()) {
            let mut shares = substitution.iter().flat_map(|_| shares(neighbours)).collect::<Vec<_>>();
            shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
            shares.truncate(TAKEN_FROM);
            lengths.push(shares.len());
            let taken = substitution.map_or(0.0, |substitution| substitution.share * forecast.mean);
            for (item, share) in shares {
                known.push(self.recommender.known[item as usize]);
                lost.push(taken * f64::from(share));
            }
        }
        let items = self.recommender.items.ids.array(known.into_iter());
        Ok(list_of_structs(kind, lengths, vec![items, Arc::new(Float64Array::from(lost))])?)
    }
}

fn numbers(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

//! Forecasts for a number of weeks: takes past launches, gives buyers and revenue of new ones.

use super::past_launches::{LaunchFeatures, PastLaunches};
use super::regression::{Forecast, LEAST, Regression, Target};
use crate::cancellation::Stop;
use crate::linalg::Error;
use crate::recommend::dataset::snapshot::RECENT_DAYS;

/// What launches do in their first weeks.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecaster {
    /// How many weeks.
    pub weeks: usize,
    buyers: Regression,
    units: Regression,
}

impl Forecaster {
    /// Learns from past launches; why it cannot, for people, where there are too few.
    ///
    /// # Errors
    /// It was stopped.
    pub fn fit(past: Option<&PastLaunches>, weeks: usize, stop: Stop<'_>) -> Result<Result<Self, String>, Error> {
        let Some(PastLaunches { launches, .. }) = past else {
            return Ok(Err("its training held out no past launches by time: that takes twice the days of window => of \
                           interactions, and split => 'time'. Models of earlier versions of Debut have none either; train it again"
                .into()));
        };
        let fit = |target| Regression::fit(launches, target, weeks, stop);
        Ok(match (fit(Target::Buyers)?, fit(Target::Units)?) {
            (Ok(buyers), Ok(units)) => Ok(Self { weeks, buyers, units }),
            (Err(count), _) | (_, Err(count)) => Err(format!(
                "of {} past launches in its training data {count} were on sale for so long, and an interval takes {LEAST}; forecast \
                 fewer weeks, or train on more interactions",
                launches.len()
            )),
        })
    }

    /// The buyers of an item.
    pub fn buyers(&self, features: &LaunchFeatures) -> Forecast {
        self.buyers.forecast(features)
    }

    /// The revenue from an item: its units times its price; `None` without a price.
    pub fn revenue(&self, features: &LaunchFeatures) -> Option<Forecast> {
        let price = f64::from(features.price).exp();
        let Forecast { mean, low, high } = self.units.forecast(features);
        price.is_finite().then_some(Forecast { mean: mean * price, low: low * price, high: high * price })
    }

    /// The buyers that similar items have in as many weeks: what anybody could go by.
    pub fn similar_buyers(&self, features: &LaunchFeatures) -> f64 {
        f64::from(features.similar) * (7 * self.weeks) as f64 / RECENT_DAYS as f64
    }
}

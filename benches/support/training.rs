//! Training from SQL, and what it is worth: takes a session and the arguments of a call; takes pairs of values, gives how much the
//! second are above the first.

use datafusion::common::ScalarValue;
use debut::engine::Session;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::query::rows;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// Trains from SQL; prints a row per epoch.
pub(crate) async fn train(session: &Session, arguments: &str) -> Result<()> {
    println!("CALL finetune({})", arguments.split_whitespace().collect::<Vec<_>>().join(" "));
    let epochs = rows(session, &format!("CALL finetune({arguments})")).await?;
    for row in 0..epochs.num_rows() {
        let cell = |name: &str| -> Result<String> {
            let column = epochs.column_by_name(name).ok_or("no such column")?;
            Ok(ScalarValue::try_from_array(column, row)?.to_string())
        };
        let [epoch, train, validation, metric, elapsed] =
            [cell("epoch")?, cell("train_loss")?, cell("validation_loss")?, cell("metric")?, cell("elapsed")?];
        println!("  epoch {epoch}: loss {train}, validation {validation}, metric {metric}, after {elapsed} s");
    }
    Ok(())
}

/// The mean difference of paired values, and the 2.5th and 97.5th percentile of its bootstrap.
pub(crate) fn difference(pairs: &[(f64, f64)]) -> (f64, f64, f64) {
    let mut random = StdRng::seed_from_u64(1);
    let mean = |sum: f64| sum / pairs.len() as f64;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| mean((0..pairs.len()).map(|_| pairs[random.random_range(0..pairs.len())]).map(|(a, b)| b - a).sum()))
        .collect();
    means.sort_by(f64::total_cmp);
    (mean(pairs.iter().map(|(a, b)| b - a).sum()), means[RESAMPLES / 40], means[RESAMPLES - RESAMPLES / 40])
}

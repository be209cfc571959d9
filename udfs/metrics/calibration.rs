//! Whether probabilities are true: the loss of one, and bins of similar ones with what came of them.
//!
//! Takes what happened and how probable it was said to be; gives losses, bins and the calibration error.

/// The least probability that [`log_loss`] reckons with, as scikit-learn's: the distance of 1 to the next number.
const LEAST: f64 = f64::EPSILON;

/// What was predicted, and what was true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// What was true: 1 or 0 for what happened or did not, or how relevant something was.
    pub truth: f64,
    /// What was predicted: a probability, or a score to rank by. Not NaN.
    pub score: f64,
}

/// How probabilities are put into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binning {
    /// So many bins of equally many rows; equal probabilities are never split. Rare things have most of their
    /// probabilities near zero, where bins of equal width would see but one bin. Nguyen and O'Connor, 2015,
    /// <https://doi.org/10.18653/v1/D15-1182>.
    EqualCount(usize),
    /// So many bins of equal width, closed on the right. Naeini and others, 2015,
    /// <https://doi.org/10.1609/aaai.v29i1.9602>.
    EqualWidth(usize),
}

impl Default for Binning {
    fn default() -> Self {
        Self::EqualCount(15)
    }
}

/// Rows with similar probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The least probability among them.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// How many rows there are.
    pub rows: usize,
    /// The mean of their probabilities.
    pub predicted: f64,
    /// The share of them that happened.
    pub observed: f64,
}

/// `-log(probability of what happened)`. Probabilities are kept off 0 and 1 by 2^-52, as scikit-learn keeps those of
/// `Float64`, so that one certain mistake costs 36 and not everything.
pub fn log_loss(outcome: Outcome) -> f64 {
    let p = outcome.score.clamp(LEAST, 1.0 - LEAST);
    // Where one of the two did not happen, its part is a zero.
    -(outcome.truth * p.ln() + (1.0 - outcome.truth) * (-p).ln_1p())
}

/// Sorts the rows and gives the bins that have any, by ascending probability.
pub fn bins(rows: &mut [Outcome], binning: Binning) -> Vec<Bin> {
    rows.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
    let mut bins: Vec<Bin> = Vec::new();
    let (mut first, mut last, mut start) = (0, None, 0);
    for ties in rows.chunk_by(|a, b| a.score == b.score) {
        let number = match binning {
            Binning::EqualCount(bins) => bin_of_place(first, rows.len(), bins),
            Binning::EqualWidth(bins) => bin_of_value(ties[0].score, bins),
        };
        if last != Some(number) {
            bins.extend(bin(&rows[start..first]));
            (last, start) = (Some(number), first);
        }
        first += ties.len();
    }
    bins.extend(bin(&rows[start..first]));
    bins
}

/// The bin of tied rows, of which the first has this place. The edges are the quantiles of scikit-learn's
/// `calibration_curve(strategy="quantile")`: edge i is at place i (rows - 1) / bins, and a bin is closed on the right.
fn bin_of_place(first: usize, rows: usize, bins: usize) -> usize {
    // How many edges are below the place.
    let edges = (first as u128 * bins as u128).div_ceil((rows.max(2) - 1) as u128) as usize;
    edges.saturating_sub(1).min(bins.saturating_sub(1))
}

/// The bin of equal width in [0, 1].
fn bin_of_value(value: f64, bins: usize) -> usize {
    let last = bins.saturating_sub(1);
    let mut bin = ((value * bins as f64).ceil() as usize).saturating_sub(1).min(last);
    // The product may be rounded over an edge.
    while bin > 0 && value <= bin as f64 / bins as f64 {
        bin -= 1;
    }
    while bin < last && value > (bin + 1) as f64 / bins as f64 {
        bin += 1;
    }
    bin
}

fn bin(rows: &[Outcome]) -> Option<Bin> {
    let (low, high) = (rows.first()?.score, rows.last()?.score);
    let mean = |value: fn(&Outcome) -> f64| rows.iter().map(value).sum::<f64>() / rows.len() as f64;
    Some(Bin { low, high, rows: rows.len(), predicted: mean(|row| row.score), observed: mean(|row| row.truth) })
}

/// The expected calibration error: how far the mean probability of a bin is from what happened, over all rows; `None`
/// without bins. Guo and others, 2017, <https://proceedings.mlr.press/v70/guo17a.html>.
pub fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let error: f64 = bins.iter().map(|bin| bin.rows as f64 * (bin.predicted - bin.observed).abs()).sum();
    (rows > 0).then(|| error / rows as f64)
}

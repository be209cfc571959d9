//! Past launches with what was known before them: takes outcomes and features, kept in a recommender's file.

use std::iter::repeat;

use super::MOST_WEEKS;
use super::outcome::Outcome;
use super::substitution::Substitution;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Row;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// The columns of features in a file.
const FEATURES: usize = 3;

/// What is known of an item before its launch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaunchFeatures {
    /// The sum of all users' probabilities.
    pub expected: f32,
    /// The recent buyers of similar items, as [`similar_buyers`] gives them.
    pub similar: f32,
    /// The logarithm of the price; NaN where none is known.
    pub price: f32,
}

/// A launch.
#[derive(Debug, Clone, PartialEq)]
pub struct PastLaunch {
    /// The number of the holdout window that it is of.
    pub window: u32,
    /// What was known before it.
    pub features: LaunchFeatures,
    /// What happened then.
    pub outcome: Outcome,
}

/// What a recommender keeps of past launches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PastLaunches {
    /// The launches, by window.
    pub launches: Vec<PastLaunch>,
    /// What they took from similar items; `None` where it could not be said.
    pub substitution: Option<Substitution>,
}

/// The share of an item that each of its neighbours has, by the squares of their similarities: how similar items are averaged, and how
/// what is taken from them is shared out.
pub fn shares((neighbours, similarities): Row<'_>) -> impl Iterator<Item = (u32, f32)> {
    let sum: f32 = similarities.iter().map(|similarity| similarity * similarity).sum();
    let share = move |similarity: f32| if sum > 0.0 { similarity * similarity / sum } else { 0.0 };
    neighbours.iter().copied().zip(similarities.iter().map(move |similarity| share(*similarity)))
}

/// The mean of the `recent` buyers of an item's neighbours, by [`shares`]; 0 without neighbours.
pub fn similar_buyers(neighbours: Row<'_>, recent: &[u32]) -> f32 {
    shares(neighbours).map(|(item, share)| share * recent[item as usize] as f32).sum()
}

impl PastLaunches {
    pub(crate) fn save(&self, section: &mut Section<'_>) -> Result<()> {
        let launches = &self.launches;
        section.u32s("windows", launches.iter().map(|launch| launch.window));
        section.u32s("weeks", launches.iter().map(|launch| launch.outcome.buyers.len() as u32));
        let features = launches.iter().map(|launch| launch.features);
        let features = features.flat_map(|of| [of.expected, of.similar, of.price]).collect();
        section.matrix("features", &Matrix::new(launches.len(), FEATURES, features));
        let weekly = |of: fn(&Outcome) -> &[f32]| {
            let padded = |launch| of(launch).iter().copied().chain(repeat(0.0)).take(MOST_WEEKS);
            let values = launches.iter().flat_map(|launch| padded(&launch.outcome)).collect();
            Matrix::new(launches.len(), MOST_WEEKS, values)
        };
        section.matrix("buyers", &weekly(|outcome| &outcome.buyers));
        section.matrix("units", &weekly(|outcome| &outcome.units));
        section.value("substitution", &self.substitution)
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> Result<Self> {
        let (windows, weeks) = (section.u32s("windows")?, section.u32s("weeks")?);
        let (features, buyers) = (section.matrix("features")?, section.matrix("buyers")?);
        let units = section.matrix("units")?;
        let count = windows.len();
        let counts = [weeks.len(), features.rows(), buyers.rows(), units.rows()];
        let wide = buyers.columns().min(units.columns());
        let fits = counts == [count; 4] && features.columns() == FEATURES;
        if !fits || weeks.iter().any(|weeks| *weeks as usize > wide) {
            return Err(section.damaged("windows", "are of other launches than the rest"));
        }
        let launch = |place: usize| {
            let (weeks, features) = (weeks[place] as usize, features.row(place));
            PastLaunch {
                window: windows[place],
                features: LaunchFeatures { expected: features[0], similar: features[1], price: features[2] },
                outcome: Outcome {
                    buyers: buyers.row(place)[..weeks].to_vec(),
                    units: units.row(place)[..weeks].to_vec(),
                },
            }
        };
        Ok(Self { launches: (0..count).map(launch).collect(), substitution: section.value("substitution")? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::linalg::sparse::Csr;
    use crate::recommend::storage::{Stored, Writer};

    #[test]
    fn what_is_read_is_what_was_written() {
        let launch = |window, weeks: usize| PastLaunch {
            window,
            features: LaunchFeatures { expected: 1.5, similar: 0.0, price: weeks as f32 },
            outcome: Outcome { buyers: vec![1.0; weeks], units: vec![2.5; weeks] },
        };
        let launches = vec![launch(0, 3), launch(2, 0), launch(2, MOST_WEEKS)];
        let substitution = Some(Substitution { share: 0.25, low: -0.5, high: 0.75 });
        for all in [PastLaunches { launches, substitution }, PastLaunches::default()] {
            let mut writer = Writer::default();
            all.save(&mut writer.section("past")).unwrap();
            let (tensors, values) = writer.into_parts();
            let bytes = tensors.into_bytes().unwrap();
            let stored = Stored::new(&bytes, values, Path::new("file")).unwrap();
            assert_eq!(PastLaunches::load(&stored.section("past")).unwrap(), all);
        }
    }

    #[test]
    fn similar_items_count_by_the_squares_of_their_similarities() {
        let neighbours = Csr::from_rows(3, [vec![(0, 1.0), (2, 3.0)], vec![]]);
        assert_eq!(shares(neighbours.row(0)).collect::<Vec<_>>(), [(0, 0.1), (2, 0.9)]);
        assert!((similar_buyers(neighbours.row(0), &[10, 99, 20]) - 19.0).abs() < 1e-5);
        assert_eq!(similar_buyers(neighbours.row(1), &[10, 99, 20]), 0.0);
    }
}

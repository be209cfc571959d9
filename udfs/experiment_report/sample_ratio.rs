//! Whether users were dealt out as planned: Pearson's chi-square test.
//!
//! Takes the number of users of each variant and the shares they should have; gives the statistic and its p-value. A small
//! one (below 0.001, say) means that assignment or logging is broken, and then no other number of the report is to be
//! believed. Fabijan and others, "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019,
//! <https://doi.org/10.1145/3292500.3330722>.

use super::estimate::Estimate;
use crate::distributions::chi_square_upper;

/// The test. `groups` are the users of each variant, and its weight. No p-value for a single variant.
pub fn test(groups: &[(f64, f64)]) -> Estimate {
    let (users, weights) = groups.iter().fold((0.0, 0.0), |sums, group| (sums.0 + group.0, sums.1 + group.1));
    let part = |(found, weight): &(f64, f64)| {
        let expected = users * weight / weights;
        // Nobody where nobody should be is 0 / 0.
        if *found == expected { 0.0 } else { (found - expected).powi(2) / expected }
    };
    let statistic = groups.iter().map(part).sum::<f64>();
    let freedom = groups.len() as f64 - 1.0;
    let p_value = (freedom > 0.0).then(|| chi_square_upper(statistic, freedom));
    Estimate { p_value, ..Estimate::bare(statistic) }
}

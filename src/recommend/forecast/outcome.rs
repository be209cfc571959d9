//! What was bought of items in the first weeks after their launches: takes events, gives buyers and units week by week.

use std::collections::HashSet;

use super::MOST_WEEKS;
use crate::recommend::dataset::interactions::Event;
use crate::recommend::dataset::snapshot::WEEK;

/// What was bought of an item since its launch. A value for each week that has ended, with all weeks before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Users.
    pub buyers: Vec<f32>,
    /// Units.
    pub units: Vec<f32>,
}

impl Outcome {
    /// Buyers and units of the first so many weeks; `None` where they had not ended.
    pub fn first(&self, weeks: usize) -> Option<(f32, f32)> {
        let last = weeks.checked_sub(1)?;
        Some((*self.buyers.get(last)?, *self.units.get(last)?))
    }
}

/// What was bought of items since they were `launched`, in microseconds since 1970; `None` for items that are not asked about. Nothing
/// is known from `end` on. Events come in any order; those before a launch are not counted. Of somebody unknown the units are.
pub fn outcomes(events: &[Event], launched: &[Option<i64>], end: i64) -> Vec<Outcome> {
    let observed = launched.iter().map(|launched| {
        let weeks = launched.map_or(0, |launched| end.saturating_sub(launched).max(0) / WEEK);
        let weeks = usize::try_from(weeks).unwrap_or(MOST_WEEKS).min(MOST_WEEKS);
        Outcome { buyers: vec![0.0; weeks], units: vec![0.0; weeks] }
    });
    let mut outcomes = observed.collect::<Vec<_>>();
    // With the week since the launch, where it has ended.
    let week = |event: &Event| {
        let launched = launched.get(event.item as usize).copied().flatten()?;
        let since = event.time.checked_sub(launched).filter(|since| *since >= 0)?;
        usize::try_from(since / WEEK).ok().filter(|week| *week < outcomes[event.item as usize].units.len())
    };
    let mut bought = events.iter().filter_map(|event| Some((week(event)?, event))).collect::<Vec<_>>();
    // A buyer counts in the week of the first purchase.
    bought.sort_by_key(|(week, _)| *week);
    let mut seen = HashSet::new();
    for (week, Event { user, item, quantity, .. }) in bought {
        let outcome = &mut outcomes[*item as usize];
        outcome.units[week] += quantity;
        if user.is_some_and(|user| seen.insert((*item, user))) {
            outcome.buyers[week] += 1.0;
        }
    }
    for Outcome { buyers, units } in &mut outcomes {
        for values in [buyers, units] {
            (1..values.len()).for_each(|week| values[week] += values[week - 1]);
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buyers_count_once_and_weeks_that_have_not_ended_do_not() {
        let bought = |days: i64, user, item, quantity| {
            let time = days * WEEK / 7;
            Event { time, user, item, weight: 1.0, quantity }
        };
        let events = [
            bought(20, Some(1), 0, 2.0),
            bought(0, Some(1), 0, 1.0),
            bought(6, None, 0, 5.0),
            bought(8, Some(2), 0, 1.0),
            // Before the launch, not asked about, unknown, and in a week that has not ended.
            bought(0, Some(1), 1, 1.0),
            bought(9, Some(1), 2, 1.0),
            bought(9, Some(1), 7, 1.0),
            bought(23, Some(3), 0, 1.0),
        ];
        let launched = [Some(0), Some(7 * WEEK / 7), None];
        let found = outcomes(&events, &launched, 24 * WEEK / 7);
        assert_eq!(found[0], Outcome { buyers: vec![1.0, 2.0, 2.0], units: vec![6.0, 7.0, 9.0] });
        assert_eq!(found[1], Outcome { buyers: vec![0.0; 2], units: vec![0.0; 2] });
        assert_eq!(found[2], Outcome::default());
        assert_eq!((found[0].first(3), found[0].first(4), found[0].first(0)), (Some((2.0, 9.0)), None, None));
        // What is launched later, or ages ago.
        let found = outcomes(&[], &[Some(WEEK), Some(i64::MIN)], 0);
        assert_eq!((found[0].units.len(), found[1].units.len()), (0, MOST_WEEKS));
    }
}

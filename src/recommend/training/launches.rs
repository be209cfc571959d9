//! Past launches to forecast from: takes holdout windows with their launches as they were then, gives what was expected of each launch,
//! what happened, and what launches took from items on sale.

use std::collections::HashSet;
use std::ops::Range;

use crate::cancellation::{Cancelled, Stop};
use crate::recommend::dataset::holdout::HoldoutWindow;
use crate::recommend::dataset::interactions::{InteractionDataset, earlier};
use crate::recommend::forecast::outcome::outcomes;
use crate::recommend::forecast::past_launches::{LaunchFeatures, PastLaunch, PastLaunches, shares, similar_buyers};
use crate::recommend::forecast::substitution::{Incumbent, Substitution};
use crate::recommend::model::blend::{Blend, TrainingExamples};
use crate::recommend::model::expected_buyers::expected_buyers;
use crate::recommend::model::logits::Logits;

/// What the launches of these windows did, each with its examples, by this blend of new items; `None` where time has no part in a
/// window, or there is none.
///
/// # Errors
/// It was stopped.
pub(super) fn past_launches(
    dataset: &InteractionDataset,
    windows: &[(&HoldoutWindow, TrainingExamples<'_>)],
    blend: &Blend,
    seed: u64,
    stop: Stop<'_>,
) -> Result<Option<PastLaunches>, Cancelled> {
    let ends = windows.iter().map(|(window, _)| window.until).collect::<Option<Vec<_>>>();
    let Some(ends) = ends.filter(|ends| !ends.is_empty()) else { return Ok(None) };
    let end = dataset.events.last().map_or(i64::MIN, |last| last.time.saturating_add(1));
    let launched = launch_times(dataset);
    let happened = outcomes(&dataset.events, &launched, end);
    let (mut launches, mut incumbents) = (Vec::new(), Vec::new());
    for (number, ((window, examples), until)) in windows.iter().zip(ends).enumerate() {
        let TrainingExamples { pairs, normalization, activity, .. } = *examples;
        let expected = expected_buyers(&Logits { pairs, normalization, activity, blend }, stop)?;
        let within = buyers_within(dataset, &(window.from..until));
        let snapshot = &window.snapshot;
        let mut exposure = vec![0.0; snapshot.items.len()];
        for ((item, expected), neighbours) in
            window.launches.iter().zip(expected).zip(pairs.item_batch.neighbours.iter())
        {
            let buyers = within[*item as usize] as f32;
            shares(neighbours).for_each(|(known, share)| exposure[known as usize] += share * buyers);
            // An item whose launch was said to be earlier was on sale without anybody taking it.
            if launched[*item as usize].is_none_or(|launched| launched < window.from) {
                continue;
            }
            let features = LaunchFeatures {
                expected: expected as f32,
                similar: similar_buyers(neighbours, &snapshot.buyers),
                price: dataset.items.prices[*item as usize],
            };
            let outcome = happened[*item as usize].clone();
            launches.push(PastLaunch { window: number as u32, features, outcome });
        }
        let length = until.saturating_sub(window.from);
        let before = buyers_within(dataset, &(window.from.saturating_sub(length)..window.from));
        incumbents.extend(snapshot.items.iter().zip(exposure).map(|(item, exposure)| Incumbent {
            window: number,
            before: before[*item as usize] as f32,
            after: within[*item as usize] as f32,
            exposure,
        }));
    }
    Ok(Some(PastLaunches { launches, substitution: Substitution::estimate(&incumbents, seed, stop)? }))
}

/// When each item was launched: when it was said to be, or first taken where that was earlier or nothing was said; `None` for items
/// of which neither is known.
fn launch_times(dataset: &InteractionDataset) -> Vec<Option<i64>> {
    let mut launched = dataset.items.launched.clone();
    for event in &dataset.events {
        earlier(&mut launched[event.item as usize], event.time);
    }
    launched
}

/// How many users took each item of the shop in some time.
fn buyers_within(dataset: &InteractionDataset, time: &Range<i64>) -> Vec<u32> {
    let (mut buyers, mut seen) = (vec![0; dataset.items.len()], HashSet::new());
    // Events come by time.
    let before = |moment: i64| dataset.events.partition_point(|event| event.time < moment);
    for event in &dataset.events[before(time.start)..before(time.end)] {
        if event.user.is_some_and(|user| seen.insert((event.item, user))) {
            buyers[event.item as usize] += 1;
        }
    }
    buyers
}

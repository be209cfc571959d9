//! What is written into a run of what was fitted: takes holdout windows and the outcome, gives the run's record and its
//! metrics.

use debut_udfs::finetune::FinetuneOptions;

use super::fit::Outcome;
use super::tuning::epochs;
use super::update::Halves;
use crate::recommend::components::{ComponentList, Reads};
use crate::recommend::dataset::holdout::{HoldoutWindow, day};
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::dataset::snapshot::{Snapshot, numbers};
use crate::recommend::model::blend::Blend;
use crate::recommend::model::validation::{self, K};
use crate::train::run::metrics::{WARM_WEIGHT, WEIGHT, of_component};
use crate::train::run::recommender::{
    BoostInfo, BoostPoint, ComponentInfo, HoldoutInfo, RecommenderInfo, SnapshotInfo,
};

/// What is known before anything is fitted: each holdout window's snapshot, and last the shop as it is now.
pub(crate) fn planned(
    dataset: &InteractionDataset,
    windows: &[HoldoutWindow],
    components: &ComponentList,
    options: &FinetuneOptions,
) -> RecommenderInfo {
    let snapshot = |(place, window): (usize, &HoldoutWindow)| SnapshotInfo {
        name: match window.taken_of_known {
            Some(_) => format!("before {}", day(window.snapshot.now)),
            None => "without the held out items".to_owned(),
        },
        epochs: epochs(options, place == 0),
        users: window.snapshot.users.len() as u64,
        items: window.snapshot.items.len() as u64,
        holdout: Some(HoldoutInfo {
            name: window.title.clone(),
            items: window.launches.len() as u64,
            users: window.taken.iter().filter(|(items, _)| !items.is_empty()).count() as u64,
        }),
    };
    let mut snapshots = windows.iter().enumerate().map(snapshot).collect::<Vec<_>>();
    let taken = dataset.events.iter().filter(|event| event.user.is_some()).map(|event| event.item);
    snapshots.push(SnapshotInfo {
        name: "all that is known".to_owned(),
        epochs: epochs(options, windows.is_empty()),
        users: dataset.users.len() as u64,
        items: numbers(taken).len() as u64,
        holdout: None,
    });
    RecommenderInfo { snapshots, components: used(components, dataset), boost: None }
}

/// What is known before a recommender goes on from the version in use: the shop before what it is judged by, and as it is now.
pub(crate) fn planned_update(
    halves: &Halves,
    dataset: &InteractionDataset,
    components: &ComponentList,
    options: &FinetuneOptions,
) -> RecommenderInfo {
    let snapshot = |name: String, snapshot: &Snapshot, holdout| SnapshotInfo {
        name,
        epochs: epochs(options, false),
        users: snapshot.users.len() as u64,
        items: snapshot.items.len() as u64,
        holdout,
    };
    let (items, users) = (dataset.items.len() as u64, halves.judges() as u64);
    let holdout = HoldoutInfo { name: halves.title(), items, users };
    let snapshots = vec![
        snapshot(format!("before {}", day(halves.first.now)), &halves.first, Some(holdout)),
        snapshot("all that is known".to_owned(), &halves.all, None),
    ];
    RecommenderInfo { snapshots, components: used(components, dataset), boost: None }
}

/// The components that can be fitted: those of pictures only where the shop has some.
fn used(components: &ComponentList, dataset: &InteractionDataset) -> Vec<ComponentInfo> {
    let has_pictures = dataset.items.pictures.is_some();
    let used = components.all().iter().filter(|one| has_pictures || one.reads() != Reads::Picture);
    used.map(|one| ComponentInfo { name: one.name().to_owned(), about: one.about().to_owned() }).collect()
}

/// The boost, and what it was chosen from.
pub(crate) fn boost(outcome: &Outcome) -> BoostInfo {
    let point = |point: &validation::BoostPoint| {
        let validation::BoostPoint { boost, recall, recall_of_new, new_share } = *point;
        BoostPoint { boost, recall, recall_of_new, new_share }
    };
    BoostInfo { chosen: outcome.recommender.boost, curve: outcome.recommender.boosts.iter().map(point).collect() }
}

/// The validation metrics of the blend and of each component alone, and how much each counts.
pub(crate) fn metrics(outcome: &Outcome) -> Vec<(String, f64)> {
    let validation = outcome.validation.iter().enumerate().flat_map(|(place, metrics)| {
        [("recall", metrics.recall), ("ndcg", metrics.ndcg)].map(|(metric, value)| {
            let metric = format!("{metric}@{K}");
            // The blend's mark comes first.
            (if place == 0 { metric } else { of_component(&metric, &metrics.name) }, value)
        })
    });
    let weights = |metric, blend: &Blend| {
        let weights = blend.components.iter().zip(&blend.weights);
        let named = weights.map(|(one, weight)| (of_component(metric, one.name()), f64::from(*weight)));
        named.collect::<Vec<_>>()
    };
    let recommender = &outcome.recommender;
    validation.chain(weights(WEIGHT, &recommender.new)).chain(weights(WARM_WEIGHT, &recommender.old)).collect()
}

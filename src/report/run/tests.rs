//! The page of runs of every kind: what is on it, and that it is whole and quiet.

use super::*;
use crate::report::fixtures::{check, holds};
use crate::report::text::number;
use crate::train::run::info::{Best, Criterion, Data, Outcome, Setup};
use crate::train::run::metrics::{
    GRADIENT_NORM, LEARNING_RATE, TRAIN_LOSS, VALIDATION_LOSS, WARM_WEIGHT, WEIGHT, of_component,
};
use crate::train::run::recommender::{
    BoostInfo, BoostPoint, ComponentInfo, HoldoutInfo, RecommenderInfo, SnapshotInfo,
};
use crate::train::run::top_losses::{Excerpt, TopLoss};

/// A run as they look: 8 epochs of 240 steps, the sixth the best.
fn example() -> (RunInfo, Vec<Metric>) {
    let options = [
        ("alpha", serde_json::json!(16)),
        ("batch_size", 64.into()),
        ("dropout", 0.1.into()),
        ("epochs", 8.into()),
        ("learning_rate", 0.0005.into()),
        ("rank", 8.into()),
        ("schedule", "cosine".into()),
        ("seed", 42.into()),
        ("since", serde_json::Value::Null),
        ("targets", serde_json::json!(["query", "value"])),
        ("temperature", 0.05.into()),
        ("warmup", 0.1.into()),
    ];
    let setup = Setup {
        model: "shop".into(),
        base: "all-MiniLM-L6-v2@1".into(),
        base_fingerprint: "8f0c22d91b7e4a36".into(),
        objective: "contrastive".into(),
        method: "lora".into(),
        options: options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        data: Data {
            fingerprint: "41d7a0c3be9f5520".into(),
            texts: 3_877,
            train: 15_360,
            validation: 1_706,
            until: None,
            notes: vec!["212 interactions name an item that is not in items; they were left out".into()],
        },
        metric: Criterion { name: "mrr".into(), higher_is_better: true },
        device: "cpu".into(),
        threads: 2,
    };
    let mut metrics = vec![];
    let mut add = |epoch, step, name: &str, value| {
        metrics.push(Metric { epoch, step, name: name.into(), value, seconds: step as f64 * 0.122 });
    };
    add(0, 0, "mrr", 0.412);
    for epoch in 1..=8_u64 {
        for step in (epoch - 1) * 240 + 1..=epoch * 240 {
            let done = step as f64 / 1920.0;
            // A scatter that is the same on every machine.
            let mixed = (step.wrapping_mul(0x9E37_79B9_7F4A_7C15)).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let scatter = ((mixed >> 40) as f64 / f64::from(1 << 24) - 0.5) * 0.5;
            add(epoch, step, TRAIN_LOSS, (2.9 * (-4.0 * done).exp() + 0.6) * (1.0 + scatter));
            let warm = (done / 0.1).min(1.0);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * ((done - 0.1) / 0.9).max(0.0)).cos());
            add(epoch, step, LEARNING_RATE, 5e-4 * warm * cosine);
            add(epoch, step, GRADIENT_NORM, 1.5 * (1.0 + scatter) * (-done).exp());
        }
        let gone = epoch as f64 / 8.0;
        add(epoch, epoch * 240, VALIDATION_LOSS, 2.6 * (-3.2 * gone).exp() + 0.95 + 0.3 * gone * gone);
        add(epoch, epoch * 240, "mrr", 0.539 - 0.13 * (-4.0 * gone).exp() - 0.2 * (gone - 0.75).powi(2));
        add(epoch, epoch * 240, "recall_at_1", 0.44 - 0.12 * (-4.0 * gone).exp());
    }
    let mut info = RunInfo::new("20261124-222308-4be1c7".into(), setup, 1_795_559_000);
    info.status = Status::Finished;
    info.finished_at = Some(1_795_559_241);
    info.parameters = Some(294_912);
    info.baseline = Some(0.412);
    info.best = Some(Best { epoch: 6, step: 1440, value: 0.5325 });
    info.outcome = Some(Outcome::Published("shop@2".into()));
    info.debut = "0.1.0".into();
    (info, metrics)
}

fn page(info: &RunInfo, status: Status, metrics: &[Metric]) -> String {
    let page = super::page(info, status, metrics);
    check(&page);
    page
}

#[test]
fn a_finished_run_tells_all() {
    let (info, metrics) = example();
    let page = page(&info, Status::Finished, &metrics);
    let texts = [
        "<h1>shop@2</h1>",
        "Published as shop@2. The best mrr was 0.5325, in epoch 6; the version in use has 0.412 (+0.1205).",
        "best: 0.5325, epoch 6",
        "+0.1205 on the version in use",
        "8 epochs",
        "1,920 steps",
        "3 min 54 s",
        "122 ms a step",
        "294,912",
        "<h3>Loss</h3>",
        "<h3>mrr, higher is better</h3>",
        "<h3>recall_at_1</h3>",
        "<h3>Learning rate</h3>",
        "<dt>targets</dt><dd>query, value</dd>",
        "<dt>fingerprint</dt><dd>41d7a0c3be9f5520</dd>",
        "212 interactions name an item",
        "cpu, 2 threads",
        "2026-11-24",
        "@media print",
        "width=device-width",
    ];
    holds(&page, &texts);
}

/// A head is trained to its end, whichever of its epochs looks best.
#[test]
fn an_epoch_that_is_kept_and_not_the_best_is_called_the_last() {
    let (mut info, metrics) = example();
    let last = metrics.iter().rev().find(|metric| metric.name == "mrr").map_or(0.0, |metric| metric.value);
    info.best = Some(Best { epoch: 8, step: 1920, value: last });
    let page = page(&info, Status::Finished, &metrics);
    let kept = [format!("The mrr is {}, in epoch 8;", number(last)), format!("last: {}, epoch 8", number(last))];
    holds(&page, &kept.each_ref().map(String::as_str));
    assert!(!page.contains("best epoch") && page.contains("last epoch: 8") && page.contains("<dt>last mrr</dt>"));
}

#[test]
fn the_highest_losses_are_shown_with_their_texts_and_pictures() {
    let (mut info, metrics) = example();
    assert!(!page(&info, Status::Finished, &metrics).contains("Highest losses"));
    let example = |excerpt: Excerpt, probability: Option<f64>| TopLoss {
        input: 3,
        loss: 2.345_67,
        label: "Shirts".into(),
        predicted: "Tops & <more>".into(),
        probability,
        excerpt,
    };
    info.top_losses = vec![
        example(Excerpt { picture: Some("/9j/4AAQ".into()), text: None }, Some(0.9134)),
        example(Excerpt { picture: None, text: Some("A <b>shirt</b>".into()) }, None),
        example(Excerpt::default(), None),
    ];
    let page = page(&info, Status::Finished, &metrics);
    let texts = [
        "<h2>Highest losses</h2>",
        "<img src=\"data:image/jpeg;base64,/9j/4AAQ\" alt=\"\">",
        "<p>A &lt;b&gt;shirt&lt;/b&gt;</p>",
        "<dt>predicted</dt><dd>Tops &amp; &lt;more&gt;, 91.3%</dd>",
        "<dt>loss</dt><dd>2.346</dd>",
    ];
    holds(&page, &texts);
}

#[test]
fn runs_that_did_not_end_well_say_so() {
    let (mut info, metrics) = example();
    info.outcome = None;
    info.best = None;
    info.error = Some("the loss is NaN at step 301: lower learning_rate".into());
    let failed = page(&info, Status::Failed, &metrics[..900]);
    assert!(failed.contains("Why it stopped") && failed.contains("NaN at step 301"));
    assert!(failed.contains("nothing was published"));
    info.error = None;
    assert!(page(&info, Status::Interrupted, &metrics[..30]).contains("goes on where it stood"));
    info.outcome = Some(Outcome::NotPublished("mrr 0.4 does not beat the 0.412 of the version in use".into()));
    assert!(page(&info, Status::Finished, &metrics).contains("Not published: mrr 0.4 does not beat"));
    // Before anything was measured.
    let early = page(&info, Status::Running, &[]);
    assert!(early.contains("0 epochs") && !early.contains("<figure"));
}

#[test]
fn text_of_others_does_nothing() {
    let (mut info, mut metrics) = example();
    let evil = "<script>alert(\"1\")</script>&'";
    info.setup.model = evil.into();
    info.setup.base = evil.into();
    info.setup.metric.name = evil.into();
    info.setup.options.insert(evil.into(), evil.into());
    info.setup.data.notes.push(evil.into());
    info.error = Some(evil.into());
    info.outcome = Some(Outcome::NotPublished(evil.into()));
    metrics.push(Metric { epoch: 1, step: 1, name: evil.into(), value: f64::NAN, seconds: 1.0 });
    metrics.push(Metric { epoch: 1, step: 2, name: evil.into(), value: 1.0, seconds: 1.0 });
    let holdout = Some(HoldoutInfo { name: evil.into(), ..HoldoutInfo::default() });
    let snapshot = SnapshotInfo { name: evil.into(), epochs: 1, holdout, ..SnapshotInfo::default() };
    let component = ComponentInfo { name: evil.into(), about: evil.into() };
    let parts = RecommenderInfo { snapshots: vec![snapshot], components: vec![component], boost: None };
    let weight = Metric { epoch: 1, step: 2, name: of_component(WEIGHT, evil), value: 1.0, seconds: 1.0 };
    let (_, losses) = example();
    let metrics_of_parts = [losses, vec![weight]].concat();
    let of_parts = page(&RunInfo { recommender: Some(parts), ..info.clone() }, Status::Failed, &metrics_of_parts);
    assert!(of_parts.contains("Components of new items"));
    let page = page(&info, Status::Failed, &metrics);
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;'"));
}

/// A recommender's training: three snapshots, of 3, 1 and 1 epochs of 4 steps, and what was measured at the end.
fn recommender() -> (RunInfo, Vec<Metric>) {
    let (mut info, _) = example();
    info.setup.objective = "recommend".into();
    info.setup.metric.name = "recall@20".into();
    let snapshot = |name: &str, epochs, holdout: Option<&str>| SnapshotInfo {
        name: name.into(),
        epochs,
        users: 1_400,
        items: 2_900,
        holdout: holdout.map(|name| HoldoutInfo { name: name.into(), items: 169, users: 812 }),
    };
    let point = |(boost, recall, recall_of_new)| BoostPoint { boost, recall, recall_of_new, new_share: boost / 40.0 };
    let component = |(name, about): (&str, &str)| ComponentInfo { name: name.into(), about: about.into() };
    info.recommender = Some(RecommenderInfo {
        snapshots: vec![
            snapshot("before 2025-06-15", 3, Some("launched from 2025-06-15 to 2025-09-07")),
            snapshot("before 2025-09-07", 1, Some("launched from 2025-09-07 to 2025-11-30")),
            snapshot("all that is known", 1, None),
        ],
        components: [("text_knn", "the most similar words"), ("price", "what the user pays")].map(component).into(),
        boost: Some(BoostInfo {
            chosen: 2.0,
            curve: [(1.0, 0.1, 0.02), (2.0, 0.099, 0.05), (4.0, 0.08, 0.09)].map(point).into(),
        }),
    });
    (info.parameters, info.baseline) = (None, None);
    info.best = Some(Best { epoch: 5, step: 20, value: 0.452 });
    info.outcome = Some(Outcome::Published("taste@1".into()));
    let mut metrics = Vec::new();
    let mut add = |epoch, step, name: &str, value| {
        metrics.push(Metric { epoch, step, name: name.into(), value, seconds: step as f64 });
    };
    for step in 1..=20_u64 {
        let epoch = step.div_ceil(4);
        add(epoch, step, TRAIN_LOSS, 5.0 - 0.1 * step as f64 + if epoch > 3 { 1.0 } else { 0.0 });
        add(epoch, step, LEARNING_RATE, 1e-4);
    }
    add(5, 20, "recall@20", 0.452);
    add(5, 20, "ndcg@20", 0.31);
    for (name, recall, weight) in [("text_knn", 0.4, 0.3), ("price", 0.15, -0.05)] {
        add(5, 20, &of_component("recall@20", name), recall);
        add(5, 20, &of_component("ndcg@20", name), recall - 0.1);
        add(5, 20, &of_component(WEIGHT, name), weight);
    }
    add(5, 20, &of_component(WARM_WEIGHT, "factors"), 0.7);
    (info, metrics)
}

#[test]
fn a_recommenders_training_shows_snapshots_components_weights_and_boosts() {
    let (info, metrics) = recommender();
    let page = page(&info, Status::Finished, &metrics);
    for text in [
        "Published as taste@1. On 169 new items launched from 2025-09-07 to 2025-11-30 that it had not learned from, its \
         recall@20 is 0.452; the best component alone, text_knn, has 0.400.",
        "<dt>recall@20</dt><dd>0.452</dd><dd class=\"aside better\">+0.052 on text_knn alone</dd>",
        "<dt>ndcg@20</dt><dd>0.310</dd>",
        "<dt>boost of new items</dt><dd>2</dd><dd class=\"aside \">5% of places are new items</dd>",
        "1 s a step",
        "<dt>interactions</dt><dd>15,360</dd>",
        // Means of steps 1 to 4, 9 to 12, 13 to 16 and 17 to 20.
        "before 2025-06-15: 4.75 at step 4, 3.95 at step 12",
        "before 2025-09-07: 4.55 at step 16, 4.55 at step 16",
        "all that is known: 4.15 at step 20, 4.15 at step 20",
        "<small>new items launched from 2025-06-15 to 2025-09-07</small></th><td>169</td><td>812</td><td>1,400</td><td>2,900</td>\
         <td>3</td><td>4.750</td><td>3.950</td>",
        "with weights learned from the earlier windows alone",
        "<th>weight</th><th>recall@20</th><th>ndcg@20</th>",
        "<th scope=\"row\">text_knn<small>the most similar words</small></th>",
        "<h2>Components of items with a history</h2>",
        "<h3>recall@20 in the whole catalogue</h3>",
        "all items: 0.1 at boost 1, 0.08 at boost 4",
        "new items: 0.02 at boost 1, 0.09 at boost 4",
        "chosen: 2",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    // The whole, then the weights from above.
    let places = ["all together", ">text_knn<", ">price<"].map(|name| page.find(name));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    assert_eq!(page.matches("<figure").count(), 4, "no plot of a single value");
    assert!(!page.contains("was measured.") && !page.contains("validation examples"), "{page}");
}

#[test]
fn a_recommenders_training_shows_what_there_is_so_far() {
    let (mut info, metrics) = recommender();
    (info.best, info.outcome) = (None, None);
    info.recommender.as_mut().into_iter().for_each(|recommender| recommender.boost = None);
    let early = page(&info, Status::Running, &metrics[..10]);
    assert!(early.contains("still under way. No recall@20 was measured.") && early.contains("Holdout windows"));
    assert!(!early.contains("Components") && !early.contains("Boost"), "{early}");
    let before = page(&info, Status::Running, &[]);
    assert!(before.contains("0 epochs") && !before.contains("<figure"));
    assert!(page(&info, Status::Cancelled, &metrics[..10]).contains("was cancelled; the same call starts anew"));
    info.recommender.as_mut().into_iter().for_each(|recommender| drop(recommender.snapshots.drain(..2)));
    assert!(page(&info, Status::Finished, &metrics[..20]).contains("too few launches to hold any out"));
    // One window judges itself by halves.
    let (mut info, metrics) = recommender();
    info.recommender.as_mut().into_iter().for_each(|recommender| drop(recommender.snapshots.remove(0)));
    assert!(page(&info, Status::Finished, &metrics).contains("learned from one half of the users"));
}

//! The page of runs of every kind: what is on it, and that it is whole and quiet.

use super::*;
use crate::report::fixtures::check;
use crate::train::run::info::{Best, Criterion, Data, Outcome, Setup};
use crate::train::run::metrics::{GRADIENT_NORM, LEARNING_RATE, TRAIN_LOSS, VALIDATION_LOSS};

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
    let page = report(info, status, metrics);
    check(&page);
    page
}

#[test]
fn a_finished_run_tells_all() {
    let (info, metrics) = example();
    let page = page(&info, Status::Finished, &metrics);
    for text in [
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
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(page.len() < 200_000, "{} bytes", page.len());
    // For those who want to look at it: DEBUT_REPORT=report.html cargo test report
    if let Some(path) = std::env::var_os("DEBUT_REPORT") {
        assert!(std::fs::write(path, &page).is_ok());
    }
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
    let page = page(&info, Status::Failed, &metrics);
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;"));
}

//! The page of evaluations of every kind: what is on it, and that it is whole and quiet.

use super::summary::{Summary, Verdict, verdict_of, wilson};
use crate::recommend::evaluation::record::{CalibrationBin, Record, Row};
use crate::report::fixtures::{check, holds};

const MODEL: &str = "shop@2";
const OTHER: &str = "shop@1";

fn row(method: &str, group: (&str, &str), metric: &str, k: Option<u64>, value: f64) -> Row {
    Row {
        method: method.into(),
        candidates: group.0.into(),
        segment: group.1.into(),
        metric: metric.into(),
        k,
        value: Some(value),
        ci_low: Some(value - 0.02),
        ci_high: Some(value + 0.025),
        users: 1_226,
        items: if group.0 == "new" { 176 } else { 3_624 },
        boost: None,
        week: None,
    }
}

/// An evaluation as they look, against another model and with all that can be asked for.
fn example() -> Record {
    let mut rows = Vec::new();
    let mut rank = |method: &str, boost: Option<f64>, scale: f64, catalogue: bool| {
        let groups = [("new", "new", 1.0), ("all", "all", 0.26), ("all", "new", 0.3), ("all", "warm", 0.24)];
        for (candidates, segment, part) in
            groups.into_iter().filter(|(candidates, ..)| catalogue || *candidates == "new")
        {
            let mut add = |metric, k, value: f64| {
                let row = row(method, (candidates, segment), metric, k, value);
                rows.push(Row { boost: boost.filter(|_| candidates == "all"), ..row });
            };
            for k in [10, 20] {
                let shorter = if k == 10 { 0.6 } else { 1.0 };
                add("recall", Some(k), 0.362 * scale * part * shorter);
                add("ndcg", Some(k), 0.25 * scale * part * shorter);
                add("hit_rate", Some(k), 0.7 * scale * part * shorter);
                add("map", Some(k), 0.14 * scale * part * shorter);
                add("novelty", Some(k), 9.5 * scale);
            }
            add("mrr", None, 0.33 * scale * part);
            add("auc", None, 0.5 + 0.3 * scale);
            if candidates == "new" || segment == "all" {
                add("coverage", Some(20), 0.9 * scale);
                add("gini", Some(20), 0.4 * scale);
            }
        }
    };
    rank(MODEL, Some(2.0), 1.0, true);
    rank(OTHER, Some(1.5), 0.95, true);
    rank("random", None, 0.3, true);
    rank("popularity", None, 0.31, true);
    rank("text_knn", None, 0.88, true);
    rank("fine_tuned", None, 0.94, false);
    rank("word_factors", None, 0.87, false);
    for (metric, value) in [("recall", 0.031), ("ndcg", 0.004)] {
        let name = format!("{MODEL} - {OTHER}");
        rows.push(row(&name, ("new", "new"), metric, Some(20), value));
        rows.push(row("fine_tuned - embedding_factors", ("new", "new"), metric, Some(20), value - 0.1));
    }
    for (place, boost) in [1.0, 1.5, 2.0, 3.0, 4.0, 6.0].into_iter().enumerate() {
        let place = place as f64;
        // With the model's own boost, 2, as it was measured above.
        let recalls = [("all", 0.0981 - 0.002 * place), ("new", 0.0543 * place), ("warm", 0.1029 - 0.008 * place)];
        for (segment, value) in recalls {
            let row = row(MODEL, ("all", segment), "recall", Some(20), value);
            rows.push(Row { boost: Some(boost), ci_low: None, ci_high: None, ..row });
        }
        let share = row(MODEL, ("all", "new"), "new_share", Some(20), 0.008 + 0.0732 * place);
        rows.push(Row { boost: Some(boost), ci_low: None, ci_high: None, ..share });
    }
    for week in 0..12 {
        let row = row(MODEL, ("new", "new"), "recall", Some(20), 0.3 + 0.01 * week as f64);
        rows.push(Row { week: Some(week), users: 400 - 20 * week, ..row });
    }
    let number = |method: &str, metric: &str, value: f64| {
        let row = row(method, ("new", "new"), metric, None, value);
        Row { ci_low: None, ci_high: None, ..row }
    };
    rows.extend([
        number(MODEL, "log_loss", 0.0549),
        number("base_rate", "log_loss", 0.0638),
        number(MODEL, "brier", 0.0109),
        number(MODEL, "calibration_error", 0.0048),
        row(MODEL, ("new", "new"), "audience_auc", None, 0.823),
        row("activity", ("new", "new"), "audience_auc", None, 0.778),
        Row { week: Some(4), ..row(MODEL, ("new", "new"), "forecast_coverage", None, 0.91) },
        Row { week: Some(4), ..row(MODEL, ("new", "new"), "forecast_error", None, 17.25) },
        Row { week: Some(4), ..row("similar_items", ("new", "new"), "forecast_error", None, 23.5) },
        row(MODEL, ("all", "all"), "ips", Some(20), 0.173),
        row(MODEL, ("all", "all"), "snips", Some(20), 0.0312),
    ]);
    let bins = (0..15).map(|bin| {
        let predicted = 0.0004 * 1.45_f64.powi(bin);
        let happened = (predicted * 1.1 * 40_000.0).round();
        let observed = if bin == 0 { 0.0 } else { happened / 40_000.0 };
        CalibrationBin { low: predicted / 1.2, high: predicted * 1.2, rows: 40_000, predicted, observed }
    });
    Record {
        id: "eval-20261124-222308-4be1c7".into(),
        model: MODEL.into(),
        against: Some(OTHER.into()),
        created_at: 1_795_559_000,
        since: Some(1_764_547_200_000_000),
        users: 2_914,
        notes: vec!["212 interactions are with items that are not among the items".into()],
        rows,
        bins: bins.collect(),
    }
}

fn page(record: &Record) -> String {
    let page = super::page(record);
    check(&page);
    page
}

#[test]
fn the_page_tells_all() {
    let page = page(&example());
    let texts = [
        "<h1>shop@2</h1>",
        "<title>shop@2: evaluation eval-20261124-222308-4be1c7</title>",
        "On average, 36.2% of the new items that a user took are among the first 20 of 176 by shop@2; the nearest texts alone \
         find 31.9%, chance finds 10.9%.",
        "It is better than shop@1: +0.031 in recall, 0.011 to 0.056.",
        "The log-loss of its probabilities is 13.9% below that of the base rate.",
        "compared with shop@1 · 2,914 users · 2026-11-24 22:23:20 UTC",
        "<dt>recall@20, new items</dt><dd>0.362</dd><dd class=\"aside \">0.342 to 0.387</dd>",
        "<dt>recall@20, whole catalogue</dt><dd>0.094</dd>",
        "<dt>log-loss</dt><dd>0.0549</dd><dd class=\"aside better\">13.9% below the base rate's</dd>",
        "<dt>calibration error</dt><dd>0.0048</dd>",
        "<h2>Compared with shop@1</h2>",
        "New items count 2 times as much.",
        "<h3>recall@20 in the whole catalogue</h3>",
        "the model's own: 2",
        "With the model's own, 15.4% of what is shown is new.",
        "<h3>Share of new items among the first 20</h3>",
        "new items: 0.008 at boost 1, 0.374 at boost 6",
        "predicted %",
        "<dt>log-loss of the base rate</dt><dd>0.0638</dd>",
        "<dt>pairs of a user and a new item</dt><dd>600,000</dd>",
        "what happened: 0 at predicted % 0.04",
        "new items: 0.3 at week 0, 0.41 at week 11",
        "<h2>Whom to show a launch to</h2>",
        "<th scope=\"row\">activity</th>",
        "<h2>Its parts alone</h2>",
        "<h3>fine_tuned less embedding_factors</h3>",
        "<h2>Its forecasts of launches</h2>",
        "<td>forecast coverage</td><td>4</td><td>0.91<small>",
        "<td>ips@20</td><td>0.173<small>",
        "<h3>Warm items in the whole catalogue</h3>",
        "gini: lower is better.",
        "212 interactions are with items",
        "<dt>interactions since</dt><dd>2025-12-01 00:00:00</dd>",
        "<dt>new items</dt><dd>176</dd>",
        "<html lang=\"en\">",
        "prefers-color-scheme: dark",
        "@media print",
        "width=device-width",
    ];
    holds(&page, &texts);
}

#[test]
fn methods_stand_by_their_value_and_the_model_stands_out() {
    let page = page(&example());
    let section = page.split_once("<h2>New items among themselves</h2>").map_or("", |(_, after)| after);
    let lines: Vec<&str> = section.split("<th scope=\"row\">").skip(1).take(5).collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once("</th>")?.0)).collect();
    assert_eq!(names, [MODEL, OTHER, "text_knn", "popularity", "random"]);
    assert!(lines[0].contains("dot metric") && lines[1].contains("dot norm"), "{}", lines[0]);
    assert!(lines[0].contains("0.362<small>0.342 to 0.387</small>"), "{}", lines[0]);
}

#[test]
fn a_model_is_shown_with_its_own_boost() {
    let mut record = example();
    let page_of = |record: &Record| page(record);
    assert!(page_of(&record).contains("all items: 0.0981 at boost 1"));
    let mut plain = record.clone();
    plain.rows.iter_mut().filter(|row| row.boost == Some(2.0)).for_each(|row| row.boost = Some(1.0));
    assert!(page_of(&plain).contains("New items count like all others."));
    // A boost along which nothing else was measured changes neither the model's own boost nor its numbers.
    let own = Summary::new(&record).boost();
    record.rows.retain(|row| row.boost != Some(2.0) || row.metric == "recall" || row.metric == "new_share");
    assert_eq!((own, Summary::new(&record).boost()), (Some(2.0), None));
    let page = page_of(&record);
    assert!(!page.contains("New items count") && page.contains("at boost 1"));
}

#[test]
fn weeks_of_a_few_users_are_numbers_and_no_dots() {
    let mut record = example();
    assert!(!page(&record).contains("in the table alone"));
    let late = record.rows.iter_mut().filter(|row| row.week.is_some_and(|week| week > 3));
    late.for_each(|row| (row.users, row.value) = (9, Some(1.0)));
    let page = page(&record);
    assert!(page.contains("Weeks of fewer than 10 users are in the table alone."));
    assert!(page.contains("new items: 0.3 at week 0, 0.33 at week 3"));
    assert!(page.contains("<th scope=\"row\">11</th><td>1.000<small>"));
}

#[test]
fn what_was_not_measured_is_not_there() {
    let mut record = example();
    record.against = None;
    record.bins.clear();
    record.notes.clear();
    record.rows.retain(|row| {
        row.week.is_none()
            && row.boost.is_none()
            && row.candidates == "new"
            && [MODEL, "random"].contains(&row.method.as_str())
            && row.metric == "recall"
            && row.k == Some(10)
    });
    record.rows.iter_mut().for_each(|row| (row.ci_low, row.ci_high) = (None, None));
    let page = page(&record);
    assert!(page.contains("are among the first 10 of 176") && page.contains("<dd>0.217</dd>"));
    for title in [
        "Compared with",
        "whole catalogue</h2>",
        "Boost",
        "Probabilities",
        "Since the launch",
        "Whom to show",
        "Its parts",
        "would have earned",
        "Left out",
        "NaN",
        "<small>",
    ] {
        assert!(!page.contains(title), "{title} is there");
    }
    let nothing = Record { rows: Vec::new(), ..record };
    let page = page_of_nothing(&nothing);
    assert!(page.contains("Nothing was measured.") && !page.contains("<figure") && !page.contains("class=\"figures\""));
}

fn page_of_nothing(record: &Record) -> String {
    page(record)
}

#[test]
fn without_new_items_the_whole_catalogue_is_told_of() {
    let mut record = example();
    record.rows.retain(|row| row.candidates == "all");
    let page = page(&record);
    assert!(page.contains("9.41% of the items that a user took are among the first 20 of 3,624"));
}

#[test]
fn a_difference_says_what_it_shows() {
    let shown = |metric: &str, low: f64, high: f64| {
        let row = row("a - b", ("new", "new"), metric, None, (low + high) / 2.0);
        verdict_of(&Row { ci_low: Some(low), ci_high: Some(high), ..row })
    };
    assert_eq!(shown("recall", 0.01, 0.02), Some(Verdict::Better));
    assert_eq!(shown("recall", -0.02, -0.01), Some(Verdict::Worse));
    assert_eq!(shown("recall", -0.01, 0.02), Some(Verdict::Open));
    assert_eq!(shown("log_loss", 0.01, 0.02), Some(Verdict::Worse));
    let mut record = example();
    let name = format!("{MODEL} - {OTHER}");
    let set = |record: &mut Record, interval: Option<(f64, f64)>| {
        for row in record.rows.iter_mut().filter(|row| row.method == name) {
            (row.ci_low, row.ci_high) = interval.unzip();
        }
    };
    set(&mut record, Some((-0.01, 0.07)));
    assert!(page(&record).contains("The difference to shop@1, +0.031 in recall (−0.010 to 0.070), may be chance."));
    set(&mut record, None);
    assert!(page(&record).contains("The difference to shop@1 is +0.031 in recall, without an interval."));
    let values = record.rows.iter_mut().filter(|row| row.method == name);
    values.for_each(|row| row.value = Some(-0.03));
    set(&mut record, Some((-0.05, -0.01)));
    assert!(page(&record).contains("It is worse than shop@1: −0.03 in recall, −0.050 to −0.010."));
}

#[test]
fn shares_may_lie_where_others_say() {
    // scipy 1.18.1, stats.binomtest(happened, rows).proportion_ci(method="wilson").
    for (happened, rows, low, high) in [
        (0, 40_000, 0.0, 9.602_724_839_9e-5),
        (7, 40_000, 8.477_409_224_5e-5, 3.612_195_466_2e-4),
        (3, 10, 0.107_791_267_4, 0.603_221_852_5),
        (10, 10, 0.722_467_200_1, 1.0),
    ] {
        let observed = f64::from(happened) / f64::from(rows);
        let bin = CalibrationBin { low: 0.0, high: 1.0, rows: rows as u64, predicted: 0.5, observed };
        let (from, to) = wilson(&bin);
        assert!((from - low).abs() < 1e-9 && (to - high).abs() < 1e-9, "{happened} of {rows}: {from} to {to}");
    }
}

#[test]
fn text_of_others_does_nothing() {
    let evil = "<script>alert(\"1\")</script>&'";
    let mut record = example();
    let renamed = |name: &str| name.replace("shop@2", evil).replace("shop@1", &format!("{evil}2"));
    for row in &mut record.rows {
        row.method = renamed(&row.method);
        if row.metric == "novelty" {
            row.metric = evil.into();
        }
    }
    record.model = renamed(&record.model);
    record.against = record.against.as_deref().map(renamed);
    record.id = evil.into();
    record.notes.push(evil.into());
    record.rows.push(row("word_factors", ("new", "new"), "recall", Some(20), f64::NAN));
    record.rows.push(Row { value: Some(f64::INFINITY), ..row(evil, ("all", "new"), "auc", None, 0.0) });
    let page = page(&record);
    assert_eq!(page.matches("fine_tuned less").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;'"));
}

//! The page's sections, from the verdict to the small print. Takes a [`Summary`]; gives HTML.

use maud::{Markup, html};

use super::recommender::Recommender;
use super::summary::{Row, Summary};
use crate::report::charts::Axis;
use crate::report::charts::curves::{Chart, Curve, Stroke};
use crate::report::page::{document, figure, is_empty, notes, pairs, section, table};
use crate::report::text::{count, difference, duration, fixed, instant, number, option, percent, plural};
use crate::train::run::info::Status;
use crate::train::run::metrics::{GRADIENT_NORM, LEARNING_RATE, TRAIN_LOSS, VALIDATION_LOSS};
use crate::train::run::top_losses::TopLoss;

/// The whole page.
pub(super) fn render(run: &Summary<'_>) -> String {
    let title = format!("{}: training run {}", run.info.setup.model, run.info.id);
    let recommender = Recommender::of(run);
    let (measured, own, sections) = match &recommender {
        Some(recommender) => (recommender.measured(), recommender.figures(), recommender.sections()),
        None => (
            run.measured(),
            encoder_figures(run),
            html! { section.charts { (charts(run)) } (epochs(run)) (top_losses(run)) },
        ),
    };
    let body = html! {
        (header(run, &format!("{} {measured}", run.end())))
        dl.figures { (own) (figures(run)) }
        @if let Some(error) = &run.info.error {
            section.error { h2 { "Why it stopped" } p { (error) } }
        }
        (sections)
        div.columns { (data(run, recommender.is_some())) (options(run)) (record(run)) }
    };
    document(&title, &body)
}

fn header(run: &Summary<'_>, verdict: &str) -> Markup {
    let setup = &run.info.setup;
    let status = run.status.to_string();
    html! {
        header {
            p.kicker { "Training run " (run.info.id) span class={ "status " (status) } { (status) } }
            h1 { (run.info.published().unwrap_or(&setup.model)) }
            p.what { (setup.objective) " · " (setup.method) " · from " (setup.base) }
            p.verdict { (verdict) }
        }
    }
}

/// The few numbers that a reader of an encoder's training looks for first.
fn encoder_figures(run: &Summary<'_>) -> Markup {
    html! { (best(run)) (validation_loss(run)) }
}

fn best(run: &Summary<'_>) -> Markup {
    let Some(best) = &run.info.best else { return html! {} };
    let note = match run.info.baseline {
        Some(baseline) => format!("{} on the version in use", difference(best.value - baseline)),
        None => format!("epoch {}", best.epoch),
    };
    let class = match run.gain() {
        Some(gain) if gain > 0.0 => "better",
        Some(gain) if gain < 0.0 => "worse",
        _ => "",
    };
    figure(&format!("{} {}", kept(run), run.info.setup.metric.name), &number(best.value), &note, class)
}

/// What the epoch whose values are the result is called: a head trains to its end, and its last epoch need not be its best.
fn kept(run: &Summary<'_>) -> &'static str {
    if run.kept_the_best() { "best" } else { "last" }
}

/// Of the epoch that was kept, if one was; else of the last.
fn validation_loss(run: &Summary<'_>) -> Markup {
    let best = run.info.best.as_ref().and_then(|best| run.epochs.iter().find(|row| row.epoch == best.epoch));
    let mut measured = run.epochs.iter().filter(|row| row.validation_loss.is_some());
    let first = measured.clone().next();
    let (Some(first), Some(shown)) = (first, best.or(measured.next_back())) else { return html! {} };
    let value = |row: &Row| row.validation_loss.map_or_else(|| "–".to_owned(), number);
    let note = format!("in epoch {}; {} in epoch {}", shown.epoch, value(first), first.epoch);
    figure("validation loss", &value(shown), &note, "")
}

/// How long it took, of every run.
fn figures(run: &Summary<'_>) -> Markup {
    let epochs = plural(run.epochs.len() as u64, "epoch");
    let pace = (run.steps > 0).then(|| match run.seconds / run.steps as f64 {
        seconds if seconds < 1.0 => format!("{} ms a step", number(1000.0 * seconds)),
        seconds => format!("{} a step", duration(seconds)),
    });
    html! {
        (figure("training", &epochs, &plural(run.steps, "step"), ""))
        (figure("time", &duration(run.seconds), &pace.unwrap_or_default(), ""))
        @if let Some(parameters) = run.info.parameters {
            (figure("trained parameters", &count(parameters), &run.info.setup.method, ""))
        }
    }
}

fn charts(run: &Summary<'_>) -> Markup {
    let criterion = &run.info.setup.metric;
    let best = run.info.best.as_ref();
    let curve = |label, colour, stroke, points| Curve { label, colour, stroke, points, ..Curve::default() };
    let over_steps = || Chart { unit: "step", across: Axis::Steps, ..Chart::default() };
    let loss = Chart {
        title: "Loss".to_owned(),
        curves: vec![
            curve("training", "train", Stroke::Faint, run.curve(TRAIN_LOSS)),
            curve("training, mean by epoch", "train", Stroke::Dots, run.by_epoch(|row| row.train_loss)),
            curve("validation", "validation", Stroke::Dots, run.by_epoch(|row| row.validation_loss)),
        ],
        mark: best.map(|best| (best.step as f64, None, format!("{} epoch: {}", kept(run), best.epoch))),
        ..over_steps()
    };
    let direction = if criterion.higher_is_better { "higher is better" } else { "lower is better" };
    let metric = Chart {
        title: format!("{}, {direction}", criterion.name),
        curves: vec![curve("validation", "metric", Stroke::Dots, run.curve(&criterion.name))],
        level: run.info.baseline.map(|baseline| (baseline, "the version in use")),
        mark: best.map(|best| {
            (best.step as f64, Some(best.value), format!("{}: {}, epoch {}", kept(run), number(best.value), best.epoch))
        }),
        ..over_steps()
    };
    let rate = Chart {
        title: "Learning rate".to_owned(),
        curves: vec![curve("learning rate", "rate", Stroke::Line, run.curve(LEARNING_RATE))],
        up: Axis::FromZero,
        ..over_steps()
    };
    let norm = Chart {
        title: "Norm of the gradient, before clipping".to_owned(),
        curves: vec![curve("norm", "norm", Stroke::Line, run.curve(GRADIENT_NORM))],
        up: Axis::FromZero,
        ..over_steps()
    };
    // Whatever else was measured, such as accuracy beside the metric.
    let known = [TRAIN_LOSS, VALIDATION_LOSS, LEARNING_RATE, GRADIENT_NORM, &criterion.name];
    let others = run.curves.keys().filter(|name| !known.contains(name)).map(|name| Chart {
        title: (*name).to_owned(),
        curves: vec![curve("validation", "metric", Stroke::Dots, run.curve(name))],
        ..over_steps()
    });
    let charts = [loss, metric].into_iter().chain(others).chain([rate, norm]);
    html! { @for chart in charts { (chart.render()) } }
}

fn epochs(run: &Summary<'_>) -> Markup {
    let best = run.info.best.as_ref().map(|best| best.epoch);
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| fixed(value, 4));
    // What decides stands first: a phone shows the first columns, and the others when they are pulled in.
    let metric = run.info.setup.metric.name.as_str();
    let columns = [metric, "validation loss", "training loss", "learning rate", "step", "time"];
    let rows = html! {
        @for row in &run.epochs {
            tr class=[(Some(row.epoch) == best).then_some(kept(run))] {
                th scope="row" { (row.epoch) }
                td { (cell(row.metric)) }
                td { (cell(row.validation_loss)) }
                td { (cell(row.train_loss)) }
                td { (row.learning_rate.map_or_else(|| "–".to_owned(), number)) }
                td { (count(row.step)) }
                td { (duration(row.seconds)) }
            }
        }
    };
    section("Epochs", "", &table("epoch", &columns, &rows))
}

/// The held-out examples that the epoch that is kept predicts worst, with what they are of.
fn top_losses(run: &Summary<'_>) -> Markup {
    let examples = html! {
        @for one in &run.info.top_losses {
            li {
                @if let Some(picture) = &one.excerpt.picture {
                    // The text below says what the picture is of.
                    img src={ "data:image/jpeg;base64," (picture) } alt="";
                }
                div {
                    @if let Some(text) = &one.excerpt.text { p { (text) } }
                    (pairs(prediction(one)))
                }
            }
        }
    };
    let lead = "The validation examples on which the epoch that is kept has the highest losses: what the model finds hard, or a wrong label.";
    section("Highest losses", lead, &html! { @if !is_empty(&examples) { ul.examples { (examples) } } })
}

fn prediction(example: &TopLoss) -> impl Iterator<Item = (&'static str, String)> {
    let predicted = match example.probability {
        Some(probability) => format!("{}, {}", example.predicted, percent(probability)),
        None => example.predicted.clone(),
    };
    [("label", example.label.clone()), ("predicted", predicted), ("loss", number(example.loss))].into_iter()
}

fn data(run: &Summary<'_>, is_recommender: bool) -> Markup {
    let data = &run.info.setup.data;
    let mut counts = if is_recommender {
        vec![("items", count(data.texts)), ("interactions", count(data.train))]
    } else {
        vec![
            ("texts or pictures", count(data.texts)),
            ("training examples", count(data.train)),
            ("validation examples", count(data.validation)),
        ]
    };
    counts.push(("fingerprint", data.fingerprint.clone()));
    section("Data", "", &html! { (pairs(counts)) (notes(&data.notes)) })
}

fn options(run: &Summary<'_>) -> Markup {
    let options = run.info.setup.options.iter().map(|(name, value)| (name.as_str(), option(value)));
    section("Options", "", &pairs(options))
}

fn record(run: &Summary<'_>) -> Markup {
    let info = run.info;
    let mut entries = vec![
        ("run", info.id.clone()),
        ("base", info.setup.base.clone()),
        ("base fingerprint", info.setup.base_fingerprint.clone()),
        ("device", format!("{}, {}", info.setup.device, plural(info.setup.threads as u64, "thread"))),
        ("started", instant(info.started_at)),
    ];
    // A run that goes on has no end, whatever an earlier end has left.
    if let Some(finished) = info.finished_at.filter(|_| run.status != Status::Running) {
        entries.push(("ended", instant(finished)));
    }
    if info.resumed > 0 {
        entries.push(("resumed", plural(info.resumed.into(), "time")));
    }
    entries.push(("debut", info.debut.clone()));
    section("Record", "", &pairs(entries))
}

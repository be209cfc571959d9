//! The page's sections, from the verdict to the small print. Takes a [`Summary`]; gives HTML. Called by `report`.

use super::recommender::Recommender;
use super::summary::{Row, Summary};
use crate::report::charts::Axis;
use crate::report::charts::curves::{Chart, Curve, Stroke};
use crate::report::page::{document, figure, notes, pairs};
use crate::report::text::{count, difference, duration, escape, fixed, instant, number, option, plural};
use crate::train::run::info::Status;
use crate::train::run::metrics::{GRADIENT_NORM, LEARNING_RATE, TRAIN_LOSS, VALIDATION_LOSS};

/// The whole page.
pub(super) fn render(run: &Summary<'_>) -> String {
    let title = format!("{}: training run {}", run.info.setup.model, run.info.id);
    let recommender = Recommender::of(run);
    let (measured, own, sections) = match &recommender {
        Some(recommender) => (recommender.measured(), recommender.figures(), recommender.sections()),
        None => {
            let charts = format!("<section class=\"charts\">\n{}</section>\n", charts(run));
            (run.measured(), encoder_figures(run), charts + &epochs(run))
        }
    };
    let body = format!(
        "{header}<dl class=\"figures\">\n{own}{figures}</dl>\n{error}{sections}\
         <div class=\"columns\">\n{data}{options}{record}</div>\n",
        header = header(run, &format!("{} {measured}", run.end())),
        figures = figures(run),
        error = run.info.error.as_deref().map(error).unwrap_or_default(),
        data = data(run, recommender.is_some()),
        options = options(run),
        record = record(run),
    );
    document(&title, &body)
}

fn header(run: &Summary<'_>, verdict: &str) -> String {
    let setup = &run.info.setup;
    format!(
        "<header>\n<p class=\"kicker\">Training run {id}<span class=\"status {status}\">{status}</span></p>\n\
         <h1>{model}</h1>\n<p class=\"what\">{objective} · {method} · from {base}</p>\n\
         <p class=\"verdict\">{verdict}</p>\n</header>\n",
        id = escape(&run.info.id),
        status = run.status,
        model = escape(run.info.published().unwrap_or(&setup.model)),
        objective = escape(&setup.objective),
        method = escape(&setup.method),
        base = escape(&setup.base),
        verdict = escape(verdict),
    )
}

/// The few numbers that a reader of an encoder's training looks for first.
fn encoder_figures(run: &Summary<'_>) -> String {
    let info = run.info;
    let mut figures = String::new();
    if let Some(best) = &info.best {
        let change = info.baseline.map(|baseline| difference(best.value - baseline));
        let note =
            change.map_or_else(|| format!("epoch {}", best.epoch), |change| format!("{change} on the version in use"));
        let class = match run.gain() {
            Some(gain) if gain > 0.0 => "better",
            Some(gain) if gain < 0.0 => "worse",
            _ => "",
        };
        figures.push_str(&figure(&format!("best {}", info.setup.metric.name), &number(best.value), &note, class));
    }
    // Of the epoch that was kept, if one was; else of the last.
    let best = info.best.as_ref().and_then(|best| run.epochs.iter().find(|row| row.epoch == best.epoch));
    let mut measured = run.epochs.iter().filter(|row| row.validation_loss.is_some());
    let first = measured.clone().next();
    if let (Some(first), Some(shown)) = (first, best.or(measured.next_back())) {
        let value = |row: &Row| row.validation_loss.map_or_else(|| "–".to_owned(), number);
        let note = format!("in epoch {}; {} in epoch {}", shown.epoch, value(first), first.epoch);
        figures.push_str(&figure("validation loss", &value(shown), &note, ""));
    }
    figures
}

/// How long it took, of every run.
fn figures(run: &Summary<'_>) -> String {
    let mut figures = String::new();
    let epochs = plural(run.epochs.len() as u64, "epoch");
    figures.push_str(&figure("training", &epochs, &plural(run.steps, "step"), ""));
    let pace = (run.steps > 0).then(|| match run.seconds / run.steps as f64 {
        seconds if seconds < 1.0 => format!("{} ms a step", number(1000.0 * seconds)),
        seconds => format!("{} a step", duration(seconds)),
    });
    figures.push_str(&figure("time", &duration(run.seconds), &pace.unwrap_or_default(), ""));
    if let Some(parameters) = run.info.parameters {
        figures.push_str(&figure("trained parameters", &count(parameters), &run.info.setup.method, ""));
    }
    figures
}

fn error(text: &str) -> String {
    format!("<section class=\"error\"><h2>Why it stopped</h2><p>{}</p></section>\n", escape(text))
}

fn charts(run: &Summary<'_>) -> String {
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
        mark: best.map(|best| (best.step as f64, None, format!("best epoch: {}", best.epoch))),
        ..over_steps()
    };
    let direction = if criterion.higher_is_better { "higher is better" } else { "lower is better" };
    let metric = Chart {
        title: format!("{}, {direction}", criterion.name),
        curves: vec![curve("validation", "metric", Stroke::Dots, run.curve(&criterion.name))],
        level: run.info.baseline.map(|baseline| (baseline, "the version in use")),
        mark: best.map(|best| {
            (best.step as f64, Some(best.value), format!("best: {}, epoch {}", number(best.value), best.epoch))
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
    [loss, metric].into_iter().chain(others).chain([rate, norm]).map(|chart| chart.render()).collect()
}

fn epochs(run: &Summary<'_>) -> String {
    if run.epochs.is_empty() {
        return String::new();
    }
    let best = run.info.best.as_ref().map(|best| best.epoch);
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| fixed(value, 4));
    let row = |row: &Row| {
        format!(
            // What decides stands first: a phone shows the first columns, and the others when they are pulled in.
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            if Some(row.epoch) == best { " class=\"best\"" } else { "" },
            row.epoch,
            cell(row.metric),
            cell(row.validation_loss),
            cell(row.train_loss),
            row.learning_rate.map_or_else(|| "–".to_owned(), number),
            count(row.step),
            duration(row.seconds),
        )
    };
    format!(
        "<section>\n<h2>Epochs</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>epoch</th><th>{}</th>\
         <th>validation loss</th><th>training loss</th><th>learning rate</th><th>step</th><th>time</th></tr></thead>\n\
         <tbody>\n{}</tbody>\n</table></div>\n</section>\n",
        escape(&run.info.setup.metric.name),
        run.epochs.iter().map(row).collect::<String>()
    )
}

fn data(run: &Summary<'_>, is_recommender: bool) -> String {
    let data = &run.info.setup.data;
    let mut counts = if is_recommender {
        vec![("items", count(data.texts)), ("interactions", count(data.train))]
    } else {
        vec![
            ("texts", count(data.texts)),
            ("training examples", count(data.train)),
            ("validation examples", count(data.validation)),
        ]
    };
    counts.push(("fingerprint", data.fingerprint.clone()));
    format!("<section>\n<h2>Data</h2>\n{}{}</section>\n", pairs(counts), notes(&data.notes))
}

fn options(run: &Summary<'_>) -> String {
    let options = run.info.setup.options.iter().map(|(name, value)| (name.as_str(), option(value)));
    format!("<section>\n<h2>Options</h2>\n{}</section>\n", pairs(options))
}

fn record(run: &Summary<'_>) -> String {
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
    format!("<section>\n<h2>Record</h2>\n{}</section>\n", pairs(entries))
}

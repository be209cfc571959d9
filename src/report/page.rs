//! The frame of a page, and what pages consist of beside charts. Takes texts, which are escaped; gives HTML.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

const STYLE: &str = include_str!("style.css");

/// A whole page.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

/// One of the few numbers that a reader looks for first. `class` may be `better` or `worse`.
pub(crate) fn figure(label: &str, value: &str, note: &str, class: &str) -> Markup {
    html! {
        div {
            dt { (label) }
            dd { (value) }
            dd class={ "aside " (class) } { (note) }
        }
    }
}

/// Charts beside each other; nothing if there are none.
pub(crate) fn side_by_side(charts: &Markup) -> Markup {
    html! { @if !is_empty(charts) { div.charts { (charts) } } }
}

/// A section; nothing if there is nothing in it.
pub(crate) fn section(title: &str, lead: &str, body: &Markup) -> Markup {
    html! {
        @if !is_empty(body) {
            section {
                h2 { (title) }
                @if !lead.is_empty() { p.lead { (lead) } }
                (body)
            }
        }
    }
}

/// A table that is scrolled where the screen is narrower; nothing without `rows`, which are its `tr`.
pub(crate) fn table(first: &str, columns: &[impl Render], rows: &Markup) -> Markup {
    html! {
        @if !is_empty(rows) {
            div.wide {
                table {
                    thead { tr { th { (first) } @for column in columns { th { (column) } } } }
                    tbody { (rows) }
                }
            }
        }
    }
}

/// What a reader may want to unfold; nothing if there is nothing in it.
pub(crate) fn details(summary: &str, body: &Markup) -> Markup {
    html! { @if !is_empty(body) { details { summary { (summary) } (body) } } }
}

/// Names with values.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    html! { dl.pairs { @for (name, value) in pairs { div { dt { (name) } dd { (value) } } } } }
}

/// Sentences of the small print; nothing if there are none.
pub(crate) fn notes(notes: &[String]) -> Markup {
    html! { @if !notes.is_empty() { ul.notes { @for note in notes { li { (note) } } } } }
}

/// Whether there is nothing to be seen.
pub(crate) fn is_empty(markup: &Markup) -> bool {
    markup.0.is_empty()
}

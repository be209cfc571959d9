//! The frame of a page, and what pages consist of beside charts. Takes texts; gives HTML. Called by every report.

use super::text::escape;

const STYLE: &str = include_str!("style.css");

/// A whole page. `title` is a text; `body` is HTML.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        title = escape(title),
    )
}

/// One of the few numbers that a reader looks for first. `class` may be `better` or `worse`.
pub(crate) fn figure(label: &str, value: &str, note: &str, class: &str) -> String {
    format!(
        "<div><dt>{}</dt><dd>{}</dd><dd class=\"aside {class}\">{}</dd></div>\n",
        escape(label),
        escape(value),
        escape(note)
    )
}

/// Charts beside each other; nothing if there are none.
pub(crate) fn side_by_side(charts: &str) -> String {
    if charts.is_empty() { String::new() } else { format!("<div class=\"charts\">\n{charts}</div>\n") }
}

/// A section; nothing if there is nothing in it. `title` and `lead` are texts; `body` is HTML.
pub(crate) fn section(title: &str, lead: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"lead\">{}</p>\n", escape(lead)) };
    format!("<section>\n<h2>{}</h2>\n{lead}{body}</section>\n", escape(title))
}

/// Names with values.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pair =
        |(name, value): (&str, String)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(&value));
    format!("<dl class=\"pairs\">\n{}</dl>\n", pairs.into_iter().map(pair).collect::<String>())
}

/// Sentences of the small print; nothing if there are none.
pub(crate) fn notes(notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    if notes.is_empty() { notes } else { format!("<ul class=\"notes\">\n{notes}</ul>\n") }
}

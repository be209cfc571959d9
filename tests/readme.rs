//! What the README and `udfs/REFERENCE.md` say of functions, options and settings comes from their own documentation, and
//! the links between the documents lead somewhere.
//!
//! `DEBUT_README=write cargo test --test readme` writes the generated parts anew and keeps the rest.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ExtensionOptions;
use datafusion::logical_expr::Documentation;
use debut::inference::Models;
use debut_udfs::config::DebutConfig;
use debut_udfs::functions::{CALLS, documentation};
use debut_udfs::ids::{IdType, Ids};
use debut_udfs::{
    audience, compress, evaluate, experiment_report, explain_recommendation, finetune, forecast_launch, gaps,
    recommend, title_effect,
};

mod support;

const README: &str = "README.md";
const REFERENCE: &str = "udfs/REFERENCE.md";

/// A line of the README's table has room for so many characters.
const MOST_IN_A_LINE: usize = 110;

fn functions() -> Vec<(String, Documentation)> {
    documentation(Arc::new(Models::new(support::home())))
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The first sentence of a function's description: the README says no more.
fn summary(description: &str) -> String {
    description.split_inclusive(". ").next().unwrap_or_default().trim_end().to_string()
}

/// A line for each function: how it is called, and what it does.
fn overview() -> String {
    let mut table = String::from("| function | result |\n|---|---|\n");
    for (name, function) in functions() {
        let is_call = CALLS.iter().any(|call| call.name == name);
        // Calls have more arguments than a line has room for.
        let usage = if is_call { format!("{name}(...)") } else { function.syntax_example };
        let (usage, summary) = (cell(&usage), cell(&summary(&function.description)));
        writeln!(table, "| [`{usage}`]({REFERENCE}#{name}) | {summary} |").unwrap();
    }
    table
}

/// The columns of a call's result.
fn columns(name: &str) -> Option<String> {
    let ids = Ids { user: IdType::Integer, item: IdType::Integer };
    let schema: SchemaRef = match name {
        finetune::NAME => finetune::rows::schema(),
        compress::NAME => compress::schema(),
        recommend::NAME => recommend::schema(ids, true),
        explain_recommendation::NAME => explain_recommendation::schema(ids),
        title_effect::NAME => title_effect::schema(ids),
        forecast_launch::NAME => forecast_launch::schema(ids),
        gaps::NAME => gaps::schema(ids),
        audience::NAME => audience::schema(ids),
        evaluate::NAME => evaluate::schema(),
        experiment_report::NAME => experiment_report::schema(),
        _ => return None,
    };
    let names: Vec<_> = schema.fields().iter().map(|field| format!("`{}`", field.name())).collect();
    Some(names.join(", "))
}

/// A section for each kind of function, with everything that is known of each.
fn reference() -> String {
    let mut text = String::new();
    let mut kind = "";
    for (name, function) in functions() {
        if function.doc_section.label != kind {
            kind = function.doc_section.label;
            writeln!(text, "\n## {kind}").unwrap();
        }
        writeln!(text, "\n### {name}\n\n```sql\n{}\n```\n\n{}", function.syntax_example, function.description).unwrap();
        if let Some(columns) = columns(&name) {
            writeln!(text, "\nColumns of the result: {columns}.").unwrap();
        }
        text += "\n| argument | meaning |\n|---|---|\n";
        for (argument, meaning) in function.arguments.unwrap_or_default() {
            writeln!(text, "| `{argument}` | {} |", cell(&meaning)).unwrap();
        }
        if let Some(example) = function.sql_example {
            writeln!(text, "\n{example}").unwrap();
        }
    }
    text + "\n"
}

fn settings() -> String {
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for entry in DebutConfig::default().entries() {
        let (key, default) = (entry.key, entry.value.unwrap_or_default());
        writeln!(table, "| `{key}` | `{default}` | {} |", cell(entry.description)).unwrap();
    }
    table
}

/// The text with `part` between the marks of this name.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let start = format!("<!-- {name}: written by `DEBUT_README=write cargo test --test readme` -->\n");
    let start = text.find(&start).expect("the document has a start mark") + start.len();
    let end = text.find(&format!("<!-- /{name} -->")).expect("the document has an end mark");
    format!("{}{part}{}", &text[..start], &text[end..])
}

#[test]
fn the_generated_parts_are_current() {
    for (file, parts) in [
        (README, vec![("functions", overview())]),
        (REFERENCE, vec![("settings", settings()), ("functions", reference())]),
    ] {
        let path = support::repository(file);
        let found = fs::read_to_string(&path).unwrap();
        let current = parts.iter().fold(found.clone(), |text, (name, part)| with_part(&text, name, part));
        if std::env::var("DEBUT_README").is_ok_and(|mode| mode == "write") {
            fs::write(&path, current).unwrap();
        } else {
            assert!(found == current, "{file} is stale: DEBUT_README=write cargo test --test readme");
        }
    }
}

#[test]
fn the_first_sentence_of_a_function_fits_into_a_line() {
    for (name, function) in functions() {
        let summary = summary(&function.description);
        assert!(summary.ends_with('.') && summary.len() <= MOST_IN_A_LINE, "{name}: {summary}");
    }
}

/// What a heading is linked by: small letters, hyphens for blanks, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The anchors of a Markdown file's headings.
fn anchors(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut in_code = false;
    let headings = text.lines().filter_map(|line| {
        in_code ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        (!in_code && heading.len() < line.len()).then(|| anchor(heading.trim()))
    });
    headings.collect()
}

/// The targets of `[text](target)` and `![text](target)` within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://"))
}

#[test]
fn links_lead_somewhere() {
    let mut known: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut checked = 0;
    for file in [README, REFERENCE, ".github/CONTRIBUTING.md", "benches/README.md", "data/README.md"] {
        let path = support::repository(file);
        for link in links(&fs::read_to_string(&path).unwrap()) {
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.clone() } else { path.parent().unwrap().join(target) };
            assert!(target.exists(), "{file} links to {link}, which is not there");
            if !heading.is_empty() {
                let headings = known.entry(target.clone()).or_insert_with(|| anchors(&target));
                assert!(headings.iter().any(|known| known == heading), "{file} links to {link}, which is no heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

//! The README's tables of functions and of options are made from their own documentation.
//!
//! `DEBUT_README=write cargo test --test readme` writes it anew.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use debut::inference::Models;
use debut_udfs::functions::{CALLS, documentation};
use debut_udfs::options::Function;

mod support;

fn functions() -> String {
    let mut table = String::from("| call | what it gives |\n|---|---|\n");
    for (_, function) in documentation(Arc::new(Models::new(support::home()))) {
        writeln!(table, "| `{}` | {} |", function.syntax_example.replace('|', "\\|"), function.description).unwrap();
    }
    table
}

fn options() -> String {
    let table = |function: &Function| {
        let mut table = format!("| option of `{}` | what it means |\n|---|---|\n", function.name);
        for setting in function.settings {
            writeln!(table, "| `{}` | {} |", setting.name, setting.describe().replace('|', "\\|")).unwrap();
        }
        table
    };
    CALLS.map(table).join("\n")
}

/// The text with `table` between the marks of this name.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let start = format!("<!-- {name}: written by `DEBUT_README=write cargo test --test readme` -->\n");
    let start = text.find(&start).expect("the README has a start mark") + start.len();
    let end = text.find(&format!("<!-- /{name} -->")).expect("the README has an end mark");
    format!("{}{table}{}", &text[..start], &text[end..])
}

#[test]
fn the_tables_are_current() {
    let path = support::repository("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let current = with_table(&with_table(&readme, "functions", &functions()), "options", &options());
    if std::env::var("DEBUT_README").is_ok_and(|mode| mode == "write") {
        fs::write(&path, current).unwrap();
        return;
    }
    assert!(readme == current, "the README's tables are stale: DEBUT_README=write cargo test --test readme");
}

//! The README's table of functions is made from the functions' own documentation.
//!
//! `DEBUT_README=write cargo test --test readme` writes it anew.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use debut::inference::Models;
use debut_udfs::functions::documentation;

mod support;

const START: &str = "<!-- functions: written by `DEBUT_README=write cargo test --test readme` -->\n";
const END: &str = "<!-- /functions -->";

fn table() -> String {
    let mut table = String::from("| call | what it gives |\n|---|---|\n");
    for (_, function) in documentation(Arc::new(Models::new(support::home()))) {
        writeln!(table, "| `{}` | {} |", function.syntax_example.replace('|', "\\|"), function.description).unwrap();
    }
    table
}

#[test]
fn the_table_of_functions_is_current() {
    let path = support::repository("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let start = readme.find(START).expect("the README has a start mark") + START.len();
    let end = readme.find(END).expect("the README has an end mark");
    let current = format!("{}{}{}", &readme[..start], table(), &readme[end..]);
    if std::env::var("DEBUT_README").is_ok_and(|mode| mode == "write") {
        fs::write(&path, current).unwrap();
        return;
    }
    assert!(readme == current, "the README's functions are stale: DEBUT_README=write cargo test --test readme");
}

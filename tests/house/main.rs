//! The invariants that the layout of the source promises.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod imports;
#[path = "../support/mod.rs"]
mod support;

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    if folder.is_file() {
        return files.push(folder.to_owned());
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&support::repository(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has no Rust files");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Lines of code that contain one of the patterns; comments may name anything, and so may unit tests.
fn mentions(folder: &str, patterns: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // A name begins where no letter stands before it: `import::` does not name `ort::`.
            let names = |pattern: &&str| {
                code.match_indices(*pattern)
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            };
            if patterns.iter().any(names) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn functions_never_name_the_runtime() {
    assert_eq!(mentions("udfs", &["ort::", "use ort", "debut::"]), Vec::<String>::new());
}

#[test]
fn only_inference_and_steps_name_the_runtime() {
    let train = ["data", "objective", "method", "optimizer", "run"].map(|folder| format!("src/train/{folder}"));
    let others = [
        "src/server",
        "src/engine",
        "src/report",
        "src/recommend",
        "src/compress",
        "src/registry",
        "src/onnx",
        "src/autodiff",
        "src/fetch",
        "src/jobs",
        "src/cli",
    ]
    .map(String::from);
    for folder in others.iter().chain(&train) {
        assert_eq!(mentions(folder, &["ort::", "use ort;"]), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn dependencies_point_one_way() {
    // Each folder, and what it must not know: everything that stands above it.
    let above = [
        (
            "src/onnx",
            &["autodiff", "registry", "inference", "train", "recommend", "report", "engine", "server", "cli", "fetch"]
                [..],
        ),
        (
            "src/autodiff",
            &["registry", "inference", "train", "recommend", "report", "engine", "server", "cli", "fetch"][..],
        ),
        (
            "src/fetch",
            &[
                "registry",
                "inference",
                "train",
                "recommend",
                "autodiff",
                "report",
                "engine",
                "server",
                "cli",
                "onnx",
                "jobs",
            ][..],
        ),
        (
            "src/jobs",
            &["registry", "inference", "train", "recommend", "autodiff", "report", "engine", "server", "cli", "onnx"][..],
        ),
        (
            "src/registry",
            &["jobs", "inference", "train", "recommend", "autodiff", "report", "engine", "server", "cli"][..],
        ),
        ("src/inference", &["train", "compress", "recommend", "autodiff", "report", "engine", "server", "cli"][..]),
        ("src/train", &["compress", "recommend", "report", "engine", "server", "cli"][..]),
        ("src/compress", &["recommend", "report", "engine", "server", "cli"][..]),
        ("src/recommend", &["compress", "report", "engine", "server", "cli"][..]),
        ("src/report", &["engine", "server", "cli"][..]),
        ("src/engine", &["server", "cli"][..]),
        ("src/server", &["cli"][..]),
    ];
    for (folder, forbidden) in above {
        let patterns: Vec<String> = forbidden.iter().map(|module| format!("crate::{module}")).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        assert_eq!(mentions(folder, &patterns), Vec::<String>::new(), "{folder}");
    }
}

#[test]
fn scoring_never_names_training() {
    let calls = [
        "audience",
        "evaluate",
        "explain",
        "forecast_launch",
        "gaps",
        "lists",
        "mod",
        "reasons",
        "recommend",
        "score",
        "title_effect",
    ]
    .map(|file| format!("src/recommend/calls/{file}.rs"));
    let folders = ["dataset", "ranking", "components", "forecast", "model", "inputs", "evaluation"];
    let scoring = folders.map(|folder| format!("src/recommend/{folder}")).into_iter().chain(calls);
    for place in scoring.chain(["src/inference".to_owned()]) {
        let found =
            mentions(&place, &["crate::train", "crate::recommend::training", "super::training", "super::train"]);
        // The folder of the calls lists its files.
        let found: Vec<_> = found.into_iter().filter(|line| !line.contains("mod train;")).collect();
        assert_eq!(found, Vec::<String>::new(), "{place}");
    }
}

#[test]
fn what_everybody_builds_on_names_nothing_above_it() {
    let above = [
        "engine",
        "server",
        "cli",
        "recommend",
        "train",
        "inference",
        "registry",
        "report",
        "autodiff",
        "onnx",
        "fetch",
    ];
    let patterns: Vec<String> = above.iter().map(|module| format!("crate::{module}")).collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    for place in
        ["src/linalg", "src/random.rs", "src/background.rs", "src/cancellation.rs", "src/home.rs", "src/staging.rs"]
    {
        assert_eq!(mentions(place, &patterns), Vec::<String>::new(), "{place}");
    }
}

/// The folder of a crate's source, and every file in it.
fn all_files(source: &str) -> (PathBuf, Vec<PathBuf>) {
    let source = support::repository(source);
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    (source, files)
}

/// Every folder of both crates, however deep: its files and folders name each other in one direction.
#[test]
fn no_folder_has_a_circle() {
    let (mut looked_at, mut circles) = (0, Vec::new());
    for source in ["src", "udfs"] {
        let (source, files) = all_files(source);
        let folders: BTreeSet<&Path> = files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
        // Protobuf messages contain each other.
        let looked_for = folders.iter().filter(|folder| folder.starts_with(&source) && !folder.ends_with("onnx/proto"));
        for folder in looked_for.filter(|folder| !folder.ends_with("tests")) {
            let graph = imports::graph(&source, folder, &files);
            looked_at += graph.len();
            let circle = imports::circle(graph);
            if !circle.is_empty() {
                circles.push((folder.to_path_buf(), circle));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
    assert!(looked_at > 200, "the files were found");
}

/// A folder's children as a Mermaid diagram, the arrows from who names to who is named.
fn diagram(folder: &str) -> String {
    let (source, files) = all_files("src");
    let graph = imports::graph(&source, &source.join(folder), &files);
    let arrows = graph.iter().filter(|(_, names)| !names.is_empty()).map(|(child, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("  {child} --> {}\n", names.join(" & "))
    });
    format!("```mermaid\nflowchart TD\n{}```\n", arrows.collect::<String>())
}

/// `DEBUT_HOUSE=write cargo test --test house` draws it anew.
#[test]
fn the_picture_of_the_recommender_is_true() {
    let diagram = diagram("recommend");
    let arrows = diagram.lines().filter(|line| line.contains("-->")).count();
    assert!((2..=12).contains(&arrows), "few rooms: {diagram}");
    let path = support::repository(".github/ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("```mermaid\n").unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    let wanted = format!("{before}{diagram}{after}");
    if std::env::var("DEBUT_HOUSE").as_deref() == Ok("write") {
        fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), wanted, "DEBUT_HOUSE=write cargo test --test house draws it anew");
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "udfs", "tests", "benches"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not open with a description", path.display());
            // Who calls a file changes without a line of it: nobody would correct what it says.
            let mut head = text.lines().take_while(|line| line.starts_with("//!"));
            let stale = head.find(|line| line.contains("Called by") || line.contains("Used by"));
            assert!(stale.is_none(), "{}: {stale:?} belongs to whoever calls it", path.display());
        }
    }
}

/// Paths in backquotes, as documents name files and folders.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|path| ["src/", "udfs/", "tests/"].iter().any(|folder| path.starts_with(folder)))
}

#[test]
fn documents_name_files_that_exist() {
    for document in [".github/ARCHITECTURE.md", ".github/CONTRIBUTING.md"] {
        let text = fs::read_to_string(support::repository(document)).unwrap();
        let exists =
            |path: &&str| support::repository(path.trim_end_matches('/')).exists() || path.contains("my_function");
        let missing: Vec<&str> = paths(&text).filter(|path| !exists(path)).collect();
        assert!(paths(&text).count() > 5 && missing.is_empty(), "{document} names {missing:?}, which are not there");
    }
}

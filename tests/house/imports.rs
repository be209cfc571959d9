//! Which module names which: takes the files of a folder of `src`, gives a graph of its direct children.
//!
//! Read from the text, not by a compiler: a path that begins with `crate::`, `super::` or `self::` names a module. Comments and
//! unit tests may name anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each child, and the other children that it names.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The children of a folder of `src`, by what their files name. What the folder itself exports is named by where it comes from.
pub(crate) fn graph(source: &Path, folder: &Path, files: &[std::path::PathBuf]) -> Graph {
    let base = segments(source, folder);
    let exports = exports(&folder.join("mod.rs"));
    let mut graph = Graph::new();
    for file in files.iter().filter(|file| file.starts_with(folder) && !is_test(file)) {
        let module = segments(source, file);
        if let Some(child) = module.get(base.len()) {
            graph.entry(child.clone()).or_default();
        }
    }
    let children: BTreeSet<String> = graph.keys().cloned().collect();
    for file in files.iter().filter(|file| file.starts_with(folder) && !is_test(file)) {
        let module = segments(source, file);
        let Some(child) = module.get(base.len()) else { continue };
        for path in named(&module, &code(&fs::read_to_string(file).unwrap())) {
            let Some(other) = path.strip_prefix(base.as_slice()).and_then(|rest| rest.first()) else { continue };
            let other = exports.get(other).unwrap_or(other);
            if other != child && children.contains(other) {
                graph.get_mut(child).unwrap().insert(other.clone());
            }
        }
    }
    graph
}

/// The children that name each other in a ring, with what they name; empty where all arrows point one way.
pub(crate) fn circle(mut graph: Graph) -> Graph {
    loop {
        let named: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let ends = |(child, names): (&String, &BTreeSet<String>)| {
            (names.is_empty() || !named.contains(child)).then(|| child.clone())
        };
        let ends: Vec<String> = graph.iter().filter_map(ends).collect();
        if ends.is_empty() {
            return graph;
        }
        for end in &ends {
            graph.remove(end);
            graph.values_mut().for_each(|names| names.retain(|name| name != end));
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

/// The path of a file's or folder's module, without `crate`.
fn segments(source: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(source).unwrap().with_extension("");
    let mut path: Vec<String> = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

/// A file without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let text = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let tests = text.match_indices("#[cfg(test)]").find(|(at, _)| {
        let item = text[*at..].lines().map(str::trim).find(|line| !line.starts_with('#'));
        item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{'))
    });
    text[..tests.map_or(text.len(), |(at, _)| at)].to_owned()
}

/// What a folder's `mod.rs` exports from its children: the child of each name.
fn exports(file: &Path) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    let text = fs::read_to_string(file).map(|text| code(&text)).unwrap_or_default();
    for item in text.split(';').filter_map(|item| item.trim().strip_prefix("pub")?.split_once("use ")) {
        if let Some((child, names)) = item.1.trim_start_matches("self::").split_once("::") {
            for name in names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty()) {
                exports.insert(name.to_owned(), child.to_owned());
            }
        }
    }
    exports
}

/// The absolute paths that the code of `module` names.
fn named(module: &[String], code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut path = if start == "crate::" { Vec::new() } else { module.to_vec() };
            let mut rest = &code[at..];
            loop {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                match &rest[..length] {
                    "crate" | "self" => {}
                    "super" => drop(path.pop()),
                    name => path.push(name.to_owned()),
                }
                match rest[length..].strip_prefix("::") {
                    Some(behind) => rest = behind,
                    None => break,
                }
                if let Some(list) = rest.strip_prefix('{') {
                    let list = &list[..list.find('}').unwrap_or(list.len())];
                    let names = list.split(',').map(|name| name.trim().split("::").next().unwrap_or_default());
                    found.extend(names.map(|name| [path.as_slice(), &[name.to_owned()]].concat()));
                    break;
                }
            }
            found.push(path);
        }
    }
    found
}

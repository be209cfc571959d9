//! What the integration tests share: one Debut home, so that the runtime and the default model are fetched once.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::{DEFAULT_MODEL, Switch};
use tempfile::TempDir;

pub mod pictures;
pub mod sql;

/// `DEBUT_HOME` where it is set, else a folder under `target` that later runs find again.
pub fn home() -> Home {
    match std::env::var_os("DEBUT_HOME") {
        Some(home) if !home.is_empty() => Home::at(home),
        _ => Home::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("debut-home")),
    }
}

pub fn session() -> Session {
    session_at(home())
}

/// A session over a home. Vectors are not kept in the shared one: a later run would be given those of older code.
pub fn session_at(home: Home) -> Session {
    let cache = if home == self::home() { Switch::Off } else { Switch::On };
    let options = EngineOptions { cache, ..EngineOptions::default() };
    let engine = Engine::open(Arc::new(Models::new(home)), &options).unwrap();
    engine.session(&Access::everything()).unwrap()
}

/// A home of its own with the default model and the runtimes of the shared home: what is imported there is new to it.
pub fn fresh_home() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (shared, fresh) = (home(), Home::at(folder.path()));
    // Fetched into the shared home, once.
    let model = Models::new(shared.clone()).registry().resolve_or_install(DEFAULT_MODEL, false, &|_| {}).unwrap();
    let model = model.path.parent().unwrap().parent().unwrap();
    fs::create_dir_all(shared.runtimes()).unwrap();
    fs::create_dir_all(fresh.models()).unwrap();
    std::os::unix::fs::symlink(shared.runtimes(), fresh.runtimes()).unwrap();
    std::os::unix::fs::symlink(model, fresh.models().join(model.file_name().unwrap())).unwrap();
    folder
}

/// A home of its own with a small model named `small`, and the runtime of the shared home.
pub fn small_home() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shared = home();
    fs::create_dir_all(shared.runtimes()).unwrap();
    let small = Home::at(folder.path());
    std::os::unix::fs::symlink(shared.runtimes(), small.runtimes()).unwrap();
    let source = repository("tests/reference/models/bert-mean-normalize");
    Models::new(small).import("small", source.to_str().unwrap(), &[], true).unwrap();
    folder
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the data that is not ours to redistribute, or `None` with a message where the folder is missing.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    let path = repository("../shared/data").join(file);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

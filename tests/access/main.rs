//! Served sessions: what they may read, write and change ([`statements`]), whatever the path ([`paths`]), what they hold in
//! memory ([`tables`]), and how their queries end when nobody reads them any more ([`cancellation`]).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::Result;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use tempfile::TempDir;

mod cancellation;
mod paths;
mod statements;
#[path = "../support/mod.rs"]
mod support;
mod tables;

/// What nobody may read.
const CANARY: &str = "canary-7f3a";

/// Nothing is fetched in these tests.
fn offline() -> EngineOptions {
    EngineOptions { offline: true, ..EngineOptions::default() }
}

/// A folder that is served, `served`, beside one that is not, `outside`, and a Debut home.
struct Fixture {
    root: TempDir,
    engine: Engine,
}

impl Fixture {
    fn new() -> Self {
        Self::with_options(&offline())
    }

    fn with_options(options: &EngineOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("served/products.csv", "id,title\n1,mug\n2,spade\n");
        write("served/sales/year=2025/a.csv", "id\n1\n");
        write("served/sales/year=2026/a.csv", "id\n1\n2\n");
        write("outside/canary.csv", &format!("secret\n{CANARY}\n"));
        let link = |to: &str, name: &str| symlink(to, root.path().join("served").join(name)).unwrap();
        link("../outside", "away");
        link("../outside/canary.csv", "away.csv");
        link("../nowhere.csv", "nowhere.csv");
        link("../../outside", "sales/year=2027");
        link("products.csv", "same.csv");
        let models = Arc::new(Models::new(Home::at(root.path().join("home"))));
        Self { engine: Engine::open(models, options).unwrap(), root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn reader(&self) -> Session {
        self.engine.session(&Access::served(&[self.path("served")], false).unwrap()).unwrap()
    }

    fn writer(&self) -> Session {
        self.engine.session(&Access::served(&[self.path("served")], true).unwrap()).unwrap()
    }
}

/// The rows of the last statement of a script.
async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut rows = Vec::new();
    for statement in session.statements(sql)? {
        rows = session.run(statement).await?.collect().await?;
    }
    Ok(rows)
}

/// They, as a table of text.
async fn shown(session: &Session, sql: &str) -> String {
    let rows = rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&rows).unwrap().to_string()
}

async fn count(session: &Session, sql: &str) -> usize {
    let rows = rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(RecordBatch::num_rows).sum()
}

/// The error of a script.
async fn message(session: &Session, sql: &str) -> String {
    match rows(session, sql).await {
        Ok(rows) => panic!("{sql} gave {}", pretty_format_batches(&rows).unwrap()),
        Err(error) => error.strip_backtrace(),
    }
}

/// The names of all files below a folder, links not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

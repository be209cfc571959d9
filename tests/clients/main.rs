//! Real clients of PostgreSQL's protocol and of Arrow Flight SQL run the walk of `sql/` against `debut serve`.
//!
//! psql runs every statement, trainings included, and leaves the models and files that the others use. Each of them runs the
//! walk again through its own driver, with bound parameters, and its rows have to be those of the engine without a server
//! ([`results`]). What a client is besides that, such as cursors, reflection and the types of its language, its script checks.
//! Chromium, last, uses the page over the models that psql has trained ([`browser`]).
//!
//! `tests/clients/install` installs the clients. One that is missing is skipped with a message, or fails the test where
//! `DEBUT_TEST_CLIENTS=required`, as in CI.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod browser;
mod driver;
mod psql;
mod results;
#[path = "../support/serve.rs"]
mod serve;
mod statements;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/walk.rs"]
mod walk;

use std::path::Path;
use std::time::Instant;

use driver::DRIVERS;
use serve::Server;

/// A server of the shop's data that may be written, with a user `ada`.
fn start(home: &Path) -> Server {
    let folder = tempfile::tempdir().unwrap();
    // A copy: a link would lead out of what is served.
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for table in ["customers", "help", "interactions", "pictures", "products", "questions"] {
        let data = format!("data/{table}.parquet");
        std::fs::copy(support::repository(&data), folder.path().join(data)).unwrap();
    }
    let users = folder.path().join("users");
    let users = users.to_str().unwrap().to_owned();
    serve::add_user(serve::command(folder.path(), home), &users);
    let mut command = serve::command(folder.path(), home);
    command.stderr(std::process::Stdio::inherit());
    let page = support::repository("sql/page.sql");
    let http = ["--http", "127.0.0.1:0", "--page", page.to_str().unwrap(), "--feedback", "feedback"];
    let arguments = [&["--users", &users, "--data", ".", "--read-write", "--memory-limit", "2G"][..], &http].concat();
    Server::run(command, folder, &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_runs_the_walk() {
    let required = std::env::var("DEBUT_TEST_CLIENTS").is_ok_and(|value| value == "required");
    let missing = |client: &str, what: &str| {
        let message = format!("{client} is missing ({what}): bash tests/clients/install");
        assert!(!required, "{message}");
        eprintln!("skipped: {message}");
    };
    if let Err(what) = psql::find() {
        return missing("psql, whose trainings the others use,", &what);
    }
    let home = support::fresh_home();
    let server = start(home.path());
    let mut begun = Instant::now();
    let mut took = |what: &str| {
        eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
        begun = Instant::now();
    };
    let found = psql::walk(&server);
    took("psql");
    let expected = results::of_engine(home.path(), &server).await;
    results::compare_texts("psql", &found, &expected);
    took("the engine without a server");
    let mut failed = Vec::new();
    for driver in DRIVERS {
        match driver.find() {
            Err(what) => missing(driver.name, &what),
            Ok(()) => {
                let checked = driver.run(&server).and_then(|found| results::compare(driver.name, &found, &expected));
                if let Err(message) = checked {
                    failed.push(message);
                }
                took(driver.name);
            }
        }
    }
    match browser::find() {
        Err(what) => missing("the page's browser", &what),
        Ok(chromium) => {
            failed.extend(browser::check(&server, home.path(), chromium).err());
            took("Chromium");
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

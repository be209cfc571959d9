//! The page at `/` in headless Chromium, driven by Playwright: how they are found and run.

use std::path::PathBuf;
use std::process::Command;

use crate::driver::{last_line, python};
use crate::psql;
use crate::serve::{self, Server};
use crate::support::repository;

/// What Chromium is called on Debian and elsewhere; `DEBUT_TEST_CHROMIUM` names another one.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// As long as the page may take on a busy machine, in seconds.
const LIMIT: &str = "300";

/// Looks for Chromium and Playwright.
///
/// # Errors
/// One of them is not there.
pub(crate) fn find() -> Result<PathBuf, String> {
    let looked = Command::new(python()).args(["-c", "import playwright.sync_api, psycopg"]).output();
    match looked {
        Ok(output) if output.status.success() => {}
        Ok(output) => return Err(last_line(&output.stderr)),
        Err(error) => return Err(format!("{}: {error}", python().display())),
    }
    let runs =
        |name: &PathBuf| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let named = std::env::var_os("DEBUT_TEST_CHROMIUM").map(PathBuf::from);
    let mut names = named.into_iter().chain(NAMES.map(PathBuf::from));
    names.find(runs).ok_or_else(|| format!("none of {} runs", NAMES.join(", ")))
}

/// Uses the page of a server on which psql has trained the recommender. Screenshots go to the folder that `DEBUT_SCREENSHOTS`
/// names.
///
/// # Errors
/// The page does not do what it should; the message is what the script says.
pub(crate) fn check(server: &Server, home: &std::path::Path, chromium: PathBuf) -> Result<(), String> {
    let users = server.path("users");
    let mut token = serve::command(server.folder.path(), home);
    let token = token.args(["user", "token", "ada", "--users"]).arg(users).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let mut script = Command::new("timeout");
    script.arg(LIMIT).arg(python()).arg(repository("tests/clients/with_chromium.py")).arg(chromium);
    script
        .envs(psql::variables(server))
        .env("DEBUT_PAGE", format!("http://{}", server.http.unwrap()))
        .env("DEBUT_TOKEN", token.trim());
    script.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    let output = script.output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("Chromium: {} {}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

//! The clients that are libraries, each with a script in Python: how they are found and run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::psql;
use crate::results::{Key, Told, Values};
use crate::serve::Server;
use crate::statements;
use crate::support::repository;

/// Where Debian and Ubuntu have PostgreSQL's JDBC driver; `DEBUT_TEST_JDBC` names another place.
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// As long as one of them may take on a busy machine, in seconds.
const LIMIT: &str = "600";

/// A client.
pub(crate) struct Driver {
    pub(crate) name: &'static str,
    script: &'static str,
    /// What the script imports.
    modules: &'static str,
}

pub(crate) const DRIVERS: [Driver; 6] = [
    Driver { name: "psycopg 3", script: "with_psycopg.py", modules: "psycopg" },
    Driver { name: "SQLAlchemy 2", script: "with_sqlalchemy.py", modules: "sqlalchemy, psycopg" },
    Driver { name: "asyncpg", script: "with_asyncpg.py", modules: "asyncpg" },
    Driver { name: "pg8000", script: "with_pg8000.py", modules: "pg8000" },
    Driver { name: "JDBC", script: "with_jdbc.py", modules: "jpype" },
    Driver { name: "ADBC Flight SQL", script: "with_adbc.py", modules: "adbc_driver_flightsql.dbapi, pyarrow" },
];

impl Driver {
    /// Looks for the client.
    ///
    /// # Errors
    /// A part of it is not there.
    pub(crate) fn find(&self) -> Result<(), String> {
        if self.script == "with_jdbc.py" && !jdbc().exists() {
            return Err(format!("there is no {}", jdbc().display()));
        }
        let java = if self.script == "with_jdbc.py" { "; jpype.getDefaultJVMPath()" } else { "" };
        let looked = Command::new(python()).args(["-c", &format!("import {}{java}", self.modules)]).output();
        match looked {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(last_line(&output.stderr)),
            Err(error) => Err(format!("{}: {error}", python().display())),
        }
    }

    /// Runs its script, which checks the client and tells the results of the walk.
    ///
    /// # Errors
    /// The script fails; the message is what it says.
    pub(crate) fn run(&self, server: &Server) -> Result<Values, String> {
        let walk = server.path("walk.json");
        std::fs::write(&walk, serde_json::to_vec(&statements::shared()).unwrap()).unwrap();
        let mut script = Command::new("timeout");
        script.arg(LIMIT).arg(python()).arg(repository("tests/clients").join(self.script)).arg(walk);
        script
            .envs(psql::variables(server))
            .env("DEBUT_FLIGHT", server.flight.to_string())
            .env("DEBUT_TEST_JDBC", jdbc());
        // Nothing is written beside the scripts, and what they print is UTF-8 whatever the locale.
        script.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        let output = script.output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {} {said}", self.name, output.status));
        }
        let told = String::from_utf8(output.stdout).unwrap();
        let told = told.lines().map(|line| serde_json::from_str::<Told>(line).unwrap());
        Ok(told.map(|told| (Key::new(&told.file, told.statement), (told.columns, told.rows))).collect())
    }
}

/// The Python that `tests/clients/install` makes.
pub(crate) fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("tools/clients/bin/python")
}

fn jdbc() -> PathBuf {
    std::env::var_os("DEBUT_TEST_JDBC").map_or_else(|| JDBC.into(), PathBuf::from)
}

pub(crate) fn last_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().last().unwrap_or_default().to_owned()
}

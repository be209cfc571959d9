//! `COPY ... TO` and `-o`: what is written appears whole or not at all, whatever stops the writer.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::RngExt;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, sql: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(["sql", "--format", "csv", "-c", sql]).current_dir(self.0.path());
        command.env("DEBUT_HOME", self.path("home")).stdin(Stdio::null());
        command
    }

    fn good(&self, sql: &str) -> String {
        let output = self.command(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn bad(&self, sql: &str) -> String {
        let output = self.command(sql).output().unwrap();
        assert!(!output.status.success(), "{sql}");
        text(&output)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

#[test]
fn an_error_in_the_middle_leaves_what_was_there() {
    let place = Place::new();
    place.good("COPY (SELECT 1 AS a) TO 'out.parquet'; COPY (SELECT 1 AS a) TO 'folder/' STORED AS PARQUET");
    let broken = "SELECT 100000 / (99999 - value) AS a, value % 3 AS p FROM generate_series(1, 100000)";
    for to in [
        "'out.parquet'",
        "'folder/' STORED AS PARQUET",
        "'folder/' STORED AS PARQUET PARTITIONED BY (p)",
        "'new.csv'",
        "'new/' STORED AS CSV",
    ] {
        let message = place.bad(&format!("COPY ({broken}) TO {to}"));
        assert!(message.to_lowercase().contains("divide by zero"), "{message}");
        assert_eq!(place.names(), ["folder", "out.parquet"], "{to}");
        for location in ["out.parquet", "folder/"] {
            assert_eq!(place.good(&format!("SELECT a FROM '{location}'")), "a\n1\n");
        }
    }
}

#[test]
fn a_folder_is_replaced_whole() {
    let place = Place::new();
    for (rows, partitions) in [(10, ""), (7, ""), (6, "PARTITIONED BY (p)"), (6, "PARTITIONED BY (p)"), (0, "")] {
        let sql = format!("SELECT value AS a, value % 3 AS p FROM generate_series(1, 100) WHERE value <= {rows}");
        place.good(&format!("COPY ({sql}) TO 'new/below/out/' STORED AS PARQUET {partitions}"));
        assert_eq!(
            files(&place.path("new/below/out")),
            if rows == 0 {
                0
            } else if partitions.is_empty() {
                1
            } else {
                3
            }
        );
        if rows > 0 {
            let sum = place.good("SELECT count(*) AS n, sum(a) AS s FROM 'new/below/out/'");
            assert_eq!(sum, format!("n,s\n{rows},{}\n", rows * (rows + 1) / 2));
        }
        assert_eq!(fs::read_dir(place.path("new/below")).unwrap().count(), 1);
    }
}

#[test]
fn what_copy_would_not_have_written_is_not_removed() {
    let place = Place::new();
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/notes.txt"), "mine").unwrap();
    for (sql, part) in [
        ("COPY (SELECT 1 AS a) TO 'mine/' STORED AS PARQUET", "would remove 'notes.txt'"),
        ("COPY (SELECT 1 AS a) TO '.' STORED AS PARQUET", "would remove"),
        ("COPY (SELECT 1 AS a) TO 'mine/*.parquet' STORED AS PARQUET", "is a pattern"),
        ("COPY (SELECT 1 AS a) TO '/dev/null' STORED AS CSV", "neither a file nor a folder"),
        ("COPY (SELECT 1 AS a) TO '/' STORED AS CSV", "cannot be replaced"),
        ("COPY (SELECT 1 AS a) TO 'mine/notes.txt/' STORED AS CSV", "is a file, and a folder is to be written"),
    ] {
        let message = place.bad(sql);
        assert!(message.contains(part), "{sql}: {message}");
    }
    assert_eq!(fs::read_to_string(place.path("mine/notes.txt")).unwrap(), "mine");
    // An EXPLAIN writes nothing; an EXPLAIN ANALYZE does.
    place.good("EXPLAIN COPY (SELECT 1 AS a) TO 'explained.csv'");
    assert!(!place.path("explained.csv").exists());
    let plan = place.good("EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO 'a b%20.csv'; ");
    assert!(plan.contains("PublishExec"), "{plan}");
}

#[test]
fn names_links_and_permissions_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    place.good("COPY (SELECT 1 AS a) TO 'odd name % #1.csv'");
    assert_eq!(fs::read_to_string(place.path("odd name % #1.csv")).unwrap(), "a\n1\n");
    fs::write(place.path("real.csv"), "old").unwrap();
    fs::set_permissions(place.path("real.csv"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.csv", place.path("link.csv")).unwrap();
    place.good("COPY (SELECT 2 AS a) TO 'link.csv'");
    assert!(place.path("link.csv").is_symlink());
    assert_eq!(fs::read_to_string(place.path("real.csv")).unwrap(), "a\n2\n");
    assert_eq!(fs::metadata(place.path("real.csv")).unwrap().permissions().mode() & 0o777, 0o640);
}

/// Files of more than a few kilobytes cannot be written: as on a full disk, in the middle.
#[test]
fn a_disk_that_takes_no_more_leaves_what_was_there() {
    let place = Place::new();
    place.good("COPY (SELECT 1 AS a) TO 'out.csv'; COPY (SELECT 1 AS a) TO 'folder/' STORED AS CSV");
    let rows = "SELECT value AS a FROM generate_series(1, 200000)";
    for (statement, output) in [
        (format!("COPY ({rows}) TO 'out.csv'"), None),
        (format!("COPY ({rows}) TO 'folder/' STORED AS CSV"), None),
        (rows.to_owned(), Some("out.csv")),
    ] {
        let inner = place.command(&statement);
        let mut command = Command::new("sh");
        // A signal that is ignored: writing fails with an error instead.
        command
            .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        if let Some(output) = output {
            command.args(["-o", output]);
        }
        let output = command.current_dir(place.0.path()).env("DEBUT_HOME", place.path("home")).output().unwrap();
        let message = text(&output);
        assert!(
            !output.status.success() && (message.contains("is full") || message.contains("File too large")),
            "{statement}: {message}"
        );
        assert_eq!(place.names(), ["folder", "out.csv"]);
        assert_eq!(place.good("SELECT a FROM 'out.csv'") + &place.good("SELECT a FROM 'folder/'"), "a\n1\na\n1\n");
    }
}

fn kills() -> usize {
    std::env::var("DEBUT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6)
}

/// Kills the process after a while, if it has not ended by itself.
fn kill_after(mut child: Child, while_: Duration) {
    let end = Instant::now() + while_;
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
}

/// `kill -9` at random moments: every reading gives one of the states, whole, and the next run completes.
#[test]
fn a_kill_leaves_the_old_state_or_the_new_one() {
    let place = Place::new();
    let rows = |state: usize| format!("SELECT {state} AS state, value, value % 4 AS p FROM generate_series(1, 30000)");
    let targets = [
        ("out.parquet", "'out.parquet'"),
        ("folder/", "'folder/' STORED AS PARQUET"),
        ("parts/", "'parts/' STORED AS PARQUET PARTITIONED BY (p)"),
    ];
    let copy = |state: usize| targets.map(|(_, to)| format!("COPY ({}) TO {to}; ", rows(state))).concat();
    let begun = Instant::now();
    place.good(&copy(0));
    let whole = begun.elapsed();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for state in 1..=kills() {
        let mut command = place.command(&copy(state));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill_after(child, whole.mul_f64(random.random_range(0.05..1.0)));
        for (location, _) in targets {
            let read = format!("SELECT count(*) AS n, sum(value) AS s, max(state) - min(state) AS d FROM '{location}'");
            assert_eq!(place.good(&read), "n,s,d\n30000,450015000,0\n", "{location} after kill {state}");
        }
    }
    place.good(&copy(1000));
    assert_eq!(place.names(), ["folder", "out.parquet", "parts"], "what was killed is cleared away");
    for (location, _) in targets {
        assert_eq!(place.good(&format!("SELECT min(state) AS s FROM '{location}'")), "s\n1000\n");
    }
}

//! What the tests of tables that `refresh` keeps share: a place to work in, statements, and what holds for every kind of table.
//!
//! `DEBUT_KILLS` is how often a refresh is killed (6 without it).

#![allow(dead_code, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::RngExt;
use tempfile::TempDir;

use crate::support;

/// A home with the model `small`, and a folder to work in.
pub struct Place {
    pub home: TempDir,
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { home: support::small_home(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, sql: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(["sql", "--format", "csv", "-c", sql]).current_dir(self.folder.path());
        command.env("DEBUT_HOME", self.home.path()).env_remove("DEBUT_CACHE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a statement that succeeds prints, without the names of its columns.
    pub fn good(&self, sql: &str) -> String {
        let output = self.command(sql).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", text(&output));
        let printed = String::from_utf8(output.stdout).unwrap();
        printed.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
    }

    pub fn bad(&self, sql: &str) -> String {
        let output = self.command(sql).output().unwrap();
        assert!(!output.status.success(), "{sql}");
        text(&output)
    }

    pub fn staged(&self, table: &str) -> usize {
        fs::read_dir(self.path(&format!(".{table}.refresh/staging"))).unwrap().count()
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The source of a table of texts and vectors: about half of the vectors are on one side, and in it.
pub const QUERY: &str =
    "SELECT * FROM (SELECT id, title, upper(title) AS shout, embed('a ' || title, 'small') AS vector
                     FROM 'source.json') WHERE vector[18] > 0 OR vector IS NULL";

pub fn refresh(query: &str) -> String {
    let columns = "added, changed, unchanged, removed, rows";
    format!("SELECT {columns} FROM refresh(source => ({query}), target => 'table/', key => 'id', keep => '0 seconds')")
}

pub fn write_source(place: &Place, rows: &BTreeMap<u32, Option<String>>) {
    let lines = rows.iter().fold(String::new(), |mut lines, (id, title)| {
        let title = title.as_ref().map_or("null".to_owned(), |title| format!("\"{title}\""));
        writeln!(lines, "{{\"id\": {id}, \"title\": {title}}}").unwrap();
        lines
    });
    fs::write(place.path("source.json"), lines).unwrap();
}

/// Ids, with texts and a few numbers of the vectors.
pub fn rows(place: &Place, from: &str) -> BTreeMap<u32, (String, Vec<Option<f64>>)> {
    let sql = format!(
        "SELECT id, coalesce(title, '-') || '/' || coalesce(shout, '-') AS title,
                vector[1] AS a, vector[9] AS b, vector[17] AS c, vector[32] AS d FROM {from} AS t"
    );
    let printed = place.good(&sql);
    let found: BTreeMap<_, _> = printed
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let numbers = cells[2..].iter().map(|cell| cell.parse().ok()).collect();
            (cells[0].parse().unwrap(), (cells[1].to_owned(), numbers))
        })
        .collect();
    assert_eq!(found.len(), printed.lines().count(), "no id is there twice");
    found
}

/// Whether both have the same rows; the last bits of a vector may differ by what ran beside it.
pub fn assert_same(
    found: &BTreeMap<u32, (String, Vec<Option<f64>>)>,
    expected: &BTreeMap<u32, (String, Vec<Option<f64>>)>,
) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for ((id, found), expected) in found.iter().zip(expected.values()) {
        let is_close = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-5,
            (a, b) => a == b,
        };
        let close = found.1.iter().zip(&expected.1).all(is_close);
        assert!(found.0 == expected.0 && close, "{id}: {found:?} instead of {expected:?}");
    }
}

/// After any edits the table that `refresh` makes is what its query gives, the counts are those of the edits, and `check` holds.
pub fn equals_its_query_after_every_edit(refresh: &dyn Fn(&str) -> String, check: impl Fn(&Place)) {
    let place = Place::new();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut source = BTreeMap::new();
    let mut before = BTreeMap::new();
    for round in 0..7 {
        // Nothing at all is changed in one round, and everything goes in another.
        let edits = if round == 3 { 0 } else { 120 };
        if round == 5 {
            source.clear();
        }
        for _ in 0..edits {
            let id = random.random_range(0..150_u32);
            let title = match random.random_range(0..8) {
                0 => None,
                1 => Some(String::new()),
                // Some texts are those of several rows.
                _ => Some(format!("item {}", random.random_range(0..60))),
            };
            if random.random_range(0..4) == 0 { drop(source.remove(&id)) } else { drop(source.insert(id, title)) }
        }
        write_source(&place, &source);
        let counts = place.good(&refresh(QUERY));
        let expected = rows(&place, &format!("({QUERY})"));
        assert_same(&rows(&place, "'table/'"), &expected);
        assert!(
            round == 5 || (20..source.len()).contains(&expected.len()),
            "the filter takes some away, and leaves some"
        );
        let unchanged = expected.iter().filter(|(id, row)| before.get(*id) == Some(&row.0)).count();
        let changed = expected.keys().filter(|id| before.contains_key(*id)).count() - unchanged;
        let added = expected.len() - unchanged - changed;
        let removed = before.len() - unchanged - changed;
        assert_eq!(counts, format!("{added},{changed},{unchanged},{removed},{}\n", expected.len()), "round {round}");
        before = expected.into_iter().map(|(id, row)| (id, row.0)).collect();
        assert_eq!(place.staged("table"), 0);
        check(&place);
    }
}

fn kills() -> usize {
    std::env::var("DEBUT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6)
}

/// Kills the process after a while, if it has not ended by itself. Whether it was killed.
pub fn kill_after(mut child: Child, while_: Duration) -> bool {
    let end = Instant::now() + while_;
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let was_killed = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    was_killed
}

/// Twenty thousand rows that say which state they are of.
pub fn state(state: usize) -> String {
    refresh(&format!(
        "SELECT value AS id, {state} AS state, embed('item ' || (value % 5000), 'small') AS v
         FROM (SELECT value FROM generate_series({state}, {}))",
        state + 19_999
    ))
}

pub fn assert_is_one_state(place: &Place, location: &str, states: [usize; 2]) {
    let printed = place.good(&format!(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(v) AS v, max(state) - min(state) AS d, min(id) - min(state) AS
         first, min(state) AS state FROM '{location}'"
    ));
    let (rows, state) = printed.trim().rsplit_once(',').unwrap();
    assert_eq!(rows, "20000,20000,20000,0,0", "{location}");
    assert!(states.contains(&state.parse().unwrap()), "{state} instead of {states:?}");
}

/// `kill -9` at random moments of the statements that make states: every reading gives one of them, whole, and the next run
/// completes.
pub fn survives_kills(state: &dyn Fn(usize) -> String) {
    let place = Place::new();
    place.good(&state(0));
    let begun = Instant::now();
    place.good(&state(1));
    let whole = begun.elapsed();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (mut old, mut killed) = (1, 0);
    for kill in 0..kills() {
        // Every state is begun twice: the second goes on from what the first has left.
        let new = 2 + kill / 2;
        let mut command = place.command(&state(new));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        killed += usize::from(kill_after(child, whole.mul_f64(random.random_range(0.05..1.0))));
        assert_is_one_state(&place, "table/", [old, new]);
        if kill % 2 == 1 {
            place.good(&state(new));
            assert_is_one_state(&place, "table/", [new, new]);
            assert_eq!(place.staged("table"), 0);
            old = new;
        }
    }
    assert!(killed > 0, "no refresh was killed before its end");
    place.good(&state(1000));
    let same = place.good(
        "SELECT count(*) AS n FROM 'table/' AS t JOIN (SELECT value AS id, embed('item ' || (value % 5000), 'small') AS v
         FROM generate_series(1000, 20999)) AS s USING (id) WHERE t.v IS NOT DISTINCT FROM s.v",
    );
    assert_eq!((same.as_str(), place.staged("table")), ("20000\n", 0));
}

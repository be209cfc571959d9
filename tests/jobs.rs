//! `debut run`, `debut schedule` and `debut.jobs` as their users meet them: the real program, killed, locked out, and without
//! its object store.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

/// A query that does not end by itself within a test's life.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

/// A folder with a Debut home in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn job(&self, sql: &str) {
        fs::write(self.path("job.sql"), sql).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(arguments).current_dir(self.0.path()).env("DEBUT_HOME", self.path("home"));
        command.env_remove("DEBUT_LOG").env("DEBUT_OFFLINE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn debut(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    fn run(&self, more: &[&str]) -> Answer {
        self.debut(&[&["run", "job.sql", "--format", "csv"], more].concat())
    }

    /// What a query prints as CSV, without its header.
    #[track_caller]
    fn sql(&self, sql: &str) -> Vec<String> {
        let answer = self.debut(&["sql", "-c", sql, "--format", "csv"]);
        assert_eq!(answer.status, Some(0), "{}", answer.err);
        answer.out.lines().skip(1).map(str::to_owned).collect()
    }

    /// Starts the job and waits until it is written down that statement `number` is under way.
    fn started(&self, number: usize) -> Child {
        let mut child = self.command(&["run", "job.sql"]).spawn().unwrap();
        self.until_running(&mut child, number);
        child
    }

    fn until_running(&self, child: &mut Child, number: usize) {
        let begun = Instant::now();
        let running = format!("\"number\": {number}");
        while !self.records().iter().any(|text| text.contains(&running) && text.contains("\"running\"")) {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            assert!(begun.elapsed() < Duration::from_secs(60), "it did not start");
            std::thread::yield_now();
        }
    }

    /// The texts of all records. A file may go while the folder is listed.
    fn records(&self) -> Vec<String> {
        let folders = fs::read_dir(self.path("home/jobs")).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(".json"));
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect()
    }
}

#[derive(Debug)]
struct Answer {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Answer {
    /// The log, of which every line is an object.
    #[track_caller]
    fn events(&self) -> Vec<Value> {
        self.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        self
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_job_writes_its_partition_once_however_often_it_runs() {
    let place = Place::new();
    place.job(
        "CREATE TABLE t AS SELECT value AS id FROM generate_series(1, 5);\n\n\
         COPY (SELECT id, $as_of AS as_of FROM t) TO 'out/day={as_of}/part.parquet';\n\
         SELECT count(*) AS n FROM 'out/day={as_of}/part.parquet'",
    );
    fs::create_dir_all(place.path("out")).unwrap();
    for _ in 0..2 {
        let answer = place.run(&["--param", "as_of=2026-11-28"]).ends(0);
        assert_eq!(answer.out, "n\n5\n");
        assert!(answer.err.contains("statement 2 of 3: succeeded, 5 rows in "), "{}", answer.err);
    }
    place.run(&["--param", "as_of=2026-11-29"]).ends(0);
    assert_eq!(place.sql("SELECT count(*) FROM 'out/'"), ["10"]);
    let rows = place.sql(
        "SELECT number, line, statement, state, rows, attempts, error, run_state, parameters FROM debut.jobs \
         WHERE run = (SELECT max(run) FROM debut.jobs WHERE parameters LIKE '%-29%') ORDER BY number",
    );
    let given = r#""{""as_of"":""2026-11-29""}""#;
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("1,1,") && rows[0].ends_with(&format!(",succeeded,,1,,succeeded,{given}")), "{rows:?}");
    assert!(rows[1].starts_with(
        "2,3,\"COPY (SELECT id, $as_of AS as_of FROM t) TO 'out/day={as_of}/part.parquet'\",succeeded,5,1,"
    ));
    assert!(rows[2].starts_with("3,4,") && rows[2].contains(",succeeded,1,1,"), "{rows:?}");
    // The same file is a script, too.
    let script = ["sql", "-f", "job.sql", "--param", "as_of=2026-11-28", "--format", "csv"];
    assert_eq!(place.debut(&script).ends(0).out, "n\n5\n");
}

#[test]
fn the_log_is_an_object_a_line() {
    let place = Place::new();
    place.job("SELECT $run_id AS id, $run_date AS day;\nSELECT 1 / (value - 1) FROM generate_series(1, 2)");
    let answer = place.run(&["--log", "json"]).ends(1);
    let events = answer.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["begin", "statement", "statement", "end"]);
    let run = events[0]["run"].as_str().unwrap();
    assert!(answer.out.contains(run), "{}", answer.out);
    assert!(events.iter().all(|event| event["run"] == run && event["job"].as_str().unwrap().ends_with("/job.sql")));
    assert_eq!((&events[1]["number"], &events[1]["rows"], &events[1]["error"]), (&1.into(), &1.into(), &Value::Null));
    assert_eq!(events[1]["statement"], "SELECT $run_id AS id, $run_date AS day");
    assert!(events[1]["started_at"].as_str() < events[1]["finished_at"].as_str() && events[1]["seconds"].is_f64());
    assert_eq!(
        (&events[2]["state"], &events[2]["line"], &events[2]["attempts"]),
        (&"failed".into(), &2.into(), &1.into())
    );
    assert!(events[2]["error"].as_str().unwrap().to_lowercase().contains("divide by zero"));
    assert_eq!((&events[3]["state"], &events[3]["status"]), (&"failed".into(), &1.into()));
    assert_eq!(
        place.sql("SELECT state, run_state FROM debut.jobs ORDER BY number"),
        ["succeeded,failed", "failed,failed"]
    );
}

#[test]
fn what_is_said_besides_is_an_object_too() {
    let place = Place::new();
    place.job("COPY (SELECT 1 AS a) TO 'a.csv'; SELECT * FROM 'a.csv'");
    let mut command = place.command(&["run", "job.sql", "--log", "json"]);
    let answer = Answer::from(command.env("DEBUT_LOG", "trace").output().unwrap()).ends(0);
    let messages: Vec<_> = answer.events().into_iter().filter(|event| event["event"] == "message").collect();
    assert!(messages.iter().any(|event| event["message"].as_str().unwrap().contains("TRACE")), "{}", answer.err);
}

#[test]
fn a_wrong_command_line_runs_and_records_nothing() {
    let place = Place::new();
    place.job("COPY (SELECT 1 AS a) TO 'a{day}.csv'; SELECT $day");
    for (more, said) in [
        (&[][..], "no value for {day} in 'a{day}.csv': pass --param day=value"),
        (&["--param", "day=1", "--param", "dya=2"][..], "no $dya"),
        (&["--param", "day=../1"][..], "'../1' cannot be {day}"),
        (&["--param", "day=1", "--param", "run_id=2"][..], "$run_id is set by the run itself"),
        (&["--param", "day=1", "--retries", "x"][..], "--retries"),
        (&["--param", "day=1", "--since", "yesterday"][..], "--since"),
    ] {
        let answer = place.run(more).ends(2);
        assert!(answer.err.contains(said), "{more:?}: {}", answer.err);
        let json = place.run(&[more, &["--log", "json"]].concat()).ends(2);
        assert!(json.err.contains("error"), "{}", json.err);
    }
    place.job(" -- nothing\n");
    assert!(place.run(&[]).ends(2).err.contains("there is no statement"));
    place.job("SELEC 1");
    place.run(&[]).ends(1);
    assert!(place.debut(&["run", "none.sql"]).ends(1).err.contains("none.sql"));
    assert!(place.records().is_empty());
}

#[test]
fn two_runs_do_not_overlap_and_sigterm_is_written_down() {
    let place = Place::new();
    place.job(&format!("SELECT 1; {LONG}"));
    for (name, status) in [("TERM", 143), ("INT", 130)] {
        let mut first = place.started(2);
        fs::create_dir_all(place.path("deep")).unwrap();
        let answer = place.debut(&["run", "deep/../job.sql"]).ends(75);
        let process = format!("(process {}) since 20", first.id());
        assert!(answer.err.contains("is running already: run 20") && answer.err.contains(&process), "{}", answer.err);
        let end = place.debut(&["run", "job.sql", "--log", "json"]).ends(75).events().pop().unwrap();
        assert_eq!((&end["status"], &end["run"]), (&75.into(), &Value::Null));
        assert_eq!(place.sql("SELECT state FROM debut.jobs WHERE number = 2 AND run_state = 'running'"), ["running"]);
        signal(&first, name);
        assert_eq!(first.wait().unwrap().code(), Some(status));
    }
    let states = "SELECT number, state, run_state, seconds IS NOT NULL FROM debut.jobs ORDER BY started_at";
    let once = ["1,succeeded,cancelled,true", "2,cancelled,cancelled,true"];
    assert_eq!(place.sql(states), [once, once].concat());
    // The lock is free.
    place.job("SELECT 1");
    place.run(&[]).ends(0);
}

#[test]
fn a_job_whose_reader_has_gone_has_failed() {
    let place = Place::new();
    place.job("SELECT value FROM generate_series(1, 3000000); COPY (SELECT 1 AS a) TO 'late.csv'");
    let mut child = place.command(&["run", "job.sql", "--format", "csv"]).spawn().unwrap();
    let mut one = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut one).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!place.path("late.csv").exists());
    assert_eq!(place.sql("SELECT state FROM debut.jobs"), ["failed"]);
}

#[test]
fn since_is_where_the_last_success_stopped() {
    let place = Place::new();
    let job = |fails: &str| place.job(&format!("SELECT $since AS since, $country AS c; SELECT 1{fails}"));
    let run = |country: &str, status| {
        let answer = place.run(&["--since", "last", "--param", &format!("country={country}")]).ends(status);
        answer.out.lines().nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    // Of the run that began last.
    let until = || {
        let sql = "SELECT until, since, until <= started_at FROM debut.jobs WHERE number = 1 ORDER BY started_at DESC LIMIT 1";
        let row = place.sql(sql).remove(0);
        let (until, rest) = row.split_once(',').unwrap();
        (until.to_owned(), rest.to_owned())
    };
    job("");
    assert_eq!(run("DE", 0), "1970-01-01T00:00:00");
    let (first, rest) = until();
    assert!(first.len() == "2026-11-28T02:00:00".len() && rest == "1970-01-01T00:00:00,true", "{first},{rest}");
    assert_eq!(run("FR", 0), "1970-01-01T00:00:00");
    assert_eq!(run("DE", 0), first);
    let (second, _) = until();
    job(" / 0");
    assert_eq!(run("DE", 1), second);
    job("");
    assert_eq!(run("DE", 0), second, "a run that failed does not count");
    let given = place.run(&["--since", "2026-11-01", "--param", "country=DE"]).ends(0);
    assert!(given.out.contains("2026-11-01T00:00:00,DE"), "{}", given.out);
    assert!(place.run(&["--param", "country=DE"]).ends(2).err.contains("$since"));
}

/// Microseconds since 1970.
fn now() -> u64 {
    u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

/// Rows that are written before, while and after runs read, with times of whole seconds and of microseconds: each is in one
/// file in the end, whatever failed and was killed in between.
#[test]
fn every_row_of_a_source_that_grows_is_taken_once() {
    const SECOND: u64 = 1_000_000;
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    let mut source = fs::File::create(place.path("in.csv")).unwrap();
    source.write_all(b"id,at\n").unwrap();
    let mut ids = 0;
    let mut write = || {
        let at = now();
        writeln!(source, "{ids},{}\n{},{at}", at / SECOND * SECOND, ids + 1).unwrap();
        ids += 2;
        ids
    };
    let job = |then: &str| {
        place.job(&format!(
            "COPY (SELECT id FROM 'in.csv' WHERE to_timestamp_micros(at) >= $since AND to_timestamp_micros(at) < $until) \
             TO 'out/since={{since}}.csv'; {then}"
        ));
    };
    let since_last = ["--since", "last"];
    for round in 0..4 {
        write();
        job(if round == 1 { "SELECT 1 / 0" } else { "SELECT 1" });
        place.run(&since_last).ends(i32::from(round == 1));
        // In the second in which the run has started.
        write();
        if round == 2 {
            job(LONG);
            let mut child = place.command(&["run", "job.sql", "--since", "last"]).spawn().unwrap();
            place.until_running(&mut child, 2);
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let written = write();
    let last = now() / SECOND;
    while now() / SECOND == last {
        std::thread::yield_now();
    }
    job("SELECT 1");
    place.run(&since_last).ends(0);
    let count = format!("{written}");
    assert_eq!(place.sql("SELECT count(*), count(DISTINCT id) FROM 'out/'"), [format!("{count},{count}")]);
}

#[test]
fn rows_that_come_late_are_waited_for() {
    let place = Place::new();
    place.job(
        "SELECT id FROM 'in.csv' WHERE to_timestamp_micros(at) >= $since AND to_timestamp_micros(at) < $until ORDER BY id",
    );
    let minutes = |ago: u64| now() - ago * 60_000_000;
    let first = format!("id,at\n1,{}\n2,{}\n", minutes(180), minutes(60));
    fs::write(place.path("in.csv"), &first).unwrap();
    assert_eq!(place.run(&["--since", "last", "--late", "2h"]).ends(0).out, "id\n1\n");
    // It comes an hour and a half after its time, when a run has read rows that came before it.
    fs::write(place.path("in.csv"), format!("{first}3,{}\n", minutes(90))).unwrap();
    assert_eq!(place.run(&["--since", "last", "--late", "30min"]).ends(0).out, "id\n2\n3\n");
    assert_eq!(place.run(&["--since", "last", "--late", "2h"]).ends(0).out, "id\n", "nothing twice");
    let untils = "SELECT count(DISTINCT until) FROM debut.jobs";
    assert_eq!(place.sql(untils), ["2"], "an empty window ends where it begins");
}

/// A server of one CSV file that fails the first `failures` times that its content is asked for, each time with `failure`.
fn server(failures: usize, failure: &'static str) -> (String, Arc<AtomicUsize>) {
    const FILE: &str = "id,title\n1,teapot\n2,lamp\n";
    const DATE: &str = "Last-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\nConnection: close";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/items.csv", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
            let Some(first) = request.first() else { continue };
            let length = FILE.len();
            let range = request.iter().find_map(|line| line.strip_prefix("range: bytes="));
            let answer = if first.starts_with("head ") {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{DATE}\r\n\r\n")
            } else if count.fetch_add(1, Ordering::SeqCst) < failures {
                failure.to_owned()
            } else if let Some((start, end)) = range.and_then(|range| range.split_once('-')) {
                let start: usize = start.parse().unwrap();
                let end = end.parse::<usize>().map_or(length, |end| (end + 1).min(length));
                let head =
                    format!("Content-Range: bytes {start}-{}/{length}\r\nContent-Length: {}", end - 1, end - start);
                format!("HTTP/1.1 206 Partial Content\r\n{head}\r\n{DATE}\r\n\r\n{}", &FILE[start..end])
            } else {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{DATE}\r\n\r\n{FILE}")
            };
            // Who asked may have gone.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

/// An answer that breaks off: `object_store` repeats it only where it has an ETag.
const BROKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 25\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n";

#[test]
fn a_store_that_fails_twice_is_asked_again() {
    let place = Place::new();
    let (url, asked) = server(2, BROKEN);
    place.job(&format!("COPY (SELECT title FROM '{url}' WHERE id > 1) TO 'out.csv'"));
    let answer = place.run(&["--log", "json"]).ends(0);
    let events = answer.events();
    let retries: Vec<_> = events.iter().filter(|event| event["event"] == "retry").collect();
    assert_eq!(retries.iter().map(|event| &event["attempt"]).collect::<Vec<_>>(), [&Value::from(1), &Value::from(2)]);
    let pauses: Vec<f64> = retries.iter().map(|event| event["pause_seconds"].as_f64().unwrap()).collect();
    assert!((0.5..=1.0).contains(&pauses[0]) && (1.0..=2.0).contains(&pauses[1]), "{pauses:?}");
    assert_eq!(place.sql("SELECT state, attempts, rows FROM debut.jobs"), ["succeeded,3,1"]);
    assert_eq!(fs::read_to_string(place.path("out.csv")).unwrap(), "title\nlamp\n");
    assert!(asked.load(Ordering::SeqCst) > 2);
}

#[test]
fn what_the_store_repeats_by_itself_is_one_attempt() {
    let place = Place::new();
    let (url, asked) = server(2, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    place.job(&format!("SELECT title FROM '{url}' WHERE id > 1"));
    assert_eq!(place.run(&["--retries", "0"]).ends(0).out, "title\nlamp\n");
    assert_eq!(place.sql("SELECT state, attempts FROM debut.jobs"), ["succeeded,1"]);
    assert!(asked.load(Ordering::SeqCst) > 2);
}

#[test]
fn a_store_that_goes_on_failing_ends_the_run_for_now() {
    let place = Place::new();
    let (url, _) = server(usize::MAX, BROKEN);
    place.job(&format!("SELECT 1; COPY (SELECT title FROM '{url}') TO 'out.csv'"));
    let answer = place.run(&["--retries", "1"]).ends(75);
    assert!(answer.err.contains("statement 2") && answer.err.contains("after 2 attempts"), "{}", answer.err);
    assert_eq!(place.sql("SELECT state, attempts FROM debut.jobs ORDER BY number"), ["succeeded,1", "failed,2"]);
    assert!(!place.path("out.csv").exists());
}

#[test]
fn a_statement_that_may_have_done_a_part_is_not_tried_again() {
    let place = Place::new();
    let (url, _) = server(usize::MAX, BROKEN);
    let table = "CREATE EXTERNAL TABLE t (id BIGINT, title TEXT) STORED AS CSV OPTIONS ('format.has_header' 'true')";
    place.job(&format!("{table} LOCATION '{url}'; CREATE TABLE m (title TEXT); INSERT INTO m SELECT title FROM t"));
    let answer = place.run(&["--retries", "3"]).ends(75);
    assert!(answer.err.contains("statement 3") && answer.err.contains("not tried again"), "{}", answer.err);
    assert_eq!(place.sql("SELECT state, attempts FROM debut.jobs WHERE number = 3"), ["failed,1"]);
}

#[test]
fn what_a_store_refuses_is_not_asked_again() {
    let place = Place::new();
    let (url, asked) = server(usize::MAX, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    place.job(&format!("SELECT * FROM '{url}'"));
    place.run(&[]).ends(1);
    assert_eq!(place.sql("SELECT state, attempts FROM debut.jobs"), ["failed,1"]);
    assert!(asked.load(Ordering::SeqCst) <= 2);
}

#[test]
fn what_would_double_rows_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("t")).unwrap();
    fs::write(place.path("t/a.csv"), "1\n").unwrap();
    let table = "CREATE EXTERNAL TABLE t (a BIGINT) STORED AS CSV LOCATION 't/' OPTIONS ('format.has_header' 'false')";
    place.job(&format!("{table}; INSERT INTO t VALUES (2)"));
    assert!(place.run(&[]).ends(1).err.contains("INSERT INTO t adds rows to files"));
    place.job("COPY (SELECT 1 AS a) TO 'http://127.0.0.1:1/folder/' STORED AS PARQUET");
    assert!(place.run(&[]).ends(1).err.contains("adds new files to the folder"));
    place.job("CREATE TABLE m AS SELECT 1 AS a; INSERT INTO m VALUES (2); SELECT count(*) AS n FROM m");
    assert_eq!(place.run(&[]).ends(0).out, "n\n2\n");
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `DEBUT_KILLS=50 cargo test --test jobs kill` does it so many times.
#[test]
fn a_kill_leaves_a_record_and_the_next_run_completes() {
    let kills: u64 = std::env::var("DEBUT_KILLS").ok().map_or(6, |kills| kills.parse().unwrap());
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    place.job(
        "COPY (SELECT value AS id FROM generate_series(1, 200000)) TO 'out/a.parquet';
         COPY (SELECT id * 2 AS id FROM 'out/a.parquet') TO 'out/b.parquet';
         SELECT count(*) AS n FROM 'out/b.parquet'",
    );
    let begun = Instant::now();
    place.run(&[]).ends(0);
    let whole = begun.elapsed();
    let (mut killed, mut number) = (0, 0);
    while killed < kills {
        number += 1;
        assert!(number < 20 * kills, "the run is over before it is killed");
        let mut child = place.command(&["run", "job.sql"]).spawn().unwrap();
        // A moment of its life: which one is the point of the test.
        std::thread::sleep(whole * u32::try_from(number * 37 % 100).unwrap() / 100);
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            continue;
        }
        killed += 1;
        let states =
            place.sql("SELECT DISTINCT run_state FROM debut.jobs WHERE run_state NOT IN ('succeeded', 'killed')");
        assert!(states.is_empty(), "{states:?}");
        assert!(place.sql("SELECT run FROM debut.jobs WHERE problem IS NOT NULL OR state = 'running'").is_empty());
        let whole = "SELECT count(*) FROM 'out/a.parquet' UNION ALL SELECT count(*) FROM 'out/b.parquet'";
        assert_eq!(place.sql(whole), ["200000", "200000"], "half-written");
        assert_eq!(place.run(&[]).ends(0).out, "n\n200000\n");
        assert_eq!(
            place.sql("SELECT count(*), count(DISTINCT id), sum(id) FROM 'out/a.parquet'"),
            ["200000,200000,20000100000"]
        );
        assert_eq!(place.sql("SELECT count(*), sum(id) FROM 'out/b.parquet'"), ["200000,40000200000"]);
        assert_eq!(names(&place.path("out")), ["a.parquet", "b.parquet"]);
        let job = fs::read_dir(place.path("home/jobs")).unwrap().next().unwrap().unwrap().path();
        assert!(names(&job).iter().all(|name| name.ends_with(".json")), "{:?}", names(&job));
    }
}

#[test]
fn a_run_that_was_killed_is_no_stale_lock() {
    let place = Place::new();
    place.job(&format!("SELECT 1; {LONG}"));
    let mut child = place.started(2);
    child.kill().unwrap();
    child.wait().unwrap();
    let states = "SELECT state FROM debut.jobs ORDER BY started_at";
    assert_eq!(place.sql(states), ["succeeded", "killed"]);
    place.job("SELECT 1");
    place.run(&[]).ends(0);
    assert_eq!(place.sql("SELECT run_state FROM debut.jobs ORDER BY started_at"), ["killed", "killed", "succeeded"]);
}

#[test]
fn a_record_that_cannot_be_written_is_told_before_anything_runs() {
    let place = Place::new();
    place.job("COPY (SELECT 1 AS a) TO 'a.csv'");
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/jobs"), "no folder").unwrap();
    let answer = place.run(&[]).ends(1);
    assert!(answer.err.contains("home/jobs"), "{}", answer.err);
    assert!(!place.path("a.csv").exists());
}

/// Runs the job where no file can have more than this many blocks of 512 bytes, as on a disk that is full then.
fn run_on_a_full_disk(place: &Place, blocks: usize) -> Answer {
    let inner = place.command(&["run", "job.sql", "--log", "json"]);
    let mut command = Command::new("sh");
    // A signal that is ignored: writing fails with an error instead.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(place.0.path());
    command.env("DEBUT_HOME", place.path("home")).env("DEBUT_OFFLINE", "1").env_remove("DEBUT_LOG");
    command.output().unwrap().into()
}

#[test]
fn a_full_disk_ends_the_run_with_the_last_record_whole() {
    let place = Place::new();
    place.job("SELECT 1");
    let answer = run_on_a_full_disk(&place, 0).ends(1);
    let end = answer.events().pop().unwrap();
    assert_eq!((&end["state"], &end["status"], &end["run"]), (&"failed".into(), &1.into(), &Value::Null));
    assert!(end["error"].as_str().unwrap().contains("cannot write") && answer.out.is_empty(), "{}", answer.err);
    assert!(place.records().is_empty());

    // Records grow with every statement.
    place.job(&format!(
        "SELECT 1; {}; COPY (SELECT 1 AS a) TO 'late.csv'",
        ["SELECT 'a long text to record'"; 40].join("; ")
    ));
    let answer = run_on_a_full_disk(&place, 4).ends(1);
    let end = answer.events().pop().unwrap();
    assert_eq!((&end["state"], &end["status"]), (&"failed".into(), &1.into()), "{end}");
    assert!(end["error"].as_str().unwrap().contains("cannot write") && end["run"].is_string(), "{end}");
    assert!(answer.err.contains("the end of the run is not in its record"), "{}", answer.err);
    assert!(!place.path("late.csv").exists());
    assert_eq!(place.sql("SELECT DISTINCT run_state, problem FROM debut.jobs"), ["killed,"]);
    place.run(&[]).ends(0);
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_home_is_told_before_anything_runs() {
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    let mount = |arguments: &[&str]| {
        let mounted = Command::new("mount").args(arguments).arg(&home).output();
        mounted.is_ok_and(|mounted| mounted.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"]) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let _mounted = Mounted(home.clone());
    place.job("SELECT 1");
    place.run(&[]).ends(0);
    assert!(mount(&["-o", "remount,ro"]));
    place.job("COPY (SELECT 1 AS a) TO 'late.csv'");
    let answer = place.run(&[]).ends(1);
    assert!(answer.err.contains("home/locks") && answer.err.contains("Read-only file system"), "{}", answer.err);
    assert!(!place.path("late.csv").exists());
    assert_eq!(place.sql("SELECT run_state FROM debut.jobs"), ["succeeded"]);
}

/// What `--help` says of exit codes is what they are: the tests above have each; and its line for Airflow runs.
#[test]
fn the_example_for_airflow_runs() {
    let place = Place::new();
    fs::write(
        place.path("nightly.sql"),
        "COPY (SELECT $as_of AS day) TO 'out/{as_of}.csv'; SELECT day FROM 'out/{as_of}.csv'",
    )
    .unwrap();
    let help = place.debut(&["run", "--help"]).ends(0).out;
    for status in ["0    every", "1    a statement failed", "2    the command line", "75   try later", "129, 130, 143"]
    {
        assert!(help.contains(status), "{help}");
    }
    let line = help.lines().find_map(|line| line.trim().strip_prefix("bash_command='")).unwrap();
    let command = line.strip_suffix("')").unwrap().replace("{{ ds }}", "2026-11-28");
    let program = Path::new(env!("CARGO_BIN_EXE_debut")).parent().unwrap().display();
    fs::create_dir(place.path("out")).unwrap();
    for _ in 0..2 {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("PATH={program}:$PATH; {command}")]).current_dir(place.0.path());
        let answer: Answer = shell.env("DEBUT_HOME", place.path("home")).output().unwrap().into();
        let answer = answer.ends(0);
        assert_eq!(answer.events().pop().unwrap()["status"], 0);
        assert!(answer.out.contains("2026-11-28"), "{}", answer.out);
        assert_eq!(names(&place.path("out")), ["2026-11-28.csv"]);
    }
}

#[test]
fn a_schedule_names_everything_absolutely() {
    let place = Place::new();
    place.job("SELECT $country, $since, $run_date");
    let schedule = |more: &[&str]| {
        place.debut(&[&["schedule", "job.sql", "--param", "country=D E", "--since-last"], more].concat())
    };
    let folder = fs::canonicalize(place.0.path()).unwrap().display().to_string();
    let text = schedule(&["--daily", "02:30"]).ends(0).out;
    let line = text.lines().last().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_debut")).display();
    assert!(line.starts_with("30 2 * * * cd "), "{line}");
    let run = format!("{program} run {folder}/job.sql --param 'country=D E' --since last --log json");
    assert!(line.ends_with(&run) && line.contains("/home "), "{line}");
    // What the shell makes of it runs.
    let command = line.split_once("* * * ").unwrap().1;
    let ran: Answer = Command::new("sh").args(["-c", command]).current_dir("/").output().unwrap().into();
    assert!(ran.ends(0).out.contains("D E"));
    assert_eq!(place.sql("SELECT run_state FROM debut.jobs"), ["succeeded"]);

    assert!(schedule(&["--late", "90s", "--hourly"]).ends(0).out.contains(" --since last --late 90s --log json\n"));
    assert!(schedule(&["--weekly", "mon", "02:00"]).ends(0).out.contains("\n0 2 * * 1 cd "));
    assert!(schedule(&["--hourly"]).ends(0).out.contains("\n0 * * * * cd "));
    for (wrong, said) in [
        (&[][..], "--daily"),
        (&["--daily", "25:00"][..], "'25:00' is not a time"),
        (&["--weekly", "someday", "02:00"][..], "'someday' is not a day"),
        (&["--daily", "02:00", "--hourly"][..], "cannot be used"),
        (&["--daily", "02:00", "--param", "other=1"][..], "$other"),
    ] {
        let answer = schedule(wrong).ends(2);
        assert!(answer.err.contains(said), "{wrong:?}: {}", answer.err);
    }
}

#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::Builder::new().prefix("it's 5% off \"x\" ").tempdir().unwrap();
    let place = Place(folder);
    place.job("SELECT $price");
    let arguments = ["schedule", "job.sql", "--weekly", "sun", "23:05", "--systemd", "--param", "price=$5 \"%h\" \\"];
    let text = place.debut(&arguments).ends(0).out;
    assert!(text.contains("\nOnCalendar=Sun *-*-* 23:05:00\n"), "{text}");
    assert!(text.contains("\nRestart=on-failure\nRestartPreventExitStatus=1 2\n"), "{text}");
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: systemd-analyze is not there");
        return;
    }
    let units = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ~/.config/systemd/user/") {
            files.push(units.path().join(name));
            fs::write(files.last().unwrap(), "").unwrap();
        } else if let Some(file) = files.last() {
            let before = fs::read_to_string(file).unwrap();
            fs::write(file, format!("{before}{line}\n")).unwrap();
        }
    }
    assert_eq!(files.len(), 2, "{text}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--user", "--man=no"]).args(&files).env("XDG_RUNTIME_DIR", units.path());
    let said = verify.output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let ours: Vec<_> = said.lines().filter(|line| line.contains("debut-job")).collect();
    assert!(ours.is_empty(), "{said}\n{text}");
}

/// What `debut schedule --help` says of the night in which clocks go forward, and systemd of the same.
#[test]
fn a_time_that_a_night_does_not_have_is_told() {
    let place = Place::new();
    place.job("SELECT 1");
    let units = |time: &str| place.debut(&["schedule", "job.sql", "--daily", time, "--systemd"]).ends(0).out;
    let told = "# Where clocks go forward at this hour, systemd leaves that night out";
    assert!(units("02:30").contains(&format!("{told}; with UTC behind the time it does not.\nOnCalendar=")));
    assert!(!units("04:00").contains(told));
    let next = |time: &str, zone: &str| {
        let mut calendar = Command::new("systemd-analyze");
        calendar.args(["calendar", "--base-time=2027-03-27 12:00:00", &format!("*-*-* {time}:00{zone}")]);
        let output = calendar.env("TZ", "Europe/Berlin").env("LC_ALL", "C").output().ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.trim().strip_prefix("Next elapse: ").map(str::to_owned))
    };
    let Some(gap) = next("02:30", "").filter(|_| Path::new("/usr/share/zoneinfo/Europe/Berlin").exists()) else {
        eprintln!("skipped: systemd-analyze or its time zones are not there");
        return;
    };
    assert!(gap.starts_with("Mon 2027-03-29 02:30"), "{gap}");
    for (time, zone) in [("04:00", ""), ("02:30", " UTC")] {
        let there = next(time, zone).unwrap();
        assert!(there.starts_with("Sun 2027-03-28 "), "{there}");
    }
}

//! The command line as its users meet it: the real program, its streams, its files and its exit status.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::ipc::reader::FileReader;
use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

/// A query that does not end by itself within a test's life.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

/// A home of its own, and files beside it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(arguments).current_dir(self.folder.path()).env("DEBUT_HOME", self.path("home"));
        command.env_remove("DEBUT_OFFLINE").env_remove("DEBUT_LOG").env_remove("ORT_DYLIB_PATH");
        command.env_remove("DEBUT_CACHE").env_remove("DEBUT_CACHE_FOLDER").env_remove("DEBUT_CACHE_SIZE");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    fn sql(&self, sql: &str, more: &[&str]) -> Answer {
        self.run(&[&["sql", "-c", sql], more].concat())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[derive(Debug)]
struct Answer {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Answer {
    fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn good(self) -> String {
        assert_eq!(self.status, Some(0), "{}", self.err);
        self.out
    }

    /// What it says when it ends with this status.
    #[track_caller]
    fn fails(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        for noise in ["panicked", "Error during planning", "Execution error", "External error", "backtrace"] {
            assert!(!self.err.contains(noise), "{}", self.err);
        }
        self.err
    }
}

/// Waits for the end, but not for ever.
fn end(mut child: Child) -> Answer {
    let (sender, receiver) = mpsc::channel();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let id = child.id();
    std::thread::spawn(move || {
        let mut answer = Answer { status: None, out: String::new(), err: String::new() };
        if let Some(out) = &mut out {
            out.read_to_string(&mut answer.out).unwrap();
        }
        if let Some(err) = &mut err {
            err.read_to_string(&mut answer.err).unwrap();
        }
        answer.status = child.wait().unwrap().code();
        sender.send(answer).unwrap();
    });
    receiver.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| {
        signal(id, "KILL");
        panic!("the program did not end");
    })
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn every_text_format_writes_what_it_promises() {
    let place = Place::new();
    let rows = "SELECT * FROM (VALUES (1, 'a,\"b', [1.5, NULL]), (2, NULL, NULL)) AS t(n, s, l) ORDER BY n";
    let write = |format: &str| place.sql(rows, &["--format", format]).good();
    assert_eq!(write("csv"), "n,s,l\n1,\"a,\"\"b\",\"[1.5,null]\"\n2,,\n");
    assert_eq!(write("tsv"), "n\ts\tl\n1\t\"a,\"\"b\"\t[1.5,null]\n2\t\t\n");
    let first = json!({"n": 1, "s": "a,\"b", "l": [1.5, null]});
    let second = json!({"n": 2, "s": null, "l": null});
    assert_eq!(serde_json::from_str::<Value>(&write("json")).unwrap(), json!([first, second]));
    let lines: Vec<Value> = write("ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [first, second]);
    let table = write("table");
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.contains("| 1 | a,\"b | [1.5, ] |"), "{table}");
}

#[test]
fn separated_values_tell_null_from_the_empty_string() {
    let place = Place::new();
    let rows = "SELECT * FROM (VALUES (1, '', NULL), (2, NULL, ''), (3, ' ', 'a\tb'), (4, 'x,y', '\r')) AS t(n, a, b) \
                ORDER BY n";
    let write = |sql: &str, format: &str| place.sql(sql, &["--format", format]).good();
    assert_eq!(write(rows, "csv"), "n,a,b\n1,\"\",\n2,,\"\"\n3, ,a\tb\n4,\"x,y\",\"\r\"\n");
    assert_eq!(write(rows, "tsv"), "n\ta\tb\n1\t\"\"\t\n2\t\t\"\"\n3\t \t\"a\tb\"\n4\tx,y\t\"\r\"\n");
    let other = "SELECT arrow_cast(a, 'Dictionary(Int32, Utf8)') AS \"d,d\", arrow_cast(a, 'LargeUtf8') AS l, NULL AS n \
                 FROM (VALUES (''), (NULL)) AS t(a) ORDER BY a NULLS LAST";
    assert_eq!(write(other, "csv"), "\"d,d\",l,n\n\"\",\"\",\n,,\n");
    // An empty line would be no row to most readers, so a lone NULL is quoted.
    let lone = "SELECT a FROM (VALUES ('x'), (NULL), ('')) AS t(a) ORDER BY a NULLS LAST";
    assert_eq!(write(lone, "csv"), "a\n\"\"\nx\n\"\"\n");

    // DataFusion reads both as NULL, and every row.
    place.sql(rows, &["--format", "csv", "-o", "rows.csv"]).good();
    place.sql(lone, &["--format", "csv", "-o", "lone.csv"]).good();
    let read = "SELECT count(*) AS rows, count(a) AS texts FROM";
    assert_eq!(write(&format!("{read} 'rows.csv'"), "csv"), "rows,texts\n4,2\n");
    assert_eq!(write(&format!("{read} 'lone.csv'"), "csv"), "rows,texts\n3,1\n");
}

#[test]
fn an_empty_result_has_its_columns() {
    let place = Place::new();
    let write = |format: &str| place.sql("SELECT 1 AS a, 2 AS b WHERE false", &["--format", format]).good();
    assert_eq!(write("csv"), "a,b\n");
    assert_eq!(write("json"), "[]\n");
    assert_eq!(write("ndjson"), "");
    assert!(write("table").contains("| a | b |"));
}

#[test]
fn the_header_stands_once_above_all_batches() {
    let rows = 30_000;
    let sql = format!("SELECT value FROM generate_series(1, {rows})");
    let text = Place::new().sql(&sql, &["--format", "csv"]).good();
    assert_eq!(text.lines().count(), rows + 1);
    assert_eq!(text.lines().filter(|line| *line == "value").count(), 1);
}

#[test]
fn binary_formats_keep_types() {
    let place = Place::new();
    let vectors = "SELECT value AS id, arrow_cast([value, 2, 3], 'FixedSizeList(3 x Float32)') AS v \
                   FROM generate_series(1, 20000)";
    place.sql(vectors, &["--format", "parquet", "-o", "v.parquet"]).good();
    let check = "SELECT count(*) AS n, sum(id) AS s, min(arrow_typeof(v)) AS t FROM 'v.parquet'";
    let text = place.sql(check, &["--format", "csv"]).good();
    assert!(text.starts_with("n,s,t\n20000,200010000,") && text.contains("FixedSizeList"), "{text}");

    let output = place.command(&["sql", "-c", "SELECT value FROM generate_series(1, 5)", "--format", "arrow"]).output();
    let reader = FileReader::try_new(Cursor::new(output.unwrap().stdout), None).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let sum: i64 = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values()).sum();
    assert_eq!(sum, 15);
}

#[test]
fn a_binary_file_holds_one_result() {
    let place = Place::new();
    let two = place.sql("SELECT 1; SELECT 2", &["--format", "parquet", "-o", "two.parquet"]);
    let message = two.fails(1);
    assert!(message.contains("statement 2") && message.contains("one result"), "{message}");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_failing_query_leaves_the_file_as_it_was() {
    let place = Place::new();
    let sql = "SELECT 10 / (9000 - value) FROM generate_series(1, 10000)";
    for format in ["csv", "json", "parquet", "arrow", "table"] {
        fs::write(place.path("out"), "before").unwrap();
        place.sql(sql, &["--format", format, "-o", "out"]).fails(1);
        assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "before");
        place.sql(sql, &["--format", format, "-o", "new"]).fails(1);
        assert_eq!(place.names(), ["out"], "{format}");
    }
    place.sql("SELECT 7 AS x", &["--format", "csv", "-o", "out"]).good();
    assert_eq!(fs::read_to_string(place.path("out")).unwrap(), "x\n7\n");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let place = Place::new();
    let message = place.sql("SELECT 1", &["-o", "no/such/folder"]).fails(1);
    assert!(message.contains("no/such/folder") && !message.contains(".part"), "{message}");
    let message = place.run(&["sql", "-f", "missing.sql"]).fails(1);
    assert!(message.contains("missing.sql"), "{message}");
}

#[test]
fn files_are_tables() {
    let place = Place::new();
    let products = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/products.parquet");
    let sql = format!("SELECT count(*) AS n FROM '{}'", products.display());
    assert_eq!(place.sql(&sql, &["--format", "csv"]).good(), "n\n2000\n");
    let copied = place.sql("COPY (SELECT 1 AS a UNION ALL SELECT 2) TO 'copy.csv'", &[]);
    assert!(copied.err.contains("2 rows written"), "{copied:?}");
    assert_eq!(copied.good(), "");
    assert_eq!(place.sql("SELECT sum(a) AS s FROM 'copy.csv'", &["--format", "csv"]).good(), "s\n3\n");
    let message = place.sql("SELECT * FROM 'missing.parquet'", &[]).fails(1);
    assert!(message.contains("there is no file 'missing.parquet'"), "{message}");
}

#[test]
fn a_folder_is_read_by_its_location_and_hides_no_table() {
    let place = Place::new();
    fs::create_dir(place.path("numbers")).unwrap();
    place.sql("COPY (VALUES (1), (2)) TO 'numbers/a.parquet'", &[]).good();
    for location in ["numbers/", "./numbers"] {
        let sum = format!("SELECT sum(column1) AS s FROM '{location}'");
        assert_eq!(place.sql(&sum, &["--format", "csv"]).good(), "s\n3\n");
    }
    let message = place.sql("SELECT * FROM numbers", &[]).fails(1);
    assert!(message.contains("to read the folder 'numbers', write './numbers'"), "{message}");
    for script in [
        "CREATE TABLE numbers AS VALUES (7); SELECT column1 AS s FROM numbers",
        "CREATE SCHEMA a; CREATE TABLE a.numbers AS VALUES (7); SELECT column1 AS s FROM a.numbers; DROP SCHEMA a CASCADE",
    ] {
        assert_eq!(place.sql(script, &["--format", "csv"]).good(), "s\n7\n", "{script}");
    }
}

#[test]
fn damaged_files_are_named() {
    let place = Place::new();
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/interactions.parquet")).unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    fs::write(place.path("folder/good.parquet"), &whole).unwrap();
    fs::write(place.path("folder/cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.path("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.path("empty.parquet"), "").unwrap();
    let mut pages = whole.clone();
    pages[2000..20_000].iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a);
    fs::write(place.path("pages.parquet"), pages).unwrap();

    for (sql, expected) in [
        ("SELECT * FROM 'cut.parquet'", "cut.parquet': Parquet: "),
        ("SELECT count(*) FROM 'folder/'", "folder/cut.parquet': Parquet: "),
        ("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'cut.parquet'", "cut.parquet': Parquet: "),
        ("SELECT * FROM 'empty.parquet'", "empty.parquet': it is empty"),
        ("SELECT customer_id FROM 'empty.parquet'", "empty.parquet': it is empty"),
        ("SELECT * FROM 'pages.parquet'", "pages.parquet': "),
        ("SELECT * FROM 'pages.parquet' ORDER BY customer_id, product_id", "pages.parquet': "),
    ] {
        let message = place.sql(sql, &["--format", "csv"]).fails(1);
        assert!(message.contains("cannot read '") && message.contains(expected), "{sql}: {message}");
    }
    // An error that is not about reading says nothing of files.
    fs::write(place.path("good.parquet"), &whole).unwrap();
    let message = place.sql("SELECT 1 / 0 FROM 'good.parquet'", &[]).fails(1);
    assert!(!message.contains("good.parquet"), "{message}");
}

#[test]
fn a_table_ends_where_it_was_told_to() {
    let table = Place::new().sql("SELECT value FROM generate_series(1, 1000)", &["--max-rows", "3"]).good();
    assert_eq!(table.lines().count(), 3 + 4, "{table}");
}

#[test]
fn parameters_have_types() {
    let place = Place::new();
    let given = ["--param", "i=42", "--param", "f=1.5", "--param", "b=true", "--param", "s=it's", "--param", "q='01'"];
    let sql = "SELECT $i + 1 AS i, $f * 2 AS f, NOT $b AS b, $s AS s, $q AS q";
    assert_eq!(
        place.sql(sql, &[&given[..], &["--format", "csv"]].concat()).good(),
        "i,f,b,s,q\n43,3.0,false,it's,01\n"
    );
    let message = place.sql("SELECT $a, '$b'", &[]).fails(2);
    assert!(message.contains("--param a="), "{message}");
    let message = place.sql("SELECT 1", &["--param", "a=1"]).fails(2);
    assert!(message.contains("$a"), "{message}");
    // Nothing has run by then.
    assert_eq!(place.sql("SELECT 1; SELECT $a", &["--param", "b=1"]).out, "");
    place.sql("SELECT 1", &["--param", "novalue"]).fails(2);
}

#[test]
fn a_prepared_statement_gets_its_values_from_execute() {
    let place = Place::new();
    let sql = "PREPARE p(BIGINT) AS SELECT $1 + $more AS x; EXECUTE p(4); EXECUTE p($more)";
    let given = ["--param", "more=10", "--format", "csv"];
    assert_eq!(place.sql(sql, &given).good(), "x\n14\nx\n20\n");
    let message = place.sql("PREPARE p(BIGINT) AS SELECT $1 AS x; EXECUTE p()", &["--format", "csv"]).fails(1);
    assert!(message.contains("statement 2") && !message.contains("--param"), "{message}");
}

#[test]
fn a_script_stops_at_its_first_error_and_says_where() {
    let place = Place::new();
    fs::write(place.path("script.sql"), "SELECT 1 AS a;\n-- a comment;\n\nSELECT 1 / 0;\nSELECT 3 AS c;").unwrap();
    let answer = place.run(&["sql", "-f", "script.sql", "--format", "csv"]);
    assert_eq!(answer.out, "a\n1\n");
    let message = answer.fails(1);
    assert!(message.contains("statement 2 (line 4): Divide by zero"), "{message}");
}

#[test]
fn a_script_may_come_through_a_pipe() {
    let place = Place::new();
    for arguments in [&["sql", "--format", "csv"][..], &["sql", "-f", "-", "--format", "csv"]] {
        let mut child = place
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"CREATE TABLE t AS SELECT 5 AS a;\nSELECT ';' AS s, a FROM t").unwrap();
        assert_eq!(end(child).good(), "s,a\n;,5\n");
    }
    let mut child =
        place.command(&[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"SELECT 5 AS a").unwrap();
    let answer = end(child);
    assert!(!answer.out.contains("debut>") && answer.good().contains("| 5 |"));
}

#[test]
fn the_exit_status_says_what_happened() {
    let place = Place::new();
    place.sql("SELECT 1", &[]).good();
    place.sql("", &[]).good();
    place.sql("SELECT nothing", &[]).fails(1);
    place.run(&["bogus"]).fails(2);
    place.run(&["sql", "--format", "xml", "-c", "SELECT 1"]).fails(2);
    place.run(&["sql", "-c", "SELECT 1", "-f", "x.sql"]).fails(2);
    place.run(&["--device", "toaster", "doctor"]).fails(2);
    assert!(place.run(&["--help"]).good().contains("Examples:"));
    let report = place.run(&["report", "--help"]).good();
    for part in
        ["Write a training run or an evaluation", "debut.training_runs", "debut.evaluations", "debut report eval-"]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(place.run(&["--version"]).good().contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(place.names(), [""; 0], "a query without a model leaves no home");
}

#[test]
fn nothing_but_results_goes_to_stdout_and_no_progress_into_a_pipe() {
    let answer = Place::new().sql("SELECT value FROM generate_series(1, 100000)", &["--format", "csv"]);
    assert_eq!(answer.err, "");
    assert_eq!(answer.good().lines().count(), 100_001);
}

#[test]
fn a_closed_stdout_ends_it_quietly() {
    let place = Place::new();
    for format in ["csv", "ndjson", "json", "parquet", "arrow"] {
        let sql = "SELECT value, random() AS r FROM generate_series(1, 100000000000)";
        let mut command = place.command(&["sql", "-c", sql, "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut start = [0; 4];
        child.stdout.as_mut().unwrap().read_exact(&mut start).unwrap();
        drop(child.stdout.take());
        let answer = end(child);
        assert_eq!((answer.status, answer.err.as_str()), (Some(0), ""), "{format}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_query_at_once() {
    let place = Place::new();
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sql = format!("SELECT 1 AS started; {LONG}");
        let mut command = place.command(&["sql", "-c", &sql, "--format", "csv"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "started");
        assert_eq!(lines.next().unwrap().unwrap(), "1");
        signal(child.id(), name);
        assert_eq!(end(child).fails(status), "cancelled\n");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_no_half_written_file() {
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let sql = format!("COPY (SELECT 1 AS a) TO 'started.csv'; {LONG}");
        let mut command = place.command(&["sql", "-c", &sql, "-o", "out.txt"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for_copy(&mut child);
        assert!(place.names().iter().any(|name| name.ends_with(".part")), "{:?}", place.names());
        signal(child.id(), name);
        end(child).fails(status);
        assert_eq!(place.names(), ["started.csv"], "{name}");
    }
}

/// Who starts it with `nohup` wants it to outlive the terminal.
#[cfg(unix)]
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let place = Place::new();
    let sql = format!("COPY (SELECT 1 AS a) TO 'started.csv'; {LONG}");
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_debut")).args(["sql", "-c", &sql, "-o", "out.txt"]);
    command.current_dir(place.folder.path()).env("DEBUT_HOME", place.path("home"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for_copy(&mut child);
    // A hangup that counted would have ended it before the other command is even started.
    signal(child.id(), "HUP");
    signal(child.id(), "TERM");
    end(child).fails(143);
}

/// Waits until the first statement, a COPY of one row, has been done.
fn wait_for_copy(child: &mut Child) {
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("1 row written"), "{line}");
}

#[test]
fn the_doctor_describes_an_empty_home_and_leaves_it_alone() {
    let place = Place::new();
    let answer = place.run(&["doctor", "--offline"]);
    let report = answer.out.clone();
    answer.fails(1);
    for part in [
        "debut ",
        "home ",
        "network ",
        "int8 ",
        "python ",
        "ONNX Runtime is not installed",
        "ORT_DYLIB_PATH",
        "gpu ",
        "-> ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(report.contains("all-MiniLM-L6-v2") && report.contains("debut model import"), "{report}");
    assert_eq!(place.names(), [""; 0]);
    place.run(&["doctor", "--offline", "--install"]).fails(2);
}

#[test]
fn the_doctor_says_that_a_library_is_none() {
    let place = Place::new();
    fs::write(place.path("fake.so"), "no library").unwrap();
    let library = place.path("fake.so");
    let answer = Answer::of(place.command(&["doctor", "--offline"]).env("ORT_DYLIB_PATH", library).output().unwrap());
    assert!(answer.out.contains("fake.so") && answer.out.contains("cannot load"), "{}", answer.out);
    answer.fails(1);
}

#[test]
fn models_are_imported_listed_shown_and_removed() {
    let place = Place::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models/bert-mean-normalize");
    let source = source.to_str().unwrap();
    let model = |arguments: &[&str]| place.run(&[&["model"], arguments, &["--offline"]].concat());
    assert!(model(&["list"]).good().contains("name"));
    let message = model(&["import", "tiny", "no/such/folder"]).fails(1);
    assert!(message.contains("no/such/folder"), "{message}");
    assert!(model(&["import", "tiny", source]).good().contains("tiny"));
    // The same again is the same version; other options make another.
    assert!(model(&["import", "tiny", source]).good().contains("| 1 "));
    assert!(model(&["import", "tiny", source, "--option", "pooling=cls"]).good().contains("| 2 "));
    let list = model(&["list"]).good();
    assert!(list.contains("tiny") && list.contains("embedding"), "{list}");
    let shown = model(&["show", "tiny@1"]).good();
    assert!(shown.contains("fingerprint") && shown.contains("mean"), "{shown}");
    model(&["remove", "tiny@2"]).good();
    model(&["show", "tiny@2"]).fails(1);
    model(&["show", "tiny"]).good();
    model(&["remove", "tiny"]).good();
    let message = model(&["remove", "tiny"]).fails(1);
    assert!(message.contains("tiny"), "{message}");
    assert!(!model(&["list"]).good().contains("tiny"));
}

#[test]
fn models_of_pictures_are_imported_and_shown_with_the_size_of_pictures() {
    let place = Place::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let folder = |name: &str| reference.join(name).to_str().unwrap().to_owned();
    let model = |arguments: &[&str]| place.run(&[&["model"], arguments, &["--offline"]].concat());
    assert!(model(&["import", "looks", &folder("vision/efficientnet-lite-stages")]).good().contains("looks"));
    let shown = model(&["show", "looks"]).good();
    for part in ["bytes", "picture_size", "32 x 32", "efficientnet_lite0", "48"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("max_tokens"), "{shown}");
    assert!(model(&["list"]).good().contains("32 x 32"));
    let message = model(&["import", "code", &folder("state_dicts/code")]).fails(1);
    assert!(message.contains("code.pth") && message.contains("posix.system"), "{message}");
    let message = model(&["import", "looks", &folder("vision/vit"), "--option", "tower=text"]).fails(1);
    assert!(message.contains("one tower only"), "{message}");
    assert!(!model(&["list"]).good().contains("code"));
}

/// The tokenizers library panics where a regular expression takes too many steps; nothing bounds what it replaces.
#[cfg(unix)]
#[test]
fn a_text_that_the_tokenizer_cannot_take_fails_its_row_only() {
    let (place, home) = (Place::new(), support::small_home());
    let file = home.path().join("models/models--small/snapshots/1/tokenizer.json");
    let run = |normalizer: Value, sql: &str| {
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        tokenizer["normalizer"] = normalizer;
        fs::write(&file, tokenizer.to_string()).unwrap();
        let mut command = place.command(&["sql", "-c", sql, "--format", "csv"]);
        Answer::of(command.env("DEBUT_HOME", home.path()).output().unwrap())
    };
    let texts = "(VALUES (1, 'b mug'), (2, repeat('a', 300) || '!'), (3, NULL), (4, 'mugs')) AS t(id, text)";
    let kept = format!(
        "SELECT id, r['value'] IS NOT NULL AS vector, r['error'] AS error FROM \
         (SELECT id, try_embed(text, 'small') AS r FROM {texts}) ORDER BY id"
    );
    let ends = format!("SELECT embed(text, 'small') FROM {texts}");
    let steps = json!({"type": "Replace", "pattern": {"Regex": "(a|aa)+$"}, "content": "x"});
    let grows = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "x".repeat(1 << 20)});
    for (normalizer, reason) in [(steps, "retry-limit"), (grows, "its normalizer makes 314572801 bytes of 301")] {
        let answer = run(normalizer.clone(), &kept);
        assert_eq!(answer.err, "");
        let rows = answer.good();
        let rows: Vec<_> = rows.lines().skip(1).collect();
        assert_eq!((rows[0], rows[2], rows[3]), ("1,true,", "3,false,", "4,true,"), "{rows:?}");
        assert!(rows[1].starts_with("2,false,") && rows[1].contains(reason), "{rows:?}");
        let message = run(normalizer, &ends).fails(1);
        assert!(message.starts_with("error: embed: model 'small@1': the tokenizer failed on 'aaaa"), "{message}");
        assert!(message.contains(reason) && message.contains("try_embed keeps such rows"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// Runs the main job. The runtime and the default model are fetched once into a home that the tests share.
#[test]
fn the_demo_ranks_new_products() {
    let home = support::home().root().to_path_buf();
    let place = Place::new();
    let answer =
        Answer::of(place.command(&["demo"]).env("DEBUT_HOME", &home).env("DEBUT_CACHE", "off").output().unwrap());
    let steps = answer.err.clone();
    let tables = answer.good();
    assert!(steps.contains("embed(") && steps.contains("profile("), "{steps}");
    let (_, ranked) = tables.split_once("| rank ").unwrap();
    // The first line is the rest of the header.
    let rows: Vec<&str> = ranked.lines().skip(1).filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 10, "{tables}");
    let scores: Vec<f64> =
        rows.iter().map(|row| row.trim_end_matches(" |").rsplit('|').next().unwrap().trim().parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] > 0.0, "{tables}");
    // The script on its own says the same.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/demo.sql");
    let mut command =
        place.command(&["sql", "-f", script.to_str().unwrap(), "--param", "customer=59", "--max-rows", "0"]);
    let again = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("DEBUT_HOME", &home)
        .env("DEBUT_CACHE", "off")
        .output()
        .unwrap();
    assert_eq!(Answer::of(again).good(), tables);
    let nobody = Answer::of(
        place
            .command(&["demo", "--customer", "999999"])
            .env("DEBUT_HOME", &home)
            .env("DEBUT_CACHE", "off")
            .output()
            .unwrap(),
    );
    assert!(nobody.fails(2).contains("999999"));
}

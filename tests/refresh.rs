//! `refresh(...)`, the user's way: what it counts and computes, that it equals its query after every edit, and that kills, readers,
//! other refreshes and disks that are full leave the old table or the new one.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tables::{Place, QUERY, assert_is_one_state, refresh, state, text, write_source};

mod support;
#[path = "support/tables.rs"]
mod tables;

/// Right before fast: after any edits the table is what its query gives, and the counts are those of the edits.
#[test]
fn a_table_equals_its_query_after_every_edit() {
    tables::equals_its_query_after_every_edit(&refresh, |place| {
        assert_eq!(fs::read_dir(place.path(".table.refresh/versions")).unwrap().count(), 1, "nothing old is kept");
    });
}

/// The rows that went into and through a node of a plan that was run.
fn counted(plan: &str, node: &str, what: &str) -> usize {
    let line = plan.lines().find(|line| line.contains(node)).unwrap_or_else(|| panic!("no {node}: {plan}"));
    let (_, rest) = line.split_once(&format!("{what}=")).unwrap_or_else(|| panic!("no {what}: {line}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn the_model_sees_only_what_changed() {
    let place = Place::new();
    let mut source: BTreeMap<_, _> = (0..300).map(|id| (id, Some(format!("item {id}")))).collect();
    // Another statement in the same session: what the optimizer makes up has other names.
    let run = |query: &str| {
        let sql = format!(
            "SET debut.cache = 'off'; SELECT count(embed(title, 'small')) AS n FROM 'source.json';
                           EXPLAIN ANALYZE {}",
            refresh(query)
        );
        let plan = place.good(&sql);
        ["ChangedExec: input_rows", "ChangedExec: output_rows", "InferExec: distinct_inputs"].map(|count| {
            let (node, what) = count.split_once(": ").unwrap();
            counted(&plan, node, what)
        })
    };
    write_source(&place, &source);
    assert_eq!(run(QUERY), [300, 300, 300]);
    assert_eq!(run(QUERY), [300, 0, 0]);
    source.insert(7, Some("another".to_owned()));
    source.insert(300, Some("a new one".to_owned()));
    source.remove(&9);
    write_source(&place, &source);
    assert_eq!(run(QUERY), [300, 2, 2]);
    // Two models of which one reads what the other made see no more.
    let two = "SELECT id, a[1] AS a, embed('b ' || CAST(a[1] > 0 AS VARCHAR), 'small') AS b
               FROM (SELECT id, embed(title, 'small') AS a FROM 'source.json')";
    assert_eq!(run(two)[..2], [300, 300]);
    assert_eq!(run(two)[..2], [300, 0]);
}

#[test]
fn vectors_say_which_model_made_them() {
    let place = Place::new();
    write_source(&place, &(0..30).map(|id| (id, Some(format!("item {id}")))).collect());
    place.good(&refresh(QUERY));
    let found = place
        .good("SET debut.model = 'small'; SELECT count(*) AS n FROM vector_search('table/', 'item 3', 3, 'vector')");
    assert_eq!(found, "3\n");
    let python = "import sys, pyarrow.parquet as p; t = p.read_table(sys.argv[1]); print(t.num_rows, t.column_names)";
    let read = Command::new("python3").args(["-c", python, "table"]).current_dir(place.folder.path()).output();
    match read {
        Ok(read) if read.status.success() => {
            let printed = String::from_utf8_lossy(&read.stdout).into_owned();
            assert!(printed.ends_with("['id', 'title', 'shout', 'vector']\n"), "{printed}");
        }
        _ => eprintln!("skipped: there is no pyarrow"),
    }
}

/// Without them, Debut says how it is built with Delta tables, and takes none for a folder of Parquet files: it has those of older
/// versions, too.
#[cfg(not(feature = "delta"))]
#[test]
fn delta_tables_need_a_feature() {
    let place = Place::new();
    place.good("COPY (SELECT 1 AS id) TO 'theirs/part.parquet' STORED AS PARQUET");
    fs::create_dir(place.path("theirs/_delta_log")).unwrap();
    let statement = refresh("SELECT 1 AS id").replace("key => 'id'", "key => 'id', format => 'delta'");
    for (statement, what) in [
        (statement.as_str(), "refresh: format => 'delta': "),
        ("CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION 'theirs'", "STORED AS DELTATABLE: "),
        ("SELECT * FROM 'theirs/'", "'theirs/' is a Delta table: "),
    ] {
        let message = place.bad(statement);
        let how =
            "this debut is built without Delta tables; build it with them: cargo build --release --features delta";
        assert!(message.contains(&format!("{what}{how}")), "{message}");
    }
    assert!(!place.path(".table.refresh").exists());
    assert_eq!(place.good("SELECT id FROM 'theirs/*.parquet'"), "1\n", "who names the files reads them");
    let message = place.bad(&refresh("SELECT 1 AS id").replace("'table/'", "'theirs'"));
    assert!(message.contains("'theirs' is a Delta table, and format => 'parquet'"), "{message}");
}

/// `kill -9` at random moments: every reading gives one of the states, whole, and the next run completes.
#[test]
fn a_kill_leaves_the_old_state_or_the_new_one() {
    tables::survives_kills(&state);
}

/// Nothing that was completed before a kill is computed again.
#[test]
fn the_next_run_goes_on_where_a_kill_stopped_the_last_one() {
    let place = Place::new();
    let statement = refresh("SELECT value AS id, embed('item ' || value, 'small') AS v FROM generate_series(1, 40000)");
    let statement = format!("SET debut.cache = 'off'; EXPLAIN ANALYZE {statement}");
    let mut child = place.command(&statement).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let states = || {
        let entries = fs::read_dir(place.path(".table.refresh/staging")).into_iter().flatten();
        entries
            .filter(|entry| {
                entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "state"))
            })
            .count()
    };
    while states() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before a part was complete");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("table").exists());
    let computed = counted(&place.good(&statement), "InferExec", "distinct_inputs");
    assert!((1..=40_000 - 16_384).contains(&computed), "{computed} texts were embedded");
    let rows = place.good("SELECT count(*) AS n, count(DISTINCT id) AS i, count(v) AS v FROM 'table/'");
    assert_eq!(rows, "40000,40000,40000\n");
}

#[test]
fn readers_see_the_old_rows_or_the_new_ones() {
    let place = Place::new();
    place.good(&state(0));
    let script: Vec<String> = (1..=6).map(state).collect();
    let mut writer = place.command(&script.join("; ")).stdout(Stdio::null()).spawn().unwrap();
    let mut reads = 0;
    while writer.try_wait().unwrap().is_none() {
        // Nothing is kept, and so a reader may find that the version it began to read is gone: an error, and no other rows.
        for location in ["table/", "table/*.parquet"] {
            let sql = format!(
                "SELECT count(*) AS n, count(DISTINCT id) AS i, max(state) - min(state) AS d FROM '{location}'"
            );
            let output = place.command(&sql).output().unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() {
                assert_eq!(printed, "n,i,d\n20000,20000,0\n", "{location}");
                reads += 1;
            } else {
                let message = text(&output);
                assert!(message.contains("No such file") || message.contains("not found"), "{message}");
            }
        }
    }
    assert!(writer.wait().unwrap().success() && reads > 0);
    assert_is_one_state(&place, "table/", [6, 6]);
}

#[test]
fn a_second_refresh_ends_at_once() {
    let place = Place::new();
    place.good(&refresh("SELECT 1 AS id"));
    let lock = fs::File::options().write(true).open(place.path(".table.refresh/lock")).unwrap();
    lock.lock().unwrap();
    let message = place.bad(&refresh("SELECT 2 AS id"));
    assert!(message.contains("'table' is being refreshed by another process or statement"), "{message}");
    lock.unlock().unwrap();
    assert_eq!(place.good(&refresh("SELECT 2 AS id")), "1,0,0,1,1\n");
}

#[test]
fn what_is_kept_is_removed_by_a_later_refresh() {
    let place = Place::new();
    let versions = || fs::read_dir(place.path(".table.refresh/versions")).unwrap().count();
    for id in 1..=3 {
        let kept = refresh(&format!("SELECT {id} AS id")).replace("keep => '0 seconds'", "keep => '2 days'");
        place.good(&kept);
        assert_eq!(versions(), id);
    }
    place.good(&refresh("SELECT 3 AS id"));
    assert_eq!(versions(), 1);
}

/// Files of more than a few kilobytes cannot be written: as on a full disk, in the middle.
#[test]
fn a_disk_that_takes_no_more_leaves_what_was_there() {
    let place = Place::new();
    place.good(&refresh("SELECT 1 AS id, md5('1') AS t"));
    let inner =
        place.command(&refresh("SELECT value AS id, md5(CAST(value AS VARCHAR)) AS t FROM generate_series(1, 50000)"));
    let mut command = Command::new("sh");
    // A signal that is ignored: writing fails with an error instead.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.current_dir(place.folder.path()).env("DEBUT_HOME", place.home.path());
    let output = command.output().unwrap();
    let message = text(&output);
    assert!(!output.status.success() && message.contains("File too large"), "{message}");
    assert!(message.contains("part-2-"), "the file is named: {message}");
    assert_eq!(place.good("SELECT id FROM 'table/'"), "1\n");
    assert_eq!(place.good(&refresh("SELECT 2 AS id, md5('1') AS t")), "1,0,0,1,1\n");
}

#[test]
fn a_read_only_disk_is_said() {
    let place = Place::new();
    // /proc refuses to make folders, even for the superuser.
    if Path::new("/proc/self").exists() {
        let message = place.bad(&refresh("SELECT 1 AS id").replace("'table/'", "'/proc/table'"));
        assert!(message.contains("cannot make the folder '/proc/.table.refresh"), "{message}");
    }
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| {
        let mounted = Command::new("mount").args(arguments).arg(&disk).output();
        mounted.is_ok_and(|mounted| mounted.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=8m", "tmpfs"]) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let _mounted = Mounted(&disk);
    let there = |query: &str| refresh(query).replace("'table/'", "'disk/table'");
    place.good(&there("SELECT 1 AS id"));
    assert!(mount(&["-o", "remount,ro"]));
    let message = place.bad(&there("SELECT 2 AS id"));
    assert!(message.contains("Read-only file system") && message.contains("disk/.table.refresh"), "{message}");
    assert_eq!(place.good("SELECT id FROM 'disk/table/'"), "1\n");
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn only_refresh_writes_into_its_table() {
    let place = Place::new();
    place.good(&refresh("SELECT 1 AS id"));
    for output in ["table/out.csv", ".table.refresh/out.csv", ".table.refresh/versions/1/out.csv"] {
        let run = place.command("SELECT 2 AS id").args(["-o", output]).output().unwrap();
        assert!(!run.status.success() && text(&run).contains("only refresh(...) writes there"), "{}", text(&run));
    }
    let message = place.bad("COPY (SELECT 2 AS id) TO 'table/' STORED AS PARQUET");
    assert!(message.contains("only refresh(...) writes there"), "{message}");
    // A folder in which there is such a table is not replaced, either.
    let message = place.bad("COPY (SELECT 2 AS id) TO '.' STORED AS PARQUET");
    assert!(message.contains("would remove"), "{message}");
    assert_eq!(place.good("SELECT id FROM 'table/'"), "1\n");
    fs::create_dir(place.path("mine")).unwrap();
    let message = place.bad(&refresh("SELECT 1 AS id").replace("'table/'", "'mine'"));
    assert!(message.contains("'mine' is there already, and was not made by refresh"), "{message}");
}

#[test]
fn a_picture_that_is_replaced_under_its_name_is_computed_again() {
    let place = Place::new();
    support::pictures::add_color_model(place.home.path());
    let put = |picture: &str, name: &str| {
        fs::copy(support::repository("tests/reference/images").join(picture), place.path(name)).unwrap();
    };
    put("wide.png", "a.png");
    put("tall.png", "b.png");
    let sql =
        refresh("SELECT id, embed(read_file(id || '.png'), 'color') AS vector FROM (VALUES ('a'), ('b')) AS t(id)");
    assert_eq!(place.good(&sql), "2,0,0,0,2\n");
    assert_eq!(place.good(&sql), "0,0,2,0,2\n");
    put("alpha.png", "b.png");
    assert_eq!(place.good(&sql), "0,1,1,0,2\n");
}

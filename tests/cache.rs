//! The cache of vectors, the user's way: what `EXPLAIN ANALYZE` says, `debut cache`, many processes, kills, and disks that are
//! full.
//!
//! `DEBUT_CACHE_SECONDS` is how long ten processes share one cache (2 without it).

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

mod support;

/// A home with the model `small`, and a folder to work in.
struct Place {
    home: TempDir,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: support::small_home(), folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(arguments).current_dir(self.folder.path()).env("DEBUT_HOME", self.home.path());
        for name in
            ["DEBUT_OFFLINE", "DEBUT_LOG", "ORT_DYLIB_PATH", "DEBUT_CACHE", "DEBUT_CACHE_FOLDER", "DEBUT_CACHE_SIZE"]
        {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> (String, String) {
        good(&self.command(arguments).output().unwrap())
    }

    fn csv(&self, sql: &str, more: &[&str]) -> (String, String) {
        self.run(&[&["sql", "--format", "csv", "-c", sql], more].concat())
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("cache")
    }
}

/// What a command that succeeds says on stdout and stderr.
fn good(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    (out, err)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Some numbers of the vectors of the items `from` to `to`, in their order.
fn vectors(from: usize, to: usize) -> String {
    format!(
        "SET debut.model = 'small'; SELECT item, v[1] AS a, v[9] AS b, v[17] AS c, v[32] AS d
         FROM (SELECT value AS item, embed('item ' || value) AS v FROM generate_series({from}, {to})) ORDER BY item"
    )
}

/// Fails unless both have the same items with the same vectors. Their last bits may differ by what ran beside them.
fn assert_same(found: &str, expected: &str) {
    let numbers = |text: &str| -> Vec<Vec<f64>> {
        text.lines().skip(1).map(|line| line.split(',').map(|value| value.parse().unwrap()).collect()).collect()
    };
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let same = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(same, "{found:?} instead of {expected:?}");
    }
}

/// The first line and the items `from + 1` to `to` of the result over all items from 1 on.
fn part(all: &str, from: usize, to: usize) -> String {
    let mut lines = all.lines();
    let head = lines.next().unwrap();
    std::iter::once(head).chain(lines.skip(from).take(to - from)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn explain_analyze_counts_hits_and_misses() {
    let place = Place::new();
    let counts = |items: usize, more: &[&str]| {
        let sql = format!(
            "SET datafusion.execution.target_partitions = 1;
             EXPLAIN ANALYZE SELECT embed('item ' || CAST(value % {items} AS VARCHAR), 'small') FROM generate_series(1, 5000)"
        );
        let (plan, _) = place.csv(&sql, more);
        let line = plan.lines().find(|line| line.contains("InferExec")).unwrap().to_owned();
        ["distinct_inputs", "cache_hits", "cache_misses", "batches"].map(|name| {
            let (_, rest) = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("{name}: {line}"));
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
        })
    };
    let first = counts(100, &[]);
    assert!(first[..3] == [100, 0, 100] && first[3] > 0, "{first:?}");
    assert_eq!(counts(100, &[]), [100, 100, 0, 0]);
    let more = counts(102, &[]);
    assert!(more[..3] == [102, 100, 2] && more[3] > 0, "{more:?}");
    let off = counts(102, &["--cache", "off"]);
    assert!(off[..3] == [102, 0, 0] && off[3] > 0, "{off:?}");
}

#[test]
fn the_command_shows_and_empties_the_cache() {
    let place = Place::new();
    let (info, _) = place.run(&["cache", "info"]);
    assert!(info.contains("used       0 bytes") && info.contains("at most 4 GiB"), "{info}");
    assert!(!place.cache().exists());
    place.csv(&vectors(1, 50), &[]);
    let (info, _) = place.run(&["cache", "info"]);
    assert!(info.contains("small@1 on cpu: 50 vectors of 32 numbers") && info.contains("UTC"), "{info}");
    assert!(info.contains(place.cache().to_str().unwrap()), "{info}");
    // Another folder, and another size, of which it is said what they are.
    let other = place.folder.path().join("other");
    let elsewhere = ["--cache-folder", other.to_str().unwrap(), "--cache-size", "1M"];
    place.csv(&vectors(1, 10), &elsewhere);
    let (info, _) = place.run(&[&["cache", "info"][..], &elsewhere].concat());
    assert!(info.contains("10 vectors") && info.contains("limit      1.0 MB"), "{info}");
    let (off, _) = place.run(&["cache", "info", "--cache", "off"]);
    assert!(off.contains("off: nothing is read or written"), "{off}");
    fs::write(place.cache().join("mine.txt"), "mine").unwrap();
    let (cleared, _) = place.run(&["cache", "clear"]);
    assert!(cleared.contains("removed 50 vectors"), "{cleared}");
    assert_eq!(files(&place.cache()), [place.cache().join("mine.txt")]);
    let (info, _) = place.run(&["cache", "info"]);
    assert!(!info.contains("small@1"), "{info}");
    let (again, _) = place.run(&["cache", "clear"]);
    assert!(again.contains("removed 0 vectors"), "{again}");
    let wrong = place.command(&["cache", "info", "--cache-size", "much"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn off_reads_and_writes_nothing() {
    let place = Place::new();
    let (expected, _) = place.csv(&vectors(1, 20), &["--cache", "off"]);
    assert!(!place.cache().exists());
    assert_same(&place.csv(&vectors(1, 20), &[]).0, &expected);
    // What is in the files is of no account then.
    for path in files(&place.cache()) {
        fs::write(path, "?").unwrap();
    }
    let before: Vec<_> = files(&place.cache()).iter().map(|path| fs::read(path).unwrap()).collect();
    let (found, said) = place.csv(&vectors(1, 20), &["--cache", "off"]);
    assert_same(&found, &expected);
    let after: Vec<_> = files(&place.cache()).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(said.is_empty() && before == after, "{said}");
    let (found, _) = place.csv(&vectors(1, 20), &[]);
    assert_same(&found, &expected);
}

#[test]
fn a_flipped_byte_is_found_said_and_healed() {
    let place = Place::new();
    let (expected, _) = place.csv(&vectors(1, 40), &[]);
    let file =
        files(&place.cache()).into_iter().find(|path| path.extension().is_some_and(|end| end == "vectors")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 16;
    fs::write(&file, bytes).unwrap();
    let (found, said) = place.csv(&vectors(1, 40), &[]);
    assert_same(&found, &expected);
    assert!(said.matches("is damaged").count() == 1 && said.contains(file.to_str().unwrap()), "{said}");
    assert!(!file.exists());
    // What was computed again is what is found from now on.
    let (again, said) = place.csv(&vectors(1, 40), &[]);
    assert_eq!((again, said.as_str()), (found, ""));
}

/// Each keeps asking for a window of items that others ask for too, in a cache that cannot hold them all.
#[test]
fn ten_processes_share_a_cache() {
    let seconds = std::env::var("DEBUT_CACHE_SECONDS").ok().map_or(2, |seconds| seconds.parse().unwrap());
    let place = Place::new();
    let (expected, _) = place.csv(&vectors(1, 3000), &["--cache", "off"]);
    let (begun, limit) = (Instant::now(), 512 << 10);
    thread::scope(|scope| {
        for worker in 0..10 {
            let (place, expected) = (&place, &expected);
            scope.spawn(move || {
                let mut round = 0;
                while round == 0 || begun.elapsed() < Duration::from_secs(seconds) {
                    let from = (worker * 211 + round * 97) % 2000;
                    let (found, said) = place.csv(&vectors(from + 1, from + 1000), &["--cache-size", "512K"]);
                    assert_same(&found, &part(expected, from, from + 1000));
                    assert_eq!(said, "");
                    round += 1;
                }
                eprintln!("process {worker}: {round} rounds");
            });
        }
    });
    let used: u64 = files(&place.cache()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(used < limit + 10 * 1000 * 200, "{used}");
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Fifty kills at moments spread over a run; after each the next run has every vector as without a cache.
#[test]
fn a_kill_at_any_moment_leaves_nothing_half_written() {
    let place = Place::new();
    let begun = Instant::now();
    let (expected, _) = place.csv(&vectors(1, 4000), &["--cache", "off"]);
    let run = begun.elapsed();
    for moment in 0..50u32 {
        if moment % 10 == 0 {
            place.run(&["cache", "clear"]);
        }
        let child =
            place.command(&["sql", "--format", "csv", "-c", &vectors(1, 4000)]).stdout(Stdio::null()).spawn().unwrap();
        // Spread over the run by the golden ratio, not drawn: a failure can be had again.
        thread::sleep(run.mul_f64((f64::from(moment) * 0.618_034).fract()));
        kill(child);
        let (found, said) = place.csv(&vectors(1, 300), &[]);
        assert_same(&found, &part(&expected, 0, 300));
        assert!(said.is_empty(), "{moment}: {said}");
    }
    let (found, said) = place.csv(&vectors(1, 4000), &[]);
    assert_same(&found, &expected);
    assert!(said.is_empty(), "{said}");
}

/// A disk with room for some of the vectors, where the test may make one.
#[test]
fn a_full_disk_is_said_once_and_fails_no_query() {
    let place = Place::new();
    let disk = place.folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let _mounted = Mounted(&disk);
    let full = ["--cache-folder", disk.to_str().unwrap(), "--cache-size", "1G"];
    let (expected, _) = place.csv(&vectors(1, 4000), &["--cache", "off"]);
    let (found, said) = place.csv(&vectors(1, 4000), &full);
    assert_same(&found, &expected);
    assert!(said.matches("cannot be written").count() == 1 && said.contains("queries go on without it"), "{said}");
    // What is there is whole, and found.
    let (again, _) = place.csv(&vectors(1, 4000), &full);
    assert_same(&again, &expected);
    // Left to itself the cache takes a tenth of such a disk, and fills none.
    for path in files(&disk) {
        fs::remove_file(path).unwrap();
    }
    let (_, said) = place.csv(&vectors(1, 4000), &full[..2]);
    let used: u64 = files(&disk).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(said.is_empty() && used < 64 << 10, "{used} {said}");
}

/// `/proc` refuses to make files, even for the superuser.
#[test]
fn a_folder_that_refuses_writes_is_said_once_and_fails_no_query() {
    if !Path::new("/proc/self").exists() {
        eprintln!("skipped: there is no /proc");
        return;
    }
    let place = Place::new();
    let (expected, _) = place.csv(&vectors(1, 3000), &["--cache", "off"]);
    let (found, said) = place.csv(&vectors(1, 3000), &["--cache-folder", "/proc/debut-cache"]);
    assert_same(&found, &expected);
    assert!(said.matches("warning").count() == 1 && said.contains("'/proc/debut-cache' cannot be written"), "{said}");
}

/// A cache on a disk that became read-only is read, and what is missing in it computed.
#[test]
fn a_read_only_disk_is_read_and_said_once() {
    let place = Place::new();
    let disk = place.folder.path().join("disk");
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
    let there = ["--cache-folder", disk.to_str().unwrap(), "--cache-size", "4M"];
    place.csv(&vectors(1, 500), &there);
    let before: Vec<_> = files(&disk).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(mount(&["-o", "remount,ro"]));
    let (expected, _) = place.csv(&vectors(1, 600), &["--cache", "off"]);
    let (found, said) = place.csv(&vectors(1, 600), &there);
    assert_same(&found, &expected);
    assert!(said.matches("warning").count() == 1 && said.contains("cannot be written"), "{said}");
    let after: Vec<_> = files(&disk).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(before == after && !before.is_empty());
    let (cleared, said) = {
        let output = place.command(&[&["cache", "clear"][..], &there].concat()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(!cleared && said.contains(disk.to_str().unwrap()), "{said}");
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

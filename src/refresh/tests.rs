//! A table over many refreshes, without a query: what is in it, which files it has, and what is left of one that was killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use debut_udfs::refresh::Format;

use super::commit::Refreshed;
use super::ledger::Counts;
use super::manifest::Recipe;
use super::part;
use super::table::{PART_ROWS, Request, Table};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("t")
    }

    /// A refresh that has read these rows, all of which are compared, and has not ended.
    fn begun(&self, rows: &[(i64, String)]) -> Result<Table, super::Error> {
        let recipe = Recipe::new(String::new(), "columns".to_owned(), "id".to_owned(), BTreeMap::new());
        let whole = Some("all".to_owned());
        let request = Request { target: self.target(), format: Format::Parquet, recipe, whole, keep: Duration::ZERO };
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
        ]));
        let mut table = Table::open(request, &schema, Arc::default())?;
        for rows in rows.chunks(1000) {
            let ids: Int64Array = rows.iter().map(|row| row.0).collect::<Vec<_>>().into();
            let texts: StringArray = rows.iter().map(|row| Some(row.1.as_str())).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(texts)]).unwrap();
            table.add(&batch)?;
        }
        Ok(table)
    }

    fn refresh(&self, rows: &[(i64, String)]) -> Refreshed {
        self.begun(rows).unwrap().commit().unwrap()
    }

    /// The rows that a reader finds, by their ids.
    fn read(&self) -> Vec<(i64, String)> {
        let mut rows = Vec::new();
        for path in files(&self.target()) {
            for batch in part::read(&path).unwrap() {
                let batch = batch.unwrap();
                let ids = batch.column(0).as_primitive::<Int64Type>();
                let texts = batch.column(1).as_string::<i32>();
                rows.extend(ids.values().iter().zip(texts).map(|(id, text)| (*id, text.unwrap().to_owned())));
            }
        }
        rows.sort();
        rows
    }

    fn staged(&self) -> Vec<PathBuf> {
        files(&self.0.path().join(".t.refresh/staging"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn rows(ids: std::ops::Range<i64>, text: &str) -> Vec<(i64, String)> {
    ids.map(|id| (id, format!("{text} {id}"))).collect()
}

#[test]
fn many_nights_leave_few_parts() {
    let place = Place::new();
    let (mut all, step) = (Vec::new(), 1500);
    for night in 0..40_i64 {
        // New rows, a few changed ones, and a few that go.
        all.extend(rows(night * step..(night + 1) * step, "new"));
        let changed = all.len() / 3..all.len() / 3 + 10;
        let expected = Counts {
            added: 1500,
            changed: if night == 0 { 0 } else { 10 },
            unchanged: if night == 0 { 0 } else { all.len() as u64 - 1510 },
            removed: 0,
        };
        if night > 0 {
            all[changed].iter_mut().for_each(|row| row.1 = format!("night {night}"));
        }
        let done = place.refresh(&all);
        assert_eq!((done.counts, done.version), (expected, night as u64 + 1));
        let parts = files(&place.target()).len();
        assert!(parts <= all.len() / (PART_ROWS / 2) + 1, "{parts} parts of {} rows", all.len());
    }
    assert_eq!(place.read(), all);
    assert!(place.staged().is_empty());
    let removed = place.refresh(&all[..100]).counts;
    assert_eq!((removed.unchanged, removed.removed), (100, all.len() as u64 - 100));
    assert_eq!(place.read(), all[..100]);
}

#[test]
fn parts_without_a_change_are_the_same_files() {
    let place = Place::new();
    let mut all = rows(0..3 * PART_ROWS as i64, "row");
    place.refresh(&all);
    let inodes = || files(&place.target()).iter().map(|path| fs::metadata(path).unwrap().ino()).collect::<Vec<_>>();
    let before = inodes();
    assert_eq!(before.len(), 3);
    let again = place.refresh(&all);
    assert_eq!((again.version, again.counts.unchanged), (1, all.len() as u64), "nothing to do makes no version");
    all[0].1 = "changed".to_owned();
    place.refresh(&all);
    let after = inodes();
    assert_eq!(before.iter().filter(|inode| after.contains(inode)).count(), 2);
    assert_eq!(place.read(), all);
}

#[test]
fn what_a_killed_refresh_completed_is_used() {
    let place = Place::new();
    place.refresh(&rows(0..100, "old"));
    // Batches of a thousand: a part ends with the one that fills it.
    let full = PART_ROWS.next_multiple_of(1000) as i64;
    let all = rows(0..2 * full + 500, "new");
    drop(place.begun(&all).unwrap());
    let staged = place.staged();
    assert_eq!(staged.len(), 4, "two parts and what is in them");
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let kept = inode(&staged[0]);
    // One of them is damaged.
    fs::write(&staged[2], "no Parquet").unwrap();
    assert_eq!(place.read(), rows(0..100, "old"), "readers see the old rows");
    let done = place.refresh(&all);
    assert_eq!((done.counts.added, done.counts.changed), (all.len() as u64 - 100, 100));
    assert_eq!(place.read(), all);
    assert!(files(&place.target()).iter().any(|path| inode(path) == kept), "the whole part was not written again");
    assert!(place.staged().is_empty());

    // Of one that is no longer wanted, but for its first rows, these are used.
    let other = rows(0..full, "other");
    drop(place.begun(&other).unwrap());
    assert_eq!(place.staged().len(), 2);
    let wanted: Vec<_> = other.iter().take(10).cloned().chain(rows(10..30, "new")).collect();
    let done = place.refresh(&wanted).counts;
    assert_eq!((done.changed, done.unchanged, done.removed), (10, 20, all.len() as u64 - 30));
    assert_eq!(place.read(), wanted);
}

#[test]
fn a_row_without_a_key_of_its_own_changes_nothing() {
    let place = Place::new();
    place.refresh(&rows(0..10, "old"));
    let twice = [rows(0..3, "new"), rows(2..3, "again")].concat();
    let message = place.begun(&twice).map(drop).unwrap_err().to_string();
    assert!(message.contains("id = 2 names two rows"), "{message}");
    assert_eq!(place.read(), rows(0..10, "old"));
    place.refresh(&[]);
    assert_eq!((place.read(), files(&place.target()).len()), (vec![], 1), "a file says what the columns are");
    place.refresh(&rows(0..5, "back"));
    assert_eq!((place.read(), files(&place.target()).len()), (rows(0..5, "back"), 1));
}

//! The folder of a log: what a killed server leaves, and what a reader that has listed it meets.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use serde_json::json;

use super::event::batch;
use super::folder::{Folder, reader};
use super::keys::Keys;
use super::merge::Plan;
use super::*;

fn events(users: &[i64]) -> Events {
    let events = users.iter().map(|user| {
        serde_json::from_value(json!({"user_id": user, "item_id": "a", "shown": true, "label": 0})).unwrap()
    });
    Events::check(events.collect()).unwrap()
}

fn rows(users: &[i64], key: &str) -> RecordBatch {
    let events = events(users);
    batch(events.id_types(), [(&events, Some(key))].into_iter()).unwrap()
}

fn users(path: &Path) -> Vec<i64> {
    let batches = reader(path).unwrap().build().unwrap();
    batches.flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// The files that readers see.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect();
    files.sort();
    files
}

#[test]
fn who_listed_before_a_merge_reads_on() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(place.path()).unwrap();
    for user in 0..16 {
        folder.write(&rows(&[user], "k")).unwrap();
    }
    // As the engine lists: by the path behind the link.
    let before: Vec<PathBuf> = listed(place.path()).iter().map(|path| path.canonicalize().unwrap()).collect();
    let plan = Plan::of(&folder).unwrap();
    let merged = plan.run().unwrap();
    // Written while the merge ran.
    folder.write(&rows(&[16], "k")).unwrap();
    folder.replace(&merged, &plan.numbers).unwrap();
    assert_eq!(before.iter().flat_map(|path| users(path)).collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    let after = listed(place.path());
    assert_eq!(after.len(), 2);
    assert_eq!(after.iter().flat_map(|path| users(path)).collect::<Vec<_>>(), (0..17).collect::<Vec<_>>());
    assert!(Plan::of(&folder).is_none());
    folder.write(&rows(&[17], "k")).unwrap();
    drop(folder);
    let folder = Folder::open(place.path()).unwrap();
    assert_eq!(folder.files().count(), 3);
    assert!(before[0].exists(), "the old generation stays for its readers");
}

#[test]
fn what_was_left_unfinished_is_cleared_away() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(place.path()).unwrap();
    folder.write(&rows(&[1], "k")).unwrap();
    let current = folder.current();
    drop(folder);
    let half = place.path().join(".unfinished/events-000000000002.parquet");
    fs::write(&half, "half").unwrap();
    // A generation that was built and never used.
    let next = place.path().join(".generations/0000000002");
    fs::create_dir(&next).unwrap();
    fs::hard_link(current.join("events-000000000001.parquet"), next.join("events-000000000001.parquet")).unwrap();
    let mut folder = Folder::open(place.path()).unwrap();
    assert!(!half.exists());
    folder.write(&rows(&[2], "k")).unwrap();
    assert_eq!(listed(place.path()).iter().flat_map(|path| users(path)).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn one_server_writes_to_a_folder() {
    let place = tempfile::tempdir().unwrap();
    let _folder = Folder::open(place.path()).unwrap();
    assert!(matches!(Folder::open(place.path()), Err(FeedbackError::Locked(_))));
}

#[test]
fn the_last_keys_are_remembered() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(place.path()).unwrap();
    folder.write(&rows(&[1, 2], "a")).unwrap();
    folder.write(&rows(&[3], "b")).unwrap();
    folder.write(&rows(&[4, 5, 6], "c")).unwrap();
    let keys = Keys::read(&folder, 10).unwrap();
    assert_eq!((keys.get("a"), keys.get("b"), keys.get("c"), keys.get("d")), (Some(2), Some(1), Some(3), None));
    let mut keys = Keys::read(&folder, 2).unwrap();
    assert_eq!((keys.get("a"), keys.get("b"), keys.get("c")), (None, Some(1), Some(3)));
    keys.add("d".into(), 1);
    assert_eq!((keys.get("b"), keys.get("d")), (None, Some(1)));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let message = Folder::open(&file).unwrap_err().to_string();
    assert!(message.contains(&file.display().to_string()), "{message}");
    let mut folder = Folder::open(place.path()).unwrap();
    fs::write(folder.current().join("events-000000000001.parquet"), "no Parquet").unwrap();
    drop(folder);
    folder = Folder::open(place.path()).unwrap();
    assert!(Keys::read(&folder, 1).unwrap_err().to_string().contains("is no feedback"));
}

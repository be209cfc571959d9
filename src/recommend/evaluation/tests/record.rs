//! Evaluations on disk: kept, listed, found, and damaged.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn records() -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(&Home::at(folder.path()));
    (folder, records)
}

fn record(created_at: u64) -> Record {
    Record {
        id: "whatever".into(),
        model: "shop@2".into(),
        against: None,
        created_at,
        since: Some(1_764_547_200_000_000),
        users: 3,
        notes: vec!["4 interactions are with items that are not among the items".into()],
        rows: vec![Row {
            method: "shop@2".into(),
            candidates: "new".into(),
            segment: "new".into(),
            metric: "recall".into(),
            k: Some(20),
            // What decimal notation has no end of, and what JSON has no word for.
            value: Some(1.0 / 3.0),
            ci_low: Some(f64::MIN_POSITIVE),
            ci_high: None,
            users: 3,
            items: 7,
            boost: None,
            week: None,
        }],
        bins: vec![CalibrationBin { low: 0.0, high: 1e-3, rows: 21, predicted: 0.1 + 0.2, observed: 1.0 / 21.0 }],
    }
}

#[test]
fn what_is_kept_is_found() {
    let (folder, records) = records();
    assert_eq!(records.list().unwrap(), Vec::<String>::new());
    let kept = records.create(record(1_795_559_000)).unwrap();
    assert!(kept.id.starts_with("eval-20261124-222320-") && kept.id.len() == 27, "{}", kept.id);
    assert_eq!(kept, Record { id: kept.id.clone(), ..record(1_795_559_000) });
    assert_eq!(records.find(&kept.id).unwrap(), kept);
    assert_eq!(records.find("eval-2026").unwrap(), kept);
    assert!(folder.path().join("evaluations").join(format!("{}.json", kept.id)).is_file());
}

#[test]
fn ids_are_different_and_sort_by_time() {
    let (_folder, records) = records();
    let later = records.create(record(1_795_559_001)).unwrap();
    let mut ids: Vec<_> = (0..20).map(|_| records.create(record(1_795_559_000)).unwrap().id).collect();
    ids.sort();
    ids.push(later.id);
    assert_eq!(records.list().unwrap(), ids);
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let (_folder, records) = records();
    let message = records.find("eval-1").unwrap_err().to_string();
    assert_eq!(message, "there is no evaluation 'eval-1': nothing was evaluated yet; SELECT * FROM evaluate(...) does");
    let ids: Vec<_> = (0..7).map(|second| records.create(record(second)).unwrap().id).collect();
    let message = records.find("eval-1980").unwrap_err().to_string();
    assert!(message.contains(&ids[6]) && message.contains(&ids[2]) && !message.contains(&ids[1]), "{message}");
    let message = records.find("eval-1970").unwrap_err().to_string();
    assert!(message.contains("several") && message.contains(&ids[6]), "{message}");
    assert!(matches!(records.find(""), Err(Error::Unknown { .. })));
    // Only what is listed is read, wherever a text points.
    assert!(matches!(records.find(&format!("../evaluations/{}", ids[0])), Err(Error::Unknown { .. })));
}

#[test]
fn other_files_are_no_evaluations_and_damaged_ones_say_so() {
    let (_folder, records) = records();
    let kept = records.create(record(0)).unwrap();
    let folder = records.path("x").parent().unwrap().to_path_buf();
    for other in [".unfinished-abc", "eval-1.html", "notes.json"] {
        std::fs::write(folder.join(other), "{}").unwrap();
    }
    assert_eq!(records.list().unwrap(), std::slice::from_ref(&kept.id));
    std::fs::write(records.path(&kept.id), "{\"id\": 3").unwrap();
    let message = records.find("eval-").unwrap_err().to_string();
    assert!(message.contains(&kept.id) && message.contains("evaluate again"), "{message}");
}

//! Every file in `sql/` runs as the README says, in the README's order.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::process::Command;

mod support;

/// The files in the order in which they build on each other, with what they have to print.
const WALK: [(&str, &[&str], &str); 12] = [
    ("load.sql", &[], "2000"),
    ("embed.sql", &[], "FixedSizeList(384 x Float32"),
    ("search.sql", &["--param", "query=a gift for somebody who loves tea"], "fit"),
    ("score.sql", &["--param", "customer=42"], "launched"),
    ("export.sql", &[], "customers"),
    ("train.sql", &[], "reads_like"),
    ("recommend.sql", &["--param", "customer=59"], "taste@"),
    ("evaluate.sql", &[], "text_knn"),
    ("nightly.sql", &[], "mean_probability"),
    ("audience.sql", &[], "customer_id"),
    ("context.sql", &["--param", "query=a gift for somebody who loves tea", "--param", "customer=59"], "fits_query"),
    ("demo.sql", &["--param", "customer=59"], "rank"),
];

#[test]
fn every_file_of_the_walk_runs() {
    let mut files: Vec<_> = fs::read_dir(support::repository("sql"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut known: Vec<_> = WALK.iter().map(|(file, ..)| (*file).to_string()).collect();
    known.sort();
    assert_eq!(files, known);

    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(support::repository("data"), folder.path().join("data")).unwrap();
    for (file, arguments, expected) in WALK {
        let output = Command::new(env!("CARGO_BIN_EXE_debut"))
            .args(["sql", "-f"])
            .arg(support::repository("sql").join(file))
            .args(arguments)
            .env("DEBUT_HOME", support::home().root())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{file}: {stderr}");
        assert!(stdout.contains(expected), "{file} printed\n{stdout}");
    }
    assert!(folder.path().join("launch_mailing.parquet").exists());
}

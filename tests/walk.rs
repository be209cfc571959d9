//! Every file in `sql/` runs as the README says, in the README's order.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::process::Command;

#[path = "support/walk.rs"]
mod files;
mod support;

use files::{JOBS, Step, WALK};

#[test]
fn every_file_of_the_walk_runs() {
    let mut files: Vec<_> = fs::read_dir(support::repository("sql"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut known: Vec<_> = WALK.iter().chain(&JOBS).map(|step| step.file.to_string()).collect();
    known.sort();
    assert_eq!(files, known);

    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(support::repository("data"), folder.path().join("data")).unwrap();
    let steps = WALK.iter().map(|step| (&["sql", "-f"][..], step));
    for (command, Step { file, parameters, expected }) in steps.chain(JOBS.iter().map(|step| (&["run"][..], step))) {
        let parameters = parameters.iter().flat_map(|(name, value)| ["--param".to_string(), format!("{name}={value}")]);
        let output = Command::new(env!("CARGO_BIN_EXE_debut"))
            .args(command)
            .arg(support::repository("sql").join(file))
            .args(parameters)
            .env("DEBUT_HOME", support::home().root())
            .env("DEBUT_CACHE", "off")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{file}: {stderr}");
        assert!(stdout.contains(expected), "{file} printed\n{stdout}");
    }
    assert!(folder.path().join("launch_mailing.parquet").exists());
    assert!(folder.path().join("sold/as_of=2025-12-22/week.parquet").exists());
}

//! `debut demo`: the main job on the bundled shop, from nothing.
//!
//! Takes a customer; unpacks the shop that the program carries, runs `sql/demo.sql` on it, shows each statement and its
//! time on stderr, and the two results on stdout. The runtime and the default model install themselves at the first
//! `embed`, as they do in any query.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use super::args::{Common, Demo};
use super::error::{CliError, Result};
use super::output::{Format, Output};
use super::progress::Terminal;
use super::task::Tasks;
use super::{execute, open, parameters};
use crate::home::Home;

/// Somebody with a taste that titles show.
const CUSTOMER: i64 = 59;

const SCRIPT: &str = include_str!("../../sql/demo.sql");

/// The shop's files, by name.
const SHOP: [(&str, &[u8]); 3] = [
    ("products.parquet", include_bytes!("../../data/products.parquet")),
    ("customers.parquet", include_bytes!("../../data/customers.parquet")),
    ("interactions.parquet", include_bytes!("../../data/interactions.parquet")),
];

/// Runs the demo.
///
/// # Errors
/// The shop cannot be unpacked, the runtime or the model cannot be installed, or there is no such customer.
pub(super) fn run(demo: &Demo, common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    let folder = unpack(&Home::from_env().root().join("demo"))?;
    let script = script(&folder)?;
    let customer = demo.customer.unwrap_or(CUSTOMER);
    let session = open(common, terminal)?;
    let mut statements = session.statements(&script)?;
    parameters::bind(&[("customer".to_string(), customer.to_string())], &mut statements)?;
    let steps = steps(&script);
    if steps.len() != statements.len() {
        return Err(CliError::Internal);
    }
    let mut output = Output::open(Format::Table, None, Some(0))?;
    let terminal = terminal.clone();
    tasks.run(async move {
        terminal.step(&format!("New products for customer {customer} of the demo shop in {}", folder.display()));
        let mut last = None;
        for (Step { comment, sql }, statement) in steps.into_iter().zip(statements) {
            terminal.step(&format!("\n{comment}{}", sql.replace("$customer", &customer.to_string())));
            let begun = Instant::now();
            let outcome = execute::run(&session, statement, &mut output, &terminal).await?;
            terminal.step(&format!("  -- {}", outcome.summary(begun.elapsed())));
            last = Some(outcome);
        }
        if let Some(execute::Outcome::Shown { rows: 0, .. }) = last {
            return Err(CliError::Usage(format!(
                "customer {customer} has not viewed or bought anything to rank by; choose another with --customer"
            )));
        }
        terminal.step(
            "\nTo rank your own products, change these statements and run them with debut sql -f FILE, or in a shell: debut",
        );
        output.commit()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the shop's files into `folder`, unless they are there; each appears whole.
fn unpack(folder: &Path) -> Result<PathBuf> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CliError::File { action: "write", path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for (name, bytes) in SHOP {
        let path = folder.join(name);
        // Another version's shop is replaced.
        if fs::read(&path).is_ok_and(|present| present == bytes) {
            continue;
        }
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(failed(&path))?;
    }
    fs::canonicalize(folder).map_err(failed(folder))
}

/// The script on the shop in `folder`. Its first comment is about the file, not about a step.
fn script(folder: &Path) -> Result<String> {
    let path = folder.to_str().ok_or_else(|| {
        CliError::Usage(format!(
            "the home folder's name '{}' is not Unicode: set DEBUT_HOME to another",
            folder.display()
        ))
    })?;
    let body = SCRIPT.split_once("\n\n").map_or(SCRIPT, |(_, body)| body);
    Ok(body.replace("'data/", &format!("'{}/", path.replace('\'', "''"))))
}

/// A statement and the comment above it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// Whole lines, or nothing.
    comment: String,
    sql: String,
}

/// The script's paragraphs, each of which is one step.
fn steps(script: &str) -> Vec<Step> {
    let paragraphs = script.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    let step = |paragraph: &str| {
        let (comments, lines): (Vec<_>, Vec<_>) = paragraph.lines().partition(|line| line.starts_with("--"));
        let comment = comments.iter().map(|line| format!("{line}\n")).collect();
        Step { comment, sql: lines.join("\n") }
    };
    paragraphs.map(step).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;
    use crate::engine::statements;

    #[test]
    fn each_paragraph_of_the_script_is_one_statement() {
        let script = script(Path::new("/it's here")).unwrap();
        assert!(script.contains("'/it''s here/products.parquet'"));
        for Step { sql, .. } in steps(&script) {
            assert_eq!(statements::parse(&sql, &GenericDialect {}).unwrap().len(), 1, "{sql}");
        }
        assert_eq!(statements::parse(&script, &GenericDialect {}).unwrap().len(), steps(&script).len());
    }

    #[test]
    fn the_shop_is_unpacked_once_and_mended() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/demo");
        unpack(&folder).unwrap();
        let products = folder.join("products.parquet");
        let written = fs::metadata(&products).unwrap().modified().unwrap();
        unpack(&folder).unwrap();
        assert_eq!(fs::metadata(&products).unwrap().modified().unwrap(), written);
        fs::write(&products, "torn").unwrap();
        unpack(&folder).unwrap();
        assert_eq!(fs::read(&products).unwrap(), SHOP[0].1);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), SHOP.len());
    }
}

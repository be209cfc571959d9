//! The second run over a catalogue: what the cache of vectors and `refresh` save, and that they give every bit back.
//!
//! Takes the distinct product descriptions of the shared data, varies them to 50,000 texts (or as many as the argument says),
//! and runs `SELECT embed(t)` over them through SQL in three processes' worth of engines: the first time, again, and with 2% of
//! the texts changed; then the same with a table that `refresh` maintains, without a cache. Prints seconds and ratios, each of
//! three rounds in folders of their own. Run by
//! `cargo bench --bench cache [-- TEXTS]`. With `DEBUT_PEERS_PYTHON` (a Python that has sentence-transformers and pyarrow) and
//! `DEBUT_PEERS_MODEL` (the folder of all-MiniLM-L6-v2) it runs `benches/peers/cache.py` over the same files: the same
//! model behind a cache made by hand.

#[path = "support/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::Switch;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let Some(retail) = shared::shared("online_retail.parquet") else { return Ok(()) };
    let texts = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&retail, texts))
}

async fn run(retail: &Path, texts: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (before, after) = (folder.path().join("before.parquet"), folder.path().join("after.parquet"));
    let plain = session(None)?;
    write(&plain, retail, texts, "t", &before).await?;
    write(&plain, retail, texts, "CASE WHEN n % 50 = 7 THEN t || ', new' ELSE t END", &after).await?;
    println!("{texts} texts, {} threads", std::thread::available_parallelism()?);
    for round in 1..=ROUNDS {
        let cache = folder.path().join(format!("cache-{round}"));
        let (first, made) = embed(&session(Some(&cache))?, &before).await?;
        let (second, found) = embed(&session(Some(&cache))?, &before).await?;
        let (third, changed) = embed(&session(Some(&cache))?, &after).await?;
        let bytes: u64 = walk(&cache)?;
        println!(
            "debut: first {first:.2} s ({:.0} texts/s), second {second:.3} s: {:.0} times as fast; 2% changed {third:.3} s: {:.2}% \
             of the first; {:.1} MB on disk",
            texts as f64 / first,
            first / second,
            100.0 * third / first,
            bytes as f64 / 1e6,
        );
        let same = made.iter().zip(&found).filter(|(a, b)| a.to_bits() == b.to_bits()).count();
        if same != made.len() || made.len() != found.len() {
            return Err(format!("{same} of {} numbers are the same", made.len()).into());
        }
        println!("  all {same} numbers are the same bits");
        refreshed(&folder.path().join(format!("table-{round}")), [&before, &before, &after], &changed).await?;
    }
    peer(&before, &after)
}

/// A session in an engine of its own, as another process would have it.
fn session(cache: Option<&Path>) -> Result<Session> {
    let options = EngineOptions {
        cache: if cache.is_some() { Switch::On } else { Switch::Off },
        cache_folder: cache.map(Path::to_path_buf),
        ..EngineOptions::default()
    };
    let engine = Engine::open(Arc::new(Models::new(Home::from_env())), &options)?;
    Ok(engine.session(&Access::everything())?)
}

/// Distinct texts: each description as it is, then in other colours and sizes until there are enough.
async fn write(session: &Session, retail: &Path, texts: usize, text: &str, to: &Path) -> Result<()> {
    let sql = format!(
        "COPY (SELECT n, {text} AS t FROM (
           SELECT CASE WHEN v.value = 0 THEN d ELSE d || ', variant ' || v.value END AS t, row_number() OVER (ORDER BY v.value, d) AS n
           FROM (SELECT DISTINCT trim(description) AS d FROM '{}' WHERE length(trim(description)) > 3) AS p
           CROSS JOIN generate_series(0, 30) AS v) WHERE n <= {texts} ORDER BY n) TO '{}'",
        retail.display(),
        to.display()
    );
    rows(session, &sql).await?;
    Ok(())
}

/// Seconds of one query from its text to its last row, the model's loading included; and all its numbers.
async fn embed(session: &Session, texts: &Path) -> Result<(f64, Vec<f32>)> {
    let begun = Instant::now();
    let batches = rows(session, &format!("SELECT embed(t) FROM '{}'", texts.display())).await?;
    Ok((begun.elapsed().as_secs_f64(), numbers(&batches)))
}

/// Refreshes a table from one source after the other, each in an engine of its own, without a cache. The table has the vectors
/// `expected` in the end, bit by bit.
async fn refreshed(target: &Path, sources: [&Path; 3], expected: &[f32]) -> Result<()> {
    let mut seconds = Vec::new();
    for source in sources {
        let session = session(None)?;
        let sql = format!(
            "SELECT added, changed, unchanged, removed FROM refresh(key => 'n', target => '{}',
               source => (SELECT n, t, embed(t) AS vector FROM '{}'))",
            target.display(),
            source.display()
        );
        let begun = Instant::now();
        let rows = rows(&session, &sql).await?;
        seconds.push(begun.elapsed().as_secs_f64());
        println!("{}", arrow::util::pretty::pretty_format_batches(&rows)?);
    }
    let [first, second, third] = seconds[..] else { return Err("three sources have three times".into()) };
    println!(
        "refresh: first {first:.2} s, second {second:.3} s: {:.0} times as fast; 2% changed {third:.3} s: {:.2}% of the first",
        first / second,
        100.0 * third / first
    );
    let sql = format!("SELECT vector FROM '{}/*.parquet' ORDER BY n", target.display());
    let found = numbers(&rows(&session(None)?, &sql).await?);
    if found.len() != expected.len() || found.iter().zip(expected).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return Err("the table has other vectors than the query".into());
    }
    println!("  all {} numbers are the same bits", found.len());
    Ok(())
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for statement in session.statements(sql)? {
        batches.extend(session.run(statement).await?.collect().await?);
    }
    Ok(batches)
}

fn numbers(batches: &[RecordBatch]) -> Vec<f32> {
    let numbers = |batch: &RecordBatch| {
        batch.column(0).as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec()
    };
    batches.iter().flat_map(numbers).collect()
}

fn walk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { walk(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// The same files in Python behind a cache made by hand.
fn peer(before: &Path, after: &Path) -> Result<()> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(python), Some(model)) = (variable("DEBUT_PEERS_PYTHON"), variable("DEBUT_PEERS_MODEL")) else {
        println!("no peer: DEBUT_PEERS_PYTHON and DEBUT_PEERS_MODEL are not set");
        return Ok(());
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/cache.py");
    let output = Command::new(python).arg(script).arg(model).args([before, after]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

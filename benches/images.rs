//! `embed` of pictures through SQL, against peers, and 50,000 of them in bounded memory.
//!
//! Takes the pictures of the shared fashion data and the default image model. Without an argument it embeds the first
//! 1,000 of them in three rounds and prints pictures per second, the share of decoding and preprocessing, and, where
//! `DEBUT_PEERS_PYTHON` has timm and fastembed, the ratio to PyTorch's and fastembed's rate (`benches/peers/images.py`).
//! `cargo bench --bench images -- memory [PICTURES]` embeds that many distinct files (50,000) and prints the memory that the
//! process holds as they pass.

#[path = "support/memory.rs"]
mod memory;
#[path = "support/plan.rs"]
mod plan;
#[path = "support/shared.rs"]
mod shared;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::execute_stream;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::Switch;
use futures::StreamExt;
use memory::megabytes;
use plan::metric;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const MODEL: &str = "efficientnet-lite0";
const PICTURES: usize = 1000;
const MANY: usize = 50_000;
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let Some(fashion) = shared::shared("fashion.parquet") else { return Ok(()) };
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench").collect::<Vec<_>>();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["memory"] => runtime.block_on(memory(&fashion, MANY)),
        ["memory", pictures] => runtime.block_on(memory(&fashion, pictures.parse()?)),
        _ => runtime.block_on(rate(&fashion)),
    }
}

/// Pictures per second beside the peers'.
async fn rate(fashion: &Path) -> Result<()> {
    let models = Arc::new(Models::new(Home::from_env()));
    let session = session(&models)?;
    let folder = tempfile::tempdir()?;
    let pictures = folder.path().join("pictures.parquet");
    write(&session, &format!("SELECT image FROM '{}' LIMIT {PICTURES}", fashion.display()), &pictures).await?;
    embed(&session, &pictures, |_| ()).await?;
    let threads = std::thread::available_parallelism()?;
    println!("{MODEL}, {PICTURES} pictures, {threads} threads");
    let version = models.registry().resolve(MODEL)?;
    for _ in 0..ROUNDS {
        let run = embed(&session, &pictures, |_| ()).await?;
        let rate = run.pictures as f64 / run.wall.as_secs_f64();
        println!("debut {rate:.1} pictures/s; {}", run.shares(threads.get()));
        let Some(python) = std::env::var_os("DEBUT_PEERS_PYTHON") else {
            println!("  no peers: DEBUT_PEERS_PYTHON is not set");
            continue;
        };
        for peer in ["pytorch", "fastembed"] {
            let theirs = peer_rate(Path::new(&python), peer, &pictures, &version.path, threads.get())?;
            println!("  {peer} {theirs:.1} pictures/s: debut is {:.2} times as fast", rate / theirs);
        }
    }
    Ok(())
}

/// Resident memory while many pictures pass.
async fn memory(fashion: &Path, pictures: usize) -> Result<()> {
    let models = Arc::new(Models::new(Home::from_env()));
    let session = session(&models)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pictures.parquet");
    // Bytes after the end of a picture are not read, and make it another file.
    let sql = format!(
        "SELECT arrow_cast(encode(image, 'hex') || lpad(to_hex(v.value), 8, '0'), 'Utf8') AS hex FROM '{}' CROSS JOIN \
         generate_series(1, 100) AS v LIMIT {pictures}",
        fashion.display()
    );
    write(&session, &format!("SELECT decode(hex, 'hex') AS image FROM ({sql})"), &file).await?;
    println!("{MODEL}, {pictures} pictures, {:.0} MB in memory before", megabytes("VmRSS:")?);
    let (begun, mut next) = (Instant::now(), pictures / 10);
    let run = embed(&session, &file, |passed| {
        if passed >= next {
            next += pictures / 10;
            let seconds = begun.elapsed().as_secs_f64();
            println!("  {passed:>6} after {seconds:.0} s: {:.0} MB", megabytes("VmRSS:").unwrap_or(f64::NAN));
            let _ = std::io::stdout().flush();
        }
    })
    .await?;
    let seconds = run.wall.as_secs_f64();
    println!(
        "{} in {seconds:.0} s, {:.1} pictures/s; {}",
        run.pictures,
        run.pictures as f64 / seconds,
        run.shares(std::thread::available_parallelism()?.get())
    );
    println!("most memory: {:.0} MB", megabytes("VmHWM:")?);
    Ok(())
}

/// A session without a cache: the model is measured, not what is remembered of it.
fn session(models: &Arc<Models>) -> Result<Session> {
    let options = EngineOptions { cache: Switch::Off, ..EngineOptions::default() };
    Ok(Engine::open(Arc::clone(models), &options)?.session(&Access::everything())?)
}

async fn write(session: &Session, query: &str, to: &Path) -> Result<()> {
    for statement in session.statements(&format!("COPY ({query}) TO '{}'", to.display()))? {
        session.run(statement).await?.collect().await?;
    }
    Ok(())
}

struct Run {
    pictures: usize,
    wall: Duration,
    /// Inside the model's runs.
    session: Duration,
    /// Decoding and preprocessing, summed over threads.
    preprocessing: Duration,
}

impl Run {
    /// The model runs on all cores; decoding beside it is summed over them.
    fn shares(&self, threads: usize) -> String {
        let seconds = self.session.as_secs_f64();
        format!(
            "inference {:.1}% of the time, decoding and preprocessing {:.1}% of its core seconds",
            100.0 * seconds / self.wall.as_secs_f64(),
            100.0 * self.preprocessing.as_secs_f64() / (seconds * threads as f64),
        )
    }
}

/// One query, its rows counted and dropped.
async fn embed(session: &Session, pictures: &Path, mut passed: impl FnMut(usize)) -> Result<Run> {
    let begun = Instant::now();
    let mut run = Err("no statement".into());
    for statement in session.statements(&format!("SELECT embed(image, '{MODEL}') FROM '{}'", pictures.display()))? {
        let frame = session.run(statement).await?;
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let mut stream = execute_stream(Arc::clone(&plan), task)?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
            passed(rows);
        }
        let time = |name| metric(&plan, name).map(|nanos| Duration::from_nanos(nanos as u64));
        run = Ok(Run {
            pictures: rows,
            wall: begun.elapsed(),
            session: time("inference_time")?,
            preprocessing: time("preprocessing_time")?,
        });
    }
    run
}

fn peer_rate(python: &Path, peer: &str, pictures: &Path, model: &Path, threads: usize) -> Result<f64> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers/images.py");
    let output =
        Command::new(python).arg(script).arg(peer).arg(pictures).arg(model).arg(threads.to_string()).output()?;
    let rate = String::from_utf8_lossy(&output.stdout).trim().parse();
    Ok(rate.map_err(|_| format!("{peer}: {}", String::from_utf8_lossy(&output.stderr)))?)
}

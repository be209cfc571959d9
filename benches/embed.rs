//! `embed` through SQL, against the runtime's own matrix-product peak and, where they are installed, against peers.
//!
//! Takes the first 4,000 distinct product descriptions of the shared data, writes them to a Parquet file, and embeds
//! that file through SQL; prints rows and tokens per second, the share of the peak, and where the time goes. Run by
//! `cargo bench --bench embed`. With `DEBUT_PEERS_PYTHON` (a Python that has sentence-transformers and fastembed) and
//! `DEBUT_PEERS_MODEL` (the folder of all-MiniLM-L6-v2 with `onnx/model.onnx`) it runs the peers in between.

#[path = "support/plan.rs"]
mod plan;
#[path = "support/shared.rs"]
mod shared;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::physical_plan::execute_stream;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut::inference::runtime::Runtime;
use debut::onnx::graph::{Dim, GraphBuilder};
use debut::onnx::proto::DataType;
use debut_udfs::config::{Device, Switch};
use futures::StreamExt;
use ort::session::Session as OrtSession;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use plan::metric;
use prost::Message;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const TEXTS: usize = 4000;
const ROUNDS: usize = 3;

/// Products of the weights of MiniLM's six layers with one token: four 384x384, and 384x1536 and back.
const FLOP_PER_TOKEN: f64 = 6.0 * 2.0 * (4.0 * 384.0 * 384.0 + 2.0 * 384.0 * 1536.0);

fn main() -> Result<()> {
    let Some(retail) = shared::shared("online_retail.parquet") else { return Ok(()) };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&retail))
}

async fn run(retail: &Path) -> Result<()> {
    let home = Home::from_env();
    // The model is measured, not what is remembered of it.
    let options = EngineOptions { cache: Switch::Off, ..EngineOptions::default() };
    let engine = Engine::open(Arc::new(Models::new(home.clone())), &options)?;
    let session = engine.session(&Access::everything())?;
    let folder = tempfile::tempdir()?;
    let texts = folder.path().join("texts.parquet");
    write_texts(&session, retail, &texts).await?;
    embed(&session, &texts).await?;

    let runtime = Runtime::load(&home, Device::Auto, true, &debut::fetch::silent)?;
    println!("ONNX Runtime {}, {} threads, {TEXTS} texts", runtime.version(), std::thread::available_parallelism()?);
    let peers = Peers::from_env();
    let mut product = Product::fastest(runtime)?;
    for _ in 0..ROUNDS {
        // A shared machine's speed drifts by the second: the peak is taken on both sides of what is compared with it.
        let before = product.sustained()?;
        let ours = embed(&session, &texts).await?;
        let after = product.sustained()?;
        let peak = (before + after) / 2.0;
        let seconds = ours.wall.as_secs_f64();
        let share_of_peak =
            |rows_per_second: f64| 100.0 * rows_per_second * ours.tokens / TEXTS as f64 * FLOP_PER_TOKEN / peak;
        let rate = TEXTS as f64 / seconds;
        println!(
            "debut {rate:.0} rows/s, {:.0} tokens/s; {:.1}% of the peak of {:.0} and {:.0} GFLOP/s, before and after",
            ours.tokens / seconds,
            share_of_peak(rate),
            before / 1e9,
            after / 1e9,
        );
        let share = |time: Duration| 100.0 * time.as_secs_f64() / seconds;
        println!(
            "  session {:.1}% of the time, the rest (Parquet, batching, Arrow) {:.1}%; tokenizer beside it {:.1}%; padding {:.2}%",
            share(ours.session),
            100.0 - share(ours.session),
            share(ours.tokenizer),
            100.0 * ours.padding,
        );
        if let Some(peers) = &peers {
            for (peer, theirs) in peers.run(&texts)? {
                println!(
                    "  {peer} {theirs:.0} rows/s, {:.1}% of the peak: debut is {:.2} times as fast",
                    share_of_peak(theirs),
                    rate / theirs
                );
            }
        }
    }
    Ok(())
}

/// The distinct descriptions in the order of their first appearance, as the peers' script picks them.
async fn write_texts(session: &Session, retail: &Path, texts: &Path) -> Result<()> {
    let sql = format!(
        "COPY (SELECT t FROM (SELECT trim(description) AS t, min(n) AS n FROM
                 (SELECT description, row_number() OVER () AS n FROM '{}') WHERE length(trim(description)) > 3
               GROUP BY 1) ORDER BY n LIMIT {TEXTS}) TO '{}'",
        retail.display(),
        texts.display()
    );
    for statement in session.statements(&sql)? {
        session.run(statement).await?.collect().await?;
    }
    Ok(())
}

struct Run {
    wall: Duration,
    session: Duration,
    tokenizer: Duration,
    tokens: f64,
    padding: f64,
}

/// One query, its rows read and dropped.
async fn embed(session: &Session, texts: &Path) -> Result<Run> {
    let begun = Instant::now();
    let mut plan = None;
    for statement in session.statements(&format!("SELECT embed(t) FROM '{}'", texts.display()))? {
        let frame = session.run(statement).await?;
        let task = Arc::new(frame.task_ctx());
        let physical = frame.create_physical_plan().await?;
        let mut stream = execute_stream(Arc::clone(&physical), task)?;
        while let Some(batch) = stream.next().await {
            batch?;
        }
        plan = Some(physical);
    }
    let wall = begun.elapsed();
    let plan = plan.ok_or("no statement")?;
    let count = |name| metric(&plan, name);
    let time = |name| count(name).map(|nanos| Duration::from_nanos(nanos as u64));
    let (tokens, padded) = (count("tokens")? as f64, count("padded_tokens")? as f64);
    Ok(Run {
        wall,
        session: time("inference_time")?,
        tokenizer: time("preprocessing_time")?,
        tokens,
        padding: (padded - tokens) / padded,
    })
}

/// One of the model's own matrix products, alone in a session with the same settings.
struct Product {
    session: OrtSession,
    input: Vec<f32>,
    rows: usize,
    inner: usize,
    outer: usize,
}

impl Product {
    /// The shape that reaches most FLOP/s.
    fn fastest(runtime: &Runtime) -> Result<Self> {
        let mut best = None;
        for (inner, outer) in [(384, 384), (384, 1536), (1536, 384)] {
            for rows in [512, 1024, 2048] {
                let mut product = Self::new(runtime, rows, inner, outer)?;
                let rate = product.rate(Duration::from_millis(200))?;
                if best.as_ref().is_none_or(|(fastest, _)| rate > *fastest) {
                    best = Some((rate, product));
                }
            }
        }
        Ok(best.ok_or("no shape")?.1)
    }

    fn new(runtime: &Runtime, rows: usize, inner: usize, outer: usize) -> Result<Self> {
        let mut graph = GraphBuilder::new("product");
        let x = graph.input("x", DataType::Float, &[Dim::Named("rows"), Dim::Fixed(inner)]);
        let weights: Vec<f32> = (0..inner * outer).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
        let w = graph.tensor_f32("w", &[inner, outer], &weights);
        let y = graph.matmul(&x, &w);
        let y = graph.rename(&y, "y");
        graph.output(y.name(), DataType::Float, &[Dim::Named("rows"), Dim::Fixed(outer)]);
        let session = OrtSession::builder(runtime.environment())?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(std::thread::available_parallelism()?.get())?
            .commit_from_memory(&graph.finish().encode_to_vec())?;
        let input = (0..rows * inner).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
        Ok(Self { session, input, rows, inner, outer })
    }

    /// FLOP/s over as long a stretch as one round of `embed` takes.
    fn sustained(&mut self) -> Result<f64> {
        self.rate(Duration::from_secs(3))
    }

    fn rate(&mut self, at_least: Duration) -> Result<f64> {
        let begun = Instant::now();
        let mut runs = 0;
        while begun.elapsed() < at_least {
            let x = TensorRef::from_array_view(([self.rows, self.inner], self.input.as_slice()))?;
            self.session.run(ort::inputs!["x" => x])?;
            runs += 1;
        }
        Ok(2.0 * (runs * self.rows * self.inner * self.outer) as f64 / begun.elapsed().as_secs_f64())
    }
}

/// The peers' script and what it needs.
struct Peers {
    python: PathBuf,
    model: PathBuf,
    script: PathBuf,
}

impl Peers {
    fn from_env() -> Option<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/peers/embed_peers.py");
        match (variable("DEBUT_PEERS_PYTHON"), variable("DEBUT_PEERS_MODEL"), script.exists()) {
            (Some(python), Some(model), true) => Some(Self { python, model, script }),
            _ => {
                println!("no peers: DEBUT_PEERS_PYTHON and DEBUT_PEERS_MODEL are not set");
                None
            }
        }
    }

    /// Each peer with its best of three runs, in rows per second.
    fn run(&self, texts: &Path) -> Result<Vec<(&'static str, f64)>> {
        let threads = std::thread::available_parallelism()?.to_string();
        let mut results = Vec::new();
        for (peer, name) in [("st", "sentence-transformers"), ("fastembed", "fastembed")] {
            let output = Command::new(&self.python)
                .arg(&self.script)
                .args(["--column", "t", "--threads", &threads, "--peer", peer, "--model"])
                .arg(&self.model)
                .arg("--parquet")
                .arg(texts)
                .arg("--onnx")
                .arg(self.model.join("onnx/model.onnx"))
                .output()?;
            let text = String::from_utf8(output.stdout)?;
            let rates = text.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<f64>().ok());
            let best = rates.fold(0.0, f64::max);
            if best == 0.0 {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            results.push((name, best));
        }
        Ok(results)
    }
}

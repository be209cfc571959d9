//! Fine-tuning networks of pictures: a training step beside PyTorch's, and what it is worth on real data.
//!
//! Run by `cargo bench --bench vision [steps|labels]`; without a name both run, one after another.
//! - `steps`: milliseconds a step, ResNet-18 and EfficientNet-Lite0, 16 pictures of 224 x 224, every weight trained; with
//!   `DEBUT_PEERS_PYTHON` (a Python with torch, timm and safetensors), whose script makes the networks and runs the same before
//!   and after
//! - `labels`: `article_type` from the pictures of the shared fashion data, a fifth held out, from SQL alone: a head on the
//!   frozen encoder, and every weight

#[path = "support/query.rs"]
mod query;
#[path = "support/shared.rs"]
mod shared;
#[path = "support/training.rs"]
mod training;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use debut::engine::{Access, Engine, EngineOptions};
use debut::home::Home;
use debut::inference::Models;
use debut::inference::runtime::{Runtime, Target};
use debut::onnx::graph::attribute_int;
use debut::registry::ModelVersion;
use debut::train::encoder::Encoder;
use debut::train::method::{self, Method};
use debut::train::optimizer::Optimizer;
use debut::train::parameter::Parameter;
use debut::train::step::{Feed, Precision, Settings, StepSession, TrainGraph};
use debut_udfs::config::Device;
use query::rows;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use training::{difference, train};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const BATCH: usize = 16;
const EDGE: usize = 224;
const CLASSES: usize = 16;
const STEPS: usize = 8;

fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let runs = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if runs("steps") {
        steps()?;
    }
    if runs("labels") {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(labels())?;
    }
    Ok(())
}

fn python() -> Option<PathBuf> {
    std::env::var_os("DEBUT_PEERS_PYTHON").map(PathBuf::from)
}

/// What the peer's script prints.
fn script(python: &Path, arguments: &[&str]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/vision_steps.py");
    let output = Command::new(python).arg(script).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn steps() -> Result<()> {
    let Some(python) = python() else {
        println!("skipped: DEBUT_PEERS_PYTHON is not set");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let home = home(folder.path())?;
    let threads = std::thread::available_parallelism()?.to_string();
    let (batch, steps) = (BATCH.to_string(), STEPS.to_string());
    for network in ["resnet18", "efficientnet_lite0"] {
        let weights = folder.path().join(network);
        let path = weights.to_str().ok_or("a path that is no text")?;
        script(&python, &["export", network, path])?;
        let models = Models::new(home.clone());
        models.import(network, path, &[], true)?;
        let model = models.registry().resolve_or_install(network, true, &debut::fetch::silent)?;
        let peer = || script(&python, &["time", network, &batch, &steps, &threads]);
        let before = peer()?;
        let (ours, losses) = step_time(&home, &model)?;
        let after = peer()?;
        println!("{network}, {BATCH} pictures of {EDGE} x {EDGE}: {ours:.0} ms a step, losses {losses:?}");
        println!("  PyTorch before and after: {before:?} {after:?}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

/// The median time of a step in milliseconds, and the first losses.
fn step_time(home: &Home, model: &ModelVersion) -> Result<(f64, Vec<f32>)> {
    let runtime = Runtime::load(home, Device::Cpu, false, &debut::fetch::silent)?;
    let folder = model.graph().parent().map(Path::to_path_buf).unwrap_or_default();
    let mut encoder = Encoder::open(debut::onnx::file::read(&model.graph())?, &folder, &model.manifest)?;
    let mut parameters = method::apply(&Method::Full, &mut encoder, 1)?;
    let mut random = StdRng::seed_from_u64(1);
    let first = (0..encoder.dimension * CLASSES).map(|_| random.random_range(-0.03..0.03)).collect();
    let weight = Parameter::new("head/weight", &[encoder.dimension, CLASSES], first);
    let bias = Parameter::new("head/bias", &[CLASSES], vec![0.0; CLASSES]);
    let head = [encoder.declare(weight.clone())?, encoder.declare(bias.clone())?];
    parameters.extend([weight, bias]);

    let embeddings = encoder.embeddings.clone();
    let graph = &mut encoder.graph;
    let logits = graph.node("Gemm", &[&embeddings, &head[0], &head[1]], vec![]);
    let log = graph.node("LogSoftmax", &[&logits], vec![attribute_int("axis", -1)]);
    let own =
        (0..BATCH * CLASSES).map(|at| if at % CLASSES == at / CLASSES % CLASSES { -1.0 / BATCH as f32 } else { 0.0 });
    let own = graph.tensor_f32("own", &[BATCH, CLASSES], &own.collect::<Vec<_>>());
    let chosen = graph.mul(&log, &own);
    let loss = graph.node("ReduceSum", &[&chosen], vec![attribute_int("keepdims", 0)]);

    let settings =
        Settings { optimizer: Optimizer::AdamW { weight_decay: 0.01 }, clip: None, accumulate: false, seed: 1 };
    let graph = TrainGraph::build(encoder, parameters, &loss, &[], settings)?;
    let mut session = StepSession::open(&graph, runtime.environment(), &Target::Cpu, Precision::Full)?;
    let shape = [BATCH, 3, EDGE, EDGE];
    let pixels = (0..shape.iter().product::<usize>()).map(|_| random.random_range(-1.0..1.0)).collect();
    let feeds = [Feed::f32("pixel_values", &shape, pixels)];
    let (mut times, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..STEPS + 2 {
        let begun = Instant::now();
        losses.push(session.step(&feeds, 2e-5, true)?.loss);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    // The first two steps bind the buffers.
    times.drain(..2);
    times.sort_by(f64::total_cmp);
    losses.truncate(4);
    Ok((times[times.len() / 2], losses))
}

/// A home of its own, with the runtimes and the default model of pictures of the other home.
fn home(folder: &Path) -> Result<Home> {
    let shared = Home::from_env();
    let home = Home::at(folder);
    std::fs::create_dir_all(home.models())?;
    std::fs::create_dir_all(shared.runtimes())?;
    std::os::unix::fs::symlink(shared.runtimes(), home.runtimes())?;
    Ok(home)
}

async fn labels() -> Result<()> {
    let Some(fashion) = shared::shared("fashion.parquet") else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let engine = Engine::open(Arc::new(Models::new(home(folder.path())?)), &EngineOptions::default())?;
    let session = engine.session(&Access::everything())?;
    let fashion = fashion.display();
    for label in ["master_category", "sub_category", "article_type"] {
        let common = format!(
            "base => 'efficientnet-lite0', objective => 'classification', publish => 'always', seed => 1,
             examples => (SELECT image, {label} AS label FROM '{fashion}' WHERE product_id % 5 <> 0)"
        );
        train(&session, &format!("model => '{label}-head', method => 'head', {common}")).await?;
        let mut models = vec![format!("{label}-head")];
        if label == "article_type" {
            let how = "method => 'full', epochs => 5, batch_size => 16, learning_rate => 0.0001";
            train(&session, &format!("model => '{label}-full', {how}, {common}")).await?;
            models.push(format!("{label}-full"));
        }
        let columns = models
            .iter()
            .map(|model| format!("(classify(image, '{model}')['label'] = {label})::INT::BIGINT AS \"{model}\""));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let answers = rows(&session, &format!("SELECT {columns} FROM '{fashion}' WHERE product_id % 5 = 0")).await?;
        for (index, model) in models.iter().enumerate() {
            let right = answers.column(index).as_primitive::<Int64Type>().values();
            println!(
                "{model}: accuracy {:.4} of {}",
                right.iter().sum::<i64>() as f64 / right.len() as f64,
                right.len()
            );
        }
        if let [_, _] = models.as_slice() {
            let right = |index: usize| answers.column(index).as_primitive::<Int64Type>().values().iter();
            let pairs = right(0).zip(right(1)).map(|(frozen, trained)| (*frozen as f64, *trained as f64));
            let (gain, low, high) = difference(&pairs.collect::<Vec<_>>());
            println!("trained less frozen {gain:+.4} (95%: {low:+.4} to {high:+.4})");
        }
    }
    Ok(())
}

//! `finetune`: a training step beside PyTorch's, and what training is worth on real data.
//!
//! Run by `cargo bench --bench finetune [steps|labels|purchases]`; without a name all three run, one after another.
//! - `steps`: milliseconds a step, MiniLM, 64 texts of 16 and of 32 tokens, all layers and LoRA; with
//!   `DEBUT_PEERS_PYTHON` (a Python with torch and transformers) and `DEBUT_PEERS_MODEL` (the folder of
//!   all-MiniLM-L6-v2) PyTorch runs the same before and after
//! - `labels`: `article_type` from the titles of the shared fashion data: a head on the frozen encoder, and LoRA
//! - `purchases`: which items held out customers buy next, in the shared retail data: the frozen encoder, and LoRA on
//!   what other customers bought together
//!
//! The last two train and score from SQL alone, in a home of their own, and give paired bootstrap intervals.

#[path = "support/query.rs"]
mod query;
#[path = "support/session.rs"]
mod session;
#[path = "support/shared.rs"]
mod shared;
#[path = "support/training.rs"]
mod training;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Int64Type};
use debut::engine::Session;
use debut::home::Home;
use debut::inference::runtime::{Runtime, Target};
use debut::onnx::graph::{GraphBuilder, Value, attribute_int};
use debut::registry::Registry;
use debut::train::encoder::{Encoder, normalize};
use debut::train::method::{self, Method};
use debut::train::optimizer::Optimizer;
use debut::train::step::{Feed, Precision, Settings, StepSession, TrainGraph};
use debut_udfs::config::Device;
use query::rows;
use shared::shared;
use training::{difference, train};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Pairs in a batch; twice as many texts.
const PAIRS: usize = 32;
const STEPS: usize = 12;

fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let runs = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    if runs("steps") {
        steps()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if runs("labels") {
        runtime.block_on(labels())?;
    }
    if runs("purchases") {
        runtime.block_on(purchases())?;
    }
    Ok(())
}

fn steps() -> Result<()> {
    for tokens in [16, 32] {
        for mode in ["full", "lora"] {
            let before = peer(mode, tokens)?;
            let (ours, losses, trained) = step_time(mode, tokens)?;
            let after = peer(mode, tokens)?;
            println!("{mode}, {} texts of {tokens} tokens, {trained} trained: {ours:.0} ms a step", 2 * PAIRS);
            println!("  losses {losses:?}");
            if let (Some(before), Some(after)) = (before, after) {
                let theirs = (before + after) / 2.0;
                println!("  PyTorch {before:.0} ms before, {after:.0} ms after: {:.2} of its time", ours / theirs);
            }
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

/// The median time of a step in milliseconds, the first losses, and how many numbers are trained.
fn step_time(mode: &str, tokens: usize) -> Result<(f64, Vec<f32>, usize)> {
    let home = Home::from_env();
    let runtime = Runtime::load(&home, Device::Cpu, false, &debut::fetch::silent)?;
    let model = Registry::open(&home).resolve_or_install("all-MiniLM-L6-v2", false, &debut::fetch::silent)?;
    let graph = debut::onnx::file::read(&model.graph())?;
    let folder = model.graph().parent().map(Path::to_path_buf).unwrap_or_default();
    let mut encoder = Encoder::open(graph, &folder, &model.manifest)?;
    let method = match mode {
        "full" => Method::TopLayers { layers: 6 },
        _ => Method::Lora { rank: 8, alpha: 8.0, dropout: 0.0, targets: vec![] },
    };
    let parameters = method::apply(&method, &mut encoder, 1)?;
    let trained = parameters.iter().map(|parameter| parameter.values.len()).sum();
    let embeddings = encoder.embeddings.clone();
    let loss = in_batch(&mut encoder.graph, &embeddings);
    let settings =
        Settings { optimizer: Optimizer::AdamW { weight_decay: 0.0 }, clip: None, accumulate: false, seed: 1 };
    let graph = TrainGraph::build(encoder, parameters, &loss, &[], settings)?;
    let mut session = StepSession::open(&graph, runtime.environment(), &Target::Cpu, Precision::Full)?;
    let shape = [2 * PAIRS, tokens];
    let ids: Vec<i64> = (0..2 * PAIRS * tokens).map(|place| 1000 + (place as i64 * 7919) % 19_000).collect();
    let feeds = [
        Feed::i64("attention_mask", &shape, vec![1; ids.len()]),
        Feed::i64("token_type_ids", &shape, vec![0; ids.len()]),
        Feed::i64("input_ids", &shape, ids),
    ];
    let (mut times, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..STEPS + 2 {
        let begun = Instant::now();
        losses.push(session.step(&feeds, 1e-4, true)?.loss);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    // The first two steps bind the buffers.
    times.drain(..2);
    times.sort_by(f64::total_cmp);
    losses.truncate(4);
    Ok((times[times.len() / 2], losses, trained))
}

/// The loss of the peer's script: the first half of the texts against the second, softmax over cosines times 20.
fn in_batch(graph: &mut GraphBuilder, embeddings: &Value) -> Value {
    let unit = normalize(graph, embeddings);
    let mut half = |from: usize| {
        let (from, to) = (graph.list_i64(&[from as i64]), graph.list_i64(&[(from + PAIRS) as i64]));
        let axis = graph.list_i64(&[0]);
        graph.node("Slice", &[&unit, &from, &to, &axis], vec![])
    };
    let (left, right) = (half(0), half(PAIRS));
    let right = graph.transpose(&right, &[1, 0]);
    let cosines = graph.matmul(&left, &right);
    let scale = graph.scalar_f32(20.0);
    let logits = graph.mul(&cosines, &scale);
    let log = graph.node("LogSoftmax", &[&logits], vec![attribute_int("axis", -1)]);
    let own = (0..PAIRS * PAIRS).map(|place| if place % (PAIRS + 1) == 0 { -1.0 / PAIRS as f32 } else { 0.0 });
    let own = graph.tensor_f32("own", &[PAIRS, PAIRS], &own.collect::<Vec<_>>());
    let chosen = graph.mul(&log, &own);
    graph.node("ReduceSum", &[&chosen], vec![attribute_int("keepdims", 0)])
}

/// PyTorch's milliseconds a step, where it is installed.
fn peer(mode: &str, tokens: usize) -> Result<Option<f64>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/peers/finetune_peers.py");
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(python), Some(model), true) =
        (variable("DEBUT_PEERS_PYTHON"), variable("DEBUT_PEERS_MODEL"), script.exists())
    else {
        return Ok(None);
    };
    let threads = std::thread::available_parallelism()?.to_string();
    let output = Command::new(python)
        .arg(script)
        .args(["--mode", mode, "--threads", &threads, "--tokens", &tokens.to_string(), "--pairs", &PAIRS.to_string()])
        .args(["--steps", &STEPS.to_string(), "--model"])
        .arg(model)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let time = text.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|ms| ms.parse().ok());
    Ok(Some(time.ok_or_else(|| format!("PyTorch: {}", String::from_utf8_lossy(&output.stderr)))?))
}

fn print(what: &str, pairs: &[(f64, f64)]) {
    let mean = |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>() / pairs.len() as f64;
    let (gain, low, high) = difference(pairs);
    println!(
        "{what}, n = {}: frozen {:.4}, trained {:.4}, difference {gain:+.4} (95%: {low:+.4} to {high:+.4})",
        pairs.len(),
        mean(|pair| pair.0),
        mean(|pair| pair.1)
    );
}

async fn labels() -> Result<()> {
    let Some(fashion) = shared("fashion.parquet") else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    let table = format!("CREATE TABLE fashion AS SELECT product_id, title, article_type FROM '{}'", fashion.display());
    rows(&session, &table).await?;
    let common = "objective => 'classification', publish => 'always', max_tokens => 32, seed => 1,
                  examples => (SELECT title AS text, article_type AS label FROM fashion WHERE product_id % 5 <> 0)";
    train(&session, &format!("model => 'frozen', method => 'head', epochs => 10, {common}")).await?;
    train(&session, &format!("model => 'trained', method => 'lora', targets => 'all', epochs => 10, {common}")).await?;
    let sql = "SELECT (classify(title, 'frozen')['label'] = article_type)::INT::BIGINT AS frozen,
                      (classify(title, 'trained')['label'] = article_type)::INT::BIGINT AS trained
               FROM fashion WHERE product_id % 5 = 0 AND title IS NOT NULL";
    let answers = rows(&session, sql).await?;
    let column = |index: usize| answers.column(index).as_primitive::<Int64Type>().values().to_vec();
    let pairs: Vec<_> = column(0).into_iter().zip(column(1)).map(|(a, b)| (a as f64, b as f64)).collect();
    print("article types of titles that were held out, accuracy", &pairs);
    Ok(())
}

async fn purchases() -> Result<()> {
    let Some(retail) = shared("online_retail.parquet") else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    let tables = format!(
        "CREATE TABLE bought AS SELECT customer_id AS user_id, stock_code AS item_id, min(invoice_date) AS timestamp
           FROM '{0}' WHERE customer_id IS NOT NULL AND quantity > 0 AND unit_price > 0 AND left(invoice_no, 1) <> 'C'
             AND regexp_like(stock_code, '^[0-9]{{5}}') GROUP BY 1, 2;
         CREATE TABLE items AS SELECT code AS item_id, first_value(text ORDER BY n DESC, text) AS text FROM
           (SELECT stock_code AS code, trim(description) AS text, count(*) AS n FROM '{0}'
            WHERE length(trim(description)) > 3 GROUP BY 1, 2)
           JOIN (SELECT DISTINCT item_id AS known FROM bought) ON code = known GROUP BY 1",
        retail.display()
    );
    rows(&session, &tables).await?;
    train(
        &session,
        "model => 'trained', objective => 'contrastive', method => 'lora', targets => 'all', max_tokens => 32,
         epochs => 1, max_steps => 800, seed => 1,
         interactions => (SELECT * FROM bought WHERE user_id % 5 <> 0), items => (SELECT * FROM items)",
    )
    .await?;
    let mut recalls = Vec::new();
    for model in ["all-MiniLM-L6-v2", "trained"] {
        recalls.push(recall(&session, model).await?);
    }
    let pairs: Vec<_> = recalls[0].iter().copied().zip(recalls[1].iter().copied()).collect();
    print("what held out customers buy next, recall at 20 of their later half", &pairs);
    Ok(())
}

/// For every held out customer, the share of the later half of what they bought that is among the 20 items nearest to
/// the centred mean of the earlier half.
async fn recall(session: &Session, model: &str) -> Result<Vec<f64>> {
    let items =
        rows(session, &format!("SELECT item_id, embed(text, '{model}') AS v FROM items ORDER BY item_id")).await?;
    let vectors = items.column(1).as_fixed_size_list();
    let width = vectors.value_length() as usize;
    let mut vectors: Vec<f32> = vectors.values().as_primitive::<Float32Type>().values().to_vec();
    let count = items.num_rows();
    let mean: Vec<f32> =
        (0..width).map(|place| vectors.iter().skip(place).step_by(width).sum::<f32>() / count as f32).collect();
    for vector in vectors.chunks_exact_mut(width) {
        vector.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
        vector.iter_mut().for_each(|value| *value /= norm);
    }
    let sql =
        "SELECT user_id, place FROM (SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS place FROM items) i
               JOIN bought USING (item_id) WHERE user_id % 5 = 0 ORDER BY user_id, timestamp, item_id";
    let bought = rows(session, sql).await?;
    let places = arrow::compute::cast(bought.column(1), &arrow::datatypes::DataType::Int64)?;
    let users = bought.column(0).as_primitive::<Int64Type>().values().iter();
    let mut histories: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (user, place) in users.zip(places.as_primitive::<Int64Type>().values()) {
        histories.entry(*user).or_default().push(*place as usize);
    }
    let vector = |place: usize| &vectors[place * width..][..width];
    let mut recalls = Vec::new();
    for history in histories.values().filter(|history| history.len() >= 4) {
        let (earlier, later) = history.split_at(history.len() / 2);
        let known: HashSet<usize> = earlier.iter().copied().collect();
        let mut profile = vec![0.0_f32; width];
        for place in earlier {
            profile.iter_mut().zip(vector(*place)).for_each(|(sum, value)| *sum += value);
        }
        let score = |place: usize| vector(place).iter().zip(&profile).map(|(a, b)| a * b).sum::<f32>();
        let mut ranked: Vec<(f32, usize)> =
            (0..count).filter(|place| !known.contains(place)).map(|place| (score(place), place)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = ranked.iter().take(20).filter(|(_, place)| later.contains(place)).count();
        recalls.push(found as f64 / later.len() as f64);
    }
    Ok(recalls)
}

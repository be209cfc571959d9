//! A student beside its teacher: how near it is on titles that it never saw, and how fast it is through SQL.
//!
//! Takes the distinct product descriptions of the shared data and holds out every fifth; distils the default model from all of the rest,
//! in a home of its own; prints the overlap of the ten nearest neighbours of the held-out titles, among the held-out titles alone
//! and among all, then rows per second of both models in turn, with the tokenizer's share.
//! Run by `cargo bench --bench distill`: a static student; with `-- layers` one of three layers.
//! With `-- rows [ROWS]` a static one embeds a million generated titles (or so many) from Parquet to Parquet, and the memory is printed
//! as they pass.

#[path = "support/memory.rs"]
mod memory;
#[path = "support/plan.rs"]
mod plan;
#[path = "support/query.rs"]
mod query;
#[path = "support/session.rs"]
mod session;
#[path = "support/shared.rs"]
mod shared;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use datafusion::physical_plan::collect;
use debut::engine::Session;
use debut_udfs::config::DEFAULT_MODEL;
use memory::megabytes;
use plan::metric;
use query::rows;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const ROUNDS: usize = 3;
const NEAREST: usize = 10;
/// Texts that the speed is measured over: of the teacher fewer, because it takes its time.
const TEACHER_ROWS: usize = 2000;
const STATIC_ROWS: usize = 100_000;

fn main() -> Result<()> {
    let Some(retail) = shared::shared("online_retail.parquet") else { return Ok(()) };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&retail))
}

async fn run(retail: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    let arguments = std::env::args().collect::<Vec<_>>();
    let (student, count) = match arguments.iter().any(|argument| argument == "layers") {
        true => ("layers", TEACHER_ROWS),
        false => ("static", STATIC_ROWS),
    };
    rows(
        &session,
        &format!(
            "CREATE TABLE titles AS SELECT t, n % 5 = 0 AS held_out FROM (
               SELECT t, row_number() OVER (ORDER BY md5(t)) AS n FROM (
                 SELECT DISTINCT trim(description) AS t FROM '{}' WHERE length(trim(description)) > 3))",
            retail.display()
        ),
    )
    .await?;
    let begun = Instant::now();
    let epochs = rows(
        &session,
        &format!(
            "SELECT epoch, round(train_loss, 4) AS train_loss, round(elapsed, 1) AS elapsed
             FROM finetune(model => 'fast', objective => 'distill', student => '{student}', validation => 0, publish => 'always',
               examples => (SELECT t AS text FROM titles WHERE NOT held_out)) ORDER BY epoch"
        ),
    )
    .await?;
    println!("{}", arrow::util::pretty::pretty_format_batches(&[epochs])?);
    println!("distilled in {:.1} s", begun.elapsed().as_secs_f64());

    if let Some(place) = arguments.iter().position(|argument| argument == "rows") {
        let rows = arguments.get(place + 1).and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
        return million(&session, folder.path(), rows).await;
    }
    let teacher = vectors(&session, DEFAULT_MODEL).await?;
    let student = vectors(&session, "fast").await?;
    let all = (0..teacher.len()).collect::<Vec<_>>();
    let unseen = all.iter().copied().filter(|row| teacher[*row].0).collect::<Vec<_>>();
    println!(
        "{} titles, of which {} were not seen: overlap of their ten nearest {:.4} among these alone, {:.4} among all",
        all.len(),
        unseen.len(),
        overlap(&teacher, &student, &unseen, &unseen),
        overlap(&teacher, &student, &unseen, &all),
    );

    let (few, many) = (folder.path().join("few.parquet"), folder.path().join("many.parquet"));
    generate(&session, TEACHER_ROWS, &few).await?;
    generate(&session, count, &many).await?;
    for _ in 0..ROUNDS {
        let slow = embed(&session, &few, DEFAULT_MODEL).await?;
        let fast = embed(&session, &many, "fast").await?;
        let (slow_rate, fast_rate) =
            (TEACHER_ROWS as f64 / slow.wall.as_secs_f64(), count as f64 / fast.wall.as_secs_f64());
        let share = |time: Duration| 100.0 * time.as_secs_f64() / fast.wall.as_secs_f64();
        println!(
            "teacher {slow_rate:.0} rows/s, student {fast_rate:.0} rows/s: {:.1} times as fast; of the student's time {:.1}% is \
             tokenizing (on its own threads), {:.1}% in the session",
            fast_rate / slow_rate,
            share(fast.tokenizer),
            share(fast.session),
        );
    }
    Ok(())
}

/// A million distinct texts from Parquet to vectors in Parquet.
async fn million(session: &Session, folder: &Path, count: usize) -> Result<()> {
    let (texts, vectors) = (folder.join("texts.parquet"), folder.join("vectors.parquet"));
    generate(session, count, &texts).await?;
    println!("{count} texts, {:.0} MB in memory before", megabytes("VmRSS:")?);
    let watch = std::thread::spawn(|| {
        for _ in 0..6 {
            std::thread::sleep(Duration::from_secs(5));
            println!("  {:.0} MB", megabytes("VmRSS:").unwrap_or(f64::NAN));
        }
    });
    let begun = Instant::now();
    let sql =
        format!("COPY (SELECT n, embed(t, 'fast') AS vector FROM '{}') TO '{}'", texts.display(), vectors.display());
    rows(session, &sql).await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} rows in {seconds:.1} s, {:.0} rows/s; most memory {:.0} MB",
        count as f64 / seconds,
        megabytes("VmHWM:")?
    );
    watch.join().map_err(|_| "the thread that watches the memory has panicked")?;
    Ok(())
}

/// Distinct texts: each title as it is, then with words of others behind it until there are enough.
async fn generate(session: &Session, count: usize, to: &Path) -> Result<()> {
    let sql = format!(
        "COPY (SELECT n, t FROM (
           SELECT CASE WHEN v.value = 0 THEN t ELSE t || ', set of ' || v.value END AS t, row_number() OVER () AS n
           FROM generate_series(0, {}) AS v CROSS JOIN titles) WHERE n <= {count}) TO '{}'",
        count / 4000 + 1,
        to.display()
    );
    rows(session, &sql).await?;
    Ok(())
}

/// Whether each title was held out, and its vector.
async fn vectors(session: &Session, model: &str) -> Result<Vec<(bool, Vec<f32>)>> {
    let titles = rows(session, &format!("SELECT held_out, embed(t, '{model}') FROM titles ORDER BY t")).await?;
    let (held_out, vectors) = (titles.column(0).as_boolean(), titles.column(1).as_fixed_size_list());
    let vector = |row| vectors.value(row).as_primitive::<Float32Type>().values().to_vec();
    Ok((0..titles.num_rows()).map(|row| (held_out.value(row), vector(row))).collect())
}

type Vectors = [(bool, Vec<f32>)];

/// The mean share of the teacher's nearest `candidates` of each query that are the student's too; a query is no candidate of its own.
fn overlap(teacher: &Vectors, student: &Vectors, queries: &[usize], candidates: &[usize]) -> f64 {
    let nearest = |vectors: &Vectors, query: usize| {
        let dot = |row: usize| vectors[query].1.iter().zip(&vectors[row].1).map(|(x, y)| x * y).sum::<f32>();
        let mut others =
            candidates.iter().filter(|row| **row != query).map(|row| (dot(*row), *row)).collect::<Vec<_>>();
        others.sort_by(|a, b| b.0.total_cmp(&a.0));
        others.into_iter().take(NEAREST).map(|(_, row)| row).collect::<Vec<_>>()
    };
    let shares = queries.iter().map(|query| {
        let (wanted, found) = (nearest(teacher, *query), nearest(student, *query));
        found.iter().filter(|row| wanted.contains(row)).count() as f64 / NEAREST as f64
    });
    shares.sum::<f64>() / queries.len() as f64
}

struct Run {
    wall: Duration,
    tokenizer: Duration,
    session: Duration,
}

/// One query, its rows dropped.
async fn embed(session: &Session, texts: &Path, model: &str) -> Result<Run> {
    let sql = format!("SELECT count(v) FROM (SELECT embed(t, '{model}') AS v FROM '{}')", texts.display());
    let begun = Instant::now();
    let statement = session.statements(&sql)?.into_iter().next().ok_or("no statement")?;
    let frame = session.run(statement).await?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    collect(Arc::clone(&plan), task).await?;
    let wall = begun.elapsed();
    let time = |name| metric(&plan, name).map(|nanos| Duration::from_nanos(nanos as u64));
    Ok(Run { wall, tokenizer: time("preprocessing_time")?, session: time("inference_time")? })
}

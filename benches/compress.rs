//! What each step of `compress` costs and gains, and what quantized vectors do: time, bytes, neighbours, and the recall of new items.
//!
//! Takes the shared retail data; fits on the titles of items that were sold before 2011-09-17, in a home of its own. Run by
//! `cargo bench --bench compress`; skipped where the shared data is not there. It prints
//! - the rows of `compress` for each step, and how long the call took
//! - of each version, and of a static student: the recall of the items that came in the twelve weeks after, by a recommender with it as a
//!   frozen base (`method => 'head'`), with its interval
//! - of each form of vectors: bytes in Parquet, the share of the ten nearest that a search finds, and the time of a search

#[path = "support/query.rs"]
mod query;
#[path = "support/retail.rs"]
mod retail;
#[path = "support/session.rs"]
mod session;
#[path = "support/shared.rs"]
mod shared;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, UInt64Type};
use arrow::util::pretty::pretty_format_batches;
use debut::engine::Session;
use debut_udfs::config::DEFAULT_MODEL;
use query::rows;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const DAY: &str = "2011-09-17";

/// Steps of `compress`, by the name of the version that they give.
const STEPS: [(&str, &str); 6] = [
    ("dimensions256", "dimensions => 256"),
    ("dimensions128", "dimensions => 128"),
    ("dimensions64", "dimensions => 64"),
    ("half", "to => 'fp16'"),
    ("int8", "to => 'int8'"),
    ("int8dimensions128", "to => 'int8', dimensions => 128"),
];

const RECOMMENDER: &str = "
SELECT count(*) FROM finetune(model => 'on_$base', objective => 'recommend', base => '$base', method => 'head', publish => 'always',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp FROM lines
                   WHERE invoice_date < TIMESTAMP '$day'),
  items => (SELECT stock_code AS item_id, text, price FROM warm));
SELECT '$base' AS base, method, round(value, 4) AS recall_20, round(ci_low, 4) AS low, round(ci_high, 4) AS high, users, items
FROM evaluate(model => 'on_$base', since => '$day',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp FROM lines),
  items => (SELECT stock_code AS item_id, text, price FROM warm UNION ALL SELECT stock_code, text, price FROM new))
WHERE candidates = 'new' AND week IS NULL AND k = 20 AND metric = 'recall' ORDER BY recall_20 DESC";

/// Titles that are searched for, and how many are wanted of each.
const QUERIES: usize = 200;
const NEAREST: usize = 10;
/// Vectors that the time of a search is measured over.
const MANY: usize = 200_000;
const ROUNDS: usize = 5;

/// A way of searching: its name, the form of the vectors that it reads, and the vectors that it scores the best rows by once more,
/// with how many rows it takes for each that is wanted.
type Way = (&'static str, &'static str, Option<(&'static str, usize)>);

const WAYS: [Way; 6] = [
    ("float", "vector", None),
    ("int8", "int8", None),
    ("binary", "binary", None),
    ("binary, 2 times as many again by int8", "binary", Some(("int8", 2))),
    ("binary, 4 times as many again by int8", "binary", Some(("int8", 4))),
    ("binary, 8 times as many again by float", "binary", Some(("vector", 8))),
];

fn main() -> Result<()> {
    let Some(data) = shared::shared("online_retail.parquet") else { return Ok(()) };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&data))
}

async fn run(data: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    rows(&session, &format!("{};{}", retail::lines(data, "2011-12-10"), retail::weeks(DAY))).await?;
    for (name, steps) in STEPS {
        let sql = format!(
            "SELECT variant, dimension, round(bytes / 1e6, 1) AS megabytes, round(rows_per_second) AS rows_per_second,
               round(overlap, 4) AS overlap, message
             FROM compress(model => '{name}', {steps}, publish => 'always', examples => (SELECT text FROM warm))"
        );
        print(&session, &sql).await?;
    }
    let sql =
        "SELECT max(elapsed) AS seconds FROM finetune(model => 'static', objective => 'distill', publish => 'always',
                 examples => (SELECT text FROM warm))";
    print(&session, sql).await?;
    for base in [DEFAULT_MODEL].into_iter().chain(STEPS.map(|(name, _)| name)).chain(["static"]) {
        print(&session, &RECOMMENDER.replace("$base", base).replace("$day", DAY)).await?;
    }
    vectors(&session, folder.path()).await
}

/// Runs statements, and prints the rows of the last and the time of all.
async fn print(session: &Session, sql: &str) -> Result<()> {
    let begun = Instant::now();
    let rows = rows(session, sql).await?;
    println!("{}\n{:.1} s", pretty_format_batches(&[rows])?, begun.elapsed().as_secs_f64());
    Ok(())
}

/// What the forms of vectors take, find and save.
async fn vectors(session: &Session, folder: &Path) -> Result<()> {
    let titles = "SELECT row_number() OVER (ORDER BY text) AS id, text FROM (SELECT DISTINCT text FROM warm)";
    let many = format!(
        "SELECT row_number() OVER (ORDER BY v.value, text) AS id, text || ', set of ' || v.value AS text
         FROM generate_series(1, {}) AS v CROSS JOIN (SELECT DISTINCT text FROM warm) LIMIT {MANY}",
        MANY / 1000
    );
    let (few, many) = (
        write(session, folder, "few", titles, DEFAULT_MODEL).await?,
        write(session, folder, "many", &many, "static").await?,
    );
    for (form, _, bytes) in &many {
        println!("{MANY} vectors of 384 numbers as {form}: {:.1} MB in Parquet", *bytes as f64 / 1e6);
    }
    let count = rows(session, &format!("SELECT count(*) FROM '{}'", few[0].1)).await?;
    let count = count.column(0).as_primitive::<Int64Type>().value(0) as usize;
    let mut found = vec![(0, Duration::ZERO); WAYS.len()];
    for query in 0..QUERIES {
        // A text is its own nearest in any form.
        let query = 1 + query * count / QUERIES;
        let mut wanted = HashSet::new();
        for (place, way) in WAYS.into_iter().enumerate() {
            let (nearest, _) = search(session, &few, way, query).await?;
            if place == 0 {
                wanted.clone_from(&nearest);
            }
            found[place].0 += nearest.intersection(&wanted).count();
        }
    }
    for round in 0..ROUNDS {
        for (place, way) in WAYS.into_iter().enumerate() {
            found[place].1 += search(session, &many, way, 1 + round * MANY / ROUNDS).await?.1;
        }
    }
    let plain = found[0].1;
    for ((way, _, _), (found, time)) in WAYS.into_iter().zip(found) {
        println!(
            "{way}: {:.3} of the ten nearest of {count}; {:.1} ms among {MANY}, {:.2} times as fast as float",
            found as f64 / (QUERIES * NEAREST) as f64,
            1e3 * time.as_secs_f64() / ROUNDS as f64,
            plain.as_secs_f64() / time.as_secs_f64(),
        );
    }
    Ok(())
}

/// A form of vectors, the path of its file, and the bytes of that.
type Written = (&'static str, String, u64);

/// Writes the vectors of `texts`, and then these in each other form, into files of their own.
async fn write(session: &Session, folder: &Path, name: &str, texts: &str, model: &str) -> Result<Vec<Written>> {
    let mut written: Vec<Written> = Vec::new();
    for form in ["vector", "int8", "binary"] {
        let path = folder.join(format!("{name}_{form}.parquet"));
        let select = match written.first() {
            None => format!("SELECT id, embed(text, '{model}') AS vector FROM ({texts})"),
            Some((_, vectors, _)) => format!("SELECT id, quantize(vector, '{form}') AS vector FROM '{vectors}'"),
        };
        rows(session, &format!("COPY ({select}) TO '{}'", path.display())).await?;
        written.push((form, path.display().to_string(), std::fs::metadata(&path)?.len()));
    }
    Ok(written)
}

/// The ids of the nearest to the vector of the row `query`, and the time of the search.
async fn search(session: &Session, files: &[Written], way: Way, query: usize) -> Result<(HashSet<u64>, Duration)> {
    let path =
        |form: &str| files.iter().find(|(name, _, _)| *name == form).map(|(_, path, _)| path).ok_or("no such form");
    let (_, form, again) = way;
    let vector = format!("(SELECT vector FROM '{}' WHERE id = {query})", path("vector")?);
    let sql = match again {
        None => format!("SELECT id FROM vector_search('{}', {vector}, {NEAREST})", path(form)?),
        Some((again, times)) => format!(
            "SELECT f.id FROM vector_search('{}', {vector}, {}) AS f JOIN '{}' AS v ON v.id = f.id CROSS JOIN {vector} AS q
             ORDER BY cosine_distance(v.vector, q.vector) LIMIT {NEAREST}",
            path(form)?,
            times * NEAREST,
            path(again)?,
        ),
    };
    let begun = Instant::now();
    let nearest = rows(session, &sql).await?;
    Ok((nearest.column(0).as_primitive::<UInt64Type>().values().iter().copied().collect(), begun.elapsed()))
}

//! What reasons cost: a nightly list with `explain => true` beside the same list without, and whether each row adds up.
//!
//! Takes the shared retail data; trains a recommender on what was before 2011-09-17 (`method => 'head'`) in a home of its own; then makes the
//! lists of all users in turn, of new items and of the whole catalogue, and prints seconds, the ratio, and how far the worst score is
//! from the sum of its shares.
//! Run by `cargo bench --bench explain`; skipped where the shared data is not there.

#[path = "support/query.rs"]
mod query;
#[path = "support/retail.rs"]
mod retail;
#[path = "support/session.rs"]
mod session;
#[path = "support/shared.rs"]
mod shared;

use std::path::Path;
use std::time::Instant;

use arrow::util::pretty::pretty_format_batches;
use debut::engine::Session;
use query::rows;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const DAY: &str = "2011-09-17";
const ROUNDS: usize = 3;

const TRAIN: &str = "
SELECT max(version) FROM finetune(model => 'shop', objective => 'recommend', method => 'head', publish => 'always',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp FROM lines
                   WHERE invoice_date < TIMESTAMP '$day'),
  items => (SELECT stock_code AS item_id, text, price FROM warm))";

/// The lists of all users, kept in memory.
const LIST: &str = "
CREATE OR REPLACE TABLE list_$explain AS SELECT * FROM recommend(model => 'shop', k => 20, explain => $explain,
  items => (SELECT stock_code AS item_id, text, price FROM $items))";

/// How far the worst score is from the sum of its shares.
const WORST: &str = "
SELECT count(*) AS rows, max(abs(score - 1 / (1 + exp(-logit)))) AS worst FROM (
  SELECT user_id, item_id, min(score) AS score, sum(CAST(a['attribution'] AS DOUBLE)) AS logit
  FROM (SELECT user_id, item_id, score, unnest(attributions) AS a FROM list_true) GROUP BY user_id, item_id)";

fn main() -> Result<()> {
    let Some(data) = shared::shared("online_retail.parquet") else { return Ok(()) };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&data))
}

async fn run(data: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    rows(&session, &format!("{};{}", retail::lines(data, "2011-12-10"), retail::weeks(DAY))).await?;
    let begun = Instant::now();
    rows(&session, &TRAIN.replace("$day", DAY)).await?;
    println!("trained in {:.0} s", begun.elapsed().as_secs_f64());
    for items in ["new", "warm"] {
        for _ in 0..ROUNDS {
            let without = list(&session, items, false).await?;
            let with = list(&session, items, true).await?;
            println!("{items}: {without:.2} s without reasons, {with:.2} s with: {:.2} times", with / without);
        }
        println!("{}", pretty_format_batches(&[rows(&session, WORST).await?])?);
    }
    Ok(())
}

/// The seconds that a list takes.
async fn list(session: &Session, items: &str, explain: bool) -> Result<f64> {
    let begun = Instant::now();
    rows(session, &LIST.replace("$explain", &explain.to_string()).replace("$items", items)).await?;
    Ok(begun.elapsed().as_secs_f64())
}

//! What reasons cost: a nightly list with `explain => true` beside the same list without, and whether each row adds up. And what ten
//! answers are worth: recall with `liked` and `disliked` beside recall without.
//!
//! Takes the shared retail data; trains a recommender on what was before 2011-09-17 (`method => 'head'`) in a home of its own; then makes the
//! lists of all users in turn, of new items and of the whole catalogue, and prints seconds, the ratio, and how far the worst score is
//! from the sum of its shares. Then asks every user who bought a new item about ten new items, the best of the list or any ten, with
//! what they bought in the twelve weeks for answers, and prints recall@20 of what they bought besides.
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

/// The users who bought new items, what they bought, and ten items for each to be asked about: the best, or any.
const ASKED: &str = "
CREATE OR REPLACE TABLE bought AS SELECT DISTINCT customer_id AS user_id, l.stock_code AS item_id FROM lines l
  JOIN new n ON n.stock_code = l.stock_code JOIN (SELECT DISTINCT user_id FROM list_true) k ON k.user_id = l.customer_id;
CREATE OR REPLACE TABLE asked AS SELECT user_id, item_id FROM (
  SELECT user_id, item_id, row_number() OVER (PARTITION BY user_id ORDER BY $order) AS n
  FROM recommend(model => 'shop', k => 1000, users => (SELECT DISTINCT user_id FROM bought),
    items => (SELECT stock_code AS item_id, text, price FROM new))) WHERE n <= 10;
CREATE OR REPLACE TABLE yes AS SELECT a.user_id, a.item_id FROM asked a JOIN bought b ON b.user_id = a.user_id AND b.item_id = a.item_id;
CREATE OR REPLACE TABLE no AS SELECT * FROM asked EXCEPT SELECT * FROM yes;
CREATE OR REPLACE TABLE rest AS SELECT * FROM bought EXCEPT SELECT * FROM yes";

/// Recall of what they bought besides, in the twenty best of what they were not asked about.
const RECALL: &str = "
WITH list AS (
  SELECT r.user_id, r.item_id, row_number() OVER (PARTITION BY r.user_id ORDER BY rank) AS n
  FROM recommend(model => 'shop', k => 1000, users => (SELECT DISTINCT user_id FROM bought),
    items => (SELECT stock_code AS item_id, text, price FROM new)$answers) r
  LEFT ANTI JOIN asked a ON a.user_id = r.user_id AND a.item_id = r.item_id)
SELECT '$name' AS answers, round(avg(recall), 4) AS recall_20, count(*) AS users FROM (
  SELECT t.user_id, avg(CASE WHEN l.item_id IS NULL THEN 0.0 ELSE 1.0 END) AS recall
  FROM rest t LEFT JOIN (SELECT * FROM list WHERE n <= 20) l ON l.user_id = t.user_id AND l.item_id = t.item_id GROUP BY t.user_id)";

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
    for (title, order) in [("the ten best", "rank"), ("any ten", "md5(user_id || ' ' || item_id)")] {
        rows(&session, &ASKED.replace("$order", order)).await?;
        println!("asked about {title}, of which so many were bought:");
        let share = rows(
            &session,
            "SELECT avg(n) FROM (SELECT count(y.item_id) AS n FROM asked a LEFT JOIN yes y
            ON y.user_id = a.user_id AND y.item_id = a.item_id GROUP BY a.user_id)",
        )
        .await?;
        let mut recalls = vec![share];
        for (name, answers) in [
            ("none", ""),
            ("likes", ", liked => (SELECT * FROM yes)"),
            ("likes and dislikes", ", liked => (SELECT * FROM yes), disliked => (SELECT * FROM no)"),
        ] {
            recalls.push(rows(&session, &RECALL.replace("$name", name).replace("$answers", answers)).await?);
        }
        for table in recalls {
            println!("{}", pretty_format_batches(&[table])?);
        }
    }
    Ok(())
}

/// The seconds that a list takes.
async fn list(session: &Session, items: &str, explain: bool) -> Result<f64> {
    let begun = Instant::now();
    rows(session, &LIST.replace("$explain", &explain.to_string()).replace("$items", items)).await?;
    Ok(begun.elapsed().as_secs_f64())
}

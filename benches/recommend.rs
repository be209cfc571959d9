//! What a recommender is worth, from SQL alone: on the shared retail data by launch date and by held out items, and elsewhere.
//!
//! Run by `cargo bench --bench recommend [weeks|items|seasons|tenth|shop]`; without a name all run, one after the other, for an hour
//! on two cores. Skipped where the shared data is not there.
//! - `weeks`: trained on everything before 2011-09-17, evaluated on the twelve weeks after it: new items alone, and in the
//!   whole catalogue
//! - `items`: trained without two tenths of the items, by families; evaluated on one of them
//! - `seasons`, `tenth`, `shop`: is the blend as good as its best component where nothing was chosen by it? Three earlier
//!   seasons of the same shop, another tenth of its items, and three seasons of the shop in `data/`
//!
//! The test windows are touched by `evaluate` alone, once: weights, boost and calibration are chosen by `finetune` on windows, or
//! items, that it holds out of what it is given. The protocol's figures to compare with are in `benches/README.md`.

#[path = "support/retail.rs"]
mod retail;
#[path = "support/session.rs"]
mod session;
#[path = "support/shared.rs"]
mod shared;

use std::path::Path;
use std::time::Instant;

use arrow::util::pretty::pretty_format_batches;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Trained on what was before `$day`, evaluated on what came after it.
const WEEKS: &str = "
SELECT epoch, step, train_loss, metric, elapsed, version, message FROM finetune(model => 'weeks', objective => 'recommend',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp, quantity FROM lines
                   WHERE invoice_date < TIMESTAMP '$day'),
  items => (SELECT stock_code AS item_id, text, price FROM warm));
CREATE TABLE result AS SELECT * FROM evaluate(model => 'weeks', components => true, since => '$day',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp, quantity FROM lines),
  items => (SELECT stock_code AS item_id, text, price FROM warm UNION ALL SELECT stock_code, text, price FROM new))";

/// Held out items: `$weights` are the powers of 16 modulo 1000, by which a hexadecimal hash is taken modulo 1000. One tenth of the
/// hashes, `$tenth` counted from 0, is evaluated on; it and the tenth 0 are not trained on.
const ITEMS: &str = "
CREATE TABLE families AS
SELECT family, sum((strpos('0123456789abcdef', substr(hash, CAST(place AS INT), 1)) - 1) * weight) % 1000 AS h
FROM (SELECT DISTINCT substr(stock_code, 1, 5) AS family, md5('0:' || substr(stock_code, 1, 5)) AS hash
      FROM lines WHERE customer_id IS NOT NULL) CROSS JOIN (VALUES $weights) AS d(place, weight) GROUP BY family;
CREATE TABLE items AS
WITH said AS (
  SELECT stock_code, description, count(*) AS n FROM lines WHERE description IS NOT NULL GROUP BY stock_code, description),
cost AS (SELECT stock_code, median(unit_price) AS price FROM lines GROUP BY stock_code HAVING count(customer_id) > 0)
SELECT s.stock_code, first_value(description ORDER BY n DESC, description) AS text, first_value(price) AS price, first_value(h) AS h
FROM said s JOIN cost c ON c.stock_code = s.stock_code JOIN families f ON f.family = substr(s.stock_code, 1, 5)
GROUP BY s.stock_code;
SELECT epoch, step, train_loss, metric, elapsed, version, message FROM finetune(model => 'items', objective => 'recommend',
  split => 'random',
  interactions => (SELECT customer_id AS user_id, l.stock_code AS item_id, invoice_date AS timestamp
                   FROM lines l JOIN items i ON i.stock_code = l.stock_code WHERE h / 100 NOT IN (0, $tenth)),
  items => (SELECT stock_code AS item_id, text, price FROM items WHERE h / 100 NOT IN (0, $tenth)));
CREATE TABLE result AS SELECT * FROM evaluate(model => 'items', components => true, since => '2010-01-01',
  interactions => (SELECT customer_id AS user_id, stock_code AS item_id, invoice_date AS timestamp FROM lines),
  items => (SELECT stock_code AS item_id, text, price FROM items WHERE h / 100 = $tenth))";

/// The shop in `data/`: what nobody bought before `$day`.
const SHOP: &str = "
CREATE TABLE bought AS SELECT customer_id AS user_id, product_id AS item_id, timestamp FROM '$shop/interactions.parquet'
WHERE event = 'purchase';
CREATE TABLE goods AS SELECT product_id AS item_id, title AS text, price, launched_at FROM '$shop/products.parquet';
SELECT epoch, step, train_loss, metric, elapsed, version, message FROM finetune(model => 'shop', objective => 'recommend',
  interactions => (SELECT * FROM bought WHERE timestamp < '$day'), items => (SELECT * FROM goods WHERE launched_at < '$day'));
CREATE TABLE result AS SELECT * FROM evaluate(model => 'shop', components => true, since => '$day',
  interactions => (SELECT * FROM bought), items => (SELECT * FROM goods));
$report;
DROP TABLE result";

/// The same, of what was bought later, by the protocol's letter.
const SOLD: &str = "
CREATE TABLE result AS SELECT * FROM evaluate(model => 'shop', components => true, since => '$day',
  interactions => (SELECT * FROM bought), items => (SELECT * FROM goods WHERE item_id IN (SELECT item_id FROM bought)))";

/// The new items alone: every method.
const NEW: &str = "
SELECT method, round(max(value) FILTER (WHERE metric = 'recall'), 4) AS recall_20,
       round(max(ci_low) FILTER (WHERE metric = 'recall'), 4) AS low,
       round(max(ci_high) FILTER (WHERE metric = 'recall'), 4) AS high,
       round(max(value) FILTER (WHERE metric = 'ndcg'), 4) AS ndcg_20, max(users) AS users, max(items) AS items
FROM result WHERE candidates = 'new' AND week IS NULL AND k = 20 GROUP BY method ORDER BY recall_20 DESC";

/// All items together: by boost.
const ALL: &str = "
SELECT method, boost, round(max(value) FILTER (WHERE metric = 'recall' AND segment = 'all'), 4) AS recall_20,
       round(max(value) FILTER (WHERE metric = 'recall' AND segment = 'new'), 4) AS of_new,
       round(max(value) FILTER (WHERE metric = 'recall' AND segment = 'warm'), 4) AS of_warm,
       round(max(value) FILTER (WHERE metric = 'new_share'), 4) AS new_share
FROM result WHERE candidates = 'all' AND k = 20 GROUP BY method, boost ORDER BY method, boost";

/// Probabilities, and users for items.
const CHANCES: &str = "
SELECT method, metric, round(value, 5) AS value, users, items FROM result
WHERE metric IN ('log_loss', 'brier', 'calibration_error', 'audience_auc') ORDER BY metric, method";

/// Forecasts of the launches' first weeks, where they were held out by time.
const FORECASTS: &str = "
SELECT method, metric, week AS weeks, round(value, 3) AS value, round(ci_low, 3) AS low, round(ci_high, 3) AS high, items FROM result
WHERE metric LIKE 'forecast_%' OR metric LIKE 'revenue_%' OR metric = 'launch_buyers' ORDER BY metric, method";

fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let Some(data) = shared::shared("online_retail.parquet") else { return Ok(()) };
    let lines = |end: &str| retail::lines(&data, end);
    let weeks = |day: &str, end: &str| format!("{};{};{}", lines(end), retail::weeks(day), WEEKS.replace("$day", day));
    // The first tenth of the items is for choosing by, and is never trained on.
    let items = |tenth: u32| {
        let weights = (1..=32).map(|place| format!("({place}, {})", power(32 - place))).collect::<Vec<_>>().join(", ");
        let script = ITEMS.replace("$tenth", &tenth.to_string()).replace("$weights", &weights);
        format!("{};{script}", lines("2011-12-10"))
    };
    let shop = |day: &str| {
        let script = SHOP
            .replace("$shop", &shop.display().to_string())
            .replace("$report", &format!("{NEW};{CHANCES};{FORECASTS}"));
        format!("{script};{SOLD}").replace("$day", day)
    };
    let parts = [
        ("weeks", "the shared shop, 12 weeks from 2011-09-17", weeks("2011-09-17", "2011-12-10")),
        ("items", "the shared shop, the second tenth of its items", items(1)),
        ("seasons", "the shared shop, 12 weeks from 2011-04-02", weeks("2011-04-02", "2011-06-25")),
        ("seasons", "the shared shop, 12 weeks from 2011-05-28", weeks("2011-05-28", "2011-08-20")),
        ("seasons", "the shared shop, 12 weeks from 2011-06-25", weeks("2011-06-25", "2011-09-17")),
        ("tenth", "the shared shop, the third tenth of its items", items(2)),
        ("shop", "the shop in data/ from 2025-07-16", shop("2025-07-16")),
        ("shop", "the shop in data/ from 2025-08-20", shop("2025-08-20")),
        ("shop", "the shop in data/ from 2025-10-08", shop("2025-10-08")),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (name, title, script) in parts {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            println!("== {name}: {title}");
            runtime.block_on(run(&script))?;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}

/// 16 to the power of `exponent`, modulo 1000: what a hexadecimal digit of a hash counts.
fn power(exponent: u32) -> u32 {
    (0..exponent).fold(1, |power, _| power * 16 % 1000)
}

/// Trains and evaluates in a home of its own.
async fn run(script: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    for sql in [script, NEW, ALL, CHANCES, FORECASTS] {
        for statement in session.statements(sql)? {
            let begun = Instant::now();
            let rows = session.run(statement).await?.collect().await?;
            if rows.iter().any(|rows| rows.num_columns() > 1) {
                println!("{}\n{:.1} s", pretty_format_batches(&rows)?, begun.elapsed().as_secs_f64());
            }
        }
    }
    Ok(())
}

//! Forecasts of launches from SQL: what the intervals hold on launches that came later, and what goes with a forecast.

use super::support::sql::{number, rows};
use super::{fails, shop};

/// Two items a week, 160 in all, whose buyers are of a tenth to most of 60 customers, by their numbers; each buyer takes two units.
const GOODS: &str = "SELECT value AS item_id,
    CASE value % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'steel' ELSE 'paper' END || ' ' ||
    CASE value % 7 WHEN 0 THEN 'mug' WHEN 1 THEN 'spade' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag'
                   WHEN 4 THEN 'box' WHEN 5 THEN 'clock' ELSE 'card' END || ' number ' || value AS text,
    CASE WHEN value % 10 = 0 THEN NULL ELSE 1.0 + value % 11 END AS price,
    to_timestamp_seconds(1704067200 + value * 3 * 86400) AS launched_at FROM generate_series(1, 160)";
const SALES: &str = "SELECT u.value AS user_id, p.item_id, 2 AS quantity,
    p.launched_at + CAST(((u.value * 13 + p.item_id * 7) % 25) || ' days' AS INTERVAL) AS timestamp
    FROM generate_series(1, 60) u CROSS JOIN goods p
    WHERE (u.value * 31 + p.item_id * 17) % 10 < 1 + (p.item_id * 7) % 8 AND (u.value % 3 = p.item_id % 3 OR u.value % 5 = 0)";
const TRAIN: &str =
    "SELECT * FROM finetune(model => 'forecaster', base => 'small', objective => 'recommend', epochs => 1,
    factors => 8, neighbours => 10, window => 80, publish => 'always',
    interactions => (SELECT * FROM sales WHERE timestamp < '2024-12-01'),
    items => (SELECT * FROM goods WHERE launched_at < '2024-12-01'))";
const LATER: &str = "items => (SELECT item_id, text, price FROM goods WHERE launched_at >= '2024-12-01')";

#[tokio::test(flavor = "multi_thread")]
async fn launches_are_forecast_and_forecasts_measured() {
    let (_home, session) = shop().await;
    rows(&session, &format!("CREATE TABLE goods AS {GOODS}; CREATE TABLE sales AS {SALES}; {TRAIN}")).await;
    rows(&session, &format!("CREATE TABLE forecast AS SELECT * FROM forecast_launch(model => 'forecaster', {LATER})"))
        .await;
    let launches = number(&session, "SELECT count(*) FROM goods WHERE launched_at >= '2024-12-01'").await;
    assert_eq!(number(&session, "SELECT count(*) FROM forecast WHERE weeks = 4").await, launches);
    let disorder =
        "SELECT count(*) FROM forecast WHERE NOT (0 <= buyers_low AND buyers_low <= buyers AND buyers <= buyers_high)
        OR NOT (revenue_low <= revenue AND revenue <= revenue_high)";
    assert_eq!(number(&session, disorder).await, 0.0);
    let priced =
        "SELECT count(*) FROM forecast f JOIN goods g USING (item_id) WHERE (f.revenue IS NULL) <> (g.price IS NULL)";
    assert_eq!(number(&session, priced).await, 0.0);
    // Two units a buyer, each at the item's price.
    let units = "SELECT avg(f.revenue / f.buyers / g.price) FROM forecast f JOIN goods g USING (item_id)";
    let units = number(&session, units).await;
    assert!((1.6..2.6).contains(&units), "{units} units a buyer");
    // What is taken adds up: the items that lose are similar ones, the most similar ten of them.
    let told = "SELECT count(*) FROM (SELECT item_id, taken, unnest(taken_from) AS t FROM forecast) f
        LEFT JOIN goods g ON g.item_id = f.t['item_id'] WHERE g.launched_at >= '2024-12-01' OR g.item_id IS NULL
        OR abs(f.t['buyers']) > abs(f.taken) + 1e-9";
    assert_eq!(number(&session, told).await, 0.0);
    let within = "SELECT count(*) FROM forecast WHERE NOT (taken_low <= taken AND taken <= taken_high)
        OR (taken IS NULL) <> (cardinality(taken_from) = 0 OR taken_from IS NULL)";
    assert_eq!(number(&session, within).await, 0.0);

    // The plain way: the coverage that `evaluate` reports is counted from the rows of a forecast.
    rows(
        &session,
        "CREATE TABLE result AS SELECT * FROM evaluate(model => 'forecaster', weeks => 2, since => '2024-12-01', boosts => '1',
           interactions => (SELECT * FROM sales), items => (SELECT item_id, text, price FROM goods));
         CREATE TABLE two AS SELECT * FROM forecast_launch(model => 'forecaster', weeks => 2,
           items => (SELECT item_id, text, price FROM goods));
         CREATE TABLE happened AS SELECT s.item_id, count(DISTINCT s.user_id) FILTER (WHERE s.timestamp < first + INTERVAL '14 days') AS buyers,
           sum(s.quantity) FILTER (WHERE s.timestamp < first + INTERVAL '14 days') AS units
           FROM sales s JOIN (SELECT item_id, min(timestamp) AS first FROM sales GROUP BY item_id) f ON f.item_id = s.item_id
           WHERE first >= '2024-12-01' AND first + INTERVAL '14 days' <= (SELECT max(timestamp) + INTERVAL '1 microsecond' FROM sales)
           GROUP BY s.item_id",
    )
    .await;
    let measured = |method: &str, metric: &str| {
        format!(
            "SELECT value FROM result WHERE method = '{method}' AND metric = '{metric}' AND week = 2 AND candidates = 'new'"
        )
    };
    let joined = "FROM two t JOIN happened h USING (item_id) JOIN goods g USING (item_id)";
    for (method, metric, plain) in [
        (
            "forecaster@1",
            "forecast_coverage",
            "avg(CASE WHEN h.buyers BETWEEN buyers_low AND buyers_high THEN 1.0 ELSE 0.0 END)",
        ),
        ("forecaster@1", "forecast_error", "avg(abs(t.buyers - h.buyers))"),
        ("forecaster@1", "launch_buyers", "avg(h.buyers)"),
        ("similar_items", "forecast_error", "avg(abs(t.similar_buyers - h.buyers))"),
        (
            "forecaster@1",
            "revenue_coverage",
            "avg(CASE WHEN h.units * g.price BETWEEN revenue_low AND revenue_high THEN 1.0 ELSE 0.0 END) FILTER (WHERE g.price IS NOT NULL)",
        ),
        ("forecaster@1", "revenue_error", "avg(abs(t.revenue - h.units * g.price))"),
    ] {
        let (reported, plain) = (
            number(&session, &measured(method, metric)).await,
            number(&session, &format!("SELECT {plain} {joined}")).await,
        );
        assert!((reported - plain).abs() < 1e-3 * (1.0 + plain), "{metric} of {method}: {reported}, by hand {plain}");
    }
    // An item that was sold before the time that is evaluated is no launch, and neither is one that only new customers bought.
    let more = "SELECT count(*) FROM evaluate(model => 'forecaster', weeks => 2, since => '2024-12-01', boosts => '1', resamples => 0,
        interactions => (SELECT * FROM sales UNION ALL SELECT 7, 901, 2, TIMESTAMP '2024-11-20' UNION ALL SELECT 7, 901, 2, TIMESTAMP '2024-12-05'
          UNION ALL SELECT 99999, 902, 2, TIMESTAMP '2024-12-05'),
        items => (SELECT item_id, text, price FROM goods UNION ALL SELECT 901, 'steel sieve', 3.0 UNION ALL SELECT 902, 'red sieve', 3.0))
        WHERE metric = 'launch_buyers' AND items = (SELECT max(items) FROM result WHERE metric = 'launch_buyers')";
    assert_eq!(number(&session, more).await, 1.0);
    let covered = number(&session, &measured("forecaster@1", "forecast_coverage")).await;
    assert!(covered >= 0.8, "{covered}");
    let interval = "SELECT count(*) FROM result WHERE metric = 'forecast_coverage' AND ci_low <= value AND value <= ci_high AND items > 10";
    assert_eq!(number(&session, interval).await, 1.0);

    // Nothing to forecast, ids as text of a view, an item without a text.
    let none = "SELECT count(*) FROM forecast_launch(model => 'forecaster', items => (SELECT item_id, text FROM goods WHERE false))";
    assert_eq!(number(&session, none).await, 0.0);
    let odd = "SELECT count(*) FROM forecast_launch(model => 'forecaster', items => (SELECT 1 AS item_id, arrow_cast('mug', 'Utf8View') AS text
        UNION ALL SELECT 2, NULL UNION ALL SELECT 3, ' ')) WHERE revenue IS NULL";
    assert_eq!(number(&session, odd).await, 1.0);

    let call = |options: &str| format!("SELECT * FROM forecast_launch(model => 'forecaster'{options})");
    fails(&session, &call(""), "forecast_launch needs items => (SELECT ...)").await;
    fails(&session, &call(&format!(", {LATER}, weeks => 27")), "weeks").await;
    // A model that has seen no launch for so long.
    let short = TRAIN.replace("'forecaster'", "'short'").replace("2024-12-01", "2024-07-01");
    rows(&session, &short).await;
    let weeks = call(&format!(", {LATER}, weeks => 26")).replace("forecaster", "short");
    fails(&session, &weeks, "'short@1' cannot forecast 26 weeks: of ").await;
    // A model whose windows are not of time has seen no launches.
    let by_items = TRAIN.replace("'forecaster'", "'by_items'").replace("window => 80", "split => 'random'");
    rows(&session, &by_items).await;
    let call = call(&format!(", {LATER}")).replace("forecaster", "by_items");
    fails(&session, &call, "its training held out no past launches by time").await;
}

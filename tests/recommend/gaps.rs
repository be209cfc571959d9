//! Gaps of the catalogue from SQL: words that the same customers buy and no product has both of.

use super::support::sql::{number, rows};
use super::{fails, shop};

/// Ten motifs and ten kinds; there is no fox clock, and the customers who want a fox want clocks.
const GOODS: &str = "SELECT m.value * 10 + k.value AS item_id,
    CASE m.value WHEN 0 THEN 'fox' WHEN 1 THEN 'owl' WHEN 2 THEN 'bee' WHEN 3 THEN 'cat' WHEN 4 THEN 'dog'
                 WHEN 5 THEN 'hen' WHEN 6 THEN 'elk' WHEN 7 THEN 'ant' WHEN 8 THEN 'yak' ELSE 'emu' END || ' ' ||
    CASE k.value WHEN 0 THEN 'clock' WHEN 1 THEN 'mug' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag' WHEN 4 THEN 'box'
                 WHEN 5 THEN 'pen' WHEN 6 THEN 'hat' WHEN 7 THEN 'rug' WHEN 8 THEN 'fan' ELSE 'toy' END AS text,
    to_timestamp_seconds(1704067200 + (m.value * 10 + k.value) * 2 * 86400) AS launched_at
    FROM generate_series(0, 9) m CROSS JOIN generate_series(0, 9) k WHERE m.value + k.value > 0";
const SALES: &str = "SELECT u.value AS user_id, g.item_id,
    g.launched_at + CAST(((u.value * 13 + g.item_id * 7) % 25) || ' days' AS INTERVAL) AS timestamp
    FROM generate_series(1, 240) u CROSS JOIN goods g
    WHERE (u.value * 31 + g.item_id * 17) % 61 = 0
       OR u.value % 6 = 0 AND (g.text LIKE 'fox %' OR g.text LIKE '% clock') AND (u.value * 7 + g.item_id * 5) % 9 < 2";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_and_not_there_is_found() {
    let (_home, session) = shop().await;
    rows(
        &session,
        &format!(
            "CREATE TABLE goods AS {GOODS}; CREATE TABLE sales AS {SALES};
             SELECT * FROM finetune(model => 'gappy', base => 'small', objective => 'recommend', epochs => 1, factors => 8,
               neighbours => 10, window => 60, publish => 'always', interactions => (SELECT * FROM sales), items => (SELECT * FROM goods));
             CREATE TABLE gap AS SELECT * FROM gaps(model => 'gappy', k => 50)"
        ),
    )
    .await;
    assert!(number(&session, "SELECT count(*) FROM gap").await >= 1.0);
    let found = "SELECT count(*) FROM gap WHERE array_has_all(words, make_array('fox', 'clock'))";
    assert_eq!(number(&session, found).await, 1.0);
    // The plain way: who has items of both words, and what the model expects of the two words as a text.
    let users = "SELECT max(abs(g.users - n)) FROM gap g JOIN (
        SELECT rank, count(*) AS n FROM (
          SELECT DISTINCT rank, a.user_id FROM gap, sales a JOIN goods x ON x.item_id = a.item_id, sales b JOIN goods y ON y.item_id = b.item_id
          WHERE a.user_id = b.user_id AND array_has(string_to_array(x.text, ' '), words[1])
            AND array_has(string_to_array(y.text, ' '), words[2])) GROUP BY rank) p ON p.rank = g.rank";
    assert_eq!(number(&session, users).await, 0.0);
    let buyers = "SELECT max(abs(g.buyers - t.buyers)) FROM gap g JOIN title_effect(model => 'gappy', k => 0,
        items => (SELECT rank AS item_id, array_to_string(words, ' ') AS text FROM gap)) t ON t.item_id = g.rank AND t.change = 'none'";
    assert!(number(&session, buyers).await < 1e-6);
    let wrong = "SELECT count(*) FROM gap g WHERE users <= users_by_chance OR cardinality(words) <> 2 OR similarity > 1
        OR EXISTS (SELECT 1 FROM goods x WHERE array_has_all(string_to_array(x.text, ' '), g.words))";
    assert_eq!(number(&session, wrong).await, 0.0);
    let nearest =
        "SELECT count(*) FROM gap g JOIN goods x ON x.item_id = g.nearest_item_id AND x.text = g.nearest_text";
    assert_eq!(number(&session, nearest).await, number(&session, "SELECT count(*) FROM gap").await);
    let disorder = "SELECT count(*) FROM gap a JOIN gap b ON b.rank = a.rank + 1 WHERE b.buyers > a.buyers";
    assert_eq!(number(&session, disorder).await, 0.0);
    let repeated = "SELECT count(*) - count(DISTINCT word) FROM (SELECT unnest(words) AS word FROM gap)";
    assert_eq!(number(&session, repeated).await, 0.0);
    let bought = "SELECT count(*) FROM (SELECT rank, words, unnest(purchases) AS p FROM gap) g LEFT JOIN goods x ON x.item_id = p['item_id']
        AND array_has_any(string_to_array(x.text, ' '), words) WHERE x.item_id IS NULL OR p['users'] < 1";
    assert_eq!(number(&session, bought).await, 0.0);

    // What is in the catalogue is no gap, though nobody has bought it.
    rows(
        &session,
        "SELECT * FROM finetune(model => 'fuller', base => 'small', objective => 'recommend', epochs => 1, factors => 8,
           neighbours => 10, window => 60, publish => 'always', interactions => (SELECT * FROM sales),
           items => (SELECT * FROM goods UNION ALL SELECT 900, 'clock, fox', TIMESTAMP '2024-07-01'))",
    )
    .await;
    let found = found.replace("FROM gap ", "FROM gaps(model => 'fuller', k => 50) ");
    assert_eq!(number(&session, &found).await, 0.0);

    assert!(number(&session, "SELECT count(*) FROM gaps(model => 'gappy', k => 1)").await <= 1.0);
    fails(&session, "SELECT * FROM gaps(model => 'gappy', k => 0)", "k").await;
    fails(&session, "SELECT * FROM gaps(model => 'small')", "recommender").await;
    fails(&session, "SELECT * FROM gaps(model => 'gappy', items => (SELECT 1))", "there is no option 'items'").await;
}

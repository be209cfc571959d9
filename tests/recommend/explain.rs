//! Why an item is recommended, from SQL: what is told adds up to the score, and each word is what `score` loses without it.

use super::support::sql::{number, rows, try_rows};
use super::{TRAIN, fails, shop};

const LAUNCHES: &str = "items => (SELECT item_id, text, price FROM launches)";

#[tokio::test(flavor = "multi_thread")]
async fn reasons_add_up_to_the_score() {
    let (_home, session) = shop().await;
    rows(&session, TRAIN).await;
    // Launches, one of them without a text, and items that were sold before.
    rows(
        &session,
        "CREATE TABLE launches AS SELECT item_id, CASE WHEN item_id = 110 THEN NULL ELSE text END AS text, price
         FROM products WHERE launched_at >= '2025-08-01' OR item_id < 20;
         CREATE TABLE people AS SELECT user_id FROM bought UNION SELECT 999999",
    )
    .await;

    // A nightly list with its reasons: each row adds up, whoever it is for.
    let list =
        format!("recommend(model => 'shop', k => 6, users => (SELECT user_id FROM people), {LAUNCHES}, explain => ");
    rows(&session, &format!("CREATE TABLE list AS SELECT * FROM {list} true)")).await;
    rows(
        &session,
        "CREATE TABLE parts AS SELECT user_id, item_id, score, is_new, a['feature'] AS feature, a['attribution'] AS attribution
         FROM (SELECT user_id, item_id, score, is_new, unnest(attributions) AS a FROM list);
         CREATE TABLE reasons AS SELECT user_id, item_id, a['item_id'] AS own, a['attribution'] AS attribution
         FROM (SELECT user_id, item_id, unnest(purchases) AS a FROM list)",
    )
    .await;
    assert_eq!(number(&session, "SELECT count(*) FROM list").await, 61.0 * 6.0);
    let worst = "SELECT max(abs(score - 1 / (1 + exp(-logit)))) FROM (SELECT user_id, item_id, min(score) AS score,
        sum(CAST(attribution AS DOUBLE)) AS logit FROM parts GROUP BY user_id, item_id)";
    assert!(number(&session, worst).await < 1e-6);
    // The same list without its reasons is the same list.
    let other = format!(
        "SELECT count(*) FROM (SELECT user_id, item_id, rank, score, probability, is_new, propensity FROM list
         EXCEPT SELECT * FROM {list} false))"
    );
    assert_eq!(number(&session, &other).await, 0.0);
    let boosted = "SELECT count(DISTINCT is_new) FROM parts WHERE feature = 'new_boost'";
    assert!(number(&session, boosted).await <= 1.0);
    assert_eq!(number(&session, "SELECT count(*) FROM parts WHERE feature = 'new_boost' AND NOT is_new").await, 0.0);
    // What speaks for an item was bought by the user before; most of it is of the item's kind. A stranger bought nothing.
    let bought = "SELECT count(*) FROM reasons r LEFT JOIN bought b ON b.user_id = r.user_id AND b.item_id = r.own
        WHERE b.item_id IS NULL OR b.timestamp >= '2025-08-01'";
    assert_eq!(number(&session, bought).await, 0.0);
    assert!(
        number(&session, "SELECT avg(CASE WHEN own % 3 = item_id % 3 THEN 1.0 ELSE 0.0 END) FROM reasons").await > 0.8
    );
    assert_eq!(number(&session, "SELECT count(DISTINCT user_id) FROM reasons").await, 60.0);
    assert!(
        number(&session, "SELECT max(n) FROM (SELECT count(*) AS n FROM reasons GROUP BY user_id, item_id)").await
            <= 5.0
    );
    assert_eq!(number(&session, "SELECT count(*) FROM reasons WHERE attribution <= 0").await, 0.0);

    // One pair in full says the same, and what is bought and which words count.
    let pairs = format!(
        "explain_recommendation(model => 'shop', k => 3, {LAUNCHES}, users => (SELECT user_id FROM people WHERE user_id IN (7, 999999)))"
    );
    rows(&session, &format!("CREATE TABLE whole AS SELECT * FROM {pairs}")).await;
    let same = "SELECT count(*) FROM parts p LEFT JOIN whole w ON w.kind = 'component' AND w.user_id = p.user_id
        AND w.item_id = p.item_id AND w.feature = p.feature AND abs(w.attribution - p.attribution) < 1e-6
        AND abs(w.score - p.score) < 1e-6 AND w.description IS NOT NULL WHERE p.user_id IN (7, 999999) AND w.item_id IS NULL";
    assert_eq!(number(&session, same).await, 0.0);
    assert!(number(&session, "SELECT max(n) FROM (SELECT count(*) AS n FROM whole WHERE kind <> 'component' GROUP BY user_id, item_id, kind)").await == 3.0);
    let named = "SELECT count(*) FROM whole w LEFT JOIN products p ON CAST(p.item_id AS VARCHAR) = w.feature AND p.text = w.description
        WHERE w.kind = 'purchase' AND p.item_id IS NULL";
    assert_eq!(number(&session, named).await, 0.0);
    assert_eq!(number(&session, "SELECT count(*) FROM whole WHERE kind = 'purchase' AND user_id <> 7").await, 0.0);
    // An item with a history is not judged by its words, and one without a text has none.
    assert_eq!(
        number(&session, "SELECT count(*) FROM whole WHERE kind = 'word' AND (item_id < 20 OR item_id = 110)").await,
        0.0
    );

    // The plain way: a word is worth what `score` loses without it.
    let plain = "SELECT max(abs(attribution - (ln(s / (1 - s)) - ln(w / (1 - w))))) FROM (
        SELECT attribution, score(7, 'steel lamp number 500', 'shop') AS s,
               score(7, trim(replace(' steel lamp number 500 ', ' ' || feature || ' ', ' ')), 'shop') AS w
        FROM explain_recommendation(model => 'shop', new_boost => 5, users => (SELECT 7 AS user_id),
             items => (SELECT 500 AS item_id, 'steel lamp number 500' AS text)) WHERE kind = 'word')";
    assert!(number(&session, plain).await < 1e-3);
    let words = "SELECT first_value(feature ORDER BY attribution DESC) = 'steel' FROM explain_recommendation(model => 'shop',
        users => (SELECT 7 AS user_id), items => (SELECT 500 AS item_id, 'steel lamp number 500' AS text)) WHERE kind = 'word'";
    assert_eq!(number(&session, &format!("SELECT CASE WHEN ({words}) THEN 1 ELSE 0 END")).await, 1.0);

    // What nobody asks about has no rows; what is missing is said.
    let empty = format!(
        "SELECT count(*) FROM explain_recommendation(model => 'shop', users => (SELECT 7 AS user_id WHERE false), {LAUNCHES})"
    );
    assert_eq!(number(&session, &empty).await, 0.0);
    let no_items = "SELECT count(*) FROM explain_recommendation(model => 'shop', users => (SELECT 7 AS user_id),
        items => (SELECT item_id, text FROM launches WHERE false))";
    assert_eq!(number(&session, no_items).await, 0.0);
    fails(
        &session,
        &format!("SELECT * FROM explain_recommendation(model => 'shop', {LAUNCHES})"),
        "explain_recommendation needs users => (SELECT ...)",
    )
    .await;
    fails(&session, &format!("SELECT * FROM {list} 'why')"), "explain").await;
    let never = format!("SELECT * FROM {}", pairs.replace("k => 3", "new_boost => 0"));
    fails(&session, &never, "explain_recommendation: new_boost => 0 would never show a new item").await;

    titles(&session).await;
}

/// What the words of a title do to its audience.
async fn titles(session: &debut::engine::Session) {
    rows(
        session,
        "CREATE TABLE effects AS SELECT * FROM title_effect(model => 'shop', k => 4, items => (
           SELECT 900 AS item_id, 'steel lamp number 900' AS text UNION ALL SELECT 3, 'mug' UNION ALL SELECT 5, NULL))",
    )
    .await;
    let count = |change: &str, item: i64| {
        format!("SELECT count(*) FROM effects WHERE change = '{change}' AND item_id = {item}")
    };
    for (change, item, expected) in
        [("none", 900, 1.0), ("remove", 900, 4.0), ("none", 3, 1.0), ("remove", 3, 0.0), ("none", 5, 0.0)]
    {
        assert_eq!(number(session, &count(change, item)).await, expected, "{change} {item}");
    }
    let added = number(session, &count("add", 900)).await;
    assert!((1.0..=4.0).contains(&added), "{added} words of similar items");
    // The plain way: the buyers of a text are the sum of all users' probabilities, and the effect is a difference of two.
    let plain = "SELECT max(abs(e.buyers - s.buyers)) FROM effects e JOIN (
        SELECT text, sum(score(user_id, text, 'shop')) AS buyers FROM (SELECT DISTINCT text FROM effects)
        CROSS JOIN (SELECT DISTINCT user_id FROM bought WHERE timestamp < '2025-08-01') GROUP BY text) s ON s.text = e.text";
    assert!(number(session, plain).await < 1e-3);
    let effect = "SELECT max(abs(e.effect - (e.buyers - o.buyers))) FROM effects e JOIN effects o
        ON o.item_id = e.item_id AND o.change = 'none'";
    assert_eq!(number(session, effect).await, 0.0);
    let told = "SELECT count(*) FROM effects WHERE (change = 'none') <> (word IS NULL) OR change = 'add'
        AND text <> 'steel lamp number 900 ' || word AND item_id = 900";
    assert_eq!(number(session, told).await, 0.0);
    // A word of another kind draws no steel buyers; those of some users alone are fewer.
    let some = "SELECT buyers FROM title_effect(model => 'shop', users => (SELECT value AS user_id FROM generate_series(1, 10)),
        items => (SELECT 900 AS item_id, 'steel lamp number 900' AS text)) WHERE change = 'none'";
    let all = number(session, "SELECT buyers FROM effects WHERE change = 'none' AND item_id = 900").await;
    let some = number(session, some).await;
    assert!(some > 0.0 && some < all, "{some} of {all}");
    let error = try_rows(session, "SELECT * FROM title_effect(model => 'shop')").await.unwrap_err();
    assert!(error.contains("title_effect needs items => (SELECT ...)"), "{error}");
}

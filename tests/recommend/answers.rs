//! Likes and dislikes from SQL: they change a list at once, add up with its other reasons, and what cannot be read is told.

use super::support::sql::{number, rows};
use super::{TRAIN, fails, shop};

#[tokio::test(flavor = "multi_thread")]
async fn answers_change_the_list_at_once() {
    let (home, session) = shop().await;
    rows(&session, TRAIN).await;
    rows(
        &session,
        "CREATE TABLE launches AS SELECT item_id, text, price FROM products WHERE launched_at >= '2025-08-01'",
    )
    .await;
    // Two strangers, one of whom likes what is red, and a customer of what is steel.
    let list = |more: &str| {
        format!(
            "recommend(model => 'shop', k => 5, items => (SELECT * FROM launches), users => (SELECT 9001 AS user_id UNION ALL SELECT 9002
             UNION ALL SELECT 7){more})"
        )
    };
    let kind = |of: &str, user: i64, kind: i64| {
        format!("SELECT avg(CASE WHEN item_id % 3 = {kind} THEN 1.0 ELSE 0.0 END) FROM {of} WHERE user_id = {user}")
    };
    rows(&session, &format!("CREATE TABLE before AS SELECT * FROM {}", list(""))).await;
    let reds = "liked => (SELECT 9001 AS user_id, item_id FROM launches WHERE item_id % 3 = 0 LIMIT 3)";
    rows(&session, &format!("CREATE TABLE after AS SELECT * FROM {}", list(&format!(", {reds}, explain => true"))))
        .await;
    let (before, after) =
        (number(&session, &kind("before", 9001, 0)).await, number(&session, &kind("after", 9001, 0)).await);
    assert!(after > 0.7 && after > before, "{before} of the list was red, {after} is");
    // Nobody else's list changes.
    let others = "SELECT count(*) FROM (SELECT user_id, item_id, rank, score FROM before WHERE user_id <> 9001
        EXCEPT SELECT user_id, item_id, rank, score FROM after)";
    assert_eq!(number(&session, others).await, 0.0);
    // What was liked is a share of the score like others, and of this user alone.
    let parts = "(SELECT user_id, item_id, score, unnest(attributions) AS a FROM after)";
    let worst = format!(
        "SELECT max(abs(score - 1 / (1 + exp(-logit)))) FROM (SELECT min(score) AS score,
         sum(CAST(a['attribution'] AS DOUBLE)) AS logit FROM {parts} GROUP BY user_id, item_id)"
    );
    assert!(number(&session, &worst).await < 1e-6);
    let who = format!("SELECT avg(user_id) FROM {parts} WHERE a['feature'] = 'answers'");
    assert_eq!(number(&session, &who).await, 9001.0);

    // Items of the catalogue that are no candidates count too, as text or as numbers of any kind; NULL says nothing.
    let old = "liked => (SELECT CAST(9001 AS INT) AS user_id, CAST(item_id AS SMALLINT) AS item_id FROM products
        WHERE item_id % 3 = 0 AND launched_at < '2025-06-01' UNION ALL SELECT NULL, 3 UNION ALL SELECT 9001, NULL)";
    let red = format!(
        "SELECT avg(CASE WHEN item_id % 3 = 0 THEN 1.0 ELSE 0.0 END) FROM {} WHERE user_id = 9001",
        list(&format!(", {old}"))
    );
    assert!(number(&session, &red).await > 0.7);

    // What is disliked is not offered again, and what is like it falls: the customer of steel dislikes the list's first item.
    let first = "(SELECT user_id, item_id FROM before WHERE user_id = 7 AND rank = 1)";
    rows(&session, &format!("CREATE TABLE without AS SELECT * FROM {}", list(&format!(", disliked => {first}")))).await;
    let again =
        format!("SELECT count(*) FROM without w JOIN {first} f ON f.user_id = w.user_id AND f.item_id = w.item_id");
    assert_eq!(number(&session, &again).await, 0.0);
    let lower = "SELECT count(*) FROM without w JOIN before b ON b.user_id = w.user_id AND b.item_id = w.item_id
        WHERE w.user_id = 7 AND w.item_id % 3 = 1 AND w.score >= b.score";
    assert_eq!(number(&session, lower).await, 0.0);
    // The same is told of a pair, and nothing is said of who has not answered.
    let pair = format!(
        "FROM explain_recommendation(model => 'shop', users => (SELECT 9001 AS user_id UNION ALL SELECT 9002),
         items => (SELECT * FROM launches LIMIT 4), {reds}) WHERE feature = 'answers'"
    );
    assert_eq!(number(&session, &format!("SELECT count(*) {pair}")).await, 4.0);
    assert_eq!(number(&session, &format!("SELECT max(user_id) {pair}")).await, 9001.0);

    // Nobody answered, or somebody who is not asked about: the list is as it was.
    for nobody in
        ["liked => (SELECT 7 AS user_id, 3 AS item_id WHERE false)", "liked => (SELECT 8 AS user_id, 3 AS item_id)"]
    {
        let same = format!(
            "SELECT count(*) FROM (SELECT * FROM before EXCEPT SELECT * FROM {})",
            list(&format!(", {nobody}"))
        );
        assert_eq!(number(&session, &same).await, 0.0, "{nobody}");
    }
    // What is not known, and what is said both ways, is told on standard error.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_debut"))
        .args(["sql", "-c", "SELECT count(*) FROM recommend(model => 'shop', k => 2, users => (SELECT 7 AS user_id),
            items => (SELECT 500 AS item_id, 'a steel mug' AS text UNION ALL SELECT 501, 'a red mug'),
            liked => (SELECT 7 AS user_id, 500 AS item_id UNION ALL SELECT 7, 77777), disliked => (SELECT 7 AS user_id, 500 AS item_id))"])
        .env("DEBUT_HOME", home.path())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("| 1 "), "{stdout}{stderr}");
    assert!(stderr.contains("1 rows of liked and disliked name an item that is not among items"), "{stderr}");
    assert!(stderr.contains("1 items are liked and disliked by the same user"), "{stderr}");

    // Too much of one user, and ids of another type.
    rows(&session, "CREATE TABLE many AS SELECT 100000 + value AS item_id, 'a mug ' || value AS text FROM generate_series(1, 2001)").await;
    fails(
        &session,
        "SELECT * FROM recommend(model => 'shop', users => (SELECT 7 AS user_id), items => (SELECT * FROM many),
         liked => (SELECT 7 AS user_id, item_id FROM many))",
        "user 7 likes and dislikes 2001 items; give the last 2000",
    )
    .await;
    fails(
        &session,
        &format!("SELECT * FROM {}", list(", liked => (SELECT 'x' AS user_id, 3 AS item_id)")),
        "column 'user_id' of liked is Utf8",
    )
    .await;
    fails(&session, &format!("SELECT * FROM {}", list(", disliked => (SELECT 7 AS user_id)")), "item_id").await;
}

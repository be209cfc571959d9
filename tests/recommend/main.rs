//! A recommender the user's way: `finetune(objective => 'recommend')`, `recommend`, `audience`, `score` and `evaluate` in SQL, on a
//! small encoder and a shop whose customers buy by the first word of a title. `pictures`: a shop whose customers buy by colour.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use debut::engine::Session;
use debut::home::Home;
use futures::StreamExt;
use tempfile::TempDir;

mod answers;
mod explain;
mod forecasts;
mod gaps;
mod pictures;
#[path = "../support/mod.rs"]
mod support;

use support::sql::{number, rows, try_rows};

/// Items 1 to 120, launched one every second day from 2025-01-01.
const PRODUCTS: &str = "SELECT value AS item_id,
    CASE value % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'steel' ELSE 'paper' END || ' ' ||
    CASE value % 7 WHEN 0 THEN 'mug' WHEN 1 THEN 'spade' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag'
                   WHEN 4 THEN 'box' WHEN 5 THEN 'clock' ELSE 'card' END || ' number ' || value AS text,
    1.0 + value % 11 AS price,
    to_timestamp_seconds(1735689600 + value * 2 * 86400) AS launched_at FROM generate_series(1, 120)";

/// Customers 1 to 60 buy items of one kind, some weeks after their launch.
const BOUGHT: &str = "SELECT u.value AS user_id, p.value AS item_id,
    to_timestamp_seconds(1735689600 + (p.value * 2 + (u.value * 13 + p.value) % 30) * 86400) AS timestamp
    FROM generate_series(1, 60) u CROSS JOIN generate_series(1, 120) p
    WHERE p.value % 3 = u.value % 3 AND (u.value * 31 + p.value * 17) % 5 > 1";

const TRAIN: &str = "SELECT * FROM finetune(model => 'shop', base => 'small', objective => 'recommend', epochs => 1,
    factors => 8, neighbours => 10, window => 50, publish => 'always',
    interactions => (SELECT * FROM bought WHERE timestamp < '2025-08-01'),
    items => (SELECT * FROM products WHERE launched_at < '2025-08-01'))";

fn session(home: &TempDir) -> Session {
    support::session_at(Home::at(home.path()))
}

async fn fails(session: &Session, sql: &str, message: &str) {
    let error = try_rows(session, sql).await.expect_err(sql);
    assert!(error.contains(message), "{sql}\ngave: {error}\nnot: {message}");
}

async fn shop() -> (TempDir, Session) {
    let home = support::small_home();
    let session = session(&home);
    rows(&session, &format!("CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT}")).await;
    (home, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommender_is_trained_and_used_in_sql() {
    let (home, session) = shop().await;
    let trained = rows(&session, TRAIN).await;
    let last = trained.num_rows() - 1;
    let text = |name: &str| {
        let column =
            arrow::compute::cast(trained.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().last().flatten().unwrap_or_default().to_owned()
    };
    assert_eq!(text("version"), "shop@1", "{}", text("message"));
    assert!(text("message").contains("weights:") && text("message").contains("launched from"), "{}", text("message"));
    assert!(last >= 2, "a row per epoch of each moment and one for the result");

    // What it was fitted to is told: the best value, a weight for each component, and a page with all of it.
    let told = "SELECT count(*) FROM debut.training_runs r JOIN debut.metrics m USING (run)
                WHERE m.name = r.metric AND m.value = r.best AND r.published = 'shop@1'";
    assert_eq!(number(&session, told).await, 1.0);
    let weights = "SELECT count(value) FROM debut.metrics WHERE name LIKE 'weight/%'";
    assert!(number(&session, weights).await >= 9.0);
    let run = text("run");
    let html = page(&home, &run);
    for part in ["shop@1", "Holdout windows", "before 2025-", "Components of new items", "text_knn", "chosen: "] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("No recall@20 was measured"));
    assert_eq!(html.matches("<figure").count(), 4, "a plot for each value");

    // Launches find those who buy their kind.
    rows(&session, "CREATE TABLE launches AS SELECT * FROM products WHERE launched_at >= '2025-08-01'").await;
    let launches = "items => (SELECT item_id, text, price, launched_at FROM launches)";
    rows(&session, &format!("CREATE TABLE slates AS SELECT * FROM recommend(model => 'shop', {launches}, k => 3)"))
        .await;
    assert_eq!(number(&session, "SELECT count(*) FROM slates").await, 180.0);
    assert_eq!(
        number(&session, "SELECT count(DISTINCT user_id) FROM slates WHERE is_new AND propensity = 1").await,
        60.0
    );
    let right =
        number(&session, "SELECT avg(CASE WHEN item_id % 3 = user_id % 3 THEN 1.0 ELSE 0.0 END) FROM slates").await;
    assert!(right > 0.8, "{right} of what is recommended is of the right kind");
    let disorder = "SELECT count(*) FROM slates a JOIN slates b ON a.user_id = b.user_id AND a.rank = b.rank + 1
                    WHERE a.score > b.score";
    assert_eq!(number(&session, disorder).await, 0.0);

    // The probability of a pair is that of `score`, in a block or alone.
    let scored = "SELECT max(abs(s.probability - score(s.user_id, l.text, 'shop'))) FROM slates s JOIN launches l
                  ON l.item_id = s.item_id";
    // `score` knows no price.
    assert!(number(&session, scored).await < 0.2);
    let alone = number(&session, "SELECT score(7, 'steel spade number 200', 'shop')").await;
    let block = number(&session, "SELECT min(s) FROM (SELECT user_id, score(user_id, text, 'shop') AS s
        FROM (SELECT DISTINCT user_id FROM bought) CROSS JOIN (SELECT 'steel spade number 200' AS text UNION ALL SELECT text FROM launches)
        WHERE text = 'steel spade number 200') WHERE user_id = 7").await;
    assert!((alone - block).abs() < 1e-6 && alone > 0.0 && alone < 1.0, "{alone} and {block}");
    // Strangers are the population; a profile is somebody with that taste; NULL is NULL.
    let stranger = number(&session, "SELECT score(999999, 'steel spade number 200', 'shop')").await;
    assert!(stranger > 0.0 && stranger < 1.0);
    let profile = "SELECT profile(embed(text, 'shop'), 1.0, (SELECT centroid(embed(text, 'shop')) FROM products))
                   FROM products WHERE item_id % 3 = 1";
    let likes = number(&session, &format!("SELECT score(({profile}), 'steel spade number 200', 'shop')")).await;
    let other = number(&session, &format!("SELECT score(({profile}), 'paper spade number 200', 'shop')")).await;
    assert!(likes > other, "{likes} and {other}");
    assert_eq!(number(&session, "SELECT count(score(CAST(NULL AS BIGINT), 'a mug', 'shop'))").await, 0.0);
    assert_eq!(number(&session, "SELECT count(score(7, NULL, 'shop'))").await, 0.0);

    // What a query brings along is folded in; known items of the model's catalogue; what they have is left out.
    let folded = "SELECT count(*) FROM recommend(model => 'shop', k => 5, items => (SELECT item_id, text FROM launches),
        users => (SELECT 5000 AS user_id, item_id FROM products WHERE item_id % 3 = 2 AND item_id < 60)) WHERE item_id % 3 = 2";
    assert!(number(&session, folded).await >= 4.0);
    let again = "SELECT count(*) FROM recommend(model => 'shop', k => 500) r JOIN bought b
        ON b.user_id = r.user_id AND b.item_id = r.item_id WHERE b.timestamp < '2025-08-01'";
    assert_eq!(number(&session, again).await, 0.0);
    assert_eq!(
        number(
            &session,
            "SELECT count(*) FROM recommend(model => 'shop', items => (SELECT item_id, text FROM launches WHERE false))"
        )
        .await,
        0.0
    );

    // What they have is left out too where the model has never heard of it, whatever it counts.
    rows(
        &session,
        "CREATE TABLE owned AS SELECT 5000 AS user_id, item_id, CASE WHEN item_id = 110 THEN 0.0 ELSE 1.0 END AS weight
         FROM products WHERE item_id IN (59, 108, 110, 112) UNION ALL SELECT 5001, 113, 1.0 UNION ALL SELECT 7, NULL, NULL",
    )
    .await;
    let offered = "SELECT count(*) FROM recommend(model => 'shop', k => 500, users => (SELECT * FROM owned),
        items => (SELECT item_id, text FROM launches)) r";
    assert_eq!(
        number(&session, &format!("{offered} JOIN owned o ON o.user_id = r.user_id AND o.item_id = r.item_id")).await,
        0.0
    );
    // Three users, all launches, but for the four that they have.
    let all = number(&session, "SELECT 3 * count(*) - 4 FROM launches").await;
    assert_eq!(number(&session, offered).await, all);
    let audience = "SELECT count(*) FROM audience(model => 'shop', k => 500, users => (SELECT * FROM owned),
        items => (SELECT item_id, text FROM launches)) a";
    assert_eq!(
        number(&session, &format!("{audience} JOIN owned o ON o.user_id = a.user_id AND o.item_id = a.item_id")).await,
        0.0
    );
    assert_eq!(number(&session, audience).await, all);

    // What was sold before is not new, whoever offers it as a launch.
    let sold = "FROM recommend(model => 'shop', k => 500, items => (SELECT DISTINCT p.item_id, p.text FROM products p
        JOIN bought b ON b.item_id = p.item_id WHERE p.launched_at < '2025-08-01' AND b.timestamp < '2025-08-01')";
    assert!(number(&session, &format!("SELECT count(*) {sold})")).await > 0.0);
    assert_eq!(number(&session, &format!("SELECT count(*) {sold}) WHERE is_new")).await, 0.0);
    assert_eq!(number(&session, &format!("SELECT count(*) {sold}, only_new => true)")).await, 0.0);

    // Limits hold.
    let limited = "SELECT max(n) FROM (SELECT count(*) AS n FROM recommend(model => 'shop',
        items => (SELECT item_id, text FROM launches), k => 2, max_exposure => 20) GROUP BY item_id)";
    assert!(number(&session, limited).await <= 20.0);
    // Everybody likes the same mugs, and there is room for all with one user to each: nobody goes without.
    let mugs = |k: usize| {
        format!(
            "FROM recommend(model => 'shop', k => {k}, max_exposure => 1, items => (SELECT 1000 + value AS item_id,
             'steel mug number ' || value AS text FROM generate_series(1, 300)))"
        )
    };
    let full = format!("SELECT min(n) FROM (SELECT count(*) AS n {} GROUP BY user_id)", mugs(5));
    assert_eq!(number(&session, &full).await, 5.0);
    assert_eq!(number(&session, &format!("SELECT count(DISTINCT item_id) {}", mugs(5))).await, 300.0);
    // Where there is no room for all, the command line says so.
    for (k, expected) in [(5, None), (6, Some("recommend: max_exposure => 1 leaves 60 of 360 places empty: "))] {
        let output = Command::new(env!("CARGO_BIN_EXE_debut"))
            .args(["sql", "-c", &format!("SELECT count(*) {}", mugs(k))])
            .env("DEBUT_HOME", home.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("300"), "{stderr}");
        match expected {
            Some(note) => assert!(stderr.contains(note) && stderr.contains("with max_exposure => 2"), "{stderr}"),
            None => assert!(!stderr.contains("empty"), "{stderr}"),
        }
    }
    let share = "SELECT min(n) FROM (SELECT count(*) FILTER (WHERE is_new) AS n FROM recommend(model => 'shop',
        items => (SELECT item_id, text FROM products), k => 10, min_new_share => 0.5, new_boost => 0.001) GROUP BY user_id)";
    assert!(number(&session, share).await >= 5.0);
    let drawn = "SELECT count(*) FROM recommend(model => 'shop', items => (SELECT item_id, text FROM launches), k => 2,
        explore => true, prior_strength => 5, seed => 1) WHERE propensity > 0 AND propensity < 1";
    assert!(number(&session, drawn).await > 10.0);

    // Whom to show a launch to.
    let audience = rows(&session, "SELECT user_id, item_id FROM audience(model => 'shop', k => 10, items => (SELECT item_id, text FROM launches LIMIT 1))").await;
    let (users, items) =
        (audience.column(0).as_primitive::<Int64Type>(), audience.column(1).as_primitive::<Int64Type>());
    let right = users.values().iter().zip(items.values()).filter(|(user, item)| *user % 3 == *item % 3).count();
    assert!(audience.num_rows() == 10 && right >= 8, "{right} of {}", audience.num_rows());

    // How good it is.
    rows(&session, "CREATE TABLE result AS SELECT * FROM evaluate(model => 'shop', against => 'shop@1', components => true, k => '3, 10',
        interactions => (SELECT * FROM bought), since => '2025-08-01', items => (SELECT item_id, text, price FROM products), resamples => 100)").await;
    let recall = |method: &str| {
        format!(
            "SELECT min(value) FROM result WHERE method = '{method}' AND candidates = 'new' AND metric = 'recall' AND k = 3 AND week IS NULL"
        )
    };
    fails(
        &session,
        "EXPLAIN SELECT * FROM evaluate(model => 'shop', against => 'shop@1', interactions => (SELECT * FROM bought),
         since => '2025-07-01', items => (SELECT item_id, text FROM products))",
        "since is 2025-07-01 00:00:00, and no model is judged on what it was trained on: 'shop@1' was trained on \
         interactions up to 2025-07-31 00:00:00",
    )
    .await;
    let (ours, chance) = (number(&session, &recall("shop@1")).await, number(&session, &recall("random")).await);
    assert!(ours > 1.5 * chance, "{ours} beside {chance} by chance");
    assert_eq!(number(&session, &recall("shop@1 - shop@1")).await, 0.0);
    for metric in [
        "ndcg",
        "mrr",
        "auc",
        "hit_rate",
        "map",
        "coverage",
        "novelty",
        "gini",
        "diversity",
        "log_loss",
        "calibration_error",
        "audience_auc",
    ] {
        let count = format!("SELECT count(value) FROM result WHERE metric = '{metric}' AND method = 'shop@1'");
        assert!(number(&session, &count).await > 0.0, "{metric}");
    }
    let inside = "SELECT count(*) FROM result WHERE ci_low > value OR ci_high < value";
    assert_eq!(number(&session, inside).await, 0.0);
    assert!(number(&session, "SELECT count(DISTINCT boost) FROM result WHERE metric = 'new_share'").await >= 6.0);
    assert!(number(&session, "SELECT count(*) FROM result WHERE week = 1").await > 0.0);

    // What was shown, and what came of it: users who took nothing were shown something too.
    rows(
        &session,
        "CREATE TABLE logged AS SELECT user_id, item_id, TIMESTAMP '2025-09-01' AS timestamp, propensity,
        CASE WHEN user_id <= 15 THEN 1.0 ELSE 0.0 END AS label FROM slates",
    )
    .await;
    let value = "SELECT value FROM evaluate(model => 'shop', k => 3, resamples => 0, since => '2025-08-01',
        interactions => (SELECT * FROM logged), items => (SELECT item_id, text, price, launched_at FROM launches)) WHERE metric = ";
    // The model would show the same again: a quarter of what it shows is taken, three quarters of an item a user.
    assert!((number(&session, &format!("{value} 'snips'")).await - 0.25).abs() < 1e-6);
    assert!((number(&session, &format!("{value} 'ips'")).await - 0.75).abs() < 1e-6);

    // And as a page.
    let id = rows(&session, "SELECT DISTINCT evaluation FROM result").await;
    let id = arrow::compute::cast(id.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    let id = id.as_string::<i32>().value(0).to_owned();
    assert!(page(&home, &id).contains("shop@1"));
    // And as a row, beside those that were made of what was shown.
    let row = format!(
        "SELECT new_recall FROM debut.evaluations WHERE evaluation = '{id}' AND model = 'shop@1' AND against = 'shop@1'
         AND k = 10 AND since = TIMESTAMP '2025-08-01' AND new_items > 0 AND users > 0 AND problem IS NULL"
    );
    let same = "SELECT min(value) FROM result WHERE method = 'shop@1' AND candidates = 'new' AND metric = 'recall'
                AND k = 10 AND week IS NULL";
    assert_eq!(number(&session, &row).await, number(&session, same).await);
    assert_eq!(number(&session, "SELECT count(*) FROM debut.evaluations").await, 3.0);
}

/// The page that `debut report` writes of a run or an evaluation.
fn page(home: &TempDir, id: &str) -> String {
    let page = home.path().join("page.html");
    let output = Command::new(env!("CARGO_BIN_EXE_debut"))
        .args(["report", id, "-o"])
        .arg(&page)
        .env("DEBUT_HOME", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(page).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_said_to_people() {
    let (_home, session) = shop().await;
    let train = |interactions: &str, items: &str| {
        format!(
            "SELECT * FROM finetune(model => 'bad', base => 'small', objective => 'recommend', epochs => 1, factors => 4,
             interactions => ({interactions}), items => ({items}))"
        )
    };
    fails(
        &session,
        &train("SELECT * FROM bought", "SELECT * FROM products UNION ALL SELECT * FROM products"),
        "is twice in items",
    )
    .await;
    fails(
        &session,
        &train(
            "SELECT user_id, item_id, timestamp + INTERVAL '90 years' AS timestamp FROM bought",
            "SELECT * FROM products",
        ),
        "later than now",
    )
    .await;
    fails(
        &session,
        &train("SELECT user_id, item_id + 9000 AS item_id, timestamp FROM bought", "SELECT * FROM products"),
        "not among the items",
    )
    .await;
    fails(
        &session,
        &train("SELECT * FROM bought WHERE false", "SELECT * FROM products"),
        "no interaction of a known user",
    )
    .await;
    fails(
        &session,
        &train("SELECT user_id, CAST(item_id AS VARCHAR) AS item_id, timestamp FROM bought", "SELECT * FROM products"),
        "item_id",
    )
    .await;
    fails(&session, &train("SELECT user_id, item_id FROM bought", "SELECT * FROM products"), "timestamp").await;
    fails(
        &session,
        &train("SELECT * FROM bought", "SELECT *, 'a.jpg' AS image FROM products"),
        "a picture is the bytes of its file; write read_file(image) AS image",
    )
    .await;
    fails(&session, "SELECT * FROM recommend(model => 'small')", "small").await;
    fails(&session, "SELECT score(7, 'a mug', 'small')", "score").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_may_be_texts_and_times_may_mean_nothing() {
    let (_home, session) = shop().await;
    rows(&session, "CREATE TABLE named AS SELECT 'user ' || user_id AS user_id, arrow_cast('item ' || item_id, 'Dictionary(Int32, Utf8)') AS item_id,
        TIMESTAMP '2025-01-01' AS timestamp FROM bought").await;
    rows(&session, "SELECT * FROM finetune(model => 'named', base => 'small', objective => 'recommend', epochs => 1, factors => 4,
        neighbours => 10, publish => 'always', interactions => (SELECT * FROM named),
        items => (SELECT 'item ' || item_id AS item_id, CASE WHEN item_id = 50 THEN NULL ELSE text END AS text FROM products))").await;
    let sql = "SELECT count(*) FROM recommend(model => 'named', k => 4, users => (SELECT 'user 7' AS user_id UNION ALL SELECT 'nobody'),
        items => (SELECT 'new ' || item_id AS item_id, text FROM products))";
    assert_eq!(number(&session, sql).await, 8.0);
    let known = number(&session, "SELECT score('user 7', 'steel mug number 300', 'named')").await;
    assert!(known > 0.0 && known < 1.0);
    fails(&session, "SELECT * FROM recommend(model => 'named', users => (SELECT 7 AS user_id))", "user_id").await;
    // An item without a text that nobody has cannot be judged: it is left out, and the others are not.
    let silent = "SELECT count(DISTINCT item_id) FROM recommend(model => 'named', k => 10,
        items => (SELECT 'new 1' AS item_id, CAST(NULL AS VARCHAR) AS text UNION ALL SELECT 'new 2', 'steel mug'))";
    let found = try_rows(&session, silent).await.unwrap();
    assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), 1);
}

/// The last row of a training: version, message, metric; and what its run says it was compared with.
async fn trained(session: &Session, sql: &str) -> (Option<String>, String, f64, (Option<f64>, Option<String>)) {
    let all = rows(session, sql).await;
    let last = all.slice(all.num_rows() - 1, 1);
    let text = |batch: &RecordBatch, name: &str| {
        let column = arrow::compute::cast(batch.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Utf8);
        column.unwrap().as_string::<i32>().iter().next().flatten().map(str::to_owned)
    };
    let metric = last.column_by_name("metric").unwrap().as_primitive::<Float64Type>().value(0);
    let run = text(&last, "run").unwrap();
    let run = rows(session, &format!("SELECT baseline, compared FROM debut.training_runs WHERE run = '{run}'")).await;
    let baseline = run.column(0).as_primitive::<Float64Type>().iter().next().flatten();
    (text(&last, "version"), text(&last, "message").unwrap(), metric, (baseline, text(&run, "compared")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_better_one_takes_the_place_of_the_version_in_use() {
    let (home, session) = shop().await;
    let train = |until: &str, text: &str, more: &str| {
        format!(
            "SELECT * FROM finetune(model => 'shop', base => 'small', objective => 'recommend', epochs => 1,
             neighbours => 10, window => 100, {more},
             interactions => (SELECT * FROM bought WHERE timestamp < '{until}'),
             items => (SELECT item_id, {text} AS text FROM products WHERE launched_at < '{until}'))"
        )
    };
    // What it reads says nothing about the kind.
    let (version, message, _, (_, compared)) =
        trained(&session, &train("2025-04-15", "'thing ' || item_id", "factors => 8, publish => 'always'")).await;
    assert_eq!((version.as_deref(), compared), (Some("shop@1"), None), "{message}");

    // The version in use was trained before the launches that are held out: both rank them.
    let (version, message, ours, (theirs, compared)) =
        trained(&session, &train("2025-08-01", "text", "factors => 8")).await;
    let (theirs, compared) = (theirs.unwrap(), compared.unwrap());
    assert!(version.as_deref() == Some("shop@2") && ours > theirs, "{message}");
    assert!(compared.ends_with(&format!("is {ours:.4}, and that of shop@1, in use, {theirs:.4}")), "{compared}");
    assert!(compared.contains("items launched from 2025-04-"), "{compared}");
    assert!(message.contains(&compared), "{message}");

    // Another try on the same data: what the version in use was measured by is the very same.
    let (version, message, again, (before, compared)) =
        trained(&session, &train("2025-08-01", "text", "factors => 4")).await;
    assert!((before.unwrap() - ours).abs() < 1e-12, "{before:?}, not {ours}");
    let compared = compared.unwrap();
    assert!(compared.ends_with(&format!("and that of shop@2, in use, {ours:.4} when it was trained")), "{compared}");
    assert_eq!(version.is_some(), again > ours, "{message}");
    assert_eq!(message.starts_with("not published: "), again <= ours, "{message}");
    let in_use = version.unwrap_or_else(|| "shop@2".to_owned());

    // A month later: the version in use has seen most of what is held out now.
    let (version, message, _, (theirs, compared)) =
        trained(&session, &train("2025-09-01", "text", "factors => 8")).await;
    let compared = compared.unwrap();
    assert!(version.is_some() && version.as_deref() != Some(in_use.as_str()) && theirs.is_none(), "{message}");
    let seen = format!("not compared: {in_use}, in use, was trained on interactions up to 2025-07-31");
    assert!(compared.starts_with(&seen) && message.contains(&compared), "{compared}\n{message}");

    // What is in use under the name is no recommender: said before anything is trained.
    let call = train("2025-08-01", "text", "factors => 8").replace("model => 'shop'", "model => 'small'");
    fails(&session, &call, "a recommender cannot be compared with a model of the task embedding").await;
    drop(home);
}

/// A training of two snapshots: six epochs of the first, two of the second.
fn in_epochs(more: &str) -> String {
    TRAIN
        .replace("epochs => 1,", &format!("epochs => 6, batch_size => 16, {more}"))
        .replace("window => 50", "window => 70")
}

/// What does not tell the time of the rows of a training.
fn curve(batches: &[RecordBatch]) -> Vec<String> {
    let wanted = ["epoch", "step", "train_loss", "metric", "learning_rate", "version"];
    let text =
        |column: &arrow::array::ArrayRef| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap();
    let rows = |batch: &RecordBatch| {
        let columns = wanted.map(|name| text(batch.column_by_name(name).unwrap()));
        let cell = |row: usize| columns.iter().map(move |column| column.as_string::<i32>().iter().nth(row).flatten());
        (0..batch.num_rows())
            .map(|row| cell(row).map(|cell| cell.unwrap_or("-")).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(rows).collect()
}

/// The first row's message, the fingerprint of the published version, and the curve.
async fn whole(session: &Session, sql: &str) -> (String, String, Vec<String>) {
    let all = rows(session, sql).await;
    let message = arrow::compute::cast(all.column_by_name("message").unwrap(), &arrow::datatypes::DataType::Utf8);
    let message = message.unwrap().as_string::<i32>().iter().next().flatten().unwrap_or_default().to_owned();
    (message, fingerprint(session).await, curve(&[all]))
}

async fn fingerprint(session: &Session) -> String {
    text(session, "SELECT fingerprint FROM debut.model_versions WHERE name = 'shop' AND version = '1'").await
}

async fn text(session: &Session, sql: &str) -> String {
    let found = rows(session, sql).await;
    let column = arrow::compute::cast(found.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    column.as_string::<i32>().value(0).to_owned()
}

/// Cancels a training after so many rows.
async fn cancel_after(session: &Session, sql: &str, count: usize) -> Vec<String> {
    let statement = session.statements(sql).unwrap().remove(0);
    let mut stream = session.run(statement).await.unwrap().execute_stream().await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(curve(&[stream.next().await.unwrap().unwrap()]));
    }
    drop(stream);
    assert_eq!(number(session, "SELECT count(*) FROM debut.training_runs WHERE status <> 'cancelled'").await, 0.0);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_is_interrupted_is_resumed_and_gives_the_same_model() {
    let (_home, session) = shop().await;
    let (message, expected, curve) = whole(&session, &in_epochs("")).await;
    assert!(curve.len() == 9 && !message.contains("resumes"), "{message}: {curve:?}");
    cancelled(&expected, &curve).await;
    killed(&expected).await;
}

/// Its query is dropped, several times.
async fn cancelled(expected: &str, curve: &[String]) {
    let (home, session) = shop().await;
    // In the first snapshot; and in the second, where the first one's tower is kept.
    for (count, parts) in [(1, 0), (7, 1)] {
        let seen = cancel_after(&session, &in_epochs(""), count).await;
        assert_eq!(seen, curve[..seen.len()], "what was told before is told again");
        let run = text(&session, "SELECT run FROM debut.training_runs").await;
        let folder = home.path().join("runs").join(run);
        assert!(folder.join("checkpoint.safetensors").exists());
        assert!((1..=parts).all(|part| folder.join(format!("part-{part}.safetensors")).exists()), "{count}");
    }
    // Other options and other data are other runs, which begin at the beginning.
    for call in
        [in_epochs("seed => 1, "), in_epochs("").replace("timestamp < '2025-08-01'", "timestamp < '2025-07-31'")]
    {
        cancel_after(&session, &call, 1).await;
    }
    assert_eq!(number(&session, "SELECT count(*) FROM debut.training_runs").await, 3.0);
    assert_eq!(number(&session, "SELECT sum(resumed) FROM debut.training_runs").await, 1.0);

    let trained = "SELECT count(*) FROM debut.metrics m JOIN debut.training_runs r USING (run)
                   WHERE r.resumed > 0 AND name = 'train_loss'";
    let done = number(&session, trained).await;
    let seconds = "SELECT max(seconds) FROM debut.metrics m JOIN debut.training_runs r USING (run)
                   WHERE r.resumed > 0 AND name = 'train_loss' AND epoch <= 7";
    let before = number(&session, seconds).await;
    let (message, found, resumed) = whole(&session, &in_epochs("")).await;
    assert_eq!((found.as_str(), resumed.as_slice()), (expected, curve));
    assert!(message.contains("the run resumes where it stopped"), "{message}");
    // Each step once, and those of before are not made again.
    let steps = "SELECT count(DISTINCT step) FROM debut.metrics m JOIN debut.training_runs r USING (run)
                 WHERE r.published = 'shop@1' AND name = 'train_loss'";
    assert_eq!(number(&session, trained).await, number(&session, steps).await);
    assert!(number(&session, trained).await > done);
    assert_eq!(number(&session, seconds).await, before);
    assert_eq!(number(&session, "SELECT max(resumed) FROM debut.training_runs").await, 2.0);
    // Nothing that was kept for this is left.
    let run = text(&session, "SELECT run FROM debut.training_runs WHERE published = 'shop@1'").await;
    let files = std::fs::read_dir(home.path().join("runs").join(run)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>();
    assert!(names.iter().all(|name| !name.ends_with(".safetensors")), "{names:?}");
}

/// Its process is killed.
async fn killed(expected: &str) {
    let home = support::small_home();
    let sql = format!("CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT}; {}", in_epochs(""));
    let train = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debut"));
        command.args(["sql", "--format", "csv", "-c", &sql]).env("DEBUT_HOME", home.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // At once when the first snapshot's tower is on the disk, however long that takes.
    let mut child = train();
    let begun = Instant::now();
    let is_kept = || {
        let runs = std::fs::read_dir(home.path().join("runs")).into_iter().flatten();
        runs.flatten().any(|run| run.path().join("part-1.safetensors").exists())
    };
    while !is_kept() {
        assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(120), "nothing was kept");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let session = support::session_at(Home::at(home.path()));
    assert_eq!(text(&session, "SELECT status FROM debut.training_runs").await, "interrupted");

    let answer = train().wait_with_output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    assert_eq!(fingerprint(&session).await, expected);
    assert_eq!(number(&session, "SELECT max(resumed) FROM debut.training_runs").await, 1.0);
}

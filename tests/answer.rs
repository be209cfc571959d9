//! `answer` through SQL: the questions of the bundled shop find the articles that answer them, and what goes in comes out.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use debut::engine::Session;
use debut::home::Home;
use support::sql::{number, rows, try_rows};

async fn fails(session: &Session, sql: &str, message: &str) {
    let error = try_rows(session, sql).await.expect_err(sql);
    assert!(error.contains(message), "{sql}\ngave: {error}\nnot: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_of_the_shop_find_their_articles() {
    let session = support::session();
    let file = |name: &str| support::repository("data").join(name).display().to_string();
    rows(
        &session,
        &format!(
            "CREATE TABLE questions AS SELECT question_id, question, article_id AS wanted FROM '{}' WHERE article_id IS NOT NULL;
             CREATE TABLE articles AS SELECT article_id, title || '. ' || text AS text FROM '{}';
             CREATE TABLE found AS SELECT * FROM answer(k => 1000, questions => (SELECT * FROM questions),
               documents => (SELECT * FROM articles))",
            file("questions.parquet"),
            file("help.parquet")
        ),
    )
    .await;
    assert_eq!(number(&session, "SELECT count(*) FROM questions").await, 200.0);
    assert_eq!(number(&session, "SELECT count(*) FROM found").await, 200.0 * 72.0);
    // The plain way: each score from the vectors, each rank from the scores.
    let plain = "SELECT max(abs(f.similarity - inner_product(q.v, a.v)) + abs(f.score - (0.75 * f.similarity + 0.25 * f.words)))
        FROM found f JOIN (SELECT question_id, embed(question, 'all-MiniLM-L6-v2', 'query') AS v FROM questions) q USING (question_id)
        JOIN (SELECT article_id, embed(text) AS v FROM articles) a USING (article_id)";
    assert!(number(&session, plain).await < 1e-5);
    let disorder = "SELECT count(*) FROM (SELECT rank, row_number() OVER (PARTITION BY question_id ORDER BY score DESC, text) AS place
        FROM found) WHERE rank <> place";
    assert_eq!(number(&session, disorder).await, 0.0);
    let first = "SELECT count(*) FROM (SELECT * FROM answer(k => 2, questions => (SELECT * FROM questions), documents => (SELECT * FROM articles))
        EXCEPT SELECT * FROM found WHERE rank <= 2)";
    assert_eq!(number(&session, first).await, 0.0);

    // The right article among the first, by both, and by its words alone.
    let recall = async |by: &str, k: usize| {
        let query = format!(
            "SELECT count(*) / 200.0 FROM (SELECT wanted, article_id,
               row_number() OVER (PARTITION BY question_id ORDER BY {by} DESC, text) AS place FROM found)
             WHERE place <= {k} AND wanted = article_id"
        );
        number(&session, &query).await
    };
    let (one, three) = (recall("score", 1).await, recall("score", 3).await);
    let (words_one, words_three) = (recall("words", 1).await, recall("words", 3).await);
    assert!(one >= 0.58 && three >= 0.75, "{one} {three}");
    assert!(one > words_one + 0.1 && three > words_three + 0.2, "by BM25 alone {words_one} {words_three}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_comes_out() {
    let home = support::small_home();
    let session = support::session_at(Home::at(home.path()));
    rows(
        &session,
        "SET debut.model = 'small';
         CREATE TABLE faq AS SELECT 1 AS entry, 'Returns: send it back within thirty days' AS text, '/help/returns' AS source
           UNION ALL SELECT 2, 'Delivery takes two days', '/help/delivery' UNION ALL SELECT 3, NULL, '/help/empty'
           UNION ALL SELECT 4, '', NULL;
         CREATE TABLE asked AS SELECT 7 AS id, 'delivery days' AS question UNION ALL SELECT 8, NULL UNION ALL SELECT 9, ''
           UNION ALL SELECT 10, 'delivery days'",
    )
    .await;
    let call = |documents: &str, questions: &str, options: &str| {
        format!("SELECT * FROM answer(documents => ({documents}), questions => ({questions}){options})")
    };
    let found = rows(&session, &call("SELECT * FROM faq", "SELECT * FROM asked", ", k => 5")).await;
    let schema = found.schema();
    let names = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["id", "question", "rank", "entry", "text", "source", "score", "similarity", "words"]);
    // Two documents and the empty one for three questions, the empty one among them; nothing for NULL.
    assert_eq!(found.num_rows(), 9);
    let best = "SELECT count(DISTINCT id) FROM (".to_owned()
        + &call("SELECT * FROM faq", "SELECT * FROM asked", "")
        + ") WHERE rank = 1 AND id IN (7, 10) AND words > 0.2 AND source = '/help/delivery'";
    assert_eq!(number(&session, &best).await, 2.0);
    // Whatever their types; other columns of any type and name.
    let odd = "SELECT arrow_cast(text, 'Dictionary(Int32, Utf8)') AS body, [entry] AS list, entry AS \"Entry Number\" FROM faq";
    let view = "SELECT arrow_cast(question, 'Utf8View') AS words_of, id FROM asked";
    let of_odd = rows(&session, &call(odd, view, ", columns => 'text=body,question=words_of'")).await;
    assert_eq!(of_odd.num_rows(), 3);
    assert!(matches!(of_odd.column_by_name("body").unwrap().data_type(), DataType::Dictionary(..)));
    assert_eq!(of_odd.column_by_name("list").unwrap().as_list::<i32>().value_length(0), 1);
    // A qualified column, a join, and a query of one row without a table.
    let joined = "SELECT f.*, g.entry AS other FROM faq f JOIN faq g ON f.entry = g.entry";
    assert_eq!(rows(&session, &call(joined, "SELECT 'returns' AS question", "")).await.num_rows(), 1);
    for (documents, questions) in [
        ("SELECT * FROM faq WHERE false", "SELECT * FROM asked"),
        ("SELECT * FROM faq", "SELECT * FROM asked WHERE false"),
        ("SELECT NULL AS text", "SELECT * FROM asked"),
        ("SELECT * FROM faq", "SELECT NULL AS question"),
    ] {
        assert_eq!(rows(&session, &call(documents, questions, "")).await.num_rows(), 0, "{documents}; {questions}");
    }
    // More questions than a batch has, each as if it were alone.
    let many = "SELECT value AS id, CASE WHEN value % 2 = 0 THEN 'delivery days' ELSE 'send back' END AS question FROM generate_series(1, 100)";
    let alike = format!("SELECT count(DISTINCT score) FROM ({})", call("SELECT * FROM faq", many, ""));
    assert_eq!(number(&session, &alike).await, 2.0);

    fails(
        &session,
        "SELECT * FROM answer(questions => (SELECT 'a' AS question))",
        "needs questions => (SELECT ...) and documents",
    )
    .await;
    let wrong = call("SELECT entry FROM faq", "SELECT * FROM asked", "");
    fails(&session, &wrong, "answer: documents has no column 'text'").await;
    fails(&session, &call("SELECT * FROM faq", "SELECT id AS question FROM asked", ""), "must hold texts").await;
    let twice = call("SELECT entry AS id, text FROM faq", "SELECT * FROM asked", "");
    fails(&session, &twice, "two columns of the result are called 'id'").await;
    let taken = call("SELECT text, 1 AS score FROM faq", "SELECT * FROM asked", "");
    fails(&session, &taken, "two columns of the result are called 'score'").await;
    fails(&session, &call("SELECT * FROM faq", "SELECT * FROM asked", ", k => 0"), "k").await;
    fails(&session, &call("SELECT * FROM faq", "SELECT * FROM asked", ", model => 'nothing'"), "nothing").await;
    fails(&session, &call("SELECT * FROM faq", "SELECT * FROM asked", ", top => 3"), "there is no option 'top'").await;
}

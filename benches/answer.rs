//! Questions to the bundled shop's customer service: how often the right article of its help pages is among the first that `answer` finds,
//! by meaning and words together, and by each alone (the words are BM25), and merged by their ranks as `hybrid_search` does; and
//! what questions take.
//!
//! Takes `data/questions.parquet` (200 have an article) and `data/help.parquet` (72 articles); prints recall at 1, 3, 5 and 10. The last
//! lines are of the questions from the 121st on: with the articles, and with the 120 questions before beside them as documents.
//! Run by `cargo bench --bench answer`.

#[path = "support/query.rs"]
mod query;
#[path = "support/session.rs"]
mod session;

use std::path::Path;
use std::time::Instant;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use debut::engine::Session;
use query::rows;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const TABLES: &str = "
CREATE TABLE questions AS SELECT question_id, question, article_id AS wanted FROM '$data/questions.parquet' WHERE article_id IS NOT NULL;
CREATE TABLE articles AS SELECT article_id, title || '. ' || text AS text FROM '$data/help.parquet';
CREATE TABLE later AS SELECT * FROM questions WHERE question_id > 120;
CREATE TABLE both AS SELECT * FROM articles UNION ALL SELECT wanted, question FROM questions WHERE question_id <= 120";

/// Every document for every question; of an article with several documents the best one.
const FOUND: &str = "
CREATE OR REPLACE TABLE found AS
WITH best AS (
  SELECT question_id, wanted, article_id, max(score) AS score, max(similarity) AS similarity, max(words) AS words
  FROM answer(k => 1000, questions => (SELECT * FROM $questions), documents => (SELECT * FROM $documents))
  GROUP BY question_id, wanted, article_id)
SELECT *, 1.0 / (60 + rank() OVER (PARTITION BY question_id ORDER BY similarity DESC))
        + CASE WHEN words > 0 THEN 1.0 / (60 + rank() OVER (PARTITION BY question_id ORDER BY words DESC)) ELSE 0 END AS ranks
FROM best";

const RECALL: &str = "
SELECT avg(CASE WHEN place <= 1 THEN 1.0 ELSE 0.0 END), avg(CASE WHEN place <= 3 THEN 1.0 ELSE 0.0 END),
       avg(CASE WHEN place <= 5 THEN 1.0 ELSE 0.0 END), avg(CASE WHEN place <= 10 THEN 1.0 ELSE 0.0 END)
FROM (SELECT wanted, article_id, row_number() OVER (PARTITION BY question_id ORDER BY $by DESC, article_id) AS place FROM found)
WHERE wanted = article_id";

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let session = session::open(folder.path())?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    rows(&session, &TABLES.replace("$data", &data.display().to_string())).await?;
    find(&session, "questions", "articles").await?;
    for (name, by) in [
        ("answer", "score"),
        ("by meaning alone", "similarity"),
        ("by words alone, BM25", "words"),
        ("by reciprocal ranks", "ranks"),
    ] {
        recall(&session, name, by).await?;
    }
    find(&session, "later", "articles").await?;
    recall(&session, "later questions", "score").await?;
    find(&session, "later", "both").await?;
    recall(&session, "later questions, earlier ones among the documents", "score").await?;
    let begun = Instant::now();
    let call =
        "SELECT count(*) FROM answer(questions => (SELECT * FROM questions), documents => (SELECT * FROM articles))";
    rows(&session, call).await?;
    println!("200 questions, 72 articles, all embedded: {:.2} s", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn find(session: &Session, questions: &str, documents: &str) -> Result<()> {
    let sql = FOUND.replace("$questions", questions).replace("$documents", documents);
    rows(session, &sql).await.map(|_| ())
}

async fn recall(session: &Session, name: &str, by: &str) -> Result<()> {
    let found = rows(session, &RECALL.replace("$by", by)).await?;
    let recall = found.columns().iter().map(|column| format!("{:.3}", column.as_primitive::<Float64Type>().value(0)));
    println!("{name}: recall at 1, 3, 5, 10: {}", recall.collect::<Vec<_>>().join(" "));
    Ok(())
}

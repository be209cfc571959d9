//! `vector_search` over tables in memory; a stand-in for `embed` where texts are searched.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast as arrow_cast, concat_batches};
use arrow::datatypes::{Float32Type, Int64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::profile::centroid;
use crate::vectors::{FINGERPRINT_KEY, vector_type};

/// A text becomes (number of 'a', number of 'b').
#[derive(Debug, PartialEq, Eq, Hash)]
struct CountLetters {
    signature: Signature,
}

impl ScalarUDFImpl for CountLetters {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(vector_type(2))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = arrow_cast(&args.args[0].to_array(args.number_rows)?, &DataType::Utf8)?;
        let count = |text: &str, letter| Some(text.matches(letter).count() as f32);
        let rows =
            texts.as_string::<i32>().iter().map(|text| text.map(|text| vec![count(text, 'a'), count(text, 'b')]));
        Ok(ColumnarValue::Array(Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2))))
    }
}

fn context() -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(3).with_option_extension(DebutConfig::default());
    let context = SessionContext::new_with_config(config);
    context.register_udtf(CALLER.name, Arc::new(VectorSearch));
    context.register_udaf(centroid());
    let signature = Signature::one_of((1..4).map(TypeSignature::Any).collect(), Volatility::Immutable);
    context.register_udf(CountLetters { signature }.into());

    let metadata = [(MODEL_KEY, "letters@7"), (FINGERPRINT_KEY, "f00d")];
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("Title", DataType::Utf8, true),
        Field::new("vector", vector_type(2), true).with_metadata(metadata),
    ]));
    let batch = |ids: Vec<i64>, titles: Vec<Option<&str>>, vectors: Vec<Option<[f32; 2]>>| {
        let vectors = vectors.into_iter().map(|vector| vector.map(|vector| vector.map(Some)));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids)),
            Arc::new(StringArray::from(titles)),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2)),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let partitions = vec![
        vec![batch(vec![1, 2, 3], vec![Some("aab"), None, Some("b")], vec![Some([2.0, 1.0]), None, Some([0.0, 3.0])])],
        vec![batch(vec![4, 5], vec![Some("ab"), Some("")], vec![Some([-1.0, -1.0]), Some([0.0, 0.0])])],
        vec![batch(vec![], vec![], vec![])],
    ];
    context.register_table("items", Arc::new(MemTable::try_new(schema, partitions).unwrap())).unwrap();
    context
}

/// The ids and scores that a call finds.
async fn search(context: &SessionContext, arguments: &str) -> Vec<(i64, f32)> {
    let frame = context.sql(&format!("SELECT * FROM vector_search({arguments})")).await.unwrap();
    let batches = frame.collect().await.unwrap();
    let Some(first) = batches.first() else { return Vec::new() };
    let batch = concat_batches(&first.schema(), &batches).unwrap();
    let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().clone();
    let scores = batch.column_by_name("score").unwrap().as_primitive::<Float32Type>().clone();
    assert_eq!(scores.null_count(), 0, "{arguments}");
    ids.values().iter().copied().zip(scores.values().iter().copied()).collect()
}

fn assert_found(found: &[(i64, f32)], expected: &[(i64, f32)], what: &str) {
    assert_eq!(
        found.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        expected.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "{what}"
    );
    for ((_, found), (_, expected)) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{what}: {found} for {expected}");
    }
}

#[tokio::test]
async fn every_metric_best_first() {
    let context = context();
    let half = std::f32::consts::FRAC_1_SQRT_2;
    for (arguments, expected) in [
        ("'items', [0.0, 2.0], 10", vec![(3, 1.0), (1, 1.0 / 5.0_f32.sqrt()), (4, -half)]),
        ("'items', [0.0, 2.0], 1", vec![(3, 1.0)]),
        ("items, [0, 2], 2, vector, 'cosine'", vec![(3, 1.0), (1, 1.0 / 5.0_f32.sqrt())]),
        ("'public.items', [0, 2], 4, 'vector', 'inner_product'", vec![(3, 6.0), (1, 2.0), (5, 0.0), (4, -2.0)]),
        ("'items', [0, 0], 2, NULL, 'L2'", vec![(5, 0.0), (4, -(2.0_f32.sqrt()))]),
        ("'items', (SELECT vector FROM items WHERE id = 3), 1", vec![(3, 1.0)]),
        ("'items', NULL, 10, 'vector'", vec![]),
    ] {
        assert_found(&search(&context, arguments).await, &expected, arguments);
    }
}

#[tokio::test]
async fn all_columns_filters_and_joins() {
    let context = context();
    let frame = context.sql("SELECT * FROM vector_search('items', [1, 1], 3)").await.unwrap();
    let names: Vec<_> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "Title", "vector", "score"]);
    assert_eq!(frame.schema().field(3).data_type(), &DataType::Float32);
    let sql = "SELECT count(*) FROM vector_search('items', [1, 1], 2) AS s JOIN items USING (id) WHERE s.id <> 1";
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 1, "WHERE filters the rows that were found");
}

#[tokio::test]
async fn texts_are_embedded_with_the_model_of_the_column() {
    let context = context();
    assert_found(&search(&context, "'items', 'bb', 1").await, &[(3, 1.0)], "vector column");
    let frame = context.sql("SELECT * FROM vector_search('items', 'bb', 1)").await.unwrap();
    let plan = frame.logical_plan().to_string();
    assert!(plan.contains(r#"embed(Utf8("bb"), Utf8("letters@7"), Utf8("query"))"#), "{plan}");

    context.sql("SET debut.model = 'other'").await.unwrap();
    let found = search(&context, "'items', 'b', 10, 'Title', 'inner_product'").await;
    assert_eq!(found.len(), 4, "NULL texts have no vector: {found:?}");
    assert_eq!(found[3], (5, 0.0));
    let frame = context.sql("SELECT * FROM vector_search('items', 'b', 1, 'Title')").await.unwrap();
    let plan = frame.logical_plan().to_string();
    assert!(plan.contains(r#"embed(Utf8("b"), Utf8("other"), Utf8("query"))"#), "{plan}");
    assert!(plan.contains(r#"embed(items.Title, Utf8("other"))"#), "{plan}");
}

#[tokio::test]
async fn views_are_searched_and_the_plan_keeps_k_rows() {
    let context = context();
    context.sql("CREATE VIEW texts AS SELECT id, embed(\"Title\") AS v FROM items").await.unwrap();
    assert_found(&search(&context, "'texts', 'b', 1").await, &[(3, 1.0)], "view");
    let frame = context.sql("SELECT id, score FROM vector_search('items', [0, 2], 2)").await.unwrap();
    let plan = frame.into_optimized_plan().unwrap().to_string();
    assert!(plan.contains("fetch=2"), "{plan}");
    assert_eq!(plan.matches("cosine_distance(").count(), 1, "the distance is computed once: {plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn inside_a_runtime_of_many_threads() {
    assert_found(&search(&context(), "'items', [0, 2], 1").await, &[(3, 1.0)], "multi-thread");
}

#[tokio::test]
async fn mistakes_say_what_to_do() {
    let context = context();
    context.sql("CREATE VIEW scored AS SELECT vector, 1 AS score FROM items").await.unwrap();
    context.sql("CREATE VIEW two AS SELECT vector AS a, vector AS b FROM items").await.unwrap();
    context.sql("CREATE VIEW bare AS SELECT id, \"Title\" FROM items").await.unwrap();
    context.sql("CREATE VIEW ids AS SELECT id FROM items").await.unwrap();
    for (arguments, parts) in [
        ("'nowhere', [1, 2], 3", vec!["no table 'nowhere'", "items", "WITH query"]),
        ("'a.b.nowhere', [1, 2], 3", vec!["no table 'a.b.nowhere'"]),
        ("7, [1, 2], 3", vec!["the table is a name", "7"]),
        ("'items', [1, 2]", vec!["needs a table", "vector_search('table'"]),
        ("'items', [1, 2], 3, 'vector', 'l2', 1", vec!["at most five"]),
        ("'items', [1, 2], 0", vec!["positive integer", "0"]),
        ("'items', [1, 2], -1", vec!["positive integer", "-1"]),
        ("'items', [1, 2], 2.5", vec!["positive integer", "2.5"]),
        ("'items', [1, 2], '3'", vec!["positive integer", "3"]),
        ("'items', [1, 2, 3], 3", vec!["cosine_distance: the vectors have 2 and 3 dimensions"]),
        ("'items', 5, 3", vec!["compares vectors", "Int64"]),
        ("'items', title, 3", vec!["not the column title", "join"]),
        ("'items', $1, 3", vec!["parameter $1"]),
        ("'items', [1, 2], 3, 'nothing'", vec!["no column 'nothing'", "'Title'", "'vector'"]),
        ("'items', [1, 2], 3, 'id'", vec!["column 'id' is Int64", "vectors"]),
        ("'items', [1, 2], 3, 'vector', 'hamming'", vec!["'cosine', 'inner_product' or 'l2'", "hamming"]),
        ("'scored', [1, 2], 3", vec!["'score' already", "view"]),
        ("'two', [1, 2], 3", vec!["several columns", "'a', 'b'"]),
        ("'bare', [1, 2], 3", vec!["no column of vectors", "'Title'"]),
        ("'ids', [1, 2], 3", vec!["no column of vectors or text", "'id'"]),
    ] {
        let message = context.sql(&format!("SELECT * FROM vector_search({arguments})")).await.unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{arguments}: {message}");
    }
    let bare = SessionContext::new();
    bare.register_udtf(CALLER.name, Arc::new(VectorSearch));
    bare.sql("CREATE TABLE t AS SELECT arrow_cast([1, 2], 'FixedSizeList(2 x Float32)') AS v").await.unwrap();
    let message = bare.sql("SELECT * FROM vector_search('t', 'text', 3)").await.unwrap_err().to_string();
    assert!(message.contains("no function embed"), "{message}");
    assert_eq!(bare.sql("SELECT * FROM vector_search('t', [1, 2], 3)").await.unwrap().count().await.unwrap(), 1);
}

#[tokio::test]
async fn files_are_searched_by_their_path() {
    let folder = std::env::temp_dir().join(format!("debut-vector-search-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("items.parquet").display().to_string();
    // DataFusion drops the metadata of Parquet columns unless it is told to keep it.
    let config = SessionConfig::new().set_bool("datafusion.execution.parquet.skip_metadata", false);
    let files = SessionContext::new_with_config(config).enable_url_table();
    files.register_udtf(CALLER.name, Arc::new(VectorSearch));
    files.register_table("items", context().table_provider("items").await.unwrap()).unwrap();
    files.sql(&format!("COPY items TO '{path}'")).await.unwrap().collect().await.unwrap();
    assert_found(&search(&files, &format!("'{path}', [0, 2], 1")).await, &[(3, 1.0)], "file");
    let frame = files.sql(&format!("SELECT vector FROM vector_search('{path}', [0, 2], 1)")).await.unwrap();
    assert_eq!(frame.schema().field(0).metadata()[MODEL_KEY], "letters@7");
    for missing in ["nowhere", "nowhere.parquet"] {
        let sql = format!("SELECT * FROM vector_search('{missing}', [0, 2], 1)");
        let message = files.sql(&sql).await.unwrap_err().to_string();
        assert!(message.contains(&format!("no table '{missing}'")), "{message}");
    }
    std::fs::write(&path, "not a file of this kind").unwrap();
    let message =
        files.sql(&format!("SELECT * FROM vector_search('{path}', [0, 2], 1)")).await.unwrap_err().to_string();
    assert!(message.contains(&path) && message.contains("Corrupt footer"), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_order_survives_many_batches() {
    let context = context();
    let sql = "CREATE TABLE many AS SELECT value AS id, \
               arrow_cast([1.0, (value * 7919 % 30011) / 30011.0], 'FixedSizeList(2 x Float32)') AS v \
               FROM generate_series(1, 30000)";
    context.sql(sql).await.unwrap().collect().await.unwrap();
    let found = search(&context, "'many', [0.0, 1.0], 20000").await;
    assert_eq!(found.len(), 20000);
    assert!(found.is_sorted_by(|a, b| a.1 >= b.1), "best first");
    let worst = found.last().unwrap().1;
    let all = search(&context, "'many', [0.0, 1.0], 100000").await;
    assert_eq!(all.len(), 30000);
    assert!(all[20000..].iter().all(|(_, score)| *score <= worst));
}

#[test]
fn the_documentation_has_an_example() {
    assert!(documentation().sql_example.as_deref().unwrap_or_default().contains("FROM vector_search("));
    assert_eq!(documentation().arguments.as_ref().map(Vec::len), Some(5));
}

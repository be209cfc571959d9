//! The distance functions through SQL: types, NULLs, slices, constants and errors.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::*;
use crate::vectors::{FINGERPRINT_KEY, MODEL_KEY, vector_type};

fn context() -> SessionContext {
    let context = SessionContext::new();
    for function in [cosine_distance(), inner_product(), l2_distance()] {
        context.register_udf(function);
    }
    context
}

/// Registers a table of one vector column `v`, in one partition a batch.
fn register(context: &SessionContext, name: &str, field: Field, batches: Vec<ArrayRef>) {
    let schema = Arc::new(Schema::new(vec![field]));
    let partitions = batches
        .into_iter()
        .map(|vectors| vec![RecordBatch::try_new(Arc::clone(&schema), vec![vectors]).unwrap()])
        .collect();
    let table = MemTable::try_new(schema, partitions).unwrap();
    context.register_table(name, Arc::new(table)).unwrap();
}

fn vectors(rows: Vec<Option<Vec<Option<f32>>>>, width: i32) -> ArrayRef {
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, width))
}

fn field_of_model(model: &str) -> Field {
    let metadata = [(MODEL_KEY, format!("{model}@1")), (FINGERPRINT_KEY, format!("{model} fingerprint"))];
    Field::new("v", vector_type(2), true)
        .with_metadata(metadata.into_iter().map(|(key, value)| (key.to_string(), value)).collect::<HashMap<_, _>>())
}

async fn column(context: &SessionContext, sql: &str) -> ArrayRef {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let schema = batches[0].schema();
    let batch = arrow::compute::concat_batches(&schema, &batches).unwrap();
    Arc::clone(batch.column(0))
}

async fn error(context: &SessionContext, sql: &str) -> String {
    match context.sql(sql).await {
        Err(error) => error.to_string(),
        Ok(frame) => frame.collect().await.unwrap_err().to_string(),
    }
}

fn example() -> ArrayRef {
    vectors(
        vec![
            Some(vec![Some(3.0), Some(4.0)]),
            None,
            Some(vec![Some(1.0), None]),
            Some(vec![Some(0.0), Some(0.0)]),
            Some(vec![Some(-3.0), Some(-4.0)]),
        ],
        2,
    )
}

#[tokio::test]
async fn constants_on_either_side_and_columns() {
    let context = context();
    register(&context, "t", Field::new("v", vector_type(2), true), vec![example()]);
    for (sql, expected) in [
        ("cosine_distance(v, [6.0, 8.0])", [Some(0.0), None, None, None, Some(2.0)]),
        ("cosine_distance([6.0, 8.0], v)", [Some(0.0), None, None, None, Some(2.0)]),
        ("cosine_distance(v, v)", [Some(0.0), None, None, None, Some(0.0)]),
        ("inner_product(v, [1, 2])", [Some(11.0), None, None, Some(0.0), Some(-11.0)]),
        ("dot_product(v, v)", [Some(25.0), None, None, Some(0.0), Some(25.0)]),
        (
            "l2_distance(v, arrow_cast([0, 0], 'FixedSizeList(2 x Float64)'))",
            [Some(5.0), None, None, Some(0.0), Some(5.0)],
        ),
        ("l2_distance(NULL, v)", [None; 5]),
        ("l2_distance(v, [1.0, NULL])", [None; 5]),
    ] {
        let found = column(&context, &format!("SELECT {sql} FROM t")).await;
        assert_eq!(found.data_type(), &DataType::Float32, "{sql}");
        let found: Vec<Option<f32>> = found.as_primitive::<Float32Type>().iter().collect();
        for (found, expected) in found.iter().zip(expected) {
            let close = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-6_f32,
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(close, "{sql}: {found:?} for {expected:?}");
        }
        assert_eq!(found.len(), 5, "{sql}");
    }
}

#[tokio::test]
async fn lists_of_doubles_and_integers_stay_in_double() {
    let context = context();
    for (sql, expected) in [
        ("inner_product([1, 2], [3, 4])", Some(11.0)),
        ("cosine_distance([1.0, 0.0], [0.0, 1.0])", Some(1.0)),
        ("l2_distance(arrow_cast([0.0, 0.0], 'LargeList(Float64)'), [3, 4])", Some(5.0)),
        ("cosine_distance([0.0, 0.0], [0.0, 1.0])", None),
        ("cosine_distance([1.0], NULL)", None),
        ("cosine_distance(NULL, NULL)", None),
    ] {
        let found = column(&context, &format!("SELECT {sql}")).await;
        assert_eq!(found.data_type(), &DataType::Float64, "{sql}");
        assert_eq!(found.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [expected], "{sql}");
    }
}

#[tokio::test]
async fn slices_partitions_and_empty_batches() {
    let context = context();
    let field = Field::new("v", vector_type(2), true);
    register(&context, "t", field.clone(), vec![example().slice(3, 2), example().slice(0, 1), example().slice(2, 0)]);
    let found = column(&context, "SELECT l2_distance(v, [0.0, 0.0]) AS d FROM t ORDER BY d").await;
    assert_eq!(found.as_primitive::<Float32Type>().values(), &[0.0, 5.0, 5.0]);
    register(&context, "empty", field, vec![example().slice(0, 0)]);
    assert_eq!(column(&context, "SELECT count(l2_distance(v, v)) FROM empty").await.len(), 1);
}

#[tokio::test]
async fn widths_must_match() {
    let context = context();
    register(&context, "t", Field::new("v", vector_type(2), true), vec![example()]);
    register(&context, "w", Field::new("v", vector_type(3), true), vec![vectors(vec![], 3)]);
    register(
        &context,
        "lists",
        Field::new_list("v", Field::new_list_field(DataType::Float32, true), true),
        vec![Arc::new(arrow::array::ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vec![Some(1.0), Some(2.0)]),
            Some(vec![Some(1.0)]),
        ]))],
    );
    for sql in [
        "SELECT cosine_distance(t.v, w.v) FROM t CROSS JOIN w",
        "SELECT cosine_distance(v, [1.0, 2.0, 3.0]) FROM t",
        "SELECT cosine_distance([1.0, 2.0, 3.0], [1.0, 2.0])",
    ] {
        let message = error(&context, sql).await;
        assert!(message.contains("cosine_distance: the vectors have"), "{sql}: {message}");
        assert!(message.contains('3') && message.contains('2') && message.contains("same number"), "{sql}: {message}");
    }
    let message = error(&context, "SELECT l2_distance(t.v, lists.v) FROM t CROSS JOIN lists").await;
    assert!(message.contains("l2_distance: the vectors have 2 and 1 dimensions"), "{message}");
}

#[tokio::test]
async fn only_vectors_can_be_compared() {
    let context = context();
    for sql in
        ["SELECT l2_distance('a', [1.0])", "SELECT l2_distance(['a'], [1.0])", "SELECT l2_distance([[1.0]], [1.0])"]
    {
        let message = error(&context, sql).await;
        assert!(
            message.contains("l2_distance compares vectors") && message.contains("embed(text)"),
            "{sql}: {message}"
        );
    }
    assert!(error(&context, "SELECT l2_distance([1.0])").await.contains("l2_distance"));
}

#[tokio::test]
async fn models_must_match() {
    let context = context();
    for (name, model) in [("a", "minilm"), ("b", "e5"), ("c", "minilm")] {
        register(&context, name, field_of_model(model), vec![example()]);
    }
    let message = error(&context, "SELECT inner_product(a.v, b.v) FROM a CROSS JOIN b").await;
    assert!(message.contains("minilm@1") && message.contains("e5@1"), "{message}");
    let same = column(&context, "SELECT count(*) FROM a CROSS JOIN c WHERE inner_product(a.v, c.v) IS NOT NULL").await;
    assert_eq!(same.as_primitive::<arrow::datatypes::Int64Type>().value(0), 9);
}

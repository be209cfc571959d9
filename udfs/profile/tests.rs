//! `profile` and `centroid`: the definition, partial states, order, and SQL.
#![allow(clippy::unwrap_used)]

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, RecordBatch};
use arrow::compute::{concat, concat_batches, take};
use arrow::datatypes::{Float32Type, Float64Type, Schema, UInt32Type};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::EmitTo;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::vectors::{FINGERPRINT_KEY, MODEL_KEY};

const WIDTH: usize = 5;

/// `vector, weight, center` with NULLs in each, from a fixed linear congruential sequence.
fn history(rows: usize) -> Vec<ArrayRef> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut vectors = |every: usize| -> ArrayRef {
        let rows: Vec<Option<Vec<Option<f32>>>> =
            (0..rows).map(|row| (row % every != 3).then(|| (0..WIDTH).map(|_| Some(next())).collect())).collect();
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, WIDTH as i32))
    };
    let (vector, center) = (vectors(11), vectors(13));
    let weight = (0..rows).map(|row| (row % 7 != 2).then_some((row % 5) as f64)).collect::<Float64Array>();
    vec![vector, Arc::new(weight), center]
}

/// The definition, read off the arrays without any of the code under test.
fn reference(history: &[ArrayRef], rows: impl Iterator<Item = usize>) -> Option<Vec<f64>> {
    let [vectors, centers] = [&history[0], &history[2]].map(|side| side.as_fixed_size_list());
    let weights = history[1].as_primitive::<Float64Type>();
    let mut sum = [0.0; WIDTH];
    for row in rows.filter(|row| history.iter().all(|column| column.is_valid(*row))) {
        let (v, c) = (vectors.value(row), centers.value(row));
        for (i, sum) in sum.iter_mut().enumerate() {
            let difference = f64::from(v.as_primitive::<Float32Type>().value(i))
                - f64::from(c.as_primitive::<Float32Type>().value(i));
            *sum += weights.value(row) * difference;
        }
    }
    let length = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    (length > 0.0).then(|| sum.iter().map(|x| x / length).collect())
}

fn assert_close(found: &ArrayRef, row: usize, expected: Option<&[f64]>) {
    let found = found.as_fixed_size_list();
    assert_eq!(found.is_valid(row), expected.is_some(), "row {row}");
    if let Some(expected) = expected {
        for (found, expected) in found.value(row).as_primitive::<Float32Type>().values().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "row {row}: {found} for {expected}");
        }
    }
}

fn accumulator() -> Sums {
    Sums::new("profile", Finish::Normalized, WIDTH, 1)
}

fn rows_of(history: &[ArrayRef], rows: &[u32]) -> Vec<ArrayRef> {
    let rows = arrow::array::PrimitiveArray::<UInt32Type>::from(rows.to_vec());
    history.iter().map(|column| take(column, &rows, None).unwrap()).collect()
}

#[test]
fn any_split_and_any_order_give_the_definition() {
    let history = history(200);
    let expected = reference(&history, 0..200);
    for parts in [1_u32, 2, 3, 50, 200] {
        // Rows are dealt out in turn, last first: another order and another split each time.
        let mut merged = accumulator();
        for part in 0..parts {
            let rows: Vec<u32> = (0..200).rev().filter(|row| row % parts == part).collect();
            let mut partial = accumulator();
            Accumulator::update_batch(&mut partial, &rows_of(&history, &rows)).unwrap();
            let state = Accumulator::state(&mut partial).unwrap();
            let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().unwrap()).collect();
            Accumulator::merge_batch(&mut merged, &state).unwrap();
        }
        let found = Accumulator::evaluate(&mut merged).unwrap();
        assert_close(&found.to_array().unwrap(), 0, expected.as_deref());
        assert_eq!(Accumulator::evaluate(&mut merged).unwrap(), found, "evaluating leaves the state alone");
    }
}

#[test]
fn groups_with_filter_early_emission_and_converted_states() {
    let history = history(120);
    let groups: Vec<usize> = (0..120).map(|row| row % 4).collect();
    let filter = BooleanArray::from(
        (0..120).map(|row| if row % 9 == 0 { None } else { Some(row % 10 != 1) }).collect::<Vec<_>>(),
    );
    let passing = |group: usize| (0..120).filter(move |row| row % 4 == group && row % 9 != 0 && row % 10 != 1);

    let mut direct = Sums::new("profile", Finish::Normalized, WIDTH, 0);
    GroupsAccumulator::update_batch(&mut direct, &history, &groups, Some(&filter), 6).unwrap();
    let first = GroupsAccumulator::evaluate(&mut direct, EmitTo::First(3)).unwrap();
    let rest = GroupsAccumulator::evaluate(&mut direct, EmitTo::All).unwrap();
    assert_eq!((first.len(), rest.len()), (3, 3));
    let direct = concat(&[&first, &rest]).unwrap();

    let mut converted = Sums::new("profile", Finish::Normalized, WIDTH, 0);
    let states = converted.convert_to_state(&history, Some(&filter)).unwrap();
    assert_eq!(states.iter().map(|state| state.data_type().clone()).collect::<Vec<_>>(), state_types(WIDTH));
    GroupsAccumulator::merge_batch(&mut converted, &states, &groups, 6).unwrap();
    let states = GroupsAccumulator::state(&mut converted, EmitTo::All).unwrap();
    GroupsAccumulator::merge_batch(&mut converted, &states, &[0, 1, 2, 3, 4, 5], 6).unwrap();
    let converted = GroupsAccumulator::evaluate(&mut converted, EmitTo::All).unwrap();

    for found in [&direct, &converted] {
        for group in 0..6 {
            let expected = if group < 4 { reference(&history, passing(group)) } else { None };
            assert_close(found, group, expected.as_deref());
        }
    }
}

#[test]
fn weights_must_be_finite_and_not_negative() {
    for weight in [-1.0, f64::NAN, f64::INFINITY] {
        let vector = history(1)[0].slice(0, 1);
        let arguments = [vector, Arc::new(Float64Array::from(vec![weight])) as ArrayRef];
        let error = Accumulator::update_batch(&mut accumulator(), &arguments).unwrap_err().to_string();
        assert!(error.contains(&format!("a weight is {weight}")), "{error}");
    }
}

/// Purchases `(customer, v, w)` in three partitions; two targets so that states are merged.
fn context() -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    context.register_udaf(profile());
    context.register_udaf(centroid());
    let metadata =
        [(MODEL_KEY, "m@1"), (FINGERPRINT_KEY, "f00d")].map(|(key, value)| (key.to_string(), value.to_string()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("customer", DataType::Int64, true),
        Field::new("v", vector_type(2), true).with_metadata(metadata.into()),
        Field::new("w", DataType::Int64, true),
    ]));
    let batch = |customers: Vec<i64>, rows: Vec<Option<Vec<Option<f32>>>>, weights: Vec<Option<i64>>| {
        let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(customers)), Arc::new(vectors), Arc::new(Int64Array::from(weights))];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    };
    let v = |x: f32, y: f32| Some(vec![Some(x), Some(y)]);
    let partitions = vec![
        vec![batch(vec![1, 1, 3], vec![v(6.0, 0.0), v(0.0, 4.0), None], vec![Some(1), Some(2), Some(1)])],
        vec![batch(vec![2, 1], vec![v(2.0, 4.0), v(9.0, 9.0)], vec![Some(1), None])],
        vec![batch(vec![], vec![], vec![])],
    ];
    context.register_table("t", Arc::new(MemTable::try_new(schema, partitions).unwrap())).unwrap();
    context
}

async fn query(context: &SessionContext, sql: &str) -> RecordBatch {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn row(batch: &RecordBatch, column: &str, row: usize) -> Option<Vec<f32>> {
    let vectors = batch.column_by_name(column).unwrap().as_fixed_size_list();
    vectors.is_valid(row).then(|| vectors.value(row).as_primitive::<Float32Type>().values().to_vec())
}

#[tokio::test]
async fn profiles_in_sql() {
    let context = context();
    let batch = query(
        &context,
        "SELECT customer, profile(v, w) AS p, centroid(v) AS c FROM t GROUP BY customer ORDER BY customer",
    )
    .await;
    assert_eq!(row(&batch, "p", 0), Some(vec![0.6, 0.8]));
    assert_eq!(row(&batch, "c", 0), Some(vec![5.0, 13.0 / 3.0]));
    assert_eq!(row(&batch, "c", 1), Some(vec![2.0, 4.0]));
    assert_eq!((row(&batch, "p", 2), row(&batch, "c", 2)), (None, None));
    let schema = batch.schema();
    for column in ["p", "c"] {
        assert_eq!(schema.field_with_name(column).unwrap().metadata()[MODEL_KEY], "m@1", "{column}");
    }
    let batch = query(&context, "SELECT profile(v) AS p, centroid(v) AS c FROM t WHERE customer > 3").await;
    assert_eq!((batch.num_rows(), row(&batch, "p", 0), row(&batch, "c", 0)), (1, None, None));
}

#[tokio::test]
async fn the_centre_is_a_subquery() {
    let context = context();
    // Without customer 1's unweighted row, the centre of (6,0), (0,4), (2,4) is (8/3, 8/3).
    let batch = query(
        &context,
        "SELECT customer, profile(v, w, (SELECT centroid(v) FROM t WHERE w IS NOT NULL)) AS p \
         FROM t GROUP BY customer ORDER BY customer",
    )
    .await;
    // (6,0) + 2 (0,4) - 3 (8/3, 8/3) = (-2, 0); (2,4) - (8/3, 8/3) = (-2/3, 4/3).
    for (found, expected) in [(row(&batch, "p", 0), [-1.0, 0.0]), (row(&batch, "p", 1), [-0.447_213_6, 0.894_427_2])] {
        let found = found.unwrap();
        assert!((found[0] - expected[0]).abs() < 1e-6_f32 && (found[1] - expected[1]).abs() < 1e-6, "{found:?}");
    }
    assert_eq!(row(&batch, "p", 2), None);
    // A history that is its own centre points nowhere.
    let batch = query(
        &context,
        "SELECT profile(v, 1, arrow_cast([2, 4], 'FixedSizeList(2 x Float32)')) AS p FROM t WHERE customer = 2",
    )
    .await;
    assert_eq!(row(&batch, "p", 0), None);
}

#[tokio::test]
async fn windows_and_mistakes() {
    let context = context();
    let batch = query(&context, "SELECT centroid(v) OVER (PARTITION BY customer) AS c FROM t WHERE customer = 2").await;
    assert_eq!(row(&batch, "c", 0), Some(vec![2.0, 4.0]));
    for (sql, parts) in [
        ("SELECT profile('x') FROM t", ["profile reads vectors", "embed(text)"]),
        ("SELECT profile([1.0, 2.0]) FROM t", ["how wide", "arrow_cast"]),
        ("SELECT profile(v, 'heavy') FROM t", ["the weight is a number", "Utf8"]),
        ("SELECT profile(v, w, arrow_cast([1], 'FixedSizeList(1 x Float32)')) FROM t", ["2 values", "has 1"]),
        ("SELECT centroid(v, w) FROM t", ["2 arguments", "centroid(vector)"]),
        ("SELECT profile(v, -w) FROM t", ["a weight is -1", "not negative"]),
        ("SELECT profile(DISTINCT v, w) FROM t", ["DISTINCT", "subquery"]),
    ] {
        let message = match context.sql(sql).await {
            Err(error) => error.to_string(),
            Ok(frame) => frame.collect().await.unwrap_err().to_string(),
        };
        assert!(parts.iter().all(|part| message.contains(part)), "{sql}: {message}");
    }
}

#[test]
fn empty_states_are_null() {
    let value = Accumulator::evaluate(&mut accumulator()).unwrap();
    assert!(value.is_null());
    assert_eq!(value.data_type(), vector_type(WIDTH));
    assert!(matches!(value, ScalarValue::FixedSizeList(_)));
}

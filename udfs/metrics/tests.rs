//! The metrics' kernels against scikit-learn and their definitions, and the accumulators: any split, filters, early
//! emission, memory. What SQL sees is in `tests/slt/metrics.slt`.
#![allow(clippy::unwrap_used)]

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::lit;
use std::sync::Arc;

use super::auc::auc;
use super::calibration::{Binning, Outcome, bins, calibration_error, log_loss};
use super::ndcg::ndcg;
use super::recall_at::recall;
use super::*;

fn outcomes(truths: &[f64], scores: &[f64]) -> Vec<Outcome> {
    truths.iter().zip(scores).map(|(truth, score)| Outcome { truth: *truth, score: *score }).collect()
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
}

/// The values are those of scikit-learn 1.9.1: `roc_auc_score`, `ndcg_score`.
#[test]
fn kernels_are_scikit_learn() {
    let labels = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let scores = [0.1, 0.9, 0.4, 0.4, 0.35, 0.4, -2.0];
    assert_close(auc(&mut outcomes(&labels, &scores)), AUC);
    let relevances = [3.0, 2.0, 0.0, 1.0, 0.5, 0.0, 2.0];
    for (k, expected) in NDCG {
        assert_close(ndcg(&mut outcomes(&relevances, &scores), k), expected);
    }
}
const AUC: f64 = 0.75;
const NDCG: [(usize, f64); 5] = [
    (1, 0.666_666_666_666_666_6),
    (2, 0.518_625_711_183_734_1),
    (3, 0.451_736_991_703_617_36),
    (5, 0.461_090_578_678_128_6),
    (100, 0.755_908_671_246_533_4),
];

#[test]
fn ties_are_the_mean_over_their_orders() {
    // Places 2, 3 and 4 are tied: recall and NDCG at 2 are the mean of the three that may be second.
    let truths = [0.0, 2.0, 1.0, 0.0, 1.0];
    let tied = [0.9, 0.5, 0.5, 0.5, 0.1];
    let (mut mean_recall, mut mean_ndcg) = (0.0, 0.0);
    for second in 1..4 {
        let mut scores = tied;
        scores[second] = 0.6;
        mean_recall += recall(&mut outcomes(&truths, &scores), 2).unwrap() / 3.0;
        mean_ndcg += ndcg(&mut outcomes(&truths, &scores), 2).unwrap() / 3.0;
    }
    assert_close(recall(&mut outcomes(&truths, &tied), 2), mean_recall);
    assert_close(ndcg(&mut outcomes(&truths, &tied), 2), mean_ndcg);
    // A zero is a zero, whatever its sign.
    assert_close(auc(&mut outcomes(&[1.0, 0.0], &[-0.0, 0.0])), 0.5);
    assert_close(recall(&mut outcomes(&[1.0, 0.0], &[-0.0, 0.0]), 1), 0.5);
    assert_close(ndcg(&mut outcomes(&[1.0, 0.0], &[-0.0, 0.0]), 1), 0.5);
}

#[test]
fn what_is_not_defined() {
    for labels in [[1.0, 1.0], [0.0, 0.0]] {
        assert_eq!(auc(&mut outcomes(&labels, &[0.1, 0.2])), None);
    }
    assert_eq!(ndcg(&mut outcomes(&[0.0, 0.0], &[0.1, 0.2]), 2), None);
    assert_eq!(recall(&mut outcomes(&[0.0, -1.0], &[0.1, 0.2]), 2), None);
    assert_eq!((auc(&mut []), ndcg(&mut [], 1), recall(&mut [], 1)), (None, None, None));
    assert_close(auc(&mut outcomes(&[1.0, 0.0], &[f64::INFINITY, f64::NEG_INFINITY])), 1.0);
}

/// `label, p` with NULLs and ties in both, from a fixed linear congruential sequence.
fn predictions(rows: usize) -> [ArrayRef; 2] {
    let mut state = 11_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let labels: Float64Array = (0..rows).map(|row| (row % 11 != 3).then(|| next(2) as f64)).collect();
    let scores: Float64Array = (0..rows).map(|row| (row % 7 != 2).then(|| next(40) as f64 / 40.0)).collect();
    [Arc::new(labels), Arc::new(scores)]
}

/// By the kernels, of these rows.
fn expected(name: &str, predictions: &[ArrayRef; 2], rows: impl Iterator<Item = usize>) -> Option<f64> {
    let [labels, scores] = predictions.each_ref().map(|column| column.as_primitive::<Float64Type>());
    let mut rows: Vec<Outcome> = rows
        .filter(|row| labels.is_valid(*row) && scores.is_valid(*row))
        .map(|row| Outcome { truth: labels.value(row), score: scores.value(row) })
        .collect();
    match name {
        "auc" => auc(&mut rows),
        "log_loss" => {
            (!rows.is_empty()).then(|| rows.iter().map(|row| log_loss(*row)).sum::<f64>() / rows.len() as f64)
        }
        "calibration_error" => calibration_error(&bins(&mut rows, Binning::EqualCount(4))),
        "ndcg" => ndcg(&mut rows, 4),
        _ => recall(&mut rows, 4),
    }
}

/// Calls `test` with the arguments of a call of each metric, with a k or a number of bins of 4.
fn with_each(test: impl Fn(&AggregateUDF, AccumulatorArgs)) {
    let number = |name: &str| Arc::new(Field::new(name, DataType::Float64, true));
    let (schema, returned) = (Schema::empty(), number("metric"));
    for function in aggregates() {
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = vec![lit(0.0), lit(0.0)];
        if !matches!(function.name(), "auc" | "log_loss") {
            exprs.push(lit(4_i64));
        }
        let expr_fields: Vec<_> = exprs.iter().map(|_| number("argument")).collect();
        test(
            &function,
            AccumulatorArgs {
                return_field: Arc::clone(&returned),
                schema: &schema,
                ignore_nulls: false,
                order_bys: &[],
                is_reversed: false,
                name: function.name(),
                is_distinct: false,
                exprs: &exprs,
                expr_fields: &expr_fields,
            },
        );
    }
}

fn single(function: &AggregateUDF, args: &AccumulatorArgs) -> Box<dyn Accumulator> {
    function.accumulator(copied(args)).unwrap()
}

fn grouped(function: &AggregateUDF, args: &AccumulatorArgs) -> Box<dyn GroupsAccumulator> {
    assert!(function.groups_accumulator_supported(copied(args)));
    function.create_groups_accumulator(copied(args)).unwrap()
}

fn copied<'a>(args: &AccumulatorArgs<'a>) -> AccumulatorArgs<'a> {
    AccumulatorArgs { return_field: Arc::clone(&args.return_field), ..*args }
}

#[track_caller]
fn assert_same(name: &str, found: Option<f64>, expected: Option<f64>) {
    let same = match (found, expected) {
        // Sums may be added up in another order.
        (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
        (found, expected) => found == expected,
    };
    assert!(same, "{name}: {found:?} for {expected:?}");
}

#[test]
fn any_split_and_any_order_give_the_definition() {
    let predictions = predictions(200);
    with_each(|function, args| {
        for parts in [1_u32, 2, 3, 50, 200] {
            // Rows are dealt out in turn, last first: another order and another split each time.
            let mut merged = single(function, &args);
            for part in 0..parts {
                let rows: UInt32Array = (0..200).rev().filter(|row| row % parts == part).collect::<Vec<u32>>().into();
                let rows: Vec<ArrayRef> = predictions.iter().map(|column| take(column, &rows, None).unwrap()).collect();
                let mut partial = single(function, &args);
                partial.update_batch(&rows).unwrap();
                let state = partial.state().unwrap();
                let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().unwrap()).collect();
                merged.merge_batch(&state).unwrap();
            }
            let ScalarValue::Float64(found) = merged.evaluate().unwrap() else { unreachable!() };
            assert_same(function.name(), found, expected(function.name(), &predictions, 0..200));
            assert_eq!(merged.evaluate().unwrap(), ScalarValue::Float64(found), "evaluating leaves the state alone");
        }
        assert_eq!(single(function, &args).evaluate().unwrap(), ScalarValue::Float64(None), "an empty group");
    });
}

#[test]
fn groups_with_filter_early_emission_and_converted_states() {
    let predictions = predictions(120);
    let groups: Vec<usize> = (0..120).map(|row| row % 4).collect();
    let filter = BooleanArray::from(
        (0..120).map(|row| if row % 9 == 0 { None } else { Some(row % 10 != 1) }).collect::<Vec<_>>(),
    );
    let passing = |group: usize| (0..120).filter(move |row| row % 4 == group && row % 9 != 0 && row % 10 != 1);
    with_each(|function, args| {
        let mut direct = grouped(function, &args);
        direct.update_batch(&predictions, &groups, Some(&filter), 6).unwrap();
        let before = direct.size();
        let first = direct.evaluate(EmitTo::First(3)).unwrap();
        assert!(direct.size() <= before);
        let rest = direct.evaluate(EmitTo::All).unwrap();
        assert_eq!((first.len(), rest.len()), (3, 3));
        let direct = concat(&[&first, &rest]).unwrap();

        let mut converted = grouped(function, &args);
        let states = converted.convert_to_state(&predictions, Some(&filter)).unwrap();
        let fields = function
            .state_fields(StateFieldsArgs {
                name: "metric",
                input_fields: args.expr_fields,
                return_field: Arc::clone(&args.return_field),
                ordering_fields: &[],
                is_distinct: false,
            })
            .unwrap();
        let types = |arrays: &[ArrayRef]| arrays.iter().map(|state| state.data_type().clone()).collect::<Vec<_>>();
        assert_eq!(types(&states), fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>());
        converted.merge_batch(&states, &groups, 6).unwrap();
        // Three groups are passed on early, and the other three behind them.
        let early = converted.state(EmitTo::First(3)).unwrap();
        let late = converted.state(EmitTo::All).unwrap();
        converted.merge_batch(&late, &[3, 4, 5], 6).unwrap();
        converted.merge_batch(&early, &[0, 1, 2], 6).unwrap();
        let converted = converted.evaluate(EmitTo::All).unwrap();

        for found in [&direct, &converted] {
            let found = found.as_primitive::<Float64Type>();
            for group in 0..6 {
                let expected = if group < 4 { expected(function.name(), &predictions, passing(group)) } else { None };
                assert_same(function.name(), found.is_valid(group).then(|| found.value(group)), expected);
            }
        }
    });
}

#[test]
fn memory_is_that_of_the_rows() {
    let predictions = predictions(5000);
    let groups = vec![0; 5000];
    with_each(|function, args| {
        let mut accumulator = grouped(function, &args);
        accumulator.update_batch(&predictions, &groups, None, 1).unwrap();
        let rows = expected_rows(&predictions);
        let least = if function.name() == "log_loss" { 16 } else { rows * (size_of::<Outcome>() + size_of::<usize>()) };
        let size = accumulator.size();
        assert!((least..3 * least + 200).contains(&size), "{}: {size} for {least}", function.name());
    });
}

fn expected_rows(predictions: &[ArrayRef; 2]) -> usize {
    (0..predictions[0].len()).filter(|row| predictions.iter().all(|column| column.is_valid(*row))).count()
}

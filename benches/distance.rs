//! The distance functions against DataFusion's of the same names, on the same columns.
//!
//! One vector against a column, and a column against another, over the widths of common models. DataFusion's functions
//! read lists of doubles; the cast that its planner puts in front of them is part of its time, as it is in a query.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, FixedSizeListArray, Float32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::functions_nested::{cosine_distance::cosine_distance_udf, inner_product::inner_product_udf};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use debut_udfs::distance::{cosine_distance, inner_product, l2_distance};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROWS: usize = 8192;

fn vectors(width: i32, seed: u64) -> Result<ArrayRef> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values: Float32Array = (0..ROWS * width as usize).map(|_| Some(random.random::<f32>() - 0.5)).collect();
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    Ok(Arc::new(FixedSizeListArray::try_new(item, width, Arc::new(values), None)?))
}

fn invoke(function: &ScalarUDF, sides: [ColumnarValue; 2], result: &DataType) -> Result<ColumnarValue> {
    function.invoke_with_args(ScalarFunctionArgs {
        arg_fields: sides.iter().map(|side| Arc::new(Field::new("v", side.data_type(), true))).collect(),
        args: sides.into(),
        number_rows: ROWS,
        return_field: Arc::new(Field::new("d", result.clone(), true)),
        config_options: Arc::new(ConfigOptions::default()),
    })
}

fn as_doubles(side: &ColumnarValue) -> Result<ColumnarValue> {
    let doubles = DataType::new_list(DataType::Float64, true);
    Ok(match side {
        ColumnarValue::Array(array) => ColumnarValue::Array(cast(array, &doubles)?),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.cast_to(&doubles)?),
    })
}

fn measure(criterion: &mut Criterion) -> Result<()> {
    let ours = [cosine_distance(), inner_product(), l2_distance()];
    let theirs = [cosine_distance_udf(), inner_product_udf()];
    for width in [384, 768, 1024] {
        let (column, other) = (vectors(width, 1)?, vectors(width, 2)?);
        let one = ColumnarValue::Scalar(ScalarValue::try_from_array(&other, 0)?);
        for (shape, side) in [("constant", one), ("column", ColumnarValue::Array(other))] {
            let mut group = criterion.benchmark_group(format!("distance/{shape}"));
            group.throughput(Throughput::Elements(ROWS as u64));
            let sides = || [ColumnarValue::Array(Arc::clone(&column)), side.clone()];
            for function in &ours {
                group.bench_function(BenchmarkId::new(function.name(), width), |bencher| {
                    bencher.iter(|| black_box(invoke(function, sides(), &DataType::Float32)));
                });
            }
            // A constant is cast once, when the query is planned; a column with every batch.
            let constant = as_doubles(&side)?;
            for function in &theirs {
                group.bench_function(BenchmarkId::new(format!("datafusion {}", function.name()), width), |bencher| {
                    bencher.iter(|| {
                        let second = match &side {
                            ColumnarValue::Array(_) => as_doubles(&side)?,
                            ColumnarValue::Scalar(_) => constant.clone(),
                        };
                        let first = as_doubles(&ColumnarValue::Array(Arc::clone(&column)))?;
                        black_box(invoke(function, [first, second], &DataType::Float64))
                    });
                });
            }
        }
    }
    Ok(())
}

fn benches(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        eprintln!("distance: {error}");
        std::process::exit(1);
    }
}

criterion_group!(distance, benches);
criterion_main!(distance);

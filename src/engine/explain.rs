//! Plans as text, without the hundreds of numbers of a constant vector.
//!
//! Takes the physical plan of an EXPLAIN or EXPLAIN ANALYZE; gives one of the same rows in which long vectors show
//! their first numbers and how many there are. Only this text is changed: a plan that is run, sent to another process
//! or read by a rule keeps its constants.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

/// Vectors of up to as many numbers are shown whole.
const MOST_SHOWN: usize = 8;
/// The numbers that are shown of a longer one.
const SHOWN: usize = 3;

/// The plan of an EXPLAIN with its texts shortened.
///
/// # Errors
/// The plan has no such texts; that would be our mistake.
pub(super) fn shorten(explain: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let function = create_udf(
        "shorten_vectors",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| {
            let [ColumnarValue::Array(plans)] = arguments else { return internal_err!("plans come as one array") };
            let plans = as_string_array(plans)?.iter();
            let short = plans.map(|plan| plan.map(shorten_vectors)).collect::<StringArray>();
            Ok(ColumnarValue::Array(Arc::new(short)))
        }),
    );
    let (function, options) = (Arc::new(function), Arc::new(ConfigOptions::default()));
    let schema = explain.schema();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        let short: Arc<dyn PhysicalExpr> = match field.name().as_str() {
            "plan" => Arc::new(ScalarFunctionExpr::new(
                function.name(),
                Arc::clone(&function),
                vec![column],
                Arc::clone(field),
                Arc::clone(&options),
            )),
            _ => column,
        };
        (short, field.name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), Arc::clone(&explain))?))
}

/// `[0.25, 0.5, 0.75, ... 384 numbers]` for a vector. Other lists, and numbers without a fraction, stay as they are: what
/// a query compares ids with is worth reading.
fn shorten_vectors(plan: &str) -> String {
    let mut short = String::with_capacity(plan.len().min(4096));
    let mut rest = plan;
    while let Some((before, after)) = rest.split_once('[') {
        short.push_str(before);
        short.push('[');
        rest = after;
        let Some((list, after)) = after.split_once(']') else { break };
        let numbers = || list.split(',').map(str::trim);
        let count = numbers().count();
        if count > MOST_SHOWN && list.contains('.') && numbers().all(|number| number.parse::<f64>().is_ok()) {
            for number in numbers().take(SHOWN) {
                // Writing to a String cannot fail.
                let _ = write!(short, "{number}, ");
            }
            let _ = write!(short, "... {count} numbers]");
            rest = after;
        }
    }
    short.push_str(rest);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_vectors_are_shortened_and_nothing_else() {
        let vector = |count: usize| {
            let numbers: Vec<String> = (0..count).map(|n| format!("{:?}", n as f32 / 4.0 - 1.0)).collect();
            format!("[{}]", numbers.join(", "))
        };
        let long = format!("Filter: f([x, y], FixedSizeList({}), {}) > 0.5", vector(384), vector(9));
        let short = "Filter: f([x, y], FixedSizeList([-1.0, -0.75, -0.5, ... 384 numbers]), \
                     [-1.0, -0.75, -0.5, ... 9 numbers]) > 0.5";
        assert_eq!(shorten_vectors(&long), short);
        for plan in [
            "",
            "Projection: [",
            "id IN ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])",
            "t = Utf8(\"[1.5, a, b, c, d, e, f, g, h, i]\")",
            "[[a.parquet:0..100, b.parquet], []]",
            &vector(8),
        ] {
            assert_eq!(shorten_vectors(plan), plan);
        }
    }
}

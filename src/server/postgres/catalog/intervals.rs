//! `INTERVAL '15 minutes' * 2.5`, by which Superset groups moments, and which DataFusion does not plan: takes the two; gives a
//! function of them.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::{DFSchema, Result, exec_datafusion_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, ScalarUDF, Volatility, cast, create_udf};
use datafusion::sql::sqlparser::ast::BinaryOperator;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const NANOSECONDS_OF_A_DAY: f64 = 86_400e9;
const DAYS_OF_A_MONTH: f64 = 30.0;

/// Plans products of intervals and numbers.
#[derive(Debug)]
pub(super) struct Products {
    times: ScalarUDF,
}

impl Products {
    /// The planner.
    pub(super) fn new() -> Self {
        let times = |arguments: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let intervals = arrays[0].as_primitive::<IntervalMonthDayNanoType>().iter();
            let products = intervals.zip(arrays[1].as_primitive::<Float64Type>()).map(|pair| match pair {
                (Some(interval), Some(number)) => times(interval, number)
                    .map(Some)
                    .ok_or_else(|| exec_datafusion_err!("interval out of range: {number} times an interval")),
                _ => Ok(None),
            });
            Ok(ColumnarValue::Array(Arc::new(products.collect::<Result<IntervalMonthDayNanoArray>>()?)))
        };
        let types = vec![INTERVAL, DataType::Float64];
        Self { times: create_udf("interval_times", types, INTERVAL, Volatility::Immutable, Arc::new(times)) }
    }
}

impl ExprPlanner for Products {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_interval = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| found == INTERVAL);
        let is_number = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| found.is_numeric());
        let RawBinaryExpr { op: BinaryOperator::Multiply, left, right } = &expr else {
            return Ok(PlannerResult::Original(expr));
        };
        let (interval, number) = if is_interval(left) && is_number(right) {
            (left, right)
        } else if is_number(left) && is_interval(right) {
            (right, left)
        } else {
            return Ok(PlannerResult::Original(expr));
        };
        let number = cast(number.clone(), DataType::Float64);
        Ok(PlannerResult::Planned(self.times.call(vec![interval.clone(), number])))
    }
}

/// A part of a month is days, and a part of a day is time, as in PostgreSQL; `None` where it is out of range.
fn times(interval: IntervalMonthDayNano, number: f64) -> Option<IntervalMonthDayNano> {
    let whole = |number: f64| (number.abs() <= f64::from(i32::MAX)).then_some(number as i32);
    let months = f64::from(interval.months) * number;
    let days = f64::from(interval.days) * number + months.fract() * DAYS_OF_A_MONTH;
    let nanoseconds = (interval.nanoseconds as f64 * number + days.fract() * NANOSECONDS_OF_A_DAY).round();
    let nanoseconds = (nanoseconds.abs() < i64::MAX as f64).then_some(nanoseconds as i64)?;
    Some(IntervalMonthDayNano::new(whole(months)?, whole(days)?, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_months_are_days_and_parts_of_days_are_time() {
        let interval = IntervalMonthDayNano::new;
        let hour = 3_600_000_000_000;
        assert_eq!(times(interval(0, 0, hour), 2.5), Some(interval(0, 0, 5 * hour / 2)));
        assert_eq!(times(interval(1, 1, 0), 0.5), Some(interval(0, 15, 12 * hour)));
        assert_eq!(times(interval(3, 0, hour), -1.0), Some(interval(-3, 0, -hour)));
        for number in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(times(interval(1, 1, 1), number), None, "{number}");
        }
    }
}

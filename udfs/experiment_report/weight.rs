//! The importance weight of a row that was shown: how much more often another policy would have shown it.
//!
//! Takes the columns of a log; gives `target / propensity`, or an error that names the first row that cannot be read. It is no
//! function of SQL: [`super::plan`] puts it into plans.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::NAME;
use crate::recommender::columns::Role;

/// The weight from columns with these roles: target, propensity, label, and whatever else there is.
pub(super) fn importance_weight(roles: &[Role]) -> ScalarUDF {
    let names = roles.iter().map(|role| role.name()).collect();
    ScalarUDF::from(Weight { names, signature: Signature::any(roles.len(), Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Weight {
    names: Vec<&'static str>,
    signature: Signature,
}

impl ScalarUDFImpl for Weight {
    fn name(&self) -> &'static str {
        "importance_weight"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args.args.iter().map(|column| column.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let [target, propensity, ..] = columns.as_slice() else {
            return internal_err!("an importance weight is made of {} columns", columns.len());
        };
        self.check(&columns)?;
        let (target, propensity) = (target.as_primitive::<Float64Type>(), propensity.as_primitive::<Float64Type>());
        let weights: Float64Array =
            arrow::compute::binary(target, propensity, |target, propensity| target / propensity)?;
        Ok(ColumnarValue::Array(Arc::new(weights)))
    }
}

impl Weight {
    fn check(&self, columns: &[ArrayRef]) -> Result<()> {
        for (name, column) in self.names.iter().zip(columns) {
            // Items only tell rows apart.
            if *name == Role::Item.name() {
                continue;
            }
            if let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0)
                && let Some(row) = (0..column.len()).find(|row| nulls.is_null(*row))
            {
                let cure = match *name {
                    "target" => "where the other policy would never show the item, write coalesce(target, 0)",
                    "user_id" => "leave the column out if users are not known",
                    _ => "leave such rows out with WHERE, or write coalesce(...) with what it stands for",
                };
                return exec_err!("{NAME}: {name} is NULL in the row {}; {cure}", self.row(columns, row));
            }
            let Some(values) = column.as_primitive_opt::<Float64Type>() else { continue };
            let (is_good, range): (fn(f64) -> bool, _) = match *name {
                "propensity" => (
                    |value| value > 0.0 && value <= 1.0,
                    "the probability with which the row was shown, above 0 and up to 1",
                ),
                "target" => (
                    |value| (0.0..=1.0).contains(&value),
                    "the probability with which the other policy would show it, from 0 to 1",
                ),
                _ => (f64::is_finite, "a finite number"),
            };
            if let Some(row) = values.values().iter().position(|value| !is_good(*value)) {
                let value = values.value(row);
                return exec_err!("{NAME}: {name} is {value} in the row {}; it is {range}", self.row(columns, row));
            }
        }
        Ok(())
    }

    /// The values of a row: rows of SQL have no numbers.
    fn row(&self, columns: &[ArrayRef], row: usize) -> String {
        let value = |column: &ArrayRef| {
            if column.is_null(row) {
                "NULL".to_string()
            } else {
                array_value_to_string(column, row).unwrap_or_default()
            }
        };
        let values: Vec<_> =
            self.names.iter().zip(columns).map(|(name, column)| format!("{name} = {}", value(column))).collect();
        format!("({})", values.join(", "))
    }
}

//! `read_file(path)` and `try_read_file`: the content of files.
//!
//! Takes paths and addresses of object stores as text; gives `Binary`, NULL for NULL. `try_read_file` never fails for a row: it
//! gives `Struct{value, error}`. What a path means, and which may be read, is the session's to say: the engine takes the call
//! out of the plan and reads the files, many at a time; here are its types and its name.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray};
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::compute::{cast, is_not_null};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err, internal_err, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion_macros::user_doc;

use crate::text::is_text;

/// `read_file`, or `try_read_file`: they differ in what becomes of a row that fails.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ReadFile {
    keeps_errors: bool,
    signature: Signature,
}

impl ReadFile {
    /// `read_file`.
    pub fn new() -> Self {
        Self::with_errors(false)
    }

    /// `try_read_file`.
    pub fn or_error() -> Self {
        Self::with_errors(true)
    }

    fn with_errors(keeps_errors: bool) -> Self {
        Self { keeps_errors, signature: Signature::user_defined(Volatility::Stable) }
    }

    /// The function that is called, if it is one of these.
    pub fn of(call: &ScalarFunction) -> Option<&Self> {
        call.func.inner().downcast_ref::<Self>()
    }

    /// Whether a row that fails has its reason in the result.
    pub fn keeps_errors(&self) -> bool {
        self.keeps_errors
    }

    /// The type of the result.
    pub fn data_type(&self) -> DataType {
        if self.keeps_errors { DataType::Struct(fields()) } else { DataType::Binary }
    }
}

impl Default for ReadFile {
    fn default() -> Self {
        Self::new()
    }
}

/// The fields of what `try_read_file` gives.
pub fn fields() -> Fields {
    Fields::from(vec![Field::new("value", DataType::Binary, true), Field::new("error", DataType::Utf8, true)])
}

impl ScalarUDFImpl for ReadFile {
    fn name(&self) -> &'static str {
        if self.keeps_errors { "try_read_file" } else { "read_file" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let [path] = types else { return plan_err!("{name} takes one argument, a path: {name}(path)") };
        if !is_text(path) && !path.is_null() {
            return plan_err!("{name}: a path is text, not {path}");
        }
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!(
            "{} cannot be used here: files are read where a query computes columns, in SELECT, WHERE, GROUP BY or ORDER BY",
            self.name()
        )
    }

    fn documentation(&self) -> Option<&Documentation> {
        if self.keeps_errors { TryReadFileDocumentation.doc() } else { ReadFileDocumentation.doc() }
    }
}

/// What stands for `input` in a call that keeps the errors of its rows, and the error of each row: where `input` reads a file,
/// that it cannot be read is such an error. `None` if it reads none.
pub(crate) fn or_error(input: &Expr) -> Option<(Expr, Expr)> {
    let Expr::ScalarFunction(call) = input else { return None };
    ReadFile::of(call).filter(|function| !function.keeps_errors)?;
    let read = ScalarUDF::from(ReadFile::or_error()).call(call.args.clone());
    Some((get_field(read.clone(), "value"), get_field(read, "error")))
}

/// `Struct{value, error}` with the error of an earlier step where there is one; the value is NULL there.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct EarlierError {
    signature: Signature,
}

impl EarlierError {
    /// `result` of a row, or `error`.
    pub(crate) fn call(result: Expr, error: Expr) -> Expr {
        let function = Self { signature: Signature::any(2, Volatility::Immutable) };
        ScalarUDF::from(function).call(vec![result, error])
    }
}

impl ScalarUDFImpl for EarlierError {
    fn name(&self) -> &'static str {
        "earlier_error"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("the result of earlier_error is that of its argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [result, _] => Ok(Arc::clone(result)),
            fields => internal_err!("earlier_error of {} arguments", fields.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [result, earlier] = arrays.as_slice() else { return internal_err!("earlier_error of {}", arrays.len()) };
        let (Some(result), DataType::Struct(fields)) = (result.as_struct_opt(), result.data_type()) else {
            return internal_err!("earlier_error of {}", result.data_type());
        };
        let [value, error] = result.columns() else { return internal_err!("{fields:?} is no value and its error") };
        let error = zip(&is_not_null(earlier)?, &cast(earlier, error.data_type())?, error)?;
        let columns: Vec<ArrayRef> = vec![Arc::clone(value), error];
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, result.nulls().cloned())?)))
    }
}

#[user_doc(
    doc_section(label = "File Functions"),
    description = "The content of a file, as BYTEA. Files are read while the query runs, 16 at a time; one may have up to 64 MiB. A file that is not there is an error with its row and its path.",
    syntax_example = "read_file(path)",
    sql_example = "```sql\nSELECT item_id, embed(read_file('pictures/' || item_id || '.jpg')) AS vector FROM 'products.parquet';\n```",
    argument(
        name = "path",
        description = "A path, relative or absolute as in FROM, or the address of an object: `s3://`, `gs://`, `https://`. On a server, a file below the folders that are served. NULL gives NULL."
    )
)]
struct ReadFileDocumentation;

#[user_doc(
    doc_section(label = "File Functions"),
    description = "Like `read_file`, but a row that fails does not fail the query. Returns `Struct{value, error}`: for such a row the value is NULL and the error gives the reason. `try_embed(read_file(path))` does the same by itself.",
    syntax_example = "try_read_file(path)",
    sql_example = "```sql\nSELECT path, try_read_file(path)['error'] AS problem FROM 'pictures.csv';\n```",
    argument(name = "path", description = "As for `read_file`.")
)]
struct TryReadFileDocumentation;

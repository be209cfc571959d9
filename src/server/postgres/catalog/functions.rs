//! The functions of PostgreSQL's catalog: takes what a session is; gives them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Int32Array};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, create_udf,
};
use datafusion_pg_catalog::pg_catalog as pg;
use datafusion_pg_catalog::pg_catalog::ArrowTable;

use crate::server::postgres::settings::SERVER_VERSION;

/// Those of a session of `user` in `database`, whose connection has the number `process`; `types` is `pg_type`.
pub(super) fn of(database: &str, user: &str, process: i32, types: &ArrowTable) -> Vec<ScalarUDF> {
    let no_text = ScalarValue::Utf8(None);
    vec![
        pg::create_current_database_udf(database),
        pg::create_current_schema_udf(),
        pg::create_current_schemas_udf(),
        pg::create_pg_get_userbyid_udf(),
        pg::has_privilege_udf::create_has_privilege_udf("has_table_privilege"),
        pg::has_privilege_udf::create_has_privilege_udf("has_schema_privilege"),
        pg::has_privilege_udf::create_has_privilege_udf("has_database_privilege"),
        pg::has_privilege_udf::create_has_privilege_udf("has_any_column_privilege"),
        pg::create_pg_table_is_visible(),
        pg::format_type::create_format_type_udf(),
        pg::pg_get_expr_udf::create_pg_get_expr_udf(),
        pg::create_pg_get_partkeydef_udf(),
        pg::create_pg_relation_is_publishable_udf(),
        pg::create_pg_get_statisticsobjdef_columns_udf(),
        pg::create_pg_encoding_to_char_udf(),
        pg::create_pg_relation_size_udf(),
        pg::create_pg_total_relation_size_udf(),
        pg::create_pg_stat_get_numscans(),
        pg::create_pg_get_constraintdef(),
        pg::create_pg_get_partition_ancestors_udf(),
        pg::quote_ident_udf::create_quote_ident_udf(),
        pg::quote_ident_udf::create_parse_ident_udf(),
        pg::array_bounds_udf::create_array_upper_udf(),
        pg::array_bounds_udf::create_array_lower_udf(),
        to_regtype(types),
        constant("session_user", ScalarValue::from(user)),
        constant("current_user", ScalarValue::from(user)),
        constant("pg_backend_pid", ScalarValue::from(process)),
        constant("version", ScalarValue::from(version())),
        // A server that only computes: nothing is restored, locked, or commented on, and every schema is looked into.
        constant("pg_is_in_recovery", ScalarValue::from(false)),
        constant("pg_advisory_unlock_all", no_text.clone()),
        constant("pg_function_is_visible", ScalarValue::from(true)),
        constant("pg_type_is_visible", ScalarValue::from(true)),
        constant("pg_operator_is_visible", ScalarValue::from(true)),
        constant("pg_opclass_is_visible", ScalarValue::from(true)),
        constant("pg_opfamily_is_visible", ScalarValue::from(true)),
        constant("pg_collation_is_visible", ScalarValue::from(true)),
        constant("pg_conversion_is_visible", ScalarValue::from(true)),
        constant("pg_statistics_obj_is_visible", ScalarValue::from(true)),
        constant("pg_ts_config_is_visible", ScalarValue::from(true)),
        constant("pg_is_other_temp_schema", ScalarValue::from(false)),
        constant("pg_my_temp_schema", ScalarValue::from(0_i32)),
        constant("pg_has_role", ScalarValue::from(true)),
        constant("has_column_privilege", ScalarValue::from(true)),
        constant("has_function_privilege", ScalarValue::from(true)),
        constant("has_sequence_privilege", ScalarValue::from(true)),
        constant("getdatabaseencoding", ScalarValue::from("UTF8")),
        constant("pg_char_to_encoding", ScalarValue::from(6_i32)),
        // Tables are files, or made anew by every query: a size is not known.
        constant("pg_table_size", ScalarValue::Int64(None)),
        constant("pg_indexes_size", ScalarValue::Int64(None)),
        constant("pg_database_size", ScalarValue::Int64(None)),
        constant("pg_tablespace_size", ScalarValue::Int64(None)),
        constant("pg_tablespace_location", ScalarValue::from("")),
        constant("col_description", no_text.clone()),
        constant("shobj_description", no_text.clone()),
        // The type of a result follows from the arguments.
        constant("pg_get_function_result", no_text.clone()),
        constant("pg_get_functiondef", no_text.clone()),
        constant("pg_get_function_sqlbody", no_text.clone()),
        constant("pg_get_ruledef", no_text.clone()),
        constant("pg_get_statisticsobjdef", no_text.clone()),
        constant("pg_get_partition_constraintdef", no_text.clone()),
        constant("pg_get_indexdef", no_text.clone()),
        constant("pg_get_viewdef", no_text.clone()),
        constant("pg_get_serial_sequence", no_text.clone()),
        constant("pg_get_triggerdef", no_text),
    ]
}

/// What `version()` says: drivers read the number behind PostgreSQL.
fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (Debut {})", env!("CARGO_PKG_VERSION"))
}

/// The OID of a type by its name, NULL where there is none.
fn to_regtype(types: &ArrowTable) -> ScalarUDF {
    let mut oids = HashMap::new();
    for batch in types.data() {
        let (Some(names), Some(numbers)) = (batch.column_by_name("typname"), batch.column_by_name("oid")) else {
            continue;
        };
        if let (Some(names), Some(numbers)) = (names.as_string_opt::<i32>(), numbers.as_primitive_opt::<Int32Type>()) {
            oids.extend(names.iter().zip(numbers).filter_map(|(name, oid)| Some((name?.to_string(), oid?))));
        }
    }
    let find = move |arguments: &[ColumnarValue]| {
        let names = ColumnarValue::values_to_arrays(arguments)?;
        let names = names[0].as_string::<i32>().iter();
        let found: Int32Array = names.map(|name| name.and_then(|name| oids.get(name.trim()).copied())).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    };
    create_udf("to_regtype", vec![DataType::Utf8], DataType::Int32, Volatility::Stable, Arc::new(find))
}

fn constant(name: &'static str, value: ScalarValue) -> ScalarUDF {
    let signature = Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable);
    ScalarUDF::new_from_impl(Constant { name, signature, value })
}

/// A function that gives one value for the whole session, whatever it is asked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    signature: Signature,
    value: ScalarValue,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

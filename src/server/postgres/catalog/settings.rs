//! `current_setting` and `set_config`: SHOW and SET as functions. Takes the settings of a session; gives the functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::server::postgres::settings::SharedSettings;

/// The functions of a session with these settings.
pub(super) fn functions(settings: SharedSettings) -> [ScalarUDF; 2] {
    let signature = |types: Vec<Vec<DataType>>| {
        Signature::one_of(types.into_iter().map(TypeSignature::Exact).collect(), Volatility::Volatile)
    };
    let show = signature(vec![vec![DataType::Utf8], vec![DataType::Utf8, DataType::Boolean]]);
    let set = signature(vec![vec![DataType::Utf8, DataType::Utf8, DataType::Boolean]]);
    [
        ScalarUDF::new_from_impl(Setting { sets: false, signature: show, settings: settings.clone() }),
        ScalarUDF::new_from_impl(Setting { sets: true, signature: set, settings }),
    ]
}

#[derive(Debug)]
struct Setting {
    sets: bool,
    signature: Signature,
    settings: SharedSettings,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.sets == other.sets && self.settings.is(&other.settings)
    }
}

impl Eq for Setting {}

impl Hash for Setting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sets.hash(state);
    }
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        if self.sets { "set_config" } else { "current_setting" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let names = arrays[0].as_string::<i32>();
        let mut settings = self.settings.lock();
        let told = |error: crate::server::postgres::error::PgError| exec_datafusion_err!("{}", error.message);
        let value = |row: usize| -> Result<Option<String>> {
            if names.is_null(row) {
                return Ok(None);
            }
            let name = names.value(row);
            let flag = |at: usize| arrays.get(at).is_some_and(|flags| flags.as_boolean().value(row));
            if self.sets {
                let values = arrays[1].as_string::<i32>();
                let value = (!values.is_null(row)).then(|| values.value(row));
                settings.set(name, value, flag(2)).map_err(told)?;
            } else if flag(1) && settings.show(name).is_err() {
                return Ok(None);
            }
            Ok(Some(settings.show(name).map_err(told)?.1))
        };
        let values = (0..names.len()).map(value).collect::<Result<StringArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

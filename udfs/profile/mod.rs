//! `profile(vector [, weight [, center]])` and `centroid(vector)`: many vectors as one.
//!
//! Takes `FixedSizeList` vectors; gives one such vector of `Float32` a group, NULL for a group without any.
//!
//! A profile is `normalize(sum(weight * (vector - center)))`: the direction in which a history differs from the
//! catalogue. An aggregate sees one group and not the catalogue, so its mean comes in as `center`, usually the scalar
//! subquery `(SELECT centroid(vector) FROM products)`. It is worth having: on the measured shop a mean profile without it
//! ranks below plain word counts, and with it above.

mod sums;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion_macros::user_doc;

use self::sums::{Finish, Sums, state_types};
use crate::vectors::{check_same_model, element_type, model_metadata, refuse_int8, vector_type, width};

/// `profile(vector [, weight [, center]])`.
pub fn profile() -> AggregateUDF {
    Profile::default().into()
}

/// `centroid(vector)`.
pub fn centroid() -> AggregateUDF {
    Centroid::default().into()
}

/// `profile`.
#[user_doc(
    doc_section(label = "Vector Functions"),
    description = "Summarises a history of vectors as one vector of length one. It is the weighted mean of the vectors minus the centre, normalised; rank items for it by `inner_product`. Use the centroid of the catalogue as the centre: without one, what all products have in common outweighs what this customer likes. NULL for an empty history, or if the mean equals the centre.",
    syntax_example = "profile(vector [, weight [, center]])",
    sql_example = "```sql\nSELECT customer_id,\n       profile(vector, quantity, (SELECT centroid(vector) FROM products)) AS taste\nFROM purchases JOIN products USING (product_id)\nGROUP BY customer_id;\n```",
    argument(name = "vector", description = "The vectors of the history. Rows with a NULL vector are ignored."),
    argument(
        name = "weight",
        description = "The weight of a row: a finite number, not negative. The default is 1. Rows with a NULL weight are ignored."
    ),
    argument(
        name = "center",
        description = "A vector of the same model, which is subtracted from every row's vector. Rows with a NULL centre are ignored."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    signature: Signature,
}

impl Default for Profile {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// `centroid`.
#[user_doc(
    doc_section(label = "Vector Functions"),
    description = "The mean of a group of vectors, not normalised. NULL vectors are ignored; NULL for a group without vectors.",
    syntax_example = "centroid(vector)",
    sql_example = "```sql\nSELECT category, centroid(vector) AS center FROM products GROUP BY category;\n```",
    argument(name = "vector", description = "The vectors.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Centroid {
    signature: Signature,
}

impl Default for Centroid {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// What DataFusion asks of both aggregates, which differ in their arguments and in what becomes of the mean.
macro_rules! mean_of_vectors {
    ($name:literal, $usage:literal, $most:literal, $finish:expr) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
            argument_types($name, $usage, $most, types)
        }

        fn return_type(&self, types: &[DataType]) -> Result<DataType> {
            Ok(vector_type(argument_width($name, types.first())?))
        }

        fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
            mean_field($name, fields)
        }

        fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
            Ok(Box::new(sums($name, $finish, &args)?))
        }

        fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
            state_fields($name, &args)
        }

        fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
            !args.is_distinct
        }

        fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
            Ok(Box::new(sums($name, $finish, &args)?))
        }

        fn reverse_expr(&self) -> ReversedUDAF {
            ReversedUDAF::Identical
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.doc()
        }
    };
}

impl AggregateUDFImpl for Profile {
    mean_of_vectors!("profile", "profile(vector [, weight [, center]])", 3, Finish::Normalized);
}

impl AggregateUDFImpl for Centroid {
    mean_of_vectors!("centroid", "centroid(vector)", 1, Finish::Plain);
}

fn argument_types(function: &str, usage: &str, most: usize, types: &[DataType]) -> Result<Vec<DataType>> {
    if types.is_empty() || types.len() > most {
        return plan_err!("{function} was given {} arguments; it is {usage}", types.len());
    }
    let vector = vector_type(argument_width(function, types.first())?);
    let mut coerced = vec![vector.clone()];
    if let Some(weight) = types.get(1) {
        if !weight.is_numeric() && !weight.is_null() {
            return plan_err!("{function}: the weight is a number, not {weight}: {usage}");
        }
        coerced.push(DataType::Float64);
    }
    match types.get(2) {
        Some(DataType::Null) => coerced.push(vector),
        Some(center) => coerced.push(vector_type(argument_width(function, Some(center))?)),
        None => {}
    }
    Ok(coerced)
}

/// The width of a vector argument, which the plan needs to know.
fn argument_width(function: &str, data_type: Option<&DataType>) -> Result<usize> {
    let Some(data_type) = data_type else {
        return internal_err!("{function} was planned without arguments");
    };
    match (width(data_type), element_type(data_type)) {
        (Some(width), Some(element)) if element.is_numeric() => Ok(width),
        (None, Some(element)) if element.is_numeric() => plan_err!(
            "{function} needs to know how wide its vectors are, and the type {data_type} does not say; \
             write arrow_cast(vector, 'FixedSizeList(384 x Float32)') with the width of the model"
        ),
        _ => plan_err!(
            "{function} reads vectors such as FixedSizeList(384 x Float32), not {data_type}; \
             embed(text) makes a vector of a text"
        ),
    }
}

/// The result: vectors of the model that made the input.
fn mean_field(function: &str, fields: &[FieldRef]) -> Result<FieldRef> {
    let vectors: Vec<FieldRef> =
        fields.iter().filter(|field| element_type(field.data_type()).is_some()).map(Arc::clone).collect();
    check_same_model(function, &vectors)?;
    refuse_int8(function, &vectors)?;
    let width = argument_width(function, fields.first().map(|field| field.data_type()))?;
    if let Some(center) = fields.get(2) {
        let center = argument_width(function, Some(center.data_type()))?;
        if center != width {
            return plan_err!(
                "{function}: the vectors have {width} values and the center has {center}; \
                 make the center from vectors of the same model"
            );
        }
    }
    let metadata = fields.first().map(|field| model_metadata(field)).unwrap_or_default();
    Ok(Arc::new(Field::new(function, vector_type(width), true).with_metadata(metadata)))
}

fn sums(function: &'static str, finish: Finish, args: &AccumulatorArgs) -> Result<Sums> {
    if args.is_distinct {
        return plan_err!("{function}(DISTINCT ...) is not supported; select the distinct rows in a subquery");
    }
    Ok(Sums::new(function, finish, argument_width(function, Some(args.return_type()))?, 1))
}

fn state_fields(function: &str, args: &StateFieldsArgs) -> Result<Vec<FieldRef>> {
    let [sum, weight] = state_types(argument_width(function, Some(args.return_type()))?);
    Ok(vec![
        Arc::new(Field::new(format_state_name(args.name, "sum"), sum, true)),
        Arc::new(Field::new(format_state_name(args.name, "weight"), weight, true)),
    ])
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

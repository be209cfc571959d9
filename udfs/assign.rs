//! `assign(user, experiment [, variants])`: which variant of an experiment a user gets.
//!
//! Takes ids as integers or text; gives a name for each, NULL for NULL. Nothing is stored: a user's variant follows from
//! the three arguments alone, on every machine and in every version.
//!
//! # The algorithm
//! Each variant draws a number for the user: the first 8 bytes of SHA-256 of the UTF-8 text
//! `experiment \0 variant \0 user` are a big-endian integer `h`, and `u = (floor(h / 2^11) + 1/2) / 2^53` lies between 0
//! and 1. The variant with the smallest `-ln(u) / weight` wins, that of the first name if two are alike. Such exponential
//! numbers make each variant the smallest with the probability of its share of the weights: Schindelhauer and Schomaker,
//! "Weighted distributed hash tables", SPAA 2005, <https://doi.org/10.1145/1073970.1074008>. A variant whose weight grows
//! takes users from the others, and none of them changes between two others.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use sha2::{Digest, Sha256};

use crate::ids::IdType;
use crate::text::{is_text, text_views};
use crate::variants::{self, Variant};

const NAME: &str = "assign";
const USAGE: &str = "assign(user, experiment [, variants])";

/// `assign`.
#[user_doc(
    doc_section(label = "Experiment Functions"),
    description = "The variant of an experiment that a user gets. It depends on the arguments alone, so it is the same in every query, on every machine and in every version, for ids of any integer or text type that read the same. Different experiments are independent. A variant whose weight grows takes users from the others, and no user moves between variants whose weights stay as they are. Another program gets the same result so: for each variant take SHA-256 of the text `experiment \\0 variant \\0 user` (without the spaces; `\\0` is a zero byte), its first 8 bytes as a big-endian integer `h`, and `u = (floor(h / 2^11) + 0.5) / 2^53`; the variant with the least `-ln(u) / weight` wins.",
    syntax_example = "assign(user, experiment [, variants])",
    sql_example = "```sql\nSELECT user_id, assign(user_id, 'launch list', 'control:9,new:1') AS variant FROM 'users.parquet';\n```",
    argument(name = "user", description = "The id of a user: an integer or a text. NULL gives NULL."),
    argument(name = "experiment", description = "The name of the experiment. A text literal."),
    argument(
        name = "variants",
        description = "The variants with their weights, such as 'control:9,new:1', or names with equal weights, such as 'a,b,c' or ['a', 'b', 'c']. Default 'control,treatment'."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Assign {
    signature: Signature,
}

impl Default for Assign {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The function.
pub fn assign() -> ScalarUDF {
    Assign::default().into()
}

impl ScalarUDFImpl for Assign {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let ([user, experiment] | [user, experiment, _]) = types else {
            return plan_err!("{NAME} takes two or three arguments: {USAGE}");
        };
        if IdType::of(user).is_none() && !user.is_null() {
            return plan_err!("{NAME}: the user is an integer or a text, not {user}; write CAST(user AS VARCHAR)");
        }
        if !is_text(experiment) {
            return plan_err!(
                "{NAME}: the experiment is a text literal such as 'launch list', not {experiment}: {USAGE}"
            );
        }
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (user, rest) = match args.args.split_first() {
            Some((user, rest)) if !rest.is_empty() => (user, rest),
            _ => return exec_err!("{NAME} takes two or three arguments: {USAGE}"),
        };
        let variants = match rest.get(1) {
            Some(ColumnarValue::Scalar(literal)) => variants_of(literal)?,
            Some(ColumnarValue::Array(_)) => {
                return exec_err!("{NAME}: the variants are a literal such as 'control:9,new:1', not a column");
            }
            None => variants::parse(NAME, variants::DEFAULT)?,
        };
        let assigner = Assigner::new(experiment_of(&rest[0])?, variants);
        match user {
            ColumnarValue::Scalar(user) => {
                let variant = assigner.variants(&user.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&variant, 0)?))
            }
            ColumnarValue::Array(users) => Ok(ColumnarValue::Array(assigner.variants(users)?)),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn experiment_of(argument: &ColumnarValue) -> Result<&str> {
    match argument {
        ColumnarValue::Scalar(literal) => match literal.try_as_str() {
            Some(Some("")) => exec_err!("{NAME}: the experiment has no name: {USAGE}"),
            Some(Some(name)) => Ok(name),
            _ => exec_err!("{NAME}: the experiment is a text literal such as 'launch list', not {literal}"),
        },
        ColumnarValue::Array(_) => {
            exec_err!("{NAME}: the experiment is a text literal such as 'launch list', not a column")
        }
    }
}

fn variants_of(literal: &ScalarValue) -> Result<Vec<Variant>> {
    let names = match literal {
        ScalarValue::List(list) if !literal.is_null() => Some(list.values()),
        ScalarValue::LargeList(list) if !literal.is_null() => Some(list.values()),
        ScalarValue::FixedSizeList(list) if !literal.is_null() => Some(list.values()),
        _ => None,
    };
    match (names, literal.try_as_str()) {
        (Some(names), _) if is_text(names.data_type()) => {
            let names = text_views(names)?;
            variants::equal(NAME, names.iter().map(Option::unwrap_or_default))
        }
        (_, Some(Some(text))) => variants::parse(NAME, text),
        _ => exec_err!(
            "{NAME}: the variants are a text such as 'control:9,new:1' or a list of names such as ['a', 'b'], not {literal}"
        ),
    }
}

/// An experiment that is ready to be asked.
struct Assigner {
    /// In the order of names, those with a weight above 0: the hash of all that stands before the user, and the variant.
    variants: Vec<(Sha256, Variant)>,
}

impl Assigner {
    fn new(experiment: &str, mut variants: Vec<Variant>) -> Self {
        variants.retain(|variant| variant.weight > 0.0);
        variants.sort_by(|a, b| a.name.cmp(&b.name));
        let begin = |variant: Variant| {
            let parts = [experiment.as_bytes(), variant.name.as_bytes()];
            let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part).chain_update([0]));
            (hash, variant)
        };
        Self { variants: variants.into_iter().map(begin).collect() }
    }

    /// The variant of each user.
    fn variants(&self, users: &ArrayRef) -> Result<ArrayRef> {
        let texts = match users.data_type() {
            text if is_text(text) => text_views(users)?,
            // Integers, and dictionaries of them.
            _ => cast(&cast(users, &DataType::Utf8)?, &DataType::Utf8View)?.as_string_view().clone(),
        };
        Ok(Arc::new(self.names(&texts).finish()))
    }

    fn names(&self, users: &StringViewArray) -> StringBuilder {
        let longest = self.variants.iter().map(|(_, variant)| variant.name.len()).max().unwrap_or_default();
        let mut names = StringBuilder::with_capacity(users.len(), users.len() * longest);
        users.iter().for_each(|user| names.append_option(user.map(|user| self.variant(user))));
        names
    }

    fn variant(&self, user: &str) -> &str {
        let score = |(hash, variant): &(Sha256, Variant)| {
            let digest = hash.clone().chain_update(user.as_bytes()).finalize();
            let first = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            -ln(((first >> 11) as f64 + 0.5) / (1u64 << 53) as f64) / variant.weight
        };
        let scores = self.variants.iter().map(|each| (score(each), each.1.name.as_str()));
        let least = scores.min_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
        least.map_or("", |(_, name)| name)
    }
}

/// The natural logarithm of a normal number above 0, to the last digit or two.
///
/// Machines' own logarithms differ in the last digit. This one is made of additions, multiplications and divisions, whose
/// results IEEE 754 fixes: `ln(m 2^e) = e ln 2 + 2 artanh((m - 1) / (m + 1))`, Abramowitz and Stegun 4.1.27.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    // At |s| < 0.172 what is left out is below 2^-56 of the sum.
    let series = (0..=10).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_the_last_digits() {
        let mut worst = 0.0f64;
        for step in 1..200_000u64 {
            // Over all of (0, 1), and close to both ends.
            let u = step as f64 / 200_000.0;
            for x in [u, u * u * u * 1e-12, 1.0 - u * 1e-9] {
                worst = worst.max((ln(x) / x.ln() - 1.0).abs());
            }
        }
        assert!(worst < 1e-15, "{worst}");
        assert_eq!(ln(1.0), 0.0);
    }
}

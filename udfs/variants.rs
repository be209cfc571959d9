//! The variants of an experiment: their names and weights, as SQL writes them.
//!
//! Takes `'control:9,new:1'`, or `'control,new'` for equal weights; gives names with weights, or an error that says what
//! is wrong with them.

use datafusion::common::{Result, plan_err};

/// The variants where a call does not name any.
pub const DEFAULT: &str = "control,treatment";

/// A variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, not empty, and no other variant's.
    pub name: String,
    /// How many users it gets, beside the weights of the others; finite and not below 0.
    pub weight: f64,
}

/// The variants that a text names, in its order. At least one has a weight above 0.
///
/// # Errors
/// A name is missing or stands there twice, or a weight is not a number from 0; the message names the function.
pub fn parse(function: &str, text: &str) -> Result<Vec<Variant>> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let weighted = parts.iter().filter(|part| part.contains(':')).count();
    if weighted > 0 && weighted < parts.len() {
        return plan_err!(
            "{function}: the variants '{text}' give some variants a weight and others none; write one for each, such as \
             'control:9,new:1', or none at all"
        );
    }
    let mut variants: Vec<Variant> = Vec::with_capacity(parts.len());
    for part in parts {
        let (name, weight) = part.rsplit_once(':').map_or((part, "1"), |(name, weight)| (name.trim(), weight.trim()));
        let weight = match weight.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => value,
            _ => {
                return plan_err!(
                    "{function}: the weight of variant '{name}' is a number from 0, not '{weight}'; write the variants as \
                     'control:9,new:1', or 'control,new' for equal weights"
                );
            }
        };
        add(function, &mut variants, name, weight)?;
    }
    let total: f64 = variants.iter().map(|variant| variant.weight).sum();
    if total > 0.0 && total.is_finite() {
        return Ok(variants);
    }
    plan_err!("{function}: the weights of the variants '{text}' sum to {total}; at least one is above 0")
}

/// Variants of equal weight.
///
/// # Errors
/// As [`parse`].
pub fn equal<'a>(function: &str, names: impl Iterator<Item = &'a str>) -> Result<Vec<Variant>> {
    let mut variants = Vec::new();
    for name in names {
        add(function, &mut variants, name, 1.0)?;
    }
    if variants.is_empty() { plan_err!("{function}: there are no variants; name at least one") } else { Ok(variants) }
}

fn add(function: &str, variants: &mut Vec<Variant>, name: &str, weight: f64) -> Result<()> {
    if name.is_empty() {
        return plan_err!("{function}: a variant has no name; write the variants as 'control:9,new:1'");
    }
    if variants.iter().any(|variant| variant.name == name) {
        return plan_err!("{function}: variant '{name}' is named twice");
    }
    variants.push(Variant { name: name.to_string(), weight });
    Ok(())
}

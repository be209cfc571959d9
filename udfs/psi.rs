//! `psi(value, is_new [, bins])`: how far a distribution has moved from a reference, the population stability index.
//!
//! Takes values of two samples; gives one number. Numbers are sorted into bins with equal shares of the reference, texts and truth
//! values are categories.
//!
//! # The index
//! `sum((new - old) * ln(new / old))` over the bins, of the shares `new` and `old` of the two samples: the symmetric
//! Kullback-Leibler divergence. N. Siddiqi, "Credit risk scorecards", 2006, chapter 9, with the usual reading: below 0.1 stable,
//! above 0.25 another population. A bin counts half a row more in each sample, so that an empty one has a finite share.
//! By chance alone it is about `(bins - 1) * (1 / n + 1 / m)` for samples of `n` and `m` rows: B. Yurdakul, "Statistical properties
//! of population stability index", 2018, <https://scholarworks.wmich.edu/dissertations/3208>.
//!
//! The state is a count for each distinct value, as that of a count of distinct values is.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Schema, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Documentation, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::lists::{list_type, list_value};

const NAME: &str = "psi";
const USAGE: &str = "psi(value, is_new [, bins])";
/// Bins of numbers, unless told.
const BINS: usize = 10;
const MOST_BINS: i64 = 1000;
/// What each bin counts more in each sample: Jeffreys' prior of a share.
const HALF: f64 = 0.5;

/// The function.
pub fn psi() -> AggregateUDF {
    Psi::default().into()
}

/// `psi`.
#[user_doc(
    doc_section(label = "Aggregate Functions"),
    description = "Population stability index: how far the values of new rows are from those of reference rows. 0 is no difference; by the usual rule below 0.1 is stable and above 0.25 is another population, of which a model should learn anew. Numbers are sorted into bins that have equal shares of the reference; texts and truth values are categories. By chance alone it is about (bins - 1) * (1 / n + 1 / m), for n reference rows and m new ones: with few rows compare it with that. NULL without rows of both kinds.",
    syntax_example = "psi(value, is_new [, bins])",
    sql_example = "```sql\nSELECT psi(price, timestamp >= '2025-12-01') AS price, psi(category, timestamp >= '2025-12-01') AS category FROM sales;\n```",
    argument(
        name = "value",
        description = "A number, a text or a truth value. Rows with a NULL are ignored; psi(x IS NULL, is_new) compares how many there are."
    ),
    argument(
        name = "is_new",
        description = "FALSE for rows of the reference, TRUE for new ones. Rows with a NULL are ignored."
    ),
    argument(
        name = "bins",
        description = "Number of bins of a number, an integer literal from 2 to 1000. Default 10."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Psi {
    signature: Signature,
}

impl Default for Psi {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Psi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (value, is_new, bins) = match types {
            [value, is_new] => (value, is_new, None),
            [value, is_new, bins] => (value, is_new, Some(bins)),
            _ => return plan_err!("{NAME} was given {} arguments; it is {USAGE}", types.len()),
        };
        let plain = |given: &DataType| match given {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        };
        let value = match plain(value) {
            number if number.is_numeric() || number.is_null() => DataType::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => DataType::Utf8,
            other => return plan_err!("{NAME}: value is a number, a text or a truth value, not {other}: {USAGE}"),
        };
        if !matches!(plain(is_new), DataType::Boolean | DataType::Null) {
            return plan_err!("{NAME}: is_new is TRUE or FALSE, not {is_new}: {USAGE}");
        }
        let mut coerced = vec![value, DataType::Boolean];
        match bins {
            Some(bins) if !bins.is_integer() => {
                return plan_err!("{NAME}: bins is an integer literal, not {bins}: {USAGE}");
            }
            Some(_) => coerced.push(DataType::Int64),
            None => {}
        }
        Ok(coerced)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{NAME}(DISTINCT ...) is not supported; select the distinct rows in a subquery");
        }
        let bins = bins(&args)?;
        match args.exprs.first().map(|value| value.data_type(args.schema)).transpose()? {
            Some(DataType::Utf8) => Ok(Box::new(Counts::<String> { bins, counts: BTreeMap::new() })),
            _ => Ok(Box::new(Counts::<Number> { bins, counts: BTreeMap::new() })),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let value = args.input_fields.first().map_or(DataType::Float64, |field| field.data_type().clone());
        let fields = [("values", value), ("reference", DataType::UInt64), ("new", DataType::UInt64)];
        let field = |(state, item): (&str, DataType)| {
            Arc::new(Field::new(format_state_name(args.name, state), list_type(item), true))
        };
        Ok(fields.map(field).to_vec())
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn bins(args: &AccumulatorArgs) -> Result<usize> {
    let Some(expression) = args.exprs.get(2) else { return Ok(BINS) };
    // A literal needs no columns, and only a literal needs none.
    let row = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expression.evaluate(&row) {
        Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(bins)))) if (2..=MOST_BINS).contains(&bins) => {
            Ok(bins as usize)
        }
        Ok(ColumnarValue::Scalar(value)) => {
            plan_err!("{NAME}: bins is {value}, and must be an integer from 2 to {MOST_BINS}: {USAGE}")
        }
        _ => plan_err!("{NAME}: bins must be an integer literal: {USAGE}"),
    }
}

/// How many rows of the reference and of the new ones there are.
type Pair = [u64; 2];

/// A value that is counted.
trait Value: Ord + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Calls `each` with the row and the value of each row that has one.
    fn each(array: &dyn Array, each: impl FnMut(usize, Self)) -> Result<()>;
    fn array(values: impl Iterator<Item = Self>) -> ArrayRef;
    /// The counts by bin, of the counts by value in ascending order.
    fn binned(counts: &BTreeMap<Self, Pair>, bins: usize) -> Vec<Pair>;
    fn bytes(&self) -> usize;
}

/// A number that is not NaN, by size; the two zeros are one.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number(f64);

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Value for Number {
    fn each(array: &dyn Array, mut each: impl FnMut(usize, Self)) -> Result<()> {
        for (row, value) in array.as_primitive::<Float64Type>().iter().enumerate() {
            match value {
                Some(value) if value.is_nan() => {
                    return exec_err!("{NAME}: a value is NaN, which is in no bin; NULL leaves a row out");
                }
                // Adding 0 makes the negative zero positive.
                Some(value) => each(row, Self(value + 0.0)),
                None => {}
            }
        }
        Ok(())
    }

    fn array(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(values.map(|value| value.0).collect::<Float64Array>())
    }

    fn binned(counts: &BTreeMap<Self, Pair>, bins: usize) -> Vec<Pair> {
        let edges = edges(counts, bins);
        let mut binned = vec![[0; 2]; edges.len() + 1];
        for (value, [reference, new]) in counts {
            // A bin holds its upper edge.
            let bin = &mut binned[edges.partition_point(|edge| *edge < value.0)];
            bin[0] += reference;
            bin[1] += new;
        }
        binned
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// The inner edges of bins with equal shares of the reference, each once: its quantiles, linear between two values (Hyndman and
/// Fan's type 7, NumPy's default).
fn edges(counts: &BTreeMap<Number, Pair>, bins: usize) -> Vec<f64> {
    let mut ends = Vec::new();
    let mut total = 0;
    for (value, [reference, _]) in counts.iter().filter(|(_, pair)| pair[0] > 0) {
        total += reference;
        ends.push((total, value.0));
    }
    let at =
        |place: u64| ends.get(ends.partition_point(|(end, _)| *end <= place)).map_or(f64::NAN, |(_, value)| *value);
    let edge = |bin: usize| {
        let place = bin as f64 / bins as f64 * total.saturating_sub(1) as f64;
        let (low, high) = (at(place.floor() as u64), at(place.ceil() as u64));
        // Infinite values have no distance.
        if low == high { low } else { low + (high - low) * place.fract() }
    };
    let mut edges = (1..bins).map(edge).filter(|edge| !edge.is_nan()).collect::<Vec<_>>();
    edges.dedup();
    edges
}

impl Value for String {
    fn each(array: &dyn Array, mut each: impl FnMut(usize, Self)) -> Result<()> {
        let texts = array.as_string::<i32>().iter().enumerate();
        texts.filter_map(|(row, text)| Some((row, text?))).for_each(|(row, text)| each(row, text.to_owned()));
        Ok(())
    }

    fn array(values: impl Iterator<Item = Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }

    fn binned(counts: &BTreeMap<Self, Pair>, _: usize) -> Vec<Pair> {
        counts.values().copied().collect()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

/// The state: how often each value was seen.
#[derive(Debug)]
struct Counts<V> {
    bins: usize,
    counts: BTreeMap<V, Pair>,
}

impl<V: Value> Accumulator for Counts<V> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values, is_new, ..] = values else {
            return internal_err!("{NAME} was called with {} arguments", values.len());
        };
        let is_new = is_new.as_boolean();
        V::each(values, |row, value| {
            if is_new.is_valid(row) {
                self.counts.entry(value).or_default()[usize::from(is_new.value(row))] += 1;
            }
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, reference, new] = states else {
            return internal_err!("{NAME} has three states, not {}", states.len());
        };
        let (values, reference, new) = (values.as_list::<i64>(), reference.as_list::<i64>(), new.as_list::<i64>());
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            let (reference, new) = (reference.value(row), new.value(row));
            let (reference, new) = (reference.as_primitive::<UInt64Type>(), new.as_primitive::<UInt64Type>());
            V::each(values.value(row).as_ref(), |place, value| {
                let pair = self.counts.entry(value).or_default();
                pair[0] += reference.value(place);
                pair[1] += new.value(place);
            })?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let counts = |side: usize| -> ArrayRef {
            Arc::new(self.counts.values().map(|pair| Some(pair[side])).collect::<arrow::array::UInt64Array>())
        };
        let columns = [V::array(self.counts.keys().cloned()), counts(0), counts(1)];
        Ok(columns.map(list_value).to_vec())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(index(&V::binned(&self.counts, self.bins))))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.keys().map(|value| value.bytes() + size_of::<Pair>()).sum::<usize>()
    }
}

/// The index of bins; `None` where one of the samples is empty.
fn index(bins: &[Pair]) -> Option<f64> {
    let total = |side: usize| bins.iter().map(|bin| bin[side]).sum::<u64>();
    let (reference, new) = (total(0), total(1));
    let share = |count: u64, total: u64| (count as f64 + HALF) / (total as f64 + HALF * bins.len() as f64);
    (reference > 0 && new > 0).then(|| {
        let part = |bin: &Pair| {
            let (old, new) = (share(bin[0], reference), share(bin[1], new));
            (new - old) * (new / old).ln()
        };
        bins.iter().map(part).sum()
    })
}

//! `bm25(text, statistics)`: how well a text answers a query by its words.
//!
//! Takes texts and what [`super::statistics`] counted of the whole column; gives `Float64`: 0 for a text without a word of the query,
//! NULL for NULL.
//!
//! `sum over the terms of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean_length))` with
//! `idf = ln(1 + (documents - df + 0.5) / (df + 0.5))`: S. Robertson and H. Zaragoza, "The probabilistic relevance framework: BM25
//! and beyond", 2009, <https://doi.org/10.1561/1500000019>, with the idf of Lucene, which is never negative.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::terms;
use crate::text::text_views;

/// How soon a word that is repeated counts no more, and how much a long text is held against it: the usual values.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What a term is worth that so many of all documents have.
pub(crate) fn idf(documents: f64, frequency: f64) -> f64 {
    (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
}

/// What a term adds to the score of a document of this length that has it `count` times.
pub(crate) fn weight(idf: f64, count: f64, length: f64, mean_length: f64) -> f64 {
    if count == 0.0 {
        return 0.0;
    }
    let norm = K1 * (1.0 - B + B * length / mean_length);
    idf * count * (K1 + 1.0) / (count + norm)
}

/// What a term can add at the most, never reached.
pub(crate) fn most(idf: f64) -> f64 {
    idf * (K1 + 1.0)
}

/// The function.
pub(super) fn bm25() -> ScalarUDF {
    Bm25 { signature: Signature::any(2, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bm25 {
    signature: Signature,
}

impl ScalarUDFImpl for Bm25 {
    fn name(&self) -> &'static str {
        "bm25"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [texts, statistics] = ColumnarValue::values_to_arrays(&args.args)?
            .try_into()
            .or_else(|args: Vec<_>| internal_err!("bm25 has two arguments, not {}", args.len()))?;
        // One value for the whole search.
        let query = match statistics.is_empty() {
            true => Query::default(),
            false => Query::of(&statistics.slice(0, 1))?,
        };
        let (mut term, mut counts) = (String::new(), Vec::new());
        let texts = text_views(&texts)?;
        let scores = texts.iter().map(|text| text.map(|text| query.score(text, &mut term, &mut counts)));
        Ok(ColumnarValue::Array(Arc::new(scores.collect::<Float64Array>())))
    }
}

/// The terms of a query and what each is worth.
#[derive(Debug, Default)]
struct Query {
    terms: Vec<String>,
    idf: Vec<f64>,
    mean_length: f64,
}

impl Query {
    /// Reads the one row of statistics.
    fn of(statistics: &dyn Array) -> Result<Self> {
        let fields = statistics.as_struct().columns();
        let [terms, documents, mean_length, frequencies] = fields else {
            return internal_err!("the statistics of bm25 have four fields, not {}", fields.len());
        };
        if statistics.is_null(0) || terms.is_null(0) {
            return Ok(Self::default());
        }
        let documents = documents.as_primitive::<Int64Type>().value(0) as f64;
        let frequencies = frequencies.as_list::<i32>().value(0);
        Ok(Self {
            terms: terms.as_list::<i32>().value(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect(),
            idf: frequencies.as_primitive::<Int64Type>().values().iter().map(|df| idf(documents, *df as f64)).collect(),
            mean_length: mean_length.as_primitive::<Float64Type>().value(0),
        })
    }

    fn score(&self, text: &str, term: &mut String, counts: &mut Vec<u32>) -> f64 {
        let length = terms::count(text, &self.terms, term, counts) as f64;
        let part = |(count, idf): (&u32, &f64)| weight(*idf, f64::from(*count), length, self.mean_length);
        counts.iter().zip(&self.idf).map(part).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::array::ArrayRef;
    use arrow::array::StringArray;
    use datafusion::logical_expr::Accumulator;

    use super::super::statistics::Statistics;
    use super::*;

    const TEXTS: [Option<&str>; 8] = [
        Some("Tent TX-200 for two"),
        Some("Tent TX-300 for three persons"),
        Some("Sleeping bag, down"),
        Some("A tent peg, a tent rope and a tent bag"),
        None,
        Some(""),
        Some("TX"),
        Some("Lantern"),
    ];

    fn query(query: &str) -> Query {
        let mut whole = Statistics::default();
        // One partition has no rows, one no texts.
        for part in [0..3, 3..3, 3..4, 4..5, 5..8] {
            let mut statistics = Statistics::default();
            let texts: ArrayRef = Arc::new(StringArray::from(TEXTS[part].to_vec()));
            let queries: ArrayRef = Arc::new(StringArray::from(vec![query; texts.len()]));
            statistics.update_batch(&[texts, queries]).unwrap();
            let states = statistics.state().unwrap();
            let states: Vec<ArrayRef> = states.iter().map(|state| state.to_array().unwrap()).collect();
            whole.merge_batch(&states).unwrap();
        }
        Query::of(&whole.evaluate().unwrap().to_array().unwrap()).unwrap()
    }

    /// Numbers of tests/reference/make_bm25.py.
    #[test]
    fn scores_are_those_of_bm25s() {
        for (text, expected) in [
            ("tent TX-200", [2.9146, 1.3208, 0.0, 0.9533, 0.0, 1.1792, 0.0]),
            ("bag for a tent", [1.7430, 1.5896, 1.2625, 3.5711, 0.0, 0.0, 0.0]),
            ("lantern", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.3878]),
            ("xylophone", [0.0; 7]),
        ] {
            let query = query(text);
            let scores = TEXTS.iter().flatten().map(|text| query.score(text, &mut String::new(), &mut Vec::new()));
            for (score, expected) in scores.zip(expected) {
                assert!((score - expected).abs() < 1e-4, "{text}: {score} {expected}");
            }
        }
    }
}

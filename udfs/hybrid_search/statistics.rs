//! `bm25_statistics(text, query)`: what [`super::bm25`] has to know of a whole column.
//!
//! Takes texts and a query that is the same for all of them; gives one `Struct{terms, documents, mean_length, frequencies}`: the terms
//! of the query, the number of texts that are not NULL, their mean number of terms, and in how many of them each term is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::terms;
use crate::text::text_views;

const NAME: &str = "bm25_statistics";

/// The function.
pub(super) fn bm25_statistics() -> AggregateUDF {
    Bm25Statistics { signature: Signature::any(2, Volatility::Immutable) }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bm25Statistics {
    signature: Signature,
}

impl AggregateUDFImpl for Bm25Statistics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Statistics::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let [terms, frequencies] = [DataType::Utf8, DataType::Int64].map(list_of);
        let states = [
            ("terms", terms),
            ("documents", DataType::Int64),
            ("length", DataType::Int64),
            ("frequencies", frequencies),
        ];
        let field = |(state, data_type)| Arc::new(Field::new(format_state_name(args.name, state), data_type, true));
        Ok(states.map(field).to_vec())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("terms", list_of(DataType::Utf8), true),
        Field::new("documents", DataType::Int64, true),
        Field::new("mean_length", DataType::Float64, true),
        Field::new("frequencies", list_of(DataType::Int64), true),
    ])
}

/// The counts so far.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// `None` until a batch has said what the query is.
    terms: Option<Vec<String>>,
    documents: i64,
    /// Terms of all documents.
    length: i64,
    frequencies: Vec<i64>,
    /// Where terms of a document are built and counted.
    term: String,
    counts: Vec<u32>,
}

impl Statistics {
    fn begin(&mut self, terms: impl FnOnce() -> Vec<String>) -> &[String] {
        let terms = self.terms.get_or_insert_with(terms);
        self.frequencies.resize(terms.len(), 0);
        terms
    }

    /// The terms and their frequencies, as one value of a list each.
    fn lists(&self) -> (ArrayRef, ArrayRef) {
        let list = |values: ArrayRef| -> ArrayRef {
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([values.len()]), values, None))
        };
        let terms = StringArray::from_iter_values(self.terms.as_deref().unwrap_or_default());
        (list(Arc::new(terms)), list(Arc::new(Int64Array::from(self.frequencies.clone()))))
    }
}

impl Accumulator for Statistics {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [texts, queries] = values else {
            return internal_err!("{NAME} was called with {} arguments", values.len());
        };
        if texts.is_empty() {
            return Ok(());
        }
        let query = text_views(&queries.slice(0, 1))?;
        self.begin(|| query.iter().flatten().next().map_or_else(Vec::new, terms::distinct));
        let Self { terms, documents, length, frequencies, term, counts } = self;
        let terms = terms.as_deref().unwrap_or_default();
        for text in text_views(texts)?.iter().flatten() {
            *documents += 1;
            *length += terms::count(text, terms, term, counts) as i64;
            frequencies.iter_mut().zip(&*counts).for_each(|(total, count)| *total += i64::from(*count > 0));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [terms, documents, length, frequencies] = states else {
            return internal_err!("{NAME} has four states, not {}", states.len());
        };
        let (documents, length) = (documents.as_primitive::<Int64Type>(), length.as_primitive::<Int64Type>());
        for row in (0..documents.len()).filter(|row| documents.value(*row) > 0) {
            let terms = terms.as_list::<i32>().value(row);
            self.begin(|| terms.as_string::<i32>().iter().flatten().map(str::to_owned).collect());
            self.documents += documents.value(row);
            self.length += length.value(row);
            let frequencies = frequencies.as_list::<i32>().value(row);
            let frequencies = frequencies.as_primitive::<Int64Type>().values();
            self.frequencies.iter_mut().zip(frequencies).for_each(|(total, count)| *total += count);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (terms, frequencies) = self.lists();
        let (documents, length) = (Some(self.documents), Some(self.length));
        Ok(vec![
            ScalarValue::try_from_array(&terms, 0)?,
            ScalarValue::Int64(documents),
            ScalarValue::Int64(length),
            ScalarValue::try_from_array(&frequencies, 0)?,
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (terms, frequencies) = self.lists();
        let mean_length = self.length as f64 / self.documents.max(1) as f64;
        let columns: Vec<ArrayRef> = vec![
            terms,
            Arc::new(Int64Array::from(vec![self.documents])),
            Arc::new(Float64Array::from(vec![mean_length])),
            frequencies,
        ];
        Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(fields(), columns, None)?)))
    }

    fn size(&self) -> usize {
        let terms = self.terms.iter().flatten().map(|term| size_of::<String>() + term.capacity()).sum::<usize>();
        size_of::<Self>() + terms + self.frequencies.capacity() * size_of::<i64>() + self.counts.capacity() * 4
    }
}

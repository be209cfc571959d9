//! `classification_report(label, predicted)`: how good a classifier is, class by class.
//!
//! Takes the true and the predicted class of each row; gives a list of rows: one for each class, then the accuracy and the means.
//! The numbers are those of scikit-learn's function of the same name, where what is not defined (the precision of a class that was
//! never predicted, the recall of one that never was true) is 0.
//!
//! The state is a count for each pair of a true and a predicted class: rows are not kept.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray, StructArray};
use arrow::array::{StringViewArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility};
use datafusion_macros::user_doc;

use super::function::plain;
use crate::distinct::Distinct;
use crate::lists::{list_type, list_value};
use crate::text::is_text;

const NAME: &str = "classification_report";
const USAGE: &str = "classification_report(label, predicted)";
/// Most pairs of a true and a predicted class. Who has more took a column of ids or of free text for the class.
const MOST_PAIRS: usize = 1_000_000;

/// `classification_report`.
#[user_doc(
    doc_section(label = "Aggregate Functions"),
    description = "How good a classifier is: a list with a row for each class and for their means, to be read with `unnest`. A row has `kind`; `label`, the class; `precision`, the share of the rows that were predicted as this class and are of it; `recall`, the share of the rows of this class that were predicted as it; `f1`, their harmonic mean; and `support`, the number of rows of the class. Kind `class` is one class; `accuracy` the share of rows that were predicted right, as all three numbers; `macro` the mean over classes; `weighted` their mean weighted by support. Equal to scikit-learn's function of this name: what is not defined is 0. NULL without rows.",
    syntax_example = "classification_report(label, predicted)",
    sql_example = "```sql\nSELECT row['kind'], row['label'], row['precision'], row['recall'], row['f1'], row['support']\nFROM (SELECT unnest(classification_report(article_type, classify(title, 'article_types')['label'])) AS row FROM 'products.parquet');\n```",
    argument(
        name = "label",
        description = "The true class: a text, an integer or a truth value. Rows with a NULL are ignored."
    ),
    argument(name = "predicted", description = "The predicted class, of the same kind. Rows with a NULL are ignored.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ClassificationReport {
    signature: Signature,
}

impl Default for ClassificationReport {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ClassificationReport {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [label, predicted] = types else {
            return plan_err!("{NAME} was given {} arguments; it is {USAGE}", types.len());
        };
        for (argument, given) in [("label", label), ("predicted", predicted)] {
            let plain = plain(given);
            if !(is_text(plain) || plain.is_integer() || matches!(plain, DataType::Boolean | DataType::Null)) {
                return plan_err!("{NAME}: {argument} is a text, an integer or a truth value, not {given}: {USAGE}");
            }
        }
        Ok(vec![DataType::Utf8View; 2])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(row_field()))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{NAME}(DISTINCT ...) is not supported; select the distinct rows in a subquery");
        }
        Ok(Box::new(Confusion::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |(state, item): (&str, DataType)| {
            Arc::new(Field::new(format_state_name(args.name, state), list_type(item), true))
        };
        let [label, predicted, count] = [DataType::Utf8View, DataType::Utf8View, DataType::UInt64];
        Ok([("labels", label), ("predicted", predicted), ("counts", count)].map(field).to_vec())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

fn row_fields() -> Fields {
    Fields::from(vec![
        Field::new("kind", DataType::Utf8, false),
        Field::new("label", DataType::Utf8, true),
        Field::new("precision", DataType::Float64, false),
        Field::new("recall", DataType::Float64, false),
        Field::new("f1", DataType::Float64, false),
        Field::new("support", DataType::Int64, false),
    ])
}

fn row_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(row_fields()), true))
}

/// The confusion matrix, without its empty cells.
#[derive(Debug, Default)]
struct Confusion {
    /// The true and the predicted class of each cell.
    cells: Distinct,
    counts: Vec<u64>,
}

impl Confusion {
    fn add(&mut self, label: &str, predicted: &str, count: u64) -> Result<()> {
        let (cell, is_new) = self.cells.insert(label.as_bytes(), predicted.as_bytes());
        if is_new {
            if self.counts.len() == MOST_PAIRS {
                return exec_err!(
                    "{NAME}: there are more than {MOST_PAIRS} pairs of a label and a prediction, such as '{label}' and \
                     '{predicted}'; a label is a class, not an id or a free text"
                );
            }
            self.counts.push(0);
        }
        self.counts[cell as usize] += count;
        Ok(())
    }

    /// The true class, the predicted class and the number of rows of each cell.
    fn cells(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        // Only texts were put in.
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        self.counts.iter().zip(0..).map(move |(count, cell)| {
            let (label, predicted) = self.cells.row(cell);
            (text(label), text(predicted), *count)
        })
    }

    /// The counts of each class, in the order of their names.
    fn classes(&self) -> BTreeMap<&str, Class> {
        let mut classes = BTreeMap::<&str, Class>::new();
        for (label, predicted, count) in self.cells() {
            classes.entry(label).or_default().support += count;
            let class = classes.entry(predicted).or_default();
            class.predicted += count;
            if label == predicted {
                class.right += count;
            }
        }
        classes
    }
}

/// Numbers of rows of a class.
#[derive(Debug, Default, Clone, Copy)]
struct Class {
    /// Those of it.
    support: u64,
    /// Those that were predicted as it.
    predicted: u64,
    /// Those that are both.
    right: u64,
}

impl Class {
    /// Precision, recall and F1.
    fn metrics(self) -> [f64; 3] {
        let share = |part: u64, of: u64| if of > 0 { part as f64 / of as f64 } else { 0.0 };
        // 2 / (1 / precision + 1 / recall), without its divisions by 0.
        let f1 = share(2 * self.right, self.support + self.predicted);
        [share(self.right, self.predicted), share(self.right, self.support), f1]
    }
}

impl Accumulator for Confusion {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [labels, predicted] = values else {
            return internal_err!("{NAME} was called with {} arguments", values.len());
        };
        for pair in labels.as_string_view().iter().zip(predicted.as_string_view()) {
            if let (Some(label), Some(predicted)) = pair {
                self.add(label, predicted, 1)?;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [labels, predicted, counts] = states else {
            return internal_err!("{NAME} has three states, not {}", states.len());
        };
        let (labels, predicted, counts) =
            (labels.as_list::<i64>(), predicted.as_list::<i64>(), counts.as_list::<i64>());
        for row in (0..labels.len()).filter(|row| labels.is_valid(*row)) {
            let (labels, predicted, counts) = (labels.value(row), predicted.value(row), counts.value(row));
            let pairs = labels.as_string_view().iter().zip(predicted.as_string_view());
            for ((label, predicted), count) in pairs.zip(counts.as_primitive::<UInt64Type>().values()) {
                self.add(label.unwrap_or_default(), predicted.unwrap_or_default(), *count)?;
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns: [ArrayRef; 3] = [
            Arc::new(StringViewArray::from_iter_values(self.cells().map(|(label, ..)| label))),
            Arc::new(StringViewArray::from_iter_values(self.cells().map(|(_, predicted, _)| predicted))),
            Arc::new(UInt64Array::from(self.counts.clone())),
        ];
        Ok(columns.map(list_value).to_vec())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let classes = self.classes();
        let total: u64 = self.counts.iter().sum();
        if total == 0 {
            return ScalarValue::try_from(DataType::List(row_field()));
        }
        let right = classes.values().map(|class| class.right).sum::<u64>() as f64 / total as f64;
        let mean = |weight: &dyn Fn(Class) -> f64| {
            classes.values().fold([0.0; 3], |mut sum, class| {
                let parts = class.metrics();
                sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += weight(*class) * part);
                sum
            })
        };
        let one = |class: (&&str, &Class)| ("class", Some(class.0.to_string()), class.1.metrics(), class.1.support);
        let means = [
            ("accuracy", [right; 3]),
            ("macro", mean(&|_| 1.0 / classes.len() as f64)),
            ("weighted", mean(&|class| class.support as f64 / total as f64)),
        ];
        let means = means.into_iter().map(|(kind, metrics)| (kind, None, metrics, total));
        let rows: Vec<_> = classes.iter().map(one).chain(means).collect();
        let metric = |which: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|(_, _, metrics, _)| Some(metrics[which])).collect::<Float64Array>())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(kind, ..)| kind))),
            Arc::new(rows.iter().map(|(_, label, ..)| label.as_deref()).collect::<StringArray>()),
            metric(0),
            metric(1),
            metric(2),
            Arc::new(rows.iter().map(|(.., support)| Some(*support as i64)).collect::<Int64Array>()),
        ];
        let rows: ArrayRef = Arc::new(StructArray::try_new(row_fields(), columns, None)?);
        let offsets = OffsetBuffer::<i32>::from_lengths([rows.len()]);
        Ok(ScalarValue::List(Arc::new(ListArray::try_new(row_field(), offsets, rows, None)?)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.cells.memory() + self.counts.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn column(names: &[&str]) -> ArrayRef {
        Arc::new(StringViewArray::from(names.to_vec()))
    }

    #[test]
    fn any_split_gives_the_same_report() {
        let labels: Vec<&str> = (0..60).map(|row| ["mug", "tea", "cup"][row * 7 % 5 % 3]).collect();
        let predicted: Vec<&str> = (0..60).map(|row| ["mug", "cup", "tea", ""][row * 11 % 7 % 4]).collect();
        let mut whole = Confusion::default();
        whole.update_batch(&[column(&labels), column(&predicted)]).unwrap();
        let expected = whole.evaluate().unwrap();
        for rows in [1, 7, 59, 60] {
            let mut merged = Confusion::default();
            for (labels, predicted) in labels.chunks(rows).zip(predicted.chunks(rows)).rev() {
                let mut part = Confusion::default();
                part.update_batch(&[column(labels), column(predicted)]).unwrap();
                let state = part.state().unwrap();
                let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().unwrap()).collect();
                merged.merge_batch(&state).unwrap();
            }
            // A partition without rows.
            let state = Confusion::default().state().unwrap();
            let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
            assert_eq!(merged.evaluate().unwrap(), expected, "{rows} rows a part");
        }
    }
}

//! `frames(film, n)`: images of a film, evenly spread.
//!
//! Takes the bytes of films of any Arrow binary type; gives `List<Binary>`, the images as files that `embed` reads, NULL for NULL.
//! What decodes a film is handed in: this crate knows no formats.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryBuilder, ListBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;

use crate::model::Modality;

const NAME: &str = "frames";
/// Images of one film at the most.
const MOST: i64 = 1000;

/// Gives at most so many images of a film, evenly spread, or the reason why there are none.
pub type Decoder = fn(&[u8], usize) -> Result<Vec<Vec<u8>>, String>;

/// `frames`.
#[user_doc(
    doc_section(label = "File Functions"),
    description = "Images of a film, evenly spread over its frames, as an array of pictures (PNG) that `embed` reads. The mean of their vectors, `profile(embed(frame))`, stands for the film. A film is an animated GIF, WebP or PNG; a still picture is a film of one frame. A film of fewer frames gives each of them once.",
    syntax_example = "frames(film, n)",
    sql_example = "```sql\nSELECT id, profile(embed(frame)) AS vector\nFROM (SELECT id, unnest(frames(read_file(path), 8)) AS frame FROM 'films.csv') GROUP BY id;\n```",
    argument(name = "film", description = "The bytes of a film, in any binary type. NULL gives NULL."),
    argument(name = "n", description = "How many images, from 1 to 1000. NULL gives NULL.")
)]
#[derive(Debug)]
pub struct Frames {
    decoder: Option<Decoder>,
    signature: Signature,
}

impl Frames {
    /// `frames`, decoded by `decoder`; without one it is a function that can be looked up and not called.
    pub fn new(decoder: Option<Decoder>) -> Self {
        Self { decoder, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// There is one `frames` in a session.
impl PartialEq for Frames {
    fn eq(&self, other: &Self) -> bool {
        self.decoder.is_some() == other.decoder.is_some()
    }
}

impl Eq for Frames {}

impl std::hash::Hash for Frames {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.decoder.is_some().hash(state);
    }
}

fn result_type() -> DataType {
    DataType::List(item())
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Binary, true))
}

impl ScalarUDFImpl for Frames {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [film, count] = types else { return plan_err!("{NAME} takes a film and a number: {NAME}(film, n)") };
        if Modality::of(film) != Some(Modality::Bytes) && !film.is_null() {
            return plan_err!(
                "{NAME}: a film is bytes, not {film}; read the file of a path: {NAME}(read_file(path), n)"
            );
        }
        if !count.is_integer() && !count.is_null() {
            return plan_err!("{NAME}: the number of images is an integer, not {count}");
        }
        Ok(vec![DataType::BinaryView, DataType::Int64])
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(result_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(decoder) = self.decoder else {
            return exec_err!("{NAME}: this session has nothing that decodes films");
        };
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let films = args.args[0].to_array(rows)?;
        let counts = args.args[1].to_array(rows)?;
        let (films, counts) = (films.as_binary_view(), counts.as_primitive::<Int64Type>());
        let mut found = ListBuilder::new(BinaryBuilder::new()).with_field(item());
        for row in 0..rows {
            if films.is_null(row) || counts.is_null(row) {
                found.append_null();
                continue;
            }
            let count = counts.value(row);
            if !(1..=MOST).contains(&count) {
                return exec_err!("{NAME}: row {}: the number of images is from 1 to {MOST}, not {count}", row + 1);
            }
            match decoder(films.value(row), usize::try_from(count).unwrap_or(1)) {
                Ok(images) => images.iter().for_each(|image| found.values().append_value(image)),
                Err(reason) => return exec_err!("{NAME}: row {}: {reason}", row + 1),
            }
            found.append(true);
        }
        let found = found.finish();
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

//! Texts with their pictures: takes the table `examples`, gives [`TextImages`] for `contrastive`.

use arrow::array::{Array, Int64Array};

use super::groups::Groups;
use super::inputs::DistinctInputs;
use super::labelled::LabelledColumns;
use super::source::Source;
use super::split::Features;
use super::{Error, Notes, Result, Role};

/// Texts with a picture each, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextImages {
    /// The text with its picture, a row of the dataset's inputs.
    pub input: Vec<u32>,
    /// The number of the text among the distinct ones.
    pub text: Vec<u32>,
    /// The number of the picture among the distinct ones.
    pub image: Vec<u32>,
    /// How much it counts.
    pub weight: Vec<f32>,
    /// The pictures of each text, held out ones included: no false negatives for it.
    pub has: Groups,
}

impl TextImages {
    /// Reads the table. Rows without a text or a picture are left out and noted.
    ///
    /// # Errors
    /// No row is left, all texts or all pictures are equal, or a weight is wrong.
    pub(super) fn new<'a>(
        source: &Source,
        columns: &'a LabelledColumns,
        times: Option<&Int64Array>,
        inputs: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        [Role::Text, Role::Image].into_iter().try_for_each(|role| source.not_all_null(role))?;
        let weights = source.weights()?;
        let (mut pairs, mut features) = (Self::default(), Features::default());
        for (row, weight) in weights.iter().enumerate() {
            let of = columns.text.as_ref().zip(columns.image.as_ref());
            let Some((texts, images)) = of.filter(|(texts, images)| texts.is_valid(row) && images.is_valid(row)) else {
                continue;
            };
            let input = inputs.pair(Some(texts.value(row)), Some(images.value(row)), source.place(row));
            let [text, image] = inputs.parts(input);
            pairs.input.push(input);
            pairs.text.extend(text);
            pairs.image.extend(image);
            pairs.weight.push(*weight);
            features.keys.push(input.into());
            features.times.extend(times.map(|times| times.value(row)));
        }
        let (rows, found) = (source.rows(), pairs.input.len());
        notes.add(rows - found, |n| format!("{n} of {rows} examples have no text or no picture"));
        let none = |reason| Err(Error::NoPositives { reason });
        if found == 0 {
            return none(format!("none of the {rows} rows has a text and a picture"));
        }
        for (what, numbers) in [("text", &pairs.text), ("picture", &pairs.image)] {
            if numbers.iter().all(|number| *number == numbers[0]) {
                return none(format!("all {found} rows have the same {what}, so that there is nothing to tell apart"));
            }
        }
        let members = pairs.text.iter().copied().zip(pairs.image.iter().copied()).collect();
        let texts = pairs.text.iter().max().map_or(0, |last| *last as usize + 1);
        pairs.has = Groups::new(members, texts);
        Ok((pairs, features))
    }
}

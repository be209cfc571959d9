//! The label that is nearest: takes the vectors of inputs and of labels, gives labels and probabilities.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Float32Type;
use datafusion::common::{Result, exec_err};

use super::NAME;
use super::labels::Labels;
use crate::distance::Metric;
use crate::distance::kernels::Query;
use crate::inference::{label_struct, most_probable, sigmoid};
use crate::model::TextTower;
use crate::vectors::Vectors;

/// What cosines are multiplied by where the model says nothing: the scale of sentence-transformers'
/// `MultipleNegativesRankingLoss`, with which most models of texts are trained.
/// <https://sbert.net/docs/package_reference/sentence_transformer/losses.html#multiplenegativesrankingloss>
const TEXT_SCALE: f32 = 20.0;

/// The nearest label of each vector of `inputs`, the first of equals, and its probability; NULL for a vector that is NULL or
/// has no direction.
///
/// The probability is the softmax over all labels of `scale * cosine`, as CLIP has it (<https://arxiv.org/abs/2103.00020>,
/// figure 3), or the sigmoid of `scale * cosine + bias` of a model with a bias, as SigLIP has it
/// (<https://arxiv.org/abs/2303.15343>, equation 1).
///
/// # Errors
/// The vectors are of another width than those of the labels.
pub(super) fn nearest(
    inputs: &ArrayRef,
    labels: &Labels,
    vectors: &[f32],
    tower: Option<TextTower>,
) -> Result<ArrayRef> {
    let labels = &labels.0;
    let width = vectors.len() / labels.len();
    let rows = Vectors::<Float32Type>::try_new(NAME, inputs)?;
    let queries: Vec<Query<'_, f32>> =
        vectors.chunks_exact(width.max(1)).map(|vector| Query::new(Metric::Cosine, vector)).collect();
    let scale = tower.map_or(TEXT_SCALE, |tower| tower.logit_scale);
    let bias = tower.and_then(|tower| tower.logit_bias);
    let mut logits = Vec::with_capacity(queries.len());
    let mut found = Vec::with_capacity(inputs.len());
    for row in 0..inputs.len() {
        let Some(vector) = rows.row(row) else {
            found.push(None);
            continue;
        };
        if vector.len() != width {
            return exec_err!("{NAME}: the vector has {} dimensions and those of the labels {width}", vector.len());
        }
        logits.clear();
        logits
            .extend(queries.iter().map_while(|label| label.distance(vector)).map(|distance| scale * (1.0 - distance)));
        found.push((logits.len() == queries.len()).then(|| {
            let (label, softmax) = most_probable(&logits);
            (label, bias.map_or(softmax, |bias| sigmoid(logits[label] + bias)))
        }));
    }
    Ok(Arc::new(label_struct(&found, |label| labels.value(label))?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::array::{AsArray, FixedSizeListArray, StringArray};

    use super::*;

    fn of(inputs: Vec<Option<[f32; 2]>>, tower: Option<TextTower>) -> Vec<Option<(String, f32)>> {
        let inputs = inputs.into_iter().map(|row| row.map(|row| row.map(Some)));
        let inputs: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(inputs, 2));
        let labels = Labels(StringArray::from(vec!["east", "north"]));
        let found = nearest(&inputs, &labels, &[1.0, 0.0, 0.0, 1.0], tower).unwrap();
        let found = found.as_struct();
        let (names, probabilities) =
            (found.column(0).as_string::<i32>(), found.column(1).as_primitive::<Float32Type>());
        let row = |row| found.is_valid(row).then(|| (names.value(row).to_owned(), probabilities.value(row)));
        (0..found.len()).map(row).collect()
    }

    #[test]
    fn the_nearest_label_has_its_share_of_the_softmax() {
        // cosines 0.6 and 0.8 of a vector of any length
        let found = of(vec![Some([3.0, 4.0]), None, Some([0.0, 0.0]), Some([1.0, 1.0])], None);
        let expected = 1.0 / (1.0 + (20.0f32 * (0.6 - 0.8)).exp());
        let (label, probability) = found[0].clone().unwrap();
        assert!(label == "north" && (probability - expected).abs() < 1e-6, "{label} {probability}");
        assert_eq!(found[1..], [None, None, Some(("east".to_owned(), 0.5))]);
        let clip = TextTower { logit_scale: 2.0, logit_bias: None };
        let (_, probability) = of(vec![Some([3.0, 4.0])], Some(clip))[0].clone().unwrap();
        assert!((probability - 1.0 / (1.0 + (2.0f32 * (0.6 - 0.8)).exp())).abs() < 1e-6, "{probability}");
    }

    #[test]
    fn a_model_with_a_bias_judges_each_label_by_itself() {
        let siglip = TextTower { logit_scale: 10.0, logit_bias: Some(-9.0) };
        let (label, probability) = of(vec![Some([3.0, 4.0])], Some(siglip))[0].clone().unwrap();
        assert_eq!(label, "north");
        assert!((probability - 1.0 / (1.0 + 1.0f32.exp())).abs() < 1e-6, "{probability}");
    }
}

//! How near one model's vectors are to another's: takes both models' vectors of the same texts, gives the share of nearest neighbours
//! that both have.

use crate::linalg::dense::Matrix;
use crate::linalg::neighbours::{self, MOST_QUERIES, NEAREST};

/// The metric's name.
pub(in crate::train) const OVERLAP: &str = "overlap@10";
/// Most texts that are worth handing over; more would change little.
pub(in crate::train) const MOST_TEXTS: usize = 20_000;

/// The mean share, over the first thousand texts, of the teacher's ten nearest texts that are among the student's ten; `None` of
/// fewer than two texts. Rows are texts, of length one, the same in both.
pub(in crate::train) fn overlap(teacher: &Matrix, student: &Matrix) -> Option<f64> {
    let nearest = |vectors: &Matrix| neighbours::nearest(vectors, vectors.rows().min(MOST_QUERIES), NEAREST);
    neighbours::overlap(&nearest(student), &nearest(teacher))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts around a circle.
    fn circle(texts: usize) -> Matrix {
        let angle = |text: usize| text as f32 / texts as f32 * std::f32::consts::TAU;
        Matrix::new(texts, 2, (0..texts).flat_map(|text| [angle(text).cos(), angle(text).sin()]).collect())
    }

    #[test]
    fn the_overlap_is_the_share_of_common_neighbours() {
        let vectors = circle(40);
        assert_eq!(overlap(&vectors, &vectors), Some(1.0));
        // Turned by a right angle it is the same space.
        let turned = Matrix::new(40, 2, vectors.values().chunks(2).flat_map(|row| [-row[1], row[0]]).collect());
        assert_eq!(overlap(&vectors, &turned), Some(1.0));
        // Every second text goes to the other side: of the five nearest on either side, those at an even distance stay.
        let torn = (0..40).flat_map(|text| {
            let sign = if text % 2 == 1 { -1.0 } else { 1.0 };
            vectors.row(text).iter().map(move |value| sign * value).collect::<Vec<_>>()
        });
        assert_eq!(overlap(&vectors, &Matrix::new(40, 2, torn.collect())), Some(0.4));
    }

    #[test]
    fn one_text_has_no_neighbours() {
        assert_eq!(overlap(&circle(1), &circle(1)), None);
        assert_eq!(overlap(&circle(0), &circle(0)), None);
        assert_eq!(overlap(&circle(2), &circle(2)), Some(1.0));
    }
}

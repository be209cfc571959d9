//! Fewer dimensions: takes vectors of the texts that fit, gives what makes narrower ones of them.

use crate::linalg::dense::Matrix;
use crate::linalg::neighbours::{MOST_QUERIES, NEAREST, nearest, overlap};
use crate::linalg::{Error, principal};

/// What makes narrower vectors.
#[derive(Debug)]
pub(super) struct Reduction {
    /// Width of the new ones.
    pub(super) width: usize,
    /// What vectors are multiplied by, `[from, to]`; `None` where their first numbers are taken: models that are trained for
    /// that have the most important ones there (Kusupati et al., 2022, <https://arxiv.org/abs/2205.13147>).
    pub(super) directions: Option<Matrix>,
    /// Overlap of the nearest with and without directions, on the texts that fit.
    overlaps: [f64; 2],
}

impl Reduction {
    /// The better one for these vectors, which are of length one.
    ///
    /// # Errors
    /// The vectors are not finite.
    pub(super) fn find(vectors: Matrix, width: usize) -> Result<Self, Error> {
        let queries = vectors.rows().min(MOST_QUERIES);
        let wanted = nearest(&vectors, queries, NEAREST);
        let kept = |mut narrower: Matrix| {
            narrower.normalize_rows();
            overlap(&nearest(&narrower, queries, NEAREST), &wanted).unwrap_or(0.0)
        };
        let directions = principal::directions(&vectors, width)?;
        let projected = kept(vectors.times(&directions));
        let first = (0..vectors.rows()).flat_map(|row| vectors.row(row)[..width].iter().copied());
        let cut = kept(Matrix::new(vectors.rows(), width, first.collect()));
        Ok(Self { width, directions: (projected > cut).then_some(directions), overlaps: [projected, cut] })
    }

    /// What was found, for people.
    pub(super) fn words(&self) -> String {
        let [projected, cut] = self.overlaps;
        if self.directions.is_some() {
            format!(
                "projected on {} principal directions: overlap {projected:.3} of the examples that fit, and {cut:.3} where the first \
                 numbers are taken",
                self.width
            )
        } else {
            format!(
                "the first {} numbers: overlap {cut:.3} of the examples that fit, and {projected:.3} where they are projected on \
                 principal directions",
                self.width
            )
        }
    }
}

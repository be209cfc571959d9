//! What a recommender's file says of itself: its format, and the names that its columns have.
//!
//! Columns are found by these names and never by their place: a component that came later is not read out of another one's
//! column, and a name that is not known here is refused.

use serde::{Deserialize, Serialize};

use super::super::blend::Blend;
use crate::linalg::dense::Matrix;
use crate::linalg::logistic::Logistic;
use crate::recommend::components::{ComponentList, Listed};

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 2;
/// What each column of the users' activity features is, in their order; the coefficients of a probability stand in the same order,
/// behind that of the blended score.
pub(super) const ACTIVITY: [&str; 3] = ["items", "days_idle", "recent_items"];

/// The format, and the names of columns. Read before anything else, so that it can be read whatever the rest is like.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// Not there in files that were written before it was.
    format: Option<u32>,
    /// The components that were fitted: each has its section, and its column of the score normalization.
    #[serde(default)]
    components: Vec<String>,
    /// What each column of the activity features is.
    #[serde(default)]
    activity: Vec<String>,
}

impl Header {
    /// Of a file with these components.
    pub(super) fn new(components: &[Listed]) -> Self {
        Self {
            format: Some(FORMAT),
            components: components.iter().map(|listed| listed.name().to_owned()).collect(),
            activity: ACTIVITY.map(str::to_owned).into(),
        }
    }

    /// The component of each column, or why the file cannot be read.
    pub(super) fn components(&self, list: &ComponentList) -> Result<Vec<Listed>, String> {
        match self.format {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("its format is {other}, and this version of Debut reads {FORMAT}")),
            None => return Err("it says no format: it was written before files did".into()),
        }
        if self.activity != ACTIVITY {
            return Err(format!(
                "its activity features of users are {}, not {}",
                self.activity.join(", "),
                ACTIVITY.join(", ")
            ));
        }
        let unknown = |name: &String| format!("it has a component '{name}', which this version of Debut does not know");
        self.components.iter().map(|name| list.find(name).ok_or_else(|| unknown(name))).collect()
    }
}

/// A blend with its components by name.
#[derive(Serialize, Deserialize)]
pub(super) struct NamedBlend {
    components: Vec<String>,
    weights: Vec<f32>,
    probability: Logistic,
}

impl NamedBlend {
    /// A blend, or the component that it ranks by and that is not `present`.
    pub(super) fn new(blend: &Blend, present: &[Listed]) -> Result<Self, &'static str> {
        match blend.components.iter().find(|listed| !present.contains(listed)) {
            Some(missing) => Err(missing.name()),
            None => Ok(Self {
                components: blend.components.iter().map(|listed| listed.name().to_owned()).collect(),
                weights: blend.weights.clone(),
                probability: blend.probability.clone(),
            }),
        }
    }

    /// The same, read again.
    pub(super) fn blend(self, present: &[Listed]) -> Result<Blend, String> {
        let find = |name: String| present.iter().copied().find(|listed| listed.name() == name).ok_or(name);
        let components = self.components.into_iter().map(find).collect::<Result<_, _>>()?;
        Ok(Blend { components, weights: self.weights, probability: self.probability })
    }
}

/// A column for each of `present`, of a matrix with one for each component of the list.
pub(super) fn kept_columns(all: &Matrix, present: &[Listed]) -> Matrix {
    let values = (0..all.rows()).flat_map(|row| present.iter().map(move |listed| all.row(row)[listed.place()]));
    Matrix::new(all.rows(), present.len(), values.collect())
}

/// A column for each component of the list, from those of `present`; 0 for the others, which rank nothing.
pub(super) fn all_columns(kept: &Matrix, present: &[Listed], list: &ComponentList) -> Matrix {
    let mut all = Matrix::zeros(kept.rows(), list.all().len());
    for row in 0..kept.rows() {
        let own = all.row_mut(row);
        present.iter().zip(kept.row(row)).for_each(|(listed, value)| own[listed.place()] = *value);
    }
    all
}

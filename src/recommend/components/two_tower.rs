//! A two-tower model: the vector of the user times the item's by the encoder that was fine-tuned against the factors.

use std::any::Any;
use std::ops::Range;

use super::attribution::Attribution;
use super::batches::UserRepresentations;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, products};
use super::fitted::Components;
use super::parts::take_off;
use super::reads::Reads;
use super::rows::typed;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::{Matrix, product_into};
use crate::linalg::ridge::Ridge;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// The weight of the squares in regressions from users' factors to their vectors in a tower.
pub(crate) const USER_LAMBDA: f32 = 1.0;

/// Scores by what the tuned encoder makes of texts.
#[derive(Debug)]
pub(crate) struct TwoTower {
    /// What is taken off each embedding first.
    center: Vec<f32>,
    /// Dimensions x factors.
    projection: Matrix,
    /// From a user's collaborative factors to their vector, for users who were not trained with.
    users: Ridge,
}

/// Where a tower goes on: what is taken off each embedding, the projection (dimensions x factors), and the users' vectors.
pub(crate) type TunedTower<'a> = (&'a [f32], &'a Matrix, &'a Matrix);

/// The tower of fitted components; `None` where no encoder was tuned.
pub(crate) fn tuned_tower<'a>(components: &'a Components, users: &'a UserRepresentations) -> Option<TunedTower<'a>> {
    let place = components.list().find(TwoTower::NAME)?.place();
    let fitted: &dyn Any = components.of(place)?;
    let tower = fitted.downcast_ref::<TwoTower>()?;
    Some((&tower.center, &tower.projection, typed::<Matrix>(users.by_component.of(place)?)?))
}

impl Component for TwoTower {
    const NAME: &'static str = "fine_tuned";
    const ABOUT: &'static str = "the user's vector times the item's by the tuned encoder";
    const READS: Reads = Reads::Text;

    /// Users x factors.
    type Users = Matrix;
    /// Items x factors.
    type Items = Matrix;

    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, Error> {
        let Some(tuned) = fitting.tuned else { return Ok(None) };
        let users = Ridge::fit_dense(&fitting.fitted.users, &tuned.users, USER_LAMBDA, None, stop)?;
        Ok(Some(Self { center: tuned.center.clone(), projection: tuned.projection.clone(), users }))
    }

    fn users(&self, users: &UserInput<'_>) -> Matrix {
        users.tuned.cloned().unwrap_or_else(|| self.users.predict_dense(users.factors))
    }

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Matrix, Cancelled> {
        // Without embeddings by the tuned encoder nothing is known of the items.
        let Some(tuned) = input.texts.tuned else {
            return Ok(Matrix::zeros(input.items.len(), self.projection.columns()));
        };
        let mut embeddings = tuned.clone();
        take_off(&mut embeddings, &self.center);
        Ok(embeddings.times(&self.projection))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(scoring.own_users, scoring.own_items, users, items, out);
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        // Users' vectors come from their factors, or did before they were trained further.
        let chosen = scoring.own_items.gather(out.items);
        let mut vectors = Matrix::zeros(chosen.rows(), self.users.weights.rows());
        product_into(vectors.values_mut(), chosen.all(), self.users.weights.all());
        out.add_factors(weights, |place, _| vectors.row(place));
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.floats("center", &self.center);
        section.matrix("projection", &self.projection);
        section.ridge("user_ridge", &self.users);
        Ok(())
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self {
            center: section.floats("center")?,
            projection: section.matrix("projection")?,
            users: section.ridge("user_ridge")?,
        })
    }
}

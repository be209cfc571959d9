//! The pictures of items, as vectors: takes vectors of those items that have a picture, gives a row for any items.

use crate::linalg::dense::Matrix;

/// Vectors of pictures by one model of pictures, of length one, for the items that have a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    /// For each item the row of its vector; `None` where it has no picture. Rows are in the order of the items.
    places: Vec<Option<u32>>,
    vectors: Matrix,
}

impl Pictures {
    /// Of so many items, of which `pictured`, ascending, have these vectors.
    pub fn new(items: usize, pictured: &[u32], vectors: Matrix) -> Self {
        let mut places = vec![None; items];
        for (place, item) in (0..).zip(pictured) {
            if let Some(own) = places.get_mut(*item as usize) {
                *own = Some(place);
            }
        }
        Self { places, vectors }
    }

    /// For each item whether it has a picture.
    pub fn has(&self) -> Vec<bool> {
        self.places.iter().map(Option::is_some).collect()
    }

    /// These items, in this order.
    #[must_use]
    pub fn gather(&self, items: &[u32]) -> Self {
        let places = items.iter().map(|item| self.places.get(*item as usize).copied().flatten()).collect::<Vec<_>>();
        let rows = places.iter().flatten().copied().collect::<Vec<_>>();
        let mut next = 0..;
        let places = places.into_iter().map(|place| place.and_then(|_| next.next())).collect();
        Self { places, vectors: self.vectors.gather(&rows) }
    }

    /// A row for each item; zeros where it has no picture.
    pub fn rows(&self) -> Matrix {
        let mut rows = Matrix::zeros(self.places.len(), self.vectors.columns());
        for (item, place) in self.places.iter().enumerate() {
            if let Some(place) = place {
                rows.row_mut(item).copy_from_slice(self.vectors.row(*place as usize));
            }
        }
        rows
    }

    /// The same items without the pictures of some of them, ascending.
    #[must_use]
    pub fn without(&self, items: &[u32]) -> Self {
        let (pictured, _) = self.parts();
        let kept = pictured.into_iter().filter(|item| items.binary_search(item).is_err()).collect::<Vec<_>>();
        Self::new(self.places.len(), &kept, self.gather(&kept).vectors)
    }

    /// The items that have a picture, ascending, and their vectors.
    pub(crate) fn parts(&self) -> (Vec<u32>, &Matrix) {
        let pictured = (0..).zip(&self.places).filter(|(_, place)| place.is_some()).map(|(item, _)| item);
        (pictured.collect(), &self.vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_without_a_picture_have_zeros() {
        let vectors = Matrix::new(2, 2, vec![0.6, 0.8, 1.0, 0.0]);
        let pictures = Pictures::new(4, &[1, 3], vectors.clone());
        assert_eq!(pictures.has(), [false, true, false, true]);
        assert_eq!(pictures.parts(), (vec![1, 3], &vectors));
        let some = pictures.gather(&[3, 0, 1]);
        assert_eq!((some.has(), some.rows().values()), (vec![true, false, true], &[1.0, 0.0, 0.0, 0.0, 0.6, 0.8][..]));
        assert_eq!(some.gather(&[2, 2]).rows().values(), [0.6, 0.8, 0.6, 0.8]);
        let rest = pictures.without(&[0, 1]);
        assert_eq!(rest.parts(), (vec![3], &Matrix::new(1, 2, vec![1.0, 0.0])));
        assert_eq!((rest.has(), rest.rows().row(1)), (vec![false, false, false, true], &[0.0, 0.0][..]));
    }
}

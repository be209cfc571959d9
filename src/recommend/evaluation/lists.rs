//! What the lists of all users look like together, and how different the items in one list are.
//!
//! Takes the first places of each user, as candidates' indices; gives coverage and Gini over all of them, novelty and
//! intra-list diversity of each. The former belong to no single user, so their intervals are made here, by resampling
//! users; the latter are metrics of a user like any other.

use super::bootstrap::{Estimate, Resampling};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::dense::Matrix;

/// The first places of users, a list behind the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lists {
    ends: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    /// Adds a user's list, best first.
    pub fn push(&mut self, items: &[u32]) {
        self.items.extend_from_slice(items);
        self.ends.push(self.items.len());
    }

    /// Adds the lists of other users behind these.
    pub fn append(&mut self, other: &Self) {
        let before = self.items.len();
        self.items.extend_from_slice(&other.items);
        self.ends.extend(other.ends.iter().map(|end| end + before));
    }

    /// Number of users.
    pub fn users(&self) -> usize {
        self.ends.len()
    }

    /// The first `k` places of a user; fewer if the list is shorter.
    pub fn first(&self, user: usize, k: usize) -> &[u32] {
        let start = if user == 0 { 0 } else { self.ends[user - 1] };
        let list = &self.items[start..self.ends[user]];
        &list[..list.len().min(k)]
    }
}

/// Coverage@k and Gini@k, with intervals over users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// The share of the candidates that is in anyone's first k.
    pub coverage: Estimate,
    /// 0 where every candidate is shown equally often, towards 1 where one has all places.
    pub gini: Estimate,
}

/// How the first `k` places are dealt out to so many candidates. `None` without users or candidates.
///
/// Gini: G = sum((2i - n - 1) x_i) / (n sum(x)) over the ascending exposures x, as in Fleder and Hosanagar, 2009,
/// <https://doi.org/10.1287/mnsc.1080.0974>.
///
/// A resample has some 63% of the users, and so shows fewer items than all of them do. Its intervals are therefore moved to
/// where their middle is the value.
pub fn exposure(
    lists: &Lists,
    k: usize,
    candidates: usize,
    resampling: &Resampling,
    stop: Stop<'_>,
) -> Result<Option<Exposure>, Cancelled> {
    if candidates == 0 || lists.users() == 0 {
        return Ok(None);
    }
    let measure = |users: &mut dyn Iterator<Item = u32>| {
        let mut shown = vec![0u32; candidates];
        for user in users {
            for item in lists.first(user as usize, k) {
                if let Some(shown) = shown.get_mut(*item as usize) {
                    *shown += 1;
                }
            }
        }
        [coverage(&shown), gini(&mut shown)]
    };
    let values = measure(&mut (0..lists.users() as u32));
    let resampled = resampling.resample(lists.users(), stop, |drawn| measure(&mut drawn.iter().copied()))?;
    let estimate = |index: usize| {
        let resampled = resampled.iter().map(|values| values[index]).collect();
        resampling.estimate(values[index], lists.users(), resampled).centered()
    };
    Ok(Some(Exposure { coverage: estimate(0), gini: estimate(1) }))
}

/// The share of items that was shown at all.
fn coverage(shown: &[u32]) -> f64 {
    shown.iter().filter(|count| **count > 0).count() as f64 / shown.len() as f64
}

/// Sorts `shown` and gives its Gini coefficient; 0 if nothing was shown.
fn gini(shown: &mut [u32]) -> f64 {
    shown.sort_unstable();
    let items = shown.len() as f64;
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (place, count) in (1..).map(f64::from).zip(shown.iter().map(|count| f64::from(*count))) {
        sum += count;
        weighted += (2.0 * place - items - 1.0) * count;
    }
    if sum > 0.0 { weighted / (items * sum) } else { 0.0 }
}

/// How much of a surprise each candidate is: minus the binary logarithm of the share of users who have it. What nobody has
/// is as rare as the rarest item that somebody has. Vargas and Castells, 2011, <https://doi.org/10.1145/2043932.2043955>.
pub fn self_information(buyers: &[u32], users: usize) -> Vec<f64> {
    let rarest = buyers.iter().copied().filter(|buyers| *buyers > 0).min().unwrap_or(1);
    let users = users.max(1) as f64;
    buyers.iter().map(|buyers| -(f64::from((*buyers).max(rarest)) / users).min(1.0).log2() + 0.0).collect()
}

/// Novelty of a list: the mean of its items' [`self_information`]; NaN for an empty list.
pub fn novelty(list: &[u32], information: &[f64]) -> f64 {
    list.iter().map(|item| information[*item as usize]).sum::<f64>() / list.len() as f64
}

/// Intra-list diversity: 1 less the mean cosine of two items of the list; NaN for lists of fewer than two. `vectors` are
/// the candidates', of length one or zero. Ziegler and others, 2005, <https://doi.org/10.1145/1060745.1060754>.
pub fn diversity(list: &[u32], vectors: &Matrix) -> f64 {
    if list.len() < 2 {
        return f64::NAN;
    }
    // The sum over pairs is (|sum of vectors|² - sum of |vector|²) / 2.
    let (mut sum, mut squares) = (vec![0.0f64; vectors.columns()], 0.0f64);
    for item in list {
        for (sum, x) in sum.iter_mut().zip(vectors.row(*item as usize)) {
            *sum += f64::from(*x);
            squares += f64::from(*x) * f64::from(*x);
        }
    }
    let all: f64 = sum.iter().map(|x| x * x).sum();
    let pairs = list.len() as f64 * (list.len() as f64 - 1.0);
    1.0 - (all - squares) / pairs
}

#[cfg(test)]
#[path = "tests/lists.rs"]
mod tests;

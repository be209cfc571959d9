//! A static model while it is trained: takes which vectors make a text, and the teacher's vector of each text; moves the sum of the
//! former towards the latter.
//!
//! The loss is `1 - cosine`; its gradient by the sum `s` of a text, with `y = s / |s|` and the teacher's vector `t` of length
//! one, is `((y t) y - t) / |s|`, and that is the gradient by every vector of the sum. Vectors that no text of a batch has stay as
//! they are, as with `torch.optim.SparseAdam`.

use rayon::prelude::*;

/// As in PyTorch.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Sums shorter than this have no direction.
const SHORTEST: f64 = 1e-12;

/// Texts as the vectors that they are made of, each list behind the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Bags {
    starts: Vec<usize>,
    features: Vec<u32>,
}

impl Bags {
    /// One list a text.
    pub(super) fn new<B: IntoIterator<Item = u32>>(texts: impl IntoIterator<Item = B>) -> Self {
        let mut bags = Self { starts: vec![0], features: Vec::new() };
        for text in texts {
            bags.features.extend(text);
            bags.starts.push(bags.features.len());
        }
        bags
    }

    /// The vectors of a text.
    pub(super) fn of(&self, text: usize) -> &[u32] {
        &self.features[self.starts[text]..self.starts[text + 1]]
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

/// The vector of a text by these vectors, `[features, dimension]`, of length one; zeros stay zeros.
pub(super) fn embed(vectors: &[f32], dimension: usize, bag: &[u32]) -> Vec<f32> {
    let (mut sum, norm) = sum(vectors, dimension, bag);
    sum.iter_mut().for_each(|value| *value = (f64::from(*value) / norm.max(SHORTEST)) as f32);
    sum
}

/// The sum of the vectors of a text, and its length.
fn sum(vectors: &[f32], dimension: usize, bag: &[u32]) -> (Vec<f32>, f64) {
    let mut sum = vec![0.0f32; dimension];
    for feature in bag {
        let vector = &vectors[*feature as usize * dimension..][..dimension];
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    let norm = sum.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    (sum, norm)
}

/// Vectors, and what Adam remembers of each.
#[derive(Debug)]
pub(super) struct Student {
    dimension: usize,
    /// `[features, dimension]`.
    pub(super) vectors: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: i32,
}

impl Student {
    /// A student that begins at these vectors, `[features, dimension]`.
    pub(super) fn new(dimension: usize, vectors: Vec<f32>) -> Self {
        let zeros = vec![0.0; vectors.len()];
        Self { dimension, vectors, mean: zeros.clone(), square: zeros, steps: 0 }
    }

    /// One step of Adam on the mean loss of `texts`; `targets`, `[all texts, dimension]`, are the teacher's vectors. Gives that
    /// loss, before the step.
    ///
    /// Kingma and Ba, "Adam", 2015, <https://arxiv.org/abs/1412.6980>.
    pub(super) fn step(&mut self, bags: &Bags, targets: &[f32], texts: &[u32], rate: f64) -> f64 {
        let dimension = self.dimension;
        let (losses, gradients) = self.gradients(bags, targets, texts);
        // Which texts each vector is in, by vector, so that threads share nothing.
        let uses = (0u32..)
            .zip(texts)
            .flat_map(|(place, text)| bags.of(*text as usize).iter().map(move |feature| (*feature, place)));
        let mut uses = uses.collect::<Vec<_>>();
        uses.sort_unstable();
        let groups = uses.chunk_by(|a, b| a.0 == b.0).collect::<Vec<_>>();
        self.steps += 1;
        let correction = 1.0 - BETA2.powi(self.steps);
        let size = rate * correction.sqrt() / (1.0 - BETA1.powi(self.steps));
        let vectors = self.vectors.chunks_exact_mut(dimension);
        let state = self.mean.chunks_exact_mut(dimension).zip(self.square.chunks_exact_mut(dimension));
        let mut wanted = groups.iter().peekable();
        let rows = (0u32..).zip(vectors.zip(state)).filter_map(|(feature, row)| {
            let group = wanted.next_if(|group| group[0].0 == feature)?;
            Some((row, *group))
        });
        rows.collect::<Vec<_>>().into_par_iter().for_each(|((vector, (mean, square)), group)| {
            let mut sum = vec![0.0; dimension];
            for (_, place) in group {
                let gradient = &gradients[*place as usize * dimension..][..dimension];
                sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            for (at, (value, gradient)) in vector.iter_mut().zip(sum).enumerate() {
                let first = f64::from(mean[at]) * BETA1 + gradient * (1.0 - BETA1);
                let second = f64::from(square[at]) * BETA2 + gradient * gradient * (1.0 - BETA2);
                (mean[at], square[at]) = (first as f32, second as f32);
                *value = (f64::from(*value) - size * first / (second.sqrt() + EPSILON)) as f32;
            }
        });
        losses.iter().sum::<f64>() / losses.len().max(1) as f64
    }

    /// The loss of each text, and the gradient of their mean by each text's sum.
    fn gradients(&self, bags: &Bags, targets: &[f32], texts: &[u32]) -> (Vec<f64>, Vec<f32>) {
        let dimension = self.dimension;
        let mut gradients = vec![0.0f32; texts.len() * dimension];
        let places = gradients.par_chunks_exact_mut(dimension.max(1)).zip(texts);
        let losses = places.map(|(gradient, text)| {
            let target = &targets[*text as usize * dimension..][..dimension];
            let (sum, norm) = sum(&self.vectors, dimension, bags.of(*text as usize));
            if norm < SHORTEST {
                return 1.0;
            }
            let cosine = sum.iter().zip(target).map(|(s, t)| f64::from(*s) * f64::from(*t)).sum::<f64>() / norm;
            let scale = 1.0 / (norm * texts.len() as f64);
            for ((gradient, s), t) in gradient.iter_mut().zip(&sum).zip(target) {
                *gradient = ((cosine * f64::from(*s) / norm - f64::from(*t)) * scale) as f32;
            }
            1.0 - cosine
        });
        let losses = losses.collect();
        (losses, gradients)
    }
}

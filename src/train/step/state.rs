//! What a training must remember to go on later as if it had not stopped. Given and taken by [`super::session`], kept on
//! disk by `train::run`.

/// A tensor on the host: name, shape, values.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Everything that steps have changed.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps of the optimizer so far.
    pub step: u64,
    /// Batches so far, those that were only accumulated too.
    pub batches: u64,
    /// Batches whose gradients are accumulated and not applied yet.
    pub pending: u64,
    /// Parameters by name, the optimizer's tensors for each, and accumulated gradients if some are pending: name,
    /// shape, values.
    pub tensors: Vec<NamedTensor>,
}

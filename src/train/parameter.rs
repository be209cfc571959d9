//! What is trained: a tensor with its first values and how the optimizer treats it.

/// A tensor that training changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first values, row-major; as many as the shape says.
    pub values: Vec<f32>,
    /// Whether weight decay applies: to matrices, not to biases and the scales of normalisations.
    pub decay: bool,
    /// What the learning rate is multiplied by; usually 1.
    pub rate: f32,
}

impl Parameter {
    /// A parameter with the usual treatment: matrices decay, vectors and scalars do not, and the rate is the run's.
    pub fn new(name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values, decay: shape.len() > 1, rate: 1.0 }
    }
}

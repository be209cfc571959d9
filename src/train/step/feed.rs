//! What a batch gives to one input of the graph.

/// Values of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The input's name in the graph.
    pub name: String,
    /// The shape of the values.
    pub shape: Vec<usize>,
    /// The values, row-major; as many as the shape says.
    pub values: FeedValues,
}

/// The values of a [`Feed`] by element type.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedValues {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit integers.
    I64(Vec<i64>),
}

impl Feed {
    /// A feed of floats.
    pub fn f32(name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: FeedValues::F32(values) }
    }

    /// A feed of integers.
    pub fn i64(name: impl Into<String>, shape: &[usize], values: Vec<i64>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), values: FeedValues::I64(values) }
    }
}

impl FeedValues {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

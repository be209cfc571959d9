//! What is done to a picture: the steps that a model's file asks for, in the terms of Pillow.

/// What becomes of a picture, in this order: resized, cropped in the middle, its levels turned into numbers.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    pub(crate) resize: Option<(Size, Filter)>,
    /// Height and width of the middle that is kept, and of what comes out.
    pub(crate) output: [usize; 2],
    /// For each channel, the number that stands for each level.
    pub(crate) levels: [[f32; 256]; 3],
}

/// To what a picture is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// To this height and width, whatever its shape.
    Exact([usize; 2]),
    /// Its shorter edge to this, its shape kept.
    ShortestEdge(usize),
}

impl Size {
    /// The largest edge that it names.
    pub(crate) fn largest(self) -> usize {
        match self {
            Self::Exact([height, width]) => height.max(width),
            Self::ShortestEdge(edge) => edge,
        }
    }
}

/// A filter of Pillow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Nearest,
    Lanczos,
    Bilinear,
    Bicubic,
    Box,
    Hamming,
}

impl Filter {
    /// The filter by Pillow's number of it.
    pub(crate) fn of(number: u8) -> Option<Self> {
        [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic, Self::Box, Self::Hamming]
            .get(usize::from(number))
            .copied()
    }
}

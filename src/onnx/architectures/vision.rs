//! What encoders of pictures share: maps of features, convolutions with the normalisation after them, pooling.
//!
//! Sizes are fixed when a graph is built: the gradient of a convolution needs to know them, and "SAME" padding depends on
//! them.
//!
//! Batch normalisation is folded into the convolution before it: `(W x - mean) / sqrt(variance + epsilon) * scale + bias`
//! is a convolution too, of `scale / sqrt(variance + epsilon) W`. That computes the same with two passes over the features
//! less, when a model is scored and at every step of a training, which trains the folded weights. It is batch normalisation
//! in inference form: the statistics are those of the checkpoint.

use super::encoder::Encoder;
use super::parameter::Parameter;
use super::{Error, Result};
use crate::onnx::graph::{Dim, Value, attribute_int, attribute_ints};
use crate::onnx::proto::DataType;

/// The input of every encoder of pictures, `f32 [batch, 3, height, width]`.
pub const PIXELS: &str = "pixel_values";
/// Red, green and blue.
const CHANNELS: usize = 3;

/// The size of the pictures that a graph reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

/// Features: `[batch, channels, height, width]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) value: Value,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// What is put around the features before a window moves over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// Nothing.
    None,
    /// Half of the kernel on each side, as PyTorch's models have it.
    Half,
    /// As much as gives `size / stride` places, more of it at the end: TensorFlow's SAME.
    Same,
    /// So much at the begin and at the end of both axes.
    Sides(usize, usize),
}

/// How a convolution moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) stride: usize,
    pub(super) padding: Padding,
}

impl Encoder<'_> {
    /// Declares the input.
    pub(super) fn pixels(&mut self, picture: Picture) -> Map {
        let Picture { height, width } = picture;
        let dims = [Dim::Named("batch"), Dim::Fixed(CHANNELS), Dim::Fixed(height), Dim::Fixed(width)];
        let value = self.graph.input(PIXELS, DataType::Float, &dims);
        Map { value, channels: CHANNELS, height, width }
    }

    /// A convolution with the parameters `{name}.weight`, `[out, in / groups, height, width]`, and `{name}.bias` if there
    /// is one. How many groups there are, the weights' shape says.
    pub(super) fn convolve(&mut self, x: &Map, name: &str, how: Move) -> Result<Map> {
        let shape = self.kernel(x, name)?;
        let weight = self.parameter(&format!("{name}.weight"), &shape)?;
        let bias = format!("{name}.bias");
        let bias = if self.has(&bias) { Some(self.parameter(&bias, &shape[..1])?) } else { None };
        self.convolution(x, &weight, bias.as_ref(), &shape, how)
    }

    /// [`Self::convolve`] and the batch normalisation `norm` after it, in one.
    pub(super) fn convolve_normalised(
        &mut self,
        x: &Map,
        name: &str,
        norm: &str,
        epsilon: f32,
        how: Move,
    ) -> Result<Map> {
        let shape = self.kernel(x, name)?;
        let source = self.find(&format!("{name}.weight"));
        self.weights.expect_shape(&source, &shape)?;
        let names = ["weight", "bias", "running_mean", "running_var"].map(|part| self.find(&format!("{norm}.{part}")));
        for name in &names {
            self.weights.expect_shape(name, &shape[..1])?;
        }
        let [scale, shift, mean, variance] = names.each_ref().map(|name| self.weights.read_f32(name));
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let own_bias = self.find(&format!("{name}.bias"));
        let own = if self.weights.shape(&own_bias).is_some() {
            self.weights.expect_shape(&own_bias, &shape[..1])?;
            self.weights.read_f32(&own_bias)?
        } else {
            vec![0.0; shape[0]]
        };

        let factors = scale
            .iter()
            .zip(&variance)
            .map(|(scale, variance)| f64::from(*scale) / (f64::from(*variance) + f64::from(epsilon)).sqrt())
            .collect::<Vec<_>>();
        let folded = (0..shape[0])
            .map(|at| (f64::from(shift[at]) + (f64::from(own[at]) - f64::from(mean[at])) * factors[at]) as f32)
            .collect();
        let factors = factors.into_iter().map(|factor| factor as f32).collect();

        let [scale, shift, mean, variance] = &names;
        let scaled = Parameter::Scaled { source: source.clone(), factors };
        let weight = self.made(&format!("{name}.weight"), &shape, scaled, &[&source, scale]);
        let sources = [shift, mean, variance, &own_bias].map(String::as_str);
        let bias = self.made(&format!("{name}.bias"), &shape[..1], Parameter::Computed(folded), &sources);
        self.convolution(x, &weight, Some(&bias), &shape, how)
    }

    /// The shape of a convolution's weights, which must fit the features.
    fn kernel(&self, x: &Map, name: &str) -> Result<Vec<usize>> {
        let name = format!("{name}.weight");
        let missing = || Error::MissingTensor {
            name: self.find(&name),
            expected: vec![0, x.channels, 0, 0],
            folder: self.weights.folder().to_path_buf(),
        };
        let found = self.shape(&name).ok_or_else(missing)?;
        let fits = matches!(found, &[out, each, height, width]
            if out > 0 && each > 0 && height > 0 && width > 0
                && x.channels.is_multiple_of(each) && out.is_multiple_of(x.channels / each));
        if fits {
            return Ok(found.to_vec());
        }
        let (name, found) = (self.find(&name), found.to_vec());
        let expected = [found.first(), Some(&x.channels), found.get(2), found.get(3)];
        Err(Error::Shape {
            name,
            found: found.clone(),
            expected: expected.map(|size| size.copied().unwrap_or(0)).to_vec(),
        })
    }

    fn convolution(
        &mut self,
        x: &Map,
        weight: &Value,
        bias: Option<&Value>,
        shape: &[usize],
        how: Move,
    ) -> Result<Map> {
        let groups = x.channels / shape[1];
        let kernel = [shape[2], shape[3]];
        let (pads, [height, width]) = places(x, kernel, how)?;
        let attributes = vec![
            attribute_ints("kernel_shape", &kernel.map(|size| size as i64)),
            attribute_ints("strides", &[how.stride as i64; 2]),
            attribute_ints("pads", &pads),
            attribute_int("group", groups as i64),
        ];
        let inputs = [Some(&x.value), Some(weight), bias];
        let inputs = inputs.into_iter().flatten().collect::<Vec<_>>();
        let value = self.graph.node("Conv", &inputs, attributes);
        Ok(Map { value, channels: shape[0], height, width })
    }

    /// The largest of each window of `size` by `size`.
    pub(super) fn max_pool(&mut self, x: &Map, size: usize, how: Move) -> Result<Map> {
        let (pads, [height, width]) = places(x, [size; 2], how)?;
        let attributes = vec![
            attribute_ints("kernel_shape", &[size as i64; 2]),
            attribute_ints("strides", &[how.stride as i64; 2]),
            attribute_ints("pads", &pads),
        ];
        let value = self.graph.node("MaxPool", &[&x.value], attributes);
        Ok(Map { value, height, width, ..*x })
    }

    /// The mean of each channel, `[batch, channels]`.
    pub(super) fn mean_features(&mut self, x: &Map) -> Value {
        let mean = self.graph.node("GlobalAveragePool", &[&x.value], vec![]);
        self.hidden_size = x.channels;
        self.graph.reshape(&mean, &[0, x.channels as i64])
    }

    /// Sum of two maps of the same shape.
    pub(super) fn add_maps(&mut self, x: &Map, y: &Map) -> Result<Map> {
        if (x.channels, x.height, x.width) != (y.channels, y.height, y.width) {
            let shape = |map: &Map| vec![map.channels, map.height, map.width];
            return Err(Error::Shape { name: x.value.name().to_owned(), found: shape(x), expected: shape(y) });
        }
        Ok(Map { value: self.graph.add(&x.value, &y.value), ..*x })
    }
}

impl Map {
    /// The same shape with other features.
    pub(super) fn with(&self, value: Value) -> Self {
        Self { value, ..*self }
    }
}

/// Pads of ONNX (begins, then ends) and how many places the window then has on each axis.
fn places(x: &Map, kernel: [usize; 2], how: Move) -> Result<([i64; 4], [usize; 2])> {
    if how.stride == 0 {
        return Err(Error::Config { key: "strides".to_owned(), problem: "has a 0".to_owned() });
    }
    let mut pads = [0; 4];
    let mut places = [0; 2];
    for (axis, (size, kernel)) in [x.height, x.width].into_iter().zip(kernel).enumerate() {
        let (begin, end) = match how.padding {
            Padding::None => (0, 0),
            Padding::Half => (kernel / 2, kernel / 2),
            Padding::Same => {
                let total = ((size.div_ceil(how.stride) - 1) * how.stride + kernel).saturating_sub(size);
                (total / 2, total - total / 2)
            }
            Padding::Sides(begin, end) => (begin, end),
        };
        let rest = (size + begin + end).checked_sub(kernel).ok_or_else(|| Error::Config {
            key: "size".to_owned(),
            problem: format!("of {} by {} leaves nothing for a window of {kernel}", x.height, x.width),
        })?;
        (pads[axis], pads[axis + 2]) = (begin as i64, end as i64);
        places[axis] = rest / how.stride + 1;
    }
    Ok((pads, places))
}

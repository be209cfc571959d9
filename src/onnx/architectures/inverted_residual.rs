//! Inverted residual blocks, of which MobileNet and EfficientNet are made: a product that widens, a convolution of each
//! channel by itself, perhaps a gate on the channels, a product that narrows, and the input added where shapes allow.
//! <https://arxiv.org/abs/1801.04381>; the gate, squeeze and excitation: <https://arxiv.org/abs/1709.01507>.

use super::Result;
use super::config::Activation;
use super::encoder::Encoder;
use super::vision::{Map, Move, Padding};

/// What the blocks of a stage have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) activation: Activation,
    /// Between the two products of the gate.
    pub(super) squeeze: Activation,
    pub(super) gate: Gate,
    /// Of batch normalisation.
    pub(super) epsilon: f32,
    /// Of convolutions with kernels larger than one.
    pub(super) padding: Padding,
}

/// The function at the end of squeeze and excitation.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gate {
    Sigmoid,
    HardSigmoid,
}

/// Names of a block's modules below its own: a convolution with its normalisation, or the two products of the gate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) expand: [&'static str; 2],
    pub(super) depthwise: [&'static str; 2],
    pub(super) squeeze: [&'static str; 2],
    pub(super) project: [&'static str; 2],
}

impl Encoder<'_> {
    /// A convolution, its normalisation, and the activation if there is one; names are below `at`.
    pub(super) fn unit(
        &mut self,
        x: &Map,
        at: &str,
        names: [&str; 2],
        stride: usize,
        style: &Style,
        activation: Option<Activation>,
    ) -> Result<Map> {
        let [conv, norm] = names.map(|name| format!("{at}{name}"));
        let padding = if self.is_pointwise(&conv) { Padding::None } else { style.padding };
        let x = self.convolve_normalised(x, &conv, &norm, style.epsilon, Move { stride, padding })?;
        Ok(match activation {
            Some(activation) => x.with(self.activate(&x.value, activation)),
            None => x,
        })
    }

    fn is_pointwise(&self, conv: &str) -> bool {
        self.shape(&format!("{conv}.weight")).is_some_and(|shape| shape.ends_with(&[1, 1]))
    }

    /// One block; `at` ends with a dot. The widening product and the gate are there if the checkpoint has them. `skip`
    /// says whether the input may be added.
    pub(super) fn inverted_residual(
        &mut self,
        input: &Map,
        at: &str,
        names: &Names,
        stride: usize,
        style: &Style,
        skip: bool,
    ) -> Result<Map> {
        self.graph.scope(at.trim_end_matches('.'));
        let mut x = input.clone();
        if self.has(&format!("{at}{}.weight", names.expand[0])) {
            x = self.unit(&x, at, names.expand, 1, style, Some(style.activation))?;
        }
        x = self.unit(&x, at, names.depthwise, stride, style, Some(style.activation))?;
        if self.has(&format!("{at}{}.weight", names.squeeze[0])) {
            x = self.squeeze_excite(&x, at, names.squeeze, style)?;
        }
        x = self.unit(&x, at, names.project, 1, style, None)?;
        if skip && stride == 1 && x.channels == input.channels { self.add_maps(&x, input) } else { Ok(x) }
    }

    fn squeeze_excite(&mut self, x: &Map, at: &str, names: [&str; 2], style: &Style) -> Result<Map> {
        let once = Move { stride: 1, padding: Padding::None };
        let mean = self.graph.node("GlobalAveragePool", &[&x.value], vec![]);
        let mean = Map { value: mean, channels: x.channels, height: 1, width: 1 };
        let narrow = self.convolve(&mean, &format!("{at}{}", names[0]), once)?;
        let narrow = narrow.with(self.activate(&narrow.value, style.squeeze));
        let wide = self.convolve(&narrow, &format!("{at}{}", names[1]), once)?;
        let gate = match style.gate {
            Gate::Sigmoid => self.graph.node("Sigmoid", &[&wide.value], vec![]),
            Gate::HardSigmoid => self.graph.hard_sigmoid(&wide.value),
        };
        Ok(x.with(self.graph.mul(&x.value, &gate)))
    }
}

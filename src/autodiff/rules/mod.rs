//! How the gradient passes each operator: the table. A rule takes the gradient of its node's outputs and gives those of
//! its inputs, in the order of the inputs; `None` or nothing for inputs that have none or need none.
//!
//! Rules may assume operators of version 13 or newer. Their names: `x` an input, `y` the first output, `dy` its gradient.

mod arithmetic;
mod convolution;
mod convolution_weights;
mod elementwise;
mod gather;
mod layout;
mod matrix;
mod normalization;
mod pooling;
mod reduction;
mod slices;
mod window;

use super::Error;
use super::context::Context;
use crate::onnx::graph::Value;
use crate::onnx::proto::NodeProto;

/// Gradients of the inputs.
pub(super) type Gradients = Result<Vec<Option<Value>>, Error>;

/// What is known about an operator's gradient.
pub(super) enum Rule {
    /// How it passes.
    Passes(fn(&mut Context<'_>) -> Gradients),
    /// The output does not depend on the inputs' values, or not in a differentiable way: the derivative is 0 wherever
    /// there is one.
    NoGradient,
}

/// The rule for a node's operator.
#[rustfmt::skip]
pub(super) fn find(node: &NodeProto) -> Option<Rule> {
    let rule: fn(&mut Context<'_>) -> Gradients = match (node.domain(), node.op_type()) {
        ("com.microsoft", "FusedMatMul") => matrix::fused_matmul,
        ("com.microsoft", "Gelu") => elementwise::gelu,
        ("" | "ai.onnx", operator) => match operator {
            "Add" | "Sum" => arithmetic::sum,
            "Sub" => arithmetic::sub,
            "Mul" => arithmetic::mul,
            "Div" => arithmetic::div,
            "Pow" => arithmetic::pow,
            "Max" | "Min" => arithmetic::extreme,
            "Mean" => arithmetic::mean,
            "Where" => arithmetic::choose,

            "Abs" => elementwise::abs,
            "Cast" | "CastLike" => elementwise::cast,
            "Clip" => elementwise::clip,
            "Cos" => elementwise::cos,
            "Dropout" => elementwise::dropout,
            "Elu" => elementwise::elu,
            "Erf" => elementwise::erf,
            "Exp" => elementwise::exp,
            "Gelu" => elementwise::gelu,
            "Identity" => elementwise::identity,
            "LeakyRelu" => elementwise::leaky_relu,
            "Log" => elementwise::log,
            "Neg" => elementwise::neg,
            "Reciprocal" => elementwise::reciprocal,
            "Relu" => elementwise::relu,
            "Sigmoid" => elementwise::sigmoid,
            "Sin" => elementwise::sin,
            "Softplus" => elementwise::softplus,
            "Sqrt" => elementwise::sqrt,
            "Tanh" => elementwise::tanh,

            "MatMul" => matrix::matmul,
            "Gemm" => matrix::gemm,

            "BatchNormalization" => normalization::batch_normalization,
            "LayerNormalization" => normalization::layer_normalization,
            "LogSoftmax" => normalization::log_softmax,
            "Softmax" => normalization::softmax,

            "ReduceL1" => reduction::l1,
            "ReduceL2" => reduction::l2,
            "ReduceLogSumExp" => reduction::log_sum_exp,
            "ReduceMax" | "ReduceMin" => reduction::extreme,
            "ReduceMean" => reduction::mean,
            "ReduceSum" => reduction::sum,
            "ReduceSumSquare" => reduction::sum_square,

            "Concat" => layout::concat,
            "Expand" => layout::expand,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => layout::reshape,
            "Split" => layout::split,
            "Transpose" => layout::transpose,
            "Slice" => slices::slice,

            "Gather" => gather::gather,
            "GatherElements" => gather::gather_elements,
            "GatherND" => gather::gather_nd,

            "Conv" => convolution::conv,
            "AveragePool" => pooling::average,
            "GlobalAveragePool" => pooling::global_average,
            "MaxPool" => pooling::max,

            "And" | "ArgMax" | "ArgMin" | "Bernoulli" | "BitShift" | "Ceil" | "Constant" | "ConstantOfShape" | "Equal"
            | "EyeLike" | "Floor" | "Greater" | "GreaterOrEqual" | "IsInf" | "IsNaN" | "Less" | "LessOrEqual" | "Mod"
            | "NonZero" | "Not" | "OneHot" | "Or" | "RandomNormal" | "RandomNormalLike" | "RandomUniform"
            | "RandomUniformLike" | "Range" | "Round" | "Shape" | "Sign" | "Size" | "Xor" => return Some(Rule::NoGradient),
            _ => return None,
        },
        _ => return None,
    };
    Some(Rule::Passes(rule))
}

/// Whether an operator's rule also takes gradients of outputs after the first.
pub(super) fn takes_any_output(node: &NodeProto) -> bool {
    node.op_type() == "Split"
}

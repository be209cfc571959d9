//! The operators that builders of graphs use most, by name. Part of [`super`].

use super::{GraphBuilder, Value, attribute_float, attribute_int, attribute_ints};
use crate::onnx::proto::DataType;

impl GraphBuilder {
    /// `a + b`, broadcast.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], vec![])
    }

    /// `a - b`, broadcast.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a, b], vec![])
    }

    /// `a * b`, broadcast.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], vec![])
    }

    /// `a / b`, broadcast.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a, b], vec![])
    }

    /// The matrix product over the last two axes.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], vec![])
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], vec![attribute_int("axis", -1)])
    }

    /// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + epsilon) * scale + bias`.
    pub fn layer_norm(&mut self, x: &Value, scale: &Value, bias: &Value, epsilon: f32) -> Value {
        let attributes = vec![attribute_int("axis", -1), attribute_float("epsilon", epsilon)];
        self.node("LayerNormalization", &[x, scale, bias], attributes)
    }

    /// The exact Gelu, `x/2 * (1 + erf(x / sqrt 2))`, in the form that the runtime knows how to fuse.
    /// <https://arxiv.org/abs/1606.08415>
    pub fn gelu(&mut self, x: &Value) -> Value {
        let (root, one, half) = (self.scalar_f32(std::f32::consts::SQRT_2), self.scalar_f32(1.0), self.scalar_f32(0.5));
        let scaled = self.div(x, &root);
        let erf = self.node("Erf", &[&scaled], vec![]);
        let shifted = self.add(&erf, &one);
        let product = self.mul(x, &shifted);
        self.mul(&product, &half)
    }

    /// The Gelu by tanh, `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`. <https://arxiv.org/abs/1606.08415>
    pub fn gelu_tanh(&mut self, x: &Value) -> Value {
        let root = self.scalar_f32((2.0 / std::f64::consts::PI).sqrt() as f32);
        let (cubic, one, half) = (self.scalar_f32(0.044715), self.scalar_f32(1.0), self.scalar_f32(0.5));
        let square = self.mul(x, x);
        let cube = self.mul(&square, x);
        let term = self.mul(&cube, &cubic);
        let sum = self.add(x, &term);
        let inner = self.mul(&sum, &root);
        let tanh = self.tanh(&inner);
        let shifted = self.add(&tanh, &one);
        let halved = self.mul(x, &half);
        self.mul(&halved, &shifted)
    }

    /// `tanh x`.
    pub fn tanh(&mut self, x: &Value) -> Value {
        self.node("Tanh", &[x], vec![])
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: &Value) -> Value {
        self.node("Relu", &[x], vec![])
    }

    /// `x * sigmoid(x)`. <https://arxiv.org/abs/1702.03118>
    pub fn silu(&mut self, x: &Value) -> Value {
        let sigmoid = self.node("Sigmoid", &[x], vec![]);
        self.mul(x, &sigmoid)
    }

    /// `min(max(x, low), high)`.
    pub fn clip(&mut self, x: &Value, low: f32, high: f32) -> Value {
        let (low, high) = (self.scalar_f32(low), self.scalar_f32(high));
        self.node("Clip", &[x, &low, &high], vec![])
    }

    /// `min(max(x + 3, 0), 6) / 6`: a sigmoid in straight lines. <https://arxiv.org/abs/1905.02244>
    pub fn hard_sigmoid(&mut self, x: &Value) -> Value {
        let (three, six) = (self.scalar_f32(3.0), self.scalar_f32(6.0));
        let shifted = self.add(x, &three);
        let clipped = self.clip(&shifted, 0.0, 6.0);
        self.div(&clipped, &six)
    }

    /// `x` with another shape; 0 keeps a dimension, -1 is what is left.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.list_i64(shape);
        self.node("Reshape", &[x, &shape], vec![])
    }

    /// `x` with its axes in another order.
    pub fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], vec![attribute_ints("perm", order)])
    }

    /// The slices of `table` along `axis` that `indices` name.
    pub fn gather(&mut self, table: &Value, indices: &Value, axis: i64) -> Value {
        self.node("Gather", &[table, indices], vec![attribute_int("axis", axis)])
    }

    /// `x` with axes of size 1 put in.
    pub fn unsqueeze(&mut self, x: &Value, axes: &[i64]) -> Value {
        let axes = self.list_i64(axes);
        self.node("Unsqueeze", &[x, &axes], vec![])
    }

    /// `x` with elements of another type.
    pub fn cast(&mut self, x: &Value, element: DataType) -> Value {
        self.node("Cast", &[x], vec![attribute_int("to", element as i64)])
    }

    /// `ReduceMax` or `ReduceMin` along `axis`, which stays with size 1 if it is kept. The axis is an input from opset 18 on.
    pub fn reduce_extreme(&mut self, operator: &str, x: &Value, axis: i64, kept: bool) -> Value {
        let kept = attribute_int("keepdims", i64::from(kept));
        if self.opset() >= 18 {
            let axes = self.list_i64(&[axis]);
            self.node(operator, &[x, &axes], vec![kept])
        } else {
            self.node(operator, &[x], vec![attribute_ints("axes", &[axis]), kept])
        }
    }

    /// The size of one axis, a scalar `i64`.
    pub fn size(&mut self, x: &Value, axis: i64) -> Value {
        let shape = self.node("Shape", &[x], vec![]);
        let axis = self.scalar_i64(axis);
        self.gather(&shape, &axis, 0)
    }

    /// `0, 1, ..., size - 1` for a scalar `i64`.
    pub fn range(&mut self, size: &Value) -> Value {
        let (zero, one) = (self.scalar_i64(0), self.scalar_i64(1));
        self.node("Range", &[&zero, size, &one], vec![])
    }

    /// Running sum along `axis`.
    pub fn cumulative_sum(&mut self, x: &Value, axis: i64) -> Value {
        let axis = self.scalar_i64(axis);
        self.node("CumSum", &[x, &axis], vec![])
    }
}

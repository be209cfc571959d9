//! A number with its interval and its p-value.
//!
//! Takes a value, its variance and the degrees of freedom of that; gives the interval and the test of Student's t.

use crate::distributions::{t_quantile, t_two_sided};

/// A number that is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Where it lies with a confidence of one minus alpha; `None` where nothing varies, or too little is known.
    pub interval: Option<(f64, f64)>,
    /// How probable a value this far from what no effect would give is, without an effect; `None` as for the interval.
    pub p_value: Option<f64>,
}

impl Estimate {
    /// A number alone.
    pub fn bare(value: f64) -> Self {
        Self { value, interval: None, p_value: None }
    }

    /// A number with this variance, tested against `expected`. No interval without a variance above 0 and degrees of
    /// freedom.
    pub fn of(value: f64, expected: f64, variance: f64, freedom: f64, alpha: f64) -> Self {
        // NaN is no variance either.
        if !(variance > 0.0 && freedom > 0.0) {
            return Self::bare(value);
        }
        let error = variance.sqrt();
        let width = t_quantile(alpha, freedom) * error;
        let p_value = t_two_sided((value - expected) / error, freedom);
        Self { value, interval: Some((value - width, value + width)), p_value: Some(p_value) }
    }

    /// Without a test, where there is nothing to compare with.
    #[must_use]
    pub fn untested(self) -> Self {
        Self { p_value: None, ..self }
    }
}

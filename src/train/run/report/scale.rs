//! An axis: takes the range of its values; gives positions between 0 and 1, and ticks at round numbers. Called by `chart`.

use super::text::{count, fixed, significant};

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// An axis that ends at round numbers around `low` and `high`, with about `ticks` ticks.
    pub(super) fn around(low: f64, high: f64, ticks: u32) -> Self {
        // A flat curve still needs an axis with some height.
        let (low, high) =
            if high > low { (low, high) } else { (low - 0.1 * low.abs().max(0.1), high + 0.1 * high.abs().max(0.1)) };
        let step = round_step((high - low) / f64::from(ticks));
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// An axis of steps: from 0 to exactly `last`, with ticks at whole numbers.
    pub(super) fn steps(last: f64, ticks: u32) -> Self {
        let high = last.max(1.0);
        Self { low: 0.0, high, step: round_step(high / f64::from(ticks)).max(1.0) }
    }

    /// Where a value stands: 0 at the low end, 1 at the high one.
    pub(super) fn position(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The round numbers on the axis, with their labels.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        // A thousandth of a step forgives rounding.
        let first = (self.low / self.step - 1e-3).ceil() as i64;
        let last = (self.high / self.step + 1e-3).floor() as i64;
        (first..=last).map(|number| {
            let value = number as f64 * self.step;
            (value, self.label(value))
        })
    }

    fn label(&self, value: f64) -> String {
        let decimals = (-self.step.log10()).ceil().max(0.0);
        match self.step {
            // As many digits as the step needs at the size of the value.
            step if step < 1e-3 => significant(value, 2 + (value.abs().max(step) / step).log10().ceil() as usize),
            step if step < 1.0 => fixed(value, decimals as usize),
            _ if (0.0..1e6).contains(&value) => count(value.round() as u64),
            _ => significant(value, 3),
        }
    }
}

/// The number of the form 1, 2 or 5 times a power of ten that is nearest to `step`: Heckbert, "Nice Numbers for Graph
/// Labels", Graphics Gems, 1990.
fn round_step(step: f64) -> f64 {
    let exponent = step.log10().floor();
    let factor = match step / 10_f64.powf(exponent) {
        fraction if fraction < 1.5 => 1.0,
        fraction if fraction < 3.0 => 2.0,
        fraction if fraction < 7.0 => 5.0,
        _ => 10.0,
    };
    // Dividing by a whole power of ten is exact where multiplying by 0.1 is not.
    if exponent < 0.0 { factor / 10_f64.powf(-exponent) } else { factor * 10_f64.powf(exponent) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Scale::around(0.031, 2.37, 5)), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(
            labels(&Scale::around(0.412, 0.534, 5)),
            ["0.40", "0.42", "0.44", "0.46", "0.48", "0.50", "0.52", "0.54"]
        );
        assert_eq!(labels(&Scale::around(0.0, 2e-5, 4)), ["0", "5e-6", "1e-5", "1.5e-5", "2e-5"]);
        assert_eq!(labels(&Scale::steps(1930.0, 5)), ["0", "500", "1,000", "1,500"]);
        assert_eq!(labels(&Scale::steps(3.0, 6)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Scale::around(-1.0, 1.0, 4)), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
    }

    #[test]
    fn a_flat_curve_is_in_the_middle() {
        for value in [0.0, 0.7, -3.0, 1e-9] {
            let scale = Scale::around(value, value, 5);
            assert!((scale.position(value) - 0.5).abs() < 0.2, "{value}: {scale:?}");
        }
    }

    proptest! {
        #[test]
        fn everything_is_on_the_axis(low in -1e9_f64..1e9, size in 1e-6_f64..1e9) {
            let high = low + size;
            prop_assume!(high > low);
            let scale = Scale::around(low, high, 5);
            for value in [low, high] {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&scale.position(value)));
            }
            let ticks = labels(&scale);
            prop_assert!((3..=12).contains(&ticks.len()), "{ticks:?}");
        }
    }
}

//! An axis: takes the range of its values; gives positions between 0 and 1, and ticks at round numbers.

use crate::report::text::{count, fixed, significant};

/// How an axis is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Evenly, around the values.
    #[default]
    Even,
    /// Evenly, from zero or from what lies below it.
    FromZero,
    /// From 0 to exactly the last step.
    Steps,
    /// Each power of ten alike, for values above zero that differ by much.
    Decades,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    division: Division,
}

#[derive(Debug, Clone, PartialEq)]
enum Division {
    /// Ticks so far apart.
    Even(f64),
    /// Ticks at these multiples of each power of ten.
    Decades(&'static [f64]),
}

impl Scale {
    /// The axis for values from `low` to `high`, with about `ticks` ticks where they are even.
    pub(crate) fn new(axis: Axis, low: f64, high: f64, ticks: u32) -> Self {
        match axis {
            Axis::Even => Self::around(low, high, ticks),
            Axis::FromZero => Self::around(low.min(0.0), high, ticks),
            Axis::Steps => Self::steps(high, ticks),
            Axis::Decades => Self::decades(low, high),
        }
    }

    /// An axis that ends at round numbers around `low` and `high`, with about `ticks` ticks.
    pub(crate) fn around(low: f64, high: f64, ticks: u32) -> Self {
        // A flat curve still needs an axis with some height.
        let (low, high) =
            if high > low { (low, high) } else { (low - 0.1 * low.abs().max(0.1), high + 0.1 * high.abs().max(0.1)) };
        let step = round_step((high - low) / f64::from(ticks));
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, division: Division::Even(step) }
    }

    /// An axis of steps: from 0 to exactly `last`, with ticks at whole numbers.
    pub(crate) fn steps(last: f64, ticks: u32) -> Self {
        let high = last.max(1.0);
        Self { low: 0.0, high, division: Division::Even(round_step(high / f64::from(ticks)).max(1.0)) }
    }

    /// An axis of powers of ten, which ends at 1, 2 or 5 times one. `low` is above zero.
    pub(crate) fn decades(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low / 1.5, low * 1.5) };
        // A billionth forgives rounding.
        let least = |value: f64| multiples(value, &[5.0, 2.0, 1.0]).find(|tick| *tick <= value * (1.0 + 1e-9));
        let most = |value: f64| multiples(value, &[1.0, 2.0, 5.0, 10.0]).find(|tick| *tick >= value * (1.0 - 1e-9));
        let (low, high) = (least(low).unwrap_or(low), most(high).unwrap_or(high));
        let many = high / low > 100.0 * (1.0 + 1e-9);
        Self { low, high, division: Division::Decades(if many { &[1.0] } else { &[1.0, 2.0, 5.0] }) }
    }

    /// Where a value stands: 0 at the low end, 1 at the high one. On an axis of powers of ten what is not above zero is at
    /// the low end.
    pub(crate) fn position(&self, value: f64) -> f64 {
        match self.division {
            Division::Even(_) => (value - self.low) / (self.high - self.low),
            Division::Decades(_) if value > 0.0 => ((value / self.low).ln() / (self.high / self.low).ln()).max(0.0),
            Division::Decades(_) => 0.0,
        }
    }

    /// The round numbers on the axis, with their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        // A thousandth of a step forgives rounding.
        match self.division {
            Division::Even(step) => {
                let first = (self.low / step - 1e-3).ceil() as i64;
                let last = (self.high / step + 1e-3).floor() as i64;
                (first..=last)
                    .map(|number| {
                        let value = number as f64 * step;
                        (value, label(value, step))
                    })
                    .collect()
            }
            Division::Decades(factors) => {
                let exponents = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let ticks = exponents.flat_map(|exponent| factors.iter().map(move |factor| power(*factor, exponent)));
                let within = |tick: &f64| (self.low * (1.0 - 1e-9)..=self.high * (1.0 + 1e-9)).contains(tick);
                ticks.filter(within).map(|tick| (tick, significant(tick, 1))).collect()
            }
        }
    }
}

/// The label of an even tick.
fn label(value: f64, step: f64) -> String {
    let decimals = (-step.log10()).ceil().max(0.0);
    match step {
        // As many digits as the step needs at the size of the value.
        step if step < 1e-3 => significant(value, 2 + (value.abs().max(step) / step).log10().ceil() as usize),
        step if step < 1.0 => fixed(value, decimals as usize),
        _ if (0.0..1e6).contains(&value) => count(value.round() as u64),
        _ => significant(value, 3),
    }
}

/// These multiples of the power of ten below a value.
fn multiples(value: f64, factors: &'static [f64]) -> impl Iterator<Item = f64> {
    let exponent = value.log10().floor() as i32;
    factors.iter().map(move |factor| power(*factor, exponent))
}

/// `factor` times a power of ten. Dividing by a whole power of ten is exact where multiplying by 0.1 is not.
fn power(factor: f64, exponent: i32) -> f64 {
    if exponent < 0 { factor / 10_f64.powi(-exponent) } else { factor * 10_f64.powi(exponent) }
}

/// The number of the form 1, 2 or 5 times a power of ten that is nearest to `step`: Heckbert, "Nice Numbers for Graph
/// Labels", Graphics Gems, 1990.
fn round_step(step: f64) -> f64 {
    let exponent = step.log10().floor() as i32;
    let factor = match step / power(1.0, exponent) {
        fraction if fraction < 1.5 => 1.0,
        fraction if fraction < 3.0 => 2.0,
        fraction if fraction < 7.0 => 5.0,
        _ => 10.0,
    };
    power(factor, exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, label)| label).collect()
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

    #[test]
    fn powers_of_ten_are_equally_far_apart() {
        let scale = Scale::decades(0.0013, 0.08);
        assert_eq!(labels(&scale), ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]);
        for (value, position) in [(0.001, 0.0), (0.1, 1.0), (0.01, 0.5), (0.0, 0.0), (-1.0, 0.0)] {
            assert!((scale.position(value) - position).abs() < 1e-9, "{value}: {}", scale.position(value));
        }
        assert_eq!(labels(&Scale::decades(1e-5, 0.5)), ["1e-5", "1e-4", "0.001", "0.01", "0.1"]);
        assert_eq!(labels(&Scale::decades(0.01, 0.01)), ["0.005", "0.01", "0.02"]);
    }

    proptest! {
        #[test]
        fn everything_is_between_the_powers_of_ten(low in 1e-9_f64..1e3, times in 1_f64..1e6) {
            let scale = Scale::decades(low, low * times);
            for value in [low, low * times] {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&scale.position(value)), "{scale:?}");
            }
            let ticks = labels(&scale);
            prop_assert!((2..=12).contains(&ticks.len()), "{ticks:?}");
        }

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

//! A stopping rule: an interval and a p-value that hold at every look, however often one looks.
//!
//! Takes a comparison of two groups; gives the difference with a confidence sequence. Stop when its p-value is at most
//! alpha: the probability to ever do so without an effect is at most alpha.
//!
//! The p-value is one over the mixture likelihood ratio of effects with a normal distribution around 0, of H. Robbins,
//! "Statistical methods related to the law of the iterated logarithm", 1970, <https://doi.org/10.1214/aoms/1177696786>, as
//! Johari, Koomen, Pekelis and Walsh use it: "Always valid inference", 2022, <https://doi.org/10.1287/opre.2021.2135>. As
//! variances are estimated, it is that of the t statistic, which holds from the second user on if outcomes are normal, and
//! otherwise for large groups: Lindon, Ham, Tingley and Bojinov, "Anytime-valid linear models and regression adjusted causal
//! inference in randomized experiments", 2022, <https://arxiv.org/abs/2210.08589>. With `g` = how much is known beside what
//! the mixture expects, `f` degrees of freedom and `t` Welch's statistic, the ratio is
//! `(1 + g)^(-1/2) ((1 + t^2 / f) / (1 + t^2 / (f (1 + g))))^((f + 1) / 2)`.
//!
//! The mixture is chosen before the experiment, by the number of users at which the interval is to be as narrow as it can
//! be: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
//! sequences", 2024, <https://doi.org/10.1214/24-AOS2408>, section B.2. Any other number of users is as valid.

use super::estimate::Estimate;
use super::welch::Comparison;

/// The difference, valid at every look. `planned` is the number of users, of both groups together, at which it is
/// sharpest: the same at each look.
pub fn difference(comparison: &Comparison, planned: f64, alpha: f64) -> Estimate {
    let (value, variance, freedom) = (comparison.value(), comparison.variance(), comparison.freedom());
    // NaN is no variance either.
    if !(variance > 0.0 && freedom > 0.0) {
        return Estimate::bare(value);
    }
    let double = -2.0 * alpha.ln();
    let mixture = (double + double.ln_1p()) / planned;
    let (control, treatment) = (comparison.control.count, comparison.treatment.count);
    // As many users in two equal groups would know as much.
    let users = 4.0 * control * treatment / (control + treatment);
    let growth = 1.0 + mixture * users;
    let t_square = value * value / variance;
    let power = (freedom + 1.0) / 2.0;
    let bend = (t_square / freedom).ln_1p() - (t_square / (freedom * growth)).ln_1p();
    let p_value = (0.5 * growth.ln() - power * bend).min(0.0).exp();
    // The ratio reaches 1 / alpha where 1 + s = c (1 + s / growth) with s = t^2 / f; nowhere if c is growth or more.
    let c = ((0.5 * growth.ln() - alpha.ln()) / power).exp();
    let interval = (c < growth).then(|| {
        let width = (variance * freedom * (c - 1.0) / (1.0 - c / growth)).sqrt();
        (value - width, value + width)
    });
    Estimate { value, interval, p_value: Some(p_value) }
}

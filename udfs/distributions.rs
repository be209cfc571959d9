//! Student's t, the chi-square and the binomial distribution, for intervals and p-values.
//!
//! Takes statistics and degrees of freedom; gives probabilities and quantiles. The incomplete beta and gamma functions and
//! the error function are those of the crate `statrs`.

use statrs::function::beta::checked_beta_reg;
use statrs::function::erf::erfc;
use statrs::function::gamma::checked_gamma_ur;

/// Beyond so many degrees of freedom, incomplete beta functions lose more digits than the approximation by a normal number.
const MANY: f64 = 1e5;

/// The probability that t, with these degrees of freedom above 0, is as far from 0 as this or farther.
pub(crate) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    if freedom > MANY {
        // D. L. Wallace, "Bounds on normal approximations to Student's and the chi-square distributions", 1959,
        // <https://doi.org/10.1214/aoms/1177706078>: to seven digits here.
        let square = freedom * (t * t / freedom).ln_1p();
        return erfc((8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * (square / 2.0).sqrt());
    }
    // Without an answer only for NaN, which is the answer then.
    checked_beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t)).unwrap_or(f64::NAN)
}

/// How far from 0 t is with probability `alpha`, between 0 and 1: the inverse of [`t_two_sided`].
pub(crate) fn t_quantile(alpha: f64, freedom: f64) -> f64 {
    // The probability falls with t: bisect, on a logarithmic scale for the tails of few degrees of freedom.
    let (mut low, mut high) = (-40f64, 400f64);
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if t_two_sided(middle.exp(), freedom) > alpha { low = middle } else { high = middle }
    }
    ((low + high) / 2.0).exp()
}

/// The probability that chi-square, with these degrees of freedom above 0, is this much or more.
pub(crate) fn chi_square_upper(statistic: f64, freedom: f64) -> f64 {
    match statistic {
        below if below <= 0.0 => 1.0,
        f64::INFINITY => 0.0,
        _ => checked_gamma_ur(freedom / 2.0, statistic / 2.0).unwrap_or(f64::NAN),
    }
}

/// The probability of `successes` or more of `trials`, of which each is one with this probability, between 0 and 1.
pub(crate) fn binomial_upper(successes: f64, trials: f64, probability: f64) -> f64 {
    if successes <= 0.0 {
        return 1.0;
    }
    checked_beta_reg(successes, trials - successes + 1.0, probability).unwrap_or(f64::NAN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// `scipy.stats.t.sf(t, df) * 2`, SciPy 1.17.
    const T: [(f64, f64, f64); 14] = [
        (0.1, 1.0, 0.936548965138893),
        (12.7, 1.0, 0.050024327689344165),
        (1000000.0, 1.0, 6.366197723673691e-07),
        (3.0, 1.5, 0.13354775425491328),
        (2.0, 5.0, 0.10193947882985835),
        (2.2, 10.7, 0.05074470143530326),
        (1.96, 1000.0, 0.050273184955748736),
        (6.5, 1000.0, 1.2654282532007206e-10),
        (12.0, 250000.5, 3.628419726172454e-33),
        (1.96, 10000000.0, 0.04999581802531423),
        (5.0, 1000000000.0, 5.733032403951619e-07),
        (1.5, 9000000000.0, 0.13361440257279378),
        (6.0, 20000000000.0, 1.973175323796555e-09),
        (2.0, 100000000000000.0, 0.0455002638963611),
    ];

    #[test]
    fn t_is_what_scipy_says() {
        for (t, freedom, p) in T {
            let found = t_two_sided(t, freedom);
            assert!((found / p - 1.0).abs() < 1e-7, "t {t} with {freedom}: {found}, not {p}");
            let back = t_quantile(p, freedom);
            assert!((back / t - 1.0).abs() < 1e-7, "p {p} with {freedom}: {back}, not {t}");
        }
        assert_eq!(t_two_sided(0.0, 3.0), 1.0);
        assert_eq!(t_two_sided(f64::INFINITY, 3.0), 0.0);
    }

    /// `scipy.stats.chi2.sf(x, df)`, SciPy 1.17.
    const CHI_SQUARE: [(f64, f64, f64); 7] = [
        (0.001, 1.0, 0.9747728793699604),
        (3.84, 1.0, 0.05004352124870519),
        (10.83, 1.0, 0.0009986863791802592),
        (250.0, 1.0, 2.5968070393401957e-56),
        (2.5, 4.0, 0.6446357929354278),
        (40.0, 9.0, 7.598525229464264e-06),
        (99.0, 99.0, 0.4810969124082639),
    ];

    #[test]
    fn chi_square_is_what_scipy_says() {
        for (statistic, freedom, p) in CHI_SQUARE {
            let found = chi_square_upper(statistic, freedom);
            assert!((found / p - 1.0).abs() < 1e-8, "{statistic} with {freedom}: {found}, not {p}");
        }
        assert_eq!(chi_square_upper(0.0, 1.0), 1.0);
        assert_eq!(chi_square_upper(f64::INFINITY, 1.0), 0.0);
    }

    /// `scipy.stats.binom.sf(k - 1, n, p)`, SciPy 1.17.
    const BINOMIAL: [(f64, f64, f64, f64); 7] = [
        (1.0, 1.0, 0.25, 0.25),
        (3.0, 10.0, 0.1, 0.0701908264),
        (12.0, 36.0, 0.07692307692307693, 9.267258126041996e-06),
        (12.0, 36.0, 0.5, 0.9855916401720606),
        (500.0, 4000.0, 0.1, 1.928509749833105e-07),
        (100000.0, 1200000.0, 0.07692307692307693, 1.2241475353848677e-149),
        (40.0, 45.0, 0.9, 0.7077246385894649),
    ];

    #[test]
    fn binomial_is_what_scipy_says() {
        for (successes, trials, probability, p) in BINOMIAL {
            let found = binomial_upper(successes, trials, probability);
            assert!((found / p - 1.0).abs() < 1e-8, "{successes} of {trials}: {found}, not {p}");
        }
        assert_eq!(binomial_upper(0.0, 0.0, 0.3), 1.0);
    }
}

//! Probabilities: against scikit-learn, and at their limits.
#![allow(clippy::unwrap_used)]

use super::super::reference::{assert_close, floats, reference};
use super::*;

#[test]
fn probabilities_are_judged_as_scikit_learn_does() {
    for (number, case) in reference("calibration").as_array().unwrap().iter().enumerate() {
        let happened: Vec<bool> =
            case["happened"].as_array().unwrap().iter().map(|one| one.as_bool().unwrap()).collect();
        let p = floats(&case["p"]);
        let close = |found: Option<f64>, expected: &str| {
            assert_close(found.unwrap(), case[expected].as_f64().unwrap(), &format!("case {number}, {expected}"));
        };
        close(log_loss(&happened, &p), "log_loss");
        close(brier(&happened, &p), "brier");
        let most = case["bins"].as_u64().unwrap() as usize;
        for (binning, name) in [(Binning::EqualCount(most), "quantile"), (Binning::EqualWidth(most), "uniform")] {
            let (found, expected) = (bins(&happened, &p, binning), &case[name]);
            let counts: Vec<f64> = found.iter().map(|bin| bin.rows as f64).collect();
            assert_eq!(counts, floats(&expected["rows"]), "case {number}, {name}");
            for (bin, (observed, predicted)) in
                found.iter().zip(floats(&expected["observed"]).into_iter().zip(floats(&expected["predicted"])))
            {
                assert_close(bin.observed, observed, name);
                assert_close(bin.predicted, predicted, name);
                assert!(bin.low <= bin.predicted + 1e-12 && bin.predicted <= bin.high + 1e-12, "{bin:?}");
            }
            assert_close(calibration_error(&found).unwrap(), expected["error"].as_f64().unwrap(), name);
            let mut order: Vec<usize> = (0..p.len()).rev().collect();
            order.rotate_left(p.len() / 3);
            let (other_happened, other_p): (Vec<bool>, Vec<f64>) =
                order.into_iter().map(|row| (happened[row], p[row])).unzip();
            assert_eq!(found, bins(&other_happened, &other_p, binning), "another order of the rows");
        }
    }
}

#[test]
fn the_limits() {
    assert_eq!((log_loss(&[], &[]), brier(&[], &[]), base_rate(&[])), (None, None, None));
    assert_eq!(calibration_error(&bins(&[], &[], Binning::default())), None);
    // A certain mistake is finite, certainty that is right costs nothing.
    assert!((log_loss(&[true, false], &[0.0, 1.0]).unwrap() - 52.0 * 2f64.ln()).abs() < 1e-9);
    assert!(log_loss(&[true, false], &[1.0, 0.0]).unwrap() < 1e-15);
    let (rate, loss) = base_rate(&[true, false, false, false]).unwrap();
    assert_close(rate, 0.25, "rate");
    assert_close(loss, log_loss(&[true, false, false, false], &[0.25; 4]).unwrap(), "base rate's loss");
    assert_eq!(base_rate(&[true, true]), Some((1.0, 0.0)));
    // One probability for all is one bin, however many there may be.
    let found = bins(&[true, false, false, false], &[0.5; 4], Binning::EqualCount(3));
    assert_eq!(found, [Bin { low: 0.5, high: 0.5, rows: 4, predicted: 0.5, observed: 0.25 }]);
    assert_eq!(calibration_error(&found), Some(0.25));
    // More bins than rows, and edges of equal width that belong to the bin below.
    assert_eq!(bins(&[true, false], &[0.9, 0.1], Binning::EqualCount(15)).len(), 2);
    let rows = |p: &[f64], most| {
        bins(&vec![false; p.len()], p, Binning::EqualWidth(most)).iter().map(|bin| bin.rows).collect::<Vec<_>>()
    };
    assert_eq!(rows(&[0.0, 0.1, 0.2, 0.3, 0.30000001, 1.0], 10), [2, 1, 1, 1, 1]);
    assert_eq!(rows(&[0.0, 0.5, 1.0], 1), [3]);
}

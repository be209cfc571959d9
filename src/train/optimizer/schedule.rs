//! The learning rate over a run: takes the step, gives the rate.

use debut_udfs::finetune::options::Schedule;

/// The learning rate after a linear warm-up from 0, in step `step`, counted from 0, of a run of `steps` of which the first `warm_up` warm up, at the peak
/// rate `peak`: what `transformers.get_constant/linear/cosine_schedule_with_warmup` give. A rate of 0 would waste
/// the first step, so that warming up begins at `peak / warm_up`.
pub fn rate(schedule: Schedule, peak: f64, step: u64, steps: u64, warm_up: u64) -> f64 {
    if step < warm_up {
        return peak * ((step + 1) as f64 / warm_up as f64);
    }
    let length = steps.saturating_sub(warm_up).max(1) as f64;
    let done = ((step - warm_up) as f64 / length).min(1.0);
    match schedule {
        Schedule::Constant => peak,
        Schedule::Linear => peak * (1.0 - done),
        Schedule::Cosine => peak * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_points() {
        let rates = |schedule: Schedule, steps: &[u64]| {
            steps.iter().map(|step| rate(schedule, 8.0, *step, 12, 4)).collect::<Vec<_>>()
        };
        assert_eq!(rates(Schedule::Constant, &[0, 1, 3, 4, 11, 50]), [2.0, 4.0, 8.0, 8.0, 8.0, 8.0]);
        assert_eq!(rates(Schedule::Linear, &[0, 3, 4, 8, 10, 12, 50]), [2.0, 8.0, 8.0, 4.0, 2.0, 0.0, 0.0]);
        let cosine = rates(Schedule::Cosine, &[4, 8, 12]);
        assert!(cosine.iter().zip([8.0, 4.0, 0.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-12), "{cosine:?}");
        assert_eq!(rate(Schedule::Linear, 1.0, 0, 0, 0), 1.0);
    }

    proptest! {
        #[test]
        fn rises_to_the_peak_and_never_rises_again(
            kind in 0..3, peak in 1e-6f64..1.0, steps in 1u64..500, warm_up in 0u64..100,
        ) {
            let schedule = [Schedule::Constant, Schedule::Linear, Schedule::Cosine][kind as usize];
            let rate = |step| super::rate(schedule, peak, step, steps, warm_up);
            for step in 0..steps + 3 {
                prop_assert!((0.0..=peak).contains(&rate(step)), "{} in step {step}", rate(step));
                if step < warm_up {
                    prop_assert!(rate(step) > 0.0 && rate(step) <= rate(step + 1));
                } else {
                    prop_assert!(rate(step + 1) <= rate(step));
                }
            }
            prop_assert_eq!(rate(warm_up), peak);
        }
    }
}

//! Two groups compared: the difference of their means, and by what share one is above the other.
//!
//! Takes count, mean and variance of each; gives estimates. The groups may have different variances: B. L. Welch, "The
//! generalization of Student's problem when several different population variances are involved", Biometrika 34, 1947,
//! <https://doi.org/10.1093/biomet/34.1-2.28>.

use super::estimate::Estimate;

/// A group of users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Number of users.
    pub count: f64,
    /// Mean of their outcomes.
    pub mean: f64,
    /// Variance of their outcomes, by `count - 1`; NaN for a single user.
    pub variance: f64,
    /// The variance of what the means of all groups have in common, and their differences have not; 0 of plain means.
    pub shared: f64,
}

impl Sample {
    /// The mean, without a test.
    pub fn estimate(&self, alpha: f64) -> Estimate {
        let variance = self.variance / self.count + self.shared;
        Estimate::of(self.mean, 0.0, variance, self.count - 1.0, alpha).untested()
    }
}

/// A group beside the one that it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// What it is compared with.
    pub control: Sample,
    /// The group.
    pub treatment: Sample,
}

impl Comparison {
    /// The mean of the group minus that of the control.
    pub fn value(&self) -> f64 {
        self.treatment.mean - self.control.mean
    }

    /// The variance of the difference.
    pub fn variance(&self) -> f64 {
        self.treatment.variance / self.treatment.count + self.control.variance / self.control.count
    }

    /// The degrees of freedom of the variance, by Welch and Satterthwaite.
    pub fn freedom(&self) -> f64 {
        let part = |sample: &Sample| (sample.variance / sample.count).powi(2) / (sample.count - 1.0);
        self.variance().powi(2) / (part(&self.treatment) + part(&self.control))
    }

    /// The difference.
    pub fn difference(&self, alpha: f64) -> Estimate {
        Estimate::of(self.value(), 0.0, self.variance(), self.freedom(), alpha)
    }

    /// The difference as a share of the control's mean. `None` where that is not above 0.
    ///
    /// By the delta method: the ratio `R` of two means has the variance `(V1 + R^2 V0 + (1 - R)^2 C) / m0^2`, where `C` is the
    /// variance of what they share. W. G. Cochran, "Sampling techniques", 1977, section 6.
    pub fn lift(&self, alpha: f64) -> Option<Estimate> {
        let Self { control, treatment } = self;
        if control.mean.is_nan() || control.mean <= 0.0 {
            return None;
        }
        let ratio = treatment.mean / control.mean;
        let variance = treatment.variance / treatment.count
            + ratio * ratio * control.variance / control.count
            + (1.0 - ratio) * (1.0 - ratio) * control.shared;
        let variance = variance / (control.mean * control.mean);
        Some(Estimate::of(ratio - 1.0, 0.0, variance, self.freedom(), alpha))
    }
}

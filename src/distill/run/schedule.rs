//! How large steps are, from the first to the last.

use serde::{Deserialize, Serialize};

/// The rate's way from warm-up to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Half a wave down to the floor.
    #[default]
    Cosine,
    /// A straight line to the floor.
    Linear,
    /// No change after the warm-up.
    Constant,
    /// Warm-up, stable, decay: a straight line at the end only.
    Wsd,
}

/// The schedule's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ScheduleRecipe {
    pub(crate) shape: Shape,
    /// Steps; 0 for as many as the epochs have.
    pub(crate) steps: u64,
    /// How often all windows come, where steps are not given.
    pub(crate) epochs: f64,
    /// Steps in which the rate rises.
    pub(crate) warmup: u64,
    /// The share of the rate that is left at the end.
    pub(crate) floor: f64,
    /// The share of steps in which `wsd` falls.
    pub(crate) decay: f64,
}

impl Default for ScheduleRecipe {
    fn default() -> Self {
        Self { shape: Shape::Cosine, steps: 0, epochs: 1.0, warmup: 10, floor: 0.1, decay: 0.2 }
    }
}

impl ScheduleRecipe {
    /// Steps for so many windows, `batch` at a time.
    pub(crate) fn steps(&self, windows: u64, batch: u64) -> u64 {
        if self.steps > 0 { self.steps } else { ((windows as f64 * self.epochs / batch as f64).ceil() as u64).max(1) }
    }

    /// The share of the highest rate for step `step` of `steps`, counted from 0.
    pub(crate) fn share(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        let length = steps.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / length).min(1.0);
        let line = |done: f64| 1.0 - (1.0 - self.floor) * done;
        match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear => line(done),
            Shape::Cosine => self.floor + (1.0 - self.floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Shape::Wsd if done < 1.0 - self.decay => 1.0,
            Shape::Wsd => line((done - (1.0 - self.decay)) / self.decay.max(f64::MIN_POSITIVE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall_as_their_names_say() {
        let with = |shape| ScheduleRecipe { shape, warmup: 10, floor: 0.1, decay: 0.5, ..Default::default() };
        for shape in [Shape::Cosine, Shape::Linear, Shape::Constant, Shape::Wsd] {
            let schedule = with(shape);
            assert!((schedule.share(0, 110) - 0.1).abs() < 1e-12);
            assert_eq!(schedule.share(9, 110), 1.0);
            assert_eq!(schedule.share(10, 110), 1.0);
            assert!((0..110).all(|step| (0.099..=1.0).contains(&schedule.share(step, 110))), "{shape:?}");
        }
        assert!((with(Shape::Cosine).share(60, 110) - 0.55).abs() < 1e-9);
        assert!((with(Shape::Linear).share(60, 110) - 0.55).abs() < 1e-9);
        assert_eq!(with(Shape::Wsd).share(59, 110), 1.0);
        assert!((with(Shape::Wsd).share(85, 110) - 0.55).abs() < 1e-9);
        assert!((with(Shape::Cosine).share(500, 110) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn steps_follow_from_epochs_where_they_are_not_given() {
        let schedule = ScheduleRecipe { epochs: 1.5, ..Default::default() };
        assert_eq!(schedule.steps(100, 8), 19);
        assert_eq!(schedule.steps(1, 8), 1);
        assert_eq!(ScheduleRecipe { steps: 7, ..schedule }.steps(100, 8), 7);
    }
}

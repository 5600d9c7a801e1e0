//! Hidden states like a teacher's: a learned projection brings the student's to the teacher's width, and the square of
//! what they then are apart is compared with the square of the teacher's length (as in arXiv 1412.6550).

use serde::{Deserialize, Serialize};

use crate::distill::kernel::math::dot;
use crate::distill::kernel::matmul::{Old, Target, Threads, View, product};

/// Which states are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HiddenRecipe {
    /// What the loss is multiplied by.
    pub(crate) weight: f64,
    /// Layers of the student, each with one of the first teacher's; counted from 0.
    pub(crate) pairs: Vec<[usize; 2]>,
    /// Steps after which one more pair counts, in their order: from shallow to full. 0 for all from the beginning.
    #[serde(default)]
    pub(crate) grow: u64,
    /// Up to this step; 0 for the end.
    #[serde(default)]
    pub(crate) until: u64,
}

impl HiddenRecipe {
    /// How many of the pairs count in a step.
    pub(crate) fn active(&self, step: u64) -> usize {
        if self.until > 0 && step >= self.until {
            return 0;
        }
        let grown = step.checked_div(self.grow).map_or(u64::MAX, |grown| grown.saturating_add(1));
        usize::try_from(grown).unwrap_or(usize::MAX).min(self.pairs.len())
    }
}

/// Gradients of states and projection: added to.
pub(crate) struct Slopes<'a> {
    pub(crate) states: &'a mut [f32],
    pub(crate) projection: &'a mut [f32],
}

/// `weight · Σ ‖W·h − t‖² / ‖t‖²` over rows. `projection` has a row for each number of a teacher's state.
pub(crate) fn judge(
    projection: &[f32],
    states: &[f32],
    taught: &[f32],
    wide: usize,
    weight: f64,
    slopes: Option<Slopes<'_>>,
) -> f64 {
    let rows = taught.len() / wide;
    if rows == 0 {
        return 0.0;
    }
    let width = states.len() / rows;
    let (w, h) = (View::new(projection, wide, width), View::new(states, rows, width));
    let mut apart = vec![0.0; rows * wide];
    product(Target::new(&mut apart, rows, wide), Old::Replace, 1.0, h, w.t(), Threads::All);
    let mut sum = 0.0;
    for (apart, taught) in apart.chunks_exact_mut(wide).zip(taught.chunks_exact(wide)) {
        apart.iter_mut().zip(taught).for_each(|(a, t)| *a -= t);
        let length = f64::from(dot(taught, taught)).max(f64::MIN_POSITIVE);
        sum += f64::from(dot(apart, apart)) / length;
        let scale = (2.0 * weight / length) as f32;
        apart.iter_mut().for_each(|a| *a *= scale);
    }
    if let Some(Slopes { states, projection }) = slopes {
        let d = View::new(&apart, rows, wide);
        product(Target::new(states, rows, width), Old::Add, 1.0, d, w, Threads::All);
        product(Target::new(projection, wide, width), Old::Add, 1.0, d.t(), h, Threads::All);
    }
    weight * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_join_from_shallow_to_full() {
        let all = HiddenRecipe { weight: 1.0, pairs: vec![[0, 0], [1, 3], [2, 5]], grow: 0, until: 0 };
        assert_eq!([0, 99].map(|step| all.active(step)), [3, 3]);
        let growing = HiddenRecipe { grow: 10, until: 50, ..all };
        assert_eq!([0, 9, 10, 29, 49, 50].map(|step| growing.active(step)), [1, 1, 2, 3, 3, 0]);
    }

    #[test]
    fn gradients_are_the_slopes_and_equal_states_have_none() {
        let number = |i: usize| (i as f32 * 0.7).sin();
        let (rows, width, wide) = (3, 4, 5);
        let projection: Vec<f32> = (0..wide * width).map(number).collect();
        let states: Vec<f32> = (0..rows * width).map(|i| number(i + 50)).collect();
        let taught: Vec<f32> = (0..rows * wide).map(|i| number(i + 90)).collect();
        let (mut ds, mut dw) = (vec![0.0; states.len()], vec![0.0; projection.len()]);
        judge(&projection, &states, &taught, wide, 0.3, Some(Slopes { states: &mut ds, projection: &mut dw }));
        let check = |gradient: &[f32], moved: &dyn Fn(usize, f32) -> f64| {
            for (i, gradient) in gradient.iter().enumerate() {
                let slope = (moved(i, 0.01) - moved(i, -0.01)) / 0.02;
                // a square has no third derivative; single precision leaves 1e-6 of sums of size one, over 0.02
                assert!((slope - f64::from(*gradient)).abs() < 5e-4, "{i}: {slope} {gradient}");
            }
        };
        check(&ds, &|i, by| {
            let mut states = states.clone();
            states[i] += by;
            judge(&projection, &states, &taught, wide, 0.3, None)
        });
        check(&dw, &|i, by| {
            let mut projection = projection.clone();
            projection[i] += by;
            judge(&projection, &states, &taught, wide, 0.3, None)
        });
        let same: Vec<f32> = (0..4).map(|i| if i % 3 == 0 { 1.0 } else { 0.0 }).collect();
        assert_eq!(judge(&same, &[3.0, 4.0], &[3.0, 4.0], 2, 1.0, None), 0.0);
    }
}

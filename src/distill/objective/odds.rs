//! A teacher's odds over the student's vocabulary: the likeliest tokens one by one, the rest as one sum.
//!
//! Leaving the rest out would teach that it never happens (arXiv 2503.16870); as one more outcome it is counted and not
//! shaped.

use super::{Divergence, Loss, ObjectiveRecipe, Taught, tokens};
use crate::distill::kernel::math::softmax;

/// What a teacher expects at one place, at the temperature of the objective.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Odds {
    /// Tokens and their odds.
    pub(crate) top: Vec<(u32, f32)>,
    /// The odds of all others together.
    pub(crate) tail: f32,
}

/// Smaller odds count as these.
const LEAST: f64 = 1e-10;

/// What gradients are multiplied by: the one of the data's own token, and the one of all teachers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) own: f64,
    pub(super) taught: f64,
}

/// `(1 − α) · CE + α · T² · Σ w · D(teacher, student)`. With weights, the gradient is left in the logits' place.
pub(super) fn judge(
    recipe: &ObjectiveRecipe,
    logits: &mut [f32],
    token: u32,
    taught: &[Taught],
    row: usize,
    weights: Option<Weights>,
) -> Loss {
    let t = recipe.temperature;
    let mut warm = if taught.is_empty() { Vec::new() } else { logits.to_vec() };
    if t != 1.0 {
        warm.iter_mut().for_each(|x| *x /= t as f32);
    }
    let own = tokens::judge(logits, token, weights.map(|weights| weights.own as f32));
    let mut whole = (1.0 - recipe.alpha) * own;
    if !taught.is_empty() {
        softmax(&mut warm);
    }
    for teacher in taught {
        let share = recipe.alpha * t * t * teacher.weight;
        // d logits of D through a softmax at temperature T is 1/T of what follows.
        let scale = weights.map(|weights| weights.taught * share / t);
        whole += share * compare(recipe, &warm, &teacher.odds[row], logits, scale);
    }
    Loss { whole, part: own }
}

/// The divergence of the student's odds `q` from a teacher's. Where `scale` is given, its gradient times that is added.
fn compare(recipe: &ObjectiveRecipe, q: &[f32], odds: &Odds, gradient: &mut [f32], scale: Option<f64>) -> f64 {
    let mut value = 0.0;
    let mut mean = 0.0;
    let mut rest = 1.0;
    let mut slopes = Vec::with_capacity(odds.top.len());
    for &(token, p) in &odds.top {
        let q = f64::from(q[token as usize]);
        let (one, slope) = outcome(recipe, f64::from(p), q);
        value += one;
        mean += q * slope;
        rest -= q;
        slopes.push(slope);
    }
    let rest = rest.max(0.0);
    let (one, tail) = if odds.top.len() < q.len() { outcome(recipe, f64::from(odds.tail), rest) } else { (0.0, 0.0) };
    value += one;
    mean += rest * tail;
    let Some(scale) = scale else { return value };
    let (tail, scale_f32) = ((tail - mean) as f32, scale as f32);
    for (gradient, q) in gradient.iter_mut().zip(q) {
        *gradient += scale_f32 * q * tail;
    }
    for (&(token, _), slope) in odds.top.iter().zip(slopes) {
        let at = token as usize;
        let q = f64::from(q[at]);
        gradient[at] += (scale * q * (slope - mean)) as f32 - scale_f32 * (q as f32) * tail;
    }
    value
}

/// One outcome's part of a divergence, and its derivative by the student's odds `q`.
fn outcome(recipe: &ObjectiveRecipe, p: f64, q: f64) -> (f64, f64) {
    let (p, q) = (p.max(LEAST), q.max(LEAST));
    match recipe.divergence {
        Divergence::Forward => (p * (p / q).ln(), -p / q),
        Divergence::Reverse => (q * (q / p).ln(), (q / p).ln() + 1.0),
        Divergence::JensenShannon => {
            let b = recipe.mixture;
            let m = b * p + (1.0 - b) * q;
            let value = b * p * (p / m).ln() + (1.0 - b) * q * (q / m).ln();
            let slope = -b * p * (1.0 - b) / m + (1.0 - b) * ((q / m).ln() + 1.0 - q * (1.0 - b) / m);
            (value, slope)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient against differences of the loss, for every divergence, with temperature and two teachers.
    #[test]
    fn gradients_are_the_slopes_of_the_loss() {
        let logits: Vec<f32> = (0..12).map(|i| ((i * i) as f32 * 0.37).sin() * 2.0).collect();
        let odds = |top: &[(u32, f32)]| {
            let tail = 1.0 - top.iter().map(|(_, p)| p).sum::<f32>();
            Odds { top: top.to_vec(), tail }
        };
        let taught = [
            Taught { weight: 0.7, odds: vec![odds(&[(3, 0.5), (7, 0.2), (1, 0.1)])] },
            Taught { weight: 0.3, odds: vec![odds(&[(0, 0.6), (11, 0.3)])] },
        ];
        for divergence in [Divergence::Forward, Divergence::Reverse, Divergence::JensenShannon] {
            let recipe =
                ObjectiveRecipe { divergence, temperature: 2.0, alpha: 0.8, mixture: 0.3, ..Default::default() };
            let loss = |logits: &[f32]| judge(&recipe, &mut logits.to_vec(), 5, &taught, 0, None).whole;
            let mut gradient = logits.clone();
            judge(&recipe, &mut gradient, 5, &taught, 0, Some(Weights { own: 1.0 - recipe.alpha, taught: 1.0 }));
            for i in 0..logits.len() {
                let (mut up, mut down) = (logits.clone(), logits.clone());
                up[i] += 0.01;
                down[i] -= 0.01;
                let slope = (loss(&up) - loss(&down)) / 0.02;
                // third derivatives of size one leave 1e-4, single precision another 1e-4
                assert!((slope - f64::from(gradient[i])).abs() < 5e-4, "{divergence:?} {i}: {slope} {}", gradient[i]);
            }
        }
    }

    #[test]
    fn a_student_like_its_teacher_has_nothing_to_learn() {
        let mut odds = vec![0.1_f32, 2.0, -1.0, 0.5];
        let logits = odds.clone();
        softmax(&mut odds);
        let top = odds.iter().enumerate().map(|(i, &p)| (i as u32, p)).collect();
        let taught = [Taught { weight: 1.0, odds: vec![Odds { top, tail: 0.0 }] }];
        for divergence in [Divergence::Forward, Divergence::Reverse, Divergence::JensenShannon] {
            let recipe = ObjectiveRecipe { divergence, alpha: 1.0, ..Default::default() };
            let mut gradient = logits.clone();
            let loss = judge(&recipe, &mut gradient, 0, &taught, 0, Some(Weights { own: 0.0, taught: 1.0 }));
            assert!(loss.whole.abs() < 1e-6 && gradient.iter().all(|g| g.abs() < 1e-6), "{divergence:?}");
        }
    }
}

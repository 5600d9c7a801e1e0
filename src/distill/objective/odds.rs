//! A teacher's odds over the student's vocabulary: the likeliest tokens one by one, the rest as one sum.
//!
//! Leaving the rest out would teach that it never happens (arXiv 2503.16870); as one more outcome it is counted and not
//! shaped.

use super::{Divergence, Loss, ObjectiveRecipe, Taught, tokens};
use crate::distill::kernel::math::{softmax, sum};

/// What a teacher expects at one place, at the temperature of the objective.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Odds {
    /// Tokens and their odds.
    pub(crate) top: Vec<(u32, f32)>,
    /// The odds of all others together.
    pub(crate) tail: f32,
}

/// Odds of a teacher below this count as it: nothing is impossible.
const UNSEEN: f64 = 1e-10;
/// The same of the student's, which are never zero but by rounding.
const LEAST: f64 = 1e-40;

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
        whole += share * compare(recipe, &mut warm, &teacher.odds[row], logits, scale);
    }
    Loss { whole, part: own }
}

/// The divergence of the student's odds `q` from a teacher's. Where `scale` is given, its gradient times that is added.
fn compare(recipe: &ObjectiveRecipe, q: &mut [f32], odds: &Odds, gradient: &mut [f32], scale: Option<f64>) -> f64 {
    let outcomes: Vec<f64> = odds.top.iter().map(|&(token, _)| f64::from(q[token as usize])).collect();
    // Added up, not what is left of one: that is lost to rounding where the student is sure.
    odds.top.iter().for_each(|&(token, _)| q[token as usize] = 0.0);
    let rest = f64::from(sum(q)).max(LEAST);
    let mut value = 0.0;
    let mut mean = 0.0;
    let mut pulls = Vec::with_capacity(outcomes.len());
    for (&(_, p), &q) in odds.top.iter().zip(&outcomes) {
        let (one, pull) = outcome(recipe, f64::from(p), q);
        value += one;
        mean += pull;
        pulls.push(pull);
    }
    let all = odds.top.len() >= q.len();
    let (one, tail) = if all { (0.0, 0.0) } else { outcome(recipe, f64::from(odds.tail), rest) };
    value += one;
    mean += tail;
    if let Some(scale) = scale {
        let pull = (scale * (tail / rest - mean)) as f32;
        gradient.iter_mut().zip(q.iter()).for_each(|(gradient, q)| *gradient += pull * q);
        for ((&(token, _), pull), q) in odds.top.iter().zip(pulls).zip(&outcomes) {
            gradient[token as usize] += (scale * (pull - q * mean)) as f32;
        }
    }
    for (&(token, _), &p) in odds.top.iter().zip(&outcomes) {
        q[token as usize] = p as f32;
    }
    value
}

/// One outcome's part of a divergence, and its derivative by the logarithm of the student's odds `q`.
fn outcome(recipe: &ObjectiveRecipe, p: f64, q: f64) -> (f64, f64) {
    let (p, q) = (p.max(UNSEEN), q.max(LEAST));
    match recipe.divergence {
        Divergence::Forward => (p * (p / q).ln(), -p),
        Divergence::Reverse => (q * (q / p).ln(), q * ((q / p).ln() + 1.0)),
        Divergence::JensenShannon => {
            let b = recipe.mixture;
            let m = b * p + (1.0 - b) * q;
            let value = b * p * (p / m).ln() + (1.0 - b) * q * (q / m).ln();
            let slope = -b * p * (1.0 - b) / m + (1.0 - b) * ((q / m).ln() + 1.0 - q * (1.0 - b) / m);
            (value, q * slope)
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
    fn what_the_student_thinks_impossible_pulls_all_the_same() {
        // ln q of the token is about −60, and the rest has e^−30
        let logits = [30.0_f32, -30.0, 0.0, 0.0];
        let taught = [Taught { weight: 1.0, odds: vec![Odds { top: vec![(0, 0.4), (1, 0.5)], tail: 0.1 }] }];
        let recipe = ObjectiveRecipe { alpha: 1.0, ..Default::default() };
        let mut gradient = logits;
        let weights = Weights { own: 0.0, taught: 1.0 };
        let loss = judge(&recipe, &mut gradient, 0, &taught, 0, Some(weights));
        // forward KL has the slope q − p for every outcome, and the tail's is shared by its odds
        for (slope, right) in gradient.iter().zip([0.6, -0.5, -0.05, -0.05]) {
            assert!((slope - right).abs() < 1e-5, "{gradient:?}");
        }
        let right = 0.4 * 0.4_f64.ln() + 0.5 * (0.5_f64.ln() + 60.0) + 0.1 * (0.05_f64.ln() + 30.0);
        assert!((loss.whole - right).abs() < 1e-4, "{} {right}", loss.whole);
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

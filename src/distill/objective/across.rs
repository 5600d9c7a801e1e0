//! Teachers with another vocabulary.
//!
//! *Chunks* (ALM, arXiv 2503.20083): where both tokenizers end a token at the same byte, the odds of the text between two
//! such places are compared, as of an event that happens or not. *Sorted* (ULD, arXiv 2402.12030): where both are about to
//! begin the same text, the odds are compared from the largest to the smallest, whatever they are odds of.

use super::odds::{self, Weights};
use super::{Lesson, Loss, ObjectiveRecipe};
use crate::distill::kernel::math::softmax;
use crate::distill::model::head::{Head, Wanted};

/// What a teacher with other tokens says about a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Across {
    pub(crate) chunks: Vec<Chunk>,
}

/// A stretch of text that ends where both tokenizers end a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chunk {
    /// The student's goals in it, by their numbers in the lesson; without a gap.
    pub(crate) first: usize,
    pub(crate) goals: usize,
    /// The logarithm of the teacher's odds of it.
    pub(crate) log: f32,
    /// The teacher's odds where it begins, the largest first.
    pub(crate) sorted: Vec<f32>,
}

/// Odds are compared as `p^(1/WARMTH)`, as the paper does; losses are multiplied by it, to have the size of logarithms.
const WARMTH: f64 = 100.0;
/// Logarithms of odds above this count as it: what is more certain has nothing left to learn.
const CERTAIN: f64 = -1e-6;

/// Adds `α · Σ w · D` by chunks. Logits are computed twice, as a chunk's slope follows from all its goals.
pub(super) fn chunks(
    recipe: &ObjectiveRecipe,
    head: &Head<'_>,
    states: &[f32],
    lesson: &Lesson,
    weight: f64,
    wanted: Wanted<'_>,
) -> Loss {
    let goals = &lesson.goals;
    let judge = |row: usize, logits: &mut [f32], weights: Option<Weights>| {
        odds::judge(recipe, logits, goals[row].token, &lesson.taught, row, weights)
    };
    let losses = head.run(states, &|row, logits: &mut [f32]| judge(row, logits, None), Wanted::default());
    let mut slopes = vec![1.0 - recipe.alpha; goals.len()];
    let mut sum = Loss::default();
    losses.iter().for_each(|&loss| sum.add(loss));
    for (teacher, across) in lesson.across.iter().map(|(weight, across)| (recipe.alpha * weight, across)) {
        for chunk in &across.chunks {
            let range = chunk.first..chunk.first + chunk.goals;
            let log: f64 = -losses[range.clone()].iter().map(|loss| loss.part).sum::<f64>();
            let (value, slope) = event(f64::from(chunk.log), log);
            sum.whole += teacher * value;
            slopes[range].iter_mut().for_each(|own| *own -= teacher * slope);
        }
    }
    if wanted.states.is_some() || wanted.matrix.is_some() {
        let one = |row: usize, logits: &mut [f32]| {
            judge(row, logits, Some(Weights { own: weight * slopes[row], taught: weight }));
        };
        head.run(states, &one, wanted);
    }
    sum
}

/// The divergence of an event's odds, from the logarithms of both, and its derivative by the student's.
fn event(teacher: f64, student: f64) -> (f64, f64) {
    let (teacher, student) = (teacher.min(CERTAIN) / WARMTH, student.min(CERTAIN) / WARMTH);
    let (p, q) = (teacher.exp(), student.exp());
    // one minus them, also where they are nearly one
    let (not_p, not_q) = (-teacher.exp_m1(), -student.exp_m1());
    let value = p * (teacher - student) + not_p * (not_p / not_q).ln();
    (WARMTH * value, q * not_p / not_q - p)
}

/// Adds `α · Σ w · Σ |p − q|` over sorted odds.
pub(super) fn sorted(
    recipe: &ObjectiveRecipe,
    head: &Head<'_>,
    states: &[f32],
    lesson: &Lesson,
    weight: f64,
    wanted: Wanted<'_>,
) -> Loss {
    let goals = &lesson.goals;
    let gradients = wanted.states.is_some() || wanted.matrix.is_some();
    let weights = gradients.then_some(Weights { own: weight * (1.0 - recipe.alpha), taught: weight });
    let mut at: Vec<Vec<(f64, &[f32])>> = vec![Vec::new(); goals.len()];
    for (teacher, across) in &lesson.across {
        for chunk in &across.chunks {
            at[chunk.first].push((recipe.alpha * teacher, &chunk.sorted));
        }
    }
    let one = |row: usize, logits: &mut [f32]| {
        let mut q = if at[row].is_empty() { Vec::new() } else { logits.to_vec() };
        let mut loss = odds::judge(recipe, logits, goals[row].token, &lesson.taught, row, weights);
        if !q.is_empty() {
            softmax(&mut q);
        }
        for &(teacher, p) in &at[row] {
            loss.whole += teacher * by_size(&q, p, logits, gradients.then_some(weight * teacher));
        }
        loss
    };
    let mut sum = Loss::default();
    head.run(states, &one, wanted).into_iter().for_each(|loss| sum.add(loss));
    sum
}

/// The sum of differences between sorted odds, what is beyond the teacher's list as one; its gradient is added.
fn by_size(q: &[f32], p: &[f32], gradient: &mut [f32], scale: Option<f64>) -> f64 {
    let count = p.len().min(q.len());
    let mut order: Vec<u32> = (0..q.len() as u32).collect();
    let larger = |a: &u32, b: &u32| q[*b as usize].total_cmp(&q[*a as usize]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, larger);
        order.truncate(count);
    }
    order.sort_unstable_by(larger);
    let (mut value, mut mean) = (0.0, 0.0);
    let (mut rest_q, mut rest_p) = (1.0, 1.0);
    let mut slopes = Vec::with_capacity(count);
    for (&id, &p) in order.iter().zip(p) {
        let (q, p) = (f64::from(q[id as usize]), f64::from(p));
        let slope = if q > p { 1.0 } else { -1.0 };
        value += (q - p).abs();
        mean += q * slope;
        rest_q -= q;
        rest_p -= p;
        slopes.push(slope);
    }
    let (rest_q, rest_p) = (f64::max(rest_q, 0.0), f64::max(rest_p, 0.0));
    let tail = if rest_q > rest_p { 1.0 } else { -1.0 };
    value += (rest_q - rest_p).abs();
    mean += rest_q * tail;
    if let Some(scale) = scale {
        let pull = (scale * (tail - mean)) as f32;
        gradient.iter_mut().zip(q).for_each(|(gradient, q)| *gradient += pull * q);
        for (&id, slope) in order.iter().zip(slopes) {
            gradient[id as usize] += (scale * (slope - tail)) as f32 * q[id as usize];
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_as_likely_for_both_has_no_slope() {
        assert!(event(-3.0, -3.0).0.abs() < 1e-9 && event(-3.0, -3.0).1.abs() < 1e-9);
        for (p, q) in [(-1.0, -5.0), (-5.0, -1.0), (-0.01, -20.0), (-300.0, -2.0)] {
            let slope = (event(p, q + 1e-4).0 - event(p, q - 1e-4).0) / 2e-4;
            // second differences of a smooth function at 1e-4
            assert!((slope - event(p, q).1).abs() < 1e-4, "{p} {q}: {slope} {}", event(p, q).1);
            assert!(event(p, q).0 > 0.0);
        }
        // A student that is certain pulls no harder than its remaining doubt: the slope by logits is the slope here
        // times the odds of all else.
        for doubt in [0.0, 1e-9, 1e-7, 1e-6] {
            let slope = event(-0.05, -doubt).1 * doubt;
            assert!((0.0..=0.051).contains(&slope), "{doubt}: {slope}");
        }
    }

    #[test]
    fn sorted_odds_are_pulled_towards_the_teachers() {
        let logits: Vec<f32> = (0..10).map(|i| (i as f32 * 1.3).sin() * 2.0).collect();
        let p = [0.4, 0.3, 0.1, 0.05];
        let odds = |logits: &[f32]| {
            let mut q = logits.to_vec();
            softmax(&mut q);
            q
        };
        let loss = |logits: &[f32]| by_size(&odds(logits), &p, &mut [0.0; 10], None);
        let mut gradient = vec![0.0; 10];
        by_size(&odds(&logits), &p, &mut gradient, Some(1.0));
        for i in 0..10 {
            let (mut up, mut down) = (logits.clone(), logits.clone());
            up[i] += 0.002;
            down[i] -= 0.002;
            let slope = (loss(&up) - loss(&down)) / 0.004;
            // piecewise smooth, in single precision
            assert!((slope - f64::from(gradient[i])).abs() < 1e-3, "{i}: {slope} {}", gradient[i]);
        }
    }
}

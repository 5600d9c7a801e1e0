//! AdamW (arXiv 1711.05101), as PyTorch computes it, and the bound on a step's length before it.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::distill::kernel::matmul::Precision;
use crate::distill::model::{Gradients, Recompute, Weight};

/// The optimiser's keys, and how much is computed at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OptimiserRecipe {
    /// The highest rate.
    pub(crate) rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) eps: f64,
    /// By what matrices shrink a step, times the rate.
    pub(crate) weight_decay: f64,
    /// The longest gradient; 0 for any.
    pub(crate) clip: f64,
    /// Windows computed at once.
    pub(crate) micro_batch: usize,
    /// How many times that makes a step.
    pub(crate) accumulate: usize,
    /// `none` or `block`: compute layers twice to keep less.
    pub(crate) recompute: Recompute,
    /// `f32`, or `bf16` where the processor multiplies that: of products with the model's matrices, which are summed and
    /// kept in single precision.
    pub(crate) precision: Precision,
}

impl Default for OptimiserRecipe {
    fn default() -> Self {
        Self {
            rate: 1e-4,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip: 1.0,
            micro_batch: 1,
            accumulate: 8,
            recompute: Recompute::None,
            precision: Precision::F32,
        }
    }
}

/// Running means of each trained weight's gradient and of its square.
#[derive(Debug, Default)]
pub(crate) struct AdamW {
    pub(crate) means: Vec<Vec<f32>>,
    pub(crate) squares: Vec<Vec<f32>>,
    /// Steps so far.
    pub(crate) steps: u64,
}

/// Numbers changed by one thread at a time.
const CHUNK: usize = 1 << 15;

impl AdamW {
    pub(crate) fn new(weights: &[Weight]) -> Self {
        let empty = || weights.iter().map(|weight| vec![0.0; if weight.trained { weight.len() } else { 0 }]).collect();
        Self { means: empty(), squares: empty(), steps: 0 }
    }

    /// Changes all trained weights.
    pub(crate) fn step(
        &mut self,
        recipe: &OptimiserRecipe,
        rate: f64,
        weights: &mut [Weight],
        gradients: &mut Gradients,
    ) {
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let correction = (1.0 - recipe.beta2.powi(steps)).sqrt() as f32;
        let size = (rate / (1.0 - recipe.beta1.powi(steps))) as f32;
        let (b2, eps) = (recipe.beta2 as f32, recipe.eps as f32);
        // rounded once: of 1 - 0.999 in single precision five digits are wrong
        let (new1, new2) = ((1.0 - recipe.beta1) as f32, (1.0 - recipe.beta2) as f32);
        for (id, gradient) in gradients.each() {
            let weight = &mut weights[id.0];
            // Norms and biases have one dimension and are not pulled to zero.
            let shrink = if weight.dims.len() > 1 { (1.0 - rate * recipe.weight_decay) as f32 } else { 1.0 };
            let Some(numbers) = weight.change() else { continue };
            let state = self.means[id.0].par_chunks_mut(CHUNK).zip(self.squares[id.0].par_chunks_mut(CHUNK));
            numbers.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(state).for_each(|((w, g), (m, v))| {
                for ((w, g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
                    *m += new1 * (g - *m);
                    *v = b2 * *v + new2 * g * g;
                    *w = *w * shrink - size * *m / (v.sqrt() / correction + eps);
                }
            });
        }
    }
}

/// The length of all gradients together; above `most` they are scaled down to it.
pub(crate) fn clip(gradients: &mut Gradients, most: f64) -> f64 {
    let mut sum = 0.0;
    for (_, gradient) in gradients.each() {
        let parts: Vec<f64> =
            gradient.par_chunks(CHUNK).map(|part| part.iter().map(|&x| f64::from(x) * f64::from(x)).sum()).collect();
        sum += parts.iter().sum::<f64>();
    }
    let length = sum.sqrt();
    if most > 0.0 && length.is_finite() && length > most {
        let scale = (most / (length + 1e-6)) as f32;
        for (_, gradient) in gradients.each() {
            gradient.par_chunks_mut(CHUNK).for_each(|part| part.iter_mut().for_each(|x| *x *= scale));
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_as_long_as_the_rate() {
        let recipe = OptimiserRecipe::default();
        let (rate, given) = (1e-3, [0.1_f32, -0.3, 2e-3]);
        let mut weights = [Weight::f32("norm", &[3], vec![0.0; 3])];
        let (mut optimiser, mut gradients) = (AdamW::new(&weights), Gradients::new(&weights));
        gradients.each().for_each(|(_, gradient)| gradient.copy_from_slice(&given));
        optimiser.step(&recipe, rate, &mut weights, &mut gradients);
        for (weight, gradient) in weights[0].all().iter().zip(given.map(f64::from)) {
            let exact = -rate * gradient / (gradient.abs() + recipe.eps);
            // single precision is good to 6e-8 an operation, and there are about ten
            assert!((f64::from(*weight) / exact - 1.0).abs() < 1e-6, "{weight} instead of {exact}");
        }
        assert_eq!(optimiser.squares[0], given.map(|gradient| 0.001 * gradient * gradient));
        assert_eq!(optimiser.means[0], given.map(|gradient| 0.1 * gradient));
    }
}

//! Weighted means (model soups, arXiv 2203.05482), and one model passed through.

use super::{Block, Kernel, Scratch, Told};

/// `Σ w·x`, divided by `Σ w` where that is asked for.
pub(super) struct Mean {
    weights: Vec<f32>,
    divisor: Option<f32>,
}

impl Mean {
    pub(super) fn new(told: &Told) -> Self {
        let weights: Vec<f32> = (0..told.inputs.len()).map(|at| told.of(at, "weight").unwrap_or(0.0) as f32).collect();
        let divisor = told.truth("normalize").then(|| weights.iter().sum());
        Self { weights, divisor }
    }
}

impl Kernel for Mean {
    fn blend(&self, block: &Block<'_>, _: &mut Scratch, out: &mut [f32]) {
        out.fill(0.0);
        for (at, &weight) in self.weights.iter().enumerate() {
            out.iter_mut().zip(block.input(at)).for_each(|(to, &from)| *to = multiply_add(weight, from, *to));
        }
        if let Some(divisor) = self.divisor {
            out.iter_mut().for_each(|number| *number /= divisor);
        }
    }
}

/// In one step where the processor has it, as in PyTorch.
#[inline]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// One input, times `scale`.
pub(super) struct Scaled(f32);

impl Scaled {
    pub(super) fn new(told: &Told) -> Self {
        Self(told.of(0, "scale").unwrap_or(1.0) as f32)
    }
}

impl Kernel for Scaled {
    fn blend(&self, block: &Block<'_>, _: &mut Scratch, out: &mut [f32]) {
        for (to, &from) in out.iter_mut().zip(block.input(0)) {
            *to = self.0 * from;
        }
    }
}

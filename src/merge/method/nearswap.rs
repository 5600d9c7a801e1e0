//! NearSwap: the second model where it is near the base, less of it the farther it is.

use super::{Block, Kernel, Scratch, Told};

/// mergekit's floor for a difference.
const LEAST: f32 = 1e-6;

pub(super) struct Nearswap {
    t: f32,
    base: usize,
    other: usize,
}

impl Nearswap {
    pub(super) fn new(told: &Told) -> Self {
        let base = told.base.unwrap_or(0);
        Self { t: told.number("t") as f32, base, other: told.others().first().copied().unwrap_or(base) }
    }
}

impl Kernel for Nearswap {
    fn blend(&self, block: &Block<'_>, _: &mut Scratch, out: &mut [f32]) {
        let inputs = block.input(self.base).iter().zip(block.input(self.other));
        for (to, (&a, &b)) in out.iter_mut().zip(inputs) {
            // PyTorch divides a number by a tensor this way.
            let weight = (1.0 / (a - b).abs().max(LEAST) * self.t).clamp(0.0, 1.0);
            *to = weight * b + (1.0 - weight) * a;
        }
    }
}

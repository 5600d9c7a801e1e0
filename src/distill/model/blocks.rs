//! Frozen numbers in eight or four bits: blocks with one scale each (QLoRA, arXiv 2305.14314).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How an adapter's frozen projections are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Base {
    /// As the checkpoint has them.
    #[default]
    Stored,
    /// Steps of one size, 8 bits.
    Q8,
    /// Steps by the quantiles of a normal distribution, 4 bits.
    Nf4,
}

/// Numbers with one scale.
const BLOCK: usize = 64;

/// NF4's steps (appendix E of the paper).
const NORMAL: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A tensor in blocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blocks {
    /// Two codes a byte, the first in the lower half; else one.
    four: bool,
    len: usize,
    scales: Vec<f32>,
    codes: Vec<u8>,
}

impl Base {
    /// Bits a number takes, its share of the scale included.
    pub(crate) fn bits(self, stored: u64) -> f64 {
        let scale = 32.0 / BLOCK as f64;
        match self {
            Self::Stored => stored as f64 * 8.0,
            Self::Q8 => 8.0 + scale,
            Self::Nf4 => 4.0 + scale,
        }
    }
}

impl Blocks {
    /// `None` where numbers stay as they are.
    pub(crate) fn of(numbers: &[f32], base: Base) -> Option<Self> {
        let four = match base {
            Base::Stored => return None,
            Base::Q8 => false,
            Base::Nf4 => true,
        };
        let (mut scales, mut codes) = (Vec::new(), Vec::new());
        for block in numbers.chunks(BLOCK) {
            let scale = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let share = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            if four {
                let pair =
                    |pair: &[f32]| nearest(pair[0] * share) | pair.get(1).map_or(0, |&x| nearest(x * share) << 4);
                codes.extend(block.chunks(2).map(pair));
            } else {
                codes.extend(block.iter().map(|x| ((x * share * 127.0).round() as i8).cast_unsigned()));
            }
            scales.push(scale);
        }
        Some(Self { four, len: numbers.len(), scales, codes })
    }

    /// How these numbers are kept.
    pub(super) fn base(&self) -> Base {
        if self.four { Base::Nf4 } else { Base::Q8 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Numbers from `from` to `to`.
    pub(crate) fn part(&self, from: usize, to: usize) -> Vec<f32> {
        let mut out = vec![0.0; to - from];
        let head = (BLOCK - from % BLOCK).min(out.len()) % BLOCK;
        let (first, rest) = out.split_at_mut(head);
        self.fill(from, first);
        rest.par_chunks_mut(BLOCK * 64).enumerate().for_each(|(at, part)| {
            let start = from + head + at * BLOCK * 64;
            part.chunks_mut(BLOCK).enumerate().for_each(|(at, block)| self.fill(start + at * BLOCK, block));
        });
        out
    }

    /// Numbers of one block.
    fn fill(&self, from: usize, out: &mut [f32]) {
        let scale = self.scales.get(from / BLOCK).copied().unwrap_or_default();
        if self.four {
            for (at, x) in (from..).zip(out) {
                *x = scale * NORMAL[usize::from(self.codes[at / 2] >> (at % 2 * 4) & 15)];
            }
        } else {
            let step = scale / 127.0;
            out.iter_mut().zip(&self.codes[from..]).for_each(|(x, code)| *x = step * f32::from(code.cast_signed()));
        }
    }
}

/// The step next to a share of the scale.
fn nearest(x: f32) -> u8 {
    let above = NORMAL.partition_point(|&step| step < x).clamp(1, 15);
    let lower = x - NORMAL[above - 1] < NORMAL[above] - x;
    (above - usize::from(lower)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::kernel::dropout::share;

    #[test]
    fn numbers_come_back_within_half_a_step() {
        let numbers: Vec<f32> = (0..1000).map(|i| (share(i) as f32 - 0.5) * (1.0 + (i / 64) as f32)).collect();
        // half of the widest step, as a share of the scale: 1/254, and (1 − 0.696)/2
        for (base, half) in [(Base::Q8, 0.003_94), (Base::Nf4, 0.152)] {
            let blocks = Blocks::of(&numbers, base).unwrap();
            let back = blocks.part(0, 1000);
            for (block, back) in numbers.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                let scale = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                assert!(block.iter().zip(back).all(|(a, b)| (a - b).abs() <= scale * half), "{base:?}");
            }
            let again = Blocks::of(&back, base).unwrap();
            assert!(again.codes == blocks.codes, "what is on a step stays there");
            for (from, to) in [(0, 0), (3, 5), (60, 70), (64, 128), (1, 1000), (999, 1000)] {
                assert_eq!(blocks.part(from, to), back[from..to], "{from} {to}");
            }
        }
        assert_eq!(Blocks::of(&[0.0; 70], Base::Nf4).unwrap().part(0, 70), [0.0; 70]);
        assert_eq!(Blocks::of(&numbers, Base::Stored), None);
    }
}

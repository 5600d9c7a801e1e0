//! Rotary positions, stretched as a configuration asks, in the form of Hugging Face's checkpoints: number `i` of a head
//! turns with number `i + half`.

use rayon::prelude::*;

use crate::arch::frequencies::Stretching;

/// Cosines and sines of every position.
#[derive(Debug)]
pub(crate) struct Rope {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// For heads of `width` numbers and positions below `positions`.
    pub(crate) fn new(width: usize, theta: f64, stretching: &Stretching, positions: usize) -> Self {
        let half = width / 2;
        let (frequencies, scale) = (stretching.frequencies(theta, width), stretching.scale());
        let angles: Vec<f32> =
            (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f32 * f)).collect();
        Self {
            half,
            cos: angles.iter().map(|&angle| f64::from(angle).cos() as f32 * scale).collect(),
            sin: angles.iter().map(|&angle| f64::from(angle).sin() as f32 * scale).collect(),
        }
    }

    /// Cosines and sines of these positions.
    #[cfg(feature = "gpu")]
    pub(crate) fn at(&self, positions: &[u32]) -> (Vec<f32>, Vec<f32>) {
        let rows =
            |of: &[f32]| positions.iter().flat_map(|&p| of[p as usize * self.half..][..self.half].to_vec()).collect();
        (rows(&self.cos), rows(&self.sin))
    }

    /// Turns every head of every row in place; `back` turns the other way, which is the derivative.
    pub(crate) fn turn(&self, rows: &mut [f32], width: usize, positions: &[u32], back: bool) {
        let sign = if back { -1.0 } else { 1.0 };
        rows.par_chunks_mut(width).zip(positions).for_each(|(row, &position)| {
            let at = position as usize * self.half;
            let (cos, sin) = (&self.cos[at..at + self.half], &self.sin[at..at + self.half]);
            for head in row.chunks_exact_mut(2 * self.half) {
                let (first, second) = head.split_at_mut(self.half);
                for ((a, b), (c, s)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
                    let s = s * sign;
                    (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                }
            }
        });
    }
}

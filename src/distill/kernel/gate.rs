//! The gated activation of the feed-forward part: `silu(gate) · up`.

use rayon::prelude::*;

use super::math::exp;

const CHUNK: usize = 1 << 14;

/// `gate · σ(gate) · up`.
pub(crate) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; gate.len()];
    y.par_chunks_mut(CHUNK).zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK))).for_each(|(y, (gate, up))| {
        for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
            *y = g / (1.0 + exp(-g)) * u;
        }
    });
    y
}

/// The gradients of both: `dy` becomes the gate's, the other is given back.
pub(crate) fn backward(dy: &mut [f32], gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut dup = vec![0.0; dy.len()];
    let parts = dy.par_chunks_mut(CHUNK).zip(dup.par_chunks_mut(CHUNK));
    parts.zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK))).for_each(|((dy, dup), (gate, up))| {
        for ((dy, dup), (g, u)) in dy.iter_mut().zip(dup).zip(gate.iter().zip(up)) {
            let s = 1.0 / (1.0 + exp(-g));
            *dup = *dy * g * s;
            *dy = *dy * u * s * (1.0 + g * (1.0 - s));
        }
    });
    dup
}

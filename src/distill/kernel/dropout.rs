//! Dropout that needs no memory: whether a number stays follows from a key and its place, so that the backward pass and a
//! resumed run find the same answer.

use rayon::prelude::*;

/// A number that looks random, made of another (SplitMix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The same as a share from 0 to 1 (exclusive).
pub(crate) fn share(x: u64) -> f64 {
    (mix(x) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Zeroes a share of `rate` of the numbers and scales the rest up by as much.
pub(crate) fn apply(numbers: &mut [f32], rate: f32, key: u64) {
    const CHUNK: usize = 1 << 12;
    let limit = (f64::from(rate) * (1_u64 << 32) as f64) as u64;
    let scale = 1.0 / (1.0 - rate);
    numbers.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, numbers)| {
        for (i, x) in numbers.iter_mut().enumerate() {
            let dropped = mix(key ^ (chunk * CHUNK + i) as u64) >> 32 < limit;
            *x = if dropped { 0.0 } else { *x * scale };
        }
    });
}

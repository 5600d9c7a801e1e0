//! Root-mean-square normalisation of rows, with a learned factor for each column.

use rayon::prelude::*;

use super::math::{dot, sum};
use super::{PART, add};

/// `x / √(mean x² + eps) · w` for each row of `w.len()` numbers.
pub(crate) fn forward(x: &[f32], w: &[f32], eps: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let width = w.len();
    y.par_chunks_mut(width * PART).zip(x.par_chunks(width * PART)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = scale(x, eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * scale * w;
            }
        }
    });
    y
}

fn scale(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

/// Turns the gradient `dy` into the one of `x`, in place, and adds the factor's own to `dw` where it is wanted.
pub(crate) fn backward(dy: &mut [f32], x: &[f32], w: &[f32], eps: f32, dw: Option<&mut [f32]>) {
    let width = w.len();
    let wanted = dw.is_some();
    let parts: Vec<Vec<f32>> = dy
        .par_chunks_mut(width * PART)
        .zip(x.par_chunks(width * PART))
        .map(|(dy, x)| {
            let mut part = vec![0.0; if wanted { width } else { 0 }];
            let mut products = vec![0.0; width];
            for (dy, x) in dy.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                let scale = scale(x, eps);
                for ((part, dy), x) in part.iter_mut().zip(&*dy).zip(x) {
                    *part += dy * x * scale;
                }
                for ((dy, w), (product, x)) in dy.iter_mut().zip(w).zip(products.iter_mut().zip(x)) {
                    *dy *= w;
                    *product = *dy * x * scale;
                }
                let mean = sum(&products) / width as f32;
                for (dy, x) in dy.iter_mut().zip(x) {
                    *dy = scale * (*dy - x * scale * mean);
                }
            }
            part
        })
        .collect();
    if let Some(dw) = dw {
        parts.iter().for_each(|part| add(dw, part));
    }
}

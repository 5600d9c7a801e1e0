//! Matrix products over views of slices.
#![allow(unsafe_code, reason = "the product itself takes pointers; the views make sure of their bounds")]

use std::borrow::Cow;

#[cfg(not(target_arch = "x86_64"))]
#[path = "matmul/absent.rs"]
mod bf16;
#[cfg(target_arch = "x86_64")]
mod bf16;

pub(crate) use bf16::is_there as has_bf16;
use half::bf16 as Rounded;
use serde::{Deserialize, Serialize};

/// What numbers are rounded to before they are multiplied. Sums are made in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    #[default]
    F32,
    /// By the processor's own instruction; what has none computes as above.
    Bf16,
}

impl Precision {
    /// As [`product`], on all threads.
    pub(crate) fn product(self, target: Target<'_>, old: Old, scale: f32, a: View<'_>, b: View<'_>) {
        if self == Self::Bf16 && has_bf16() {
            meet(&target, a, b);
            bf16::product(target, old, scale, a, b);
        } else {
            product(target, old, scale, a, b, Threads::All);
        }
    }
}

/// How many threads a product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The caller's own, because it is one of many.
    One,
    /// All of the pool.
    All,
}

/// Numbers of a matrix.
#[derive(Clone, Copy)]
enum Numbers<'a> {
    Single(&'a [f32]),
    /// The upper halves of such.
    Half(&'a [u16]),
}

/// A matrix to read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: Numbers<'a>,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// Rows one behind the other.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        bound(data.len(), rows, columns, stride);
        Self { data: Numbers::Single(data), rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// Rows of bf16 numbers, one behind the other.
    pub(crate) fn halves(data: &'a [u16], rows: usize, columns: usize) -> Self {
        bound(data.len(), rows, columns, columns);
        Self { data: Numbers::Half(data), rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Its numbers in single precision.
    fn single(&self) -> Cow<'a, [f32]> {
        match self.data {
            Numbers::Single(data) => Cow::Borrowed(data),
            Numbers::Half(bits) => bits.iter().map(|&bits| Rounded::from_bits(bits).to_f32()).collect(),
        }
    }

    /// The transposed matrix; nothing is moved.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to write, row by row.
pub(crate) struct Target<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a> Target<'a> {
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `stride` apart.
    pub(crate) fn strided(data: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        bound(data.len(), rows, columns, stride);
        assert!(stride >= columns, "rows must not overlap");
        Self { data, rows, columns, stride }
    }
}

fn bound(len: usize, rows: usize, columns: usize, stride: usize) {
    let end = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns };
    assert!(end <= len, "{rows} rows of {columns}, {stride} apart, do not lie in {len} numbers");
}

/// What becomes of what the target held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    Replace,
    Add,
}

fn meet(target: &Target<'_>, a: View<'_>, b: View<'_>) {
    assert!(a.columns == b.rows && target.rows == a.rows && target.columns == b.columns, "shapes do not meet");
}

/// `target = scale · a · b`, or that added to it.
pub(crate) fn product(target: Target<'_>, old: Old, scale: f32, a: View<'_>, b: View<'_>, threads: Threads) {
    meet(&target, a, b);
    let (m, n, k) = (target.rows, target.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    let threads = match threads {
        Threads::All if m * n * k > 1 << 16 => gemm::Parallelism::Rayon(0),
        _ => gemm::Parallelism::None,
    };
    let (left, right) = (a.single(), b.single());
    // SAFETY: `bound` held every view against its slice, shapes meet, and the target is borrowed alone with rows that do
    // not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.data.as_mut_ptr(),
            1,
            target.stride.cast_signed(),
            old == Old::Add,
            left.as_ptr(),
            a.column_stride.cast_signed(),
            a.row_stride.cast_signed(),
            right.as_ptr(),
            b.column_stride.cast_signed(),
            b.row_stride.cast_signed(),
            1.0,
            scale,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f32> {
        let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        (0..m * n).map(|at_| at(at_ / n, at_ % n)).collect()
    }

    #[test]
    fn products_of_views_are_what_the_sums_say() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.3).cos()).collect();
        let expected = plain(&a, &b, m, n, k);
        let mut c = vec![1.0; m * n];
        product(Target::new(&mut c, m, n), Old::Add, 2.0, View::new(&a, m, k), View::new(&b, k, n), Threads::All);
        // the sums have three terms of size one at most
        assert!(c.iter().zip(&expected).all(|(c, e)| (c - (1.0 + 2.0 * e)).abs() < 1e-5));
        let turned: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let mut wide = vec![9.0; m * 10];
        let target = Target::strided(&mut wide, m, n, 10);
        product(target, Old::Replace, 1.0, View::new(&a, m, k), View::new(&turned, n, k).t(), Threads::One);
        for row in 0..m {
            assert!((0..n).all(|j| (wide[row * 10 + j] - expected[row * n + j]).abs() < 1e-5));
            assert!(wide[row * 10 + n..row * 10 + 10].iter().all(|&x| x == 9.0));
        }
    }

    #[test]
    fn products_of_rounded_numbers_are_what_the_sums_of_rounded_numbers_say() {
        if !has_bf16() {
            eprintln!("SKIPPED: this processor has no products in bf16");
            return;
        }
        let number = |i: usize| (i as f32 * 0.37).sin() * 3.0;
        let rounded = |x: f32| Rounded::from_f32(x).to_f32();
        // at, above and below the sizes of tiles, blocks and pairs
        for (m, n, k) in [(12, 32, 2), (1, 1, 1), (13, 33, 5), (37, 65, 387), (800, 40, 33), (40, 1030, 769)] {
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 7)).collect();
            let turned = |from: &[f32], rows: usize, columns: usize| -> Vec<f32> {
                (0..rows * columns).map(|i| from[i % rows * columns + i / rows]).collect()
            };
            let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
            let halves: Vec<u16> = a.iter().map(|&x| Rounded::from_f32(x).to_bits()).collect();
            let halves_t: Vec<u16> = bt.iter().map(|&x| Rounded::from_f32(x).to_bits()).collect();
            let (ra, rb): (Vec<f32>, Vec<f32>) =
                (a.iter().map(|&x| rounded(x)).collect(), b.iter().map(|&x| rounded(x)).collect());
            let expected = plain(&ra, &rb, m, n, k);
            let lefts = [View::new(&a, m, k), View::new(&at, k, m).t(), View::halves(&halves, m, k)];
            let rights = [View::new(&b, k, n), View::new(&bt, n, k).t(), View::halves(&halves_t, n, k).t()];
            for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
                let stride = n + 3;
                let mut wide = vec![0.5; m * stride];
                bf16::product(Target::strided(&mut wide, m, n, stride), Old::Add, 2.0, left, right);
                for row in 0..m {
                    let own = &wide[row * stride..][..stride];
                    // products of two numbers of eight bits are exact, and `k` sums of size nine round by 2^-24 each
                    let near = |(c, e): (&f32, &f32)| (c - (0.5 + 2.0 * e)).abs() < 2e-6 * (9.0 * k as f32).max(1.0);
                    assert!(own[..n].iter().zip(&expected[row * n..]).all(near), "{m} {n} {k}");
                    assert!(own[n..].iter().all(|&x| x == 0.5), "nothing beside the target is written");
                }
                bf16::product(Target::strided(&mut wide, m, n, stride), Old::Replace, 1.0, left, right);
                assert!((wide[0] - expected[0]).abs() < 2e-6 * (9.0 * k as f32));
            }
        }
    }
}

//! Matrix products over views of slices.
#![allow(unsafe_code, reason = "the product itself takes pointers; the views make sure of their bounds")]

/// How many threads a product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The caller's own, because it is one of many.
    One,
    /// All of the pool.
    All,
}

/// A matrix to read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    data: &'a [f32],
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
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
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

/// `target = scale · a · b`, or that added to it.
pub(crate) fn product(target: Target<'_>, old: Old, scale: f32, a: View<'_>, b: View<'_>, threads: Threads) {
    assert!(a.columns == b.rows && target.rows == a.rows && target.columns == b.columns, "shapes do not meet");
    let (m, n, k) = (target.rows, target.columns, a.columns);
    if m == 0 || n == 0 {
        return;
    }
    let threads = match threads {
        Threads::All if m * n * k > 1 << 16 => gemm::Parallelism::Rayon(0),
        _ => gemm::Parallelism::None,
    };
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
            a.data.as_ptr(),
            a.column_stride.cast_signed(),
            a.row_stride.cast_signed(),
            b.data.as_ptr(),
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
}

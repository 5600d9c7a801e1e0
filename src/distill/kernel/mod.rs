//! The arithmetic of a decoder and its derivatives, on plain slices.
//!
//! Each file holds an operation and its backward. Results do not depend on the number of threads: sums over rows are made
//! in parts of a fixed size, added in order. What this room refuses to do: know what a layer, a batch or a file is.

pub(crate) mod attention;
pub(crate) mod dropout;
pub(crate) mod gate;
pub(crate) mod math;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod rope;

/// Rows of one part of a sum over rows.
pub(crate) const PART: usize = 64;

/// Adds `from` to `to`.
pub(crate) fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Multiplies all numbers.
pub(crate) fn scale(numbers: &mut [f32], by: f32) {
    if by != 1.0 {
        numbers.iter_mut().for_each(|number| *number *= by);
    }
}

/// Adds the sum of all rows to `to`.
pub(crate) fn add_rows(to: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(to.len()) {
        add(to, row);
    }
}

//! Model Stock filter by filter (arXiv 2403.19522): each row of a matrix has a ratio of its own.

use super::spans::stock;
use super::{Block, Kernel, Scratch, Told, combine, dot, room};

pub(super) struct Filters {
    base: usize,
    others: Vec<usize>,
    columns: usize,
}

impl Filters {
    pub(super) fn new(told: &Told) -> Self {
        Self { base: told.base.unwrap_or(0), others: told.others(), columns: told.columns() }
    }
}

impl Kernel for Filters {
    fn wants_rows(&self) -> bool {
        true
    }

    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let base = block.input(self.base);
        for (at, &input) in self.others.iter().enumerate() {
            let delta = room(&mut scratch.numbers, at, base.len());
            delta.iter_mut().zip(block.input(input).iter().zip(base)).for_each(|(to, (a, b))| *to = a - b);
        }
        let count = self.others.len();
        for (row, out) in out.chunks_mut(self.columns).enumerate() {
            let place = row * self.columns..row * self.columns + out.len();
            let delta = |i: usize| scratch.numbers.get(i).and_then(|delta| delta.get(place.clone())).unwrap_or(&[]);
            let ratio = stock(count, |i, j| dot(delta(i), delta(j)));
            let inputs = self.others.iter().map(|&input| (ratio / count as f64, &block.input(input)[place.clone()]));
            let terms: Vec<_> = inputs.chain([(1.0 - ratio, &base[place.clone()])]).collect();
            combine(&terms, out);
        }
    }
}

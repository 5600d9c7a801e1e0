//! NuSLERP row by row, or column by column: every row (or column) goes its own way on its own sphere.

use super::spans::{between, share};
use super::{Block, Found, Kernel, Scratch, Tally, Told, combine, dot, room};

pub(super) struct Angles {
    t: f64,
    inputs: [usize; 2],
    base: Option<usize>,
    columns: usize,
    /// `nuslerp_row_wise` reduces over the first dimension, in mergekit's words.
    down: bool,
    factors: Vec<[f64; 2]>,
}

impl Angles {
    pub(super) fn new(told: &Told) -> Self {
        let others = told.others();
        let inputs = [others.first().copied().unwrap_or(0), others.get(1).copied().unwrap_or(0)];
        let down = told.truth("nuslerp_row_wise") && told.shape.len() > 1;
        let first = told.shape.first().copied().unwrap_or(1).max(1);
        let columns = if down { (told.elements() / first) as usize } else { told.columns() };
        let t = share(&told.of_others("weight"));
        Self { t, inputs, base: told.base, columns: columns.max(1), down, factors: Vec::new() }
    }

    /// Both inputs, as differences where there is a base.
    fn both<'a>(&self, block: &'a Block<'_>, scratch: &'a mut Scratch) -> [&'a [f32]; 2] {
        let Some(base) = self.base else { return self.inputs.map(|at| block.input(at)) };
        for (at, input) in self.inputs.into_iter().enumerate() {
            let delta = room(&mut scratch.numbers, at, block.input(input).len());
            let both = block.input(input).iter().zip(block.input(base));
            delta.iter_mut().zip(both).for_each(|(to, (a, b))| *to = a - b);
        }
        [0, 1].map(|at| scratch.numbers[at].as_slice())
    }
}

impl Kernel for Angles {
    fn wants_rows(&self) -> bool {
        true
    }

    fn looks(&self) -> usize {
        usize::from(self.down)
    }

    fn look(&self, _: usize, block: &Block<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        tally.sums.resize(3 * self.columns, 0.0);
        let [a, b] = self.both(block, scratch);
        let begin = block.start as usize % self.columns;
        for (at, (&a, &b)) in a.iter().zip(b).enumerate() {
            let column = (begin + at) % self.columns * 3;
            let (a, b) = (f64::from(a), f64::from(b));
            for (to, more) in tally.sums[column..column + 3].iter_mut().zip([a * a, b * b, a * b]) {
                *to += more;
            }
        }
    }

    fn conclude(&mut self, _: usize, found: Found) -> Result<(), String> {
        let columns = found.sums.as_chunks::<3>().0.iter();
        self.factors = columns.map(|&[aa, bb, ab]| between(aa, bb, ab, self.t)).collect();
        Ok(())
    }

    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let [x, y] = self.inputs.map(|at| block.input(at));
        // Without a base, any numbers with the factor zero.
        let base = self.base.map_or(x, |base| block.input(base));
        let rest = |[a, b]: [f64; 2]| if self.base.is_some() { 1.0 - a - b } else { 0.0 };
        if self.down {
            let begin = block.start as usize % self.columns;
            for (at, to) in out.iter_mut().enumerate() {
                let factors = self.factors.get((begin + at) % self.columns).copied().unwrap_or_default();
                let [x, y, base] = [x, y, base].map(|numbers| f64::from(numbers[at]));
                *to = (factors[0] * x + factors[1] * y + rest(factors) * base) as f32;
            }
            return;
        }
        let [a, b] = self.both(block, scratch);
        for (at, out) in out.chunks_mut(self.columns).enumerate() {
            let row = at * self.columns..at * self.columns + out.len();
            let (a, b) = (&a[row.clone()], &b[row.clone()]);
            let factors = between(dot(a, a), dot(b, b), dot(a, b), self.t);
            let terms = [(factors[0], &x[row.clone()]), (factors[1], &y[row.clone()]), (rest(factors), &base[row])];
            combine(&terms, out);
        }
    }
}

//! Arcee Fusion: of a second model only what matters, where a number matters by how far it moved times how much its row's
//! distribution changed; the threshold is the median and one and a half times the distance of the quartiles.
//!
//! mergekit draws a million numbers to find the quartiles of a larger tensor; here they are those of all numbers.

use super::select::{HIGH, Ranks, coarse, from_ordered, ordered};
use super::{Block, Found, Kernel, Scratch, Tally, Told, room};

const EPS: f64 = 1e-8;

pub(super) struct Fusion {
    base: usize,
    other: usize,
    columns: usize,
    total: u64,
    ranks: Ranks,
    threshold: f32,
}

impl Fusion {
    pub(super) fn new(told: &Told) -> Self {
        let base = told.base.unwrap_or(0);
        let other = told.others().first().copied().unwrap_or(base);
        let (columns, total) = (told.columns(), told.elements());
        Self { base, other, columns, total, ranks: Ranks::default(), threshold: 0.0 }
    }

    /// How much each number of a block matters. Distributions are compared in `f64`: for models that lie close together the
    /// terms of the divergence cancel almost to nothing.
    fn importance<'a>(&self, block: &Block<'_>, scratch: &'a mut Scratch) -> &'a [f32] {
        let (base, other) = (block.input(self.base), block.input(self.other));
        let out = room(&mut scratch.numbers, 0, base.len());
        let (mut p, mut q) = (vec![0.0; self.columns], vec![0.0; self.columns]);
        let rows = base.chunks(self.columns).zip(other.chunks(self.columns));
        for (out, (base, other)) in out.chunks_mut(self.columns).zip(rows) {
            softmax(other, &mut p);
            softmax(base, &mut q);
            let terms = p.iter().zip(&q).map(|(&p, &q)| (p + EPS) * ((p + EPS) / (q + EPS)).ln());
            let divergence = terms.sum::<f64>() as f32;
            let places = out.iter_mut().zip(other.iter().zip(base));
            places.for_each(|(to, (other, base))| *to = (other - base).abs() * divergence);
        }
        out
    }
}

fn softmax(row: &[f32], out: &mut [f64]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (to, &number) in out.iter_mut().zip(row) {
        *to = f64::from(number - most).exp();
        sum += *to;
    }
    out.iter_mut().for_each(|number| *number /= sum);
}

impl Kernel for Fusion {
    fn wants_rows(&self) -> bool {
        true
    }

    fn looks(&self) -> usize {
        2
    }

    fn look(&self, round: usize, block: &Block<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        let keys = self.importance(block, scratch).iter().map(|&number| ordered(number));
        if round == 0 {
            tally.counts.resize(HIGH, 0);
            coarse(keys, &mut tally.counts);
        } else {
            tally.counts.resize(self.ranks.width(), 0);
            self.ranks.fine(keys, &mut tally.counts);
        }
    }

    fn conclude(&mut self, round: usize, found: Found) -> Result<(), String> {
        if round == 0 {
            let rank = |part: f64| (part * (self.total.max(1) - 1) as f64) as u64;
            self.ranks = Ranks::narrow(&found.counts, [0.25, 0.5, 0.75].map(rank));
        } else if let [q1, median, q3] = &self.ranks.places(&found, 0)[..] {
            let [q1, median, q3] = [q1, median, q3].map(|place| from_ordered(place.key));
            self.threshold = median + 1.5 * (q3 - q1);
        }
        Ok(())
    }

    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let importance = self.importance(block, scratch);
        let inputs = block.input(self.base).iter().zip(block.input(self.other));
        for ((to, (base, other)), &importance) in out.iter_mut().zip(inputs).zip(importance) {
            *to = base + (other - base) * f32::from(u8::from(importance >= self.threshold));
        }
    }
}

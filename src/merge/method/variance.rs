//! SCE, the merging half of FuseChat (arXiv 2408.07990): select what the models disagree on most, weigh each by how far it
//! moved, and erase what goes against the majority.

use super::select::{HIGH, LOW, Ranks, Window, coarse, magnitude};
use super::{Block, Found, Kernel, Scratch, Tally, Told, add, dot, room};

pub(super) struct Sce {
    base: usize,
    others: Vec<usize>,
    topk: f64,
    /// Weights as the paper has them.
    paper: bool,
    total: u64,
    ranks: Ranks,
    count: u64,
    window: Option<Window>,
    weights: Vec<f32>,
}

impl Sce {
    pub(super) fn new(told: &Told) -> Self {
        let others = told.others();
        let weights = vec![0.0; others.len()];
        let (topk, total) = (told.number("select_topk"), told.elements());
        let base = told.base.unwrap_or(0);
        let paper = told.truth("paper");
        Self { base, others, topk, paper, total, ranks: Ranks::default(), count: 0, window: None, weights }
    }

    fn selects(&self) -> bool {
        self.topk < 1.0
    }

    /// Differences in the first rooms, their variance in the one behind; what was not selected is zero.
    fn deltas(&self, block: &Block<'_>, scratch: &mut Scratch, select: bool) {
        let count = self.others.len();
        let base = block.input(self.base);
        for (at, &input) in self.others.iter().enumerate() {
            let delta = room(&mut scratch.numbers, at, base.len());
            delta.iter_mut().zip(block.input(input).iter().zip(base)).for_each(|(to, (a, b))| *to = a - b);
        }
        if !self.selects() {
            return;
        }
        room(&mut scratch.numbers, count, base.len());
        let (deltas, rest) = scratch.numbers.split_at_mut(count);
        let Some(variance) = rest.first_mut() else { return };
        // In `f64`, as PyTorch does it: ranks near the threshold are told by the last bit.
        for (at, to) in variance.iter_mut().enumerate() {
            let mean = deltas.iter().map(|delta| f64::from(delta[at])).sum::<f64>() / count as f64;
            let squares = deltas.iter().map(|delta| (f64::from(delta[at]) - mean).powi(2));
            *to = (squares.sum::<f64>() / count as f64) as f32;
        }
        if !select {
            return;
        }
        match &self.window {
            Some(window) => {
                scratch.cursor.resize(2, 0);
                window.apply(variance, block.slab, &mut scratch.cursor);
            }
            None => variance.fill(0.0),
        }
        for delta in deltas {
            let places = delta.iter_mut().zip(variance.iter());
            places.for_each(|(delta, &kept)| *delta = if kept > 0.0 { *delta } else { 0.0 });
        }
    }
}

impl Kernel for Sce {
    fn looks(&self) -> usize {
        if self.selects() { 3 } else { 1 }
    }

    fn by_slab(&self, round: usize) -> bool {
        self.selects() && round == 1
    }

    fn look(&self, round: usize, block: &Block<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        let last = round + 1 == self.looks();
        self.deltas(block, scratch, last);
        if last {
            for at in 0..self.others.len() {
                add(&mut tally.sums, at, dot(&scratch.numbers[at], &scratch.numbers[at]));
            }
            return;
        }
        let variance = scratch.numbers.get(self.others.len()).map_or(&[][..], Vec::as_slice);
        let keys = variance.iter().map(|&number| magnitude(number));
        if round == 0 {
            tally.counts.resize(HIGH, 0);
            add(&mut tally.sums, 0, variance.iter().filter(|number| **number != 0.0).count() as f64);
            coarse(keys, &mut tally.counts);
        } else {
            tally.counts.resize(self.ranks.width(), 0);
            self.ranks.fine(keys, &mut tally.counts);
        }
    }

    fn conclude(&mut self, round: usize, found: Found) -> Result<(), String> {
        if round + 1 == self.looks() {
            let means: Vec<f64> = found.sums.iter().map(|sum| sum / self.total.max(1) as f64).collect();
            let sum: f64 = means.iter().sum();
            let even = 1.0 / self.others.len().max(1) as f64;
            // mergekit's threshold: squares of differences of 3e-4 lie far below it.
            let least = if self.paper { f64::MIN_POSITIVE } else { 1e-6 };
            let weight = |mean: &f64| if sum < least { even } else { mean / sum } as f32;
            self.weights = means.iter().map(weight).collect();
        } else if round == 0 {
            let nonzero = found.sums.first().copied().unwrap_or(0.0);
            // mergekit reckons how many in f32.
            self.count = ((nonzero as f32 * self.topk as f32) as u64).min(nonzero as u64);
            self.ranks = Ranks::narrow(&found.counts, (self.count > 0).then(|| self.total - self.count));
        } else if let Some(place) = self.ranks.places(&found, 0).first() {
            let equal = self.ranks.equal(found.counts.chunks(LOW), place.key);
            self.window = Some(Window::largest(place, self.total, self.count, equal));
        }
        Ok(())
    }

    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        self.deltas(block, scratch, true);
        let deltas = &scratch.numbers[..self.others.len()];
        let base = block.input(self.base);
        for (at, (to, base)) in out.iter_mut().zip(base).enumerate() {
            let positive = deltas.iter().map(|delta| delta[at]).sum::<f32>() >= 0.0;
            let (mut sum, mut weights) = (0.0, 0.0);
            for (delta, weight) in deltas.iter().zip(&self.weights) {
                let agrees = if positive { delta[at] > 0.0 } else { delta[at] < 0.0 };
                if agrees {
                    sum += delta[at] * weight;
                    weights += weight;
                }
            }
            *to = base + sum / f32::max(weights, 1e-6);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights of two models whose differences have these root mean squares.
    fn weights(paper: bool, differences: [f64; 2]) -> Vec<f32> {
        let total = 1000;
        let mut sce = Sce {
            base: 0,
            others: vec![1, 2],
            topk: 1.0,
            paper,
            total,
            ranks: Ranks::default(),
            count: 0,
            window: None,
            weights: Vec::new(),
        };
        let sums = differences.map(|difference| difference * difference * total as f64).to_vec();
        sce.conclude(0, Found { sums, ..Found::default() }).unwrap();
        sce.weights
    }

    #[test]
    fn small_differences_weigh_evenly_unless_the_paper_is_asked_for() {
        assert_eq!(weights(false, [3e-4, 6e-4]), [0.5, 0.5]);
        // Squares of 1 to 4.
        assert_eq!(weights(true, [3e-4, 6e-4]), [0.2, 0.8]);
        assert_eq!(weights(false, [0.03, 0.06]), weights(true, [0.03, 0.06]));
        assert_eq!(weights(true, [0.0, 0.0]), [0.5, 0.5]);
    }
}

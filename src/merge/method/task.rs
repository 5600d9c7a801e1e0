//! Task arithmetic (arXiv 2212.04089) and what grew from it: differences to a base, thinned out, agreed on in sign where
//! the method says so, and added to the base.

use super::ranks::Sorter;
use super::select::{HIGH, LOW, Ranks, coarse, magnitude};
use super::trim::Trim;
use super::{Block, Found, Kernel, Method, Scratch, Tally, Told, absolute, add, random, room};

/// Norms below this are not rescaled.
const SMALL: f64 = 1e-7;

/// What restores the size of a thinned difference.
#[derive(Clone, Copy, PartialEq)]
enum Rescale {
    No,
    /// To the sum of magnitudes it had (mergekit's).
    Norm,
    /// By the chance that a number stayed (the papers').
    Chance,
}

pub(super) struct Task {
    base: usize,
    others: Vec<usize>,
    weights: Vec<f32>,
    trims: Vec<Trim>,
    ratios: Vec<f32>,
    consensus: bool,
    normalize: bool,
    lambda: f32,
    rescale: Rescale,
    total: u64,
    rows: bool,
}

impl Task {
    pub(super) fn new(method: Method, told: &Told) -> Self {
        let total = told.elements();
        let others = told.others();
        let densities = told.of_others("density");
        let (gammas, epsilons) = (told.of_others("gamma"), told.of_others("epsilon"));
        let trim = |at: usize| {
            let density = densities.get(at).copied().unwrap_or(1.0);
            let key = random::key(told.seed, at);
            match method {
                _ if density >= 1.0 => Trim::All,
                Method::Ties => Trim::largest(density, total),
                Method::Breadcrumbs | Method::BreadcrumbsTies => {
                    Trim::between(density, gammas.get(at).copied().unwrap_or(0.0), total)
                }
                Method::DareLinear | Method::DareTies if density > 0.0 => Trim::Chance { density, key },
                Method::Della | Method::DellaLinear if density > 0.0 => {
                    let epsilon = epsilons.get(at).copied().unwrap_or(0.0);
                    Trim::Ranked { density, epsilon, key, columns: told.columns() }
                }
                Method::DareLinear | Method::DareTies | Method::Della | Method::DellaLinear => Trim::Nothing,
                _ => Trim::All,
            }
        };
        let rescale = match told.truth("rescale") {
            false => Rescale::No,
            true if told.word("rescale_by") == "density" => Rescale::Chance,
            true => Rescale::Norm,
        };
        Self {
            base: told.base.unwrap_or(0),
            weights: told.of_others("weight").into_iter().map(|weight| weight as f32).collect(),
            trims: (0..others.len()).map(trim).collect(),
            ratios: vec![1.0; others.len()],
            consensus: matches!(method, Method::Ties | Method::DareTies | Method::BreadcrumbsTies | Method::Della),
            normalize: told.truth("normalize"),
            lambda: told.number("lambda") as f32,
            rescale,
            total,
            rows: matches!(method, Method::Della | Method::DellaLinear),
            others,
        }
    }

    fn bands(&self) -> bool {
        self.trims.iter().any(|trim| matches!(trim, Trim::Band { .. }))
    }

    /// Which look gathers norms, if one does.
    fn norms(&self) -> Option<usize> {
        let thinned = self.trims.iter().any(|trim| !matches!(trim, Trim::All | Trim::Nothing));
        (self.rescale == Rescale::Norm && thinned).then_some(if self.bands() { 2 } else { 0 })
    }

    /// The difference of one model, in `scratch.numbers[at]`.
    fn delta<'a>(&self, at: usize, block: &Block<'_>, scratch: &'a mut Scratch) -> &'a mut Vec<f32> {
        let (input, base) = (block.input(self.others[at]), block.input(self.base));
        let delta = room(&mut scratch.numbers, at, base.len());
        delta.iter_mut().zip(input.iter().zip(base)).for_each(|(to, (a, b))| *to = a - b);
        delta
    }

    fn trimmed(&self, at: usize, block: &Block<'_>, scratch: &mut Scratch, sorter: &mut Sorter) {
        scratch.cursor.resize(self.others.len() * 2, 0);
        let mut cursor = [scratch.cursor[at * 2], scratch.cursor[at * 2 + 1]];
        let by_chance = self.rescale == Rescale::Chance;
        self.trims[at].apply(&mut scratch.numbers[at], block.start, block.slab, &mut cursor, sorter, by_chance);
        scratch.cursor[at * 2..at * 2 + 2].copy_from_slice(&cursor);
    }
}

impl Kernel for Task {
    fn wants_rows(&self) -> bool {
        self.rows
    }

    fn looks(&self) -> usize {
        if self.bands() { 2 + usize::from(self.norms().is_some()) } else { usize::from(self.norms().is_some()) }
    }

    fn look(&self, round: usize, block: &Block<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        let mut sorter = Sorter::default();
        let mut from = 0;
        for at in 0..self.others.len() {
            if Some(round) == self.norms() {
                let before = absolute(self.delta(at, block, scratch));
                self.trimmed(at, block, scratch, &mut sorter);
                add(&mut tally.sums, at * 2, before);
                add(&mut tally.sums, at * 2 + 1, absolute(&scratch.numbers[at]));
                continue;
            }
            let Trim::Band { ranks, .. } = &self.trims[at] else { continue };
            let delta = self.delta(at, block, scratch);
            let keys = delta.iter().map(|&number| magnitude(number));
            let width = if round == 0 { HIGH } else { ranks.width() };
            tally.counts.resize(tally.counts.len().max(from + width), 0);
            let counts = &mut tally.counts[from..from + width];
            if round == 0 {
                coarse(keys, counts)
            } else {
                ranks.fine(keys, counts)
            }
            from += width;
        }
    }

    fn by_slab(&self, round: usize) -> bool {
        self.bands() && round == 1
    }

    fn conclude(&mut self, round: usize, found: Found) -> Result<(), String> {
        if Some(round) == self.norms() {
            for (at, ratio) in self.ratios.iter_mut().enumerate() {
                if let (Some(&before), Some(&after)) = (found.sums.get(at * 2), found.sums.get(at * 2 + 1)) {
                    let thinned = !matches!(self.trims[at], Trim::All) && before >= SMALL && after >= SMALL;
                    *ratio = if thinned { (before / after) as f32 } else { 1.0 };
                }
            }
            return Ok(());
        }
        let mut from = 0;
        for trim in &mut self.trims {
            let wanted = trim.wanted(self.total);
            let Trim::Band { ranks, .. } = trim else { continue };
            if round == 0 {
                *ranks = Ranks::narrow(found.counts.get(from..from + HIGH).unwrap_or(&[]), wanted);
                from += HIGH;
            } else {
                let (places, width) = (ranks.places(&found, from), ranks.width());
                let equal: Vec<u64> = places
                    .iter()
                    .map(|place| {
                        let counts = found.counts.get(from..from + width).unwrap_or(&[]).chunks(LOW);
                        ranks.equal(counts, place.key)
                    })
                    .collect();
                trim.set(&places, &equal, self.total);
                from += width;
            }
        }
        Ok(())
    }

    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let mut sorter = Sorter::default();
        let count = self.others.len();
        for at in 0..count {
            self.delta(at, block, scratch);
            self.trimmed(at, block, scratch, &mut sorter);
            let factor = (self.ratios[at], self.weights[at]);
            scratch.numbers[at].iter_mut().for_each(|number| *number = *number * factor.0 * factor.1);
        }
        let length = out.len();
        room(&mut scratch.numbers, count + 1, length);
        room(&mut scratch.numbers, count, length);
        let (deltas, work) = scratch.numbers.split_at_mut(count);
        let [majority, divisor, ..] = work else { return };
        out.fill(0.0);
        for delta in deltas.iter() {
            out.iter_mut().zip(delta).for_each(|(to, from)| *to += from);
        }
        if self.consensus {
            majority.copy_from_slice(out);
            out.fill(0.0);
            divisor.fill(0.0);
            for (delta, &weight) in deltas.iter().zip(&self.weights) {
                let places = out.iter_mut().zip(divisor.iter_mut()).zip(majority.iter().zip(delta));
                for ((to, divisor), (&majority, &delta)) in places {
                    let agrees = if majority >= 0.0 { delta > 0.0 } else { delta < 0.0 };
                    *to += if agrees { delta } else { 0.0 };
                    *divisor += if agrees { weight } else { 0.0 };
                }
            }
        }
        if self.normalize && self.consensus {
            let places = out.iter_mut().zip(divisor.iter());
            places.for_each(|(to, &divisor)| *to /= if divisor == 0.0 { 1.0 } else { divisor });
        } else if self.normalize {
            let divisor: f32 = self.weights.iter().sum();
            let divisor = if divisor.abs() < 1e-8 { 1.0 } else { divisor };
            out.iter_mut().for_each(|to| *to /= divisor);
        }
        let places = out.iter_mut().zip(block.input(self.base));
        places.for_each(|(to, base)| *to = base + *to * self.lambda);
    }
}

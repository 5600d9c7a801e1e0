//! Which numbers have certain ranks: exact, without sorting. One look counts the upper halves of all keys, a second one the
//! lower halves of those that matter.
//!
//! Keys are `f32` bits in an order that numbers keep. Ties are told apart by their place, the first one first, so the
//! result does not depend on how a tensor is cut or who looks at it (mergekit leaves this to an unstable sort).

use super::Found;

/// Upper halves there are.
pub(super) const HIGH: usize = 1 << 16;
/// Lower halves there are.
pub(super) const LOW: usize = 1 << 16;

/// A magnitude as a key.
#[inline]
pub(super) fn magnitude(number: f32) -> u32 {
    number.to_bits() & 0x7fff_ffff
}

/// Any number as a key: negative ones below positive ones.
#[inline]
pub(super) fn ordered(number: f32) -> u32 {
    let bits = number.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 }
}

/// The number of an ordered key.
pub(super) fn from_ordered(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & 0x7fff_ffff } else { !key })
}

/// One rank on its way to a key.
#[derive(Clone, Debug)]
struct Rank {
    /// Counted from the smallest, from 0.
    rank: u64,
    high: u32,
    below: u64,
}

/// Where a rank lies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The key of this rank.
    pub(super) key: u32,
    /// Keys that are smaller.
    pub(super) below: u64,
    /// Keys that are equal, in the slabs before each slab.
    pub(super) before: Vec<u64>,
}

/// Ranks that are looked for among the numbers of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranks {
    ranks: Vec<Rank>,
    /// The upper halves that the second look cares for, each once.
    highs: Vec<u32>,
}

/// Counts upper halves; `counts` has [`HIGH`] places.
pub(super) fn coarse(keys: impl Iterator<Item = u32>, counts: &mut [u32]) {
    for key in keys {
        if let Some(count) = counts.get_mut((key >> 16) as usize) {
            *count += 1;
        }
    }
}

impl Ranks {
    /// After the first look: which upper halves matter. Ranks beyond the last number are the last.
    pub(super) fn narrow(counts: &[u64], wanted: impl IntoIterator<Item = u64>) -> Self {
        let total: u64 = counts.iter().sum();
        let mut found = Self::default();
        for rank in wanted {
            let rank = rank.min(total.saturating_sub(1));
            let mut below = 0;
            let mut high = 0;
            for (at, &count) in counts.iter().enumerate() {
                if rank < below + count {
                    high = at as u32;
                    break;
                }
                below += count;
            }
            if !found.highs.contains(&high) {
                found.highs.push(high);
            }
            found.ranks.push(Rank { rank, high, below });
        }
        found
    }

    /// Places the second look counts in.
    pub(super) fn width(&self) -> usize {
        self.highs.len() * LOW
    }

    /// Counts lower halves of the keys that matter.
    pub(super) fn fine(&self, keys: impl Iterator<Item = u32> + Clone, counts: &mut [u32]) {
        for (&high, counts) in self.highs.iter().zip(counts.chunks_mut(LOW)) {
            for key in keys.clone().filter(|key| key >> 16 == high) {
                counts[(key & 0xffff) as usize] += 1;
            }
        }
    }

    /// After the second look: how many have this key. `counts` are this source's, in parts of [`LOW`].
    pub(super) fn equal<'a>(&self, counts: impl Iterator<Item = &'a [u64]>, key: u32) -> u64 {
        let mut parts = self.highs.iter().zip(counts);
        let part = parts.find(|(high, _)| **high == key >> 16);
        part.and_then(|(_, counts)| counts.get((key & 0xffff) as usize)).copied().unwrap_or(0)
    }

    /// After the second look: the keys. `from` is where this source's counts begin in what was found.
    pub(super) fn places(&self, found: &Found, from: usize) -> Vec<Place> {
        let place = |rank: &Rank| {
            let at = self.highs.iter().position(|&high| high == rank.high).unwrap_or(0);
            let begin = from + at * LOW;
            let counts = found.counts.get(begin..begin + LOW).unwrap_or(&[]);
            let mut below = rank.below;
            let mut low = 0;
            for (at, &count) in counts.iter().enumerate() {
                if rank.rank < below + count {
                    low = at;
                    break;
                }
                below += count;
            }
            let mut before = Vec::with_capacity(found.slabs.len());
            let mut equal = 0;
            for slab in &found.slabs {
                before.push(equal);
                let here = slab.binary_search_by_key(&((begin + low) as u32), |&(at, _)| at);
                equal += here.ok().and_then(|at| slab.get(at)).map_or(0, |&(_, count)| u64::from(count));
            }
            Place { key: rank.high << 16 | low as u32, below, before }
        };
        self.ranks.iter().map(place).collect()
    }
}

/// Numbers at one end of a window: those with exactly this key are in by their place among their equals.
#[derive(Clone, Debug)]
struct Edge {
    key: u32,
    from: u64,
    to: u64,
    before: Vec<u64>,
}

/// Magnitudes between two ranks.
#[derive(Clone, Debug)]
pub(super) struct Window {
    low: Edge,
    high: Edge,
}

impl Window {
    /// The largest `count` of `total` (the lowest places first among equals); the place is of rank `total - count`.
    pub(super) fn largest(place: &Place, total: u64, count: u64, equal: u64) -> Self {
        // So many of the equal ones are among the largest.
        let above = total - place.below - equal;
        let low = Edge { key: place.key, from: 0, to: count.saturating_sub(above), before: place.before.clone() };
        Self { low, high: Edge { key: u32::MAX, from: 0, to: u64::MAX, before: Vec::new() } }
    }

    /// Ranks from `from` on to `to`, which is not in it; the places are of `from` and of the one before `to`.
    pub(super) fn between(first: &Place, last: &Place, from: u64, to: u64) -> Self {
        let inside = |place: &Place, rank: u64| rank.saturating_sub(place.below);
        let edge = |place: &Place, from, to| Edge { key: place.key, from, to, before: place.before.clone() };
        if first.key == last.key {
            let low = edge(first, inside(first, from), inside(last, to));
            return Self { low, high: edge(last, 0, u64::MAX) };
        }
        Self { low: edge(first, inside(first, from), u64::MAX), high: edge(last, 0, inside(last, to)) }
    }

    /// Sets what is outside to zero. `cursor` holds how many of each edge's equals came before in this slab.
    pub(super) fn apply(&self, numbers: &mut [f32], slab: usize, cursor: &mut [u64]) {
        let (low, high) = (self.low.key, self.high.key);
        let edges = [&self.low, &self.high].into_iter().zip(cursor.iter_mut());
        let mut open = [true; 2];
        let mut torn = Vec::new();
        for (side, (edge, cursor)) in edges.enumerate() {
            if edge.from == 0 && edge.to == u64::MAX {
                continue;
            }
            let equal = numbers.iter().map(|&number| u32::from(magnitude(number) == edge.key)).sum::<u32>();
            let begin = edge.before.get(slab).copied().unwrap_or(0) + *cursor;
            let end = begin + u64::from(equal);
            *cursor += u64::from(equal);
            if end <= edge.from || begin >= edge.to {
                open[side] = false;
            } else if begin < edge.from || end > edge.to {
                torn.push((edge, begin));
            }
        }
        for (edge, mut place) in torn {
            for number in numbers.iter_mut().filter(|number| magnitude(**number) == edge.key) {
                if !(edge.from..edge.to).contains(&place) {
                    // Of a key that neither end takes for its own.
                    *number = f32::NAN;
                }
                place += 1;
            }
        }
        let from = if open[0] { low } else { low.saturating_add(1) };
        let to = if open[1] { high } else { high.saturating_sub(1) };
        for number in numbers.iter_mut() {
            let key = magnitude(*number);
            let inside = key >= from && key <= to && key <= f32::INFINITY.to_bits();
            *number = f32::from_bits(if inside { number.to_bits() } else { 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Tally;
    use super::*;

    /// As a look does it, in slabs of a few numbers.
    fn look(numbers: &[f32], slab: usize, width: usize, count: impl Fn(&[f32], &mut [u32])) -> Found {
        let mut found = Found::default();
        for part in numbers.chunks(slab) {
            let mut tally = Tally { counts: vec![0; width], ..Tally::default() };
            count(part, &mut tally.counts);
            found.counts.resize(width, 0);
            found.counts.iter_mut().zip(&tally.counts).for_each(|(to, &more)| *to += u64::from(more));
            let slab = tally.counts.iter().enumerate().filter(|(_, count)| **count > 0);
            found.slabs.push(slab.map(|(at, &count)| (at as u32, count)).collect());
        }
        found
    }

    fn places(numbers: &[f32], slab: usize, wanted: &[u64]) -> (Vec<Place>, Vec<u64>) {
        let keys = |part: &[f32]| part.iter().map(|&number| magnitude(number)).collect::<Vec<_>>();
        let found = look(numbers, slab, HIGH, |part, counts| coarse(keys(part).into_iter(), counts));
        let ranks = Ranks::narrow(&found.counts, wanted.iter().copied());
        let found = look(numbers, slab, ranks.width(), |part, counts| ranks.fine(keys(part).iter().copied(), counts));
        let places = ranks.places(&found, 0);
        let equal = places.iter().map(|place| numbers.iter().filter(|n| magnitude(**n) == place.key).count() as u64);
        let equal = equal.collect();
        (places, equal)
    }

    fn trimmed(window: &Window, numbers: &[f32], slab: usize) -> Vec<f32> {
        let mut out = numbers.to_vec();
        for (at, part) in out.chunks_mut(slab).enumerate() {
            let mut cursor = [0; 2];
            for block in part.chunks_mut(3) {
                window.apply(block, at, &mut cursor);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_a_stable_sort(
            // few values, so that there are ties
            numbers in prop::collection::vec((-6i8..6).prop_map(|n| f32::from(n) * 0.37), 1..60),
            slab in 1usize..20, from in 0.0f64..1.0, part in 0.0f64..1.0,
        ) {
            let total = numbers.len() as u64;
            let count = ((part * total as f64) as u64).max(1);
            let mut order: Vec<usize> = (0..numbers.len()).collect();
            order.sort_by(|&a, &b| numbers[b].abs().total_cmp(&numbers[a].abs()));
            let (found, equal) = places(&numbers, slab, &[total - count]);
            let window = Window::largest(&found[0], total, count, equal[0]);
            let mut want = vec![0.0; numbers.len()];
            order[..count as usize].iter().for_each(|&at| want[at] = numbers[at]);
            prop_assert_eq!(trimmed(&window, &numbers, slab), want);

            order.sort_by(|&a, &b| numbers[a].abs().total_cmp(&numbers[b].abs()).then(a.cmp(&b)));
            let from = ((from * total as f64) as u64).min(total - 1);
            let to = (from + count).min(total);
            let (found, _) = places(&numbers, slab, &[from, to - 1]);
            let window = Window::between(&found[0], &found[1], from, to);
            let mut want = vec![0.0; numbers.len()];
            order[from as usize..to as usize].iter().for_each(|&at| want[at] = numbers[at]);
            prop_assert_eq!(trimmed(&window, &numbers, slab), want);
        }

        #[test]
        fn ordered_keys_keep_the_order(a in any::<f32>(), b in any::<f32>()) {
            prop_assert_eq!(a.total_cmp(&b), ordered(a).cmp(&ordered(b)));
            prop_assert_eq!(from_ordered(ordered(a)).to_bits(), a.to_bits());
        }
    }
}

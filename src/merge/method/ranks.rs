//! The rank of every number of a row by magnitude.

use super::select::magnitude;

/// Bits a pass sorts by; three of them cover a magnitude.
const BITS: u32 = 11;

/// Room to sort in.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    from: Vec<(u32, u32)>,
    to: Vec<(u32, u32)>,
}

impl Sorter {
    /// Calls `each` with every place and its rank, the smallest magnitude first; equals by their place.
    pub(super) fn ranks(&mut self, row: &[f32], mut each: impl FnMut(usize, usize)) {
        self.from.clear();
        self.from.extend(row.iter().enumerate().map(|(at, &number)| (magnitude(number), at as u32)));
        self.to.resize(row.len(), (0, 0));
        for pass in 0..3 {
            let digit = |key: u32| (key >> (pass * BITS)) as usize & ((1 << BITS) - 1);
            let mut starts = [0u32; 1 << BITS];
            self.from.iter().for_each(|&(key, _)| starts[digit(key)] += 1);
            let mut sum = 0;
            for start in &mut starts {
                sum += std::mem::replace(start, sum);
            }
            for &item in &self.from {
                let start = &mut starts[digit(item.0)];
                self.to[*start as usize] = item;
                *start += 1;
            }
            std::mem::swap(&mut self.from, &mut self.to);
        }
        self.from.iter().enumerate().for_each(|(rank, &(_, at))| each(at as usize, rank));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_are_those_of_a_stable_sort(row in prop::collection::vec(-5.0f32..5.0, 0..80)) {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| row[a].abs().total_cmp(&row[b].abs()));
            let mut found = vec![0; row.len()];
            Sorter::default().ranks(&row, |at, rank| found[rank] = at);
            prop_assert_eq!(found, order);
        }
    }
}

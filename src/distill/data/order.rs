//! Which window comes when: a permutation that is computed and not stored.

use crate::distill::kernel::dropout::mix;

/// The window at a place of the endless row of rounds.
pub(crate) fn at(seed: u64, place: u64, n: u64) -> u64 {
    window(seed, place / n, place % n, n)
}

/// The window that stands at place `i` of round `epoch`, of `n`.
///
/// A Feistel network of four rounds over the next power of four, walked until the result is below `n`.
fn window(seed: u64, epoch: u64, i: u64, n: u64) -> u64 {
    let bits = (64 - n.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << bits) - 1;
    let key = mix(seed ^ mix(epoch));
    let mut at = i;
    loop {
        let (mut left, mut right) = (at >> bits, at & mask);
        for round in 0..4 {
            (left, right) = (right, left ^ (mix(key ^ round << 60 ^ right) & mask));
        }
        at = left << bits | right;
        if at < n {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_comes_once_a_round_and_rounds_differ() {
        for n in [1, 2, 3, 10, 64, 65, 1000] {
            let round = |epoch| (0..n).map(|i| window(7, epoch, i, n)).collect::<Vec<_>>();
            let mut first = round(0);
            let second = round(1);
            assert!(n < 10 || first != second, "{n}");
            first.sort_unstable();
            assert_eq!(first, (0..n).collect::<Vec<_>>());
        }
    }
}

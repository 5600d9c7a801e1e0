//! Where two tokenizers end a token at the same byte of a text.

use std::ops::Range;

/// A stretch of text that both tokenizers bound, as tokens of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) ours: Range<usize>,
    pub(super) theirs: Range<usize>,
}

/// The shortest stretches, of the tokens' lengths in bytes; tokens of no length stand for nothing and are in none.
pub(super) fn stretches(ours: &[usize], theirs: &[usize]) -> Vec<Stretch> {
    let mut all = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < ours.len() && j < theirs.len() {
        if ours[i] == 0 {
            i += 1;
            continue;
        }
        if theirs[j] == 0 {
            j += 1;
            continue;
        }
        let (from_i, from_j) = (i, j);
        let (mut end_i, mut end_j) = (ours[i], theirs[j]);
        i += 1;
        j += 1;
        let mut whole = true;
        while end_i != end_j {
            let (next, end, lengths) =
                if end_i < end_j { (&mut i, &mut end_i, ours) } else { (&mut j, &mut end_j, theirs) };
            let Some(&length) = lengths.get(*next) else { return all };
            // What stands for nothing parts a text.
            whole &= length > 0;
            *end += length;
            *next += 1;
        }
        if whole {
            all.push(Stretch { ours: from_i..i, theirs: from_j..j });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_where_both_end_a_token() {
        let found = |ours: &[usize], theirs: &[usize]| {
            stretches(ours, theirs).into_iter().map(|one| (one.ours, one.theirs)).collect::<Vec<_>>()
        };
        assert_eq!(found(&[1, 2, 3], &[1, 2, 3]), [(0..1, 0..1), (1..2, 1..2), (2..3, 2..3)]);
        assert_eq!(found(&[2, 2, 4], &[4, 1, 3]), [(0..2, 0..1), (2..3, 1..3)]);
        assert_eq!(found(&[0, 2, 2], &[2, 0, 2]), [(1..2, 0..1), (2..3, 2..3)]);
        assert_eq!(found(&[1, 0, 1, 1], &[2, 1]), [(3..4, 1..2)]);
        assert_eq!(found(&[3], &[2]), []);
        assert_eq!(found(&[], &[2]), []);
    }
}

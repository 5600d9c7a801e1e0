//! Where the text before and after a cursor is cut when it is too long.
//!
//! A cut is wanted that stays where it is while the cursor moves. Of the lines in the outer half of what fits, the one
//! whose text has the least hash is taken (as winnowing does for fingerprints): it depends on the text alone, and it
//! changes only when that line leaves the half or a lesser one enters it.

use std::hash::Hasher;

use crate::fim::cache::Fnv;
use crate::fim::trim::{head, tail};

/// Typing within this many tokens of a line does not move a window.
const LINE_STEP: usize = 32;

/// The byte at which the window before the cursor begins; it takes at most about `budget` tokens to the end.
pub(super) fn before(text: &str, budget: usize, count: &mut dyn FnMut(&str) -> usize) -> usize {
    let line = text.rfind('\n').map_or(0, |end| end + 1);
    let own = count(&text[line..]);
    if own > budget {
        // One line longer than all: what is nearest.
        let bytes = (text.len() - line) * budget / own;
        return text.len() - tail(&text[line..], bytes).len();
    }
    let mut used = (own / LINE_STEP + 1) * LINE_STEP;
    let (mut start, mut best) = (line, None);
    let mut below = &text[line..];
    while start > 0 {
        let from = text[..start - 1].rfind('\n').map_or(0, |end| end + 1);
        used += count(&text[from..start]);
        if used > budget {
            return best.map_or(start, |(_, at)| at);
        }
        let rank = rank(&text[from..start], below);
        // At equal rank the one further away.
        if used > budget / 2 && best.is_none_or(|(least, _)| rank <= least) {
            best = Some((rank, from));
        }
        below = &text[from..start];
        start = from;
    }
    0
}

/// The beginning of the text after the cursor that takes at most about `budget` tokens.
pub(super) fn after<'a>(text: &'a str, budget: usize, count: &mut dyn FnMut(&str) -> usize) -> &'a str {
    let (mut used, mut end, mut best) = (0, 0, None);
    let mut above = "";
    for line in text.split_inclusive('\n') {
        let cost = count(line);
        if used + cost > budget {
            let whole = best.map_or(end, |(_, at)| at);
            return if whole > 0 { &text[..whole] } else { head(line, line.len() * budget / cost.max(1)) };
        }
        used += cost;
        end += line.len();
        let rank = rank(line, above);
        if used > budget / 2 && best.is_none_or(|(least, _)| rank <= least) {
            best = Some((rank, end));
        }
        above = line;
    }
    text
}

/// By a line and its neighbour on the cursor's side, so that a lone bracket is not the same everywhere.
fn rank(line: &str, neighbour: &str) -> u64 {
    let mut hash = Fnv::default();
    hash.write(line.trim().as_bytes());
    hash.write(&[0]);
    hash.write(neighbour.trim().as_bytes());
    // FNV hardly moves its upper bits at the end, and the order goes by them.
    let mixed = hash.finish();
    (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

//! The bracket that belongs to another. Counts brackets of one kind and knows nothing of strings and comments: a match
//! that is wrong there is worth less than a parser here. Looks at a bounded stretch.

use ropey::Rope;

/// Characters that are looked at.
pub const REACH: usize = 100_000;

const PAIRS: [(char, char); 3] = [('(', ')'), ('[', ']'), ('{', '}')];

/// The closing sign of an opening one.
pub fn closing(open: char) -> Option<char> {
    PAIRS.iter().find(|pair| pair.0 == open).map(|pair| pair.1)
}

/// Whether it closes.
pub fn closes(c: char) -> bool {
    PAIRS.iter().any(|pair| pair.1 == c)
}

/// The bracket at `at`, else the one before it, and its other end, in characters.
pub fn pair(rope: &Rope, at: usize) -> Option<(usize, usize)> {
    let found = |at: usize| rope.get_char(at).and_then(|c| other(rope, at, c)).map(|other| (at, other));
    found(at).or_else(|| found(at.checked_sub(1)?))
}

/// The opening end of a closing bracket that would stand at `at`.
pub fn opening(rope: &Rope, at: usize, closing: char) -> Option<usize> {
    let (open, close) = PAIRS.iter().find(|pair| pair.1 == closing)?;
    scan(rope.chars_at(at).reversed(), *close, *open).map(|steps| at - 1 - steps)
}

/// Whether the brackets around `at` that are closed by this one, as far as they open in the same line, all have their
/// other end.
pub fn are_whole(rope: &Rope, at: usize, closing: char) -> bool {
    let line = rope.char_to_line(at.min(rope.len_chars()));
    let Some(mut outer) = opening(rope, at, closing) else { return false };
    while let Some(next) = opening(rope, outer, closing).filter(|next| rope.char_to_line(*next) == line) {
        outer = next;
    }
    rope.get_char(outer).and_then(|c| other(rope, outer, c)).is_some()
}

fn other(rope: &Rope, at: usize, c: char) -> Option<usize> {
    if let Some((open, close)) = PAIRS.iter().find(|pair| pair.0 == c) {
        return scan(rope.chars_at(at + 1), *open, *close).map(|steps| at + 1 + steps);
    }
    opening(rope, at, c)
}

/// Characters until the bracket that `deeper` and `wanted` balance at.
fn scan(chars: impl Iterator<Item = char>, deeper: char, wanted: char) -> Option<usize> {
    let mut depth = 0usize;
    for (steps, c) in chars.take(REACH).enumerate() {
        if c == deeper {
            depth += 1;
        } else if c == wanted {
            if depth == 0 {
                return Some(steps);
            }
            depth -= 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_find_each_other_over_nested_ones() {
        let rope = Rope::from_str("f(a[1], (b)) }");
        assert_eq!(pair(&rope, 1), Some((1, 11)));
        assert_eq!(pair(&rope, 12), Some((11, 1)));
        assert_eq!(pair(&rope, 3), Some((3, 5)));
        assert_eq!(pair(&rope, 13), None);
        assert_eq!(pair(&Rope::new(), 0), None);
    }
}

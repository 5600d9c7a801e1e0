//! What the cursor steps over in a rope, and how many cells it takes. Every step looks at a bounded number of characters:
//! a line of a million combining marks must not hold up a key.

use std::borrow::Cow;

use ropey::Rope;
use unicode_segmentation::UnicodeSegmentation;

use super::clean;
use super::wrap::{self, TAB};

/// Characters that are looked at for one step. A grapheme longer than this comes apart.
const REACH: usize = 64;

/// Characters that a word has at most, for one step.
const LONGEST_WORD: usize = 4096;

/// The grapheme boundary after `at` (characters); the end of the text has none after it and gives itself.
pub fn next(rope: &Rope, at: usize) -> usize {
    let total = rope.len_chars();
    if at >= total {
        return total;
    }
    let mut chars = rope.chars_at(at);
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_ascii() && second.is_ascii() && first != '\r' => at + 1,
        _ => {
            let window = text(rope, at, (at + REACH).min(total));
            at + window.graphemes(true).next().map_or(1, |grapheme| grapheme.chars().count())
        }
    }
}

/// The grapheme boundary before `at` (characters); the start gives itself.
pub fn previous(rope: &Rope, at: usize) -> usize {
    let at = at.min(rope.len_chars());
    let mut chars = rope.chars_at(at);
    match (chars.prev(), chars.prev()) {
        (None, _) => 0,
        (Some('\n'), Some('\r')) => at - 2,
        (Some(last), _) if last.is_ascii() => at - 1,
        _ => {
            let window = text(rope, at.saturating_sub(REACH), at);
            at - window.graphemes(true).next_back().map_or(1, |grapheme| grapheme.chars().count())
        }
    }
}

/// `at` if it is a grapheme boundary, else the next one.
pub fn settle(rope: &Rope, at: usize) -> usize {
    let total = rope.len_chars();
    if at >= total {
        return total;
    }
    let mut chars = rope.chars_at(at);
    let (after, before) = (chars.next(), rope.chars_at(at).prev());
    match (before, after) {
        (None, _) => return at,
        (Some('\r'), Some('\n')) => return at + 1,
        (Some(before), Some(after)) if before.is_ascii() && after.is_ascii() => return at,
        _ => {}
    }
    let start = at.saturating_sub(REACH);
    let mut boundary = start;
    for grapheme in text(rope, start, (at + REACH).min(total)).graphemes(true) {
        if boundary >= at {
            break;
        }
        boundary += grapheme.chars().count();
    }
    boundary
}

/// A range of characters as text.
pub fn text(rope: &Rope, start: usize, end: usize) -> String {
    rope.get_slice(start..end).map(String::from).unwrap_or_default()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Word,
    Sign,
}

fn kind(c: char) -> Kind {
    match c {
        c if c.is_whitespace() => Kind::Blank,
        // an accent that stands by itself belongs to its letter
        c if c.is_alphanumeric() || matches!(c, '_' | '\u{300}'..='\u{36f}') => Kind::Word,
        _ => Kind::Sign,
    }
}

/// How far the blanks and the word, or the run of signs, reach that begin with these characters. A word is what Unicode
/// takes for one (UAX #29): an ideograph is a word by itself. `backwards`: the characters come from the end to the start.
fn reach(chars: impl Iterator<Item = char>, backwards: bool) -> usize {
    let mut chars = chars.take(LONGEST_WORD).peekable();
    let mut blanks = 0;
    while chars.next_if(|c| kind(*c) == Kind::Blank).is_some() {
        blanks += 1;
    }
    let Some(run) = chars.peek().map(|c| kind(*c)) else { return blanks };
    let mut word: Vec<char> = std::iter::from_fn(|| chars.next_if(|c| kind(*c) == run)).collect();
    if run == Kind::Sign || word.iter().all(char::is_ascii) {
        return blanks + word.len();
    }
    if backwards {
        word.reverse();
    }
    let word: String = word.into_iter().collect();
    let mut words = word.split_word_bounds();
    let nearest = if backwards { words.next_back() } else { words.next() };
    blanks + nearest.map_or(0, |word| word.chars().count())
}

/// Behind the word, or the run of signs, at or after `at`.
pub fn word_after(rope: &Rope, at: usize) -> usize {
    let at = at.min(rope.len_chars());
    settle(rope, at + reach(rope.chars_at(at), false))
}

/// The start of the word, or the run of signs, at or before `at`.
pub fn word_before(rope: &Rope, at: usize) -> usize {
    let at = at.min(rope.len_chars());
    let to = at - reach(rope.chars_at(at).reversed(), true);
    if settle(rope, to) == to { to } else { previous(rope, to) }
}

/// A grapheme as it may be drawn, in exactly [`cells`] cells: controls as their pictures, what hides or turns as a mark,
/// joined emoji in parts.
pub fn shown(grapheme: &str) -> Cow<'_, str> {
    match grapheme.as_bytes() {
        [b' '..=b'~'] => Cow::Borrowed(grapheme),
        [b'\t'] => Cow::Owned(" ".repeat(TAB)),
        _ => {
            let parts = clean::visible(grapheme);
            let parts: String = parts.chars().filter(|c| !matches!(c, '\u{200D}' | '\u{FE0E}' | '\u{FE0F}')).collect();
            if wrap::cells(&parts) == 0 { Cow::Borrowed("·") } else { Cow::Owned(parts) }
        }
    }
}

/// Cells that a grapheme takes as [`shown`] draws it; never none.
pub fn cells(grapheme: &str) -> usize {
    match grapheme.as_bytes() {
        [b' '..=b'~'] => 1,
        [b'\t'] => TAB,
        _ => wrap::cells(&shown(grapheme)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_runs_of_signs_and_blanks_are_told_apart() {
        let rope = Rope::from_str("let foo_bar += x.y();\n  next");
        assert_eq!(word_after(&rope, 0), 3);
        assert_eq!(word_after(&rope, 3), 11);
        assert_eq!(word_after(&rope, 11), 14);
        assert_eq!(word_after(&rope, 21), 28);
        assert_eq!(word_before(&rope, 28), 24);
        assert_eq!(word_before(&rope, 24), 18);
        assert_eq!(word_before(&rope, 2), 0);
    }

    #[test]
    fn an_ideograph_is_a_word_and_an_accent_belongs_to_its_letter() {
        let rope = Rope::from_str("见 代码x e\u{301}te\u{301} é");
        assert_eq!([0, 1, 3, 4, 5].map(|at| word_after(&rope, at)), [1, 3, 4, 5, 11]);
        assert_eq!([13, 12, 5, 4].map(|at| word_before(&rope, at)), [12, 6, 4, 3]);
    }

    #[test]
    fn line_ends_of_two_characters_are_one_step() {
        let rope = Rope::from_str("a\r\nb");
        assert_eq!((next(&rope, 1), previous(&rope, 3), settle(&rope, 2)), (3, 1, 3));
    }

    #[test]
    fn nothing_takes_no_cell_and_controls_are_pictures() {
        assert_eq!((shown("\u{1b}"), cells("\u{1b}")), ("␛".into(), 1));
        assert_eq!((shown("\u{200b}"), cells("\u{200b}")), ("\u{fffd}".into(), 1));
        assert_eq!((shown("\u{301}"), cells("\u{301}")), ("·".into(), 1));
        assert_eq!((shown("👩\u{200d}💻"), cells("👩\u{200d}💻")), ("👩💻".into(), 4));
        assert_eq!(cells("\u{7f}"), 1);
    }

    proptest! {
        #[test]
        fn steps_agree_with_whole_text(text in "[a-c \n\r中\u{301}👩\u{200d}💻]{0,40}") {
            let rope = Rope::from_str(&text);
            let mut wanted: Vec<usize> = vec![0];
            for grapheme in text.graphemes(true) {
                wanted.push(wanted[wanted.len() - 1] + grapheme.chars().count());
            }
            let mut found = vec![0];
            while found[found.len() - 1] < rope.len_chars() {
                found.push(next(&rope, found[found.len() - 1]));
            }
            prop_assert_eq!(&found, &wanted);
            for pair in wanted.windows(2) {
                prop_assert_eq!(previous(&rope, pair[1]), pair[0]);
                prop_assert_eq!(settle(&rope, pair[0] + 1), pair[1]);
                prop_assert_eq!(settle(&rope, pair[0]), pair[0]);
            }
        }
    }
}

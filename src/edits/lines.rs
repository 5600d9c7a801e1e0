//! What a file's text has besides its words: a byte order mark, line ends of one kind or mixed, and whether its last line
//! is ended. A model knows nothing of these, so its text is given the manners of the file that it replaces.
//!
//! What it refuses to do: change the end of a line that stays.

use imara_diff::{Algorithm, Diff, InternedInput};

pub use crate::text::document::BOM;

/// Lines with their ends.
pub fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// A line without its end.
pub fn body(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// The end that most lines have; `\n` where there is none.
pub fn ending(text: &str) -> &'static str {
    let all = text.bytes().filter(|byte| *byte == b'\n').count();
    let carriage = text.matches("\r\n").count();
    if carriage * 2 > all { "\r\n" } else { "\n" }
}

/// The runs that differ, as ranges of lines.
pub(super) fn changes<'a>(
    old: impl Iterator<Item = &'a str>,
    new: impl Iterator<Item = &'a str>,
) -> Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut input = InternedInput::default();
    input.update_before(old);
    input.update_after(new);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let wide = |range: std::ops::Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| (wide(hunk.before), wide(hunk.after))).collect()
}

/// `new` with the manners of `old`: lines that stay are taken over byte for byte, others get the usual end; the mark at
/// the beginning and the missing end of the last line stay as they were.
pub fn fit(old: &str, new: &str) -> String {
    let (mark, old) = match old.strip_prefix(BOM) {
        Some(rest) => (true, rest),
        None => (false, old),
    };
    let new = new.strip_prefix(BOM).unwrap_or(new);
    let end = ending(old);
    let (before, after) = (split(old), split(new));
    let changed = changes(before.iter().copied().map(body), after.iter().copied().map(body));
    let mut out = String::with_capacity(new.len() + 8);
    if mark {
        out.push(BOM);
    }
    let mut changed = changed.into_iter().peekable();
    let (mut at_old, mut at) = (0, 0);
    while at < after.len() {
        while let Some((gone, come)) = changed.next_if(|(_, come)| come.start <= at) {
            at_old = gone.end;
            for line in &after[come.start.max(at)..come.end] {
                out.push_str(body(line));
                out.push_str(end);
            }
            at = at.max(come.end);
        }
        if at >= after.len() {
            break;
        }
        let kept = before.get(at_old).copied().unwrap_or(after[at]);
        out.push_str(kept);
        if !kept.ends_with('\n') {
            out.push_str(end);
        }
        at_old += 1;
        at += 1;
    }
    if !old.is_empty() && !old.ends_with('\n') {
        let bare = body(&out).len();
        out.truncate(bare);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_file_has_stays_with_it() {
        let cases = [
            ("a\r\nb\r\n", "a\nx\nb\n", "a\r\nx\r\nb\r\n"),
            ("a\nb", "a\nc\n", "a\nc"),
            ("a\nb", "a\nb\n", "a\nb"),
            ("a\nb\n", "a\nc", "a\nc\n"),
            ("\u{feff}a\n", "b\n", "\u{feff}b\n"),
            ("\u{feff}a\n", "\u{feff}b\n", "\u{feff}b\n"),
            // mixed ends stay mixed where nothing is changed
            ("a\r\nb\nc\n", "a\nb\nx\nc\n", "a\r\nb\nx\nc\n"),
            ("a\nb", "a\nb\nc\n", "a\nb\nc"),
            ("", "a\nb", "a\nb\n"),
            ("a\n", "", ""),
        ];
        for (old, new, wanted) in cases {
            assert_eq!(fit(old, new), wanted, "{old:?} -> {new:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_and_keeps_its_words(
            old in proptest::collection::vec("[ab]{0,2}", 0..8), new in proptest::collection::vec("[ab]{0,2}", 0..8),
            carriage in any::<bool>(), mark in any::<bool>(), ended in any::<bool>(),
        ) {
            let end = if carriage { "\r\n" } else { "\n" };
            let mut text = old.join(end);
            if ended && !old.is_empty() { text += end; }
            if mark { text.insert(0, BOM); }
            let plain = text.trim_start_matches(BOM).replace("\r\n", "\n");
            prop_assert_eq!(fit(&text, &plain), text.clone());
            let wanted: String = new.iter().map(|line| format!("{line}\n")).collect();
            let fitted = fit(&text, &wanted);
            let bodies: Vec<String> = split(fitted.trim_start_matches(BOM)).iter().map(|line| body(line).to_owned()).collect();
            let mut expected = new.clone();
            let open = text.trim_start_matches(BOM);
            if !open.is_empty() && !open.ends_with('\n') && expected.last().is_some_and(String::is_empty) { expected.pop(); }
            prop_assert_eq!(bodies, expected);
        }
    }
}

//! Hunks between two texts, each of which can be taken or left on its own.
//!
//! Lines are compared with their ends, so that taking all hunks gives the new text to the byte and taking none the old
//! one. Changes with hardly anything between them are one hunk: nobody decides twice about one thought.

use std::ops::Range;

use super::lines;

/// Unchanged lines between two changes that keep them apart.
const APART: usize = 3;

/// A change that is taken whole or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Lines of the old text, from 0.
    pub old: Range<usize>,
    /// Lines of the new text, from 0.
    pub new: Range<usize>,
    /// What differs inside: the lines between are the same.
    parts: Vec<(Range<usize>, Range<usize>)>,
}

/// Two texts and what lies between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    old: String,
    new: String,
    old_starts: Vec<usize>,
    new_starts: Vec<usize>,
    hunks: Vec<Hunk>,
}

/// A line of a hunk as it is shown; numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// It stays.
    Same(usize, usize, &'a str),
    /// It goes.
    Gone(usize, &'a str),
    /// It comes.
    Come(usize, &'a str),
}

fn starts(text: &str) -> Vec<usize> {
    let mut at = 0;
    let mut starts = vec![0];
    for line in text.split_inclusive('\n') {
        at += line.len();
        starts.push(at);
    }
    starts
}

impl Diff {
    /// Between two texts.
    pub fn new(old: impl Into<String>, new: impl Into<String>) -> Self {
        let (old, new) = (old.into(), new.into());
        let changes = lines::changes(old.split_inclusive('\n'), new.split_inclusive('\n'));
        let mut hunks: Vec<Hunk> = Vec::new();
        for (gone, come) in changes {
            match hunks.last_mut().filter(|last| gone.start < last.old.end + APART) {
                Some(last) => {
                    last.old.end = gone.end;
                    last.new.end = come.end;
                    last.parts.push((gone, come));
                }
                None => hunks.push(Hunk { old: gone.clone(), new: come.clone(), parts: vec![(gone, come)] }),
            }
        }
        Self { old_starts: starts(&old), new_starts: starts(&new), old, new, hunks }
    }

    /// What was.
    pub fn old(&self) -> &str {
        &self.old
    }

    /// What is proposed.
    pub fn proposed(&self) -> &str {
        &self.new
    }

    /// The hunks, first to last.
    pub fn hunks(&self) -> &[Hunk] {
        &self.hunks
    }

    fn slice<'a>(text: &'a str, starts: &[usize], range: Range<usize>) -> &'a str {
        let at = |n: usize| starts.get(n).copied().unwrap_or(text.len());
        text.get(at(range.start)..at(range.end)).unwrap_or_default()
    }

    /// The text with some hunks taken; those past the end of `taken` are not.
    pub fn apply(&self, taken: &[bool]) -> String {
        let mut out = String::with_capacity(self.old.len().max(self.new.len()));
        let mut at = 0;
        for (n, hunk) in self.hunks.iter().enumerate() {
            out += Self::slice(&self.old, &self.old_starts, at..hunk.old.start);
            out += if taken.get(n) == Some(&true) {
                Self::slice(&self.new, &self.new_starts, hunk.new.clone())
            } else {
                Self::slice(&self.old, &self.old_starts, hunk.old.clone())
            };
            at = hunk.old.end;
        }
        out + Self::slice(&self.old, &self.old_starts, at..usize::MAX)
    }

    /// A hunk's lines with up to `around` of the lines around it. What stands between two hunks is shown once.
    pub fn rows(&self, hunk: usize, around: usize) -> Vec<Row<'_>> {
        let Some(found) = self.hunks.get(hunk) else { return Vec::new() };
        let before = hunk.checked_sub(1).and_then(|n| self.hunks.get(n));
        let gap = found.old.start - before.map_or(0, |before| before.old.end);
        let behind = if before.is_some() { gap.min(around) } else { 0 };
        let lead = (gap - behind).min(around);
        let next = self.hunks.get(hunk + 1).map_or(self.old_starts.len() - 1, |next| next.old.start);
        let tail = (next - found.old.end).min(around);
        let mut rows = Vec::new();
        let mut at = (found.old.start - lead, found.new.start - lead);
        for (gone, come) in &found.parts {
            self.same_rows(&mut rows, at.0..gone.start, at.1);
            for n in gone.clone() {
                rows.push(Row::Gone(n + 1, lines::body(Self::slice(&self.old, &self.old_starts, n..n + 1))));
            }
            for n in come.clone() {
                rows.push(Row::Come(n + 1, lines::body(Self::slice(&self.new, &self.new_starts, n..n + 1))));
            }
            at = (gone.end, come.end);
        }
        self.same_rows(&mut rows, at.0..at.0 + tail, at.1);
        rows
    }
    fn same_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>, old: Range<usize>, new: usize) {
        for (n, at) in old.enumerate() {
            let line = Self::slice(&self.old, &self.old_starts, at..at + 1);
            rows.push(Row::Same(at + 1, new + n + 1, lines::body(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered(lines: impl IntoIterator<Item = u32>) -> String {
        lines.into_iter().map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn near_changes_are_one_hunk_and_far_ones_are_two() {
        let old = numbered(1..=20);
        let near = old.replace("line 5\n", "five\n").replace("line 7\n", "");
        assert_eq!(Diff::new(old.as_str(), near).hunks().len(), 1);
        let far = old.replace("line 5\n", "five\n").replace("line 12\n", "");
        let diff = Diff::new(old.as_str(), far);
        assert_eq!(diff.hunks().len(), 2);
        assert_eq!(diff.apply(&[false, true]), old.replace("line 12\n", ""));
        assert_eq!(diff.apply(&[true]), old.replace("line 5\n", "five\n"));
    }

    #[test]
    fn a_hunk_is_shown_with_its_surroundings_once() {
        let old = numbered(1..=12);
        let new = old.replace("line 3\n", "three\n").replace("line 8\n", "");
        let diff = Diff::new(old.as_str(), new);
        let first = diff.rows(0, 3);
        assert_eq!(first[0], Row::Same(1, 1, "line 1"));
        assert_eq!(first[2..4], [Row::Gone(3, "line 3"), Row::Come(3, "three")]);
        assert_eq!(first.last(), Some(&Row::Same(6, 6, "line 6")));
        let second = diff.rows(1, 3);
        assert_eq!(second[0], Row::Same(7, 7, "line 7"));
        assert_eq!(second[1], Row::Gone(8, "line 8"));
        assert_eq!(second.last(), Some(&Row::Same(11, 10, "line 11")));
        assert!(diff.rows(2, 3).is_empty());
    }

    #[test]
    fn equal_texts_have_no_hunks() {
        assert!(Diff::new("a\n", "a\n").hunks().is_empty());
        assert_eq!(Diff::new("", "a\n").hunks().len(), 1);
        assert_eq!(Diff::new("a", "a\n").apply(&[true]), "a\n");
    }

    proptest! {
        #[test]
        fn all_hunks_give_the_new_text_none_the_old_and_any_fit_together(
            old in "(\u{feff})?([ab]{0,1}\r?\n){0,14}[ab]{0,1}", new in "(\u{feff})?([ab]{0,1}\r?\n){0,14}[ab]{0,1}",
            picks in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let diff = Diff::new(old.as_str(), new.as_str());
            let all = vec![true; diff.hunks().len()];
            prop_assert_eq!(diff.apply(&all), new.as_str());
            prop_assert_eq!(diff.apply(&[]), old.as_str());
            // what was not taken is what is still to be done
            let taken = diff.apply(&picks);
            let mut wanted = String::new();
            let (mut at, lines_old, lines_new) = (0, lines::split(&old), lines::split(&new));
            for (n, hunk) in diff.hunks().iter().enumerate() {
                wanted.extend(lines_old[at..hunk.old.start].iter().copied());
                wanted.extend(if picks[n] { &lines_new[hunk.new.clone()] } else { &lines_old[hunk.old.clone()] }.iter().copied());
                at = hunk.old.end;
            }
            wanted.extend(lines_old[at..].iter().copied());
            prop_assert_eq!(taken, wanted);
            let shown: usize = (0..diff.hunks().len()).flat_map(|n| diff.rows(n, 3)).filter(|row| matches!(row, Row::Come(..))).count();
            let come: usize = diff.hunks().iter().flat_map(|hunk| &hunk.parts).map(|part| part.1.len()).sum();
            prop_assert_eq!(shown, come);
        }
    }
}

//! Tests that `/fix` must leave as they are: files of tests, and the tests inside other files. A model that cannot mend
//! the program mends the test, and the command passes.
//!
//! Tests are known by what files and definitions are called and by their attributes, in the languages that people mostly
//! write. It refuses to judge what a test says: each of its lines stays where and as it is, unless the person named the
//! file.

mod names;
mod spans;
mod subjects;

pub use names::is_test_file;
pub use spans::test_lines;
pub use subjects::subjects;

use super::diff::Diff;
use super::{Change, Problem, lines};

/// The tests that must stay as they are, but for the files that the person named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Paths, folders or globs as they were typed.
    pub named: Vec<String>,
}

impl Guard {
    /// Whether the person named a file: it may be changed, whatever it is.
    pub fn is_named(&self, name: &str) -> bool {
        let name = name.trim_start_matches("./");
        self.named.iter().any(|pattern| {
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            let below = name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let glob = || globset::GlobBuilder::new(pattern).literal_separator(true).build();
            below || pattern == "." || glob().is_ok_and(|glob| glob.compile_matcher().is_match(name))
        })
    }

    /// Whether no line of a file may be changed.
    pub fn bars(&self, name: &str) -> bool {
        is_test_file(name) && !self.is_named(name)
    }

    /// By line of a text: whether it belongs to a test that must stay.
    pub fn barred(&self, name: &str, text: &str) -> Vec<bool> {
        let all = text.split_inclusive('\n').count();
        if self.is_named(name) {
            vec![false; all]
        } else if is_test_file(name) {
            vec![true; all]
        } else {
            test_lines(name, text)
        }
    }

    /// What may stay of a change: its hunks that leave the tests alone; and what of it may not.
    pub fn keep(&self, change: Change) -> (Option<Change>, Option<Problem>) {
        const HINT: &str = "`/fix @FILE COMMAND` allows it";
        if self.is_named(&change.name) {
            return (Some(change), None);
        }
        if is_test_file(&change.name) {
            let reason = format!("it is a test, and `/fix` leaves tests as they are; {HINT}");
            return (None, Some(Problem::new(change.name, reason)));
        }
        let (old, new) = (change.diff.old(), change.diff.proposed());
        let (before, after) = (test_lines(&change.name, old), test_lines(&change.name, new));
        // a new file takes no test away
        if change.new || said(old, &before) == said(new, &after) {
            return (Some(change), None);
        }
        let taken: Vec<bool> = change
            .diff
            .hunks()
            .iter()
            .map(|hunk| !touches(&before, &hunk.old) && !touches(&after, &hunk.new))
            .collect();
        let rest = change.diff.apply(&taken);
        let stays = said(&rest, &test_lines(&change.name, &rest)) == said(old, &before);
        let problem = Problem::new(
            change.name.clone(),
            format!("a part of it changes a test, and `/fix` leaves tests as they are; {HINT}"),
        );
        let diff = Diff::new(old, if stays { rest } else { old.to_owned() });
        let kept = (!diff.hunks().is_empty()).then_some(Change { diff, ..change });
        (kept, Some(problem))
    }
}

/// What the tests of a text say, line by line.
fn said<'a>(text: &'a str, tests: &[bool]) -> Vec<&'a str> {
    let all = lines::split(text).into_iter().map(|line| lines::body(line).trim_end());
    all.zip(tests).filter(|(line, test)| **test && !line.is_empty()).map(|(line, _)| line).collect()
}

/// Whether a range of lines is in a test, or between two lines of one.
fn touches(tests: &[bool], range: &std::ops::Range<usize>) -> bool {
    let is_test = |at: usize| tests.get(at) == Some(&true);
    range.clone().any(is_test)
        || (range.is_empty() && range.start > 0 && is_test(range.start - 1) && is_test(range.start))
}

#[cfg(test)]
mod tests;

//! How an answer becomes a change of files, which a person then reviews.
//!
//! | file | what it is for |
//! |---|---|
//! | [`lines`] | line ends, byte order mark, the end of the last line: kept as they were |
//! | [`diff`] | hunks between two texts, any of which can be taken |
//! | [`doubt`] | what is odd about a file as it would become |
//! | [`place`] | which file a block of code belongs to, and where in it |
//! | [`blocks`] | search/replace blocks: read tolerantly, applied whole or not at all |
//! | [`patch`] | diffs, put into files like such blocks |
//! | [`excerpt`] | the parts of a long file that a wish is about |
//! | [`grammar`] | what a model may write next, so that each SEARCH text stands in a file |
//! | [`guard`] | tests that `/fix` leaves as they are |
//! | [`tally`] | how many tests a command says it ran |
//! | [`prompt`] | what the model is told about such blocks |
//! | [`propose`] | from an answer to changes and to what does not apply |
//! | [`inside`] | reading and naming files of the opened folder, and no others |
//! | [`undo`] | originals, kept until they are wanted back |
//!
//! Pure but for [`inside`] and [`undo`]. It refuses to write a file that the person did not see as a diff.

pub mod blocks;
pub mod diff;
pub mod doubt;
pub mod excerpt;
pub mod grammar;
pub mod guard;
pub mod inside;
mod items;
pub mod lines;
pub mod patch;
pub mod place;
pub mod prompt;
pub mod propose;
pub mod tally;
pub mod undo;

use diff::Diff;

/// A file as it would become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Relative to the opened folder, with `/`.
    pub name: String,
    /// Whether there is no such file yet.
    pub new: bool,
    /// Whether there shall be none any more when all of it is taken.
    pub gone: bool,
    /// From what stands on disk to what is proposed.
    pub diff: Diff,
}

/// Something of an answer that does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What: a file or a block, as the person reads it.
    pub what: String,
    /// Why, lower case, values in backticks, no full stop.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { what: what.into(), reason: reason.into() }
    }

    /// As one sentence.
    pub fn told(&self) -> String {
        let sign = if self.reason.starts_with("skipped") { "" } else { ":" };
        format!("{}{sign} {}", self.what, self.reason)
    }
}

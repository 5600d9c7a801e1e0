//! Whether a file is still well formed with a candidate in it: the file around the cursor is parsed once without and
//! once with it, and the errors are compared. With the feature `engine` there are grammars; without it, nothing is known.

use super::Site;

#[cfg(not(feature = "engine"))]
mod disabled;
#[cfg(feature = "engine")]
mod enabled;

#[cfg(not(feature = "engine"))]
pub use disabled::Judge;
#[cfg(feature = "engine")]
pub use enabled::Judge;

/// What a parser thinks of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It adds errors.
    Worse,
    /// Nobody can tell: no grammar, too large, or as many errors as before.
    Unknown,
    /// No errors are left, or fewer than before.
    Fine,
}

/// The verdict on one candidate. For several at one site make a [`Judge`], which parses the file once.
pub fn verdict(site: &Site, candidate: &str) -> Verdict {
    Judge::new(site).verdict(candidate)
}

/// Whole lines from the beginning, the most first, each time one less.
#[cfg(feature = "engine")]
fn shorter(candidate: &str) -> impl Iterator<Item = &str> {
    candidate.rmatch_indices('\n').map(|(at, _)| &candidate[..at]).filter(|text| !text.trim().is_empty())
}

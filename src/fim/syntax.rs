//! Whether a file is still well formed with a candidate in it: what stands around the cursor is read once without and
//! once with it, and the errors are compared. Grammars come with the feature `grammars`; Python's indentation, which its
//! grammar forgives, is checked in any case. It knows nothing of names and types.

use super::Site;
use super::blocks::indent;
use crate::lang::Syntax;

#[cfg(not(feature = "grammars"))]
mod disabled;
#[cfg(feature = "grammars")]
mod enabled;
mod indentation;

#[cfg(not(feature = "grammars"))]
use disabled::Parsed;
#[cfg(feature = "grammars")]
use enabled::Parsed;

/// Bytes looked at before and after the cursor.
const BEFORE: usize = 24 << 10;
const AFTER: usize = 12 << 10;
/// Shorter versions that are tried.
const MOST_TRIES: usize = 12;

/// What is thought of a candidate.
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

/// Whether a file without errors has some after a change, as far as anybody can tell: what lies between the first
/// and the last line that differ is read as it was and as it would be, with what stands around it.
pub(crate) fn is_broken_by(path: &str, old: &str, new: &str) -> bool {
    let same = |old: &str, new: &str| old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let begin = old[..old.floor_char_boundary(same(old, new))].rfind('\n').map_or(0, |at| at + 1);
    let back = old[begin..].bytes().rev().zip(new[begin..].bytes().rev()).take_while(|(a, b)| a == b).count();
    let tail = &old[old.len() - back..];
    let rest = tail.find('\n').map_or("", |at| &tail[at + 1..]);
    let site = Site::new(Some(path), None, &old[..begin], rest);
    let mut judge = Judge::new(&site);
    let (was, is) = (&old[begin..old.len() - rest.len()], &new[begin..new.len() - rest.len()]);
    judge.errors_with(was) == Some(0) && judge.errors_with(is).is_some_and(|errors| errors > 0)
}

/// What stands around a cursor, read once.
#[derive(Debug)]
pub struct Judge {
    text: String,
    at: usize,
    parsed: Option<Parsed>,
    /// Errors of indentation without a candidate, where they count.
    indentation: Option<usize>,
}

impl Judge {
    /// Reads the file around the cursor, at most 24 KiB before it and 12 KiB after it.
    pub fn new(site: &Site) -> Self {
        let before = head_cut(&site.prefix);
        let text = format!("{before}{}", tail_cut(&site.suffix));
        let indentation = (site.language == Some(Syntax::Python)).then(|| indentation::faults(&text));
        Self { parsed: Parsed::new(site, &text), at: before.len(), text, indentation }
    }

    /// The errors with a candidate at the cursor; `None` where nobody can tell.
    fn errors_with(&mut self, candidate: &str) -> Option<usize> {
        let mut text = self.text.clone();
        text.insert_str(self.at, candidate);
        let faults = self.indentation.map(|_| indentation::faults(&text));
        let errors = match &mut self.parsed {
            Some(parsed) => Some(parsed.errors_with(&text, self.at, candidate)?),
            None => None,
        };
        (faults.is_some() || errors.is_some()).then(|| faults.unwrap_or(0) + errors.unwrap_or(0))
    }

    /// What the file would be with the candidate at the cursor.
    pub fn verdict(&mut self, candidate: &str) -> Verdict {
        let mut text = self.text.clone();
        text.insert_str(self.at, candidate);
        let (mut before, mut after) = (0, 0);
        let mut known = false;
        if let Some(parsed) = &mut self.parsed
            && let Some(errors) = parsed.errors_with(&text, self.at, candidate)
        {
            known = true;
            before += parsed.errors();
            after += errors;
        }
        if let Some(faults) = self.indentation {
            before += faults;
            after += indentation::faults(&text);
        }
        match after.cmp(&before) {
            std::cmp::Ordering::Greater => Verdict::Worse,
            std::cmp::Ordering::Less => Verdict::Fine,
            std::cmp::Ordering::Equal if after == 0 && known => Verdict::Fine,
            std::cmp::Ordering::Equal => Verdict::Unknown,
        }
    }

    /// The most whole lines of the candidate that do not make the file worse: itself if it does not; `None` when even
    /// its first line does.
    pub fn shorten(&mut self, candidate: &str) -> Option<String> {
        if self.verdict(candidate) != Verdict::Worse {
            return Some(candidate.to_owned());
        }
        let ends = candidate.rmatch_indices('\n').map(|(at, _)| at).filter(|at| at + 1 < candidate.len());
        let shorter = ends.map(|at| candidate[..at].trim_end()).filter(|text| !text.is_empty());
        shorter.take(MOST_TRIES).find(|text| self.verdict(text) != Verdict::Worse).map(str::to_owned)
    }
}

/// The end of the text, from the beginning of something at the left edge.
fn head_cut(text: &str) -> &str {
    if text.len() <= BEFORE {
        return text;
    }
    let near = super::trim::tail(text, BEFORE);
    let mut starts = near.match_indices('\n').map(|(at, _)| &near[at + 1..]);
    starts.find(|rest| begins(rest)).unwrap_or(near)
}

/// The beginning of the text, to the beginning of something at the left edge.
fn tail_cut(text: &str) -> &str {
    if text.len() <= AFTER {
        return text;
    }
    let near = super::trim::head(text, AFTER);
    let ends = near.rmatch_indices('\n').map(|(at, _)| at + 1);
    ends.into_iter().find(|end| begins(&near[*end..])).map_or(near, |end| &near[..end])
}

fn begins(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    indent(line) == 0 && line.starts_with(|c: char| c.is_alphabetic() || matches!(c, '@' | '#' | '/'))
}

#[cfg(test)]
mod tests;

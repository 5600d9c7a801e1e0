//! The lines of a SEARCH: those of one file, one after the other, until they stand in one place only.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Constraint, DIVIDER, File, LONGEST, Replace, State, is_blank, starts_like};

#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) file: usize,
    /// Where the run may begin, as of the line's start.
    pub(super) starts: Arc<[u32]>,
    /// Those that the line so far still fits.
    pub(super) alive: Vec<u32>,
    /// Where it stands as well, partly in lines that were not shown.
    pub(super) twins: Arc<[u32]>,
    /// Whole lines of it.
    pub(super) done: usize,
    /// One of them is not blank.
    pub(super) solid: bool,
    /// The line so far.
    pub(super) line: Vec<u8>,
}

/// Lines of a file that was shown in parts from which no run leads to one that stands in one place only.
pub(super) fn dead(file: &File) -> Vec<bool> {
    let mut dead = vec![false; file.lines.len()];
    if !file.hidden.contains(&true) {
        return dead;
    }
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (n, line) in file.lines.iter().enumerate() {
        places.entry(line).or_default().push(n);
    }
    for (start, dead) in dead.iter_mut().enumerate().filter(|(n, _)| !file.hidden[*n]) {
        let len = (start..file.lines.len()).take_while(|n| !file.hidden[*n] && !file.barred[*n]).count();
        let run = &file.lines[start..start + len];
        let again = |other: &usize| *other != start && file.lines.get(*other..*other + len) == Some(run);
        *dead = places.get(file.lines[start].as_slice()).is_some_and(|others| others.iter().any(again));
    }
    dead
}

impl Constraint {
    /// The beginning of a SEARCH in the current file.
    pub(super) fn search(&self) -> State {
        let file = self.current.unwrap_or(0);
        let lines = self.files.get(file).map_or(&[][..], |file| &file.lines);
        let fits = |n: &usize| self.may_begin(file, *n, &lines[*n]);
        let starts: Arc<[u32]> = (0..lines.len()).filter(fits).filter_map(|n| u32::try_from(n).ok()).collect();
        let alive = starts.to_vec();
        State::Search(Search { file, starts, alive, twins: Arc::default(), done: 0, solid: false, line: Vec::new() })
    }

    pub(super) fn step_search(&mut self, mut search: Search, byte: u8) -> bool {
        let Some(file) = self.files.get(search.file) else { return false };
        if byte == b'\n' {
            if search.line == DIVIDER && search.can_close(self) {
                let start = search.starts.first().map_or(0, |start| *start as usize);
                if !search.starts.is_empty() {
                    let all = Arc::make_mut(&mut self.used);
                    if let Some(used) = all.get_mut(search.file) {
                        used.iter_mut().skip(start).take(search.done).for_each(|line| *line = true);
                    }
                }
                let (left, old) = (LONGEST + 4 * search.done, start..start + search.done);
                self.state = State::Replace(Replace { line: Vec::new(), left, old, same: Some(0) });
                return true;
            }
            let line = std::mem::take(&mut search.line);
            search.twins = self.twins(&search, file, &line);
            search.alive.retain(|start| file.lines.get(*start as usize + search.done) == Some(&line));
            search.solid |= !is_blank(&line);
            search.done += 1;
            search.starts = search.alive.as_slice().into();
            let fine = !search.starts.is_empty();
            self.state = State::Search(search);
            return fine;
        }
        search.line.push(byte);
        let closing = starts_like(&search.line, DIVIDER) && search.can_close(self);
        let mut alive = std::mem::take(&mut search.alive);
        alive.retain(|start| search.next_line(self, file, *start).is_some_and(|line| line.starts_with(&search.line)));
        search.alive = alive;
        let fine = closing || !search.alive.is_empty();
        self.state = State::Search(search);
        fine
    }
}

impl Constraint {
    /// Where the run with this line at its end stands as well, partly in lines that were not shown.
    fn twins(&self, search: &Search, file: &File, line: &[u8]) -> Arc<[u32]> {
        let done = search.done;
        let goes_on = |start: &u32| file.lines.get(*start as usize + done).is_some_and(|found| found == line);
        let hides = |start: &u32| self.is_hidden(search.file, *start as usize + done);
        if done == 0 {
            let all = (0..file.lines.len()).filter_map(|n| u32::try_from(n).ok());
            return all.filter(hides).filter(goes_on).collect();
        }
        let left = search.starts.iter().filter(|start| hides(start));
        search.twins.iter().chain(left).filter(|start| goes_on(start)).copied().collect()
    }
}

impl Search {
    /// The line that must follow if the run begins at `start`; `None` behind the last line or before one that is barred.
    pub(super) fn next_line<'a>(&self, whole: &Constraint, file: &'a File, start: u32) -> Option<&'a [u8]> {
        let at = start as usize + self.done;
        file.lines.get(at).filter(|_| whole.is_open(self.file, at)).map(Vec::as_slice)
    }

    /// Whether the run may end before this line: it says something, and it stands in one place only; or it cannot be made
    /// any longer.
    pub(super) fn can_close(&self, whole: &Constraint) -> bool {
        let Some(file) = whole.files.get(self.file) else { return false };
        self.done > 0
            && self.solid
            && ((self.starts.len() == 1 && self.twins.is_empty())
                || !self.starts.iter().any(|start| self.next_line(whole, file, *start).is_some()))
    }
}

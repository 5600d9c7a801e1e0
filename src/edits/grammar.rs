//! What a model may write while it is asked for search/replace blocks: every SEARCH is whole lines that stand one after
//! the other in an attached file, exactly once, and in no place that an earlier block has changed.
//!
//! It knows bytes, not tokens, so that it serves any vocabulary: [`Constraint::allows`] says whether a token's bytes keep
//! the answer possible, [`Constraint::push`] takes them in, [`Constraint::forced`] gives what must follow. The form is
//! thinking, where the model knows how to, then
//!
//! ```text
//! NAME  <<<<<<< SEARCH  lines of NAME  =======  anything  >>>>>>> REPLACE
//! ```
//!
//! as often as the model likes, with a little talk behind each. There is none before the first: small models never come
//! to an end of it. Lines that look like marks cannot be searched for and cannot be written as replacement:
//! the reader would stumble over them. What it refuses to do: judge the replacement.

mod search;
mod sent;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blocks::{Mark, mark};
use super::lines;
use search::Search;
use sent::Sent;

const SEARCH: &[u8] = b"<<<<<<< SEARCH";
const DIVIDER: &[u8] = b"=======";
const REPLACE: &[u8] = b">>>>>>> REPLACE";
const FENCE: &[u8] = b"```";
/// No line of code begins so, but a model that lost its way among the marks writes little else.
const ODD: [&[u8]; 5] = [FENCE, b"=", b"<<", b"<=", b">>>>"];
/// Lines of a replacement at most, besides four for each line searched.
const LONGEST: usize = 120;
const THINK: (&[u8], &[u8]) = (b"<think>", b"</think>");
/// Bytes of free text behind a block.
const PROSE: usize = 240;
/// Line ends between thinking and the first block.
const BLANKS: usize = 4;
/// Bytes that [`Constraint::forced`] gives at most.
const FORCED: usize = 512;

/// A file that may be changed.
#[derive(Debug)]
struct File {
    name: Vec<u8>,
    lines: Vec<Vec<u8>>,
    /// Lines that no SEARCH may run through: they look like marks.
    barred: Vec<bool>,
    /// Lines that the model was not shown, or that must stay; a SEARCH must not stand there as well.
    hidden: Vec<bool>,
    /// Lines that no SEARCH may begin with: however long it becomes, it stands among those that were not shown too.
    dead: Vec<bool>,
    /// Beginnings of lines that a replacement may have because the file has them.
    odd: Vec<&'static [u8]>,
}

/// Where the answer is.
#[derive(Clone, Debug)]
enum State {
    /// Inside the model's thinking; the last bytes.
    Thinking(Vec<u8>),
    /// Between blocks; the line so far.
    Free(Vec<u8>),
    /// In the mark that follows a name; bytes of it that are done.
    Head(usize),
    Search(Search),
    /// In the new lines.
    Replace(Replace),
}

#[derive(Clone, Debug)]
struct Replace {
    /// The line so far.
    line: Vec<u8>,
    /// Lines that may still follow before the mark must.
    left: usize,
    /// The lines that were searched.
    old: Range<usize>,
    /// How far the new lines are the old ones so far; `None` where they differ.
    same: Option<usize>,
}

/// The form of an answer, with the answer so far. Only the form is serialised: whoever reads it begins at the beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Sent", into = "Sent")]
pub struct Constraint {
    files: Arc<Vec<File>>,
    /// Lines that earlier blocks changed, by file.
    used: Arc<Vec<Vec<bool>>>,
    state: State,
    /// The file of the last block.
    current: Option<usize>,
    blocks: usize,
    /// Bytes of free text since the last block.
    prose: usize,
    /// The model may think before it answers.
    thinks: bool,
    /// Anything but blanks was written.
    begun: bool,
    /// Something was said since the last block: a reader might take it for a name.
    said: bool,
    /// A block that only moves blank lines or blanks at the ends of lines is none.
    changing: bool,
}

impl File {
    /// Its lines without their ends; `hidden` has an entry for each.
    fn new(name: &str, lines: &[&str], hidden: Vec<bool>) -> Self {
        let has = |odd: &&[u8]| lines.iter().any(|line| line.as_bytes().starts_with(odd));
        let mut file = Self {
            name: name.as_bytes().to_vec(),
            hidden,
            barred: lines.iter().map(|line| mark(line).is_some()).collect(),
            odd: ODD.iter().copied().filter(has).collect(),
            dead: Vec::new(),
            lines: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
        };
        file.dead = search::dead(&file);
        file
    }
}

fn starts_like(line: &[u8], whole: &[u8]) -> bool {
    whole.starts_with(line)
}

fn mark_of(line: &[u8]) -> Option<Mark> {
    std::str::from_utf8(line).ok().and_then(mark).map(|(mark, _)| mark)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

impl Constraint {
    /// For the names and texts of files. A name that is a mark, is empty or has line ends cannot be written and is left
    /// out.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of_parts(files.into_iter().map(|(name, text)| (name, text, None)))
    }

    /// The same where the model was shown only these lines of a file, counted from 0; the text is all of it.
    pub fn of_parts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str, Option<Vec<Range<usize>>>)>) -> Self {
        let usable = |name: &str| !name.trim().is_empty() && !name.contains(['\n', '\r']) && mark(name).is_none();
        let file = |(name, text, shown): (&str, &str, Option<Vec<Range<usize>>>)| {
            let text = text.strip_prefix(lines::BOM).unwrap_or(text);
            let all: Vec<&str> = lines::split(text).into_iter().map(lines::body).collect();
            let is_hidden = |n: usize| shown.as_ref().is_some_and(|shown| !shown.iter().any(|part| part.contains(&n)));
            File::new(name, &all, (0..all.len()).map(is_hidden).collect())
        };
        Self::of_files(files.into_iter().filter(|(name, ..)| usable(name)).map(file).collect())
    }

    fn of_files(files: Vec<File>) -> Self {
        Self {
            used: Arc::new(files.iter().map(|file| vec![false; file.lines.len()]).collect()),
            current: None,
            files: Arc::new(files),
            state: State::Free(Vec::new()),
            blocks: 0,
            prose: 0,
            thinks: false,
            begun: false,
            said: false,
            changing: false,
        }
    }

    /// The same for a model that may think first. One that does not know how to would never come to an end of it.
    #[must_use]
    pub fn thinking(mut self) -> Self {
        self.thinks = true;
        self
    }

    /// The same where some lines of files must stay as they are, by name: no SEARCH may run through them.
    #[must_use]
    pub fn barring(mut self, lines: &dyn Fn(&str) -> Option<Vec<bool>>) -> Self {
        if let Some(files) = Arc::get_mut(&mut self.files) {
            for file in files {
                let more = std::str::from_utf8(&file.name).ok().and_then(lines).unwrap_or_default();
                // nor may one stand in them as well
                file.hidden.iter_mut().zip(more).for_each(|(hidden, more)| *hidden |= more);
                file.dead = search::dead(file);
            }
        }
        self
    }

    /// The same where what shall pass must change: blanks do not count.
    #[must_use]
    pub fn changing(mut self) -> Self {
        self.changing = true;
        self
    }

    /// Whether there is anything to search in; without it there is nothing to constrain.
    pub fn is_empty(&self) -> bool {
        !(0..self.files.len()).any(|file| self.has_left(file))
    }

    /// Whole blocks so far.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether the answer may go on with these bytes.
    pub fn allows(&self, bytes: &[u8]) -> bool {
        let mut after = self.clone();
        bytes.iter().all(|byte| after.step(*byte))
    }

    /// Takes bytes in. Those that are not allowed end the constraint's knowledge of the line, not the program.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.step(*byte) {
                tracing::debug!("a byte that the form of the answer does not allow");
            }
        }
    }

    /// Whether the answer may end here.
    pub fn may_end(&self) -> bool {
        match &self.state {
            State::Thinking(_) | State::Head(_) | State::Search(_) => false,
            State::Free(line) => self.blocks > 0 && line.first() != Some(&b'<'),
            State::Replace(replace) => replace.line == REPLACE,
        }
    }

    /// What must follow, if only one thing can: the rest of a mark, of a name, of a line. Usable as a draft.
    pub fn forced(&self) -> Option<Vec<u8>> {
        let mut ahead = self.clone();
        let mut out = Vec::new();
        while out.len() < FORCED {
            let Some(next) = ahead.next_only().filter(|next| !next.is_empty()) else { break };
            ahead.push(&next);
            out.extend(next);
        }
        (!out.is_empty()).then_some(out)
    }

    fn next_only(&self) -> Option<Vec<u8>> {
        let rest = |whole: &[u8], at: usize| [&whole[at.min(whole.len())..], b"\n"].concat();
        match &self.state {
            State::Thinking(_) => None,
            State::Head(at) => Some(rest(SEARCH, *at)),
            State::Replace(Replace { line, left, .. }) => {
                let begun = line.len() > 3 || (*left == 0 && line.len() < REPLACE.len());
                (begun && starts_like(line, REPLACE)).then(|| REPLACE[line.len()..].to_vec())
            }
            State::Free(line) if line.len() > 1 && starts_like(line, SEARCH) => Some(rest(SEARCH, line.len())),
            State::Free(line) if self.blocks == 0 => {
                let mut names = self.files.iter().enumerate().filter(|(n, file)| self.names(*n, file, line));
                let only = names.next().filter(|_| names.next().is_none());
                only.filter(|_| self.begun || line.is_empty()).map(|(_, file)| rest(&file.name, line.len()))
            }
            State::Free(_) => None,
            State::Search(search) => {
                let closing = search.can_close(self) && starts_like(&search.line, DIVIDER);
                let file = self.files.get(search.file)?;
                let mut next = search.alive.iter().filter_map(|start| search.next_line(self, file, *start));
                match (next.next(), closing) {
                    (None, true) => Some(rest(DIVIDER, search.line.len())),
                    (Some(line), false) if next.all(|other| other == line) => Some(rest(line, search.line.len())),
                    _ => None,
                }
            }
        }
    }

    /// Takes one byte; `false` (and nothing sensible inside) if it cannot stand here.
    fn step(&mut self, byte: u8) -> bool {
        match std::mem::replace(&mut self.state, State::Head(0)) {
            State::Thinking(mut tail) => {
                tail.push(byte);
                if tail.ends_with(THINK.1) {
                    self.prose = 0;
                    self.said = false;
                    self.state = State::Free(Vec::new());
                } else {
                    let from = tail.len().saturating_sub(THINK.1.len());
                    self.state = State::Thinking(tail.split_off(from));
                }
                true
            }
            State::Head(at) => {
                let wanted = SEARCH.get(at).copied().unwrap_or(b'\n');
                self.state = if at == SEARCH.len() && byte == wanted { self.search() } else { State::Head(at + 1) };
                byte == wanted
            }
            State::Free(line) => self.step_free(line, byte),
            State::Search(search) => self.step_search(search, byte),
            State::Replace(replace) => self.step_replace(replace, byte),
        }
    }

    fn step_free(&mut self, mut line: Vec<u8>, byte: u8) -> bool {
        if byte == b'\n' {
            let name = self.files.iter().position(|file| file.name == line).filter(|file| self.has_left(*file));
            let plain = mark_of(&line).is_none();
            self.state = match name {
                Some(file) => {
                    self.current = Some(file);
                    State::Head(0)
                }
                None if line == SEARCH && self.can_follow() => self.search(),
                None => {
                    self.prose += line.len() + 1;
                    self.said |= !is_blank(&line);
                    let most = match self.blocks {
                        0 if self.begun => BLANKS,
                        0 => 0,
                        _ => PROSE + 1,
                    };
                    let fine = plain && self.prose <= most && (self.blocks > 0 || is_blank(&line));
                    self.state = State::Free(Vec::new());
                    return fine;
                }
            };
            return true;
        }
        line.push(byte);
        if self.thinks && !self.begun && line == THINK.0 {
            self.begun = true;
            self.state = State::Thinking(Vec::new());
            return true;
        }
        let opens_think = self.thinks && !self.begun && line.len() < THINK.0.len() && starts_like(&line, THINK.0);
        let names_file = self.files.iter().enumerate().any(|(n, file)| self.names(n, file, &line));
        let marks = starts_like(&line, SEARCH) && self.can_follow();
        let allowed = names_file || marks || opens_think || {
            let fenced = line.len() >= FENCE.len() && line.starts_with(FENCE);
            let angled = line.first() == Some(&b'<');
            let room = self.blocks > 0 && self.prose + line.len() <= PROSE;
            room && !fenced && !angled && (byte >= b' ' || byte == b'\t')
        };
        self.begun |= !byte.is_ascii_whitespace() && !opens_think;
        self.state = State::Free(line);
        allowed
    }

    /// Whether a line may become a file's name.
    fn names(&self, n: usize, file: &File, line: &[u8]) -> bool {
        starts_like(line, &file.name) && self.has_left(n)
    }

    /// Whether a file has lines that can still be searched for.
    fn has_left(&self, file: usize) -> bool {
        let lines = self.files.get(file).map_or(&[][..], |file| &file.lines);
        (0..lines.len()).any(|n| self.may_begin(file, n, &lines[n]))
    }

    /// Whether a block may follow without a name.
    fn can_follow(&self) -> bool {
        !self.said && self.current.is_some_and(|file| self.has_left(file))
    }

    /// Whether a line can be part of a SEARCH.
    fn is_open(&self, file: usize, line: usize) -> bool {
        let barred = self.files.get(file).and_then(|file| file.barred.get(line)).copied().unwrap_or(true);
        let used = self.used.get(file).and_then(|used| used.get(line)).copied().unwrap_or(true);
        !barred && !used && !self.is_hidden(file, line)
    }

    /// Whether a SEARCH can begin with a line.
    fn may_begin(&self, file: usize, n: usize, line: &[u8]) -> bool {
        let dead = self.files.get(file).and_then(|file| file.dead.get(n)).copied().unwrap_or(false);
        !is_blank(line) && !dead && self.is_open(file, n)
    }

    fn is_hidden(&self, file: usize, line: usize) -> bool {
        self.files.get(file).and_then(|file| file.hidden.get(line)).copied().unwrap_or(false)
    }

    /// The lines that were searched, as far as they count.
    fn searched(&self, old: &Range<usize>) -> impl Iterator<Item = &[u8]> {
        let lines = self.current.and_then(|n| self.files.get(n)).and_then(|file| file.lines.get(old.clone()));
        let counts = |line: &&[u8]| !self.changing || !is_blank(line);
        lines.unwrap_or_default().iter().map(|line| self.bare(line)).filter(counts)
    }

    /// A line without what does not count at its end.
    fn bare<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        if self.changing { line.trim_ascii_end() } else { line }
    }

    /// Whether the new lines so far are the old ones: the block cannot end there.
    fn is_unchanged(&self, replace: &Replace) -> bool {
        replace.left > 0 && replace.same.is_some_and(|same| same == self.searched(&replace.old).count())
    }

    fn step_replace(&mut self, mut replace: Replace, byte: u8) -> bool {
        if byte == b'\n' {
            if replace.line == REPLACE {
                self.blocks += 1;
                self.prose = 0;
                self.said = false;
                self.state = State::Free(Vec::new());
                return true;
            }
            let line = std::mem::take(&mut replace.line);
            let counts = !self.changing || !is_blank(&line);
            // where only blank lines came since nothing changed, they would come for ever
            let idle = !counts && self.is_unchanged(&replace);
            let fine = mark_of(&line).is_none() && replace.left > 0 && !idle;
            if counts {
                let at = replace.same;
                let old = at.and_then(|at| self.searched(&replace.old).nth(at));
                replace.same = at.filter(|_| old == Some(self.bare(&line))).map(|at| at + 1);
            }
            replace.left = replace.left.saturating_sub(1);
            self.state = State::Replace(replace);
            return fine;
        }
        replace.line.push(byte);
        let line = &replace.line;
        let known = self.current.and_then(|n| self.files.get(n)).map_or(&[][..], |file| &file.odd);
        let odd = ODD.iter().any(|odd| line.starts_with(odd) && !known.contains(odd));
        let marked = line.starts_with(&REPLACE[..5]) || line.starts_with(&SEARCH[..5]);
        let plain = replace.left > 0 && !odd && !marked && (byte >= b' ' || byte == b'\t');
        let fine = plain || (starts_like(line, REPLACE) && !self.is_unchanged(&replace));
        self.state = State::Replace(replace);
        fine
    }
}

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

use std::sync::Arc;

use super::blocks::{Mark, mark};
use super::lines;

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
}

#[derive(Clone, Debug)]
struct Search {
    file: usize,
    /// Where the run may begin, as of the line's start.
    starts: Arc<[u32]>,
    /// Those that the line so far still fits.
    alive: Vec<u32>,
    /// Whole lines of it.
    done: usize,
    /// One of them is not blank.
    solid: bool,
    /// The line so far.
    line: Vec<u8>,
}

/// The form of an answer, with the answer so far.
#[derive(Clone, Debug)]
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
        let usable = |name: &str| !name.trim().is_empty() && !name.contains(['\n', '\r']) && mark(name).is_none();
        let file = |(name, text): (&str, &str)| {
            let text = text.strip_prefix(lines::BOM).unwrap_or(text);
            let all: Vec<&str> = lines::split(text).into_iter().map(lines::body).collect();
            File {
                name: name.as_bytes().to_vec(),
                barred: all.iter().map(|line| mark(line).is_some()).collect(),
                odd: ODD
                    .iter()
                    .copied()
                    .filter(|odd| all.iter().any(|line| line.as_bytes().starts_with(odd)))
                    .collect(),
                lines: all.into_iter().map(|line| line.as_bytes().to_vec()).collect(),
            }
        };
        let files: Vec<File> = files.into_iter().filter(|(name, _)| usable(name)).map(file).collect();
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
        }
    }

    /// The same for a model that may think first. One that does not know how to would never come to an end of it.
    #[must_use]
    pub fn thinking(mut self) -> Self {
        self.thinks = true;
        self
    }

    /// Whether there is anything to search in; without it there is nothing to constrain.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.lines.iter().all(|line| is_blank(line)))
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
            State::Replace(Replace { line, left }) => {
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
        (0..lines.len()).any(|n| !is_blank(&lines[n]) && self.is_open(file, n))
    }

    /// Whether a block may follow without a name.
    fn can_follow(&self) -> bool {
        !self.said && self.current.is_some_and(|file| self.has_left(file))
    }

    /// The beginning of a SEARCH in the current file.
    fn search(&self) -> State {
        let file = self.current.unwrap_or(0);
        let lines = self.files.get(file).map_or(&[][..], |file| &file.lines);
        let open = |n: &usize| !is_blank(&lines[*n]) && self.is_open(file, *n);
        let starts: Arc<[u32]> = (0..lines.len()).filter(open).filter_map(|n| u32::try_from(n).ok()).collect();
        let alive = starts.to_vec();
        State::Search(Search { file, starts, alive, done: 0, solid: false, line: Vec::new() })
    }

    /// Whether a line can be part of a SEARCH.
    fn is_open(&self, file: usize, line: usize) -> bool {
        let barred = self.files.get(file).and_then(|file| file.barred.get(line)).copied().unwrap_or(true);
        let used = self.used.get(file).and_then(|used| used.get(line)).copied().unwrap_or(true);
        !barred && !used
    }

    fn step_search(&mut self, mut search: Search, byte: u8) -> bool {
        let Some(file) = self.files.get(search.file) else { return false };
        if byte == b'\n' {
            if search.line == DIVIDER && search.can_close(self) {
                if let Some(&start) = search.starts.first() {
                    let all = Arc::make_mut(&mut self.used);
                    if let Some(used) = all.get_mut(search.file) {
                        used.iter_mut().skip(start as usize).take(search.done).for_each(|line| *line = true);
                    }
                }
                self.state = State::Replace(Replace { line: Vec::new(), left: LONGEST + 4 * search.done });
                return true;
            }
            let line = std::mem::take(&mut search.line);
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

    fn step_replace(&mut self, replace: Replace, byte: u8) -> bool {
        let Replace { mut line, left } = replace;
        if byte == b'\n' {
            if line == REPLACE {
                self.blocks += 1;
                self.prose = 0;
                self.said = false;
                self.state = State::Free(Vec::new());
                return true;
            }
            let fine = mark_of(&line).is_none() && left > 0;
            self.state = State::Replace(Replace { line: Vec::new(), left: left.saturating_sub(1) });
            return fine;
        }
        line.push(byte);
        let known = self.current.and_then(|n| self.files.get(n)).map_or(&[][..], |file| &file.odd);
        let odd = ODD.iter().any(|odd| line.starts_with(odd) && !known.contains(odd));
        let marked = line.starts_with(&REPLACE[..5]) || line.starts_with(&SEARCH[..5]);
        let plain = left > 0 && !odd && !marked && (byte >= b' ' || byte == b'\t');
        let fine = plain || starts_like(&line, REPLACE);
        self.state = State::Replace(Replace { line, left });
        fine
    }
}

impl Search {
    /// The line that must follow if the run begins at `start`; `None` behind the last line or before one that is barred.
    fn next_line<'a>(&self, whole: &Constraint, file: &'a File, start: u32) -> Option<&'a [u8]> {
        let at = start as usize + self.done;
        file.lines.get(at).filter(|_| whole.is_open(self.file, at)).map(Vec::as_slice)
    }

    /// Whether the run may end before this line: it says something, and it stands in one place only; or it cannot be made
    /// any longer.
    fn can_close(&self, whole: &Constraint) -> bool {
        let Some(file) = whole.files.get(self.file) else { return false };
        self.done > 0
            && self.solid
            && (self.starts.len() == 1
                || !self.starts.iter().any(|start| self.next_line(whole, file, *start).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::blocks;
    use proptest::prelude::*;

    const TEXT: &str = "fn a() {\n    one();\n}\n\nfn b() {\n    two();\n}\n";

    fn begun(bytes: &str) -> Constraint {
        let mut constraint = Constraint::new([("src/a.rs", TEXT), ("b.py", "x = 1\n")]);
        assert!(constraint.allows(bytes.as_bytes()), "{bytes:?}");
        constraint.push(bytes.as_bytes());
        constraint
    }

    fn forced(constraint: &Constraint) -> String {
        String::from_utf8(constraint.forced().unwrap_or_default()).unwrap()
    }

    #[test]
    fn only_lines_of_the_file_can_be_searched() {
        let open = begun("src/a.rs\n<<<<<<< SEARCH\n");
        assert!(open.allows(b"fn a() {\n    one"));
        assert!(open.allows(b"    two();\n}\n=======\n"));
        for wrong in ["fn c", "one();\n", "    one();\n\n", "=======", "\n", "    one();\n}\nfn b", "fn a() { "] {
            assert!(!open.allows(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!open.may_end());
    }

    #[test]
    fn a_search_goes_on_until_it_stands_in_one_place() {
        let open = begun("src/a.rs\n<<<<<<< SEARCH\n");
        assert!(!open.allows(b"}\n======="), "`}}` stands twice");
        assert!(open.allows(b"}\n\n======="));
        let last = begun("src/a.rs\n<<<<<<< SEARCH\n    two();\n}\n");
        assert_eq!(forced(&last), "=======\n", "the file is at its end");
    }

    #[test]
    fn what_must_follow_is_known() {
        assert_eq!(forced(&begun("src/a.rs\n")), "<<<<<<< SEARCH\n");
        assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    o")), "ne();\n");
        assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n")), "", "it may end or go on");
        assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=")), "======\n");
        let replacing = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n");
        assert_eq!(forced(&replacing), "");
        let mut ending = replacing.clone();
        ending.push(b"x\n>>>>>");
        assert_eq!(forced(&ending), ">> REPLACE");
        assert_eq!(forced(&begun("b.py\n<<<<<<< SEARCH\n")), "x = 1\n=======\n");
    }

    #[test]
    fn changed_lines_are_not_searched_again_and_marks_are_not_written() {
        let block = "src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n    1();\n>>>>>>> REPLACE";
        let mut after = begun(block);
        assert!(after.may_end());
        after.push(b"\n");
        assert!(after.may_end() && after.blocks() == 1);
        assert!(after.allows(b"<<<<<<< SEARCH\nfn a() {\n======="));
        assert!(!after.allows(b"<<<<<<< SEARCH\n    one"));
        assert!(!after.allows(b"<<<<<<< SEARCH\nfn a() {\n    one"));
        let replacing = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n");
        for wrong in ["=======\n", "=", "<<", "<<<<<<< SEARCH", ">>>>>>> x", ">>>> x", "```", "\u{1b}"] {
            assert!(!replacing.allows(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(replacing.allows(b"x ======= x\n>>> y\n<div>\n>>>>>>> REPLACE\n"));
        let mut long = replacing.clone();
        long.push("y\n".repeat(LONGEST + 4).as_bytes());
        assert!(!long.allows(b"y") && !long.allows(b"\n"));
        assert_eq!(forced(&long), ">>>>>>> REPLACE");
        let table = Constraint::new([("a.rst", "Title\n=====\n\ntext\n")]);
        assert!(table.allows(b"a.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\nNew title\n=========\n>>>>>>> REPLACE"));
        assert!(!table.allows(b"a.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\n======\n"));
    }

    #[test]
    fn talk_comes_behind_a_block_and_is_short() {
        let open = begun("");
        for wrong in ["```", "I fix it.", "\n", "<<<<<<< SEARCH"] {
            assert!(!open.allows(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(!open.may_end());
        assert_eq!(forced(&open), "", "there are two files");
        let one = Constraint::new([("a.py", "x = 1\ny = 2\n")]);
        assert_eq!(forced(&one), "a.py\n<<<<<<< SEARCH\n");
        let after = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n>>>>>>> REPLACE\n");
        assert!(after.may_end() && after.allows(b"That is all.") && !after.allows(b"```"));
        assert!(!after.allows(&[b'x'; PROSE + 1]) && !after.allows(&[b'\n'; PROSE + 2]));
        let mut long = after.clone();
        long.push(&[b'x'; PROSE]);
        assert!(long.allows(b"\nsrc/a") && !long.allows(b"y") && !long.allows(b"\ny"));
        assert!(!open.allows(b"<think>"));
        let mut thinking = Constraint::new([("src/a.rs", TEXT)]).thinking();
        thinking.push(b"<think>\n```\nfree for as long as it likes\n");
        assert!(thinking.allows(&[b'y'; 1000]) && !thinking.may_end());
        assert!(thinking.allows(b"</think>\n\nsrc/a.rs\n<<<<<<< SEARCH\n    two"));
    }

    #[test]
    fn a_file_that_looks_like_a_block_does_not_confuse_it() {
        let odd = Constraint::new([("a.md", "x\n=======\ny\n>>>>>>> REPLACE\nz\n")]);
        let open = |text: &str| odd.allows(format!("a.md\n<<<<<<< SEARCH\n{text}").as_bytes());
        assert!(open("x\n=======\nnew\n>>>>>>> REPLACE\n"));
        assert!(!open("x\n=======\ny\n=======\n"), "the second mark would be a third part");
        assert!(open("y\n=======\n") && !open("y\n>>>>>"));
        assert!(Constraint::new([("a.rs", "\n\n")]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is chosen among what is allowed: the answer can always go on, and its blocks apply.
        #[test]
        fn every_allowed_answer_applies(
            lines in proptest::collection::vec(proptest::sample::select(vec!["a", "b", "", "  a", "=======", "== a"]), 1..9),
            ended in any::<bool>(), choices in proptest::collection::vec(any::<u16>(), 400),
        ) {
            let text = lines.join("\n") + if ended { "\n" } else { "" };
            let files = [("a.txt", text.as_str()), ("b.txt", "only\n")];
            let mut constraint = Constraint::new(files);
            let mut answer = Vec::new();
            let pieces: [&[u8]; 16] = [
                b"a", b"b", b"\n", b" ", b"=", b"<", b">", b"x", b"a.txt\n", b"b.txt", b" SEARCH\n", b" REPLACE\n", b"=======\n",
                b">>>>>>> REPLACE\n", b"a\n", b"  ",
            ];
            for choice in choices {
                if let Some(forced) = constraint.forced() {
                    prop_assert!(constraint.allows(&forced), "{:?} after {:?}", String::from_utf8_lossy(&forced), String::from_utf8_lossy(&answer));
                }
                let allowed: Vec<&[u8]> = pieces.iter().copied().filter(|piece| constraint.allows(piece)).collect();
                let byte: Vec<u8> = (0..=255u8).filter(|byte| constraint.allows(&[*byte])).take(1).collect();
                prop_assert!(!byte.is_empty() || constraint.may_end(), "stuck after {:?}", String::from_utf8_lossy(&answer));
                if byte.is_empty() { break; }
                let piece = if allowed.is_empty() { &byte[..] } else { allowed[usize::from(choice) % allowed.len()] };
                constraint.push(piece);
                answer.extend_from_slice(piece);
            }
            let answer = String::from_utf8(answer).unwrap();
            let (found, _) = blocks::parse(&answer, &["a.txt", "b.txt"]);
            prop_assert_eq!(found.len(), constraint.blocks() + usize::from(answer.ends_with("REPLACE") && constraint.may_end()), "{}", answer);
            for (name, text) in files {
                let ours: Vec<&blocks::Block> = found.iter().filter(|block| block.name.as_deref() == Some(name)).collect();
                let refused = blocks::apply(text, &ours).refused;
                prop_assert!(refused.iter().all(|(_, why)| why.contains("changes nothing") || why.contains("times")), "{:?}\n{}", refused, answer);
            }
        }
    }
}

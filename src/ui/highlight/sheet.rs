//! The colours of a document: of the part that is seen, whatever the size of the rest.
//!
//! What a line looks like follows from the lines before it. So the grammar's state is kept every [`STEP`] lines, and for
//! every line that is seen. A key costs the lines it changes; scrolling, those that come into sight. A jump into the middle
//! of what was never read is coloured at once from a guess (a fresh state at a line without indentation), while a thread
//! reads from the last known state up to there and says when it is right. A frame never reads more than [`AT_ONCE`] bytes.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ropey::Rope;

use super::grammar::{Grammar, LONGEST_LINE, Progress};
use super::{Highlighter, Pieces};
use crate::app::editor::msg::FileId;
use crate::text::document::{Document, Touched};

/// Lines from one kept state to the next.
const STEP: usize = 64;
/// Bytes read for a frame (a few milliseconds).
const AT_ONCE: usize = 12 << 10;
/// The same for TypeScript, whose grammar takes five times as long for a line as JavaScript's. More than a line may have.
const AT_ONCE_SLOWLY: usize = 3 << 10;
/// Lines above what is seen that a guess may begin at.
const BACK: usize = 60;
/// Lines kept with their states.
const WINDOW: usize = 400;

/// A grammar's state before a line.
type Mark = (usize, Progress);

/// What is known of the colours of documents.
#[derive(Default)]
pub(crate) struct Sheets {
    sheets: HashMap<FileId, Sheet>,
    reader: Option<Reader>,
    /// Languages the thread has read: their expressions are compiled.
    met: Vec<&'static str>,
}

#[derive(Default)]
struct Sheet {
    revision: u64,
    /// In order of lines; right for the text as it is.
    marks: Vec<Mark>,
    window: Option<Window>,
    /// The line that the thread is asked to read up to.
    asked: Option<usize>,
}

/// Lines one after the other with the state after each.
struct Window {
    first: usize,
    before: Progress,
    lines: Vec<(Pieces, Progress)>,
    /// Lines that were in the window before an edit, or before it began further up.
    old: Option<Old>,
    /// It began from a state that is known, not from a guess.
    exact: bool,
}

/// Lines that hold again where the states agree again.
struct Old {
    from: usize,
    lines: Vec<(Pieces, Progress)>,
    /// Up to here the text is another.
    changed: usize,
}

impl Window {
    fn end(&self) -> usize {
        self.first + self.lines.len()
    }

    fn state(&self) -> &Progress {
        self.lines.last().map_or(&self.before, |(_, after)| after)
    }

    /// Lines changed, none of them before the window.
    fn touch(&mut self, touched: Touched) {
        let keep = touched.first.saturating_sub(self.first);
        if keep < self.lines.len() {
            let (from, lines) = (self.first + keep, self.lines.split_off(keep));
            self.old = Some(Old { from, lines, changed: touched.last });
        } else if let Some(old) = &mut self.old {
            old.changed = old.changed.max(touched.last);
        }
        if touched.reshaped {
            self.old = None;
        }
    }

    /// Behind the line that was just read the states may be what they were before the edit: then all is.
    fn rejoin(&mut self) {
        let end = self.end();
        let Some(old) = &mut self.old else { return };
        let Some(n) = end.checked_sub(old.from + 1).filter(|_| end > old.changed) else { return };
        match (old.lines.get(n), self.lines.last()) {
            (Some((_, was)), Some((_, is))) if was == is => {
                let rest = old.lines.split_off(n + 1);
                self.lines.extend(rest);
                self.old = None;
            }
            (None, _) => self.old = None,
            _ => {}
        }
    }
}

struct Job {
    file: FileId,
    revision: u64,
    language: &'static str,
    rope: Rope,
    from: Mark,
    to: usize,
}

struct Done {
    file: FileId,
    revision: u64,
    language: &'static str,
    marks: Vec<Mark>,
    /// It was read up to where it was wanted.
    ended: bool,
}

struct Reader {
    jobs: Sender<Job>,
    done: Arc<Mutex<Vec<Done>>>,
}

/// Bytes of a language that a frame may read.
fn at_once(grammar: &str) -> usize {
    if matches!(grammar, "ts" | "tsx") { AT_ONCE_SLOWLY } else { AT_ONCE }
}

impl Sheets {
    /// Forgets documents that are closed.
    pub(crate) fn keep_only(&mut self, open: impl Fn(FileId) -> bool) {
        self.sheets.retain(|id, _| open(*id));
    }

    /// The pieces of `count` lines from `first` on; lines of which nothing is known yet are missing at the end.
    pub(crate) fn lines(
        &mut self,
        highlighter: &Highlighter,
        file: FileId,
        document: &Document,
        first: usize,
        count: usize,
    ) -> Vec<Pieces> {
        let language = document.language().grammar;
        if language.is_empty() {
            return Vec::new();
        }
        let Some(grammar) = highlighter.grammar() else { return Vec::new() };
        self.take_done(document, file);
        let rope = document.rope();
        let sheet = self.sheets.entry(file).or_default();
        sheet.follow(document);
        if sheet.marks.is_empty() {
            sheet.marks.extend(grammar.begin(language).map(|begin| (0, begin)));
        }
        let last = (first + count).min(rope.len_lines());
        if !self.met.contains(&language) {
            let wanted = sheet.job(file, document, language, last);
            self.ask(highlighter, &grammar, wanted);
            return Vec::new();
        }
        let guessed = sheet.enter(&grammar, language, rope, first);
        let more = sheet.extend(&grammar, rope, last, at_once(language));
        let found = sheet.window.as_ref().map(|window| {
            let lines = window.lines.iter().skip(first - window.first.min(first)).take(last - first);
            lines.map(|(pieces, _)| Arc::clone(pieces)).collect::<Vec<_>>()
        });
        if guessed {
            let wanted = sheet.job(file, document, language, first);
            self.ask(highlighter, &grammar, wanted);
        }
        if more {
            highlighter.wake();
        }
        found.unwrap_or_default()
    }

    fn ask(&mut self, highlighter: &Highlighter, grammar: &Arc<Grammar>, job: Option<Job>) {
        let Some(job) = job else { return };
        let reader = self.reader.get_or_insert_with(|| start(highlighter.clone(), Arc::clone(grammar)));
        // a thread that is gone leaves the guess
        let _ = reader.jobs.send(job);
    }

    /// Takes in what the thread has read, as far as the text is still the same.
    fn take_done(&mut self, document: &Document, file: FileId) {
        let Some(reader) = &self.reader else { return };
        let all = std::mem::take(&mut *reader.done.lock().unwrap_or_else(PoisonError::into_inner));
        for done in all {
            if !self.met.contains(&done.language) {
                self.met.push(done.language);
            }
            let Some(sheet) = self.sheets.get_mut(&done.file) else { continue };
            // of another document's text it is not known here what changed since
            let touched = match done.file == file {
                true => document.touched_since(done.revision).map(|touched| touched.first),
                false => Some(0),
            };
            let marks = done.marks.into_iter().filter(|(line, _)| touched.is_none_or(|touched| *line <= touched));
            sheet.merge(marks);
            if done.ended {
                sheet.asked = None;
            }
            // a guess stands until what is known comes near
            let guessed = sheet.window.as_ref().filter(|window| !window.exact).map(|window| window.first);
            if guessed.is_some_and(|first| sheet.near(first).is_some()) {
                sheet.window = None;
            }
        }
    }
}

impl Sheet {
    /// What was changed since the last frame is forgotten.
    fn follow(&mut self, document: &Document) {
        let Some(touched) = document.touched_since(self.revision) else { return };
        self.revision = document.revision();
        // what the thread reads is still wanted if it ends before what was changed
        self.asked = self.asked.filter(|to| *to <= touched.first);
        self.marks.retain(|(at, _)| *at <= touched.first);
        if let Some(window) = &mut self.window {
            if touched.first < window.first {
                self.window = None;
            } else {
                window.touch(touched);
            }
        }
    }

    fn merge(&mut self, marks: impl Iterator<Item = Mark>) {
        for (line, progress) in marks {
            if let Err(at) = self.marks.binary_search_by_key(&line, |(line, _)| *line) {
                self.marks.insert(at, (line, progress));
            }
        }
    }

    fn nearest(&self, line: usize) -> Option<&Mark> {
        let after = self.marks.partition_point(|(at, _)| *at <= line);
        after.checked_sub(1).and_then(|at| self.marks.get(at))
    }

    /// The last state that is known before a line, if it is near.
    fn near(&self, line: usize) -> Option<&Mark> {
        self.nearest(line).filter(|(at, _)| line - at <= STEP * 2)
    }

    fn job(&mut self, file: FileId, document: &Document, language: &'static str, to: usize) -> Option<Job> {
        let (revision, rope) = (document.revision(), document.rope().clone());
        if self.asked == Some(to) {
            return None;
        }
        self.asked = Some(to);
        let from = self.nearest(to)?.clone();
        Some(Job { file, revision, language, rope, from, to })
    }

    /// Sees to it that the window can be read on to `first`; `true` if it begins with a guess.
    fn enter(&mut self, grammar: &Grammar, language: &'static str, rope: &Rope, first: usize) -> bool {
        if let Some(window) = &self.window {
            let near = window.first <= first && first <= window.end() + STEP;
            if near {
                return !window.exact;
            }
        }
        let near = self.near(first).cloned();
        let exact = near.is_some();
        let begun = near.or_else(|| Some((guess(rope, first), grammar.begin(language)?)));
        // further up: what was seen before is likely to hold
        let below = self.window.take().filter(|window| exact && window.exact && window.first > first);
        let old = below.map(|window| Old { from: window.first, lines: window.lines, changed: 0 });
        self.window = begun.map(|(first, before)| Window { first, before, lines: Vec::new(), old, exact });
        !exact
    }

    /// Reads lines up to `last`, at most `room` bytes of them; `true` if there are more.
    fn extend(&mut self, grammar: &Grammar, rope: &Rope, last: usize, mut room: usize) -> bool {
        let Some(window) = &mut self.window else { return false };
        let brush = grammar.brush();
        let mut marks = Vec::new();
        while window.end() < last {
            let line = window.end();
            let text = line_text(rope, line);
            if text.len() > room {
                return true;
            }
            room -= text.len();
            let mut progress = window.state().clone();
            let pieces = grammar.line(&brush, &mut progress, &text);
            window.lines.push((pieces, progress));
            if window.exact && (line + 1).is_multiple_of(STEP) {
                marks.push((line + 1, window.state().clone()));
            }
            window.rejoin();
        }
        if window.lines.len() > WINDOW {
            let cut = window.lines.len() - WINDOW / 2;
            let cut = cut.min(last.saturating_sub(window.first + WINDOW / 2));
            if let Some((_, before)) = window.lines.drain(..cut).next_back() {
                window.before = before;
                window.first += cut;
            }
        }
        self.merge(marks.into_iter());
        false
    }
}

/// A line near and above `line` that is likely to stand outside of everything.
fn guess(rope: &Rope, line: usize) -> usize {
    let plain = |line: &usize| rope.line(*line).chars().next().is_some_and(|c| c.is_alphabetic() || c == '#');
    (line.saturating_sub(BACK)..=line.min(rope.len_lines().saturating_sub(1))).find(plain).unwrap_or(line)
}

/// A line with a line feed at its end, as grammars want it; a line that would stay plain anyway is not copied.
fn line_text(rope: &Rope, line: usize) -> String {
    let slice = rope.line(line);
    if slice.len_bytes() > LONGEST_LINE {
        return "\n".into();
    }
    let mut text = String::from(slice);
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    text.push('\n');
    text
}

fn start(highlighter: Highlighter, grammar: Arc<Grammar>) -> Reader {
    let (jobs, inbox) = channel();
    let done = Arc::new(Mutex::new(Vec::new()));
    let results = Arc::clone(&done);
    // without a thread everything stays a guess
    let _ = std::thread::Builder::new()
        .name("colours".into())
        .spawn(move || serve(&highlighter, &grammar, &inbox, &results));
    Reader { jobs, done }
}

fn serve(highlighter: &Highlighter, grammar: &Grammar, inbox: &Receiver<Job>, results: &Mutex<Vec<Done>>) {
    let mut next = inbox.recv().ok();
    // where the last job was given up
    let mut left: Option<(FileId, u64, Mark)> = None;
    while let Some(job) = next.take() {
        let (mut line, mut progress) = match left.take() {
            Some((file, revision, mark))
                if (file, revision) == (job.file, job.revision) && (job.from.0..job.to).contains(&mark.0) =>
            {
                mark
            }
            _ => job.from.clone(),
        };
        let mut marks = Vec::new();
        let brush = grammar.brush();
        while line < job.to {
            let _ = grammar.line(&brush, &mut progress, &line_text(&job.rope, line));
            line += 1;
            if line.is_multiple_of(STEP) {
                marks.push((line, progress.clone()));
                // the newest wish counts; what was read holds all the same
                next = inbox.try_iter().last();
                if next.is_some() {
                    left = Some((job.file, job.revision, (line, progress.clone())));
                    break;
                }
            }
        }
        let ended = line >= job.to;
        let done = Done { file: job.file, revision: job.revision, language: job.language, marks, ended };
        results.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        highlighter.wake();
        if next.is_none() {
            next = inbox.recv().ok();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::text::change::Change;
    use crate::text::document::Selection;
    use crate::text::undo::Kind;
    use crate::ui::highlight::Ink;

    const ID: FileId = FileId(1);

    /// The pieces, when everything that was left to threads is done.
    fn settled(
        sheets: &mut Sheets,
        highlighter: &Highlighter,
        woken: &Receiver<()>,
        document: &Document,
        first: usize,
    ) -> Vec<Pieces> {
        let last = document.rope().len_lines().min(first + 20);
        loop {
            let lines = sheets.lines(highlighter, ID, document, first, 20);
            let exact =
                sheets.sheets.get(&ID).and_then(|sheet| sheet.window.as_ref()).is_some_and(|window| window.exact);
            if lines.len() == last - first && exact {
                return lines;
            }
            woken.recv().unwrap();
        }
    }

    fn highlighter() -> (Highlighter, Receiver<()>) {
        let (sender, woken) = channel();
        (Highlighter::new(move || sender.send(()).unwrap_or_default()), woken)
    }

    fn code(lines: usize) -> String {
        (0..lines).map(|n| format!("fn f{n}() {{ /* {n}\n */ let s = \"x\"; }}\n")).collect()
    }

    #[test]
    fn an_edited_document_is_coloured_as_if_it_were_new() {
        let (highlighter, woken) = highlighter();
        let mut sheets = Sheets::default();
        let mut document = Document::new(&code(400), "a.rs");
        let _ = settled(&mut sheets, &highlighter, &woken, &document, 0);
        let edits = [(0, 0, "/*"), (40, 3, "\n\n"), (0, 2, ""), (200, 0, "\""), (201, 1, ""), (120, 30, "fn")];
        // two edits for a frame: what lies between them must not be taken for unchanged
        let pairs = [(3, 0, "a"), (90, 0, "/*"), (3, 1, ""), (90, 2, "")];
        for (n, (at, cut, put)) in edits.into_iter().chain(pairs).enumerate() {
            let change = Change::new(document.rope(), at..at + cut, put);
            document.edit(vec![change], Kind::Other, Selection::at(at));
            if n == 6 || n == 8 {
                continue;
            }
            for first in [0, 500, 3] {
                let found = settled(&mut sheets, &highlighter, &woken, &document, first);
                let mut fresh = Sheets::default();
                assert_eq!(found, settled(&mut fresh, &highlighter, &woken, &document, first), "{at} {first}");
            }
        }
    }

    #[test]
    fn a_jump_is_coloured_at_once_and_set_right_later() {
        let (highlighter, woken) = highlighter();
        let mut sheets = Sheets::default();
        let document = Document::new(&format!("/*\n{}*/\n", "fn f() {}\n".repeat(3000)), "a.rs");
        let _ = settled(&mut sheets, &highlighter, &woken, &document, 0);
        let guessed = sheets.lines(&highlighter, ID, &document, 2500, 20);
        assert_eq!(guessed[0][0].0, Ink::Keyword);
        let right = settled(&mut sheets, &highlighter, &woken, &document, 2500);
        assert_eq!(right[0][0].0, Ink::Comment);
    }

    #[test]
    fn a_line_of_a_megabyte_and_plain_text_cost_nothing() {
        let (highlighter, woken) = highlighter();
        let mut sheets = Sheets::default();
        let document = Document::new(&format!("fn a() {{}}\n{}\nfn b() {{}}\n", "\"".repeat(1 << 20)), "a.rs");
        let lines = settled(&mut sheets, &highlighter, &woken, &document, 0);
        assert!(lines[1].is_empty());
        assert_eq!(lines[2][0].0, Ink::Keyword);
        assert!(sheets.lines(&highlighter, ID, &Document::new("x", "a.txt"), 0, 5).is_empty());
    }
}

//! A command: shown exactly before it may run, then what it writes, then how it ended.

use std::collections::VecDeque;

use super::{Overlay, Seen, scrolled};
use crate::app::keymap::{Command, Pressed};
use crate::app::msg::{Effect, Level, Move, RunEnd};
use crate::app::{App, Out};
use crate::edits::tally::Tally;
use crate::text::clean;

/// Lines kept of what a command writes.
const LINES: usize = 5000;
/// Characters of a line that are kept.
const LONGEST: usize = 2000;

/// A command that shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// It, to the letter.
    pub command: String,
    /// It is the beginning of `/fix`, with the files that were named for it.
    pub fix: Option<Vec<String>>,
    /// The row at the top.
    pub top: usize,
    /// Its last row was seen: before that nobody can agree to it.
    pub seen: bool,
    /// When it was first drawn: an answer before that was meant for something else.
    pub shown: Seen,
}

impl Confirm {
    pub(crate) fn new(command: &str, fix: Option<Vec<String>>) -> Self {
        Self { command: command.to_owned(), fix, top: 0, seen: false, shown: Seen::default() }
    }
}

/// A command that runs, or ran.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its number.
    pub run: u64,
    /// It, to the letter.
    pub command: String,
    /// What it wrote last, made harmless; the last line may go on.
    pub lines: VecDeque<String>,
    /// Lines before them that were let go.
    pub dropped: usize,
    /// The tests that those tell of.
    told: Tally,
    /// How it ended.
    pub end: Option<RunEnd>,
    /// Milliseconds it took, as far as known.
    pub took: u64,
    /// The person ended it.
    pub stopping: bool,
    /// The row at the top, if the person scrolled; else the end is seen.
    pub top: Option<usize>,
    began: u64,
    /// The last line begins anew with the next character.
    returned: bool,
}

impl Running {
    pub(crate) fn new(run: u64, command: &str, now: u64) -> Self {
        Self {
            run,
            command: command.to_owned(),
            lines: VecDeque::from([String::new()]),
            dropped: 0,
            told: Tally::default(),
            end: None,
            took: 0,
            stopping: false,
            top: None,
            began: now,
            returned: false,
        }
    }

    /// More of what it writes.
    pub(crate) fn push(&mut self, text: &str) {
        for (n, part) in text.replace("\r\n", "\n").split('\r').enumerate() {
            self.returned |= n > 0;
            for (n, part) in clean::pasted(part).split('\n').enumerate() {
                if n > 0 {
                    self.begin_line();
                }
                self.add(part);
            }
        }
    }

    fn begin_line(&mut self) {
        self.returned = false;
        self.lines.push_back(String::new());
        if self.lines.len() > LINES {
            if let Some(line) = self.lines.pop_front() {
                self.told.line(&line);
            }
            self.dropped += 1;
        }
    }

    /// More of the last line. What was written after a carriage return takes the place of what stood before it, as on a
    /// terminal: a bar of progress is one line.
    fn add(&mut self, part: &str) {
        let Some(line) = self.lines.back_mut().filter(|_| !part.is_empty()) else { return };
        if std::mem::take(&mut self.returned) {
            line.clear();
        }
        let room = LONGEST.saturating_sub(line.chars().count());
        line.extend(part.chars().take(room));
    }

    pub(crate) fn finish(&mut self, end: RunEnd, now: u64) {
        self.end = Some(end);
        self.took = now.saturating_sub(self.began);
        if self.lines.back().is_some_and(String::is_empty) && self.lines.len() > 1 {
            self.lines.pop_back();
        }
    }

    /// The last lines, in at most `room` bytes or so. No line takes more than a quarter of them: of a longer one the end
    /// is kept.
    pub(crate) fn tail(&self, room: usize) -> String {
        let mut bytes = 0;
        let mut lines: Vec<std::borrow::Cow<'_, str>> = Vec::new();
        for line in self.lines.iter().rev() {
            let line = ending(line, room / 4);
            bytes += line.len() + 1;
            if bytes > room && !lines.is_empty() {
                break;
            }
            lines.push(line);
        }
        let cut = lines.len() < self.lines.len() || self.dropped > 0;
        lines.reverse();
        let text: String = lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect();
        if cut { format!("[…]\n{text}") } else { text }
    }

    /// How many tests it says it ran, if it does.
    pub(crate) fn ran(&self) -> Option<u64> {
        let mut told = self.told.clone();
        self.lines.iter().for_each(|line| told.line(line));
        told.ran()
    }

    /// How it ended, in a few words.
    pub fn outcome(&self) -> String {
        match &self.end {
            None if self.stopping => "stopping".into(),
            None => "running".into(),
            Some(_) if self.stopping => "stopped".into(),
            Some(RunEnd::Code(code)) => format!("exit code {code}"),
            Some(RunEnd::Signal(signal)) => format!("ended by signal {signal}"),
            Some(RunEnd::Failed(why)) => format!("it could not be started: {why}"),
        }
    }
}

/// The end of a line, in at most `room` bytes or so.
fn ending(line: &str, room: usize) -> std::borrow::Cow<'_, str> {
    match line.ceil_char_boundary(line.len().saturating_sub(room)) {
        from if from > 0 && from < line.len() => format!("[…] {}", &line[from..]).into(),
        _ => line.into(),
    }
}

impl App {
    /// Only `y` agrees: Enter was pressed a moment ago. It does so only when the command was seen to its end.
    pub(super) fn confirm_key(&mut self, confirm: Confirm, key: Pressed, out: &mut Out) -> bool {
        match key {
            Pressed::Command(Command::Yes | Command::No) if !confirm.shown.counts(self.clock) => {}
            Pressed::Command(Command::Yes) if !confirm.seen => {
                self.tell(Level::Info, "the command goes on below: read it to its end first");
                out.push(Effect::Scroll(Move::Pages(1)));
            }
            Pressed::Command(Command::Yes) => {
                match confirm.fix {
                    Some(named) => self.start_fix(confirm.command, named, out),
                    None => drop(self.start_run(confirm.command, out)),
                }
                return true;
            }
            Pressed::Command(Command::Back | Command::No) => {
                self.tell(Level::Info, "it was not run");
                return true;
            }
            key => out.extend(scrolled(key)),
        }
        self.overlay = Some(Overlay::Confirm(confirm));
        true
    }

    pub(super) fn running_key(&mut self, running: Box<Running>, key: Pressed, out: &mut Out) -> bool {
        let over = running.end.is_some();
        match key {
            Pressed::Command(Command::Accept) if over => {
                self.offer_files_to_fix();
                return true;
            }
            Pressed::Command(Command::Back | Command::Close) if over => {
                self.given_up(&Overlay::Running(running));
                return true;
            }
            Pressed::Command(Command::Back) => {
                self.overlay = Some(Overlay::Running(running));
                self.stop_run(out);
                return true;
            }
            key => out.extend(scrolled(key)),
        }
        self.overlay = Some(Overlay::Running(running));
        true
    }
}

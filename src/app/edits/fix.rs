//! `/fix [@FILE …] CMD`: run, ask for a change, show it, write what the person accepts, run again. It stops when the
//! command passes, when nothing is accepted, when it is interrupted, and after so many rounds.
//!
//! It leaves tests as they are unless the person named their file, and a run of fewer tests than before is no pass. It
//! always knows the one thing it waits for, by its number: whatever else happens meanwhile is none of its business, and
//! where that one thing can no longer come, it ends.

use crate::app::msg::{Effect, Level};
use crate::app::overlay::{Choose, Overlay, Pick, Row, Running, Then};
use crate::app::{App, Out};
use crate::chat::tree::{Attachment, NodeId};
use crate::edits::guard::Guard;
use crate::edits::propose::Proposed;
use crate::edits::{place, prompt};
use crate::text::clean;

/// Files that are guessed from a command's words at most.
const GUESSES: usize = 8;
/// Folders that a command names, in which those files are looked for first.
const FOLDERS: usize = 3;
/// Files offered where none is known.
const OFFERED: usize = 200;

/// What a [`Fix`] waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The end of this run.
    Running(u64),
    /// Its question to be asked: files are read for it, or the model is not ready.
    Asking,
    /// The person to choose the file that shall be changed.
    Choosing,
    /// The end of this answer.
    Answering(NodeId),
    /// The proposal with this number.
    Proposing(u64),
    /// The person, who was busy with something else when this was worked out.
    Holding(Box<Proposed>),
    /// The person's decision.
    Reviewing,
    /// The files to be written.
    Writing,
}

/// A command that is run until it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The command.
    pub command: String,
    /// Files that the person named for it; they may be changed even if they are tests.
    pub named: Vec<String>,
    /// Runs that failed and were asked about so far.
    pub round: u32,
    /// Changes asked for at most.
    pub most: u32,
    /// Changes written so far.
    pub written: u32,
    /// Questions asked so far: where an answer brings no change, the same is asked again with another seed.
    pub asked: u32,
    /// Questions of this round before the present one.
    pub tries: u32,
    /// The last question.
    pub question: Option<NodeId>,
    /// The most tests that a run told of so far.
    pub ran: Option<u64>,
    /// What it waits for.
    pub phase: Phase,
}

/// `/fix [@FILE …] CMD`; alone, the last one again.
pub(crate) fn fix(app: &mut App, args: &str, out: &mut Out) {
    let last = || app.composer.history.newest("/fix ").map(|line| line["/fix ".len()..].to_owned());
    let line = if args.trim().is_empty() { last().unwrap_or_default() } else { args.to_owned() };
    let (named, command) = named_and_command(&line);
    if command.is_empty() {
        app.tell(Level::Info, "write the command behind `/fix`, for example `/fix cargo test`");
        return;
    }
    if app.is_free() {
        app.confirm(&command, Some(named), out);
    }
}

/// The files named before a command, and the command.
fn named_and_command(line: &str) -> (Vec<String>, String) {
    let mut named = Vec::new();
    let mut rest = line.trim_start();
    while let Some(behind) = rest.strip_prefix('@') {
        let (name, next) = match behind.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
            Some(found) => found,
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        named.extend((!name.is_empty()).then(|| name.to_owned()));
        rest = next.trim_start();
    }
    (named, rest.trim_end().to_owned())
}

/// Folders that a command names: what it changes to, what it is pointed at.
fn folders_in(command: &str) -> Vec<String> {
    let plain = |word: &&str| {
        word.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c)) && !word.starts_with(['-', '/']) && *word != "."
    };
    let mut found: Vec<String> = Vec::new();
    for word in command.split(|c: char| c.is_whitespace() || ";&|()='\"".contains(c)).filter(plain) {
        let folder = if place::is_name(word) { word.rsplit_once('/').map_or("", |(folder, _)| folder) } else { word };
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        if !folder.is_empty() && !found.iter().any(|known| known == folder) {
            found.push(folder.to_owned());
        }
    }
    // a program's name is rarely a folder; what stands behind it is
    found.into_iter().rev().take(FOLDERS).collect()
}

/// The names in what a command wrote, as they may stand in the folder: first below those that the command names.
fn guesses(command: &str, output: &str) -> Vec<String> {
    let folders = folders_in(command);
    let names = place::names_in(output, GUESSES);
    names
        .into_iter()
        .flat_map(|name| {
            let below = folders.iter().map(|folder| format!("{folder}/{name}")).collect::<Vec<_>>();
            below.into_iter().chain([name])
        })
        .collect()
}

impl App {
    /// The person agreed: the first run.
    pub(crate) fn start_fix(&mut self, command: String, named: Vec<String>, out: &mut Out) {
        let run = self.start_run(command.clone(), out);
        self.edits.fix = Some(Fix {
            command,
            named,
            round: 0,
            most: self.settings.edits.fix_rounds,
            written: 0,
            asked: 0,
            tries: 0,
            question: None,
            ran: None,
            phase: Phase::Running(run),
        });
    }

    /// Whether `/fix` waits for this.
    pub(crate) fn fix_waits_for(&self, phase: &Phase) -> bool {
        self.edits.fix.as_ref().is_some_and(|fix| fix.phase == *phase)
    }

    pub(crate) fn fix_goes_on(&mut self, phase: Phase) {
        if let Some(fix) = &mut self.edits.fix {
            fix.phase = phase;
        }
    }

    /// Its question was asked with this answer to come.
    pub(crate) fn fix_asked(&mut self, question: Option<NodeId>, answer: NodeId) {
        if let Some(fix) = &mut self.edits.fix {
            fix.question = question;
            fix.asked += 1;
            fix.phase = Phase::Answering(answer);
        }
    }

    /// How often the present question of `/fix` was asked before.
    pub(crate) fn fix_tries(&self, question: NodeId) -> u32 {
        self.edits.fix.as_ref().filter(|fix| fix.question == Some(question)).map_or(0, |fix| fix.tries)
    }

    /// What it waited for cannot come any more.
    pub(crate) fn end_fix(&mut self) {
        if let Some(fix) = self.edits.fix.take() {
            self.tell(Level::Info, format!("`/fix {}` stopped", clean::one_line(&fix.command)));
        }
    }

    /// Its run is at its end; `failure` is what the command wrote if it failed, `ran` the tests that it says it ran.
    pub(crate) fn fix_ran(&mut self, failure: Option<Attachment>, ran: Option<u64>, out: &mut Out) {
        let Some(fix) = &mut self.edits.fix else { return };
        let before = fix.ran;
        fix.ran = fix.ran.max(ran);
        let Some(failure) = failure else {
            let (level, text) = passed(fix, before, ran);
            self.edits.fix = None;
            self.tell(level, text);
            return;
        };
        if fix.round >= fix.most {
            let text = match fix.written {
                0 => "it fails, and `fix_rounds` allows no change".to_owned(),
                1 => "Still failing after 1 change; `/undo` reverts it".to_owned(),
                n => format!("Still failing after {n} changes; `/undo` reverts the last"),
            };
            self.edits.fix = None;
            self.edits.failure = Some(failure);
            self.tell(Level::Warning, text);
            return;
        }
        fix.round += 1;
        fix.tries = 0;
        self.ask_to_fix(failure, Vec::new(), out);
    }

    /// Asks for a change against this failure, with the files named in it and those of `more`.
    fn ask_to_fix(&mut self, failure: Attachment, more: Vec<String>, out: &mut Out) {
        if !self.can_send(out) || !self.is_free() {
            self.end_fix();
            self.edits.failure = Some(failure);
            return;
        }
        let Some(fix) = &mut self.edits.fix else { return };
        fix.phase = Phase::Asking;
        let (command, named) = (fix.command.clone(), fix.named.clone());
        self.overlay = None;
        let mut patterns = named.clone();
        for name in more.into_iter().chain(self.shown_names()) {
            if !patterns.contains(&name) {
                patterns.push(name);
            }
        }
        let mut guesses = guesses(&command, &failure.text);
        guesses.retain(|name| !patterns.contains(name));
        self.submit_for_fix(prompt::fix(&command, &named), failure, patterns, guesses, out);
    }

    /// An answer brought no change that may be made: the same is asked again, with another seed, as long as there are
    /// rounds.
    pub(crate) fn fix_got_nothing(&mut self, proposed: &Proposed, out: &mut Out) {
        let can_ask = self.model.is_ready() && !self.turn.is_answering() && self.outgoing.is_none() && !self.refusing;
        let Some(fix) = &mut self.edits.fix else { return };
        let question = fix.question.filter(|id| fix.asked < fix.most * 2 && can_ask && self.path.contains(id));
        if let Some(question) = question {
            fix.tries += 1;
            self.ask(question, out);
            if let Some(answer) = self.turn.answer().map(|answer| answer.node) {
                self.fix_asked(Some(question), answer);
                return;
            }
        }
        self.edits.fix = None;
        self.nothing_to_show(proposed, false);
        self.tell(Level::Warning, "`/fix` stopped: the model proposed no change");
    }

    /// A change was written: if it was its own, the command runs again.
    pub(crate) fn fix_written(&mut self, out: &mut Out) {
        if !self.fix_waits_for(&Phase::Writing) {
            return;
        }
        if let Some(command) = self.edits.fix.as_ref().map(|fix| fix.command.clone()) {
            let run = self.start_run(command, out);
            self.fix_goes_on(Phase::Running(run));
            if let Some(fix) = &mut self.edits.fix {
                fix.written += 1;
            }
        }
    }

    /// The proposal that waited for the person, to be shown now.
    pub(crate) fn held_by_fix(&mut self) -> Option<Proposed> {
        let fix = self.edits.fix.as_mut()?;
        let Phase::Holding(_) = fix.phase else { return None };
        match std::mem::replace(&mut fix.phase, Phase::Reviewing) {
            Phase::Holding(proposed) => Some(*proposed),
            _ => None,
        }
    }

    /// No file that may be changed is known: the output is shown, and behind it the files there are.
    pub(crate) fn fix_knows_no_file(&mut self, failure: Option<Attachment>, out: &mut Out) {
        self.edits.failure = failure;
        let busy = self.is_busy(false);
        let shown = self.edits.ran.take().filter(|_| !busy);
        let Some(ran) = shown else {
            self.edits.fix = None;
            self.tell(Level::Warning, "no file to change is known: `/fix @FILE COMMAND` names one");
            return;
        };
        self.overlay = Some(Overlay::Running(ran));
        self.fix_goes_on(Phase::Choosing);
        out.push(Effect::ListFiles);
        self.tell(Level::Warning, "the output names no file that may be changed: Enter chooses one");
    }

    /// The output was read: which file shall be changed?
    pub(crate) fn offer_files_to_fix(&mut self) {
        let Some(fix) = self.edits.fix.as_ref().filter(|fix| fix.phase == Phase::Choosing) else { return };
        let guard = Guard { named: fix.named.clone() };
        let folders = folders_in(&fix.command);
        let mut names: Vec<String> =
            self.listed_files().filter(|name| place::is_code(name) && !guard.bars(name)).collect();
        let near = |name: &String| folders.iter().any(|folder| name.starts_with(&format!("{folder}/")));
        names.sort_by_key(|name| (!near(name), name.matches('/').count()));
        names.truncate(OFFERED);
        if names.is_empty() {
            self.edits.fix = None;
            self.tell(Level::Warning, "no file to change is known: `/fix @FILE COMMAND` names one");
            return;
        }
        let rows = names.iter().map(|name| Row::new(clean::one_line(name), "")).collect();
        let picks = names.into_iter().map(Pick::Fix).collect();
        self.overlay = Some(Overlay::Choose(Choose::new("which file shall be changed?", rows, picks)));
    }

    /// The person chose the file to be changed.
    pub(crate) fn fix_with(&mut self, name: String, out: &mut Out) {
        let failure = self.edits.take_failure().filter(|_| self.fix_waits_for(&Phase::Choosing));
        if let Some(failure) = failure {
            self.ask_to_fix(failure, vec![name], out);
        }
    }

    /// A run of `/fix` has ended: it can be shown again.
    pub(crate) fn keep_run(&mut self, running: &Running) {
        self.edits.ran = Some(Box::new(running.clone()));
    }

    /// Something was closed without being done.
    pub(crate) fn given_up(&mut self, closed: &Overlay) {
        let review = match closed {
            Overlay::Review(review) => review,
            Overlay::Running(_) | Overlay::Choose(_) if self.fix_waits_for(&Phase::Choosing) => return self.end_fix(),
            _ => return,
        };
        let text = match &review.then {
            Then::Nothing => "Cancelled, no files changed",
            Then::Fix => {
                self.edits.fix = None;
                "`/fix` stopped, no files changed"
            }
            Then::Undo(_) => "Cancelled, nothing undone; `/undo drop` forgets this change, to get at the one before it",
        };
        self.tell(Level::Info, text);
    }
}

/// What is told of a command that has passed, or only seems to.
fn passed(fix: &Fix, before: Option<u64>, ran: Option<u64>) -> (Level, String) {
    let command = clean::one_line(&fix.command);
    let tests = |n: u64| if n == 1 { "1 test".to_owned() } else { format!("{n} tests") };
    match (before, ran) {
        (Some(before), Some(ran)) if ran < before => {
            let (ran, before) = (tests(ran), tests(before));
            (
                Level::Warning,
                format!(
                    "`{command}` ran only {ran}, and {before} before: that is no pass; `/undo` reverts the last change"
                ),
            )
        }
        (Some(before), None) => {
            let before = tests(before);
            (
                Level::Warning,
                format!(
                    "`{command}` no longer says how many tests it ran, and it ran {before} before: that is no pass; `/undo` reverts the last change"
                ),
            )
        }
        _ => {
            let times = match fix.written {
                0 => "as it is".to_owned(),
                1 => "after one change".to_owned(),
                n => format!("after {n} changes"),
            };
            let counted = ran.map(|ran| format!(" ({})", tests(ran))).unwrap_or_default();
            (Level::Info, format!("`{command}` passes {times}{counted}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_before_the_command_are_named_and_signs_inside_it_are_not() {
        let pair = |line: &str| named_and_command(line);
        assert_eq!(pair(" pytest -q "), (vec![], "pytest -q".into()));
        assert_eq!(pair("@tests/test_a.py pytest"), (vec!["tests/test_a.py".into()], "pytest".into()));
        assert_eq!(pair("@\"my test.py\" @b.py  a @b"), (vec!["my test.py".into(), "b.py".into()], "a @b".into()));
        assert_eq!(pair("npm i @types/node"), (vec![], "npm i @types/node".into()));
        assert_eq!(pair("@a.py"), (vec!["a.py".into()], String::new()));
    }

    #[test]
    fn names_are_looked_for_first_in_the_folders_of_the_command() {
        let found = guesses("cd py && pytest -q", "test_a.py:3: boom\n");
        assert_eq!(found.iter().position(|name| name == "py/test_a.py"), Some(1), "{found:?}");
        assert_eq!(found.last().map(String::as_str), Some("test_a.py"));
        assert_eq!(folders_in("cargo test --manifest-path crates/a/Cargo.toml")[0], "crates/a");
        assert_eq!(folders_in("make -C ./sub"), ["sub", "make"]);
    }
}

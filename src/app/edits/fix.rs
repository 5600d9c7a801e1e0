//! `/fix CMD`: run, ask for a change, show it, write what the person takes, run again. It stops when the command passes,
//! when nothing is taken, when it is interrupted, and after so many rounds.
//!
//! It always knows the one thing it waits for, by its number: whatever else happens meanwhile is none of its business, and
//! where that one thing can no longer come, it ends.

use crate::app::msg::Level;
use crate::app::overlay::{Overlay, Then};
use crate::app::{App, Out};
use crate::chat::tree::{Attachment, NodeId};
use crate::edits::propose::Proposed;
use crate::edits::{place, prompt};
use crate::text::clean;

/// Files that are guessed from a command's words at most.
const GUESSES: usize = 6;

/// What a [`Fix`] waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The end of this run.
    Running(u64),
    /// Its question to be asked: files are read for it, or the model is not ready.
    Asking,
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
    /// Changes asked for so far.
    pub round: u32,
    /// Changes asked for at most.
    pub most: u32,
    /// What it waits for.
    pub phase: Phase,
}

/// `/fix CMD`.
pub(crate) fn fix(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        app.tell(Level::Info, "write the command behind `/fix`, for example `/fix cargo test`");
        return;
    }
    if app.is_free() {
        app.confirm(args, true, out);
    }
}

impl App {
    /// The person agreed: the first run.
    pub(crate) fn start_fix(&mut self, command: String, out: &mut Out) {
        let run = self.start_run(command.clone(), out);
        self.edits.fix = Some(Fix { command, round: 0, most: self.settings.fix_rounds, phase: Phase::Running(run) });
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

    /// What it waited for cannot come any more.
    pub(crate) fn end_fix(&mut self) {
        if let Some(fix) = self.edits.fix.take() {
            self.tell(Level::Info, format!("`/fix {}` ends here", clean::one_line(&fix.command)));
        }
    }

    /// Its run is at its end; `failure` is what the command wrote if it failed.
    pub(crate) fn fix_ran(&mut self, failure: Option<Attachment>, out: &mut Out) {
        let Some(fix) = &mut self.edits.fix else { return };
        let Some(failure) = failure else {
            let times = match fix.round {
                0 => "as it is".to_owned(),
                1 => "after one change".to_owned(),
                n => format!("after {n} changes"),
            };
            let text = format!("`{}` passes {times}", clean::one_line(&fix.command));
            self.edits.fix = None;
            self.tell(Level::Info, text);
            return;
        };
        if fix.round >= fix.most {
            let text = match fix.round {
                0 => "it fails, and `fix_rounds` allows no change".to_owned(),
                1 => "it still fails after one change; `/undo` takes it back".to_owned(),
                n => format!("it still fails after {n} changes; `/undo` takes back one, `/undo` {n} times all of them"),
            };
            self.edits.fix = None;
            self.edits.failure = Some(failure);
            self.tell(Level::Warning, text);
            return;
        }
        fix.round += 1;
        fix.phase = Phase::Asking;
        let command = fix.command.clone();
        if !self.can_send(out) || !self.is_free() {
            self.end_fix();
            self.edits.failure = Some(failure);
            return;
        }
        self.overlay = None;
        let mut guesses = place::names_in(&failure.text, GUESSES);
        let shown = self.shown_names();
        guesses.retain(|name| !shown.contains(name));
        let wish = format!("The command `{command}` fails; its output is above. Change the file so that it passes.");
        let patterns = shown;
        self.submit_for_fix(prompt::request(&wish), failure, patterns, guesses, out);
    }

    /// A change was written: if it was its own, the command runs again.
    pub(crate) fn fix_written(&mut self, out: &mut Out) {
        if !self.fix_waits_for(&Phase::Writing) {
            return;
        }
        if let Some(command) = self.edits.fix.as_ref().map(|fix| fix.command.clone()) {
            let run = self.start_run(command, out);
            self.fix_goes_on(Phase::Running(run));
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

    /// Something was closed without being done.
    pub(crate) fn given_up(&mut self, closed: &Overlay) {
        let Overlay::Review(review) = closed else { return };
        let text = match &review.then {
            Then::Nothing => "nothing was written",
            Then::Fix => {
                self.edits.fix = None;
                "nothing was written; `/fix` ends here"
            }
            Then::Undo(_) => "nothing was taken back; `/undo drop` forgets this change, to get at the one before it",
        };
        self.tell(Level::Info, text);
    }
}

//! `/fix CMD`: run, ask for a change, show it, write what the person takes, run again. It stops when the command passes,
//! when nothing is taken, when it is interrupted, and after so many rounds.

use crate::app::msg::Level;
use crate::app::overlay::Overlay;
use crate::app::{App, Out};
use crate::chat::tree::Attachment;
use crate::edits::{place, prompt};

/// Files that are guessed from a command's words at most.
const GUESSES: usize = 6;

/// A command that is run until it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The command.
    pub command: String,
    /// Changes asked for so far.
    pub round: u32,
    /// Changes asked for at most.
    pub most: u32,
}

/// `/fix CMD`.
pub(crate) fn fix(app: &mut App, args: &str, _out: &mut Out) {
    if args.is_empty() {
        app.tell(Level::Info, "write the command behind `/fix`, for example `/fix cargo test`");
        return;
    }
    if app.is_free() {
        app.confirm(args, true);
    }
}

impl App {
    /// The person agreed: the first run.
    pub(crate) fn start_fix(&mut self, command: String, out: &mut Out) {
        self.edits.fix = Some(Fix { command: command.clone(), round: 0, most: self.settings.fix_rounds });
        self.start_run(command, out);
    }

    /// The command is at its end; `failure` is what it wrote if it failed.
    pub(crate) fn fix_ran(&mut self, failure: Option<Attachment>, out: &mut Out) {
        let Some(fix) = &mut self.edits.fix else { return };
        let Some(failure) = failure else {
            let times = match fix.round {
                0 => "as it is".to_owned(),
                1 => "after one change".to_owned(),
                n => format!("after {n} changes"),
            };
            let text = format!("`{}` passes {times}", crate::text::clean::one_line(&fix.command));
            self.edits.fix = None;
            self.tell(Level::Info, text);
            return;
        };
        if fix.round >= fix.most {
            let text = format!("it still fails after {} changes; `/undo` takes them back", fix.round);
            self.edits.fix = None;
            self.edits.failure = Some(failure);
            self.tell(Level::Warning, text);
            return;
        }
        fix.round += 1;
        let command = fix.command.clone();
        if !self.can_send(out) || !self.is_free() {
            self.edits.fix = None;
            self.edits.failure = Some(failure);
            return;
        }
        self.overlay = None;
        let mut guesses = place::names_in(&failure.text, GUESSES);
        let shown = self.shown_files();
        guesses.retain(|name| !shown.contains(name));
        let wish = format!("The command `{command}` fails; its output is above. Change the file so that it passes.");
        self.submit(prompt::request(&wish), vec![failure], shown, guesses, out);
    }

    /// A change was written: the command runs again.
    pub(crate) fn fix_written(&mut self, out: &mut Out) {
        if let Some(fix) = &self.edits.fix {
            let command = fix.command.clone();
            self.start_run(command, out);
        }
    }

    /// Something was closed without being done.
    pub(crate) fn given_up(&mut self, closed: &Overlay) {
        if let Overlay::Review(_) = closed {
            let fixing = self.edits.fix.take().is_some();
            let text = if fixing { "nothing was written; `/fix` ends here" } else { "nothing was written" };
            self.tell(Level::Info, text);
        }
    }
}

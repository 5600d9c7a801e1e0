//! Commands that the person has run: agreed to as they are shown, watched, ended with all they began, and their failure
//! put to the model with the next question.

use super::Phase;
use crate::app::msg::{Effect, Level, Move, RunEnd, RunMsg};
use crate::app::overlay::{Confirm, Overlay, Running};
use crate::app::{App, Out};
use crate::chat::tree::Attachment;
use crate::edits::prompt;
use crate::text::clean;

/// Bytes of output that go with a question, whatever the context holds.
const LONGEST: usize = 16 << 10;

/// `/run CMD`; without one, the failure that waits is forgotten.
pub(crate) fn run(app: &mut App, args: &str, out: &mut Out) {
    if args.is_empty() {
        let text = match app.edits.failure.take() {
            Some(_) => "the output will not go with your next message",
            None => "write the command behind `/run`",
        };
        app.tell(Level::Info, text);
        return;
    }
    app.confirm(args, None, out);
}

impl App {
    /// Asks whether a command may run.
    /// With `fix`, the files that were named for it, it is run until it passes.
    pub(crate) fn confirm(&mut self, command: &str, fix: Option<Vec<String>>, out: &mut Out) {
        self.overlay = Some(Overlay::Confirm(Confirm::new(command, fix)));
        self.look_at_command(out);
    }

    /// Asks how much of the command that shall run is seen.
    pub(crate) fn look_at_command(&self, out: &mut Out) {
        if let Some(Overlay::Confirm(_)) = self.overlay {
            out.push(Effect::Scroll(Move::Rows(0)));
        }
    }

    /// Runs a command that the person agreed to; gives its number.
    pub(crate) fn start_run(&mut self, command: String, out: &mut Out) -> u64 {
        self.edits.runs += 1;
        let run = self.edits.runs;
        self.overlay = Some(Overlay::Running(Box::new(Running::new(run, &command, self.clock))));
        out.push(Effect::Run(run, command));
        run
    }

    /// Ends the command that runs; `false` if none does. The second time it is made to end, and nobody waits for it.
    pub(crate) fn stop_run(&mut self, out: &mut Out) -> bool {
        let Some(Overlay::Running(running)) = self.overlay.as_mut().filter(|overlay| overlay.is_running()) else {
            return false;
        };
        let run = running.run;
        out.push(Effect::Kill(run));
        if std::mem::replace(&mut running.stopping, true) {
            self.overlay = None;
            self.tell(Level::Info, "the command was ended by force");
            if self.fix_waits_for(&Phase::Running(run)) {
                self.end_fix();
            }
        }
        true
    }

    pub(crate) fn on_run(&mut self, told: RunMsg, out: &mut Out) {
        let Some(Overlay::Running(running)) = &mut self.overlay else {
            if matches!(told, RunMsg::Ended(..)) {
                out.push(Effect::Redraw);
                self.check_files(out);
            }
            return;
        };
        match told {
            RunMsg::Output(run, text) if run == running.run => running.push(&text),
            RunMsg::Ended(run, end) if run == running.run => {
                running.finish(end, self.clock);
                let ended = running.clone();
                // it may have found a way to the terminal
                out.push(Effect::Redraw);
                self.check_files(out);
                self.run_ended(&ended, out);
            }
            RunMsg::Output(..) | RunMsg::Ended(..) => {}
        }
    }

    fn run_ended(&mut self, running: &Running, out: &mut Out) {
        let fixing = self.fix_waits_for(&Phase::Running(running.run));
        if running.stopping {
            if fixing {
                self.end_fix();
            }
            return;
        }
        let passed = running.end == Some(RunEnd::Code(0));
        let room = (self.model.n_ctx() as usize / 4 * 3).min(LONGEST);
        let failure = (!passed).then(|| Attachment {
            name: prompt::output_of(&running.command),
            text: format!("$ {}\n{}[{}]\n", running.command, running.tail(room), running.outcome()),
            real: None,
        });
        if fixing {
            self.keep_run(running);
            self.fix_ran(failure, running.ran(), out);
        } else if let Some(failure) = failure {
            self.edits.failure = Some(failure);
            let command = clean::one_line(&running.command);
            let text = format!("`{command}` failed: its output goes with your next message (`/run` alone forgets it)");
            self.tell(Level::Warning, text);
        }
    }
}

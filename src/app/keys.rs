//! What a key does in the chat. Which key that is stands in the [`keymap`](super::keymap).

use crossterm::event::{KeyEvent, KeyEventKind};

use super::field::Handled;
use super::keymap::{Command, Context, Pressed};
use super::msg::{Effect, Level, Move};
use super::overlay::Overlay;
use super::{App, Out, Pane};
use crate::text::document::Edit;
use crate::text::document::moves::Motion;

impl App {
    pub(crate) fn on_key(&mut self, event: KeyEvent, out: &mut Out) {
        if event.kind == KeyEventKind::Release {
            return;
        }
        self.notices.age(self.clock);
        self.composer.restored = false;
        let key = Context::Chat.pressed(&event);
        if key != Pressed::Command(Command::Interrupt) {
            self.leave_armed = false;
        }
        if let Some(context) = self.overlay.as_ref().map(Overlay::context)
            && self.overlay_key(context.pressed(&event), out)
        {
            return;
        }
        if self.pane == Pane::Editor && self.overlay.is_none() {
            return self.editor_key(event, out);
        }
        match key {
            Pressed::Command(command) => self.act(command, key, out),
            Pressed::Typed(_) => self.input_key(key, out),
            Pressed::Nothing => {}
        }
    }

    /// Gives a key to the input; the popup follows the word at the cursor.
    fn input_key(&mut self, key: Pressed, out: &mut Out) {
        if self.composer.key(key, self.input_width()) != Handled::No {
            self.follow_input(out);
        }
    }

    fn act(&mut self, command: Command, key: Pressed, out: &mut Out) {
        let empty = self.composer.field.is_empty();
        match command {
            Command::Accept => self.send(out),
            Command::NewLine => {
                self.composer.field.insert("\n");
                self.follow_input(out);
            }
            Command::Back => self.back(out),
            Command::Interrupt => self.interrupt(out),
            Command::DeleteOrQuit if empty => self.leave(out),
            Command::DeleteOrQuit => self.input_key(Pressed::Command(Command::Edit(Edit::Delete)), out),
            Command::Complete if self.complete_path(out) => {}
            Command::Complete => {
                if empty {
                    self.composer.field.insert("/");
                }
                self.composer.dismissed = false;
                self.follow_input(out);
            }
            Command::Scroll(by) => out.push(Effect::Scroll(by)),
            Command::Edit(Edit::Go(Motion::LineStart)) if empty => out.push(Effect::Scroll(Move::Top)),
            Command::Edit(Edit::Go(Motion::LineEnd)) if empty => out.push(Effect::Scroll(Move::Bottom)),
            Command::Thinking => self.command_by_key("thinking", out),
            Command::Regenerate => self.command_by_key("regenerate", out),
            Command::New => self.command_by_key("new", out),
            Command::Sessions => self.command_by_key("sessions", out),
            Command::CopyAnswer => self.command_by_key("copy", out),
            Command::Apply => self.command_by_key("apply", out),
            Command::BranchBefore | Command::BranchAfter => {
                self.notices.clear();
                self.walk_branches(if command == Command::BranchBefore { -1 } else { 1 }, out);
            }
            Command::OtherPane => self.show_editor(out),
            Command::Open => self.open_named(out),
            Command::SearchFiles => self.command_by_key("search", out),
            Command::Help => self.command_by_key("help", out),
            Command::Suspend => out.push(Effect::Suspend),
            Command::Redraw => out.push(Effect::Redraw),
            _ => self.input_key(key, out),
        }
    }

    /// What was told before is about something else, as when a command is typed.
    fn command_by_key(&mut self, name: &str, out: &mut Out) {
        self.notices.clear();
        self.command(name, "", out);
    }

    /// Esc: the nearest thing that can be closed, taken back or stopped.
    pub(crate) fn back(&mut self, out: &mut Out) {
        if self.stop_run(out) {
        } else if let Some(closed) = self.overlay.take() {
            self.given_up(&closed);
            self.composer.dismissed = true;
        } else if self.take_back() {
        } else if self.turn.is_answering() {
            self.stop_answer(out);
        } else if self.composer.editing.take().is_some() {
            self.composer.field.take();
            self.tell(Level::Info, "edit cancelled");
        } else {
            self.notices.clear();
        }
    }

    /// Whether something is open that Esc closes; the question about notes only goes with an answer.
    fn is_open(&self) -> bool {
        self.overlay.as_ref().is_some_and(|open| !matches!(open, Overlay::Notes(_)))
    }

    /// Ctrl-C: what runs stops; when nothing does, the second one leaves.
    pub(crate) fn interrupt(&mut self, out: &mut Out) {
        if self.leaving || self.leave_armed {
            self.leave(out);
        } else if matches!(self.overlay, Some(Overlay::Models(ref models)) if models.progress.is_some()) {
            out.push(Effect::CancelPull);
        } else if self.is_open() || self.outgoing.is_some() || self.turn.is_answering() {
            self.back(out);
        } else {
            let text = self.composer.field.take();
            if self.composer.history.push(&text) {
                out.push(Effect::Remember(text));
            }
            self.composer.editing = None;
            self.leave_armed = true;
            self.tell(Level::Info, "Ctrl-C again quits");
        }
    }
}

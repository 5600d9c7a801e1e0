//! The keys, in one table: what they are called, what they do, and in which words the help tells it.
//!
//! Everything here can be reached without Ctrl as well: by a key of Termux's extra row (ESC TAB ALT HOME END PGUP PGDN
//! and the arrows) or by a command.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::msg::{Effect, Move};
use super::overlay::Overlay;
use super::{App, Out};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table says what each does")]
pub enum Action {
    Send,
    Newline,
    Back,
    Interrupt,
    DeleteOrLeave,
    Menu,
    PageUp,
    PageDown,
    RowUp,
    RowDown,
    Top,
    Bottom,
    Left,
    Right,
    Up,
    Down,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    Backspace,
    Delete,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToStart,
    DeleteToEnd,
    Thinking,
    Regenerate,
    New,
    Sessions,
    CopyAnswer,
    Apply,
    BranchBefore,
    BranchAfter,
    Editor,
    OpenFile,
    SearchFiles,
    Regex,
    Suspend,
    Redraw,
    Help,
}

/// A key and its action.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    code: KeyCode,
    modifiers: KeyModifiers,
    /// What it does.
    pub action: Action,
    /// For the help: the keys' names and the words. Empty: an alias that the help leaves out.
    pub about: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

const fn key(code: KeyCode, modifiers: KeyModifiers, action: Action, about: &'static str) -> Binding {
    Binding { code, modifiers, action, about }
}

const fn ctrl(letter: char, action: Action, about: &'static str) -> Binding {
    key(KeyCode::Char(letter), CTRL, action, about)
}

const fn alt(letter: char, action: Action, about: &'static str) -> Binding {
    key(KeyCode::Char(letter), ALT, action, about)
}

/// Every key that is not text.
pub const BINDINGS: &[Binding] = &[
    key(KeyCode::Enter, NONE, Action::Send, "Enter|send"),
    key(KeyCode::Enter, ALT, Action::Newline, "Alt-Enter, Ctrl-J, or `\\` at the end|a new line"),
    key(KeyCode::Enter, KeyModifiers::SHIFT, Action::Newline, ""),
    ctrl('j', Action::Newline, ""),
    key(KeyCode::Esc, NONE, Action::Back, "Esc|close what is open, or stop the answer"),
    ctrl('c', Action::Interrupt, "Ctrl-C|stop the answer; twice when nothing runs: leave"),
    ctrl('d', Action::DeleteOrLeave, "Ctrl-D|leave, with an empty input"),
    key(KeyCode::Tab, NONE, Action::Menu, "Tab|complete; with an empty input: all commands"),
    key(KeyCode::Up, NONE, Action::Up, "Up, Down|move; at the edges: earlier inputs"),
    key(KeyCode::Down, NONE, Action::Down, ""),
    key(KeyCode::PageUp, NONE, Action::PageUp, "PgUp, PgDn|scroll by a screen"),
    key(KeyCode::PageDown, NONE, Action::PageDown, ""),
    key(KeyCode::Up, ALT, Action::RowUp, "Alt-Up, Alt-Down|scroll by a row"),
    key(KeyCode::Down, ALT, Action::RowDown, ""),
    key(KeyCode::Up, CTRL, Action::RowUp, ""),
    key(KeyCode::Down, CTRL, Action::RowDown, ""),
    key(KeyCode::Home, NONE, Action::LineStart, "Home, End|ends of the line; with an empty input: of the chat"),
    key(KeyCode::End, NONE, Action::LineEnd, ""),
    key(KeyCode::Home, CTRL, Action::Top, ""),
    key(KeyCode::End, CTRL, Action::Bottom, ""),
    key(KeyCode::Home, ALT, Action::Top, ""),
    key(KeyCode::End, ALT, Action::Bottom, ""),
    key(KeyCode::Left, NONE, Action::Left, ""),
    key(KeyCode::Right, NONE, Action::Right, ""),
    key(KeyCode::Left, ALT, Action::WordLeft, "Alt-Left, Alt-Right|by words"),
    key(KeyCode::Right, ALT, Action::WordRight, ""),
    key(KeyCode::Left, CTRL, Action::WordLeft, ""),
    key(KeyCode::Right, CTRL, Action::WordRight, ""),
    alt('b', Action::WordLeft, ""),
    alt('f', Action::WordRight, ""),
    ctrl('a', Action::LineStart, ""),
    ctrl('e', Action::LineEnd, ""),
    ctrl('b', Action::Left, ""),
    ctrl('f', Action::Right, ""),
    key(KeyCode::Backspace, NONE, Action::Backspace, ""),
    key(KeyCode::Backspace, KeyModifiers::SHIFT, Action::Backspace, ""),
    ctrl('h', Action::Backspace, ""),
    key(KeyCode::Delete, NONE, Action::Delete, ""),
    key(KeyCode::Backspace, ALT, Action::DeleteWordLeft, "Alt-Backspace, Ctrl-W|delete a word"),
    key(KeyCode::Backspace, CTRL, Action::DeleteWordLeft, ""),
    ctrl('w', Action::DeleteWordLeft, ""),
    alt('d', Action::DeleteWordRight, ""),
    ctrl('u', Action::DeleteToStart, "Ctrl-U, Ctrl-K|delete to the start, to the end of the line"),
    ctrl('k', Action::DeleteToEnd, ""),
    alt('t', Action::Thinking, "Alt-T|unfold or fold thinking and long messages"),
    ctrl('t', Action::Thinking, ""),
    alt('r', Action::Regenerate, "Alt-R|answer again"),
    ctrl('r', Action::Regenerate, ""),
    alt('n', Action::New, "Alt-N|a new conversation"),
    ctrl('n', Action::New, ""),
    alt('s', Action::Sessions, "Alt-S|all conversations"),
    ctrl('o', Action::Sessions, ""),
    alt('c', Action::CopyAnswer, "Alt-C|copy the last answer"),
    ctrl('y', Action::CopyAnswer, ""),
    alt('a', Action::Apply, "Alt-A|put the code of the last answer into files"),
    alt(',', Action::BranchBefore, "Alt-, and Alt-.|the branch before, the branch after"),
    alt('.', Action::BranchAfter, ""),
    alt('e', Action::Editor, "Alt-E, F2|to the editor and back"),
    key(KeyCode::F(2), NONE, Action::Editor, ""),
    alt('o', Action::OpenFile, "Alt-O|edit the file an answer named last, or choose one"),
    alt('l', Action::SearchFiles, "Alt-L|search all files of the folder"),
    alt('x', Action::Regex, "Alt-X|in that search: a regular expression, or not"),
    alt('h', Action::Help, "Alt-H, F1|help"),
    key(KeyCode::F(1), NONE, Action::Help, ""),
    ctrl('l', Action::Redraw, "Ctrl-L|redraw the screen"),
    ctrl('z', Action::Suspend, "Ctrl-Z|stop, and go on with `fg`"),
];

/// What a key asks for; text asks for nothing.
pub fn action(event: &KeyEvent) -> Option<Action> {
    // phones' keyboards send capitals and Shift at will
    let code = match event.code {
        KeyCode::Char(c) => KeyCode::Char(c.to_ascii_lowercase()),
        KeyCode::BackTab => KeyCode::Up,
        other => other,
    };
    let modifiers = match event.code {
        KeyCode::Char(_) => event.modifiers.difference(KeyModifiers::SHIFT),
        KeyCode::BackTab => NONE,
        _ => event.modifiers,
    };
    if matches!(code, KeyCode::Char(_)) && modifiers.is_empty() {
        return None;
    }
    let found = |wanted: KeyModifiers| BINDINGS.iter().find(|b| b.code == code && b.modifiers == wanted);
    let plain = modifiers.difference(KeyModifiers::SHIFT);
    found(modifiers).or_else(|| found(plain)).map(|binding| binding.action)
}

/// The character that a key types.
pub fn typed(event: &KeyEvent) -> Option<char> {
    let KeyCode::Char(c) = event.code else { return None };
    let modifiers = event.modifiers.difference(KeyModifiers::SHIFT);
    // AltGr arrives as both
    (modifiers.is_empty() || modifiers == CTRL.union(ALT)).then_some(c).filter(|c| !c.is_control())
}

impl App {
    pub(crate) fn on_key(&mut self, event: KeyEvent, out: &mut Out) {
        if event.kind == KeyEventKind::Release {
            return;
        }
        self.notices.age(self.clock);
        self.composer.restored = false;
        let action = action(&event);
        if action != Some(Action::Interrupt) {
            self.leave_armed = false;
        }
        if self.overlay.is_some() && self.overlay_key(action, typed(&event), out) {
            return;
        }
        if self.pane == super::Pane::Editor && self.overlay.is_none() {
            return self.editor_key(event, out);
        }
        match action {
            Some(action) => self.act(action, out),
            None => {
                if let Some(c) = typed(&event) {
                    let mut bytes = [0; 4];
                    self.composer.buffer.insert(c.encode_utf8(&mut bytes));
                    self.follow_input(out);
                }
            }
        }
    }

    fn act(&mut self, action: Action, out: &mut Out) {
        let empty = self.composer.buffer.is_empty();
        match action {
            Action::Send => self.send(out),
            Action::Newline => {
                self.composer.buffer.insert("\n");
                self.follow_input(out);
            }
            Action::Back => self.back(out),
            Action::Interrupt => self.interrupt(out),
            Action::DeleteOrLeave if empty => self.leave(out),
            Action::DeleteOrLeave => self.composer.buffer.delete(),
            Action::Menu if self.complete_path(out) => {}
            Action::Menu => {
                if empty {
                    self.composer.buffer.insert("/");
                }
                self.composer.dismissed = false;
                self.follow_input(out);
            }
            Action::PageUp => out.push(Effect::Scroll(Move::Pages(-1))),
            Action::PageDown => out.push(Effect::Scroll(Move::Pages(1))),
            Action::RowUp => out.push(Effect::Scroll(Move::Rows(-1))),
            Action::RowDown => out.push(Effect::Scroll(Move::Rows(1))),
            Action::Top => out.push(Effect::Scroll(Move::Top)),
            Action::Bottom => out.push(Effect::Scroll(Move::Bottom)),
            Action::LineStart if empty => out.push(Effect::Scroll(Move::Top)),
            Action::LineEnd if empty => out.push(Effect::Scroll(Move::Bottom)),
            Action::Thinking => self.command_by_key("thinking", out),
            Action::Regenerate => self.command_by_key("regenerate", out),
            Action::New => self.command_by_key("new", out),
            Action::Sessions => self.command_by_key("sessions", out),
            Action::CopyAnswer => self.command_by_key("copy", out),
            Action::Apply => self.command_by_key("apply", out),
            Action::BranchBefore | Action::BranchAfter => {
                self.notices.clear();
                self.walk_branches(if action == Action::BranchBefore { -1 } else { 1 }, out);
            }
            Action::Editor => self.show_editor(out),
            Action::OpenFile => self.open_named(out),
            Action::SearchFiles => self.command_by_key("search", out),
            Action::Help => self.command_by_key("help", out),
            Action::Suspend => out.push(Effect::Suspend),
            Action::Redraw => out.push(Effect::Redraw),
            editing => {
                self.edit_input(editing);
                self.follow_input(out);
            }
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
        } else if self.answer.is_some() {
            self.stop_answer(out);
        } else if self.composer.editing.take().is_some() {
            self.composer.buffer.take();
            self.tell(super::msg::Level::Info, "edit cancelled");
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
        } else if self.is_open() || self.outgoing.is_some() || self.answer.is_some() {
            self.back(out);
        } else {
            let text = self.composer.buffer.take();
            if self.composer.history.push(&text) {
                out.push(Effect::Remember(text));
            }
            self.composer.editing = None;
            self.leave_armed = true;
            self.tell(super::msg::Level::Info, "Ctrl-C again quits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for (n, one) in BINDINGS.iter().enumerate() {
            let twice = BINDINGS[..n].iter().any(|other| other.code == one.code && other.modifiers == one.modifiers);
            assert!(!twice, "{one:?}");
        }
    }

    #[test]
    fn shifted_letters_with_alt_are_the_same_key() {
        let event = KeyEvent::new(KeyCode::Char('T'), ALT | KeyModifiers::SHIFT);
        assert_eq!(action(&event), Some(Action::Thinking));
        assert_eq!(typed(&event), None);
        assert_eq!(typed(&KeyEvent::new(KeyCode::Char('T'), KeyModifiers::SHIFT)), Some('T'));
        assert_eq!(typed(&KeyEvent::new(KeyCode::Char('@'), CTRL | ALT)), Some('@'));
    }

    #[test]
    fn everything_is_reachable_without_control() {
        for binding in BINDINGS.iter().filter(|binding| binding.modifiers == CTRL) {
            let other = BINDINGS.iter().any(|b| b.action == binding.action && b.modifiers != CTRL);
            let by_command = matches!(binding.action, Action::Interrupt | Action::DeleteOrLeave | Action::Redraw)
                || matches!(binding.action, Action::Suspend | Action::DeleteToStart | Action::DeleteToEnd);
            assert!(other || by_command, "{binding:?}");
        }
    }
}

//! What a key does to the file that is shown.

use crossterm::event::KeyEvent;

use super::REST;
use super::bar::Bar;
use super::ghost::Ghost;
use super::msg::EditorEffect;
use crate::app::field::Field;
use crate::app::keymap::{Command, Context, Pressed};
use crate::app::msg::{Effect, Level, Move};
use crate::app::{App, Out, Pane};
use crate::text::document::moves::Motion;
use crate::text::document::{Edit, Selection};
use crate::text::graphemes;

impl App {
    /// A key while the editor has the keyboard.
    pub(crate) fn editor_key(&mut self, event: KeyEvent, out: &mut Out) {
        if self.bar_key(event, out) {
            self.after_key(out);
            return;
        }
        self.look_again(out);
        match Context::Editor.pressed(&event) {
            Pressed::Command(command) => {
                let had_ghost = self.editor.ghost.is_some();
                if command == Command::NewLine && had_ghost {
                    self.break_line_along(out);
                    return self.after_key(out);
                }
                let suggests = matches!(command, Command::Suggest)
                    || (had_ghost && matches!(command, Command::Tab | Command::Word | Command::Line));
                if !suggests {
                    self.editor.dismiss(out);
                }
                self.act_on_file(command, had_ghost, out);
            }
            Pressed::Typed(c) => self.type_char(c, out),
            Pressed::Nothing => {}
        }
        self.after_key(out);
    }

    /// After a rest, somebody else may have changed what is on disk; few terminals say when they have the keyboard again.
    fn look_again(&mut self, out: &mut Out) {
        let before = std::mem::replace(&mut self.editor.last_key, self.clock);
        if self.clock.saturating_sub(before) > REST {
            self.check_files(out);
        }
    }

    fn after_key(&mut self, out: &mut Out) {
        self.keep_fresh(out);
        self.follow_cursor();
    }

    /// Whether the file may not be changed; says why.
    pub(super) fn refuses_edit(&mut self) -> bool {
        let why = self.editor.file().and_then(|file| file.read_only.clone());
        if let Some(why) = &why {
            self.tell(Level::Warning, format!("read only: {why}"));
        }
        why.is_some() || self.editor.files.is_empty()
    }

    fn type_char(&mut self, c: char, out: &mut Out) {
        if self.refuses_edit() {
            return;
        }
        let ghost = self.editor.ghost.take();
        // a suggestion that says the bracket brings its other end itself
        let proposed = ghost.as_ref().is_some_and(|ghost| ghost.text().starts_with(c));
        let closes = self.settings.editor.close_brackets && !proposed;
        let Some(file) = self.editor.file_mut() else { return };
        file.marking = false;
        if closes {
            file.document.type_closing(c);
        } else {
            file.document.type_char(c);
        }
        let along = ghost.as_ref().is_some_and(|ghost| ghost.at + 1 == file.document.cursor());
        self.went_along(ghost, along.then_some(c.encode_utf8(&mut [0; 4])), out);
    }

    /// Enter while a suggestion is shown, which may say just that.
    fn break_line_along(&mut self, out: &mut Out) {
        if self.refuses_edit() {
            return;
        }
        let ghost = self.editor.ghost.take();
        let Some(file) = self.editor.file_mut() else { return };
        file.marking = false;
        let document = &mut file.document;
        let before = document.rope().len_chars();
        document.line_break();
        let came = document.rope().len_chars() - before;
        let put = ghost.as_ref().and_then(|ghost| {
            // all that came stands before the cursor, where it was
            let whole = document.cursor() == ghost.at + came;
            whole.then(|| graphemes::text(document.rope(), ghost.at, document.cursor()).replace("\r\n", "\n"))
        });
        self.went_along(ghost, put.as_deref(), out);
    }

    /// Something was typed over a suggestion: `put`, if it stands where the suggestion was.
    fn went_along(&mut self, ghost: Option<Ghost>, put: Option<&str>, out: &mut Out) {
        let now = self.clock;
        let Some(file) = self.editor.file() else { return };
        let (at, revision) = (file.document.cursor(), file.document.revision());
        let came_true = ghost.as_ref().map(|ghost| put == Some(ghost.text()));
        self.editor.ghost = ghost.and_then(|ghost| ghost.type_through(put?, at, revision));
        if self.editor.ghost.is_none() {
            if let Some(came_true) = came_true {
                self.editor.suggest.pace.shown(came_true);
                out.push(Effect::CancelSuggest);
            }
            self.editor.dismiss(out);
            self.editor.await_pause(now);
        }
    }

    /// Pasted text, while the editor has the keyboard.
    pub(crate) fn paste_into_file(&mut self, text: &str, out: &mut Out) {
        if let Some(field) = self.editor.bar.as_mut().and_then(Bar::field) {
            field.insert(text);
            self.seek();
        } else if self.editor.bar.is_none() && !self.refuses_edit() {
            self.editor.dismiss(out);
            let own = text == self.editor.clipboard;
            if let Some(file) = self.editor.file_mut() {
                file.marking = false;
                if own { file.document.insert_verbatim(text) } else { file.document.insert(text) }
            }
        }
        self.after_key(out);
    }

    fn act_on_file(&mut self, command: Command, had_ghost: bool, out: &mut Out) {
        match command {
            Command::OtherPane => self.show_chat(),
            Command::Help => self.open_guide("editor", false),
            Command::Quit => self.leave(out),
            Command::Redraw => out.push(Effect::Redraw),
            Command::Open => self.open_picker(out),
            Command::Save => self.save_current(false, out),
            Command::CloseFile => self.close_current(out),
            Command::NextFile => self.walk_files(1, out),
            Command::PreviousFile => self.walk_files(-1, out),
            Command::Find => self.open_find(false),
            Command::Replace => self.open_find(true),
            Command::FindNext => self.step(true),
            Command::FindPrevious => self.step(false),
            Command::GoToLine => self.editor.bar = Some(Bar::Line(Field::default())),
            Command::SearchFiles => self.search_selected(out),
            Command::Suggest => self.suggest_key(out),
            Command::Tab if had_ghost => self.accept_seen(),
            Command::Word if had_ghost => self.accept(Ghost::accept_word),
            Command::Line if had_ghost => self.accept(Ghost::accept_line),
            Command::Word => self.go(Motion::WordRight, false),
            Command::Line => self.scroll_text(1, out),
            Command::Scroll(Move::Rows(by)) => self.scroll_text(by, out),
            Command::Scroll(Move::Pages(by)) => {
                let page = self.editor.file().map_or(1, |file| self.text_size(file).1.saturating_sub(2).max(1));
                self.go(Motion::Rows(by as isize * isize::try_from(page).unwrap_or(1)), false);
            }
            Command::Edit(Edit::Go(motion)) => self.go(motion, false),
            Command::Edit(Edit::Extend(motion)) => self.go(motion, true),
            Command::Back => self.unmark(had_ghost),
            Command::Mark => self.mark(),
            Command::SelectAll => {
                if let Some(file) = self.editor.file_mut() {
                    file.document.select_all();
                }
            }
            Command::Copy => self.copy_selected(out),
            Command::Paste if self.editor.reads_clipboard => out.push(Effect::Editor(EditorEffect::Paste)),
            editing => self.edit_file(editing, out),
        }
    }

    fn go(&mut self, motion: Motion, extend: bool) {
        let Some(width) = self.editor.file().map(|file| self.text_size(file).0) else { return };
        if let Some(file) = self.editor.file_mut() {
            let extend = extend || file.marking;
            file.document.go(motion, width, extend);
        }
    }

    fn mark(&mut self) {
        let Some(file) = self.editor.file_mut() else { return };
        file.marking = !file.marking;
        if file.marking && file.document.selection().is_empty() {
            self.tell(Level::Info, "selecting; Esc ends it");
        }
    }

    /// Esc: the suggestion went already; else the mark and the selection go, else the notices.
    fn unmark(&mut self, had_ghost: bool) {
        let Some(file) = self.editor.file_mut().filter(|_| !had_ghost) else { return };
        let marked = file.marking || !file.document.selection().is_empty();
        file.marking = false;
        let cursor = file.document.cursor();
        file.document.select(Selection::at(cursor));
        if !marked {
            self.notices.clear();
        }
    }

    fn copy_selected(&mut self, out: &mut Out) {
        let Some(file) = self.editor.file_mut() else { return };
        file.marking = false;
        let text = file.document.copied();
        self.put_on_clipboard(text, out);
    }

    fn put_on_clipboard(&mut self, text: String, out: &mut Out) {
        if !text.is_empty() {
            self.editor.clipboard.clone_from(&text);
            out.push(Effect::Copy { text, what: "the selection".into() });
        }
    }

    fn edit_file(&mut self, command: Command, out: &mut Out) {
        if self.refuses_edit() {
            return;
        }
        let clipboard = self.editor.clipboard.clone();
        let now = self.clock;
        let pairs = self.settings.editor.close_brackets;
        let Some(file) = self.editor.file_mut() else { return };
        file.marking = false;
        let document = &mut file.document;
        let mut cut = None;
        let mut trouble = None;
        match command {
            Command::NewLine => document.line_break(),
            Command::Tab => document.tab(),
            Command::Indent => document.shift(true),
            Command::Outdent => document.shift(false),
            Command::DeleteLines => document.delete_lines(),
            Command::Comment if !document.comment() => trouble = Some("no comment style is known for this language"),
            Command::Cut => cut = Some(document.cut()),
            Command::Paste => document.insert_verbatim(&clipboard),
            Command::Edit(Edit::Backspace) if pairs => document.backspace_closing(),
            // no motion comes here: how wide rows are does not matter
            Command::Edit(edit) if !document.perform(edit, usize::MAX) => {
                trouble = Some(if edit == Edit::Undo { "nothing to undo" } else { "nothing to redo" });
            }
            _ => {}
        }
        if let Some(text) = cut {
            self.put_on_clipboard(text, out);
        }
        if let Some(text) = trouble {
            self.tell(Level::Info, text);
        }
        let shortens = matches!(command, Command::Edit(Edit::Backspace | Edit::Delete | Edit::DeleteWordLeft));
        if shortens || matches!(command, Command::NewLine | Command::Tab) {
            self.editor.await_pause(now);
        }
    }

    /// To the chat.
    pub(crate) fn show_chat(&mut self) {
        self.pane = Pane::Chat;
    }
}

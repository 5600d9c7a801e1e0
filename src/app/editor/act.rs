//! What a key does to the file that is shown.

use crossterm::event::KeyEvent;

use super::REST;
use super::bar::Bar;
use super::ghost::Ghost;
use super::keys::{self, Act};
use super::msg::EditorEffect;
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out, Pane};
use crate::text::buffer::Buffer;
use crate::text::document::Selection;
use crate::text::document::moves::Motion;
use crate::text::graphemes;

impl App {
    /// A key while the editor has the keyboard.
    pub(crate) fn editor_key(&mut self, event: KeyEvent, out: &mut Out) {
        if self.bar_key(event, out) {
            self.after_key(out);
            return;
        }
        self.look_again(out);
        let typed = crate::app::keys::typed(&event);
        match keys::act(&event) {
            Some(act) => {
                let had_ghost = self.editor.ghost.is_some();
                if act == Act::LineBreak && had_ghost {
                    self.break_line_along(out);
                    return self.after_key(out);
                }
                let suggests =
                    matches!(act, Act::Suggest) || (had_ghost && matches!(act, Act::Tab | Act::Word | Act::Line));
                if !suggests {
                    self.editor.dismiss(out);
                }
                self.act_on_file(act, had_ghost, out);
            }
            None => {
                if let Some(c) = typed {
                    self.type_char(c, out);
                }
            }
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
            field.insert(&text.replace(['\n', '\r'], " "));
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

    fn act_on_file(&mut self, act: Act, had_ghost: bool, out: &mut Out) {
        match act {
            Act::Chat => self.show_chat(),
            Act::Help => self.open_guide("editor", false),
            Act::Leave => self.leave(out),
            Act::Redraw => out.push(Effect::Redraw),
            Act::Open => self.open_picker(out),
            Act::Save => self.save_current(false, out),
            Act::Close => self.close_current(out),
            Act::NextFile => self.walk_files(1, out),
            Act::PreviousFile => self.walk_files(-1, out),
            Act::Find => self.open_find(false),
            Act::Replace => self.open_find(true),
            Act::FindNext => self.step(true),
            Act::FindPrevious => self.step(false),
            Act::GoToLine => self.editor.bar = Some(Bar::Line(Buffer::default())),
            Act::SearchFiles => self.search_selected(out),
            Act::Suggest => self.suggest_key(out),
            Act::Tab if had_ghost => self.accept_seen(),
            Act::Word if had_ghost => self.accept(Ghost::accept_word),
            Act::Line if had_ghost => self.accept(Ghost::accept_line),
            Act::Word => self.go(Motion::WordRight, false),
            Act::Line => self.scroll_text(1, out),
            Act::RowUp => self.scroll_text(-1, out),
            Act::Move(motion) => self.go(motion, false),
            Act::Extend(motion) => self.go(motion, true),
            Act::Page(by) => {
                let page = self.editor.file().map_or(1, |file| self.text_size(file).1.saturating_sub(2).max(1));
                self.go(Motion::Rows(by * isize::try_from(page).unwrap_or(1)), false);
            }
            Act::Back => self.unmark(had_ghost),
            Act::Mark => self.mark(),
            Act::SelectAll => {
                if let Some(file) = self.editor.file_mut() {
                    file.document.select_all();
                }
            }
            Act::Copy => self.copy_selected(out),
            Act::Paste if self.editor.reads_clipboard => out.push(Effect::Editor(EditorEffect::Paste)),
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

    fn edit_file(&mut self, act: Act, out: &mut Out) {
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
        match act {
            Act::LineBreak => document.line_break(),
            Act::Tab => document.tab(),
            Act::Indent => document.shift(true),
            Act::Outdent => document.shift(false),
            Act::Backspace if pairs => document.backspace_closing(),
            Act::Backspace => document.backspace(),
            Act::Delete => document.delete(),
            Act::DeleteWordLeft => document.delete_word_left(),
            Act::DeleteWordRight => document.delete_word_right(),
            Act::DeleteToStart => document.delete_to_start(),
            Act::DeleteToEnd => document.delete_to_end(),
            Act::DeleteLines => document.delete_lines(),
            Act::Comment if !document.comment() => trouble = Some("no comment style is known for this language"),
            Act::Undo if !document.undo() => trouble = Some("nothing to undo"),
            Act::Redo if !document.redo() => trouble = Some("nothing to redo"),
            Act::Cut => cut = Some(document.cut()),
            Act::Paste => document.insert_verbatim(&clipboard),
            _ => {}
        }
        if let Some(text) = cut {
            self.put_on_clipboard(text, out);
        }
        if let Some(text) = trouble {
            self.tell(Level::Info, text);
        }
        if matches!(act, Act::LineBreak | Act::Tab | Act::Backspace | Act::Delete | Act::DeleteWordLeft) {
            self.editor.await_pause(now);
        }
    }

    /// To the chat.
    pub(crate) fn show_chat(&mut self) {
        self.pane = Pane::Chat;
    }
}

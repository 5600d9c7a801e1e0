//! Files: opened, walked, closed; what is kept of them against a kill. A text is never thrown away without a question, and
//! what a question let go can be undone or stays in a file of its own.

use std::path::PathBuf;

use super::bar::{About, Bar};
use super::msg::{EditorEffect, EditorMsg, FileId, Kept, Opened, Place};
use super::{Editor, KEEP, OpenFile, Then};
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out, Pane};
use crate::text::clean;
use crate::text::document::Document;

/// Files open at once.
const MOST: usize = 32;

const ON_CLOSE: &[(char, &str)] = &[('s', "saves and closes"), ('d', "discards the changes")];
const ON_LEAVE: &[(char, &str)] = &[('s', "saves all and quits"), ('d', "discards the changes")];
const ON_KEPT: &[(char, &str)] = &[('y', "restores them"), ('d', "leaves the file as it is")];

impl App {
    pub(crate) fn on_editor(&mut self, told: EditorMsg, out: &mut Out) {
        match told {
            EditorMsg::Opened(opened) => self.on_opened(*opened, out),
            EditorMsg::Failed(error) => self.show_error(&error),
            EditorMsg::Saved { id, state, stamp } => self.on_saved(id, state, stamp, out),
            EditorMsg::Conflict { id, disk } => self.on_conflict(id, disk),
            EditorMsg::SaveFailed { id, error } => self.on_save_failed(id, &error),
            EditorMsg::Disk { id, disk } => self.on_disk(id, disk, out),
            EditorMsg::Taken { id, disk } => self.on_taken(id, disk, out),
            EditorMsg::SavedAs { id, state, opened } => self.on_saved_as(id, state, *opened, out),
            EditorMsg::Left(names, more) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{}`", clean::one_line(name))).collect();
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let names = names.join(", ");
                let text = format!("unsaved changes in {names}{more}; `/open` restores them");
                self.tell(Level::Warning, text);
            }
            EditorMsg::Focus => self.check_files(out),
            EditorMsg::Clipboard => self.editor.reads_clipboard = true,
            EditorMsg::Paste(text) => {
                let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| self.editor.clipboard.clone());
                self.paste_into_file(&text, out);
            }
            EditorMsg::Suggests(enabled) => {
                self.editor.suggest.enabled = enabled;
                if !enabled {
                    self.editor.dismiss(out);
                }
            }
        }
        self.keep_fresh(out);
        self.follow_cursor();
    }

    /// Milliseconds went by.
    pub(crate) fn editor_time(&mut self, out: &mut Out) {
        self.suggest_if_due(out);
        self.keep_fresh(out);
    }

    /// To the editor: to its file, or to the list of files.
    pub(crate) fn show_editor(&mut self, out: &mut Out) {
        if self.editor.files.is_empty() {
            self.open_picker(out);
            return;
        }
        self.overlay.take_if(|overlay| overlay.is_popup());
        self.pane = Pane::Editor;
        self.check_files(out);
        self.follow_cursor();
    }

    /// Opens what a person typed: `PATH` or `PATH:LINE` or `PATH:LINE:COLUMN`, which only the disk can tell apart.
    pub(crate) fn open_typed(&mut self, typed: &str, out: &mut Out) {
        let path = typed.trim().trim_matches('"').into();
        out.push(Effect::Editor(EditorEffect::Open { path, place: None }));
    }

    fn on_opened(&mut self, opened: Opened, out: &mut Out) {
        self.pane = Pane::Editor;
        self.overlay = None;
        self.editor.dismiss(out);
        if let Some(at) = self.editor.files.iter().position(|file| file.real == opened.real) {
            self.editor.current = at;
            self.visit();
            self.go_to_place(opened.place);
            self.check_files(out);
            return;
        }
        if self.editor.files.len() >= MOST {
            self.tell(Level::Warning, format!("{MOST} files are open; close one first (Alt-W)"));
            return;
        }
        let name = clean::one_line(&opened.name);
        if let Some(why) = &opened.read_only {
            self.tell(Level::Warning, format!("`{name}` is read-only: {why}"));
        } else if opened.stamp.is_none() {
            self.tell(Level::Info, format!("new file `{name}`, created when saved"));
        }
        self.editor.next_id += 1;
        let id = FileId(self.editor.next_id);
        self.editor.files.push(OpenFile {
            id,
            document: Document::from_rope(opened.rope, opened.bom, &opened.name),
            path: opened.path,
            real: opened.real,
            name,
            stamp: opened.stamp,
            read_only: opened.read_only,
            top: 0,
            marking: false,
            saving: None,
            conflict: false,
            kept: false,
            kept_at: 0,
            keep_due: None,
            visited: 0,
        });
        self.editor.current = self.editor.files.len() - 1;
        self.visit();
        self.go_to_place(opened.place);
        self.offer_kept(id, opened.kept);
    }

    /// Offers the first of what was kept; the others after it.
    fn offer_kept(&mut self, id: FileId, mut kept: Vec<Kept>) {
        if kept.is_empty() {
            return;
        }
        let others = kept.split_off(1);
        let Some(kept) = kept.pop() else { return };
        let ago = (self.clock / 1000).saturating_sub(kept.at) / 60;
        let when = match ago {
            0 => "less than a minute".to_owned(),
            1..120 => format!("{ago} min"),
            _ => format!("{} h", ago / 60),
        };
        let base = if kept.same_base { "" } else { " The file was changed since by someone else." };
        let text = format!("Changes from {when} ago were not saved.{base}");
        self.question(About::Kept(id, Box::new(kept), others), text, ON_KEPT);
    }

    fn go_to_place(&mut self, place: Option<Place>) {
        if let (Some(place), Some(file)) = (place, self.editor.file_mut()) {
            file.document.go_to(place.line.saturating_sub(1), place.column.saturating_sub(1));
            // a line that was jumped to stands in the middle
            file.top = file.document.rope().line_to_char(file.document.place().0.saturating_sub(8));
        }
        self.follow_cursor();
    }

    fn visit(&mut self) {
        self.editor.visits += 1;
        let visits = self.editor.visits;
        if let Some(file) = self.editor.file_mut() {
            file.visited = visits;
        }
    }

    pub(super) fn walk_files(&mut self, by: isize, out: &mut Out) {
        let count = self.editor.files.len().max(1) as isize;
        self.editor.current = (self.editor.current as isize + by).rem_euclid(count) as usize;
        self.visit();
        self.check_files(out);
    }

    /// Asks whether files are still what was last seen of them.
    pub(crate) fn check_files(&mut self, out: &mut Out) {
        let known = self.editor.files.iter().filter(|file| file.read_only.is_none() && file.saving.is_none());
        let known: Vec<_> = known.filter_map(|file| Some((file.id, file.path.clone(), file.stamp?))).collect();
        if !known.is_empty() {
            out.push(Effect::Editor(EditorEffect::Check(known)));
        }
    }

    pub(super) fn close_current(&mut self, out: &mut Out) {
        let Some(file) = self.editor.file() else { return };
        let (id, name) = (file.id, file.name.clone());
        if file.is_unsaved() {
            self.question(About::Close(id), format!("`{name}` is not saved."), ON_CLOSE);
        } else {
            self.close(id, out);
        }
    }

    pub(super) fn close(&mut self, id: FileId, out: &mut Out) {
        let Some(at) = self.editor.files.iter().position(|file| file.id == id) else { return };
        self.editor.dismiss(out);
        let file = self.editor.files.remove(at);
        if file.kept {
            out.push(Effect::Editor(EditorEffect::Forget(file.real)));
        }
        if self.editor.current > at || self.editor.current == self.editor.files.len() {
            self.editor.current = self.editor.current.saturating_sub(1);
        }
        if self.editor.files.is_empty() {
            self.pane = Pane::Chat;
        }
        self.visit();
    }

    /// Whether leaving has to wait for an answer; asks then.
    pub(crate) fn asks_before_leaving(&mut self) -> bool {
        let unsaved = self.editor.unsaved();
        if unsaved == 0 || self.editor.drop_all {
            return false;
        }
        self.pane = Pane::Editor;
        self.overlay = None;
        if let Some(at) = self.editor.files.iter().position(OpenFile::is_unsaved) {
            self.editor.current = at;
        }
        let text = match unsaved {
            1 => "A file is not saved.".to_owned(),
            n => format!("{n} files are not saved."),
        };
        self.question(About::Leave, text, ON_LEAVE);
        self.follow_cursor();
        true
    }

    pub(super) fn answered(&mut self, about: About, answer: char, out: &mut Out) {
        match (about, answer) {
            (About::Close(id), 's') => {
                self.editor.then = Some(Then::Close(id));
                self.save(id, false, out);
            }
            (About::Close(id), _) => self.close(id, out),
            (About::Leave, 's') => {
                self.editor.then = Some(Then::Leave);
                let ids: Vec<FileId> =
                    self.editor.files.iter().filter(|file| file.is_unsaved()).map(|file| file.id).collect();
                ids.into_iter().for_each(|id| self.save(id, false, out));
            }
            (About::Leave, _) => {
                self.editor.drop_all = true;
                let kept = self.editor.files.iter().filter(|file| file.kept);
                out.extend(kept.map(|file| Effect::Editor(EditorEffect::Forget(file.real.clone()))));
                self.leave(out);
            }
            (About::Conflict(id), 'r') => {
                if let Some(file) = self.editor.by_id(id) {
                    out.push(Effect::Editor(EditorEffect::TakeDisk { id, path: file.path.clone() }));
                }
            }
            (About::Conflict(_), 'k') => {}
            (About::Conflict(id), _) => self.save(id, true, out),
            (About::Kept(id, kept, _), 'y') => {
                let clock = self.clock;
                if let Some(file) = self.editor.by_id(id) {
                    file.document.become_text(&kept.rope);
                    keep(file, clock, true, out);
                    let (real, record) = (file.real.clone(), kept.record);
                    out.push(Effect::Editor(EditorEffect::Adopted { real, record }));
                }
                self.tell(Level::Info, "unsaved text restored; undo returns to the saved file");
            }
            (About::Kept(id, kept, others), _) => {
                let text = kept.record.with_extension("txt");
                self.tell(Level::Info, format!("their text is in `{}`", clean::one_line(&text.to_string_lossy())));
                out.push(Effect::Editor(EditorEffect::SetAside(kept.record)));
                self.offer_kept(id, others);
            }
        }
    }

    /// Esc to a question. What was kept stays kept: the question comes again when the file is opened again.
    pub(super) fn unanswered(&mut self, about: About, out: &mut Out) {
        match about {
            About::Kept(id, ..) => {
                self.close(id, out);
                self.tell(Level::Info, "the changes are still kept; opening the file asks again");
            }
            About::Close(_) | About::Leave | About::Conflict(_) => {}
        }
    }

    /// Has what was typed since the last time kept, if it is time.
    pub(crate) fn keep_fresh(&mut self, out: &mut Out) {
        if self.editor.drop_all {
            return;
        }
        let now = self.clock;
        for file in &mut self.editor.files {
            keep(file, now, false, out);
        }
    }

    /// The same at the end of the program, at once.
    pub(crate) fn keep_all(&mut self, out: &mut Out) {
        if self.editor.drop_all {
            return;
        }
        for file in &mut self.editor.files {
            keep(file, self.clock, true, out);
        }
    }
}

pub(super) fn keep(file: &mut OpenFile, now: u64, at_once: bool, out: &mut Out) {
    if !file.document.has_fresh() {
        return;
    }
    if !file.is_unsaved() {
        // undone back to what is on disk: there is nothing to keep
        file.document.take_fresh();
        file.keep_due = None;
        if std::mem::take(&mut file.kept) {
            out.push(Effect::Editor(EditorEffect::Forget(file.real.clone())));
        }
        return;
    }
    let due = file.kept_at + KEEP;
    if now < due && !at_once {
        file.keep_due = Some(due);
        return;
    }
    file.keep_due = None;
    file.kept_at = now;
    file.kept = true;
    out.push(Effect::Editor(EditorEffect::Keep {
        real: file.real.clone(),
        base: file.stamp,
        rope: file.document.rope().clone(),
        changes: file.document.take_fresh(),
    }));
}

impl Editor {
    /// Whether a question waits for an answer.
    pub fn asks(&self) -> bool {
        matches!(self.bar, Some(Bar::Question(_)))
    }
}

/// `PATH`, `PATH:LINE` or `PATH:LINE:COLUMN`, also as `PATH:LINE-LINE` and `PATH#LLINE`; whoever opens looks first
/// whether a file is called like the whole.
pub fn path_and_place(typed: &str) -> (PathBuf, Option<Place>) {
    let number = |text: &str| text.split('-').next()?.parse::<usize>().ok();
    let hash = typed.rsplit_once("#L").map(|(rest, last)| (rest, last.split('-').next().unwrap_or(last)));
    let Some((rest, last)) = hash.or_else(|| typed.rsplit_once(':')) else { return (typed.into(), None) };
    let Some(last) = number(last).filter(|_| !rest.is_empty()) else { return (typed.into(), None) };
    match rest.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?))) {
        Some((path, line)) if !path.is_empty() => (path.into(), Some(Place { line, column: last })),
        _ => (rest.into(), Some(Place { line: last, column: 1 })),
    }
}

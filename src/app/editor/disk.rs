//! A file and the disk: saving, under another name too; what is found there when somebody else wrote it meanwhile. A
//! text that was not changed here follows the disk; one that was is never given up without a question.

use ropey::Rope;

use super::bar::About;
use super::files::keep;
use super::msg::{Disk, EditorEffect, FileId, Opened, Stamp};
use super::{OpenFile, Then};
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out, Pane};
use crate::error::UserError;
use crate::text::clean;
use crate::text::undo::StepId;

const ON_CONFLICT: &[(char, &str)] = &[('r', "loads the file from disk (undo restores yours)"), ('o', "overwrites it")];
const ON_GONE: &[(char, &str)] = &[('o', "writes it again")];
const ON_NO_TEXT: &[(char, &str)] = &[('k', "keeps your text here"), ('o', "overwrites it")];

impl App {
    pub(crate) fn save_current(&mut self, force: bool, out: &mut Out) {
        if self.editor.file().is_some_and(|file| file.read_only.is_some()) {
            self.refuses_edit();
        } else if let Some(id) = self.editor.file().map(|file| file.id) {
            self.save(id, force, out);
        }
    }

    pub(super) fn save(&mut self, id: FileId, force: bool, out: &mut Out) {
        let clock = self.clock;
        let Some(file) = self.editor.by_id(id) else { return };
        if file.read_only.is_some() || file.saving.is_some() {
            return;
        }
        // where a file cannot be replaced in one piece, it is written over: what is kept has it whole
        keep(file, clock, true, out);
        let state = file.document.to_be_saved();
        file.saving = Some(state);
        out.push(Effect::Editor(EditorEffect::Save {
            id,
            path: file.path.clone(),
            rope: file.document.to_be_written(),
            bom: file.document.has_bom(),
            state,
            expected: file.stamp,
            force,
        }));
    }

    /// Saves the text that is shown under another name, which it has from then on.
    pub(crate) fn save_as(&mut self, typed: &str, out: &mut Out) {
        let Some(file) = self.editor.file_mut().filter(|file| file.saving.is_none()) else { return };
        let state = file.document.to_be_saved();
        file.saving = Some(state);
        let (id, path) = (file.id, typed.trim().trim_matches('"').into());
        let (rope, bom) = (file.document.to_be_written(), file.document.has_bom());
        out.push(Effect::Editor(EditorEffect::SaveAs { id, path, rope, bom, state }));
    }

    pub(super) fn on_saved_as(&mut self, id: FileId, state: StepId, opened: Opened, out: &mut Out) {
        let Some(file) = self.editor.by_id(id) else { return };
        if std::mem::take(&mut file.kept) {
            out.push(Effect::Editor(EditorEffect::Forget(file.real.clone())));
        }
        (file.path, file.real, file.name) = (opened.path, opened.real, clean::one_line(&opened.name));
        file.read_only = None;
        if let Some(stamp) = opened.stamp {
            self.on_saved(id, state, stamp, out);
        }
    }

    pub(super) fn on_saved(&mut self, id: FileId, state: StepId, stamp: Stamp, out: &mut Out) {
        let Some(file) = self.editor.by_id(id) else { return };
        file.saving = None;
        file.conflict = false;
        file.stamp = Some(stamp);
        file.document.saved(state);
        let (name, dirty) = (file.name.clone(), file.document.is_dirty());
        if !dirty {
            file.keep_due = None;
            file.document.take_fresh();
            if std::mem::take(&mut file.kept) {
                out.push(Effect::Editor(EditorEffect::Forget(file.real.clone())));
            }
        }
        self.tell(Level::Info, format!("saved `{name}`"));
        match self.editor.then {
            Some(Then::Close(closing)) if closing == id && !dirty => {
                self.editor.then = None;
                self.close(id, out);
            }
            // typed on meanwhile: it is not closed, now or later
            Some(Then::Close(closing)) if closing == id => self.editor.then = None,
            Some(Then::Leave) if self.editor.files.iter().all(|file| file.saving.is_none()) => {
                self.editor.then = None;
                if self.editor.unsaved() == 0 {
                    self.leave(out);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_save_failed(&mut self, id: FileId, error: &UserError) {
        self.editor.then = None;
        if let Some(file) = self.editor.by_id(id) {
            file.saving = None;
        }
        self.show_error(error);
    }

    /// Saving found another file than the one that was read.
    pub(super) fn on_conflict(&mut self, id: FileId, disk: Disk) {
        self.editor.then = None;
        let Some(file) = self.editor.by_id(id) else { return };
        file.saving = None;
        let name = file.name.clone();
        let (text, answers) = match disk {
            Disk::Gone => (format!("`{name}` is no longer on disk."), ON_GONE),
            Disk::Unreadable(why) => {
                let text = format!("`{name}` cannot be read from disk any more: {why}. `/save NAME` saves elsewhere.");
                (text, ON_NO_TEXT)
            }
            Disk::Changed { .. } | Disk::Touched(_) => {
                (format!("`{name}` was changed on disk by someone else."), ON_CONFLICT)
            }
        };
        file.conflict = true;
        if let Some(at) = self.editor.files.iter().position(|file| file.id == id) {
            self.editor.current = at;
            self.pane = Pane::Editor;
        }
        self.question(About::Conflict(id), text, answers);
    }

    /// A look at the disk found something. A text that was not changed here follows the disk, as an edit.
    pub(super) fn on_disk(&mut self, id: FileId, disk: Disk, out: &mut Out) {
        let Some(file) = self.editor.by_id(id) else { return };
        let name = file.name.clone();
        match disk {
            Disk::Touched(stamp) => file.stamp = Some(stamp),
            Disk::Changed { rope, bom, stamp } if !file.document.is_dirty() => {
                follow(file, &rope, bom, stamp, out);
                self.editor.dismiss(out);
                self.tell(
                    Level::Info,
                    format!("`{name}` changed on disk and was reloaded; undo restores your version"),
                );
            }
            Disk::Changed { .. } if !file.conflict => {
                file.conflict = true;
                self.tell(Level::Warning, format!("`{name}` was changed on disk too; saving will ask what to do"));
            }
            Disk::Gone if !file.conflict => {
                file.conflict = true;
                file.document.unsaved();
                self.tell(Level::Warning, format!("`{name}` is no longer on disk; saving puts it back"));
            }
            Disk::Unreadable(why) if !file.conflict => {
                file.conflict = true;
                file.document.unsaved();
                self.tell(Level::Warning, format!("`{name}` cannot be read from disk any more: {why}"));
            }
            Disk::Changed { .. } | Disk::Gone | Disk::Unreadable(_) => {}
        }
    }

    /// The person chose the disk's text.
    pub(super) fn on_taken(&mut self, id: FileId, disk: Disk, out: &mut Out) {
        let Some(file) = self.editor.by_id(id) else { return };
        match disk {
            Disk::Changed { rope, bom, stamp } => {
                file.conflict = false;
                follow(file, &rope, bom, stamp, out);
                self.editor.dismiss(out);
                self.tell(Level::Info, "loaded from disk; undo restores your text");
            }
            // nothing to take, or nothing that can be: what is here stays, and stays unsaved
            other => self.on_conflict(id, other),
        }
    }
}

/// The document becomes what is on disk, by an edit that can be undone; what was kept of the text before goes.
fn follow(file: &mut OpenFile, rope: &Rope, bom: bool, stamp: Stamp, out: &mut Out) {
    file.document.become_text(rope);
    file.document.set_bom(bom);
    let state = file.document.to_be_saved();
    file.document.saved(state);
    file.document.take_fresh();
    file.keep_due = None;
    file.stamp = Some(stamp);
    if std::mem::take(&mut file.kept) {
        out.push(Effect::Editor(EditorEffect::Forget(file.real.clone())));
    }
}

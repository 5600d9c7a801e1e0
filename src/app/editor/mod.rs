//! The editor: the files that are open, the bar for finding and answering, what is proposed at the cursor. Pure, as all of
//! `app`: what touches the disk leaves as an [`EditorEffect`](msg::EditorEffect) and comes back as an
//! [`EditorMsg`](msg::EditorMsg).
//!
//! | file | what it is for |
//! |---|---|
//! | [`msg`] | what it is told and what it wants |
//! | `act` | what a key does to a file |
//! | `bar` | find, replace, go to a line, questions |
//! | `files` | opening, walking, closing, what is kept against a kill |
//! | `disk` | saving, what somebody else changed on disk |
//! | [`ghost`], [`suggest`] | text that is proposed, and when it is asked for |
//! | [`view`] | which rows belong to what; keeping the cursor in sight |

mod act;
pub mod bar;
mod disk;
pub mod files;
pub mod ghost;
pub mod msg;
pub mod suggest;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;

use std::path::PathBuf;

use crate::text::document::Document;
use crate::text::undo::StepId;
use bar::Bar;
use ghost::Ghost;
use msg::{FileId, Stamp};
use suggest::Suggest;

/// What was typed is kept after so many milliseconds at the latest.
const KEEP: u64 = 700;
/// Milliseconds without a key after which files are looked at again.
const REST: u64 = 3000;

/// A file that is open.
#[derive(Clone, Debug)]
pub struct OpenFile {
    /// Its name in messages.
    pub id: FileId,
    /// Where it is saved.
    pub path: PathBuf,
    /// The same without links.
    pub real: PathBuf,
    /// As the person reads it.
    pub name: String,
    /// The text.
    pub document: Document,
    /// What was last seen on disk; `None`: it was not there.
    pub stamp: Option<Stamp>,
    /// Why it may only be read.
    pub read_only: Option<String>,
    /// The first character of the row at the top.
    pub top: usize,
    /// Every movement extends the selection.
    pub marking: bool,
    /// It is being written, and this is the state.
    saving: Option<StepId>,
    /// The disk has another text, and the person knows.
    pub(crate) conflict: bool,
    /// Something of it is kept outside.
    kept: bool,
    /// When it was last kept, and when it must be.
    kept_at: u64,
    keep_due: Option<u64>,
    /// Counts visits: the higher, the later.
    pub(crate) visited: u64,
}

impl OpenFile {
    /// Whether closing it would lose something.
    pub fn is_unsaved(&self) -> bool {
        self.read_only.is_none() && self.document.is_dirty()
    }
}

/// What follows when everything is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Close(FileId),
    Leave,
}

/// The state of the editor.
#[derive(Debug, Default)]
pub struct Editor {
    /// The files, in the order they were opened.
    pub files: Vec<OpenFile>,
    /// The one that is shown.
    pub current: usize,
    /// What is asked at the foot.
    pub bar: Option<Bar>,
    /// What is proposed.
    pub ghost: Option<Ghost>,
    /// When it is asked for.
    pub suggest: Suggest,
    /// What was cut or copied.
    pub clipboard: String,
    /// The system's clipboard can be read.
    pub(crate) reads_clipboard: bool,
    /// What was last looked for, and whether it was an expression.
    pub(crate) sought: Option<(String, bool)>,
    then: Option<Then>,
    /// The person leaves without saving.
    drop_all: bool,
    next_id: u64,
    visits: u64,
    /// When a key was pressed last.
    last_key: u64,
}

impl Editor {
    /// The file that is shown.
    pub fn file(&self) -> Option<&OpenFile> {
        self.files.get(self.current)
    }

    pub(crate) fn file_mut(&mut self) -> Option<&mut OpenFile> {
        self.files.get_mut(self.current)
    }

    fn by_id(&mut self, id: FileId) -> Option<&mut OpenFile> {
        self.files.iter_mut().find(|file| file.id == id)
    }

    /// Files that closing would lose something of.
    pub fn unsaved(&self) -> usize {
        self.files.iter().filter(|file| file.is_unsaved()).count()
    }

    pub(crate) fn wakes_at(&self) -> Option<u64> {
        let keep = self.files.iter().filter_map(|file| file.keep_due);
        keep.chain(self.suggest.wakes_at()).min()
    }
}

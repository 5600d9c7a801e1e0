//! What the editor is told and what it wants done outside.

use std::path::PathBuf;

use ropey::Rope;

use crate::error::UserError;
use crate::text::change::Change;
use crate::text::undo::StepId;

/// Names an open file; never twice the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// What was seen of a file on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970.
    pub modified: u128,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub hash: [u8; 32],
}

/// A place in a file, from 1; the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Where it is saved.
    pub path: PathBuf,
    /// The same without links: what tells files apart.
    pub real: PathBuf,
    /// As the person reads it: relative to the folder where it is inside.
    pub name: String,
    /// Its text, without the mark at its start.
    pub rope: Rope,
    /// Whether it begins with a mark.
    pub bom: bool,
    /// What it is on disk; `None`: it is not there yet.
    pub stamp: Option<Stamp>,
    /// Why it may only be read.
    pub read_only: Option<String>,
    /// What was typed and not saved before ends that nobody wanted, the newest first.
    pub kept: Vec<Kept>,
    /// Where to go.
    pub place: Option<Place>,
}

/// A text that outlived its program.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The text.
    pub rope: Rope,
    /// Seconds since 1970.
    pub at: u64,
    /// The file is still what it was when the text was typed.
    pub same_base: bool,
    /// Where it is kept.
    pub record: PathBuf,
}

/// How a file on disk compares with what was last seen of it.
#[derive(Clone, Debug)]
pub enum Disk {
    /// Not as before: its new content.
    Changed {
        /// The text, without the mark.
        rope: Rope,
        /// Whether it begins with a mark.
        bom: bool,
        /// What it is now.
        stamp: Stamp,
    },
    /// It has other times, and the same bytes.
    Touched(Stamp),
    /// It is not there any more.
    Gone,
    /// It is no text any more, or cannot be read.
    Unreadable(String),
}

/// What the editor is told.
#[derive(Debug)]
pub enum EditorMsg {
    /// Answers [`EditorEffect::Open`].
    Opened(Box<Opened>),
    /// It could not be opened.
    Failed(UserError),
    /// Answers [`EditorEffect::Save`].
    Saved {
        /// Which.
        id: FileId,
        /// The state that is on disk now.
        state: StepId,
        /// What it is on disk.
        stamp: Stamp,
    },
    /// It was not saved: the file is not what was last seen of it.
    Conflict {
        /// Which.
        id: FileId,
        /// What it is now.
        disk: Disk,
    },
    /// It was not saved.
    SaveFailed {
        /// Which.
        id: FileId,
        /// Why.
        error: UserError,
    },
    /// Answers [`EditorEffect::Check`] for a file that is not what it was.
    Disk {
        /// Which.
        id: FileId,
        /// What it is now.
        disk: Disk,
    },
    /// Answers [`EditorEffect::TakeDisk`].
    Taken {
        /// Which.
        id: FileId,
        /// What it is.
        disk: Disk,
    },
    /// Answers [`EditorEffect::SaveAs`]: from now on it is this file.
    SavedAs {
        /// Which.
        id: FileId,
        /// The state that is on disk now.
        state: StepId,
        /// What it is now, its text and place left out.
        opened: Box<Opened>,
    },
    /// Files of this folder with texts that outlived their program, and how many more there are.
    Left(Vec<String>, usize),
    /// The terminal has the keyboard again.
    Focus,
    /// The system's clipboard can be read: pasting asks for it with [`EditorEffect::Paste`].
    Clipboard,
    /// Answers [`EditorEffect::Paste`]; `None`: it could not be read, and what was copied here is pasted.
    Paste(Option<String>),
    /// Whether someone answers [`crate::app::msg::Effect::Suggest`].
    Suggests(bool),
}

/// What the editor wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum EditorEffect {
    /// Read a file, or begin a new one. Answered by `Opened` or `Failed`.
    Open {
        /// Its path, relative to the folder or not.
        path: PathBuf,
        /// Where to go in it.
        place: Option<Place>,
    },
    /// Open the first of these that is a file inside the folder: nobody typed them.
    OpenNamed(Vec<(PathBuf, Option<Place>)>),
    /// Write a file in one piece, keeping mode and links. Answered by `Saved`, `Conflict` or `SaveFailed`.
    Save {
        /// Which.
        id: FileId,
        /// Where to.
        path: PathBuf,
        /// The text.
        rope: Rope,
        /// Whether it begins with a mark.
        bom: bool,
        /// Names what is saved.
        state: StepId,
        /// What must be there; `None`: nothing.
        expected: Option<Stamp>,
        /// Write whatever is there.
        force: bool,
    },
    /// Write a text to a file that is not there yet. Answered by `SavedAs` or `SaveFailed`.
    SaveAs {
        /// Which.
        id: FileId,
        /// Where to, as typed.
        path: PathBuf,
        /// The text.
        rope: Rope,
        /// Whether it begins with a mark.
        bom: bool,
        /// Names what is saved.
        state: StepId,
    },
    /// Read a file again, whatever was seen of it. Answered by `Taken`.
    TakeDisk {
        /// Which.
        id: FileId,
        /// Where it is.
        path: PathBuf,
    },
    /// Look whether files are what was last seen of them.
    Check(Vec<(FileId, PathBuf, Stamp)>),
    /// Keep what was typed where a kill cannot reach it.
    Keep {
        /// The file, without links.
        real: PathBuf,
        /// What it is based on.
        base: Option<Stamp>,
        /// The whole text, `changes` included.
        rope: Rope,
        /// What is new since the last time.
        changes: Vec<Change>,
    },
    /// Read the system's clipboard. Answered by [`EditorMsg::Paste`].
    Paste,
    /// What this program keeps of a file is not needed any more.
    Forget(PathBuf),
    /// What another program kept was put back, and is kept by this one now.
    Adopted {
        /// The file, without links.
        real: PathBuf,
        /// Where it was kept.
        record: PathBuf,
    },
    /// The person does not want what was kept there; its text goes to a file beside it.
    SetAside(PathBuf),
}

/// Why a suggestion is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The person paused.
    Pause,
    /// The person pressed the key.
    Key,
}

/// Names a request for suggestions; never twice the same, and growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SuggestId(pub u64);

/// What is wanted at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestRequest {
    /// Comes back with the answer.
    pub id: SuggestId,
    /// Why.
    pub asked: Asked,
    /// The file, without links.
    pub path: PathBuf,
    /// As the person reads it, relative to the folder where it is inside.
    pub name: String,
    /// The text before the cursor, [`super::suggest::BEFORE`] characters at most, from the start of a line.
    pub before: String,
    /// The text after the cursor, [`super::suggest::AFTER`] characters at most.
    pub after: String,
    /// The whole file (cloning a rope costs nothing) and the cursor in it, in characters.
    pub rope: Rope,
    /// See `rope`.
    pub at: usize,
    /// What would come after it is worth preparing.
    pub ahead: bool,
}

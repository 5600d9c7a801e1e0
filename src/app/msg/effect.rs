//! What the program wants done.

use std::path::PathBuf;

use super::Move;
use crate::app::editor::msg::{EditorEffect, SuggestRequest};
use crate::app::notes::{Decision, Purpose};
use crate::app::search::{SearchId, Sought};
use crate::chat::Message;
use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::Attachment;
use crate::config::ThemeChoice;
use crate::edits::guard::Guard;
use crate::edits::propose::Wanted;
use crate::edits::undo::Original;
use crate::engine::{JobId, Overflow};
use crate::sampling::Preset;

/// What to load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Catalogue name, path or `hf:…`; `None`: what was chosen at the start.
    pub model: Option<String>,
    /// Adapters and their scales.
    pub lora: Vec<(PathBuf, f32)>,
}

/// What a person chose for later starts too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preference {
    /// The model, as commands name it.
    Model(String),
    /// How freely it chooses words.
    Preset(Preset),
    /// The look.
    Theme(ThemeChoice),
    /// Whether the wheel is ours.
    Mouse(bool),
    /// What happens when the context is full.
    Overflow(Overflow),
}

/// A conversation to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Names the job.
    pub job: JobId,
    /// What is put to the model.
    pub turns: Vec<Message>,
    /// How to choose tokens.
    pub preset: Preset,
    /// What to do when the context is full.
    pub overflow: Overflow,
    /// The files that shall be changed: the answer must be search/replace blocks against them. Empty: it may say
    /// anything.
    pub files: Vec<Attachment>,
    /// The tests in them that must stay as they are.
    pub guard: Option<Guard>,
    /// How often the same was asked before without a change: the answer shall be another one.
    pub tries: u32,
}

/// Patterns to read, with their limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Comes back with what was read.
    pub id: u32,
    /// Paths, folders, globs as typed.
    pub patterns: Vec<String>,
    /// Names that a command wrote: files of the folder, or nothing.
    pub guesses: Vec<String>,
    /// Tokens that all of them together may take, estimated.
    pub tokens: u32,
    /// They shall be changed: of a file that is too long, the parts that these words are about. Without it, its beginning.
    pub about: Option<String>,
}

/// What is wanted.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Load a model behind the screen, in place of the one in use.
    StartEngine(Load),
    /// Look at the files of a model and its adapters while another is in use; answered by [`ModelsMsg::Checked`](super::ModelsMsg::Checked) or
    /// [`ModelsMsg::Failed`](super::ModelsMsg::Failed).
    CheckModel(Load),
    /// Begin with this choice at the next start too.
    KeepPreference(Preference),
    /// Answer a conversation.
    Ask(Ask),
    /// Stop a job; it still ends with its last event.
    Cancel(JobId),
    /// Write the chat's KV cache beside the journal of this session.
    SaveCache(JobId, SessionId),
    /// Read it back.
    RestoreCache(JobId, SessionId),
    /// Give the chat's KV cache back to the system.
    ReleaseCache(JobId),
    /// Write to the journal.
    Journal(Entry),
    /// Make the journal safe against a power cut.
    Sync,
    /// Answered by [`Msg::Scrolled`](super::Msg::Scrolled).
    Scroll(Move),
    /// Begin another conversation; answered as [`Self::OpenSession`] is.
    NewSession,
    /// Answered by [`SessionMsg::Opened`](super::SessionMsg::Opened) or
    /// [`SessionMsg::NotOpened`](super::SessionMsg::NotOpened).
    OpenSession(SessionId),
    /// Answered by [`SessionMsg::Listed`](super::SessionMsg::Listed).
    ListSessions,
    /// Remove a conversation that is not open, for good; answered by [`SessionMsg::Removed`](super::SessionMsg::Removed).
    RemoveSession(SessionId),
    /// Answered by [`SessionMsg::Found`](super::SessionMsg::Found).
    SearchSessions(String),
    /// Write a conversation as Markdown to a file (`None`: named after it, in the folder). Existing files are kept.
    Export {
        /// What to write.
        markdown: String,
        /// Its title, to name the file.
        title: String,
        /// Where to.
        file: Option<PathBuf>,
    },
    /// Put a text on the clipboard; `what` is for the notice.
    Copy {
        /// The text.
        text: String,
        /// What it is.
        what: String,
    },
    /// Answered by [`FilesMsg::Listed`](super::FilesMsg::Listed).
    ListFiles,
    /// Complete a path that is typed, relative to the folder or not; answered by [`FilesMsg::Completed`](super::FilesMsg::Completed).
    CompletePath(String),
    /// Answered by [`FilesMsg::Read`](super::FilesMsg::Read).
    ReadFiles(Reading),
    /// Look for the folder's notes; answered by [`Msg::Notes`](super::Msg::Notes).
    LookForNotes(Purpose),
    /// Remember what was decided about notes with this content in this folder.
    KeepDecision {
        /// Stands for the content.
        hash: String,
        /// What was decided.
        decision: Decision,
    },
    /// Search all files of the folder; takes the place of the search before it. Answered by [`SearchMsg`](crate::app::search::SearchMsg).
    Search(SearchId, Sought),
    /// What is looked for is not wanted any more.
    CancelSearch,
    /// Answered by [`ModelsMsg::Offered`](super::ModelsMsg::Offered).
    ListModels,
    /// Download a model; answered by the other [`ModelsMsg`](super::ModelsMsg).
    Pull(String),
    /// Stop the download.
    CancelPull,
    /// Take a file into the store; answered by [`ModelsMsg::Added`](super::ModelsMsg::Added) or [`ModelsMsg::Failed`](super::ModelsMsg::Failed).
    AddModel(PathBuf),
    /// Answered by [`EditsMsg::Proposed`](super::EditsMsg::Proposed).
    Propose(Box<Wanted>),
    /// Write files that the person saw as a diff; answered by [`EditsMsg::Written`](super::EditsMsg::Written) or [`EditsMsg::Failed`](super::EditsMsg::Failed).
    Write(Vec<Original>),
    /// Take the last change back; answered by the other [`EditsMsg`](super::EditsMsg).
    Undo,
    /// Write what the person took of a record that cannot be taken back as it is; the record is done with then. Answered
    /// by [`EditsMsg::Undone`](super::EditsMsg::Undone) or [`EditsMsg::Failed`](super::EditsMsg::Failed).
    TakeBack(String, Vec<Original>),
    /// Look what has changed in the folder, for a commit or to be shown; answered by [`EditsMsg::ToCommit`](super::EditsMsg::ToCommit) or
    /// [`EditsMsg::Changed`](super::EditsMsg::Changed), or [`EditsMsg::Failed`](super::EditsMsg::Failed).
    Changed {
        /// Only what a commit would take in.
        commit: bool,
    },
    /// Forget the last change; answered by [`EditsMsg::Dropped`](super::EditsMsg::Dropped) or [`EditsMsg::Failed`](super::EditsMsg::Failed).
    DropUndo,
    /// Run a command that the person agreed to, in the folder; answered by [`RunMsg`](super::RunMsg).
    Run(u64, String),
    /// End it and all that it began.
    Kill(u64),
    /// Keep what is typed and not sent, in place of what was kept before.
    KeepUnsent(String),
    /// Remember an input in the folder's history file.
    Remember(String),
    /// Reads and writes of the editor.
    Editor(EditorEffect),
    /// Suggest what stands at the cursor; takes the place of the request before it. Answered by [`Msg::Suggested`](super::Msg::Suggested).
    Suggest(Box<SuggestRequest>),
    /// The suggestion asked for last is not wanted any more.
    CancelSuggest,
    /// Work with at most so many threads.
    Threads(u32),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Clear the screen and draw it anew.
    Redraw,
    /// Stop until the shell continues us.
    Suspend,
    /// Leave.
    Quit,
}

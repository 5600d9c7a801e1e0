//! What the program is told ([`Msg`]) and what it wants done ([`Effect`]). Both are data: nothing here reaches out.

mod effect;

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::KeyEvent;
pub use effect::{Ask, Effect, Load, Preference, Reading};

use super::editor::msg::{EditorMsg, SuggestId};
use super::notes::{Looked, Purpose};
use super::search::SearchMsg;
use crate::budget::Plan;
use crate::budget::watch::Action;
use crate::chat::journal::SessionId;
use crate::chat::store::{Hit, Summary};
use crate::chat::tree::{Attachment, Conversation, NodeId};
use crate::edits::Change;
use crate::edits::propose::Proposed;
use crate::engine::Event;
use crate::error::UserError;
use crate::fim::pace::Power;

/// What is told.
#[derive(Debug)]
pub enum Msg {
    /// Milliseconds since 1970; comes before whatever is told at that time.
    Now(u64),
    /// A key.
    Key(KeyEvent),
    /// Text pasted in one piece.
    Paste(String),
    /// The mouse wheel: rows, down is positive.
    Wheel(i32),
    /// The terminal's columns and rows.
    Resize(u16, u16),
    /// From the engine in use; late words of an earlier one are not passed on.
    Engine(Event),
    /// The engine's thread ended without a last word.
    EngineGone,
    /// What is being loaded: its name, and its plan where there is one.
    Loading {
        /// As the person reads it.
        name: String,
        /// `None` for a server.
        plan: Option<Box<Plan>>,
    },
    /// Where a pane stands after [`Effect::Scroll`].
    Scrolled(Scrolled),
    /// About conversations.
    Session(SessionMsg),
    /// About files.
    Files(FilesMsg),
    /// Answers [`Effect::LookForNotes`].
    Notes(Purpose, Looked),
    /// About the search over all files.
    Search(SearchMsg),
    /// About models.
    Models(ModelsMsg),
    /// About changes of files.
    Edits(EditsMsg),
    /// About a command that runs.
    Run(RunMsg),
    /// About files in the editor.
    Editor(EditorMsg),
    /// Answers [`Effect::Suggest`], once or several times; late answers are dropped by their name.
    Suggested {
        /// The request.
        id: SuggestId,
        /// Texts to put at the cursor, the best first; what was given before need not be repeated.
        alternatives: Vec<String>,
        /// There are no more for this request.
        done: bool,
    },
    /// How much memory is in use.
    Memory(Gauge),
    /// Memory is short, or no longer: what to do about it, in the order decided.
    Pressure(Action),
    /// Where the device's power comes from, and whether it is hot.
    Power(Power),
    /// Something to tell the person.
    Notice(Level, String),
    /// Something went wrong in the background.
    Error(UserError),
}

/// Answers about conversations.
#[derive(Debug)]
pub enum SessionMsg {
    /// Another conversation, to go on with.
    Opened {
        /// The conversation.
        conversation: Box<Conversation>,
        /// What was odd about its file.
        notice: Option<String>,
    },
    /// The one that was on its way cannot be opened: what was open stays.
    NotOpened(UserError),
    /// Something else about conversations failed: one could not be made, written, listed, searched or exported.
    Failed(UserError),
    /// The newest first.
    Listed(Vec<Summary>),
    /// Where a text was found. The query comes back, so that a late answer to an older one is recognised.
    Found {
        /// What was looked for.
        query: String,
        /// Where it is.
        hits: Vec<Hit>,
    },
    /// It is gone, with all that belonged to it.
    Removed(SessionId),
    /// A conversation that was cut off, to be offered at the start.
    Offer(Summary),
    /// The program crashed at this question of it: offered, and the question goes back into the input.
    Crashed(Summary, String),
    /// It was exported to this file.
    Exported(PathBuf),
}

/// Answers about files.
#[derive(Debug)]
pub enum FilesMsg {
    /// The folder's files, relative to it.
    Listed {
        /// The names.
        names: Arc<Vec<String>>,
        /// Whether there were too many to list.
        more: bool,
    },
    /// Answers [`Effect::CompletePath`].
    Completed {
        /// What was typed.
        typed: String,
        /// As far as all that fits agrees; with a slash at the end for a folder.
        text: String,
        /// What fits, where it is more than one: their last parts.
        choices: Vec<String>,
    },
    /// What was asked for with [`Effect::ReadFiles`].
    Read {
        /// What was asked, as [`Reading::id`]: the message that older ones were read for is not there any more.
        id: u32,
        /// Texts, trimmed to the budget.
        attachments: Vec<Attachment>,
        /// What was trimmed or refused, a line each.
        notices: Vec<String>,
        /// Patterns that match nothing.
        unmatched: Vec<String>,
    },
}

/// Answers about changes of files.
#[derive(Debug)]
pub enum EditsMsg {
    /// What an answer would change.
    Proposed(Box<Proposed>),
    /// These files were written.
    Written(Vec<String>),
    /// These files are as they were before.
    Undone {
        /// The files.
        names: Vec<String>,
        /// What was odd about the records.
        notices: Vec<String>,
    },
    /// Files were edited since, so nothing was taken back yet: what taking this record back would change.
    Edited {
        /// The record.
        record: String,
        /// From what stands there to what stood there before.
        changes: Vec<Change>,
    },
    /// What has changed in the folder.
    Changed(Changed),
    /// What a commit would take in.
    ToCommit {
        /// A diff.
        text: String,
        /// It is not staged yet: the commit takes in all that changed.
        all: bool,
    },
    /// The last change was forgotten; its files stay as they are.
    Dropped(Vec<String>),
    /// Nothing was written or taken back.
    Failed(UserError),
}

/// What has changed in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Since when: the last commit, or Zord's last change.
    pub since: String,
    /// A diff.
    pub text: String,
    /// Files that are new.
    pub new: Vec<String>,
}

/// What a command does, by its number; late words of an earlier one are recognised by it.
#[derive(Debug)]
pub enum RunMsg {
    /// It wrote something; whole characters.
    Output(u64, String),
    /// It is at its end.
    Ended(u64, RunEnd),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// With this code; 0 is success.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It never began.
    Failed(String),
}

/// Answers about models.
#[derive(Debug)]
pub enum ModelsMsg {
    /// What is there and what could be had.
    Offered(Vec<Offer>),
    /// A download goes on.
    Progress {
        /// The model's name.
        name: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A model is in the store now.
    Added(String),
    /// It can be loaded, as far as its files tell.
    Checked(Load),
    /// It could not be had.
    Failed(UserError),
    /// The person stopped the download.
    Cancelled,
}

/// A model that is in the store or could be put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it is called in commands.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// Whether it is in the store.
    pub installed: bool,
    /// Whether it fits this device's memory; why not, where it does not.
    pub fits: Result<(), String>,
    /// Whether it is the one to take here.
    pub recommended: bool,
}

/// Bytes in use and bytes allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// The resident set.
    pub used: u64,
    /// What it should stay inside.
    pub budget: u64,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For information.
    Info,
    /// Something is not as asked.
    Warning,
    /// Something failed.
    Error,
}

/// A movement of what is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Rows, down is positive.
    Rows(i32),
    /// Screenfuls less two rows, down is positive.
    Pages(i32),
    /// To the first row.
    Top,
    /// To the last row, and stay there.
    Bottom,
    /// To a message.
    To(NodeId),
}

/// Where the chat pane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scroll {
    /// At the end, and follows it.
    #[default]
    Follow,
    /// This row of this message is at the top.
    At(NodeId, usize),
}

/// An answer to [`Effect::Scroll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrolled {
    /// The chat.
    Chat(Scroll),
    /// The page that is open over it: its top row.
    Page(usize),
    /// The command that shall run: its top row, and whether its last one is seen.
    Command(usize, bool),
}

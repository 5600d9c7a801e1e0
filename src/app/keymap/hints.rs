//! The keys that rows at the foot and titles name: commands and a word each. What they are called comes from the table.

use super::Command::{self, *};
use super::Context;
use crate::app::msg::Move;

/// Keys that matter in one place, the most needed first.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    pub(super) context: Context,
    pub(super) keys: &'static [(&'static [Command], &'static str)],
}

impl Hints {
    /// What each is called, and a word.
    pub fn keys(self) -> impl Iterator<Item = (String, &'static str)> {
        let called = move |command: &Command| self.context.key(*command).map(|key| key.short()).unwrap_or_default();
        self.keys.iter().map(move |(commands, word)| (commands.iter().map(called).collect(), *word))
    }

    /// All in one line: `Enter opens · Esc`.
    pub fn line(self) -> String {
        let parts: Vec<String> = self.keys().map(|(key, word)| format!("{key} {word}").trim_end().to_owned()).collect();
        parts.join(" · ")
    }

    /// In an editor's file, while something is proposed at the cursor.
    pub const GHOST: Self = Self {
        context: Context::Editor,
        keys: &[(&[Tab], "accept"), (&[Word], "word"), (&[Line], "line"), (&[Suggest], "next"), (&[Back], "dismiss")],
    };
    /// While something is selected.
    pub const MARKED: Self = Self {
        context: Context::Editor,
        keys: &[
            (&[Copy], "copy"),
            (&[Cut], "cut"),
            (&[Tab], "in"),
            (&[Outdent], "out"),
            (&[Comment], "comment"),
            (&[Back], "unmark"),
        ],
    };
    /// Else.
    pub const FILE: Self = Self {
        context: Context::Editor,
        keys: &[
            (&[Save], "save"),
            (&[OtherPane], "chat"),
            (&[Open], "open"),
            (&[Find], "find"),
            (&[UNDO], "undo"),
            (&[Mark], "mark"),
            (&[Suggest], "suggest"),
            (&[SearchFiles], "search"),
            (&[Help], "help"),
            (&[CloseFile], "close"),
            (&[Quit], "leave"),
        ],
    };
    /// Finding in a file.
    pub const FIND: Self = Self {
        context: Context::Find,
        keys: &[
            (&[Accept], "next"),
            (&[FindPrevious], "before"),
            (&[OtherField], "replace"),
            (&[Regex], "expression"),
            (&[SearchFiles], "all files"),
            (&[Back], "done"),
        ],
    };
    /// Replacing in it.
    pub const REPLACE: Self = Self {
        context: Context::Find,
        keys: &[
            (&[Accept], "next"),
            (&[OtherField], "field"),
            (&[All], "all"),
            (&[Regex], "expression"),
            (&[Back], "done"),
        ],
    };
    /// Under a message that is shown in part.
    pub const FOLDED: Self = Self { context: Context::Chat, keys: &[(&[Thinking], "")] };
    /// Going to a line.
    pub const LINE: Self = Self { context: Context::Line, keys: &[(&[Accept], "go"), (&[Back], "back")] };
    /// The commands over the input.
    pub const PALETTE: Self =
        Self { context: Context::Popup, keys: &[(&[Accept], ""), (&[Complete], ""), (&[Back], "")] };
    /// Any list.
    pub const LIST: Self = Self { context: Context::List, keys: &[(&[Accept], ""), (&[Back], "")] };
    /// Conversations.
    pub const SESSIONS: Self =
        Self { context: Context::Sessions, keys: &[(&[Accept], "opens"), (&[Remove], "removes"), (&[Back], "")] };
    /// The same where there is little room.
    pub const SESSIONS_NARROW: Self = Self { context: Context::Sessions, keys: &[(&[Accept], "opens"), (&[Back], "")] };
    /// A conversation that goes if the key is pressed again.
    pub const REMOVING: Self = Self { context: Context::Sessions, keys: &[(&[Remove], "again: for good")] };
    /// Lines in all files.
    pub const SEARCH: Self = Self {
        context: Context::Search,
        keys: &[(&[Accept], "opens"), (&[Attach], "attaches"), (&[Regex], "expression"), (&[Back], "")],
    };
    /// The same where there is little room.
    pub const SEARCH_NARROW: Self =
        Self { context: Context::Search, keys: &[(&[Attach], "attach"), (&[Regex], "expression")] };
    /// A page to read.
    pub const PAGE: Self =
        Self { context: Context::Page, keys: &[(&[Scroll(Move::Pages(1))], ""), (&[Back], "closes")] };
    /// A conversation that was cut off.
    pub const RESUME: Self =
        Self { context: Context::Resume, keys: &[(&[Accept], "resumes · "), (&[Back], "or typing starts fresh")] };
    /// The folder's notes.
    pub const NOTES: Self = Self {
        context: Context::Notes,
        keys: &[(&[Accept], "uses it · "), (&[Back], "does not · "), (&[Complete], "shows it")],
    };
    /// A command that shall run.
    pub const CONFIRM: Self =
        Self { context: Context::Confirm, keys: &[(&[Yes], "run it here · "), (&[No], "cancel")] };
    /// The same before its end was seen.
    pub const READ_ON: Self = Self { context: Context::Confirm, keys: &[(&[Yes], "read on · "), (&[No], "cancel")] };
    /// A command that runs.
    pub const RUNNING: Self = Self { context: Context::Running, keys: &[(&[Back], "ends it")] };
    /// A command that ran.
    pub const RAN: Self = Self { context: Context::Running, keys: &[(&[Accept], "closes")] };
    /// A model that shall be downloaded.
    pub const DOWNLOAD: Self = Self { context: Context::Download, keys: &[(&[Yes], "yes"), (&[No], "no")] };
    /// One that is.
    pub const DOWNLOADING: Self = Self { context: Context::List, keys: &[(&[Back], "stops")] };
    /// Changes of files; the arrows have no word, everybody tries them.
    pub const REVIEW: Self = Self {
        context: Context::Review,
        keys: &[
            (&[Yes], "accept "),
            (&[No], "reject "),
            (&[All], "all "),
            (&[PreviousPart, NextPart], ""),
            (&[Accept], "write "),
            (&[Close], "cancel"),
        ],
    };
}

const UNDO: Command = Command::Edit(crate::text::document::Edit::Undo);

/// All of them.
#[cfg(test)]
pub(super) const HINTS: &[Hints] = &[
    Hints::GHOST,
    Hints::MARKED,
    Hints::FILE,
    Hints::FIND,
    Hints::REPLACE,
    Hints::FOLDED,
    Hints::LINE,
    Hints::PALETTE,
    Hints::LIST,
    Hints::SESSIONS,
    Hints::SESSIONS_NARROW,
    Hints::REMOVING,
    Hints::SEARCH,
    Hints::SEARCH_NARROW,
    Hints::PAGE,
    Hints::RESUME,
    Hints::NOTES,
    Hints::CONFIRM,
    Hints::READ_ON,
    Hints::RUNNING,
    Hints::RAN,
    Hints::DOWNLOAD,
    Hints::DOWNLOADING,
    Hints::REVIEW,
];

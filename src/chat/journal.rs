//! The journal of a session: one JSON object a line, only ever added to. Pure: reads from any reader, writes to a string.
//!
//! Reading takes what it can: a torn last line is dropped, garbage is skipped and counted, and a message whose line was
//! destroyed does not take the rest of the conversation with it. What it refuses: journals of a later version.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::Role;
use super::calendar::Moment;
use super::tree::{Attachment, Conversation, NodeId, TreeError};
use super::{Stats, Stop};
use crate::error::Advise;

mod lines;

pub(crate) use lines::{Line, Lines};

/// The version written, and the highest that is read.
pub const VERSION: u32 = 1;
/// Bytes of one line; a longer one is garbage.
pub const MAX_LINE: usize = 16 << 20;

/// Names a session and its files: 1 to 64 of `0-9 a-z -`, the first no `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// A name that sorts by time: `20261121-101405-1a2b3c4d`, of which the last part begins with the milliseconds.
    pub fn new(unix_ms: u64, random: u32) -> Self {
        let time = Moment::utc(unix_ms / 1000).format("%Y%m%d-%H%M%S");
        Self(format!("{time}-{:03x}{:05x}", unix_ms % 1000, random & 0xf_ffff))
    }

    /// Checks a name.
    ///
    /// # Errors
    /// It cannot name a session.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'))
            && !text.starts_with('-');
        if fits { Ok(Self(text.to_owned())) } else { Err(JournalError::Name(super::tree::one_line(text, 64))) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = JournalError;

    fn try_from(text: String) -> Result<Self, JournalError> {
        Self::parse(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum Entry {
    /// The first line.
    Session {
        /// The journal's version.
        v: u32,
        /// Its name.
        id: SessionId,
        /// When it was begun, in seconds since 1970.
        at: u64,
        /// The model it was begun with.
        model: String,
    },
    /// The system prompt from now on.
    System {
        /// `None`: the template's own default applies.
        #[serde(default)]
        text: Option<String>,
    },
    /// What the folder's notes say, from now on.
    Notes {
        /// `None`: they are not used any more.
        #[serde(default)]
        file: Option<Attachment>,
    },
    /// The model from now on.
    Model {
        /// Its name.
        name: String,
    },
    /// The person's title.
    Title {
        /// One line.
        text: String,
    },
    /// A new message: a person's whole, the model's empty. It becomes the head.
    Node {
        /// Its number, above all before it.
        id: NodeId,
        /// What it answers or follows.
        #[serde(default)]
        parent: Option<NodeId>,
        /// Who speaks.
        role: Role,
        /// What is said.
        #[serde(default)]
        text: String,
        /// Texts that go with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
        /// When, in seconds since 1970.
        #[serde(default)]
        at: u64,
    },
    /// More of an answer.
    Append {
        /// The answer.
        id: NodeId,
        /// What is added.
        text: String,
    },
    /// An answer is complete.
    End {
        /// The answer.
        id: NodeId,
        /// Why it ended.
        #[serde(default)]
        stop: Option<Stop>,
        /// What it took.
        #[serde(default)]
        stats: Option<Stats>,
    },
    /// Another branch is shown.
    Head {
        /// Its last message; `None`: before the first.
        #[serde(default)]
        id: Option<NodeId>,
    },
    /// Older turns are left out of the prompt.
    Cut {
        /// The first message that is still sent.
        first_kept: NodeId,
        /// What stands for the older ones.
        #[serde(default)]
        summary: Option<String>,
    },
}

impl Entry {
    /// The first line of a journal.
    pub fn session(id: SessionId, at: u64, model: &str) -> Self {
        Self::Session { v: VERSION, id, at, model: model.to_owned() }
    }

    /// The line as it stands in the file, with its line break.
    ///
    /// # Errors
    /// It is longer than [`MAX_LINE`], and would not be read back.
    pub fn line(&self) -> Result<String, JournalError> {
        let mut line = serde_json::to_string(self).map_err(|source| JournalError::Read(source.into()))?;
        if line.len() >= MAX_LINE {
            return Err(JournalError::Long { size: line.len() });
        }
        line.push('\n');
        Ok(line)
    }
}

/// Why a journal cannot be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A name that could be a path, or nothing.
    #[error("`{0}` is not the name of a session")]
    Name(String),
    /// A later program wrote it.
    #[error("the session is of version `{found}`, and this program reads up to version `{VERSION}`")]
    Future {
        /// Its version.
        found: u32,
    },
    /// There is no line in it that begins a session.
    #[error("the file is not the journal of a session")]
    NoSession,
    /// One entry is too large to be read back.
    #[error("an entry of `{size}` bytes is too large for a journal")]
    Long {
        /// Its bytes.
        size: usize,
    },
    /// The reader failed.
    #[error("cannot read the journal")]
    Read(#[source] io::Error),
}

impl Advise for JournalError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => Some("`zord sessions list` shows the names".to_owned()),
            Self::Future { .. } => Some("use the newer zord that wrote it".to_owned()),
            Self::Long { .. } => Some("attach less to one message".to_owned()),
            Self::NoSession | Self::Read(_) => None,
        }
    }
}

/// A journal as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// What was said.
    pub conversation: Conversation,
    /// Lines that could not be used.
    pub skipped: usize,
    /// Whether the last line was cut off.
    pub torn: bool,
}

/// Reads a journal.
///
/// # Errors
/// The reader failed, a later version wrote it, or no line begins a session.
pub fn read(input: impl BufRead) -> Result<Read, JournalError> {
    fold(input, None)
}

/// Reads the journal of the session `id`, whatever it calls itself and even if its first line is destroyed.
///
/// # Errors
/// As [`read`], but never [`JournalError::NoSession`].
pub fn read_as(input: impl BufRead, id: &SessionId) -> Result<Read, JournalError> {
    fold(input, Some(id))
}

fn fold(input: impl BufRead, id: Option<&SessionId>) -> Result<Read, JournalError> {
    let mut lines = Lines::new(input);
    let mut conversation = id.map(|id| Conversation::new(id.clone(), "", 0));
    let (mut begun, mut skipped, mut torn) = (false, 0, false);
    while let Some(line) = lines.next_line().map_err(JournalError::Read)? {
        if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.long {
            continue;
        }
        let open = !begun && conversation.as_ref().is_none_or(fresh);
        let Some(entry) = parse(&line, open)? else {
            if line.ended {
                skipped += 1
            } else {
                torn = true
            }
            continue;
        };
        let taken = match (&entry, &mut conversation) {
            (Entry::Session { id: own, at, model, .. }, slot) if open => {
                let id = id.unwrap_or(own).clone();
                *slot = Some(Conversation::new(id, model, *at));
                begun = true;
                true
            }
            (_, Some(conversation)) => take(conversation, entry).is_ok(),
            (_, None) => false,
        };
        skipped += usize::from(!taken);
    }
    let conversation = conversation.ok_or(JournalError::NoSession)?;
    Ok(Read { conversation, skipped, torn })
}

fn fresh(conversation: &Conversation) -> bool {
    conversation.is_empty() && conversation.system().is_none() && conversation.notes().is_none()
}

/// The entry of a line; `None` if there is none in it. Only a line that may begin the session (`first`) tells the version:
/// damage further down must not close a whole conversation.
fn parse(line: &Line<'_>, first: bool) -> Result<Option<Entry>, JournalError> {
    #[derive(Deserialize)]
    struct Header {
        t: String,
        v: u32,
    }
    if line.long {
        return Ok(None);
    }
    let entry = frequent(line.bytes).or_else(|| serde_json::from_slice::<Entry>(line.bytes).ok());
    // A later version may have changed the shape of its first line, but not these two.
    let found = match &entry {
        Some(Entry::Session { v, .. }) => *v,
        Some(_) => return Ok(entry),
        None if !first => return Ok(None),
        None => match serde_json::from_slice::<Header>(line.bytes) {
            Ok(header) if header.t == "session" => header.v,
            _ => 0,
        },
    };
    if first && found > VERSION { Err(JournalError::Future { found }) } else { Ok(entry) }
}

/// The kinds of lines that journals are full of, read in a quarter of the time that a tagged enum takes.
fn frequent(line: &[u8]) -> Option<Entry> {
    #[derive(Deserialize)]
    struct Piece {
        id: NodeId,
        text: String,
    }
    #[derive(Deserialize)]
    struct Said {
        id: NodeId,
        #[serde(default)]
        parent: Option<NodeId>,
        role: Role,
        #[serde(default)]
        text: String,
        #[serde(default)]
        attachments: Vec<Attachment>,
        #[serde(default)]
        at: u64,
    }
    if line.starts_with(br#"{"t":"append","#) {
        let Piece { id, text } = serde_json::from_slice(line).ok()?;
        Some(Entry::Append { id, text })
    } else if line.starts_with(br#"{"t":"node","#) {
        let Said { id, parent, role, text, attachments, at } = serde_json::from_slice(line).ok()?;
        Some(Entry::Node { id, parent, role, text, attachments, at })
    } else {
        None
    }
}

/// Applies an entry; where the line of a message it needs was destroyed, goes on from the head, so that what was said
/// after the damage is kept.
fn take(conversation: &mut Conversation, entry: Entry) -> Result<(), TreeError> {
    let Err(error) = conversation.apply(&entry) else { return Ok(()) };
    let TreeError::Unknown(missing) = error else { return Err(error) };
    let at = conversation.updated();
    match entry {
        Entry::Node { id, role, text, attachments, at, .. } => {
            conversation.apply(&Entry::Node { id, parent: conversation.head(), role, text, attachments, at })
        }
        Entry::Append { .. } => {
            let (id, parent) = (missing, conversation.head());
            let empty =
                Entry::Node { id, parent, role: Role::Assistant, text: String::new(), attachments: Vec::new(), at };
            conversation.apply(&empty)?;
            conversation.apply(&entry)
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;

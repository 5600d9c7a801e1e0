//! One line about a session, read without folding its journal: only the lines that say something about the whole are
//! parsed, which keeps a list of a thousand sessions quick.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::chat::Role;
use crate::chat::journal::{Entry, Lines, SessionId, VERSION};
use crate::chat::tree::{LIMIT, NodeId, one_line, title_from};

/// One line about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub id: SessionId,
    /// As [`crate::chat::tree::Conversation::title`].
    pub title: String,
    /// The model it was last held with.
    pub model: String,
    /// When its newest message was begun, in seconds since 1970.
    pub updated: u64,
    /// How many messages there are, all branches counted.
    pub messages: usize,
    /// The newest message is an answer without its end.
    pub interrupted: bool,
}

/// What the lines have said so far.
#[derive(Default)]
struct Gathered {
    title: Option<String>,
    first: Option<String>,
    model: String,
    begun: u64,
    messages: usize,
    /// The line of the newest message.
    newest: Vec<u8>,
    ended: Vec<NodeId>,
}

/// `None` for a file that cannot be read, holds no message, or is of a later version.
pub(super) fn of(path: &Path, id: SessionId) -> Option<Summary> {
    let file = File::open(path).ok()?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file));
    let mut gathered = Gathered::default();
    while let Some(line) = lines.next_line().ok()? {
        gathered.take(line.bytes)?;
    }
    let newest = serde_json::from_slice::<Entry>(&gathered.newest).ok();
    let (updated, interrupted) = match newest {
        Some(Entry::Node { id, role, at, .. }) => (at, role == Role::Assistant && !gathered.ended.contains(&id)),
        _ => (gathered.begun, false),
    };
    (gathered.messages > 0).then(|| Summary {
        id,
        title: gathered.title.unwrap_or_else(|| title_from(gathered.first.as_deref().unwrap_or_default())),
        model: gathered.model,
        updated,
        messages: gathered.messages,
        interrupted,
    })
}

impl Gathered {
    /// `None`: a later version.
    fn take(&mut self, line: &[u8]) -> Option<()> {
        // As this program writes them, most lines need no parsing; however they are written, they mean the same.
        if line.starts_with(br#"{"t":"append","#) || line.is_empty() {
            return Some(());
        }
        if line.starts_with(br#"{"t":"node","#) && self.first.is_some() {
            // A torn or damaged line is no message.
            if line.trim_ascii_end().ends_with(b"}") {
                self.message(line);
            }
            return Some(());
        }
        match serde_json::from_slice::<Entry>(line).ok() {
            Some(Entry::Session { v, .. }) if v > VERSION => return None,
            Some(Entry::Session { at, model, .. }) => (self.begun, self.model) = (at, model),
            Some(Entry::Model { name }) => self.model = name,
            Some(Entry::Title { text }) => self.title = Some(one_line(&text, LIMIT)).filter(|text| !text.is_empty()),
            Some(Entry::End { id, .. }) => self.ended.push(id),
            Some(Entry::Node { role, text, .. }) => {
                self.message(line);
                if self.first.is_none() && role == Role::User {
                    self.first = Some(text);
                }
            }
            Some(
                Entry::System { .. }
                | Entry::Notes { .. }
                | Entry::Append { .. }
                | Entry::Head { .. }
                | Entry::Cut { .. },
            )
            | None => {}
        }
        Some(())
    }

    fn message(&mut self, line: &[u8]) {
        self.messages += 1;
        self.newest.clear();
        self.newest.extend_from_slice(line);
        self.ended.clear();
    }
}

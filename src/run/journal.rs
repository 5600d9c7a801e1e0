//! The journal's thread: syncing a phone's flash takes long, and drawing must not wait for it. Entries are written in the
//! order they come; after a failure the next ones are tried all the same, and the person is told once.

use std::time::Duration;

use super::clerk::{Clerk, Work};
use crate::app::msg::Trouble;
use crate::chat::journal::Entry;
use crate::chat::store::Writer;
use crate::error::Report;

enum Task {
    Write(Box<Entry>),
    Sync,
    Switch(Box<Writer>),
}

/// The way to the thread.
pub(super) struct Journal(Clerk<Task>);

impl Journal {
    /// Starts the thread; `failed` is called on it.
    pub(super) fn start(writer: Option<Writer>, failed: impl Fn(Trouble) + Send + 'static) -> Self {
        Self(Clerk::start("journal", Pen { writer, told: false, failed }))
    }

    pub(super) fn write(&self, entry: Entry) {
        self.0.hand(Task::Write(Box::new(entry)));
    }

    pub(super) fn sync(&self) {
        self.0.hand(Task::Sync);
    }

    /// What comes from now on belongs to another conversation.
    pub(super) fn switch(&self, writer: Writer) {
        self.0.hand(Task::Switch(Box::new(writer)));
    }

    /// Waits until everything is written and synced, at most `patience`.
    pub(super) fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}

/// What the thread has: the conversation's file, and whether its failing was told.
struct Pen<F> {
    writer: Option<Writer>,
    told: bool,
    failed: F,
}

impl<F: Fn(Trouble) + Send + 'static> Work<Task> for Pen<F> {
    fn take(&mut self, task: Task) {
        let result = match (task, &mut self.writer) {
            (Task::Switch(next), writer) => {
                if let Some(mut before) = writer.replace(*next) {
                    let _ = before.sync();
                }
                Ok(())
            }
            (Task::Write(entry), Some(writer)) => writer.write(&entry).map_err(Report::from),
            // a sync that goes well says nothing of the writes before it
            (Task::Sync, Some(writer)) => match writer.sync() {
                Ok(()) => return,
                Err(error) => Err(error.into()),
            },
            (Task::Write(_) | Task::Sync, None) => return,
        };
        match result {
            Ok(()) => self.told = false,
            Err(report) => {
                if !std::mem::replace(&mut self.told, true) {
                    (self.failed)(report.into());
                }
            }
        }
    }

    fn settle(&mut self) {
        if let Some(writer) = &mut self.writer {
            let _ = writer.sync();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Role;
    use crate::chat::store::Store;
    use crate::chat::tree::NodeId;

    #[test]
    fn everything_handed_over_is_on_disk_when_it_finishes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().to_owned());
        let (conversation, writer) = store.create("model", 1_700_000_000_000).unwrap();
        let journal = Journal::start(Some(writer), |trouble| panic!("{trouble:?}"));
        let (id, role) = (NodeId(conversation.next_id().0), Role::User);
        journal.write(Entry::Node { id, parent: None, role, text: "said".into(), attachments: Vec::new(), at: 0 });
        journal.sync();
        journal.finish(Duration::from_secs(10));
        let read = store.read(conversation.id()).unwrap();
        assert_eq!(read.conversation.node(id).unwrap().text, "said");
    }
}

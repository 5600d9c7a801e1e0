//! The journal's thread: syncing a phone's flash takes long, and drawing must not wait for it. Entries are written in the
//! order they come; after a failure the next ones are tried all the same, and the person is told once.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::app::msg::Trouble;
use crate::chat::journal::Entry;
use crate::chat::store::Writer;
use crate::error::Report;

enum Task {
    Write(Box<Entry>),
    Sync,
    Switch(Box<Writer>),
    Done(Sender<()>),
}

/// The way to the thread.
pub(super) struct Journal {
    tasks: Sender<Task>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Starts the thread; `failed` is called on it.
    pub(super) fn start(writer: Option<Writer>, failed: impl Fn(Trouble) + Send + 'static) -> Self {
        let (tasks, inbox) = mpsc::channel();
        let thread =
            std::thread::Builder::new().name("journal".into()).spawn(move || work(writer, &inbox, failed)).ok();
        Self { tasks, thread }
    }

    pub(super) fn write(&self, entry: Entry) {
        // a thread that is gone has said why
        let _ = self.tasks.send(Task::Write(Box::new(entry)));
    }

    pub(super) fn sync(&self) {
        let _ = self.tasks.send(Task::Sync);
    }

    /// What comes from now on belongs to another conversation.
    pub(super) fn switch(&self, writer: Writer) {
        let _ = self.tasks.send(Task::Switch(Box::new(writer)));
    }

    /// Waits until everything is written and synced, at most `patience`.
    pub(super) fn finish(self, patience: Duration) {
        let (done, wait) = mpsc::channel();
        if self.tasks.send(Task::Done(done)).is_ok() && wait.recv_timeout(patience).is_ok() {
            drop(self.tasks);
            if let Some(thread) = self.thread {
                let _ = thread.join();
            }
        }
    }
}

fn work(mut writer: Option<Writer>, inbox: &Receiver<Task>, failed: impl Fn(Trouble)) {
    let mut told = false;
    let tell = |result: Result<(), Report>, told: &mut bool| match result {
        Ok(()) => *told = false,
        Err(report) if !*told => {
            *told = true;
            failed(report.into());
        }
        Err(_) => {}
    };
    while let Ok(task) = inbox.recv() {
        match (task, &mut writer) {
            (Task::Write(entry), Some(writer)) => tell(writer.write(&entry).map_err(Report::from), &mut told),
            (Task::Sync, Some(writer)) => {
                if let Err(error) = writer.sync() {
                    tell(Err(error.into()), &mut told);
                }
            }
            (Task::Switch(next), _) => {
                if let Some(mut before) = writer.replace(*next) {
                    let _ = before.sync();
                }
                told = false;
            }
            (Task::Done(done), _) => {
                if let Some(writer) = &mut writer {
                    let _ = writer.sync();
                }
                let _ = done.send(());
            }
            (Task::Write(_) | Task::Sync, None) => {}
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

//! The journal's thread: syncing a phone's flash takes long, and drawing must not wait for it. Entries are written in the
//! order they come. What a full disk refuses is kept and written before anything later, as soon as there is room: the
//! person is told once, and the conversation on disk has no holes.

use std::collections::VecDeque;
use std::time::Duration;

use super::clerk::{Clerk, Work};
use crate::chat::journal::Entry;
use crate::chat::store::{StoreError, Writer};
use crate::error::UserError;

/// Between two tries to write what is owed while nothing else comes.
const AGAIN: Duration = Duration::from_secs(2);

enum Task<W = Writer> {
    Write(Box<Entry>),
    Sync,
    Switch(Box<W>),
}

/// The way to the thread.
pub(super) struct Journal(Clerk<Task>);

impl Journal {
    /// Starts the thread; `failed` is called on it.
    pub(super) fn start(writer: Option<Writer>, failed: impl Fn(UserError) + Send + 'static) -> Self {
        Self(Clerk::start("journal", Pen::new(writer, failed)))
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

/// A conversation's file, and what could not be written into it yet, oldest first.
struct Book<W> {
    writer: W,
    owed: VecDeque<Entry>,
}

/// What a book is written with.
trait Write {
    fn write(&mut self, entry: &Entry) -> Result<(), StoreError>;
    fn sync(&mut self) -> Result<(), StoreError>;
}

impl Write for Writer {
    fn write(&mut self, entry: &Entry) -> Result<(), StoreError> {
        Self::write(self, entry)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Self::sync(self)
    }
}

impl<W: Write> Book<W> {
    fn new(writer: W) -> Self {
        Self { writer, owed: VecDeque::new() }
    }

    /// Writes what is owed, as far as it goes. An entry that can never be written is told and dropped.
    fn pay(&mut self) -> Result<(), StoreError> {
        while let Some(entry) = self.owed.front() {
            match self.writer.write(entry) {
                Ok(()) => drop(self.owed.pop_front()),
                Err(error) => {
                    if matches!(error, StoreError::ReadOnly(_) | StoreError::Journal { .. }) {
                        self.owed.pop_front();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Adds an entry to what is owed; pieces of one answer become one.
    fn owe(&mut self, entry: Entry) {
        match (self.owed.back_mut(), entry) {
            (Some(Entry::Append { id, text }), Entry::Append { id: same, text: more }) if *id == same => {
                text.push_str(&more);
            }
            (_, entry) => self.owed.push_back(entry),
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.pay()?;
        self.writer.sync()
    }
}

/// What the thread has: the book in use, earlier ones that are not paid for, and whether failing was told.
struct Pen<F, W = Writer> {
    book: Option<Book<W>>,
    earlier: Vec<Book<W>>,
    told: bool,
    failed: F,
}

impl<F: Fn(UserError), W: Write> Pen<F, W> {
    fn new(writer: Option<W>, failed: F) -> Self {
        Self { book: writer.map(Book::new), earlier: Vec::new(), told: false, failed }
    }

    fn write(&mut self, entry: Entry) {
        let Some(book) = &mut self.book else { return };
        book.owe(entry);
        let result = book.pay();
        self.note(result);
    }

    /// A sync that goes well says nothing of the writes before it.
    fn sync(&mut self) {
        self.earlier.retain_mut(|book| book.sync().is_err() && !book.owed.is_empty());
        if let Some(Err(error)) = self.book.as_mut().map(Book::sync) {
            self.note(Err(error));
        }
    }

    fn switch(&mut self, writer: W) {
        if let Some(mut before) = self.book.replace(Book::new(writer)) {
            let result = before.sync();
            if !before.owed.is_empty() {
                self.note(result);
                self.earlier.push(before);
            }
        }
    }

    fn owes(&self) -> bool {
        self.book.iter().chain(&self.earlier).any(|book| !book.owed.is_empty())
    }

    fn note(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => self.told = false,
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    (self.failed)(UserError::from(error));
                }
            }
        }
    }
}

impl<F: Fn(UserError) + Send + 'static, W: Write + Send + 'static> Work<Task<W>> for Pen<F, W> {
    fn take(&mut self, task: Task<W>) {
        match task {
            Task::Write(entry) => self.write(*entry),
            Task::Sync => self.sync(),
            Task::Switch(writer) => self.switch(*writer),
        }
    }

    fn again(&mut self) -> Option<Duration> {
        self.owes().then_some(AGAIN)
    }

    fn idle(&mut self) {
        self.sync();
    }

    fn settle(&mut self) {
        self.sync();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::chat::Role;
    use crate::chat::store::Store;
    use crate::chat::tree::{Conversation, NodeId};

    fn node(id: NodeId, role: Role, text: &str) -> Entry {
        Entry::Node { id, parent: None, role, text: text.into(), attachments: Vec::new(), at: 0 }
    }

    #[test]
    fn everything_handed_over_is_on_disk_when_it_finishes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().to_owned());
        let (conversation, writer) = store.create("model", 1_700_000_000_000).unwrap();
        let journal = Journal::start(Some(writer), |error| panic!("{error:?}"));
        let id = NodeId(conversation.next_id().0);
        journal.write(node(id, Role::User, "said"));
        journal.sync();
        journal.finish(Duration::from_secs(10));
        let read = store.read(conversation.id()).unwrap();
        assert_eq!(read.conversation.node(id).unwrap().text, "said");
    }

    /// A journal on a disk that can be filled.
    struct Disk {
        writer: Writer,
        full: Arc<AtomicBool>,
    }

    impl Write for Disk {
        fn write(&mut self, entry: &Entry) -> Result<(), StoreError> {
            if self.full.load(Ordering::SeqCst) {
                return Err(StoreError::Full("journal".into()));
            }
            self.writer.write(entry)
        }

        fn sync(&mut self) -> Result<(), StoreError> {
            self.writer.sync()
        }
    }

    fn disk(store: &Store, full: &Arc<AtomicBool>) -> (Conversation, Disk) {
        let (conversation, writer) = store.create("model", 1_700_000_000_000).unwrap();
        (conversation, Disk { writer, full: Arc::clone(full) })
    }

    #[test]
    fn what_a_full_disk_refused_is_written_later_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().to_owned());
        let (full, told) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (first, disk_of_first) = disk(&store, &full);
        let count = Arc::clone(&told);
        let mut pen = Pen::new(Some(disk_of_first), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let (question, answer) = (NodeId(0), NodeId(1));
        let append = |text: &str| Entry::Append { id: answer, text: text.into() };

        pen.take(Task::Write(Box::new(node(question, Role::User, "why?"))));
        pen.take(Task::Write(Box::new(node(answer, Role::Assistant, ""))));
        pen.take(Task::Write(Box::new(append("one "))));
        full.store(true, Ordering::SeqCst);
        for text in ["two ", "three ", "four "] {
            pen.take(Task::Write(Box::new(append(text))));
            pen.take(Task::Sync);
        }
        pen.take(Task::Write(Box::new(Entry::End { id: answer, stop: None, stats: None })));
        assert_eq!((told.load(Ordering::SeqCst), pen.again()), (1, Some(AGAIN)));
        assert_eq!(store.read(first.id()).unwrap().conversation.node(answer).unwrap().text, "one ");

        // Another conversation is begun meanwhile, and there is no room for it either.
        let (second, disk_of_second) = disk(&store, &full);
        pen.take(Task::Switch(Box::new(disk_of_second)));
        pen.take(Task::Write(Box::new(node(question, Role::User, "and then?"))));
        assert_eq!(told.load(Ordering::SeqCst), 1);

        full.store(false, Ordering::SeqCst);
        pen.idle();
        assert_eq!(pen.again(), None);
        let read = store.read(first.id()).unwrap();
        assert_eq!((read.skipped, read.torn), (0, false));
        let said = read.conversation.node(answer).unwrap();
        assert_eq!((said.text.as_str(), said.is_open()), ("one two three four ", false));
        assert_eq!(store.read(second.id()).unwrap().conversation.node(question).unwrap().text, "and then?");
    }

    #[test]
    fn an_entry_that_can_never_be_written_does_not_hold_up_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().to_owned());
        let (conversation, writer) = store.create("model", 1_700_000_000_000).unwrap();
        let told = AtomicUsize::new(0);
        let mut pen = Pen::new(Some(writer), |_| {
            told.fetch_add(1, Ordering::SeqCst);
        });
        pen.write(node(NodeId(0), Role::User, &"x".repeat(crate::chat::journal::MAX_LINE)));
        pen.write(node(NodeId(1), Role::User, "small"));
        assert_eq!((told.load(Ordering::SeqCst), pen.owes()), (1, false));
        assert_eq!(store.read(conversation.id()).unwrap().conversation.node(NodeId(1)).unwrap().text, "small");
    }
}

//! A thread that does what it is handed, in the order it comes: what writes to a phone's flash must not hold up drawing.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

enum Handed<T> {
    Task(T),
    /// Everything that was handed over before is to be safe; answered when it is.
    Settle(Sender<()>),
}

/// The way to the thread. Dropping it ends the thread after what it was handed.
pub(super) struct Clerk<T> {
    tasks: Sender<Handed<T>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread does.
pub(super) trait Work<T>: Send + 'static {
    /// Does a task.
    fn take(&mut self, task: T);

    /// Makes safe what was done.
    fn settle(&mut self) {}

    /// How long to wait before [`Work::idle`] while nothing is handed over; `None`: there is nothing to do by itself.
    fn again(&mut self) -> Option<Duration> {
        None
    }

    /// Nothing was handed over for so long.
    fn idle(&mut self) {}
}

impl<T: Send + 'static> Clerk<T> {
    /// Starts the thread.
    pub(super) fn start(name: &str, mut work: impl Work<T>) -> Self {
        let (tasks, inbox) = mpsc::channel();
        let run = move || {
            loop {
                let handed = match work.again() {
                    Some(after) => inbox.recv_timeout(after),
                    None => inbox.recv().map_err(RecvTimeoutError::from),
                };
                match handed {
                    Ok(Handed::Task(task)) => work.take(task),
                    Ok(Handed::Settle(done)) => {
                        work.settle();
                        let _ = done.send(());
                    }
                    Err(RecvTimeoutError::Timeout) => work.idle(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        Self { tasks, thread: std::thread::Builder::new().name(name.into()).spawn(run).ok() }
    }

    /// Hands a task over; a thread that is gone has said why.
    pub(super) fn hand(&self, task: T) {
        let _ = self.tasks.send(Handed::Task(task));
    }

    /// Waits until all that was handed over is done and safe, at most `patience`; whether it is.
    pub(super) fn settle(&self, patience: Duration) -> bool {
        let (done, wait) = mpsc::channel();
        self.tasks.send(Handed::Settle(done)).is_ok() && wait.recv_timeout(patience).is_ok()
    }

    /// The same, and ends the thread.
    pub(super) fn finish(self, patience: Duration) {
        if self.settle(patience) {
            drop(self.tasks);
            if let Some(thread) = self.thread {
                let _ = thread.join();
            }
        }
    }
}

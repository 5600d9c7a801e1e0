//! A thread that does the newest of what it is asked for: what is under way is cancelled for it, what waited is forgotten,
//! and who types on is waited for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::engine::Cancel;

/// The way to the thread, which begins with the first task and ends with this.
pub(super) struct Newest<T> {
    tasks: Option<Sender<(T, Cancel)>>,
    current: Cancel,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { tasks: None, current: Cancel::new() }
    }
}

impl<T: Send + 'static> Newest<T> {
    /// Has a task done once no newer one came for `pause`. `work` is what the thread does, where there is none yet; it gives
    /// up when its flag is raised.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn ask(
        &mut self,
        name: &str,
        pause: Duration,
        task: T,
        work: impl FnMut(T, &Cancel) + Send + 'static,
    ) -> std::io::Result<()> {
        self.cancel();
        self.current = Cancel::new();
        let mut task = (task, self.current.clone());
        if let Some(tasks) = &self.tasks {
            match tasks.send(task) {
                Ok(()) => return Ok(()),
                Err(unheard) => task = unheard.0,
            }
        }
        let (tasks, inbox) = channel();
        std::thread::Builder::new().name(name.into()).spawn(move || serve(&inbox, pause, work))?;
        let _ = tasks.send(task);
        self.tasks = Some(tasks);
        Ok(())
    }

    /// What was asked for last is not wanted any more.
    pub(super) fn cancel(&self) {
        self.current.cancel();
    }
}

/// Takes tasks until nobody gives any.
fn serve<T>(inbox: &Receiver<(T, Cancel)>, pause: Duration, mut work: impl FnMut(T, &Cancel)) {
    while let Ok(mut newest) = inbox.recv() {
        loop {
            match inbox.recv_timeout(pause) {
                Ok(newer) => newest = newer,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        work(newest.0, &newest.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(_: u32, _: &Cancel) {
        panic!("a second thread");
    }

    #[test]
    fn one_at_a_time_is_done_the_newest_wins_and_the_older_one_is_cancelled() {
        let (began, begun) = channel();
        let (gate, gates) = channel::<()>();
        let (ended, ends) = channel();
        let work = move |task: u32, cancel: &Cancel| {
            began.send(task).unwrap();
            gates.recv().unwrap();
            ended.send((task, cancel.is_cancelled())).unwrap();
        };
        let mut newest = Newest::default();
        newest.ask("test", Duration::ZERO, 1, work).unwrap();
        assert_eq!(begun.recv(), Ok(1));
        for task in 2..=4 {
            newest.ask("test", Duration::ZERO, task, never).unwrap();
        }
        gate.send(()).unwrap();
        assert_eq!(ends.recv(), Ok((1, true)), "what was under way is cancelled");
        assert_eq!(begun.recv(), Ok(4), "what waited is forgotten");
        gate.send(()).unwrap();
        assert_eq!(ends.recv(), Ok((4, false)));
        drop(newest);
        assert!(begun.recv().is_err(), "nothing else is begun, and the thread ends");
    }
}

//! What is drawn on its way to the terminal: a thread of its own writes it, because a terminal that does not read holds up
//! whoever writes, and nothing else must wait for that. Pieces are written whole and in order.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};

/// The sending end: bytes are gathered until a flush hands them over.
pub(super) struct Paper {
    held: Vec<u8>,
    sheets: Sender<Vec<u8>>,
    state: State,
}

/// How far the thread is.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Flushes that are not written yet.
    waiting: Arc<AtomicUsize>,
    /// The terminal is gone.
    failed: Arc<AtomicBool>,
}

impl State {
    /// Whether something is still to be written.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

impl Paper {
    /// Starts the thread. `write` takes what was flushed, whole.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub(super) fn new(mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (sheets, inbox) = mpsc::channel::<Vec<u8>>();
        let state = State::default();
        let done = state.clone();
        std::thread::Builder::new().name("screen".into()).spawn(move || {
            for sheet in inbox {
                if !done.failed.load(Ordering::SeqCst) && write(&sheet).is_err() {
                    done.failed.store(true, Ordering::SeqCst);
                }
                done.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        })?;
        Ok(Self { held: Vec::new(), sheets, state })
    }

    pub(super) fn state(&self) -> State {
        self.state.clone()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Hands over what was gathered.
    ///
    /// # Errors
    /// What was handed over before could not be written.
    fn flush(&mut self) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        if self.state.failed.load(Ordering::SeqCst) {
            return Err(gone());
        }
        if self.held.is_empty() {
            return Ok(());
        }
        self.state.waiting.fetch_add(1, Ordering::SeqCst);
        self.sheets.send(std::mem::take(&mut self.held)).map_err(|_| gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_does_not_read_holds_up_nobody() {
        let (read, terminal) = mpsc::channel::<()>();
        let (wrote, seen) = mpsc::channel();
        let mut paper = Paper::new(move |sheet| {
            terminal.recv().map_err(io::Error::other)?;
            wrote.send(sheet.to_vec()).map_err(io::Error::other)
        })
        .unwrap();
        let state = paper.state();
        paper.flush().unwrap();
        assert!(!state.is_busy(), "nothing was drawn");
        for sheet in ["one", "two", "three"] {
            paper.write_all(sheet.as_bytes()).unwrap();
            paper.flush().unwrap();
        }
        assert!(state.is_busy());
        for sheet in ["one", "two", "three"] {
            read.send(()).unwrap();
            assert_eq!(seen.recv().unwrap(), sheet.as_bytes());
        }
        // The terminal goes away: this sheet fails, and the next flush says so.
        drop(read);
        paper.write_all(b"four").unwrap();
        paper.flush().unwrap();
        while state.is_busy() {
            std::thread::yield_now();
        }
        paper.write_all(b"five").unwrap();
        assert!(paper.flush().is_err());
    }
}

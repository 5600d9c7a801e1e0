//! Commands that the person agreed to: run by the shell in the opened folder, in a session of their own, without a
//! terminal to read from or to draw on. What they write comes in the order it was written, and no faster than it is
//! taken.

mod guard;
mod session;
mod torn;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};

use super::{Desk, Told};
use crate::app::msg::{Msg, RunEnd, RunMsg};
use guard::Guard;
use torn::whole;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// Between asking a command to end and making it.
const GRACE: Duration = Duration::from_millis(700);
/// How long the words of a command that has ended are waited for, in all: something that it left behind may hold the
/// pipe, and may write for ever.
const REST: Duration = Duration::from_millis(150);
/// Bytes that a pipe holds: what stood in it when the command ended is read, however long that takes.
const PIPE: usize = 64 << 10;

/// A command that runs.
pub(super) struct Handle {
    run: u64,
    group: Pid,
    stop: Arc<Notify>,
    over: Arc<std::sync::atomic::AtomicBool>,
}

impl Handle {
    /// Ends it and all it began, at once.
    pub(super) fn kill(&self) {
        if !self.over.load(std::sync::atomic::Ordering::Acquire) {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

/// A command that was started.
struct Started {
    child: Child,
    /// What it writes into.
    pipe: Receiver,
    group: Pid,
    guard: Guard,
}

fn start(folder: &Path, command: &str) -> std::io::Result<Started> {
    let (reader, writer) = std::io::pipe()?;
    let (held, guard) = guard::pair()?;
    let mut shell = session::shell(guard::SCRIPT, command);
    shell.current_dir(folder).stdin(held).stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true);
    let child = shell.spawn()?;
    // ours must go, or the pipe never ends
    drop(shell);
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or(std::io::ErrorKind::NotFound)?;
    Ok(Started { child, pipe: Receiver::from_owned_fd(OwnedFd::from(reader))?, group, guard })
}

fn ended(status: std::io::Result<ExitStatus>) -> RunEnd {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => RunEnd::Code(code),
            (None, Some(signal)) => RunEnd::Signal(signal),
            (None, None) => RunEnd::Code(-1),
        },
        Err(error) => RunEnd::Failed(error.to_string()),
    }
}

/// What a command writes, on its way to the screen.
struct Words<'a> {
    run: u64,
    pipe: Receiver,
    open: bool,
    buffer: Vec<u8>,
    held: Vec<u8>,
    post: &'a Sender<Told>,
}

impl Words<'_> {
    /// Tells `n` more bytes of the buffer; none: the pipe is at its end.
    async fn tell(&mut self, read: std::io::Result<usize>) {
        match read {
            Ok(n @ 1..) => {
                self.held.extend_from_slice(&self.buffer[..n]);
                self.say(false).await;
            }
            Ok(0) | Err(_) => self.open = false,
        }
    }

    async fn say(&mut self, last: bool) {
        let text = whole(&mut self.held, last);
        if !text.is_empty() {
            let _ = self.post.send(Told::Msg(Msg::Run(RunMsg::Output(self.run, text)))).await;
        }
    }

    /// What is still in the pipe when the command has ended, and what comes within [`REST`].
    async fn rest(&mut self, group: Pid, stop: &Notify) {
        let until = Instant::now() + REST;
        let mut taken = 0;
        while self.open && (taken < PIPE || Instant::now() < until) {
            tokio::select! {
                biased;
                () = stop.notified() => {
                    let _ = kill_process_group(group, Signal::KILL);
                    break;
                }
                read = self.pipe.read(&mut self.buffer) => {
                    taken += read.as_ref().map_or(0, |n| *n);
                    self.tell(read).await;
                }
                () = sleep_until(until) => break,
            }
        }
    }
}

/// Follows a command to its end. Asked to stop, it asks the command; asked again, it makes it.
async fn watch(run: u64, started: Started, stop: Arc<Notify>, post: &Sender<Told>) -> RunEnd {
    let Started { mut child, pipe, group, guard } = started;
    let mut words = Words { run, pipe, open: true, buffer: vec![0; CHUNK], held: Vec::new(), post };
    let mut kill_at: Option<Instant> = None;
    let status = loop {
        let deadline = kill_at.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            () = stop.notified() => {
                let signal = if kill_at.is_some() { Signal::KILL } else { Signal::TERM };
                let _ = kill_process_group(group, signal);
                kill_at = Some(Instant::now() + GRACE);
            }
            () = sleep_until(deadline), if kill_at.is_some() => {
                let _ = kill_process_group(group, Signal::KILL);
                kill_at = Some(Instant::now() + GRACE);
            }
            status = child.wait() => break status,
            read = words.pipe.read(&mut words.buffer), if words.open => words.tell(read).await,
        }
    };
    if kill_at.is_some() {
        // whoever did not listen
        let _ = kill_process_group(group, Signal::KILL);
    }
    words.rest(group, &stop).await;
    words.say(true).await;
    guard.end(group, words.open);
    ended(status)
}

impl Desk {
    pub(super) fn run_command(&mut self, run: u64, command: &str) {
        let post = self.post.clone();
        match start(&self.start.folder, command) {
            Err(error) => {
                self.own.put(Told::Msg(Msg::Run(RunMsg::Ended(run, RunEnd::Failed(error.to_string())))));
            }
            Ok(started) => {
                let handle = Handle { run, group: started.group, stop: Arc::default(), over: Arc::default() };
                let (stop, over) = (handle.stop.clone(), handle.over.clone());
                self.command = Some(handle);
                tokio::spawn(async move {
                    let end = watch(run, started, stop, &post).await;
                    over.store(true, std::sync::atomic::Ordering::Release);
                    let _ = post.send(Told::Msg(Msg::Run(RunMsg::Ended(run, end)))).await;
                });
            }
        }
    }

    pub(super) fn kill_command(&self, run: u64) {
        if let Some(handle) = self.command.as_ref().filter(|handle| handle.run == run) {
            handle.stop.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;

//! Commands that the person agreed to: run by the shell in the opened folder, in a process group of their own, without a
//! terminal to read from. What they write comes in the order it was written, and no faster than it is taken.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Desk, Told};
use crate::app::msg::{Msg, RunEnd, RunMsg};

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// Between asking a command to end and making it.
const GRACE: Duration = Duration::from_millis(700);
/// How long the words of a command that has ended are waited for: something that it left behind may hold the pipe.
const REST: Duration = Duration::from_millis(150);

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

/// A command that was started, and what it writes into.
fn start(folder: &Path, command: &str) -> std::io::Result<(Child, Receiver)> {
    let (reader, writer) = std::io::pipe()?;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(folder).stdin(Stdio::null());
    shell.stdout(writer.try_clone()?).stderr(writer).process_group(0).kill_on_drop(true);
    let child = shell.spawn()?;
    // ours must go, or the pipe never ends
    drop(shell);
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
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

/// Takes whole characters and whole escape sequences out of what came.
fn whole(held: &mut Vec<u8>, last: bool) -> String {
    let mut end = held.len();
    if !last {
        if let Err(error) = std::str::from_utf8(held)
            && error.error_len().is_none()
        {
            end = error.valid_up_to();
        }
        let from = end.saturating_sub(64);
        if let Some(at) = held[from..end].iter().rposition(|byte| *byte == 0x1b).map(|at| from + at) {
            let open = match held.get(at + 1..end) {
                Some([b'[', rest @ ..]) => !rest.iter().any(|byte| (0x40..=0x7e).contains(byte)),
                Some([]) | None => true,
                Some(_) => false,
            };
            end = if open { at } else { end };
        }
        if end > 0 && held[end - 1] == b'\r' {
            end -= 1;
        }
    }
    let rest = held.split_off(end);
    let text = String::from_utf8_lossy(held).into_owned();
    *held = rest;
    text
}

async fn watch(
    run: u64,
    mut child: Child,
    mut pipe: Receiver,
    group: Pid,
    stop: Arc<Notify>,
    post: &Sender<Told>,
) -> RunEnd {
    let (mut held, mut buffer) = (Vec::new(), vec![0; CHUNK]);
    let mut kill_at: Option<Instant> = None;
    let mut open = true;
    let status = loop {
        let deadline = kill_at.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            () = stop.notified() => {
                let _ = kill_process_group(group, Signal::TERM);
                kill_at = Some(Instant::now() + GRACE);
            }
            () = sleep_until(deadline), if kill_at.is_some() => {
                let _ = kill_process_group(group, Signal::KILL);
                kill_at = Some(Instant::now() + GRACE);
            }
            status = child.wait() => break status,
            read = pipe.read(&mut buffer), if open => match read {
                Ok(n @ 1..) => {
                    held.extend_from_slice(&buffer[..n]);
                    tell(run, whole(&mut held, false), post).await;
                }
                Ok(0) | Err(_) => open = false,
            },
        }
    };
    if kill_at.is_some() {
        // whoever did not listen
        let _ = kill_process_group(group, Signal::KILL);
    }
    while open {
        match timeout(REST, pipe.read(&mut buffer)).await {
            Ok(Ok(n @ 1..)) => {
                held.extend_from_slice(&buffer[..n]);
                tell(run, whole(&mut held, false), post).await;
            }
            _ => open = false,
        }
    }
    tell(run, whole(&mut held, true), post).await;
    ended(status)
}

async fn tell(run: u64, text: String, post: &Sender<Told>) {
    if !text.is_empty() {
        let _ = post.send(Told::Msg(Msg::Run(RunMsg::Output(run, text)))).await;
    }
}

impl Desk {
    pub(super) fn run_command(&mut self, run: u64, command: &str) {
        let started = start(&self.start.folder, command).and_then(|(child, pipe)| {
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            Ok((child, pipe, group.ok_or(std::io::ErrorKind::NotFound)?))
        });
        let post = self.post.clone();
        match started {
            Err(error) => {
                let _ = post.try_send(Told::Msg(Msg::Run(RunMsg::Ended(run, RunEnd::Failed(error.to_string())))));
            }
            Ok((child, pipe, group)) => {
                let handle = Handle { run, group, stop: Arc::default(), over: Arc::default() };
                let (stop, over) = (handle.stop.clone(), handle.over.clone());
                self.command = Some(handle);
                tokio::spawn(async move {
                    let end = watch(run, child, pipe, group, stop, &post).await;
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
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// Runs a command; stops it as soon as `until` was written.
    fn ran(command: &str, until: Option<&str>) -> (String, RunEnd) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (post, mut inbox) = mpsc::channel(4);
            let (child, pipe) = start(folder.path(), command).unwrap();
            let group = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
            let stop = Arc::new(Notify::new());
            let task = tokio::spawn({
                let stop = stop.clone();
                async move { watch(1, child, pipe, group, stop, &post).await }
            });
            let mut text = String::new();
            while let Some(Told::Msg(Msg::Run(RunMsg::Output(_, part)))) = inbox.recv().await {
                text += &part;
                if until.is_some_and(|until| text.contains(until)) {
                    stop.notify_one();
                }
            }
            (text, task.await.unwrap())
        })
    }

    #[test]
    fn both_outputs_come_in_order_with_the_exit_code() {
        let (text, end) = ran("echo one; echo two >&2; echo three; exit 3", None);
        assert_eq!((text.as_str(), end), ("one\ntwo\nthree\n", RunEnd::Code(3)));
        let (text, end) = ran("no-such-program-here", None);
        assert!(text.contains("not found") && end == RunEnd::Code(127), "{text}");
        assert_eq!(ran("cat", None), (String::new(), RunEnd::Code(0)), "there is nothing to read");
    }

    #[test]
    fn stopping_ends_the_whole_group_also_those_that_do_not_listen() {
        let (text, end) =
            ran("trap '' TERM; (trap '' TERM; sleep 1000) & echo ready $!; sleep 1000; sleep 1000", Some("ready"));
        assert!(matches!(end, RunEnd::Signal(_)), "{end:?}");
        let child: i32 = text.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        // the kernel ends it in its own time
        assert!((0..1000).any(|_| gone() || {
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(1));
            false
        }));
    }

    #[test]
    fn a_flood_waits_for_its_reader_and_a_child_left_behind_is_not_waited_for() {
        let (text, end) = ran("seq 200000", None);
        assert_eq!((text.lines().count(), end), (200_000, RunEnd::Code(0)));
        let (text, end) = ran("sleep 30 & echo done", None);
        assert_eq!((text.as_str(), end), ("done\n", RunEnd::Code(0)));
    }

    #[test]
    fn characters_and_escapes_are_not_torn() {
        let mut held = "a\u{1b}[3".as_bytes().to_vec();
        assert_eq!(whole(&mut held, false), "a");
        held.extend_from_slice(b"1mb\xe2\x98");
        assert_eq!(whole(&mut held, false), "\u{1b}[31mb");
        held.extend_from_slice(b"\x83\r");
        assert_eq!(whole(&mut held, false), "☃");
        held.extend_from_slice(b"\n\xff");
        assert_eq!(whole(&mut held, true), "\r\n\u{fffd}");
    }
}

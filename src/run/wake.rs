//! Keeps an Android phone awake while an answer is made, and not a moment longer than a little after it.
//!
//! The lock belongs to Termux and outlives whoever asked for it, so a shell takes and releases it that waits for the end
//! of its input: that comes when this program lets go, when it ends, and also when it is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::device::Termux;

/// How long the lock stays after an answer: the next question may come soon, and taking it starts two processes.
const LINGER: Duration = Duration::from_secs(20);

/// Signals to the whole group of a terminal's processes must not end the shell before it has released the lock.
const SCRIPT: &str =
    r#"trap '' INT HUP TERM QUIT TSTP; "$1/termux-wake-lock"; while read -r _; do :; done; "$1/termux-wake-unlock""#;

/// The lock, held or not.
#[derive(Debug)]
pub struct Awake {
    /// Where the commands are; `None`: not on a phone that has them, or not wanted.
    commands: Option<PathBuf>,
    holder: Option<Child>,
    idle: Option<Instant>,
}

impl Awake {
    /// For this device; `wanted` is the person's setting.
    pub fn new(termux: Option<&Termux>, wanted: bool) -> Self {
        let commands = termux.filter(|termux| wanted && termux.wake_lock).map(|termux| termux.prefix.join("bin"));
        Self { commands, holder: None, idle: None }
    }

    /// An answer is made, or is not; called as often as one likes. Gives when it wants to be called again.
    pub fn keep(&mut self, busy: bool) -> Option<Instant> {
        if busy {
            self.idle = None;
            if self.holder.is_none()
                && let Some(commands) = &self.commands
            {
                self.holder = hold(commands);
            }
            return None;
        }
        self.holder.as_ref()?;
        let until = *self.idle.get_or_insert_with(|| Instant::now() + LINGER);
        if Instant::now() >= until {
            self.release();
            return None;
        }
        Some(until)
    }

    fn release(&mut self) {
        self.idle = None;
        if let Some(mut holder) = self.holder.take() {
            drop(holder.stdin.take());
            // It ends by itself; who waits for it is no concern of the person's.
            std::thread::spawn(move || holder.wait());
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.release();
    }
}

fn hold(commands: &Path) -> Option<Child> {
    let shell = commands.join("sh");
    let mut command = Command::new(if shell.exists() { &shell } else { Path::new("/system/bin/sh") });
    command.args(["-c", SCRIPT, "zord"]).arg(commands);
    let holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    holder.inspect_err(|error| tracing::warn!("no wake lock: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A prefix whose two commands write their names down.
    fn phone() -> (tempfile::TempDir, Termux) {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        symlink("/bin/sh", bin.join("sh")).unwrap();
        for name in ["termux-wake-lock", "termux-wake-unlock"] {
            let text = format!("#!/bin/sh\necho {name} >>{}/log\n", folder.path().display());
            std::fs::write(bin.join(name), text).unwrap();
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let termux = Termux { prefix: folder.path().to_owned(), wake_lock: true, ..Termux::default() };
        (folder, termux)
    }

    /// Waits until the log says this; a test that waits for ever has failed.
    fn wait_for(folder: &Path, expected: &str) {
        while std::fs::read_to_string(folder.join("log")).unwrap_or_default() != expected {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_lock_is_taken_once_and_released_at_the_end() {
        let (folder, termux) = phone();
        let mut awake = Awake::new(Some(&termux), true);
        assert_eq!(awake.keep(false), None, "nothing is held, nothing is due");
        assert_eq!(awake.keep(true), None);
        wait_for(folder.path(), "termux-wake-lock\n");
        awake.keep(true);
        assert!(awake.keep(false).is_some(), "it stays a little");
        assert!(awake.keep(true).is_none() && awake.idle.is_none(), "the next answer keeps it");
        drop(awake);
        wait_for(folder.path(), "termux-wake-lock\ntermux-wake-unlock\n");
    }

    #[test]
    fn a_killed_program_holds_no_lock() {
        let (folder, termux) = phone();
        let mut awake = Awake::new(Some(&termux), true);
        awake.keep(true);
        wait_for(folder.path(), "termux-wake-lock\n");
        // What the kernel does for a program that was killed: its end of the pipe is closed, nothing else happens.
        let mut holder = awake.holder.take().unwrap();
        drop(holder.stdin.take());
        wait_for(folder.path(), "termux-wake-lock\ntermux-wake-unlock\n");
        assert!(holder.wait().unwrap().success());
    }

    #[test]
    fn who_does_not_want_it_or_has_no_such_command_gets_none() {
        let (_folder, termux) = phone();
        let without = Termux { wake_lock: false, ..termux.clone() };
        for mut awake in [Awake::new(Some(&termux), false), Awake::new(Some(&without), true), Awake::new(None, true)] {
            awake.keep(true);
            assert!(awake.holder.is_none());
        }
    }
}

//! The clipboard: Termux's own command where it is installed, tmux's buffer inside tmux, which passes on what the terminal
//! may have, else a sequence (OSC 52) that the terminal acts on.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// Bytes of base64 that terminals take; longer sequences are dropped or, worse, printed.
const LONGEST: usize = 74_000;
/// How long Termux's command may take: without its app it hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that are taken from the clipboard.
const MOST: u64 = 4 << 20;

/// Termux's command for putting text there, if it is installed.
pub(super) fn termux() -> Option<PathBuf> {
    command("termux-clipboard-set")
}

/// Termux's command for reading it, if it is installed.
pub(super) fn termux_get() -> Option<PathBuf> {
    command("termux-clipboard-get")
}

fn command(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// tmux's command, inside tmux: by default it swallows sequences of programs in it without a word.
pub(super) fn tmux() -> Option<PathBuf> {
    std::env::var_os("TMUX").filter(|socket| !socket.is_empty())?;
    command("tmux")
}

/// Puts a text into tmux's buffer, and on the clipboard too where tmux can (3.2 and later, unless it is told not to).
pub(super) async fn to_tmux(command: PathBuf, text: String) -> bool {
    hand_over(command.clone(), &["load-buffer", "-w", "-"], text.clone()).await
        || hand_over(command, &["load-buffer", "-"], text).await
}

/// Hands a text to a command; `false` if that did not work.
pub(super) async fn hand_over(command: PathBuf, arguments: &[&str], text: String) -> bool {
    let work = async {
        let mut child = Command::new(command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        child.stdin.take()?.write_all(text.as_bytes()).await.ok()?;
        child.wait().await.ok().filter(std::process::ExitStatus::success)
    };
    tokio::time::timeout(PATIENCE, work).await.ok().flatten().is_some()
}

/// What is on the clipboard; `None` if the command does not answer.
pub(super) async fn look(command: PathBuf) -> Option<String> {
    let work = async {
        let mut child = Command::new(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut bytes = Vec::new();
        child.stdout.take()?.take(MOST).read_to_end(&mut bytes).await.ok()?;
        String::from_utf8(bytes).ok()
    };
    tokio::time::timeout(PATIENCE, work).await.ok().flatten()
}

/// The sequence for a text; `None` if it is too long for terminals.
pub(super) fn sequence(text: &str) -> Option<String> {
    // base64 makes four bytes of three
    if text.len().div_ceil(3) * 4 > LONGEST {
        return None;
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).ok()?;
    Some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_names_the_clipboard_and_holds_the_text() {
        assert_eq!(sequence("foob").unwrap(), "\x1b]52;c;Zm9vYg==\x1b\\");
        assert_eq!(sequence("中").unwrap(), "\x1b]52;c;5Lit\x1b\\");
    }

    #[test]
    fn tmux_gets_the_text_and_an_old_one_too() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (tmux, got) = (folder.path().join("tmux"), folder.path().join("got"));
        // one that does not know `-w`
        let old = format!("#!/bin/sh\n[ \"$2\" = - ] || exit 1\ncat >'{}'\n", got.display());
        std::fs::write(&tmux, old).unwrap();
        std::fs::set_permissions(&tmux, std::fs::Permissions::from_mode(0o755)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(to_tmux(tmux, "let x;\n".into())));
        assert_eq!(std::fs::read_to_string(got).unwrap(), "let x;\n");
        assert!(!runtime.block_on(to_tmux("/nowhere/at/all".into(), String::new())));
    }

    #[test]
    fn what_another_command_says_is_taken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let echo = command("echo").unwrap();
        assert_eq!(runtime.block_on(look(echo)).as_deref(), Some("\n"));
        assert_eq!(runtime.block_on(look("/nowhere/at/all".into())), None);
    }

    #[test]
    fn what_terminals_would_choke_on_is_not_sent() {
        assert!(sequence(&"x".repeat(50_000)).is_some());
        assert!(sequence(&"x".repeat(60_000)).is_none());
    }
}

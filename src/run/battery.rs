//! The battery of a phone that hides it in sysfs: Termux:API knows it, and takes a second to say so.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::device::{self, Termux};
use crate::fim::pace::Power;

/// Without the Termux:API app the command waits for ever.
const PATIENCE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(100);
/// The longest answer that is read, in bytes.
const LONGEST: u64 = 4096;

/// The command, where it is installed.
pub(super) fn command() -> Option<PathBuf> {
    let command = Termux::here()?.prefix.join("bin/termux-battery-status");
    command.exists().then_some(command)
}

/// Asks it; `None` when it does not answer. Blocks for a second or five.
pub(super) fn ask(command: PathBuf, known: Power) -> Option<Power> {
    let mut child =
        Command::new(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let started = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(GLANCE);
    }
    let mut answer = String::new();
    child.stdout.take()?.take(LONGEST).read_to_string(&mut answer).ok()?;
    Some(device::power_said(known, &answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_command_s_answer_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let command = folder.path().join("termux-battery-status");
        std::fs::write(&command, "#!/bin/sh\necho '{\"percentage\": 7, \"plugged\": \"UNPLUGGED\"}'\n").unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        let known = Power { mains: false, battery: None, hot: false };
        assert_eq!(ask(command, known), Some(Power { battery: Some(7), ..known }));
        assert_eq!(ask(folder.path().join("missing"), known), None);
    }
}

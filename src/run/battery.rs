//! Looking at battery and heat now and then. A phone that hides them in sysfs is asked through Termux:API, which takes a
//! second to answer and must not be waited for.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use crate::device::{self, Termux};
use crate::fim::pace::Power;

/// Between two looks at sysfs.
const LOOKS: Duration = Duration::from_secs(10);
/// Between two questions to Termux:API: each starts three processes.
const QUESTIONS: Duration = Duration::from_secs(60);
/// How long an answer holds: after a longer pause the battery may have cooled, or be on the charger.
const HOLDS: Duration = Duration::from_secs(180);
/// Without the Termux:API app the command waits for ever.
const PATIENCE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(100);
/// The longest answer that is read, in bytes.
const LONGEST: u64 = 4096;

/// Battery and heat, looked at as often as it is worth.
#[derive(Debug, Default)]
pub struct Battery {
    looked: Option<Instant>,
    asked: Option<Instant>,
    /// The question under way.
    answer: Option<Receiver<String>>,
    /// The last answer.
    said: Option<String>,
}

impl Battery {
    /// What is known, when it is time for another look. Reads a few small files; never waits.
    pub fn look(&mut self) -> Option<Power> {
        let answered = self.take_answer();
        if !answered && self.looked.is_some_and(|at| at.elapsed() < LOOKS) {
            return None;
        }
        self.looked = Some(Instant::now());
        let known = device::power();
        if self.asked.is_some_and(|at| at.elapsed() > HOLDS) {
            self.said = None;
        }
        if known.battery.is_none() {
            self.ask();
        }
        Some(self.said.as_deref().map_or(known, |said| device::power_said(known, said)))
    }

    fn ask(&mut self) {
        if self.answer.is_some() || self.asked.is_some_and(|at| at.elapsed() < QUESTIONS) {
            return;
        }
        if let Some(command) = command() {
            self.asked = Some(Instant::now());
            let (sender, answer) = channel();
            self.answer = Some(answer);
            std::thread::spawn(move || ask(command).map(|said| sender.send(said)));
        }
    }

    fn take_answer(&mut self) -> bool {
        match self.answer.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => false,
            Some(Ok(said)) => {
                self.said = Some(said);
                self.answer = None;
                true
            }
            Some(Err(TryRecvError::Disconnected)) => {
                self.answer = None;
                false
            }
        }
    }
}

/// The command, where it is installed.
fn command() -> Option<PathBuf> {
    let command = Termux::here()?.prefix.join("bin/termux-battery-status");
    command.exists().then_some(command)
}

/// What it says; `None` when it does not answer. Blocks for a second or five.
fn ask(command: PathBuf) -> Option<String> {
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
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_command_s_answer_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let command = folder.path().join("termux-battery-status");
        let said = r#"{"percentage": 7, "plugged": "UNPLUGGED", "temperature": 46.0}"#;
        std::fs::write(&command, format!("#!/bin/sh\necho '{said}'\n")).unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        let known = Power { mains: false, battery: None, hot: false };
        let answer = ask(command).unwrap();
        assert_eq!(device::power_said(known, &answer), Power { battery: Some(7), hot: true, ..known });
        assert_eq!(ask(folder.path().join("missing")), None);
    }

    #[test]
    fn looks_are_not_wasted() {
        let mut battery = Battery::default();
        assert!(battery.look().is_some());
        assert_eq!(battery.look(), None);
        let (sender, answer) = channel();
        battery.answer = Some(answer);
        assert_eq!(battery.look(), None, "nothing is waited for");
        sender.send(r#"{"percentage": 3, "plugged": "UNPLUGGED"}"#.to_owned()).unwrap();
        assert_eq!(battery.look().unwrap().battery, Some(3), "an answer is taken at once");
        drop(sender);
        assert_eq!(battery.look(), None);
        battery.looked = None;
        assert_eq!(battery.look().unwrap().battery, Some(3), "what was said last holds until the next answer");
        battery.asked = Instant::now().checked_sub(HOLDS + LOOKS);
        battery.looked = None;
        assert_ne!(battery.look().unwrap().battery, Some(3), "and not for ever");
    }
}

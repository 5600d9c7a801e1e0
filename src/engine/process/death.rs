//! How the engine's process died, by what the system and its own last words say.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::crash::{SIGNALS, TOLD};

/// Deaths within [`WINDOW`] after which it is not started again.
const MOST: usize = 3;
/// How long a death counts.
const WINDOW: Duration = Duration::from_secs(60);
/// Bytes of last words that are told.
const LONGEST: usize = 160;

/// What it died of, as far as that decides how it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// There was not enough of it.
    Memory,
    /// A fault of code or data: an abort, a bad instruction, a bad address.
    Code,
    /// Nothing that other settings would change.
    Outside,
}

/// How it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) cause: Cause,
    /// Told after "the engine ".
    pub(super) how: String,
}

impl Death {
    /// By its status, its last lines on standard error, and whether the kernel says that it ended a process for want of
    /// memory meanwhile (`None`: it says nothing).
    pub(super) fn of(status: Option<ExitStatus>, words: &[String], starved: Option<bool>) -> Self {
        let signal = status.and_then(|status| status.signal());
        let told = words.iter().rev().find_map(|line| line.strip_prefix(TOLD)).map(short);
        let last = words.iter().rev().find(|line| !line.trim().is_empty()).map(|line| short(line));
        match signal {
            Some(libc::SIGKILL) => Self::killed(starved),
            Some(signal) if SIGNALS.iter().any(|(known, _)| *known == signal) => {
                let name = SIGNALS.iter().find(|(known, _)| *known == signal).map_or("", |(_, name)| name);
                let all = words.join("\n").to_lowercase();
                let cause = if is_about_memory(&all) { Cause::Memory } else { Cause::Code };
                let how = told.map_or_else(
                    || match last {
                        Some(last) => format!("crashed ({name}): {last}"),
                        None => format!("crashed ({name})"),
                    },
                    |told| format!("crashed{told}"),
                );
                Self { cause, how }
            }
            Some(signal) => Self { cause: Cause::Outside, how: format!("was ended by signal {signal}") },
            None => {
                let code = status.and_then(|status| status.code()).map(|code| format!(" with code {code}"));
                let said = last.map(|last| format!(": {last}")).unwrap_or_default();
                Self { cause: Cause::Outside, how: format!("ended by itself{}{said}", code.unwrap_or_default()) }
            }
        }
    }

    fn killed(starved: Option<bool>) -> Self {
        match starved {
            Some(true) => Self { cause: Cause::Memory, how: "was killed: memory ran out".into() },
            Some(false) => Self { cause: Cause::Outside, how: "was killed".into() },
            // on a phone nobody says why, and memory it is
            None => Self { cause: Cause::Memory, how: "was killed, probably for want of memory".into() },
        }
    }
}

/// llama.cpp's and the C++ library's words for it.
fn is_about_memory(words: &str) -> bool {
    ["out of memory", "failed to allocate", "cannot allocate", "unable to allocate", "bad_alloc"]
        .iter()
        .any(|known| words.contains(known))
}

fn short(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>().trim_end().to_owned()
}

/// When it died lately.
#[derive(Debug, Default)]
pub(super) struct Deaths(Vec<Duration>);

impl Deaths {
    /// It did not die lately.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// It died at this time (of any clock that goes on); whether it may be started again.
    pub(super) fn note(&mut self, now: Duration) -> bool {
        self.0.retain(|at| now.saturating_sub(*at) < WINDOW);
        self.0.push(now);
        self.0.len() < MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: i32, words: &[&str], starved: Option<bool>) -> (Cause, String) {
        let words: Vec<String> = words.iter().map(|&line| line.to_owned()).collect();
        let Death { cause, how } = Death::of(Some(ExitStatus::from_raw(raw)), &words, starved);
        (cause, how)
    }

    #[test]
    fn a_death_is_told_by_its_signal_and_its_last_words() {
        let told = "error: zord crashed while loading the model: ggml.c:12: GGML_ASSERT(a) failed";
        let crash = of(libc::SIGABRT, &["a line of the log", told], None);
        assert_eq!(crash, (Cause::Code, "crashed while loading the model: ggml.c:12: GGML_ASSERT(a) failed".into()));
        let core = libc::SIGSEGV | 0x80;
        assert_eq!(of(core, &[], None), (Cause::Code, "crashed (segmentation fault)".into()));
        let thrown = "terminate called after throwing an instance of 'std::bad_alloc'";
        let crash = of(libc::SIGABRT, &[thrown, "error: zord crashed while reading the prompt (aborted)"], Some(false));
        assert_eq!(crash, (Cause::Memory, "crashed while reading the prompt (aborted)".into()));
        assert_eq!(of(libc::SIGILL, &["\x1b[2J "], None).1, "crashed (illegal instruction): [2J");
    }

    #[test]
    fn a_kill_is_for_want_of_memory_unless_the_kernel_denies_it() {
        assert_eq!(of(libc::SIGKILL, &[], Some(true)), (Cause::Memory, "was killed: memory ran out".into()));
        assert_eq!(of(libc::SIGKILL, &[], Some(false)), (Cause::Outside, "was killed".into()));
        assert_eq!(of(libc::SIGKILL, &[], None).0, Cause::Memory);
        assert_eq!(of(libc::SIGTERM, &[], None), (Cause::Outside, "was ended by signal 15".into()));
    }

    #[test]
    fn an_end_without_a_signal_is_told_by_its_code() {
        let (cause, how) = of(1 << 8, &["error: a second model", " "], None);
        assert_eq!((cause, how.as_str()), (Cause::Outside, "ended by itself with code 1: error: a second model"));
        assert_eq!(Death::of(None, &[], None).how, "ended by itself");
    }

    #[test]
    fn three_deaths_within_a_minute_are_enough() {
        let second = Duration::from_secs;
        let mut deaths = Deaths::default();
        assert_eq!([0, 30, 61, 89].map(|at| deaths.note(second(at))), [true, true, true, false]);
        let mut deaths = Deaths::default();
        assert_eq!([5, 5, 5].map(|at| deaths.note(second(at))), [true, true, false]);
    }
}

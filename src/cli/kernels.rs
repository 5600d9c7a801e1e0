//! `zord kernels-child SET`, which nobody types: the program starts itself so, to learn in a process that may die whether the
//! kernels it was built with are right. What was learnt is kept for this build on this processor.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::output;
use crate::device::{Features, Finding, State};
use crate::engine::local::kernels;
use crate::error::{ExitCode, UserError};
use crate::paths::Paths;

/// The products take milliseconds; a child that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// This process is the program itself, so that it can start itself again.
static IS_PROGRAM: AtomicBool = AtomicBool::new(false);

#[derive(Args, Debug)]
pub(super) struct KernelsArgs {
    /// `plain`, or a set by llama.cpp's name
    set: String,
}

/// Said by the program's own `main`: a test or a bench that uses this crate would start itself.
pub(super) fn this_is_the_program() {
    IS_PROGRAM.store(true, Ordering::Relaxed);
}

/// The child's side: a line before each product, and one after it.
pub(super) fn run(args: &KernelsArgs) -> Result<ExitCode, UserError> {
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        std::process::exit(3);
    });
    let mut told = Ok(());
    let mut tell = |kind: &str, width: usize, off: Option<f64>| {
        if told.is_ok() {
            let end = off.map(|off| format!(" {off:.6}")).unwrap_or_default();
            told = output::print(&format!("{kind} {width}{end}\n"));
        }
    };
    kernels::check(&args.set, &mut tell).map_err(UserError::failed)?;
    told.map(|()| ExitCode::Done)
}

/// What is known of a set of kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// Its name.
    pub(super) set: String,
    /// What is wrong with it; `None`: it is right.
    pub(super) fault: Option<String>,
}

/// What was learnt, and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Learnt {
    build: String,
    sets: Vec<Verdict>,
}

/// Whether all of the sets that can be left out are right, as far as is known. The first time on this machine it starts
/// a child for each.
pub(super) fn extras_are_right(paths: &Paths) -> bool {
    let known = known(paths).unwrap_or_else(|| learn(paths));
    known.iter().all(|verdict| verdict.set == kernels::PLAIN || verdict.fault.is_none())
}

/// Tries every set, and keeps what came of it.
pub(super) fn learn(paths: &Paths) -> Vec<Verdict> {
    let Some((program, build)) = build() else { return Vec::new() };
    let sets: Vec<Verdict> = kernels::sets().into_iter().filter_map(|set| examine(&program, set)).collect();
    let learnt = Learnt { build, sets };
    // a cache that cannot be written is learnt anew
    if let Ok(text) = toml::to_string(&learnt) {
        let _ = std::fs::create_dir_all(&paths.cache).and_then(|()| crate::atomic::write(file(paths), text));
    }
    learnt.sets
}

fn known(paths: &Paths) -> Option<Vec<Verdict>> {
    let learnt: Learnt = toml::from_str(&std::fs::read_to_string(file(paths)).ok()?).ok()?;
    (learnt.build == build()?.1).then_some(learnt.sets)
}

fn file(paths: &Paths) -> PathBuf {
    paths.cache.join("kernels.toml")
}

/// The program's file, and what tells this build on this processor from another.
fn build() -> Option<(PathBuf, String)> {
    let program = IS_PROGRAM.load(Ordering::Relaxed).then(crate::program::path)?;
    let facts = program.metadata().ok()?;
    let processor = Features::detect().names().join(" ");
    let id = format!("{} {} {} {processor}", facts.len(), facts.mtime(), facts.mtime_nsec());
    Some((program, id))
}

/// Runs a child for one set; `None`: nothing was learnt.
fn examine(program: &Path, set: String) -> Option<Verdict> {
    let mut command = Command::new(program);
    command.args(["kernels-child", &set]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok()?;
    verdict(set, output.status, &String::from_utf8_lossy(&output.stdout))
}

fn verdict(set: String, status: ExitStatus, told: &str) -> Option<Verdict> {
    let wrong = told.lines().find_map(|line| {
        let (what, off) = line.rsplit_once(' ')?;
        let off: f64 = off.parse().ok().filter(|_| what.contains(' '))?;
        let kind = what.split(' ').next()?;
        (!kernels::is_right(off)).then(|| format!("gives wrong results for {kind}"))
    });
    let died = told.lines().last().and_then(|line| line.split(' ').next()).unwrap_or("the first type");
    let fault = match (status.signal(), status.code()) {
        (Some(signal), _) => Some(format!("crashes on {died} ({})", signal_name(signal))),
        (_, Some(0)) => wrong,
        (_, Some(3)) => Some(format!("hangs on {died}")),
        _ => return None,
    };
    Some(Verdict { set, fault })
}

fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// For `zord doctor`.
pub(super) fn finding(sets: &[Verdict]) -> Option<Finding> {
    let names: Vec<&str> = sets.iter().map(|verdict| verdict.set.as_str()).collect();
    let faults: Vec<String> = sets
        .iter()
        .filter_map(|verdict| {
            let off = if verdict.set == kernels::PLAIN { "" } else { ", so it is switched off" };
            Some(format!("{} {}{off}", verdict.set, verdict.fault.as_ref()?))
        })
        .collect();
    if names.is_empty() {
        return None;
    }
    Some(if faults.is_empty() {
        let detail = format!("{}: checked against plain arithmetic", names.join(", "));
        Finding { topic: "kernels", state: State::Good, detail, hint: None }
    } else {
        let hint = Some("build again with a newer compiler (GCC 14 or Clang 16 and newer)".to_owned());
        Finding { topic: "kernels", state: State::Warning, detail: faults.join("; "), hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `wait` gives it: a code in the second byte, a signal in the first.
    fn verdict_of(raw: i32, told: &str) -> Option<Option<String>> {
        verdict("AMX".to_owned(), ExitStatus::from_raw(raw), told).map(|verdict| verdict.fault)
    }

    #[test]
    fn a_childs_end_says_what_is_wrong_with_its_kernels() {
        let right = "f16 1\nf16 1 0.000200\nq4_K 48\nq4_K 48 0.006100\n";
        assert_eq!(verdict_of(0, right), Some(None));
        assert_eq!(verdict_of(0, ""), Some(None), "a set for types that nobody uses");
        let crashed = verdict_of(11, "f16 1\nf16 1 0.000200\nq4_K 48\n").unwrap().unwrap();
        assert_eq!(crashed, "crashes on q4_K (SIGSEGV)");
        let wrong = verdict_of(0, "q8_0 5\nq8_0 5 0.004000\nq6_K 5\nq6_K 5 0.871000\n").unwrap().unwrap();
        assert_eq!(wrong, "gives wrong results for q6_K");
        assert_eq!(verdict_of(0, "q4_0 1\nq4_0 1 inf\n").unwrap().unwrap(), "gives wrong results for q4_0");
        assert_eq!(verdict_of(3 << 8, "q4_0 1\n").unwrap().unwrap(), "hangs on q4_0");
        assert_eq!(verdict_of(1 << 8, "error"), None);
    }

    #[test]
    fn what_is_switched_off_is_named() {
        let verdict = |set: &str, fault: Option<&str>| Verdict { set: set.into(), fault: fault.map(str::to_owned) };
        let good = finding(&[verdict("plain", None), verdict("CPU_REPACK", None)]).unwrap();
        assert_eq!(
            (good.state, good.detail.as_str()),
            (State::Good, "plain, CPU_REPACK: checked against plain arithmetic")
        );
        let bad = finding(&[verdict("plain", None), verdict("AMX", Some("crashes on q4_K (SIGSEGV)"))]).unwrap();
        assert_eq!(bad.detail, "AMX crashes on q4_K (SIGSEGV), so it is switched off");
        assert!(bad.state == State::Warning && bad.hint.is_some());
        assert!(finding(&[]).is_none());
    }
}

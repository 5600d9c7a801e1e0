//! A shell in a session of its own: without a controlling terminal nothing that it runs can draw on ours or read our
//! keys. The one system call for it has to happen in the child, before the shell is there.
#![allow(unsafe_code)]

use tokio::process::Command;

/// `sh -c SCRIPT sh COMMAND`, leading a session and a process group.
pub(super) fn shell(script: &str, command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg("sh").arg(command);
    let alone = || rustix::process::setsid().map(|_| ()).map_err(Into::into);
    // SAFETY: between fork and exec only what is async-signal-safe may run: this is one system call, and its error is a
    // number, so that nothing is allocated.
    unsafe { shell.pre_exec(alone) };
    shell
}

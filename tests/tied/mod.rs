//! A program that ends with the test or benchmark that started it, however that ends: a panic, Ctrl-C, or nextest that
//! kills a test which takes too long. The same way as the program itself ties commands to it: beside the program waits a
//! shell of the same process group that holds one end of a pipe, and kills the group when the other end is closed.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test must be able to fail, in its helpers too")]

use std::ffi::OsStr;
use std::io::PipeWriter;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Runs its arguments, with the shell that watches the pipe beside them.
const SCRIPT: &str = "exec 3<&0 </dev/null; \
    ( { trap '' HUP INT TERM; read -r told <&3 || kill -KILL 0; } >/dev/null 2>&1 & ); \
    exec 3<&-; exec \"$@\"";

/// A program, killed when this is dropped or the process ends.
pub struct Tied {
    pub child: Child,
    _pipe: PipeWriter,
}

impl Tied {
    /// Starts a program without input; `set` gives it its arguments and says where its words go.
    pub fn start(program: impl AsRef<OsStr>, set: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let (reader, pipe) = std::io::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(program).stdin(reader).process_group(0);
        let child = set(&mut command).spawn().unwrap();
        Self { child, _pipe: pipe }
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

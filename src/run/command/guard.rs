//! What a command began ends with us, even if we are killed: beside each command waits a shell of the same process group
//! that holds one end of a pipe. When ours closes, however that comes, it kills the group. Being part of the group, it
//! also keeps the group's number from being given to somebody else.

use std::io::{PipeReader, PipeWriter, Write};

use rustix::process::Pid;

/// Runs the command in `$1`, with the guard beside it. The guard is no child of the command, which might wait for it.
pub(super) const SCRIPT: &str = "exec 3<&0 </dev/null; \
    ( { trap '' HUP INT TERM; read -r told <&3 || kill -KILL 0; } >/dev/null 2>&1 & ); \
    exec 3<&-; exec sh -c \"$1\"";

/// Our end of the pipe.
pub(super) struct Guard(PipeWriter);

/// The guard's end, which the shell gets as its input, and ours.
pub(super) fn pair() -> std::io::Result<(PipeReader, Guard)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader, Guard(writer)))
}

impl Guard {
    /// The command has ended. If it left something behind, the guard stays until we are gone; else it may go. `held`: its
    /// output is still held by somebody.
    pub(super) fn end(mut self, group: Pid, held: bool) {
        if others(group).map_or(held, |others| others > 0) {
            // closed by the system when this program ends, which is what the guard waits for
            std::mem::forget(self);
        } else {
            let _ = self.0.write_all(b"go\n");
        }
    }
}

/// How many processes of a group there are besides the guard; `None` where that is not told.
fn others(group: Pid) -> Option<usize> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let mut seen = 0_usize;
    for entry in entries.flatten() {
        let stat = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let stat = stat.then(|| std::fs::read_to_string(entry.path().join("stat")).ok()).flatten();
        // `pid (name) state parent group`: the name may have anything in it
        let Some(stat) = stat else { continue };
        let mut behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind).split(' ');
        let alive = behind.next().is_some_and(|state| state != "Z" && state != "X");
        let own = behind.nth(1).is_some_and(|number| number == group.as_raw_nonzero().to_string());
        seen += usize::from(alive && own);
    }
    seen.checked_sub(1)
}

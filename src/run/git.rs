//! What has changed in a folder: against its last commit where Git keeps it, else against what stood there before Zord's
//! own last change.
//!
//! It only asks: nothing is staged, written or fetched, and no program that a repository names is started for a diff.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::app::msg::{Changed, EditsMsg};
use crate::edits::diff::{Diff, Row};
use crate::edits::inside;
use crate::edits::undo::{Kept, Undo};
use crate::error::UserError;

/// Bytes of a diff that are read.
const LARGEST: u64 = 1 << 20;
/// New files that are named.
const NAMED: usize = 50;
/// Lines around a change.
const AROUND: usize = 3;

/// What Git says, in at most [`LARGEST`] bytes; `None` where there is no Git or it refuses.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let mut child = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "--no-pager", "--no-optional-locks"])
        .args(args)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut bytes = Vec::new();
    let read = child.stdout.take().map(|out| out.take(LARGEST).read_to_end(&mut bytes));
    if bytes.len() as u64 >= LARGEST {
        // the rest is not wanted
        let _ = child.kill();
        let _ = child.wait();
    } else if !child.wait().ok()?.success() {
        return None;
    }
    read?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

const DIFF: [&str; 4] = ["diff", "--no-color", "--no-ext-diff", "--no-textconv"];

fn diff(folder: &Path, what: &[&str]) -> Option<String> {
    git(folder, &[&DIFF, what].concat())
}

/// What has changed in a folder; for a commit only what would go into it.
pub(super) fn changed(folder: &Path, undo: &Undo, commit: bool) -> EditsMsg {
    if git(folder, &["rev-parse", "--is-inside-work-tree"]).is_none() {
        return match commit {
            true => EditsMsg::Failed(UserError::failed("Git keeps no history of this folder, or is not installed")),
            false => EditsMsg::Changed(own(folder, undo)),
        };
    }
    if commit {
        let staged = diff(folder, &["--cached", "--", "."]).filter(|text| !text.trim().is_empty());
        let all = staged.is_none();
        let text = staged.or_else(|| diff(folder, &["HEAD", "--", "."])).unwrap_or_default();
        return EditsMsg::ToCommit { text, all };
    }
    // a repository without a commit has no HEAD
    let text =
        diff(folder, &["HEAD", "--", "."]).or_else(|| diff(folder, &["--cached", "--", "."])).unwrap_or_default();
    let new = git(folder, &["ls-files", "--others", "--exclude-standard", "--", "."]).unwrap_or_default();
    let new = new.lines().take(NAMED).map(str::to_owned).collect();
    EditsMsg::Changed(Changed { since: "the last commit".into(), text, new })
}

/// What Zord's own last change in a folder, and whatever came after it, made of its files.
fn own(folder: &Path, undo: &Undo) -> Changed {
    let since = "what stood there before Zord's last change".to_owned();
    let Some(Kept { record, .. }) = undo.newest(folder).ok().and_then(|newest| newest.found) else {
        return Changed { since, ..Changed::default() };
    };
    let (mut text, mut new) = (String::new(), Vec::new());
    for file in &record.files {
        let now = inside::read(folder, &file.name).ok().flatten().unwrap_or_default();
        if file.before.is_none() {
            new.push(file.name.clone());
        }
        text += &unified(&file.name, &Diff::new(file.before.clone().unwrap_or_default(), now));
    }
    Changed { since, text, new }
}

fn unified(name: &str, diff: &Diff) -> String {
    let mut text = String::new();
    for hunk in 0..diff.hunks().len() {
        if hunk == 0 {
            text += &format!("--- a/{name}\n+++ b/{name}\n");
        }
        let at = |range: &std::ops::Range<usize>| (range.start + 1, range.len());
        let (old, new) = (at(&diff.hunks()[hunk].old), at(&diff.hunks()[hunk].new));
        text += &format!("@@ -{},{} +{},{} @@\n", old.0, old.1, new.0, new.1);
        for row in diff.rows(hunk, AROUND) {
            let (sign, line) = match row {
                Row::Same(_, _, line) => (' ', line),
                Row::Gone(_, line) => ('-', line),
                Row::Come(_, line) => ('+', line),
            };
            text += &format!("{sign}{line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::undo::{Original, Record};

    fn run(folder: &Path, args: &[&str]) {
        let name = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"];
        let status = Command::new("git").args(name).args(args).current_dir(folder).stdout(Stdio::null()).status();
        assert!(status.expect("git is installed").success(), "{args:?}");
    }

    #[test]
    fn what_git_and_what_zord_changed_is_told() {
        let home = tempfile::tempdir().unwrap();
        let (folder, undo) = (home.path().join("project"), Undo::at(home.path().join("undo")));
        std::fs::create_dir(&folder).unwrap();
        let told = |commit: bool| changed(&folder, &undo, commit);
        assert!(matches!(told(false), EditsMsg::Changed(found) if found.text.is_empty() && found.new.is_empty()));
        let file = Original { name: "a.txt".into(), before: None, after: Some("one\n".into()) };
        undo.write(&Record { folder: folder.clone(), at: 1, files: vec![file], made: Vec::new() }).unwrap();
        let EditsMsg::Changed(own) = told(false) else { panic!() };
        assert!(own.text.contains("+one\n") && own.new == ["a.txt"], "{own:?}");
        assert!(matches!(told(true), EditsMsg::Failed(_)));
        run(&folder, &["init", "-q"]);
        run(&folder, &["add", "."]);
        assert!(matches!(told(true), EditsMsg::ToCommit { text, all: false } if text.contains("+one")));
        run(&folder, &["commit", "-q", "-m", "one"]);
        assert!(matches!(told(true), EditsMsg::ToCommit { text, all: true } if text.is_empty()));
        std::fs::write(folder.join("a.txt"), "two\n").unwrap();
        std::fs::write(folder.join("b.txt"), "new\n").unwrap();
        let EditsMsg::Changed(found) = told(false) else { panic!() };
        assert!(found.text.contains("-one\n+two\n") && found.new == ["b.txt"], "{found:?}");
        assert!(matches!(told(true), EditsMsg::ToCommit { text, all: true } if text.contains("+two")));
    }
}

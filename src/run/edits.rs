//! Changes of files on disk: what an answer would change, writing it, taking it back. All of it blocks.

use std::path::Path;

use crate::app::msg::EditsMsg;
use crate::chat::tree::Attachment;
use crate::edits::excerpt;
use crate::edits::grammar::Constraint;
use crate::edits::guard::Guard;
use crate::edits::inside::{self, Refused};
use crate::edits::propose::{Found, Wanted, propose as work_out};
use crate::edits::undo::{Original, Record, Undo, UndoError};
use crate::error::UserError;

pub(super) fn propose(folder: &Path, wanted: &Wanted) -> EditsMsg {
    let read = |name: &str| {
        let real = wanted.real.iter().find(|(shown, _)| shown == name).map(|(_, real)| real.as_str());
        let look = || -> Result<Found, Refused> {
            let path = inside::path(folder, real.unwrap_or(name))?;
            let text = inside::text(&path)?;
            Ok(Found { name: inside::shown(folder, &path), text })
        };
        look().map_err(|refused| refused.to_string())
    };
    EditsMsg::Proposed(Box::new(work_out(wanted, &read)))
}

/// What an answer may search for: lines of these files. Of a file that the model saw in parts, only those, and none that
/// stands in the rest of it too.
/// `guard`: the tests in them cannot be searched, and an answer that changes nothing cannot be written.
pub(super) fn constraint(folder: &Path, files: &[Attachment], guard: Option<&Guard>) -> Constraint {
    let whole = |file: &Attachment| {
        let is_part = file.text.lines().any(excerpt::is_gap);
        let name = file.real.as_ref().unwrap_or(&file.name);
        is_part.then(|| inside::read(folder, name).ok().flatten()).flatten()
    };
    let texts: Vec<String> = files.iter().map(|file| whole(file).unwrap_or_else(|| file.text.clone())).collect();
    let sources = files
        .iter()
        .zip(&texts)
        .map(|(file, text)| (file.name.as_str(), text.as_str(), excerpt::parts(&file.text, text)));
    let constraint = Constraint::of_parts(sources);
    let Some(guard) = guard else { return constraint };
    let names = files.iter().map(|file| file.real.as_ref().unwrap_or(&file.name));
    let barred: Vec<Vec<bool>> = names.zip(&texts).map(|(name, text)| guard.barred(name, text)).collect();
    let of = |shown: &str| {
        let at = files.iter().position(|file| file.name == shown)?;
        barred.get(at).cloned()
    };
    constraint.barring(&of).changing()
}

fn failed(error: UndoError) -> EditsMsg {
    match error {
        UndoError::Edited { record, changes } => EditsMsg::Edited { record, changes },
        other => EditsMsg::Failed(UserError::from(other)),
    }
}

fn names(files: &[Original]) -> Vec<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

pub(super) fn write(folder: &Path, undo: &Undo, files: Vec<Original>, at: u64) -> EditsMsg {
    let record = Record { folder: folder.to_owned(), at, files, made: Vec::new() };
    match undo.write(&record) {
        Ok(()) => EditsMsg::Written(names(&record.files)),
        Err(error) => failed(error),
    }
}

pub(super) fn undo(folder: &Path, undo: &Undo) -> EditsMsg {
    match undo.undo(folder) {
        Ok((record, broken)) => {
            let notice = |path: &std::path::PathBuf| {
                format!("a newer record cannot be read and was passed over: `{}`", path.display())
            };
            EditsMsg::Undone { names: names(&record.files), notices: broken.iter().map(notice).collect() }
        }
        Err(error) => failed(error),
    }
}

/// Writes what the person took of a way back, and ends the record.
pub(super) fn take_back(folder: &Path, undo: &Undo, named: &str, files: Vec<Original>, at: u64) -> EditsMsg {
    let record = Record { folder: folder.to_owned(), at, files, made: Vec::new() };
    match undo.take_back(named, &record) {
        Ok(kept) => {
            let notice = format!("what stood there is kept in `{}`", kept.display());
            EditsMsg::Undone { names: names(&record.files), notices: vec![notice] }
        }
        Err(error) => failed(error),
    }
}

pub(super) fn forget(folder: &Path, undo: &Undo) -> EditsMsg {
    match undo.drop_newest(folder) {
        Ok(record) => EditsMsg::Dropped(names(&record.files)),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_shown_in_parts_is_searched_in_those_parts_alone() {
        let home = tempfile::tempdir().unwrap();
        let text: String =
            (0..300).map(|n| format!("def f{n}():\n    pass\n\n")).collect::<String>() + "def last_one():\n    pass\n";
        std::fs::write(home.path().join("big.py"), &text).unwrap();
        let part = excerpt::choose(&text, "big.py", "`last_one` and f0", 300).unwrap();
        let file = Attachment { name: "big.py".into(), text: part.text, real: None };
        let form = constraint(home.path(), &[file], None);
        let allows = |search: &str| form.allows(format!("big.py\n<<<<<<< SEARCH\n{search}").as_bytes());
        assert!(allows("def last_one():\n    pass\n=======\n") && !allows("def f150"));
        assert!(!allows("    pass\n=======") && !allows("[…"));
    }

    #[test]
    fn an_answer_is_worked_out_written_and_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("project");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a\nb.txt"), "one\r\ntwo").unwrap();
        let answer = "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n".to_owned();
        let answer = format!("a b.txt\n{answer}");
        let (shown, real) = ("a b.txt".to_owned(), "a\nb.txt".to_owned());
        let wanted = Wanted { answer, attached: vec![shown.clone()], real: vec![(shown, real)], ..Wanted::default() };
        let EditsMsg::Proposed(proposed) = propose(&folder, &wanted) else { panic!() };
        let change = &proposed.changes[0];
        assert_eq!((change.name.as_str(), change.diff.proposed()), ("a\nb.txt", "one\r\n2"));
        let keep = Undo::at(home.path().join("undo"));
        let file =
            Original { name: change.name.clone(), before: Some("one\r\ntwo".into()), after: Some("one\r\n2".into()) };
        assert!(matches!(write(&folder, &keep, vec![file.clone()], 1), EditsMsg::Written(_)));
        assert!(
            matches!(write(&folder, &keep, vec![file], 1), EditsMsg::Failed(error) if error.message.contains("changed since"))
        );
        assert!(matches!(undo(&folder, &keep), EditsMsg::Undone { .. }));
        assert_eq!(std::fs::read_to_string(folder.join("a\nb.txt")).unwrap(), "one\r\ntwo");
        assert!(matches!(undo(&folder, &keep), EditsMsg::Failed(error) if error.message.contains("Nothing to undo")));
    }
}

//! Changes of files on disk: what an answer would change, writing it, taking it back. All of it blocks.

use std::path::Path;

use crate::app::msg::{EditsMsg, Trouble};
use crate::edits::inside::{self, Refused};
use crate::edits::propose::{Found, Wanted, propose as work_out};
use crate::edits::undo::{Original, Record, Undo, UndoError};
use crate::error::Report;

pub(super) fn propose(folder: &Path, wanted: &Wanted) -> EditsMsg {
    let read = |name: &str| {
        let look = || -> Result<Found, Refused> {
            let path = inside::path(folder, name)?;
            let text = inside::text(&path)?;
            Ok(Found { name: inside::shown(folder, &path), text })
        };
        look().map_err(|refused| refused.to_string())
    };
    EditsMsg::Proposed(Box::new(work_out(wanted, &read)))
}

fn failed(error: UndoError) -> EditsMsg {
    match error {
        UndoError::Edited { name, diff } => EditsMsg::Edited { name, diff },
        other => EditsMsg::Failed(Trouble::from(Report::from(other))),
    }
}

fn names(files: &[Original]) -> Vec<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

pub(super) fn write(folder: &Path, undo: &Undo, files: Vec<Original>, at: u64) -> EditsMsg {
    let record = Record { folder: folder.to_owned(), at, files };
    match undo.write(&record) {
        Ok(()) => EditsMsg::Written(names(&record.files)),
        Err(error) => failed(error),
    }
}

pub(super) fn undo(folder: &Path, undo: &Undo) -> EditsMsg {
    match undo.undo(folder) {
        Ok(record) => EditsMsg::Undone(names(&record.files)),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_worked_out_written_and_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("project");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("a\nb.txt"), "one\r\ntwo").unwrap();
        let answer = "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n".to_owned();
        let wanted = Wanted { answer, attached: vec!["a\nb.txt".into()], ..Wanted::default() };
        let EditsMsg::Proposed(proposed) = propose(&folder, &wanted) else { panic!() };
        let change = &proposed.changes[0];
        assert_eq!((change.name.as_str(), change.diff.proposed()), ("a\nb.txt", "one\r\n2"));
        let keep = Undo::at(home.path().join("undo"));
        let file = Original { name: change.name.clone(), before: Some("one\r\ntwo".into()), after: "one\r\n2".into() };
        assert!(matches!(write(&folder, &keep, vec![file.clone()], 1), EditsMsg::Written(_)));
        assert!(
            matches!(write(&folder, &keep, vec![file], 1), EditsMsg::Failed(trouble) if trouble.message.contains("changed since"))
        );
        assert!(matches!(undo(&folder, &keep), EditsMsg::Undone(_)));
        assert_eq!(std::fs::read_to_string(folder.join("a\nb.txt")).unwrap(), "one\r\ntwo");
        assert!(
            matches!(undo(&folder, &keep), EditsMsg::Failed(trouble) if trouble.message.contains("nothing to take back"))
        );
    }
}

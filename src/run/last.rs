//! Which conversation was held last in a folder, for `zord --continue`: one small file for each folder, that holds its
//! name. Losing it loses nothing else.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::history;
use crate::chat::journal::SessionId;
use crate::chat::store::Store;
use crate::paths::Paths;

/// The longest name of a session, and a line end.
const LONGEST: u64 = 65;

/// The place to note it.
pub(super) struct Last {
    file: PathBuf,
    noted: Option<SessionId>,
}

impl Last {
    pub(super) fn new(paths: &Paths, folder: &Path) -> Self {
        Self { file: file(paths, folder), noted: None }
    }

    /// Something was said in this conversation: gives what must be written, if it is not the one noted already.
    pub(super) fn note(&mut self, id: &SessionId) -> Option<(PathBuf, SessionId)> {
        if self.noted.as_ref() == Some(id) {
            return None;
        }
        self.noted = Some(id.clone());
        Some((self.file.clone(), id.clone()))
    }
}

/// Writes the name down.
pub(super) fn write(file: &Path, id: &SessionId) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    crate::atomic::write(file, id.as_str())
}

/// The conversation that was held last in a folder, if it is still there.
pub fn find(paths: &Paths, folder: &Path) -> Option<SessionId> {
    let file = std::fs::File::open(file(paths, folder)).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut name = String::new();
    file.take(LONGEST).read_to_string(&mut name).ok()?;
    let id = SessionId::parse(name.trim()).ok()?;
    Store::at(paths.sessions()).journal_path(&id).is_file().then_some(id)
}

/// One folder by whatever path it was opened.
fn file(paths: &Paths, folder: &Path) -> PathBuf {
    let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    paths.last().join(history::name(&real))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_conversation_of_a_folder_is_found_by_any_path_to_it() {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = Paths::under(home.path().to_owned());
        let id = SessionId::new(1_700_000_000_000, 1);
        let mut last = Last::new(&paths, folder.path());
        let (file, noted) = last.note(&id).unwrap();
        assert_eq!(last.note(&id), None, "once is enough");
        write(&file, &noted).unwrap();
        assert_eq!(find(&paths, folder.path()), None, "its journal is not there");
        let journal = Store::at(paths.sessions()).journal_path(&id);
        std::fs::create_dir_all(journal.parent().unwrap()).unwrap();
        std::fs::write(&journal, "").unwrap();
        assert_eq!(find(&paths, &folder.path().join(".")), Some(id));
        assert_eq!(find(&paths, home.path()), None, "another folder has its own");
        std::fs::write(&file, "../../etc/passwd").unwrap();
        assert_eq!(find(&paths, folder.path()), None);
    }
}

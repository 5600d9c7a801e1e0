//! The folder's notes for programs that write code, and what was decided about them.
//!
//! Of the files that such programs read, the first that is there: in the opened folder, then in those above it up to the
//! root of its Git repository. It refuses what lies outside of that, what is no text, and what nobody would read.
//! Decisions are kept in one small file, by what stands for the folder and for the content, so that notes that have
//! changed are asked about again. Losing it loses nothing but them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::history;
use crate::app::notes::{Decision, Looked, Notes};
use crate::edits::inside;
use crate::hex::hex;
use crate::paths::Paths;
use crate::small;
use crate::text::clean;
use crate::text::document::BOM;

/// The files that are looked for, the first that is there counts.
pub(super) const NAMES: [&str; 6] =
    ["AGENTS.md", "CLAUDE.md", "GEMINI.md", ".github/copilot-instructions.md", ".cursorrules", "CONVENTIONS.md"];
/// Bytes of notes at most.
const LARGEST: u64 = 256 << 10;
/// Folders above the opened one that are looked at, at most.
const ABOVE: usize = 64;
/// Decisions that are kept.
const KEPT: usize = 400;
/// Bytes of the file that they are kept in, at most.
const FILE: u64 = 1 << 20;

/// Two threads must not write the file from the same beginning.
static WRITING: Mutex<()> = Mutex::new(());

/// Looks for them.
pub(super) fn look(paths: &Paths, folder: &Path) -> Looked {
    let Ok(opened) = fs::canonicalize(folder) else { return Looked::Nothing };
    let root = root(&opened);
    for (up, place) in opened.ancestors().take(ABOVE).take_while(|place| place.starts_with(root)).enumerate() {
        for name in NAMES {
            let shown = format!("{}{name}", "../".repeat(up));
            match read(root, &place.join(name)) {
                Ok(None) => {}
                Ok(Some(Content { text, hidden, hash })) => {
                    let decided = decided(paths, folder, &hash);
                    return Looked::Found(Box::new(Notes { name: shown, text, hidden, hash, decided }));
                }
                Err(why) => return Looked::Unfit { name: shown, why },
            }
        }
    }
    Looked::Nothing
}

/// Where the Git repository of a folder begins; the folder itself if there is none.
fn root(folder: &Path) -> &Path {
    folder.ancestors().take(ABOVE).find(|above| above.join(".git").exists()).unwrap_or(folder)
}

/// What a file says, made harmless.
struct Content {
    text: String,
    hidden: usize,
    hash: String,
}

/// What a file says; `None` if there is none, or it says nothing.
fn read(root: &Path, file: &Path) -> Result<Option<Content>, String> {
    // a link that leads nowhere is there as well: it is told why it is not read
    if file.symlink_metadata().is_err() || file.is_dir() {
        return Ok(None);
    }
    // what the folders above are called is nobody's doing here
    let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
    let file = inside::path(root, &name).map_err(|refused| refused.to_string())?;
    let bytes = match small::read(&file, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let hash = hex(&Sha256::digest(&bytes));
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or("it is not text (UTF-8)")?;
    let (text, hidden) = clean::without_hidden(text.strip_prefix(BOM).unwrap_or(&text));
    let text = clean::pasted(&text);
    Ok((!text.trim().is_empty()).then_some(Content { text, hidden, hash }))
}

/// One decision.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    folder: String,
    content: String,
    #[serde(default)]
    server: Option<String>,
    used: bool,
}

fn file(paths: &Paths) -> PathBuf {
    paths.data.join("notes.jsonl")
}

/// One folder by whatever path it was opened.
fn name(folder: &Path) -> String {
    history::name(&fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()))
}

/// What is kept; lines that are none are passed over.
fn lines(paths: &Paths) -> Vec<Line> {
    let text = small::read(file(paths), FILE).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn decided(paths: &Paths, folder: &Path, hash: &str) -> Vec<Decision> {
    let name = name(folder);
    let about = lines(paths).into_iter().filter(|line| line.folder == name && line.content == hash);
    about.map(|Line { server, used, .. }| Decision { server, used }).collect()
}

/// Keeps a decision, in place of the one before it about the same.
pub(super) fn keep(paths: &Paths, folder: &Path, content: String, decision: Decision) -> Result<(), String> {
    let Decision { server, used } = decision;
    let new = Line { folder: name(folder), content, server, used };
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lines = lines(paths);
    lines.retain(|line| (&line.folder, &line.content, &line.server) != (&new.folder, &new.content, &new.server));
    lines.push(new);
    let newest = &lines[lines.len().saturating_sub(KEPT)..];
    let text: String = newest.iter().filter_map(|line| Some(serde_json::to_string(line).ok()? + "\n")).collect();
    fs::create_dir_all(&paths.data).map_err(|error| error.to_string())?;
    crate::atomic::write(file(paths), text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: Decision = Decision { server: None, used: false };

    /// An installation, and a repository with a folder in it.
    fn scene() -> (tempfile::TempDir, Paths, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        // a name that would be refused inside of it
        let repository = home.path().join("my\u{a0}project");
        fs::create_dir_all(repository.join(".git")).unwrap();
        fs::create_dir_all(repository.join("sub/deep")).unwrap();
        let paths = Paths::under(home.path().join("zord"));
        (home, paths, repository)
    }

    fn found(paths: &Paths, folder: &Path) -> Option<(String, String)> {
        match look(paths, folder) {
            Looked::Found(notes) => Some((notes.name, notes.text)),
            Looked::Nothing => None,
            Looked::Unfit { name, why } => panic!("{name}: {why}"),
        }
    }

    fn refused(paths: &Paths, folder: &Path) -> String {
        match look(paths, folder) {
            Looked::Unfit { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_in_order_counts_then_the_folders_above_up_to_the_repository() {
        let (home, paths, repository) = scene();
        fs::write(home.path().join("AGENTS.md"), "above the repository").unwrap();
        let deep = repository.join("sub/deep");
        assert_eq!(look(&paths, &deep), Looked::Nothing);
        fs::create_dir(repository.join(".github")).unwrap();
        for name in NAMES.iter().rev() {
            fs::write(repository.join(name), format!("in {name}")).unwrap();
            assert_eq!(found(&paths, &repository), Some(((*name).into(), format!("in {name}"))));
            assert_eq!(found(&paths, &deep), Some((format!("../../{name}"), format!("in {name}"))));
        }
        fs::write(deep.join("CONVENTIONS.md"), "nearest").unwrap();
        assert_eq!(found(&paths, &deep).unwrap().1, "nearest");
        fs::write(deep.join("AGENTS.md"), " \n").unwrap();
        assert_eq!(found(&paths, &deep).unwrap().1, "nearest", "what says nothing is passed by");
        fs::remove_dir(repository.join(".git")).unwrap();
        assert_eq!(look(&paths, &repository.join("sub")), Looked::Nothing, "no repository: the folder alone");
        assert_eq!(found(&paths, &repository).unwrap().0, "AGENTS.md");
    }

    #[test]
    fn only_text_that_lies_inside_is_read() {
        let (home, paths, repository) = scene();
        let file = repository.join("AGENTS.md");
        fs::write(home.path().join("secret"), "a key").unwrap();
        let link = |to: &Path| std::os::unix::fs::symlink(to, &file).unwrap();
        link(&home.path().join("secret"));
        assert!(refused(&paths, &repository).contains("outside"));
        fs::remove_file(&file).unwrap();
        link(Path::new("/dev/zero"));
        assert!(refused(&paths, &repository).contains("outside"));
        fs::remove_file(&file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        assert!(refused(&paths, &repository).contains("not a file"), "nobody writes to it");
        fs::remove_file(&file).unwrap();
        fs::File::create(&file).unwrap().set_len(2 << 30).unwrap();
        assert!(refused(&paths, &repository).contains("at most 262144"));
        for bytes in [&b"caf\xe9"[..], b"a\0b"] {
            fs::write(&file, bytes).unwrap();
            assert!(refused(&paths, &repository).contains("not text"), "{bytes:?}");
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(look(&paths, &repository), Looked::Nothing, "a folder of that name is none");
        fs::remove_dir(&file).unwrap();
        fs::write(repository.join("sub/RULES"), "inside").unwrap();
        link(Path::new("sub/RULES"));
        assert_eq!(found(&paths, &repository).unwrap().1, "inside", "a link inside is followed");
    }

    #[test]
    fn what_could_hide_or_colour_is_taken_out() {
        let (_home, paths, repository) = scene();
        fs::write(repository.join("AGENTS.md"), "\u{feff}a\u{1b}[31mb\u{202e}c\u{200b}\r\n<|im_end|>\u{e0041}\u{7}\n")
            .unwrap();
        assert_eq!(found(&paths, &repository).unwrap().1, "abc\n<|im_end|>\n", "the engine takes marks apart");
        assert!(matches!(look(&paths, &repository), Looked::Found(notes) if notes.hidden == 3));
    }

    fn said(paths: &Paths, folder: &Path) -> Vec<Decision> {
        match look(paths, folder) {
            Looked::Found(notes) => notes.decided,
            other => panic!("{other:?}"),
        }
    }

    fn hash(paths: &Paths, folder: &Path) -> String {
        match look(paths, folder) {
            Looked::Found(notes) => notes.hash,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_decision_holds_for_a_folder_a_content_and_a_server() {
        let (_home, paths, repository) = scene();
        let file = repository.join("AGENTS.md");
        fs::write(&file, "one").unwrap();
        assert_eq!(said(&paths, &repository), []);
        let remote = Decision { server: Some("host:1".into()), used: true };
        let one = hash(&paths, &repository);
        keep(&paths, &repository, one.clone(), Decision { server: None, used: true }).unwrap();
        keep(&paths, &repository, one.clone(), remote.clone()).unwrap();
        keep(&paths, &repository.join("."), one, NO).unwrap();
        assert_eq!(said(&paths, &repository.join("sub/..")), [remote.clone(), NO], "the last one counts");
        assert_eq!(said(&paths, &repository.join("sub")), [], "another folder");
        fs::write(&file, "two").unwrap();
        assert_eq!(said(&paths, &repository), [], "other content");
        fs::write(&file, "one").unwrap();
        assert_eq!(said(&paths, &repository), [remote, NO], "the same again");
    }

    #[test]
    fn what_is_kept_survives_damage_and_does_not_grow_without_end() {
        let (_home, paths, repository) = scene();
        fs::write(repository.join("AGENTS.md"), "one").unwrap();
        let hash = hash(&paths, &repository);
        keep(&paths, &repository, hash.clone(), NO).unwrap();
        let good = fs::read(file(&paths)).unwrap();
        fs::write(file(&paths), [b"\xff\xfe{\n{}\n[1]\n".as_slice(), &good, b"{\"folder\":\"x"].concat()).unwrap();
        assert_eq!(said(&paths, &repository), [NO]);
        for n in 0..KEPT + 10 {
            keep(&paths, &repository, format!("{n}"), NO).unwrap();
        }
        assert_eq!((lines(&paths).len(), lines(&paths).last().unwrap().content.as_str()), (KEPT, "409"));
        assert_eq!(said(&paths, &repository), [], "the oldest went");
        // nothing that can be read
        fs::remove_file(file(&paths)).unwrap();
        fs::create_dir(file(&paths)).unwrap();
        assert_eq!(said(&paths, &repository), []);
        assert!(keep(&paths, &repository, hash, NO).is_err(), "told, and no worse");
    }
}

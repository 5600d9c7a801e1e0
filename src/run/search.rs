//! The search over all files of the folder: one at a time, on a thread of its own; a newer one ends the older one, and who
//! types on is waited for.
//!
//! What it refuses to do: follow links, open what is no regular file, search what is binary or over [`LARGEST`] bytes, list
//! more than [`MOST`] lines or more of a line than fits a screen. What ignore files leave out is left out, as in the list of
//! files. A file is read whole: the libraries do the matching, not the reading.

mod line;
mod pattern;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::newest::Newest;
use super::{Desk, Told, files};
use crate::app::msg::Msg;
use crate::app::search::{FoundFile, FoundLine, LARGEST, MOST, SearchId, SearchMsg, Searched, Sought};
use crate::engine::Cancel;
use pattern::Pattern;

/// How long is waited for the next key.
pub(super) const PAUSE: Duration = Duration::from_millis(80);
/// Between two words about how far it is.
const STEP: Duration = Duration::from_millis(50);
/// Bytes that tell whether a file is text.
const HEAD: u64 = 8 << 10;

/// Something to search for.
struct Order {
    id: SearchId,
    sought: Sought,
    cancel: Cancel,
}

/// The thread that searches, once there is something to search for.
#[derive(Default)]
pub(super) struct Searcher(Newest<(SearchId, Sought)>);

impl Searcher {
    /// Searches; what was searched for before is not wanted any more.
    ///
    /// # Errors
    /// There is no thread for it.
    fn search(&mut self, folder: &Path, id: SearchId, sought: Sought, post: &Post) -> std::io::Result<()> {
        let (folder, post) = (folder.to_owned(), Arc::clone(post));
        let work = move |(id, sought), cancel: &Cancel| {
            search(&folder, &Order { id, sought, cancel: cancel.clone() }, &*post);
        };
        self.0.ask("search", PAUSE, (id, sought), work)
    }

    pub(super) fn cancel(&self) {
        self.0.cancel();
    }
}

/// Whom to tell; `false` when nobody listens any more.
type Post = Arc<dyn Fn(SearchMsg) -> bool + Send + Sync>;

/// Searches the folder; says nothing more once it is cancelled.
fn search(folder: &Path, order: &Order, post: &dyn Fn(SearchMsg) -> bool) {
    let Order { id, sought, cancel } = order;
    let pattern = match Pattern::new(sought) {
        Ok(pattern) => pattern,
        Err(why) => {
            post(SearchMsg::Wrong { id: *id, why });
            return;
        }
    };
    let mut ongoing =
        Ongoing { folder, pattern, order, post, found: Vec::new(), count: 0, searched: Searched::default() };
    let mut text = Vec::new();
    let mut told = Instant::now();
    for entry in crate::walk::builder(folder, true).build().filter_map(Result::ok) {
        if cancel.is_cancelled() {
            return;
        }
        if entry.file_type().is_some_and(|kind| kind.is_file()) && !ongoing.look_into(entry.path(), &mut text) {
            break;
        }
        if (ongoing.count > 0 && ongoing.count == ongoing.found.len()) || told.elapsed() > STEP {
            told = Instant::now();
            if !ongoing.tell() {
                return;
            }
        }
    }
    if !cancel.is_cancelled() && ongoing.tell() {
        post(SearchMsg::Done { id: *id, searched: ongoing.searched, more: ongoing.count > MOST });
    }
}

/// A search that goes on.
struct Ongoing<'a> {
    folder: &'a Path,
    pattern: Pattern,
    order: &'a Order,
    post: &'a dyn Fn(SearchMsg) -> bool,
    /// What is not told yet.
    found: Vec<FoundLine>,
    /// All that was found.
    count: usize,
    searched: Searched,
}

impl Ongoing<'_> {
    fn tell(&mut self) -> bool {
        let lines = std::mem::take(&mut self.found);
        (self.post)(SearchMsg::Found { id: self.order.id, lines, searched: self.searched })
    }

    /// Searches a file; `false` when there is enough. `text` is room to read into.
    fn look_into(&mut self, path: &Path, text: &mut Vec<u8>) -> bool {
        match read(path, text) {
            Ok(Content::Text) => self.searched.files += 1,
            Ok(Content::Binary) => return true,
            Ok(Content::Large) => {
                self.searched.large += 1;
                return true;
            }
            Err(_) => {
                self.searched.unreadable += 1;
                return true;
            }
        }
        let Self { folder, pattern, order, found, count, .. } = self;
        // the editor shows no mark at the start of a file either
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut file: Option<Arc<FoundFile>> = None;
        pattern.lines(text, &|| order.cancel.is_cancelled(), &mut |number, line, matched| {
            *count += 1;
            if *count > MOST {
                return false;
            }
            let name = || Arc::new(FoundFile { path: path.to_owned(), name: files::shown(folder, path) });
            found.push(line::found(file.get_or_insert_with(name), number, line, matched));
            true
        });
        *count <= MOST
    }
}

enum Content {
    Text,
    Binary,
    Large,
}

/// Reads a file whole into `text`, in place of what is there.
fn read(path: &Path, text: &mut Vec<u8>) -> std::io::Result<Content> {
    text.clear();
    let file = open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(Content::Binary);
    }
    (&file).take(HEAD).read_to_end(text)?;
    if text.contains(&0) {
        return Ok(Content::Binary);
    }
    if facts.len() > LARGEST {
        return Ok(Content::Large);
    }
    (&file).take(LARGEST + 1 - text.len() as u64).read_to_end(text)?;
    // it may have grown
    if text.len() as u64 > LARGEST {
        return Ok(Content::Large);
    }
    Ok(if text.contains(&0) { Content::Binary } else { Content::Text })
}

/// Since the folder was listed, a link or a pipe may have taken the file's place.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

impl Desk {
    pub(super) fn search_files(&mut self, id: SearchId, sought: Sought) {
        let post = self.post.clone();
        let tell: Post = Arc::new(move |told| post.blocking_send(Told::Msg(Msg::Search(told))).is_ok());
        let folder: PathBuf = self.start.folder.clone();
        if let Err(error) = self.searcher.search(&folder, id, sought, &tell) {
            let why = format!("cannot search: {error}");
            self.own.put(Told::Msg(Msg::Search(SearchMsg::Wrong { id, why })));
        }
    }
}

#[cfg(test)]
mod tests;

//! Which files of a folder count as source code: what `.gitignore` leaves, by extension and size.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::licence;
use crate::lang;

/// The largest file read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A file that counts.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) facts: Metadata,
}

/// What a walk came upon.
#[derive(Debug)]
pub(super) enum Met {
    /// A file whose text counts.
    Source(Found),
    /// A file that says under which licence others stand.
    Licence(Found),
    /// A file or a folder that cannot be read.
    Unreadable,
}

/// Hands every file to `each`, in a fixed order, unread.
///
/// # Errors
/// Whatever `each` says.
pub(super) fn files<E>(
    folder: &Path,
    extensions: &[String],
    mut each: impl FnMut(Met) -> Result<(), E>,
) -> Result<(), E> {
    let wanted = |path: &Path| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let named = extensions.iter().any(|wanted| wanted == end);
        named || (extensions.is_empty() && lang::corpus_extensions().any(|usual| usual == end))
    };
    for entry in crate::walk::builder(folder, false).build() {
        let facts = entry.and_then(|entry| Ok(Found { facts: entry.metadata()?, path: entry.into_path() }));
        match facts {
            Err(_) => each(Met::Unreadable)?,
            Ok(found) if !found.facts.is_file() => {}
            Ok(found) if found.facts.len() <= LARGEST && wanted(&found.path) => each(Met::Source(found))?,
            Ok(found) if licence::is_file(&found.path) => each(Met::Licence(found))?,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// A file's text. What is no text is no source code, whatever it is called.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = crate::small::text(path, LARGEST).ok()?;
    (!text.contains('\0') && !text.trim().is_empty()).then_some(text)
}

//! Changes to a GGUF file's metadata, with the weights left where they are.
//!
//! A header that is not longer than the old one is written over it, filled up to the same length by a value that says
//! nothing; the old one is kept beside the file until the new one is on disk. Only a longer header makes a new file, with
//! some room for the next change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::inspect::PADDING;
use crate::atomic;
use crate::atomic::Partial;
use crate::atomic::WriteError;
use crate::engine::Cancel;
use crate::error::{Advise, ExitCode};
use crate::small;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgufError, Header, Metadata, kept_header};

/// How a kept header begins, so that no file of a person's is taken for one.
const KEPT: &[u8] = b"zord kept header\0";
/// Bytes it takes when it is empty: its name and its text each with a length, and a type.
const EMPTY: u64 = 8 + PADDING.len() as u64 + 4 + 8;
/// Room that a new file has for later changes, in bytes.
const ROOM: u64 = 2048;
/// Bytes behind a header that tell a file from another one.
const MARKED: usize = 64 << 10;
/// The longest beginning of a file that is kept while it is written, in bytes.
const LONGEST_KEPT: u64 = 1 << 30;
/// Bytes copied at a time.
const CHUNK: usize = 4 << 20;

/// An edit that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Something else happened to the file.
    #[error("cannot change `{}`: {source}", path.display())]
    #[allow(missing_docs)]
    Io { path: PathBuf, source: io::Error },
    /// The person stopped it.
    #[error("interrupted; `{}` is as it was", path.display())]
    #[allow(missing_docs)]
    Interrupted { path: PathBuf },
    /// One part of a model alone is nothing that can be loaded.
    #[error("`{}` is one of {count} parts of a model, and a copy of it alone cannot be loaded", path.display())]
    #[allow(missing_docs)]
    Part { path: PathBuf, count: u64 },
}

impl Advise for EditError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Gguf(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Io { .. } => Some("`-o FILE` writes the result elsewhere".to_owned()),
            Self::Interrupted { .. } => None,
            Self::Part { .. } => Some(
                "without `-o` the part itself is changed; `zord-quantize quantize PART OUT --type COPY` makes one file \
                 of all parts"
                    .to_owned(),
            ),
        }
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted { .. }) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}

/// How the change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Only the header was written.
    InPlace,
    /// A new file was written.
    Rewritten,
}

/// Reads a header and its values, after putting back what an edit that was cut off left half written.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path) -> Result<(Header, Metadata), EditError> {
    let io = |source| EditError::Io { path: path.to_owned(), source };
    let kept = kept(path);
    let beginning = || small::read(&kept, LONGEST_KEPT).ok().and_then(|bytes| Some(bytes.strip_prefix(KEPT)?.to_vec()));
    if beginning().is_some() {
        // Whoever holds the file is just writing, and what was kept is theirs. Read again when the file is ours, as they
        // may have come to their end meanwhile.
        let file = lock(path).map_err(io)?;
        if let Some(bytes) = beginning() {
            let old = bytes.get(..bytes.len().saturating_sub(8 + 32)).unwrap_or_default();
            // A file that took the name meanwhile is another one, and whole.
            if bytes.strip_prefix(old) == mark(&file, old.len() as u64).ok().as_deref() {
                file.write_all_at(old, 0).and_then(|()| file.sync_all()).map_err(io)?;
            }
            fs::remove_file(&kept).map_err(io)?;
        }
    }
    let header = Header::read(path)?;
    let (count, number) = (parts(&header), header.u64("split.no").unwrap_or(0));
    if count > 1 && number > 0 {
        // What it holds besides its tensors is read by nobody.
        return Err(GgufError::Part { path: path.to_owned(), number: number + 1, count }.into());
    }
    let file = File::open(path).map_err(io)?;
    let mut metadata = Metadata::of(&header, &file).map_err(io)?;
    metadata.remove(PADDING);
    Ok((header, metadata))
}

/// Gives a file other values. With `to`, the result goes there and the file stays; `show` is told bytes done and all.
///
/// # Errors
/// As [`EditError`]; the file is then as it was.
pub fn write(
    header: &Header,
    metadata: &Metadata,
    to: Option<&Path>,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<Done, EditError> {
    let path = header.path();
    let io = |source| EditError::Io { path: path.to_owned(), source };
    if to.is_some() && parts(header) > 1 {
        return Err(EditError::Part { path: path.to_owned(), count: parts(header) });
    }
    let old = header.data_offset;
    if to.is_none()
        && let Some(bytes) = fitted(header, metadata, old).map_err(io)?
    {
        replace(path, &bytes).map_err(io)?;
        return Ok(Done::InPlace);
    }
    let bare = head(header, metadata, None).map_err(io)?.len() as u64;
    let wanted = if to.is_some() { bare } else { (bare + EMPTY + ROOM).next_multiple_of(header.alignment) };
    let bytes = fitted(header, metadata, wanted).map_err(io)?.unwrap_or_default();
    let target = to.unwrap_or(path);
    let mut partial = Partial::create(target)?;
    let rest = header.file_len - old.min(header.file_len);
    let copied = (|| {
        let mut from = File::open(path)?;
        from.seek(SeekFrom::Start(old))?;
        let out = partial.file()?;
        out.write_all(&bytes)?;
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        loop {
            if cancel.is_cancelled() {
                return Ok(false);
            }
            let n = from.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            out.write_all(buffer.get(..n).unwrap_or_default())?;
            done += n as u64;
            show(done, rest);
        }
        if let Ok(facts) = fs::metadata(path) {
            out.set_permissions(facts.permissions())?;
        }
        Ok(true)
    })();
    match copied {
        Ok(true) => partial.finish().map(|()| Done::Rewritten).map_err(EditError::Write),
        Ok(false) => Err(EditError::Interrupted { path: path.to_owned() }),
        Err(error) => Err(EditError::Write(partial.fault(error))),
    }
}

/// How many files the model is in.
fn parts(header: &Header) -> u64 {
    header.u64("split.count").unwrap_or(1)
}

/// The header's bytes, exactly `size` of them; `None` when they do not fit.
fn fitted(header: &Header, metadata: &Metadata, size: u64) -> io::Result<Option<Vec<u8>>> {
    let bare = head(header, metadata, None)?;
    if bare.len() as u64 == size {
        return Ok(Some(bare));
    }
    // The header is padded to the alignment, so each try can be off by less than that.
    let guess = (size + header.alignment).saturating_sub(bare.len() as u64 + EMPTY);
    for fill in (0..=guess).rev().take(3 * header.alignment as usize) {
        let bytes = head(header, metadata, Some(fill))?;
        if bytes.len() as u64 == size {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn head(header: &Header, metadata: &Metadata, fill: Option<u64>) -> io::Result<Vec<u8>> {
    let mut writer = HeaderWriter::new().aligned(header.alignment).metadata(metadata);
    if let Some(fill) = fill {
        writer = writer.str(PADDING, &" ".repeat(usize::try_from(fill).unwrap_or_default()));
    }
    for tensor in &header.tensors {
        writer = writer.tensor_at(&tensor.name, &tensor.dims, tensor.kind, tensor.offset);
    }
    Ok(writer.bytes()?.0)
}

/// The file, for one who writes it alone.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::other("another `edit` is changing it")),
        // A file system without locks has nobody who could be told.
        _ => Ok(file),
    }
}

/// Writes over the beginning of a file, with the old beginning kept beside it meanwhile.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = lock(path)?;
    let mut old = vec![0; bytes.len()];
    file.read_exact_at(&mut old, 0)?;
    if old == bytes {
        return Ok(());
    }
    let kept = kept(path);
    let mark = mark(&file, bytes.len() as u64)?;
    if small::read(&kept, LONGEST_KEPT).is_ok_and(|other| !other.starts_with(KEPT)) {
        return Err(io::Error::other(format!("`{}` is in the way", kept.display())));
    }
    atomic::write(&kept, [KEPT, &old, &mark].concat())?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    fs::remove_file(&kept)
}

/// Tells a file from one of other weights that took its name: its length, and a digest of what follows the header.
fn mark(file: &File, header: u64) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    let mut next = vec![0; usize::try_from(len.saturating_sub(header)).unwrap_or(usize::MAX).min(MARKED)];
    file.read_exact_at(&mut next, header)?;
    let mut mark = len.to_le_bytes().to_vec();
    mark.extend(Sha256::digest(&next));
    Ok(mark)
}

fn kept(path: &Path) -> PathBuf {
    kept_header(&atomic::followed(path).unwrap_or_else(|_| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::{GgmlType, Value};

    fn model(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join("m.gguf");
        let tokens: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
        let writer = HeaderWriter::new()
            .str("general.architecture", "llama")
            .str("general.name", name)
            .strs("tokenizer.ggml.tokens", &tokens)
            .tensor("a.weight", &[32, 2], GgmlType::F32)
            .tensor("b.weight", &[32], GgmlType::Q8_0);
        let (mut bytes, data) = writer.bytes().unwrap();
        bytes.extend((0..data).map(|n| n as u8));
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_part_is_not_copied_alone() {
        let folder = tempfile::tempdir().unwrap();
        let of = |number: u64| {
            let (mut bytes, data) = HeaderWriter::new()
                .u32("split.no", number as u32)
                .u32("split.count", 2)
                .str("general.architecture", "llama")
                .tensor("a.weight", &[32], GgmlType::F32)
                .bytes()
                .unwrap();
            bytes.resize(bytes.len() + data as usize, 0);
            let path = folder.path().join(format!("m-{:05}-of-00002.gguf", number + 1));
            fs::write(&path, bytes).unwrap();
            path
        };
        let first = of(0);
        let (header, metadata) = open(&first).unwrap();
        let copy = folder.path().join("x.gguf");
        let error = write(&header, &metadata, Some(&copy), &Cancel::new(), |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("one of 2 parts") && !copy.exists(), "{error}");
        change(&first, "changed in its place", None);
        assert_eq!(Header::read(&first).unwrap().str("general.name"), Some("changed in its place"));
        assert!(open(&of(1)).unwrap_err().to_string().contains("part 2 of 2"));
    }

    fn data(path: &Path) -> Vec<u8> {
        let header = Header::read(path).unwrap();
        fs::read(path).unwrap().split_off(header.data_offset as usize)
    }

    fn change(path: &Path, name: &str, to: Option<&Path>) -> Done {
        let (header, mut metadata) = open(path).unwrap();
        metadata.str("general.name", name);
        write(&header, &metadata, to, &Cancel::new(), |_, _| ()).unwrap()
    }

    #[test]
    fn a_header_that_fits_is_written_over_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "a rather long name for such a model");
        let (before, len) = (data(&path), fs::metadata(&path).unwrap().len());
        for name in ["short", "", "a rather long name for such a model", "x"] {
            assert_eq!(change(&path, name, None), Done::InPlace, "{name}");
            let header = Header::read(&path).unwrap();
            assert_eq!(header.str("general.name"), Some(name));
            assert_eq!(header.strings("tokenizer.ggml.tokens").unwrap()[299], "t299");
            assert_eq!((data(&path), fs::metadata(&path).unwrap().len()), (before.clone(), len));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_longer_header_makes_a_new_file_with_room_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "n");
        let before = data(&path);
        let long = "long ".repeat(100);
        assert_eq!(change(&path, &long, None), Done::Rewritten);
        assert_eq!(data(&path), before);
        assert_eq!(change(&path, &(long.clone() + &long), None), Done::InPlace);
        let other = folder.path().join("o.gguf");
        assert_eq!(change(&path, "other", Some(&other)), Done::Rewritten);
        assert_eq!(data(&other), before);
        assert_eq!(Header::read(&path).unwrap().str("general.name").unwrap().len(), 1000);
        assert!(Header::read(&other).unwrap().get(PADDING).is_none());
    }

    #[test]
    fn numbers_keep_their_types_and_values_can_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "n");
        let (header, mut metadata) = open(&path).unwrap();
        metadata.number("x.y", &Value::U64(7));
        metadata.number("x.y", &Value::I8(-7));
        assert!(metadata.remove("general.name") && !metadata.remove("general.name"));
        write(&header, &metadata, None, &Cancel::new(), |_, _| ()).unwrap();
        let header = Header::read(&path).unwrap();
        assert_eq!((header.get("x.y"), header.get("general.name")), (Some(&Value::I8(-7)), None));
    }

    #[test]
    fn an_edit_that_was_cut_off_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "n");
        let whole = fs::read(&path).unwrap();
        let mut torn = whole.clone();
        torn[..150].fill(0);
        fs::write(&path, torn).unwrap();
        let beginning = [KEPT, &whole[..200], &mark(&File::open(&path).unwrap(), 200).unwrap()].concat();
        fs::write(kept(&path), &beginning).unwrap();
        open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert!(!kept(&path).exists());
        // Another file of the name is not touched.
        fs::remove_file(&path).unwrap();
        let other = fs::read(model(folder.path(), &"another one".repeat(20))).unwrap();
        fs::write(kept(&path), &beginning).unwrap();
        open(&path).unwrap();
        assert!(fs::read(&path).unwrap() == other && !kept(&path).exists());
        // Nor is a file that only has the name.
        fs::write(kept(&path), "notes").unwrap();
        open(&path).unwrap();
        assert_eq!(fs::read_to_string(kept(&path)).unwrap(), "notes");
    }

    #[test]
    fn an_interrupted_rewrite_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), "n");
        let whole = fs::read(&path).unwrap();
        let (header, mut metadata) = open(&path).unwrap();
        metadata.str("general.name", &"long".repeat(100));
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(write(&header, &metadata, None, &cancel, |_, _| ()), Err(EditError::Interrupted { .. })));
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! A model from a hub into the store: one GGUF file, or a whole checkpoint folder. The final name appears when
//! everything is here and checked, and not before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Client;

use super::catalogue::Catalogue;
use super::checkpoint::{self, Piece};
use super::download::{self, Got, Job, Progress, Retry};
use super::fault::PullError;
use super::hub::{Facts, Hub, is_sha256};
use super::names::{NameError, Source};
use super::record::{self, FileRecord, Record};
use super::store::{Store, StoreError};
use crate::cancel::Cancel;
use crate::weights::gguf::{GgufError, Header, part_of};

/// What to get, from where, to where.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which file or checkpoint.
    pub source: Source,
    /// The SHA-256 it must have, when it is known beforehand (lower-case hex); only for a single file.
    pub sha256: Option<String>,
    /// Where from.
    pub hub: Hub,
    /// Where to.
    pub store: Store,
    /// How stubbornly.
    pub retry: Retry,
}

impl Request {
    /// What a person names: a catalogue name or an `hf:` source.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with near names; [`StoreError::NotHere`] for a model of which no file is known.
    pub fn named(name: &str, hub: Hub, store: Store) -> Result<Self, PullError> {
        let (source, sha256) = if name.starts_with("hf:") {
            (Source::parse(name)?, None)
        } else {
            let catalogue = Catalogue::builtin();
            let unknown = || {
                let near = catalogue.nearest(name).into_iter().map(Into::into).collect();
                StoreError::Unknown { name: crate::text::clean::printable(name), near }
            };
            let entry = catalogue.find(name).ok_or_else(unknown)?;
            let source = entry.source().ok_or_else(|| StoreError::NotHere { name: entry.name.clone(), pull: None })?;
            (source, entry.gguf.as_ref().and_then(|gguf| gguf.sha256.clone()))
        };
        Ok(Self { source, sha256, hub, store, retry: Retry::default() })
    }
}

/// A model that is in the store now.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Its name there.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of it.
    pub size: u64,
    /// Of a single file, lower-case hex.
    pub sha256: Option<String>,
    /// Whether the hub gave a SHA-256 for every large file; without one only the length was checked.
    pub verified: bool,
    /// It was there before, and nothing was fetched.
    pub already: bool,
}

/// Gets a model into the store. Dropping the future stops it as `cancel` does; what came so far is kept.
///
/// # Errors
/// What [`PullError`] lists.
pub async fn pull(
    client: &Client,
    request: &Request,
    progress: &mut dyn FnMut(Progress<'_>),
    cancel: &Cancel,
) -> Result<Pulled, PullError> {
    let name = request.source.stored_name()?;
    let path = request.store.place(&name)?;
    request.store.create()?;
    request.store.no_clash(&name)?;
    if path.exists() {
        return present(request, name, path);
    }
    match &request.source.file {
        Some(file) => pull_file(client, request, file, name, path, progress, cancel).await,
        None => pull_checkpoint(client, request, name, path, progress, cancel).await,
    }
}

/// Something of this name is there: the same, or a reason to stop.
fn present(request: &Request, name: String, path: PathBuf) -> Result<Pulled, PullError> {
    let record = Record::read(&request.store.sidecar(&name));
    let same_source = record.as_ref().is_some_and(|record| record.source == request.source.to_string());
    let same_hash = request.sha256.is_some() && record.as_ref().and_then(Record::sha256) == request.sha256.as_deref();
    match record {
        Some(record) if same_source || same_hash => {
            let sha256 = record.sha256().map(str::to_owned);
            Ok(Pulled { name, path, size: record.bytes(), sha256, verified: true, already: true })
        }
        _ => Err(StoreError::Taken(name).into()),
    }
}

async fn pull_file(
    client: &Client,
    request: &Request,
    file: &str,
    name: String,
    path: PathBuf,
    progress: &mut dyn FnMut(Progress<'_>),
    cancel: &Cancel,
) -> Result<Pulled, PullError> {
    if !name.to_ascii_lowercase().ends_with(".gguf") {
        // Anything else would lie in the store as a model that nothing can load.
        return Err(NameError::Source(request.source.to_string()).into());
    }
    let what = request.source.to_string();
    if let Some((_, count)) = part_of(&name).filter(|(_, count)| *count > 1) {
        return Err(PullError::Part { what, count });
    }
    let part = request.store.root().join(format!("{name}.part"));
    let want = Facts { sha256: request.sha256.clone().filter(|sha| is_sha256(sha)), ..Facts::default() };
    let job = Job { url: request.hub.file_url(&request.source, file), what: what.clone(), part: &part, want };
    let mut step = |done, total| progress(Progress { file, done, total });
    let got = download::fetch(client, &request.hub, &job, request.retry, &mut step, cancel).await?;
    if let Err(error) = judge(&part, &what) {
        discard(&part);
        return Err(error);
    }
    let record = Record { source: what, commit: got.facts.commit.clone(), files: vec![entry(&name, &got)] };
    settle(&request.store, &name, &part, &path, &record)?;
    let verified = got.facts.sha256.is_some() || request.sha256.is_some();
    Ok(Pulled { name, path, size: got.size, sha256: Some(got.sha256), verified, already: false })
}

/// Whether a file that came is a whole model by its own header. A type of weights that only a newer program knows is no
/// reason to throw it away.
fn judge(part: &Path, what: &str) -> Result<(), PullError> {
    let what = || what.to_owned();
    record::check_gguf(part).map_err(|source| PullError::NotGguf { what: what(), source })?;
    match Header::read(part) {
        Ok(header) => match header.u64("split.count").filter(|&count| count > 1) {
            Some(count) => Err(PullError::Part { what: what(), count }),
            None => Ok(()),
        },
        Err(GgufError::Truncated { expected, found, .. }) => {
            Err(PullError::Cut { what: what(), want: expected, got: found })
        }
        Err(source @ (GgufError::Corrupt { .. } | GgufError::TooMany { .. } | GgufError::Empty { .. })) => {
            Err(PullError::Damaged { what: what(), source })
        }
        Err(_) => Ok(()),
    }
}

async fn pull_checkpoint(
    client: &Client,
    request: &Request,
    name: String,
    path: PathBuf,
    progress: &mut dyn FnMut(Progress<'_>),
    cancel: &Cancel,
) -> Result<Pulled, PullError> {
    let pieces = checkpoint::list(client, &request.hub, &request.source, request.retry, cancel).await?;
    let total = pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.want.size.unwrap_or(0)));
    let folder = request.store.root().join(format!("{name}.part"));
    let notes = request.store.root().join(format!("{name}.part.toml"));
    fs::create_dir_all(&folder).map_err(|source| PullError::Write { path: folder.clone(), source })?;
    let mut record =
        Record::read(&notes).filter(|notes| notes.source == request.source.to_string()).unwrap_or_default();
    record.source = request.source.to_string();
    let here: u64 = pieces.iter().filter_map(|piece| done(&folder, &record, piece)).map(|file| file.size).sum();
    request.store.room(&name, total.unwrap_or(u64::MAX).saturating_sub(here))?;
    let mut files = Vec::with_capacity(pieces.len());
    let mut finished = 0;
    for piece in &pieces {
        let file = match done(&folder, &record, piece) {
            Some(file) => file.clone(),
            None => {
                let mut step = |bytes: u64, _| progress(Progress { file: &piece.path, done: finished + bytes, total });
                let got = pull_piece(client, request, &folder, piece, &mut step, cancel).await;
                // A folder in which nothing came is no unfinished download.
                let (got, commit) = got.inspect_err(|_| drop(fs::remove_dir(&folder)))?;
                record.commit = commit.or(record.commit);
                record.files.retain(|old| old.path != got.path);
                record.files.push(got.clone());
                record.write(&notes).map_err(|source| PullError::Write { path: notes.clone(), source })?;
                got
            }
        };
        finished += file.size;
        files.push(file);
        progress(Progress { file: &piece.path, done: finished, total });
    }
    record.files = files;
    settle(&request.store, &name, &folder, &path, &record)?;
    let large = |piece: &Piece| piece.path.ends_with(".safetensors");
    let verified = pieces.iter().filter(|piece| large(piece)).all(|piece| piece.want.sha256.is_some());
    Ok(Pulled { name, path, size: record.bytes(), sha256: None, verified, already: false })
}

/// A file of an earlier attempt that is still the one the listing means.
fn done<'a>(folder: &Path, record: &'a Record, piece: &Piece) -> Option<&'a FileRecord> {
    let file = record.files.iter().find(|file| file.path == piece.path)?;
    let same = file.etag.is_some() && file.etag == piece.want.etag && Some(file.size) == piece.want.size;
    let there =
        fs::symlink_metadata(folder.join(&file.path)).is_ok_and(|found| found.is_file() && found.len() == file.size);
    (same && there).then_some(file)
}

pub(super) async fn pull_piece(
    client: &Client,
    request: &Request,
    folder: &Path,
    piece: &Piece,
    step: &mut dyn FnMut(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<(FileRecord, Option<String>), PullError> {
    let source = Source { file: Some(piece.path.clone()), ..request.source.clone() };
    let part = folder.join(format!("{}.part", piece.path));
    let job = Job {
        url: request.hub.file_url(&source, &piece.path),
        what: source.to_string(),
        part: &part,
        want: piece.want.clone(),
    };
    let got = download::fetch(client, &request.hub, &job, request.retry, step, cancel).await?;
    let target = folder.join(&piece.path);
    fs::rename(&part, &target).map_err(|source| PullError::Write { path: target, source })?;
    let _ = fs::remove_file(folder.join(format!("{}.part.toml", piece.path)));
    let file =
        FileRecord { etag: piece.want.etag.clone().or_else(|| got.facts.etag.clone()), ..entry(&piece.path, &got) };
    Ok((file, got.facts.commit))
}

fn entry(path: &str, got: &Got) -> FileRecord {
    FileRecord { path: path.into(), size: got.size, sha256: got.sha256.clone(), etag: got.facts.etag.clone() }
}

/// Writes the record, then gives the part its final name: a model without a record could not be verified later.
fn settle(store: &Store, name: &str, part: &Path, path: &Path, record: &Record) -> Result<(), PullError> {
    let write = || -> io::Result<()> {
        record.write(&store.sidecar(name))?;
        fs::rename(part, path)?;
        crate::atomic::sync_parent(path)
    };
    write().map_err(|source| PullError::Write { path: path.to_owned(), source })?;
    let _ = fs::remove_file(store.root().join(format!("{name}.part.toml")));
    Ok(())
}

fn discard(part: &Path) {
    let _ = fs::remove_file(part);
    let mut sidecar = part.to_owned().into_os_string();
    sidecar.push(".toml");
    let _ = fs::remove_file(sidecar);
}

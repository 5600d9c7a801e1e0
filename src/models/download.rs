//! One file from a hub, into `NAME.part`: resumed where it stopped, checked for length and SHA-256, never mixed from two
//! contents. It gives the part no final name; who asked does that (see [`mod@super::pull`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fault::PullError;
use super::hub::{Answer, Facts, Fault, Hub, chunk, or_cancel};
use super::record;
use super::store::{MARGIN, StoreError};
use crate::cancel::Cancel;
use crate::device::free_space;
use crate::hex::hex;

/// Accepted from a server that does not say how long a file is, in bytes.
const UNANNOUNCED: u64 = 16 << 20;

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being fetched.
    pub file: &'a str,
    /// Bytes that are here, of all files.
    pub done: u64,
    /// Bytes of all files, when the hub says.
    pub total: Option<u64>,
}

/// How stubbornly to try.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts in a row that may bring next to nothing (less than a mebibyte).
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from there.
    pub first: Duration,
    /// The longest wait; a server that asks for more is not waited for.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

/// What a part belongs to, written beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// `hf:…` as it was asked for.
    pub source: String,
    /// The hub's name for the content.
    pub etag: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Identity {
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(File::open(path).ok()?, 1 << 16), &mut text).ok()?;
        toml::from_str(&text).ok()
    }
}

/// A file to get.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// Where from.
    pub url: Url,
    /// What it is called in messages, and what its identity says.
    pub what: String,
    /// Where to.
    pub part: &'a Path,
    /// What is known beforehand, from the catalogue or a listing.
    pub want: Facts,
}

/// A file that came.
#[derive(Clone, Debug)]
pub(super) struct Got {
    /// Lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// What the hub said.
    pub facts: Facts,
}

/// Fetches a file into its part. `step` gets the bytes that are here and the length, when it is known.
pub(super) async fn fetch(
    client: &Client,
    hub: &Hub,
    job: &Job<'_>,
    retry: Retry,
    step: &mut dyn FnMut(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<Got, PullError> {
    let mut part = Part::open(job, cancel).await?;
    let mut tries = Tries::new(retry);
    loop {
        let before = part.length;
        let fault = match attempt(client, hub, job, &mut part, step, cancel).await {
            Ok(facts) => return part.finish(job, facts).await,
            Err(fault) => fault,
        };
        tries.next(fault, part.length.saturating_sub(before), cancel).await?;
    }
}

/// Counts attempts and waits between them.
pub(super) struct Tries {
    retry: Retry,
    barren: u32,
    reached: bool,
}

impl Tries {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, barren: 0, reached: false }
    }

    /// Waits before the next attempt, or gives the reason to give up.
    pub(super) async fn next(&mut self, fault: Fault, gained: u64, cancel: &Cancel) -> Result<(), PullError> {
        let (asked, cause) = match fault {
            Fault::Final(cause) => return Err(cause),
            Fault::Unreached(cause) if !self.reached => return Err(cause),
            Fault::Unreached(cause) => (None, cause),
            Fault::Again { wait, cause } => {
                self.reached = true;
                (wait, cause)
            }
        };
        // A line that drops every few megabytes gets there in the end; one that brings a byte a time does not.
        self.barren = if gained >= 1 << 20 { 1 } else { self.barren + 1 };
        if self.barren >= self.retry.attempts || asked.is_some_and(|asked| asked > self.retry.longest) {
            return Err(cause);
        }
        let doubled = self.retry.first.saturating_mul(1 << (self.barren - 1).min(16));
        let wait = asked.unwrap_or(doubled).min(self.retry.longest);
        tracing::debug!(attempt = self.barren, ?wait, %cause, "trying again");
        or_cancel(tokio::time::sleep(wait), cancel).await
    }
}

async fn attempt(
    client: &Client,
    hub: &Hub,
    job: &Job<'_>,
    part: &mut Part,
    step: &mut dyn FnMut(u64, Option<u64>),
    cancel: &Cancel,
) -> Result<Facts, Fault> {
    let what = job.what.as_str();
    part.step_back_if_full(job, cancel).await?;
    // No `If-Range`: the file may come from another host, which has its own tag for it. The hub's tag is compared below.
    let from = part.identity.as_ref().filter(|_| part.length > 0).map(|_| part.length);
    let answer = hub.get(client, job.url.clone(), from, what, cancel).await?;
    if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE && part.length > 0 {
        part.restart()?;
        return Err(Fault::Again { wait: Some(Duration::ZERO), cause: PullError::Range { what: what.into() } });
    }
    let mut answer = answer.accept(what)?;
    expected(&job.want, &answer.facts, what)?;
    let size = length(&answer, part, &job.want, what)?;
    let same = part
        .identity
        .as_ref()
        .is_some_and(|old| Some(&old.etag) == answer.facts.etag.as_ref() && Some(old.size) == size);
    if answer.response.status() == StatusCode::PARTIAL_CONTENT {
        if !same {
            part.restart()?;
            let cause = PullError::Changed {
                what: what.into(),
                want: "what was there before".into(),
                got: "another file".into(),
            };
            return Err(Fault::Again { wait: Some(Duration::ZERO), cause });
        }
    } else if part.length > 0 {
        // The server sends everything again: so be it, from the beginning.
        part.restart()?;
    }
    room(job, part.length, size)?;
    part.remember(job, &answer.facts, size)?;
    step(part.length, size);
    let limit = size.unwrap_or(UNANNOUNCED);
    while let Some(piece) = chunk(&mut answer.response, what, cancel).await? {
        let after = part.length.saturating_add(piece.len() as u64);
        if after > limit {
            part.restart()?;
            return Err(Fault::Final(match size {
                Some(want) => PullError::Length { what: what.into(), want, got: after },
                None => PullError::Endless { what: what.into(), limit },
            }));
        }
        part.push(&piece)?;
        step(part.length, size);
    }
    match size {
        Some(want) if part.length < want => {
            Err(Fault::Again { wait: None, cause: PullError::Short { what: what.into(), got: part.length, want } })
        }
        _ => Ok(answer.facts),
    }
}

/// Holds what the hub offers against what the catalogue or a listing says.
fn expected(want: &Facts, facts: &Facts, what: &str) -> Result<(), PullError> {
    let differ = |want: &Option<String>, got: &Option<String>| match (want, got) {
        // Mirrors have tags of their own for small files; only two of a kind can be compared.
        (Some(want), Some(got)) if want != got && want.len() == got.len() => Some((want.clone(), got.clone())),
        _ => None,
    };
    match differ(&want.sha256, &facts.sha256).or_else(|| differ(&want.etag, &facts.etag)) {
        Some((want, got)) => Err(PullError::Changed { what: what.into(), want, got }),
        None => Ok(()),
    }
}

/// The whole length of the file, from everyone who says it; they must agree.
fn length(answer: &Answer, part: &Part, want: &Facts, what: &str) -> Result<Option<u64>, PullError> {
    let body = answer.response.content_length();
    let claimed = if answer.response.status() == StatusCode::PARTIAL_CONTENT {
        let nonsense =
            || PullError::Nonsense { what: what.into(), why: "it is not the part that was asked for".into() };
        let (start, total) = answer.content_range().ok_or_else(nonsense)?;
        if start != part.length || start == 0 {
            return Err(nonsense());
        }
        if let Some(got) = body.map(|body| body.saturating_add(start)).filter(|got| *got != total) {
            return Err(PullError::Length { what: what.into(), want: total, got });
        }
        Some(total)
    } else {
        body
    };
    let known = want.size.or(answer.facts.size);
    let contradiction =
        [answer.facts.size, claimed].into_iter().flatten().find(|got| known.is_some_and(|known| known != *got));
    match (known, contradiction) {
        (Some(want), Some(got)) => Err(PullError::Length { what: what.into(), want, got }),
        _ => Ok(known.or(claimed)),
    }
}

/// Disk space is looked at before a byte is asked for, and room is left for the rest of the program.
fn room(job: &Job<'_>, here: u64, size: Option<u64>) -> Result<(), PullError> {
    let need = size.unwrap_or(UNANNOUNCED).saturating_sub(here).saturating_add(MARGIN);
    match free_space(job.part) {
        Some(free) if free < need => Err(StoreError::Space { name: job.what.clone(), need, free }.into()),
        _ => Ok(()),
    }
}

/// The file under its temporary name, with the hash of what it holds.
struct Part {
    file: File,
    path: PathBuf,
    sidecar: PathBuf,
    hasher: Sha256,
    length: u64,
    identity: Option<Identity>,
    done: bool,
}

/// What holds no byte is no unfinished download: a refusal leaves nothing behind.
impl Drop for Part {
    fn drop(&mut self) {
        if self.length == 0 && !self.done {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.sidecar);
        }
    }
}

impl Part {
    /// Opens or makes the part, takes its lock, and hashes what is there.
    async fn open(job: &Job<'_>, cancel: &Cancel) -> Result<Self, PullError> {
        let path = job.part.to_owned();
        let mut name = path.clone().into_os_string();
        name.push(".toml");
        let sidecar = PathBuf::from(name);
        let fail = |source| PullError::Write { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // A link in the store could lead the download out of it.
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        }
        let file = options.open(&path).map_err(fail)?;
        // A file system without locks is no reason not to download.
        let lock = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        if lock == Err(rustix::io::Errno::WOULDBLOCK) {
            return Err(PullError::Locked(job.what.clone()));
        }
        let length = file.metadata().map_err(fail)?.len();
        let identity =
            Identity::read(&sidecar).filter(|identity| identity.source == job.what && length <= identity.size);
        let mut part = Self { file, path: path.clone(), sidecar, hasher: Sha256::new(), length, identity, done: false };
        if part.identity.is_none() || length == 0 {
            part.restart()?;
        } else {
            part.rehash(cancel).await?;
        }
        Ok(part)
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> PullError + use<> {
        let path = self.path.clone();
        move |source| PullError::Write { path, source }
    }

    /// Reads the part from its beginning on another thread: a gigabyte takes seconds.
    async fn rehash(&mut self, cancel: &Cancel) -> Result<(), PullError> {
        let mut file = self.file.try_clone().map_err(self.failed())?;
        let flag = cancel.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut hasher = Sha256::new();
            let mut length = 0;
            file.seek(SeekFrom::Start(0))?;
            let whole = record::feed(&mut file, &mut hasher, &mut |bytes| length += bytes, &flag)?;
            Ok((whole, hasher, length))
        });
        let (whole, hasher, length) =
            read.await.map_err(io::Error::other).and_then(|read| read).map_err(self.failed())?;
        if !whole {
            return Err(PullError::Cancelled);
        }
        (self.hasher, self.length) = (hasher, length);
        Ok(())
    }

    /// A part that is already whole gives its last byte back: asking for nothing is an error in HTTP, and the answer
    /// tells whether the file is still the same.
    async fn step_back_if_full(&mut self, job: &Job<'_>, cancel: &Cancel) -> Result<(), PullError> {
        let full = self.identity.as_ref().is_some_and(|identity| self.length >= identity.size);
        if !full || self.length == 0 {
            return Ok(());
        }
        tracing::debug!(what = job.what, "the part is whole already");
        self.file.set_len(self.length - 1).map_err(self.failed())?;
        self.rehash(cancel).await
    }

    fn restart(&mut self) -> Result<(), PullError> {
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)).map(drop)).map_err(self.failed())?;
        (self.hasher, self.length, self.identity) = (Sha256::new(), 0, None);
        match fs::remove_file(&self.sidecar) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed()(error)),
            _ => Ok(()),
        }
    }

    /// Notes what the part belongs to. Without a tag or a length it can never be resumed, and nothing is noted.
    fn remember(&mut self, job: &Job<'_>, facts: &Facts, size: Option<u64>) -> Result<(), PullError> {
        let identity =
            facts.etag.clone().zip(size).map(|(etag, size)| Identity { source: job.what.clone(), etag, size });
        if identity == self.identity {
            return Ok(());
        }
        if let Some(identity) = &identity {
            let text = toml::to_string(identity).map_err(io::Error::other).map_err(self.failed())?;
            crate::atomic::write(&self.sidecar, text).map_err(self.failed())?;
        }
        self.identity = identity;
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.file.write_all(bytes).map_err(|error| {
            // The hash and the file must not part ways: what was not written whole is cut off.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            self.failed()(error)
        })?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Compares the hash and makes the bytes last. A damaged part is thrown away.
    async fn finish(mut self, job: &Job<'_>, facts: Facts) -> Result<Got, PullError> {
        let sha256 = hex(&self.hasher.clone().finalize());
        if let Some(want) = facts.sha256.as_ref().or(job.want.sha256.as_ref()).filter(|want| **want != sha256) {
            let want = want.clone();
            self.restart()?;
            return Err(PullError::Hash { what: job.what.clone(), want, got: sha256 });
        }
        let file = self.file.try_clone().map_err(self.failed())?;
        let synced = tokio::task::spawn_blocking(move || file.sync_all()).await;
        synced.map_err(io::Error::other).and_then(|synced| synced).map_err(self.failed())?;
        self.done = true;
        Ok(Got { sha256, size: self.length, facts })
    }
}

//! The folder of models: what is in it, what a name means, and how files get in and out. A model is a `NAME.gguf` or a
//! checkpoint folder, with its [`Record`] beside it as `NAME.toml`; what is still being pulled ends in `.part` and is not
//! a model. The store refuses to overwrite and to touch anything outside its folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::catalogue::Catalogue;
use super::names::{NameError, Source, confine, nearest};
use super::record::{self, FileRecord, Record, Verdict};
use crate::cancel::Cancel;
use crate::text::clean::printable;

mod error;
mod leftovers;

pub use error::StoreError;
pub(super) use error::io_hint;

/// Kept free on the disk beyond what a file takes, in bytes: journals are written there too.
pub const MARGIN: u64 = 32 << 20;

/// A folder of models; it need not exist.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// One model in the store.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its name in the store.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// A file to run or a folder to work on.
    pub kind: Kind,
    /// What was recorded when it came; `None` for a file that was only put there.
    pub record: Option<Record>,
}

/// What a stored model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One GGUF file.
    Gguf,
    /// A folder with configuration, tokenizer and safetensors.
    Checkpoint,
}

/// A download that did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The name it would have, which is also what [`Store::remove_partial`] takes.
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
    /// `hf:…`, when it was recorded.
    pub source: Option<String>,
}

/// Wraps an error of the file system with what was tried.
fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { what, path: path.to_owned(), source }
}

impl Store {
    /// A store in this folder, which is made when something is put there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a model of this name lies or would lie.
    ///
    /// # Errors
    /// A name that is not allowed.
    pub fn place(&self, name: &str) -> Result<PathBuf, NameError> {
        Ok(self.root.join(confine(name)?))
    }

    pub(super) fn sidecar(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.toml"))
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.root).map_err(failed("make the folder", &self.root))
    }

    /// Every model, by name. A store that is not there is empty.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let mut models: Vec<Stored> = self.names()?.iter().filter_map(|name| self.look(name)).collect();
        models.sort_by_key(|stored| stored.name.to_lowercase());
        Ok(models)
    }

    /// Names of all entries of the folder, foreign ones included.
    fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.root)(error)),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    /// The model of exactly this name, if it is one.
    fn look(&self, name: &str) -> Option<Stored> {
        let path = self.place(name).ok()?;
        let found = fs::metadata(&path).ok()?;
        let record = Record::read(&self.sidecar(name));
        let (kind, size) = if found.is_dir() {
            // A folder without a record is somebody's folder, not a checkpoint of ours.
            (Kind::Checkpoint, record.as_ref()?.bytes())
        } else if name.to_ascii_lowercase().ends_with(".gguf") {
            (Kind::Gguf, found.len())
        } else {
            return None;
        };
        Some(Stored { name: name.into(), path, size, kind, record })
    }

    /// The stored model that a person means: by its name, its name without `.gguf`, a catalogue name or an `hf:` source.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with near names, or [`StoreError::NotHere`] with what to pull.
    pub fn find(&self, name: &str) -> Result<Stored, StoreError> {
        let catalogue = Catalogue::builtin();
        if name.starts_with("hf:") {
            let source = Source::parse(name)?;
            let stored = self.look(&source.stored_name()?).filter(|stored| came_from(stored, &source));
            return stored
                .ok_or_else(|| StoreError::NotHere { name: source.to_string(), pull: Some(source.to_string()) });
        }
        let models = self.list()?;
        let means = |stored: &&Stored| {
            let bare = stored
                .name
                .len()
                .checked_sub(5)
                .and_then(|at| stored.name.split_at_checked(at))
                .filter(|(_, end)| end.eq_ignore_ascii_case(".gguf"));
            stored.name.eq_ignore_ascii_case(name) || bare.is_some_and(|(bare, _)| bare.eq_ignore_ascii_case(name))
        };
        if let Some(stored) = models.iter().find(means) {
            return Ok(stored.clone());
        }
        if let Some(entry) = catalogue.find(name) {
            let file = entry.source().and_then(|source| source.stored_name().ok());
            let here =
                file.as_ref().and_then(|file| models.iter().find(|stored| stored.name.eq_ignore_ascii_case(file)));
            let pull = file.is_some().then(|| entry.name.clone());
            return here.cloned().ok_or_else(|| StoreError::NotHere { name: entry.name.clone(), pull });
        }
        let mut near: Vec<String> =
            nearest(name, models.iter().map(|stored| stored.name.as_str())).into_iter().map(Into::into).collect();
        near.extend(catalogue.nearest(name).into_iter().map(Into::into));
        near.truncate(3);
        Err(StoreError::Unknown { name: printable(name), near })
    }

    /// The file or checkpoint folder that a name means: a path that exists, or what [`Self::find`] finds.
    ///
    /// # Errors
    /// What [`Self::find`] says, or [`StoreError::NoFile`] for something that can only be a path.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, StoreError> {
        if !name.starts_with("hf:") {
            let path = Path::new(name);
            let spelled_as_path =
                name.contains(std::path::MAIN_SEPARATOR) || name.starts_with('.') || name.starts_with('~');
            if spelled_as_path {
                return if path.exists() { Ok(path.to_owned()) } else { Err(StoreError::NoFile(path.to_owned())) };
            }
            if path.is_file() {
                return Ok(path.to_owned());
            }
        }
        self.find(name).map(|stored| stored.path)
    }

    /// Takes a GGUF file into the store: checks it, links it (or copies it, where links cannot be made) under its own
    /// name, and records its SHA-256. A file that is already there with the same content is left as it is.
    ///
    /// # Errors
    /// A file that is no GGUF, a name that is taken by another content, no room, or an error of the file system.
    pub fn add(&self, file: &Path, step: &mut dyn FnMut(u64), cancel: &Cancel) -> Result<Stored, StoreError> {
        let real = fs::canonicalize(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NoFile(file.to_owned()),
            _ => failed("read", file)(error),
        })?;
        record::check_gguf(&real).map_err(|source| StoreError::NotGguf { path: file.to_owned(), source })?;
        record::check_whole(&real)?;
        let own = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = if own.to_ascii_lowercase().ends_with(".gguf") { own } else { format!("{own}.gguf") };
        let target = self.place(&name)?;
        self.create()?;
        self.no_clash(&name)?;
        let Some(sha256) = record::hash_file(&real, step, cancel).map_err(failed("read", &real))? else {
            return Err(StoreError::Cancelled);
        };
        let size = fs::metadata(&real).map_err(failed("read", &real))?.len();
        let record = Record {
            source: real.to_string_lossy().into_owned(),
            commit: None,
            files: vec![FileRecord { path: name.clone(), size, sha256, etag: None }],
        };
        if target.exists() {
            self.same(&target, &record, &name, cancel)?;
        } else {
            self.bring(&real, &target, &name, size, cancel)?;
        }
        let sidecar = self.sidecar(&name);
        // An older record knows more (the hub it came from) and says the same of the bytes.
        if Record::read(&sidecar).and_then(|old| old.sha256().map(str::to_owned)) != record.sha256().map(str::to_owned)
        {
            record.write(&sidecar).map_err(failed("write", &sidecar))?;
        }
        self.look(&name).ok_or(StoreError::NotHere { name, pull: None })
    }

    fn same(&self, target: &Path, record: &Record, name: &str, cancel: &Cancel) -> Result<(), StoreError> {
        let Some(want) = record.files.first() else { return Ok(()) };
        match record::check(target, want, &mut |_| (), cancel).map_err(failed("read", target))? {
            Some(Verdict::Good) => Ok(()),
            None => Err(StoreError::Cancelled),
            Some(_) => Err(StoreError::Taken(name.into())),
        }
    }

    /// Links or copies, so that the target is whole from the moment it is there.
    fn bring(&self, real: &Path, target: &Path, name: &str, size: u64, cancel: &Cancel) -> Result<(), StoreError> {
        // A link fails across disks, on FAT, and everywhere on Android.
        match fs::hard_link(real, target) {
            Ok(()) => return crate::atomic::sync_parent(target).map_err(failed("sync", &self.root)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(StoreError::Taken(name.into())),
            Err(_) => {}
        }
        self.room(name, size)?;
        let copy = leftovers::Copy::new(target).map_err(failed("write", target))?;
        match copy.fill(real, cancel).map_err(failed("copy to", target))? {
            false => Err(StoreError::Cancelled),
            true => copy.settle(target).map_err(failed("copy to", target)),
        }
    }

    /// Removes what programs that were killed left in the folder: copies that were never finished, models half removed.
    /// Gives the bytes they took. What another program still writes stays; so does what cannot be removed.
    pub fn sweep(&self) -> u64 {
        leftovers::sweep(&self.root)
    }

    /// Free bytes where the models lie or would lie, when the system says.
    pub fn free_disk(&self) -> Option<u64> {
        crate::device::free_space(&self.root)
    }

    /// Whether a file of this length fits, with a margin.
    ///
    /// # Errors
    /// [`StoreError::Space`].
    pub fn room(&self, name: &str, size: u64) -> Result<(), StoreError> {
        let need = size.saturating_add(MARGIN);
        match self.free_disk() {
            Some(free) if free < need => Err(StoreError::Space { name: name.into(), need, free }),
            _ => Ok(()),
        }
    }

    /// Two names that differ in case are one on `/sdcard`.
    pub(super) fn no_clash(&self, name: &str) -> Result<(), StoreError> {
        let lower = name.to_lowercase();
        match self.names()?.into_iter().find(|other| other != name && other.to_lowercase() == lower) {
            Some(other) => Err(StoreError::Taken(other)),
            None => Ok(()),
        }
    }

    /// Takes a model out of the store, its record too; gives the bytes it had. Only names are taken, never paths.
    ///
    /// # Errors
    /// What [`Self::find`] says, or an error of the file system.
    pub fn remove(&self, name: &str) -> Result<u64, StoreError> {
        let stored = self.find(name)?;
        // A checkpoint leaves its name first, so that a removal that stops midway leaves no half model.
        match stored.kind {
            Kind::Gguf => fs::remove_file(&stored.path).map_err(failed("remove", &stored.path))?,
            Kind::Checkpoint => {
                let aside = crate::atomic::beside(&stored.path).map_err(failed("remove", &stored.path))?;
                fs::rename(&stored.path, &aside).map_err(failed("remove", &stored.path))?;
                fs::remove_dir_all(&aside).map_err(failed("remove", &aside))?;
            }
        }
        gone(&self.sidecar(&stored.name))?;
        Ok(stored.size)
    }

    /// Compares a model with its record, file by file; `step` gets the bytes of each piece read.
    ///
    /// # Errors
    /// What [`Self::find`] says, [`StoreError::Unrecorded`], a read that fails, or [`StoreError::Cancelled`].
    pub fn verify(
        &self,
        name: &str,
        step: &mut dyn FnMut(u64),
        cancel: &Cancel,
    ) -> Result<Vec<(String, Verdict)>, StoreError> {
        let stored = self.find(name)?;
        let record = stored.record.ok_or_else(|| StoreError::Unrecorded(stored.name.clone()))?;
        let mut verdicts = Vec::with_capacity(record.files.len());
        for file in &record.files {
            let path = match stored.kind {
                Kind::Gguf => stored.path.clone(),
                Kind::Checkpoint => stored.path.join(&file.path),
            };
            let mut verdict = record::check(&path, file, step, cancel)
                .map_err(failed("read", &path))?
                .ok_or(StoreError::Cancelled)?;
            // The record may be of a file that was cut off before it came here.
            if let (Kind::Gguf, Verdict::Good, Err(error)) = (stored.kind, &verdict, record::check_whole(&path)) {
                verdict = Verdict::Damaged(error.to_string());
            }
            verdicts.push((file.path.clone(), verdict));
        }
        Ok(verdicts)
    }

    /// Downloads that did not end, by name.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn partials(&self) -> Result<Vec<Partial>, StoreError> {
        let mut found: Vec<Partial> =
            self.names()?.iter().filter_map(|name| self.partial(name.strip_suffix(".part")?)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn partial(&self, name: &str) -> Option<Partial> {
        let path = self.root.join(format!("{}.part", confine(name).ok()?));
        let found = fs::symlink_metadata(&path).ok()?;
        let size = if found.is_dir() { weight(&path) } else { found.len() };
        let notes = self.root.join(format!("{name}.part.toml"));
        let file = || super::download::Identity::read(&notes).map(|identity| identity.source);
        let source = Record::read(&notes).map(|record| record.source).or_else(file);
        Some(Partial { name: name.into(), size, source })
    }

    /// Throws an unfinished download away; gives the bytes it had.
    ///
    /// # Errors
    /// No such download, or an error of the file system.
    pub fn remove_partial(&self, name: &str) -> Result<u64, StoreError> {
        confine(name)?;
        let partial =
            self.partial(name).ok_or_else(|| StoreError::NotHere { name: format!("{name}.part"), pull: None })?;
        let path = self.root.join(format!("{name}.part"));
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(failed("remove", &path))?;
        } else {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        gone(&self.root.join(format!("{name}.part.toml")))?;
        Ok(partial.size)
    }
}

impl Store {
    /// Throws an unfinished download away that no program works on; gives the bytes it had, `None` where one does.
    ///
    /// # Errors
    /// What [`Self::remove_partial`] says.
    pub fn remove_idle_partial(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.root.join(format!("{}.part", confine(name)?));
        match leftovers::hold(&path) {
            Some(_held) => self.remove_partial(name).map(Some),
            None => Ok(None),
        }
    }
}

fn came_from(stored: &Stored, source: &Source) -> bool {
    stored.record.as_ref().is_some_and(|record| Source::parse(&record.source).is_ok_and(|old| old == *source))
}

fn gone(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Bytes of the files in a folder, two levels deep: checkpoints have no more.
fn weight(folder: &Path) -> u64 {
    let files = |folder: &Path| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
            .collect::<Vec<_>>()
    };
    let of = |(path, facts): (PathBuf, fs::Metadata)| {
        if facts.is_dir() {
            files(&path).iter().filter(|(_, inner)| inner.is_file()).map(|(_, inner)| inner.len()).sum()
        } else {
            facts.len()
        }
    };
    files(folder).into_iter().map(of).sum()
}

#[cfg(test)]
mod tests;

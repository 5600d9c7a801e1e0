//! What larger models say, and the store it is kept in.
//!
//! | file | what changes there |
//! |---|---|
//! | `store` | the file of odds |
//! | `same` | whether a GGUF file's vocabulary is the student's |
//! | `look` | what a file says of itself |
//! | `align` | texts that end at the same byte, where it is not |
//! | `keep` | what is kept of a teacher's logits |
//! | `layers` | what llama.cpp's layers hand on |
//! | `gather` | asking a teacher, in a child process |
//! | `reader` | what it says about one window |
//! | `silent` | what one with other tokens says nothing about |
//! | `server` | asking one that runs elsewhere |
//!
//! A teacher is asked once for every window; training reads its odds from disk. What this room refuses to do: take odds
//! for other data, another vocabulary or another teacher than the recipe's.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::data::corpus::Corpus;
use super::data::tokenizer::Tokenizer;
use super::recipe::{Recipe, TeacherRecipe};
use crate::atomic::WriteError;
use crate::engine::Cancel;
use crate::error::Advise;
use crate::hex::hex;
use crate::weights::gguf::Header;

#[cfg(any(feature = "engine", test))]
mod align;
#[cfg(feature = "engine")]
mod gather;
#[cfg(any(feature = "engine", test))]
mod keep;
#[cfg(feature = "engine")]
mod layers;
mod look;
#[cfg(feature = "engine")]
mod reader;
mod same;
mod server;
pub(crate) mod silent;
mod store;

#[cfg(feature = "engine")]
pub(crate) use gather::{Work, serve};
#[cfg(feature = "engine")]
pub(crate) use layers::Layers;
pub(crate) use look::{Look, look};
pub(crate) use store::{Said, Store};

/// Why a teacher does not teach.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum TeacherError {
    #[error("cannot read the teacher `{}`: {what}", path.display())]
    Read { path: PathBuf, what: String },
    #[error("the teacher `{}` has other tokens than the student ({what}), and the student's are not byte-level", path.display())]
    Vocabulary { path: PathBuf, what: String },
    #[error("the teacher `{}` has other tokens than the student ({what}), so none can be sampled", path.display())]
    Draws { path: PathBuf, what: String },
    #[error("the teacher `{}` has other tokens than the student ({what}), so hidden states cannot be compared", path.display())]
    Hidden { path: PathBuf, what: String },
    #[error("the store `{}` was made with {what}", path.display())]
    Other { path: PathBuf, what: String },
    #[error("`{}` has not been asked yet, and this program was built without `engine`", path.display())]
    NoEngine { path: PathBuf },
    #[error("the teacher `{}`: {what}", path.display())]
    Told { path: PathBuf, what: String },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("interrupted; the teacher's answers so far are kept: run the same command to resume")]
    Interrupted,
}

impl Advise for TeacherError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Vocabulary { .. } => {
                Some("students of tokenizers that are not byte-level want teachers with their own tokens".to_owned())
            }
            Self::Draws { .. } => Some("leave `draws` out for this teacher".to_owned()),
            Self::Hidden { .. } => Some("leave `[objective.hidden]` out, or put another teacher first".to_owned()),
            Self::Other { .. } => Some("name another output folder, or remove the store".to_owned()),
            Self::NoEngine { .. } => Some("ask the teachers with a whole build: `zord-distill cache`".to_owned()),
            Self::Write(error) => error.hint(),
            _ => None,
        }
    }
}

/// How far a teacher has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<'a> {
    pub(crate) teacher: &'a Path,
    pub(crate) done: u64,
    pub(crate) all: u64,
}

/// The stores of a recipe's teachers in their order, of those that are `wanted`; what is missing is asked for.
///
/// # Errors
/// A teacher cannot teach this student, or a store is of something else.
pub(crate) fn stores(
    recipe: &Recipe,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    folder: &Path,
    wanted: &dyn Fn(&TeacherRecipe) -> bool,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Option<Store>>, TeacherError> {
    let mut stores = Vec::new();
    for (at, teacher) in recipe.teachers.iter().enumerate() {
        if !wanted(teacher) {
            stores.push(None);
            continue;
        }
        let path = folder.join(format!("teacher-{at}.odds"));
        if !teacher.servers.is_empty() {
            let head = server::head(recipe, teacher, corpus, tokenizer)?;
            if !path.is_file() {
                server::ask(teacher, &head, corpus, tokenizer, &path, cancel, tell)?;
            }
            stores.push(Some(opened(teacher, path, &head)?));
            continue;
        }
        let same::Vocabulary { tokens: vocabulary, differs } = same::compare(&teacher.model, tokenizer)?;
        if let Some(what) = differs.clone().filter(|_| tokenizer.bytes().is_none()) {
            return Err(TeacherError::Vocabulary { path: teacher.model.clone(), what });
        }
        if let Some(what) = differs.clone().filter(|_| teacher.draws > 0) {
            return Err(TeacherError::Draws { path: teacher.model.clone(), what });
        }
        if let Some(what) = differs.clone().filter(|_| at == 0 && recipe.objective.hidden.is_some()) {
            return Err(TeacherError::Hidden { path: teacher.model.clone(), what });
        }
        let head = store::Head {
            version: store::VERSION,
            teacher: fingerprint(&teacher.model)?,
            data: corpus.head.content.clone(),
            tokenizer: hex(&Sha256::digest(&tokenizer.file)),
            vocabulary: vocabulary as u64,
            top: if teacher.draws > 0 { 0 } else { teacher.top.min(vocabulary) as u64 },
            draws: teacher.draws,
            seed: if teacher.draws > 0 { recipe.seed } else { 0 },
            states: if at == 0 { recipe.objective.taught_layers() } else { Vec::new() },
            wide: if at == 0 && recipe.objective.hidden.is_some() { width(&teacher.model)? } else { 0 },
            temperature: recipe.objective.temperature.to_string(),
            same: differs.is_none(),
        };
        if !path.is_file() {
            ask(recipe, teacher, &head, corpus, &path, cancel, tell)?;
        }
        stores.push(Some(opened(teacher, path, &head)?));
    }
    Ok(stores)
}

/// A store that is what the recipe asks for.
fn opened(teacher: &TeacherRecipe, path: PathBuf, wanted: &store::Head) -> Result<Store, TeacherError> {
    let store = Store::open(&path).map_err(|what| TeacherError::Told { path: teacher.model.clone(), what })?;
    match store.head.differs(wanted) {
        Some(what) => Err(TeacherError::Other { path, what }),
        None => Ok(store),
    }
}

#[cfg(feature = "engine")]
fn ask(
    recipe: &Recipe,
    teacher: &TeacherRecipe,
    head: &store::Head,
    corpus: &Corpus,
    path: &Path,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Progress<'_>),
) -> Result<(), TeacherError> {
    gather::ask(recipe, &teacher.model, head, corpus, path, cancel, tell)
}

#[cfg(not(feature = "engine"))]
fn ask(
    _: &Recipe,
    teacher: &TeacherRecipe,
    _: &store::Head,
    _: &Corpus,
    _: &Path,
    _: &Cancel,
    _: &mut dyn FnMut(Progress<'_>),
) -> Result<(), TeacherError> {
    Err(TeacherError::NoEngine { path: teacher.model.clone() })
}

/// Numbers of a teacher's hidden state.
///
/// # Errors
/// The file cannot be read, or does not say.
pub(crate) fn width(path: &Path) -> Result<usize, TeacherError> {
    let told = |what: String| TeacherError::Read { path: path.to_owned(), what };
    let header = Header::read(path).map_err(|error| told(crate::error::chain(&error)))?;
    let architecture = header.str("general.architecture").unwrap_or_default();
    let width = header.u64(&format!("{architecture}.embedding_length")).filter(|width| (1..1 << 20).contains(width));
    width.map(|width| width as usize).ok_or_else(|| told("it does not say how wide its states are".to_owned()))
}

/// A name for a large file that does not take its whole reading: its length and samples of it.
pub(crate) fn fingerprint(path: &Path) -> Result<String, TeacherError> {
    const SAMPLES: u64 = 64;
    const SIZE: u64 = 64 << 10;
    let read = |error: std::io::Error| TeacherError::Read { path: path.to_owned(), what: error.to_string() };
    let file = File::open(path).map_err(read)?;
    let len = file.metadata().map_err(read)?.len();
    let mut hash = Sha256::new();
    hash.update(len.to_le_bytes());
    let mut bytes = vec![0; SIZE.min(len) as usize];
    for sample in 0..SAMPLES {
        let at = (len - bytes.len() as u64).saturating_mul(sample) / (SAMPLES - 1);
        file.read_exact_at(&mut bytes, at).map_err(read)?;
        hash.update(&bytes);
    }
    Ok(hex(&hash.finalize()))
}

//! llama.cpp's side: logits and what each layer hands to the next, from a child process.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CompareError;
use crate::distill::teacher::Layers;
use crate::engine::Cancel;
use crate::llama::child::{self, ChildError};
use crate::llama::session::{self, Session, Setup};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// What a child is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    model: PathBuf,
    tokens: Vec<u32>,
    into: PathBuf,
}

/// What llama.cpp computed.
pub(super) struct Computed {
    pub(super) logits: Vec<f32>,
    pub(super) layers: Vec<Vec<f32>>,
}

/// Runs the tokens through a GGUF file.
pub(super) fn ask(gguf: &Path, tokens: &[u32], cancel: &Cancel) -> Result<Computed, CompareError> {
    let wrong = |what: String| CompareError::Gguf { path: gguf.to_owned(), what };
    let folder = tempfile::tempdir().map_err(|error| wrong(error.to_string()))?;
    let into = folder.path().join("computed");
    let job = Job { model: gguf.to_owned(), tokens: tokens.to_vec(), into: into.clone() };
    let work = crate::distill::teacher::Work::Compare(job);
    match child::run(&work, cancel, |_| (), |_| ()) {
        Err(ChildError::Interrupted) => return Err(CompareError::Interrupted),
        Err(error) => return Err(wrong(crate::error::chain(&error))),
        Ok(()) => {}
    }
    let bytes = std::fs::read(&into).map_err(|error| wrong(error.to_string()))?;
    parse(&bytes).ok_or_else(|| wrong("llama.cpp's answer cannot be read".to_owned()))
}

/// Lists of floats, each behind its length; logits first.
fn parse(mut bytes: &[u8]) -> Option<Computed> {
    let mut lists = Vec::new();
    while let Some((length, rest)) = bytes.split_at_checked(8) {
        let length = u64::from_le_bytes(length.try_into().ok()?);
        let (list, rest) = rest.split_at_checked(usize::try_from(length).ok()?.checked_mul(4)?)?;
        lists.push(numbers::decoded(Dtype::F32, list));
        bytes = rest;
    }
    let mut lists = lists.into_iter();
    Some(Computed { logits: lists.next()?, layers: lists.collect() })
}

/// The child's side.
pub(crate) fn serve(job: &Job) -> Result<(), String> {
    session::begin();
    let mut layers = Layers::new(Vec::new());
    let window = u32::try_from(job.tokens.len().max(32)).map_err(|_| "too many tokens".to_owned())?;
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() as i32);
    let setup = Setup { window, step: window, threads, watch: Some(layers.watch()), exact: true, repack: false };
    let mut session = Session::open(&job.model, &setup)?;
    if let Some(&token) = job.tokens.iter().find(|&&token| token as usize >= session.vocabulary) {
        return Err(format!("the file has no token {token}"));
    }
    let tokens: Vec<i32> = job.tokens.iter().map(|token| token.cast_signed()).collect();
    session.evaluate(&tokens, 0, 0)?;
    let io = |error: std::io::Error| error.to_string();
    let mut file = std::io::BufWriter::new(std::fs::File::create(&job.into).map_err(io)?);
    let mut put = |list: &[f32]| {
        file.write_all(&(list.len() as u64).to_le_bytes())?;
        file.write_all(&numbers::encoded(Dtype::F32, list))
    };
    let mut logits = Vec::new();
    for at in 0..tokens.len() {
        logits.extend_from_slice(session.logits(at).ok_or("llama.cpp gave no logits")?);
    }
    put(&logits).map_err(io)?;
    layers.take().values().try_for_each(|layer| put(layer)).map_err(io)?;
    file.flush().map_err(io)
}

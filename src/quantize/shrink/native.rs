//! The call of `llama_model_quantize`, in a child process only: what llama.cpp finds wrong there may end the process.

use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::ptr;

use llama_cpp_sys_2 as sys;
use serde::{Deserialize, Serialize};

use crate::llama::session::{self, c_path};
use crate::quantize::imatrix::Imatrix;

/// Longest text of an override, its end included (`llama_model_kv_override::val_str`).
const LONGEST: usize = 128;

/// All that llama.cpp is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    /// `enum llama_ftype`; nothing copies tensors as they are.
    pub(crate) kind: Option<u32>,
    pub(crate) threads: i32,
    /// `enum ggml_type`.
    pub(crate) output_kind: Option<u32>,
    pub(crate) embedding_kind: Option<u32>,
    pub(crate) requantize: bool,
    pub(crate) leave_output: bool,
    pub(crate) pure: bool,
    pub(crate) keep_split: bool,
    pub(crate) dry: bool,
    pub(crate) imatrix: Option<PathBuf>,
    /// Some type cannot do without one.
    pub(crate) guided: bool,
    /// Patterns and `enum ggml_type`; the first that matches counts.
    pub(crate) kinds: Vec<(String, u32)>,
    pub(crate) prune: Vec<i32>,
    pub(crate) buffer: usize,
}

/// Does it. The log goes to stderr as llama.cpp writes it.
///
/// # Errors
/// In words, what was wrong before llama.cpp was called; or nothing but that it refused.
pub(crate) fn quantize(job: &Job) -> Result<bool, String> {
    let (input, output) = (c_path(&job.input)?, c_path(&job.output)?);
    session::begin();
    // SAFETY: the defaults are plain data.
    let mut params = unsafe { sys::llama_model_quantize_default_params() };
    params.nthread = job.threads;
    params.allow_requantize = job.requantize;
    params.quantize_output_tensor = !job.leave_output;
    params.pure_ = job.pure;
    params.keep_split = job.keep_split;
    params.dry_run = job.dry;
    params.max_buf_size = job.buffer;
    match job.kind {
        Some(kind) => params.ftype = kind as sys::llama_ftype,
        None => params.only_copy = true,
    }
    if let Some(kind) = job.output_kind {
        params.output_tensor_type = kind as sys::ggml_type;
    }
    if let Some(kind) = job.embedding_kind {
        params.token_embedding_type = kind as sys::ggml_type;
    }
    let mut prune = job.prune.clone();
    prune.push(-1);
    if !job.prune.is_empty() {
        params.prune_layers = prune.as_ptr();
    }

    let patterns: Vec<CString> = job.kinds.iter().map(|(pattern, _)| c_text(pattern)).collect::<Result<_, _>>()?;
    let mut kinds: Vec<sys::llama_model_tensor_override> = patterns
        .iter()
        .zip(&job.kinds)
        .map(|(pattern, (_, kind))| sys::llama_model_tensor_override {
            pattern: pattern.as_ptr(),
            type_: *kind as sys::ggml_type,
        })
        .collect();
    kinds.push(sys::llama_model_tensor_override { pattern: ptr::null(), type_: 0 });
    if !job.kinds.is_empty() {
        params.tt_overrides = kinds.as_ptr();
    }

    let matrix = job.imatrix.as_deref().map(|path| Matrix::read(path, job.guided)).transpose()?;
    if let Some(matrix) = &matrix {
        params.imatrix = matrix.list.as_ptr();
        params.kv_overrides = matrix.notes.as_ptr();
    }
    // SAFETY: all lists end as llama.cpp expects and outlive the call; the names are NUL-terminated.
    let code = unsafe { sys::llama_model_quantize(input.as_ptr(), output.as_ptr(), &raw const params) };
    Ok(code == 0)
}

/// An importance matrix in the form of the C interface; the lists point into what it owns.
struct Matrix {
    list: Vec<sys::llama_model_imatrix_data>,
    notes: Vec<sys::llama_model_kv_override>,
    _names: Vec<CString>,
    _means: Vec<Vec<f32>>,
}

impl Matrix {
    /// A matrix of which nothing is known is left out, or counts evenly where its type needs to be `guided`.
    fn read(path: &Path, guided: bool) -> Result<Self, String> {
        let all = Imatrix::read(path).map_err(|error| error.to_string())?;
        let (mut names, mut means) = (Vec::new(), Vec::new());
        for (name, entry) in &all.entries {
            let even = || guided.then(|| vec![1.0; entry.sums.len()]);
            if let Some(weights) = all.weights(entry).or_else(even) {
                names.push(c_text(name)?);
                means.push(weights);
            }
        }
        let mut list: Vec<_> = names
            .iter()
            .zip(&means)
            .map(|(name, mean)| sys::llama_model_imatrix_data {
                name: name.as_ptr(),
                data: mean.as_ptr(),
                size: mean.len(),
            })
            .collect();
        list.push(sys::llama_model_imatrix_data { name: ptr::null(), data: ptr::null(), size: 0 });
        let mut notes = vec![note("quantize.imatrix.file", Note::Text(&path.to_string_lossy()))];
        if let Some(dataset) = all.datasets.first() {
            notes.push(note("quantize.imatrix.dataset", Note::Text(dataset)));
        }
        notes.push(note("quantize.imatrix.entries_count", Note::Number(all.entries.len() as i64)));
        if all.chunks > 0 {
            notes.push(note("quantize.imatrix.chunks_count", Note::Number(all.chunks.into())));
        }
        notes.push(note("", Note::Number(0)));
        Ok(Self { list, notes, _names: names, _means: means })
    }
}

enum Note<'a> {
    Text(&'a str),
    Number(i64),
}

/// A value for the new file's metadata; an empty key ends the list.
fn note(key: &str, value: Note<'_>) -> sys::llama_model_kv_override {
    let chars = |text: &str| {
        let mut out = [0 as c_char; LONGEST];
        // Cut between characters, and before the byte that ends it.
        let end = text.floor_char_boundary(LONGEST - 1);
        for (to, byte) in out.iter_mut().zip(text.bytes().take(end)) {
            *to = byte as c_char;
        }
        out
    };
    let (tag, value) = match value {
        Note::Text(text) => {
            (sys::LLAMA_KV_OVERRIDE_TYPE_STR, sys::llama_model_kv_override__bindgen_ty_1 { val_str: chars(text) })
        }
        Note::Number(number) => {
            (sys::LLAMA_KV_OVERRIDE_TYPE_INT, sys::llama_model_kv_override__bindgen_ty_1 { val_i64: number })
        }
    };
    sys::llama_model_kv_override { tag, key: chars(key), __bindgen_anon_1: value }
}

fn c_text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("`{}` has a NUL in it", text.replace('\0', "\u{fffd}")))
}

//! What a type would lose of a matrix, measured: some of its rows are quantized by ggml, turned back and compared.
//!
//! Bits do not tell it: a file whose weights were on a grid before, rows that fall back to an older type and columns that
//! matter unevenly each put types in another order. In a child process only, as ggml may end the process.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use llama_cpp_sys_2 as sys;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::llama::child::tell;
use crate::llama::dequantize::dequantize;
use crate::quantize::imatrix::Imatrix;
use crate::weights::gguf::{GgmlType, Header, Parts, TensorInfo, read_exact};

/// Rows of a matrix that are tried, spread evenly: with some 100,000 numbers the mean error is known to a percent or two.
const ROWS: u64 = 32;

/// Matrices, and the types to try with each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) imatrix: Option<PathBuf>,
    /// Names, each with numbers of `enum ggml_type`.
    pub(crate) asked: Vec<(String, Vec<u32>)>,
    pub(crate) threads: i32,
}

/// Measures; tells for each matrix its place in the job and the errors in the order of its types.
pub(crate) fn measure(job: &Job) -> Result<bool, String> {
    let model = Parts::read(&job.input).map_err(|error| error.to_string())?;
    let matrix = job.imatrix.as_deref().map(Imatrix::read).transpose().map_err(|error| error.to_string())?;
    let next = AtomicUsize::new(0);
    let fault = Mutex::new(None);
    let read = || {
        while let Some((at, (name, kinds))) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            job.asked.get(at).map(|asked| (at, asked))
        } {
            match one(&model, matrix.as_ref(), name, kinds) {
                Ok(errors) => tell(&json!({"at": at, "errors": errors})),
                Err(what) => {
                    fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(what);
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| (0..job.threads.max(1)).for_each(|_| drop(scope.spawn(read))));
    match fault.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(what) => Err(what),
        None => Ok(true),
    }
}

/// The squared error of each type by the squares of the weights, columns weighted as the importance matrix says.
fn one(model: &Parts, matrix: Option<&Imatrix>, name: &str, kinds: &[u32]) -> Result<Vec<f64>, String> {
    let place = model.headers().find_map(|header| {
        let tensor = header.tensors.iter().find(|tensor| tensor.name == name)?;
        Some((header, tensor))
    });
    let (header, tensor) = place.ok_or_else(|| format!("there is no tensor `{name}`"))?;
    let weights = matrix.and_then(|all| all.weights(all.entries.get(name)?));
    let columns = tensor.dims.first().copied().unwrap_or(1).max(1);
    let rows = (tensor.elements() / columns).max(1);
    let stack = tensor.dims.get(2).copied().unwrap_or(1).max(1);
    let mut sums = vec![0.0; kinds.len()];
    let mut all = 0.0;
    let tried = ROWS.min(rows);
    for row in (0..tried).map(|number| number * rows / tried) {
        let numbers = row_of(header, tensor, row, columns)?;
        let from = (row * stack / rows * columns) as usize;
        let weights = weights.as_ref().and_then(|all| {
            // What is summed for a stack has a row for each of its matrices.
            let from = if all.len() as u64 > columns { from } else { 0 };
            all.get(from..from + columns as usize)
        });
        all += weighted(numbers.iter().map(|&number| f64::from(number)), weights);
        for (sum, &kind) in sums.iter_mut().zip(kinds) {
            let kind = GgmlType::from_id(kind).ok_or_else(|| format!("there is no type {kind}"))?;
            let back = back(kind, &numbers, weights).ok_or_else(|| format!("`{name}` cannot be tried as {kind}"))?;
            *sum += weighted(numbers.iter().zip(&back).map(|(&a, &b)| f64::from(a) - f64::from(b)), weights);
        }
    }
    Ok(sums.iter().map(|sum| if all > 0.0 { sum / all } else { 0.0 }).collect())
}

fn weighted(numbers: impl Iterator<Item = f64>, weights: Option<&[f32]>) -> f64 {
    match weights {
        Some(weights) => numbers.zip(weights).map(|(number, &weight)| number * number * f64::from(weight)).sum(),
        None => numbers.map(|number| number * number).sum(),
    }
}

fn row_of(header: &Header, tensor: &TensorInfo, row: u64, columns: u64) -> Result<Vec<f32>, String> {
    let bytes = tensor.kind.row_bytes(columns).unwrap_or_default();
    let mut raw = vec![0; bytes as usize];
    let file = File::open(header.path()).map_err(|error| error.to_string())?;
    let place = header.data_offset + tensor.offset + row * bytes;
    read_exact(&file, &mut raw, place).map_err(|error| error.to_string())?;
    let mut numbers = vec![0.0; columns as usize];
    let known = dequantize(tensor.kind, &raw, &mut numbers);
    if known { Ok(numbers) } else { Err(format!("`{}` is {}, which has no way back", tensor.name, tensor.kind)) }
}

/// A row as it is read again from this type.
fn back(kind: GgmlType, numbers: &[f32], weights: Option<&[f32]>) -> Option<Vec<f32>> {
    let columns = numbers.len() as u64;
    let mut raw = vec![0_u8; usize::try_from(kind.row_bytes(columns)?).ok()?];
    let id = kind.id() as sys::ggml_type;
    // SAFETY: a lookup by one of ggml's own numbers.
    let needs = unsafe { sys::ggml_quantize_requires_imatrix(id) };
    let even = (needs && weights.is_none()).then(|| vec![1.0; numbers.len()]);
    let weights = weights.or(even.as_deref()).map_or(std::ptr::null(), <[f32]>::as_ptr);
    // SAFETY: a row of whole blocks, room for exactly that, and as many weights as columns, or none.
    let written = unsafe {
        sys::ggml_quantize_chunk(id, numbers.as_ptr(), raw.as_mut_ptr().cast(), 0, 1, columns as i64, weights)
    };
    let mut back = vec![0.0; numbers.len()];
    (written == raw.len() && dequantize(kind, &raw, &mut back)).then_some(back)
}

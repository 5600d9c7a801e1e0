//! The child's side: a text through the model, with the inputs of every matrix product summed on the way.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::PathBuf;

use llama_cpp_sys_2 as sys;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Entry, Imatrix};
use crate::quantize::child::tell;
use crate::quantize::session::{self, Session, Setup};

/// What is to be gathered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) model: PathBuf,
    /// Names and texts.
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) window: u32,
    /// Windows at most; 0 for all.
    pub(crate) chunks: u32,
    /// Windows to step over, of a run that is resumed.
    pub(crate) skip: u32,
    pub(crate) threads: i32,
    /// Sum the output tensor's inputs too.
    pub(crate) output: bool,
    /// Control tokens written in the text count as such.
    pub(crate) special: bool,
    /// Where to put the sums.
    pub(crate) into: PathBuf,
    /// Windows after which they are put there meanwhile.
    pub(crate) every: u32,
    /// See [`Imatrix::source`].
    pub(crate) source: String,
}

/// Tokens computed at once. Every operation stops for the sums, so few operations are better.
const STEP: u32 = 512;

#[derive(Default)]
struct Sums {
    output: bool,
    entries: BTreeMap<String, (Vec<f64>, Vec<u64>)>,
    broken: bool,
}

impl Sums {
    fn imatrix(&self, job: &Job, chunks: u32) -> Imatrix {
        let entry = |(sums, counts): &(Vec<f64>, Vec<u64>)| Entry {
            sums: sums.iter().map(|&sum| sum as f32).collect(),
            counts: counts.clone(),
        };
        Imatrix {
            entries: self.entries.iter().map(|(name, sums)| (name.clone(), entry(sums))).collect(),
            datasets: job.texts.iter().map(|(name, _)| name.clone()).collect(),
            chunks,
            chunk_size: job.window,
            source: job.source.clone(),
        }
    }
}

unsafe extern "C" fn watch(tensor: *mut sys::ggml_tensor, asks: bool, data: *mut c_void) -> bool {
    // SAFETY: `gather` passes its sums, alive as long as the session and used by no one else during an evaluation.
    let sums = unsafe { &mut *data.cast::<Sums>() };
    if asks {
        // SAFETY: the tensor is llama.cpp's.
        return unsafe { session::is_wanted(tensor, sums.output) };
    }
    // SAFETY: as above; the operation was asked for and has run.
    let Some(product) = (unsafe { session::product(tensor) }) else {
        sums.broken = true;
        return true;
    };
    let size = product.columns * product.stack;
    let (total, counts) =
        sums.entries.entry(product.name.to_owned()).or_insert_with(|| (vec![0.0; size], vec![0; product.stack]));
    for (at, row) in product.rows {
        let to = total.get_mut(at * product.columns..(at + 1) * product.columns);
        let (Some(to), Some(count)) = (to, counts.get_mut(at)) else {
            sums.broken = true;
            continue;
        };
        *count += 1;
        to.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) * f64::from(value));
    }
    true
}

/// Gathers, and says after each window how many are done, of how many.
pub(crate) fn gather(job: &Job) -> Result<bool, String> {
    session::begin();
    let mut sums = Box::new(Sums { output: job.output, ..Sums::default() });
    let data: *mut Sums = &raw mut *sums;
    let setup = Setup {
        window: job.window,
        step: STEP,
        threads: job.threads,
        watch: Some((watch, data.cast())),
        repack: false,
    };
    let mut session = Session::open(&job.model, &setup)?;
    let mut tokens = Vec::new();
    for (at, (_, text)) in job.texts.iter().enumerate() {
        tokens.extend(session.tokens(text, at == 0, job.special)?);
    }
    let window = job.window as usize;
    let all = tokens.len() / window;
    if all == 0 {
        return Err(format!("the text has {} tokens, and a window is {window}", tokens.len()));
    }
    let all = if job.chunks == 0 { all } else { all.min((job.chunks + job.skip) as usize) };
    let bos = session.bos();
    let mut done = 0;
    for window in tokens.chunks_exact_mut(window).take(all).skip(job.skip as usize) {
        if let (Some(bos), Some(first)) = (bos, window.first_mut()) {
            *first = bos;
        }
        // The logits are not wanted, but the last layer is only computed for rows that give some.
        session.evaluate(window, 0, 0)?;
        done += 1;
        // SAFETY: no evaluation runs, so nobody else uses the sums.
        let sums = unsafe { &*data };
        if sums.broken {
            return Err("an operation's inputs had an unexpected form".to_owned());
        }
        let meanwhile = job.every > 0 && done % job.every == 0;
        if meanwhile || done == all as u32 - job.skip {
            sums.imatrix(job, done).write(&job.into).map_err(|error| error.to_string())?;
        }
        if meanwhile {
            tell(&json!({"saved": done}));
        }
        tell(&json!({"done": done, "all": all as u32 - job.skip}));
    }
    if done == 0 {
        return Err(format!("the text has {all} windows, and all of them were done before"));
    }
    Ok(true)
}

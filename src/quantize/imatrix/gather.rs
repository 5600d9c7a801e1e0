//! The child's side: a text through the model, with the inputs of every matrix product summed on the way.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use llama_cpp_sys_2 as sys;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Entry, Imatrix};
use crate::llama::child::tell;
use crate::llama::session::{self, Product, Session, Setup};

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

/// Tokens computed at once.
const STEP: u32 = 128;

/// A matrix's sums, and how many inputs each of a stack had.
type Entries = BTreeMap<String, (Vec<f64>, Vec<u64>)>;

/// What is summed while one window is evaluated.
#[derive(Default)]
struct Sums {
    output: bool,
    entries: Entries,
    broken: bool,
}

unsafe extern "C" fn watch(tensor: *mut sys::ggml_tensor, asks: bool, data: *mut c_void) -> bool {
    // SAFETY: `Reader::open` passes its sums, alive as long as its session.
    let sums = unsafe { &*data.cast::<Mutex<Sums>>() };
    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
    if asks {
        // SAFETY: the tensor is llama.cpp's.
        return unsafe { session::is_wanted(tensor, sums.output) };
    }
    // SAFETY: as above; the operation was asked for and has run.
    let Some(product) = (unsafe { session::product(tensor) }) else {
        sums.broken = true;
        return true;
    };
    sums.take(&product);
    true
}

impl Sums {
    fn take(&mut self, product: &Product<'_>) {
        let size = product.columns * product.stack;
        let fresh = || (vec![0.0; size], vec![0; product.stack]);
        let (total, counts) = self.entries.entry(product.name.to_owned()).or_insert_with(fresh);
        for &(at, row) in &product.rows {
            let to = total.get_mut(at * product.columns..(at + 1) * product.columns);
            let (Some(to), Some(count)) = (to, counts.get_mut(at)) else {
                self.broken = true;
                continue;
            };
            *count += 1;
            to.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) * f64::from(value));
        }
    }
}

/// A session with what it sums.
struct Reader {
    session: Session,
    sums: Arc<Mutex<Sums>>,
}

impl Reader {
    fn open(job: &Job, setup: &Setup, beside: Option<&Self>) -> Result<Self, String> {
        let sums = Arc::new(Mutex::new(Sums { output: job.output, ..Sums::default() }));
        let setup = Setup { watch: Some((watch, Arc::as_ptr(&sums).cast_mut().cast())), ..*setup };
        let session = match beside {
            Some(other) => other.session.another(&setup)?,
            None => Session::open(&job.model, &setup)?,
        };
        Ok(Self { session, sums })
    }

    /// The sums of one window.
    fn read(&mut self, window: &[i32]) -> Result<Entries, String> {
        // The logits are not wanted, but the last layer is only computed for rows that give some.
        self.session.evaluate(window, 0, 0)?;
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.broken {
            return Err("an operation's inputs had an unexpected form".to_owned());
        }
        Ok(std::mem::take(&mut sums.entries))
    }
}

/// Gathers, and says after each window how many are done, of how many.
pub(crate) fn gather(job: &Job) -> Result<bool, String> {
    session::begin();
    let mut setup =
        Setup { window: job.window, step: STEP, threads: job.threads, watch: None, exact: false, repack: false };
    let mut first = Reader::open(job, &setup, None)?;
    let mut tokens = Vec::new();
    for (at, (_, text)) in job.texts.iter().enumerate() {
        tokens.extend(first.session.tokens(text, at == 0, job.special)?);
    }
    let window = job.window as usize;
    let all = tokens.len() / window;
    if all == 0 {
        return Err(format!("the text has {} tokens, and a window is {window}", tokens.len()));
    }
    let all = if job.chunks == 0 { all } else { all.min((job.chunks + job.skip) as usize) };
    let windows = all.saturating_sub(job.skip as usize);
    if windows == 0 {
        return Err(format!("the text has {all} windows, and all of them were done before"));
    }
    if let Some(bos) = first.session.bos() {
        tokens.iter_mut().step_by(window).for_each(|token| *token = bos);
    }
    let groups = session::side_by_side(job.threads, windows, window * first.session.vocabulary * size_of::<f32>());
    setup.threads = (job.threads / groups as i32).max(1);
    first.session.use_threads(setup.threads);
    let more = (1..groups).map(|_| Reader::open(job, &setup, Some(&first))).collect::<Result<Vec<_>, _>>()?;
    let readers: Vec<Reader> = std::iter::once(first).chain(more).collect();

    let (next, stop) = (AtomicUsize::new(job.skip as usize), AtomicBool::new(false));
    let (sender, read) = mpsc::channel();
    std::thread::scope(|scope| {
        for mut reader in readers {
            let (next, stop, sender, tokens) = (&next, &stop, sender.clone(), &tokens);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(tokens) = tokens.chunks_exact(window).take(all).nth(at) else { break };
                    if sender.send((at, reader.read(tokens))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let summed = collect(job, &read, windows);
        stop.store(true, Ordering::Relaxed);
        summed
    })?;
    Ok(true)
}

/// Adds the windows' sums in the order of the text, whoever was first, and puts them where they are wanted.
fn collect(job: &Job, read: &mpsc::Receiver<(usize, Result<Entries, String>)>, windows: usize) -> Result<(), String> {
    let mut total = Entries::new();
    let mut early = BTreeMap::new();
    let mut done = 0;
    while done < windows {
        let (at, entries) = read.recv().map_err(|_| "a reader of windows failed".to_owned())?;
        early.insert(at, entries?);
        while let Some(entries) = early.remove(&(job.skip as usize + done)) {
            add(&mut total, entries);
            done += 1;
            let meanwhile = job.every > 0 && done % job.every as usize == 0;
            if meanwhile || done == windows {
                imatrix(job, &total, done as u32).write(&job.into).map_err(|error| error.to_string())?;
            }
            if meanwhile {
                tell(&json!({"saved": done}));
            }
            tell(&json!({"done": done, "all": windows}));
        }
    }
    Ok(())
}

fn add(total: &mut Entries, more: Entries) {
    for (name, (sums, counts)) in more {
        match total.get_mut(&name) {
            None => drop(total.insert(name, (sums, counts))),
            Some((all, known)) => {
                all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
                known.iter_mut().zip(counts).for_each(|(known, count)| *known += count);
            }
        }
    }
}

fn imatrix(job: &Job, entries: &Entries, chunks: u32) -> Imatrix {
    let entry = |(sums, counts): &(Vec<f64>, Vec<u64>)| Entry {
        sums: sums.iter().map(|&sum| sum as f32).collect(),
        counts: counts.clone(),
    };
    Imatrix {
        entries: entries.iter().map(|(name, sums)| (name.clone(), entry(sums))).collect(),
        datasets: job.texts.iter().map(|(name, _)| name.clone()).collect(),
        chunks,
        chunk_size: job.window,
        source: job.source.clone(),
    }
}

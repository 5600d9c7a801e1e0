//! One tensor: looked at as often as its method wants, then written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::slabs::{Collector, Slabs, each};
use super::stats::{Stats, Sums};
use crate::engine::Cancel;
use crate::merge::error::MergeError;
use crate::merge::method::{Block, Kernel, Scratch, Tally};
use crate::merge::plan::{Action, Output, Plan, block_of};
use crate::weights::numbers;
use crate::weights::safetensors::printable;

/// Bytes that are written at once.
const WRITE: usize = 512 << 10;

/// What a thread works with.
#[derive(Debug, Default)]
struct Hands {
    inputs: Vec<Vec<f32>>,
    out: Vec<f32>,
    scratch: Scratch,
    bytes: Vec<u8>,
}

/// Threads with what they work with, and the progress of all.
pub(super) struct Crew<'a, F> {
    hands: Vec<Hands>,
    cancel: &'a Cancel,
    allow_nan: bool,
    done: AtomicU64,
    all: u64,
    show: Mutex<F>,
}

impl<'a, F: FnMut(u64, u64) + Send> Crew<'a, F> {
    pub(super) fn new(threads: usize, cancel: &'a Cancel, allow_nan: bool, all: u64, show: F) -> Self {
        let mut hands = Vec::new();
        hands.resize_with(threads.max(1), Hands::default);
        Self { hands, cancel, allow_nan, done: AtomicU64::new(0), all, show: Mutex::new(show) }
    }

    /// Counts what is there already.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.show.lock().unwrap_or_else(PoisonError::into_inner)(done, self.all);
    }

    /// Writes a tensor to its place in a file.
    pub(super) fn tensor(
        &mut self,
        plan: &Plan,
        output: &Output,
        file: &File,
        offset: u64,
    ) -> Result<Stats, MergeError> {
        let mut hands = std::mem::take(&mut self.hands);
        let job = Job { crew: self, plan, output, file, offset, slabs: Slabs::of(0, 1), block: 1 };
        let done = job.run(&mut hands);
        self.hands = hands;
        done
    }
}

/// One tensor's work.
struct Job<'a, 'c, F> {
    crew: &'a Crew<'c, F>,
    plan: &'a Plan,
    output: &'a Output,
    file: &'a File,
    offset: u64,
    slabs: Slabs,
    block: u64,
}

impl<F: FnMut(u64, u64) + Send> Job<'_, '_, F> {
    fn run(mut self, hands: &mut [Hands]) -> Result<Stats, MergeError> {
        let output = self.output;
        let mut kernel = output.kernel(self.plan.method);
        let columns = output.shape.last().copied().unwrap_or(1);
        self.block = block_of(kernel.as_ref().is_some_and(|kernel| kernel.wants_rows()), columns);
        self.slabs = Slabs::of(output.elements(), self.block);
        let looks = kernel.as_ref().map_or(0, |kernel| kernel.looks());
        for round in 0..looks {
            let Some(kernel) = kernel.as_mut() else { break };
            let found = self.look(hands, kernel.as_ref(), round)?;
            kernel
                .conclude(round, found)
                .map_err(|what| MergeError::Tensor { tensor: printable(&output.name), what })?;
        }
        let sums = Mutex::new(vec![Sums::default(); self.slabs.count()]);
        // The base where the method has one, else the first parent.
        let base = match &output.action {
            Action::Blend(told) => told.base,
            Action::Copy => None,
        };
        let base =
            base.or_else(|| output.inputs.iter().position(|input| Some(input.model) == self.plan.base)).unwrap_or(0);
        each(hands, self.slabs.count(), |hands, slab| {
            let found = match &kernel {
                Some(kernel) => self.blend(hands, kernel.as_ref(), slab, base)?,
                None => self.copy(hands, slab, base)?,
            };
            if let Some(place) = sums.lock().unwrap_or_else(PoisonError::into_inner).get_mut(slab) {
                *place = found;
            }
            Ok(())
        })?;
        let mut all = Sums::default();
        sums.into_inner().unwrap_or_else(PoisonError::into_inner).iter().for_each(|slab| all.add(slab));
        Ok(all.end(&output.name, base))
    }

    /// Calls `each` for the blocks of a slab, with all inputs read.
    fn blocks(
        &self,
        hands: &mut Hands,
        slab: usize,
        mut each: impl FnMut(&mut Hands, Block<'_>) -> Result<(), MergeError>,
    ) -> Result<(), MergeError> {
        let range = self.slabs.range(slab);
        hands.scratch.cursor.clear();
        let mut start = range.start;
        while start < range.end {
            if self.crew.cancel.is_cancelled() {
                return Err(MergeError::Interrupted);
            }
            let length = self.block.min(range.end - start) as usize;
            let mut inputs = std::mem::take(&mut hands.inputs);
            inputs.resize_with(self.output.inputs.len(), Vec::new);
            for (to, input) in inputs.iter_mut().zip(&self.output.inputs) {
                to.resize(length, 0.0);
                input.read(start, to);
            }
            let done = each(hands, Block { inputs: &inputs, start, slab });
            hands.inputs = inputs;
            done?;
            start += length as u64;
        }
        Ok(())
    }

    fn look(
        &self,
        hands: &mut [Hands],
        kernel: &dyn Kernel,
        round: usize,
    ) -> Result<crate::merge::method::Found, MergeError> {
        let collector = Collector::new(kernel.by_slab(round));
        each(hands, self.slabs.count(), |hands, slab| {
            let mut tally = Tally::default();
            self.blocks(hands, slab, |hands, block| {
                kernel.look(round, &block, &mut hands.scratch, &mut tally);
                Ok(())
            })?;
            collector.take(slab, tally);
            self.forget(slab);
            Ok(())
        })?;
        Ok(collector.end())
    }

    fn blend(&self, hands: &mut Hands, kernel: &dyn Kernel, slab: usize, base: usize) -> Result<Sums, MergeError> {
        let mut sums = Sums::default();
        let size = self.output.dtype.size();
        let mut at = self.offset + self.slabs.range(slab).start * size;
        hands.bytes.clear();
        self.blocks(hands, slab, |hands, block| {
            let length = block.inputs.first().map_or(0, Vec::len);
            hands.out.resize(length, 0.0);
            self.finite(&block)?;
            kernel.blend(&block, &mut hands.scratch, &mut hands.out);
            sums.block(&hands.out, block.inputs, base);
            let begin = hands.bytes.len();
            numbers::encode(self.output.dtype, &hands.out, &mut hands.bytes);
            self.sound(hands, begin, block.start)?;
            if hands.bytes.len() >= WRITE {
                at += self.write(hands, at)?;
            }
            Ok(())
        })?;
        self.write(hands, at)?;
        self.forget(slab);
        Ok(sums)
    }

    /// A slab's pages may go: what is looked at again comes from the page cache.
    fn forget(&self, slab: usize) {
        for input in self.output.inputs.iter().filter(|input| input.rows.is_none()) {
            input.weight.forget(self.slabs.range(slab));
        }
    }

    fn write(&self, hands: &mut Hands, at: u64) -> Result<u64, MergeError> {
        let length = hands.bytes.len() as u64;
        let fault = |source| MergeError::Write { path: PathBuf::from(&self.output.name), source };
        self.file.write_all_at(&hands.bytes, at).map_err(fault)?;
        hands.bytes.clear();
        self.crew.advance(length);
        Ok(length)
    }

    /// Whether all inputs of a block are numbers.
    fn finite(&self, block: &Block<'_>) -> Result<(), MergeError> {
        if self.crew.allow_nan {
            return Ok(());
        }
        for (numbers, input) in block.inputs.iter().zip(&self.output.inputs) {
            if !numbers::all_finite(numbers) {
                let (at, what) = odd(numbers);
                let (tensor, file) = (printable(&input.weight.name), input.weight.file.clone());
                return Err(MergeError::NotFinite { tensor, file, element: block.start + at, what });
            }
        }
        Ok(())
    }

    /// Whether what was written of a block are numbers.
    fn sound(&self, hands: &mut Hands, begin: usize, start: u64) -> Result<(), MergeError> {
        if self.crew.allow_nan {
            return Ok(());
        }
        // What is finite in f32 may not be in 16 bits.
        numbers::decode(self.output.dtype, &hands.bytes[begin..], &mut hands.out);
        if numbers::all_finite(&hands.out) {
            return Ok(());
        }
        let (at, what) = odd(&hands.out);
        let what = if what == "NaN" { what.to_owned() } else { format!("too large for {}", self.output.dtype.name()) };
        Err(MergeError::Overflow { tensor: printable(&self.output.name), element: start + at, what })
    }

    /// A slab as it is; other inputs must be the same.
    fn copy(&self, hands: &mut Hands, slab: usize, base: usize) -> Result<Sums, MergeError> {
        let size = self.output.dtype.size();
        let range = self.slabs.range(slab);
        let place = (range.start * size) as usize..(range.end * size) as usize;
        let part = |at: usize| {
            let input = self.output.inputs.get(at)?;
            input.weight.bytes()?.get(place.clone())
        };
        let Some(bytes) = part(0) else {
            let what = "its bytes are not there as they are".to_owned();
            return Err(MergeError::Tensor { tensor: printable(&self.output.name), what });
        };
        if (1..self.output.inputs.len()).any(|at| part(at) != Some(bytes)) {
            let what = "it holds no floating-point numbers, and the models differ in it".to_owned();
            return Err(MergeError::Tensor { tensor: printable(&self.output.name), what });
        }
        let mut sums = Sums::default();
        if numbers::is_float(self.output.dtype) {
            self.blocks(hands, slab, |_, block| {
                self.finite(&block)?;
                if let Some(own) = block.inputs.first() {
                    sums.block(own, block.inputs, base);
                }
                Ok(())
            })?;
        }
        let mut at = self.offset + range.start * size;
        for part in bytes.chunks(WRITE) {
            let fault = |source| MergeError::Write { path: PathBuf::from(&self.output.name), source };
            self.file.write_all_at(part, at).map_err(fault)?;
            at += part.len() as u64;
            self.crew.advance(part.len() as u64);
        }
        self.forget(slab);
        Ok(sums)
    }
}

/// The first number that is none, and what it is.
fn odd(numbers: &[f32]) -> (u64, &'static str) {
    let at = numbers.iter().position(|number| !number.is_finite()).unwrap_or(0);
    let nan = numbers.get(at).is_some_and(|number| number.is_nan());
    (at as u64, if nan { "NaN" } else { "an infinite number" })
}

//! The weights: read in pieces, changed, and written where they belong, by several threads.
//!
//! A piece is some rows of one tensor, so memory stays at a few megabytes a thread whatever the model's size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::ConvertError;
use super::numbers::{Seen, encode};
use crate::arch::{Rewritten, rotation};
use crate::engine::Cancel;
use crate::weights::gguf::GgmlType;
use crate::weights::numbers;
use crate::weights::safetensors::Tensor;

/// Elements of a piece, unless a row has more.
const PIECE: u64 = 1 << 20;
/// How often the caller is told, and the flag is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Where a tensor's numbers come from.
#[derive(Debug)]
pub(super) enum From<'a> {
    Checkpoint(&'a Tensor),
    Made(Vec<f32>),
}

/// One tensor of the output.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) name: String,
    pub(super) from: From<'a>,
    pub(super) change: Rewritten,
    pub(super) kind: GgmlType,
    /// The slowest dimension first.
    pub(super) shape: Vec<u64>,
    /// Its first row among the checkpoint's tensor's.
    pub(super) first: u64,
    /// Its first byte, counted from the file's start.
    pub(super) offset: u64,
}

impl Output<'_> {
    /// As GGUF counts: the fastest dimension first.
    pub(super) fn dims(&self) -> Vec<u64> {
        self.shape.iter().rev().copied().collect()
    }

    /// Rows and their length. Single dimensions whose rows move count as rows of one element.
    fn rows(&self) -> (u64, u64) {
        let columns = self.shape.last().copied().unwrap_or(1);
        let rows: u64 = self.shape.iter().rev().skip(1).product();
        if self.shape.len() == 1 && matches!(self.change, Rewritten::Paired(_)) {
            (columns, 1)
        } else {
            (rows, columns)
        }
    }

    /// The checkpoint's row that becomes row `row`.
    fn source_row(&self, row: u64, rows: u64) -> u64 {
        match self.change {
            Rewritten::Paired(heads) => rotation::in_checkpoint(row, rows, heads),
            Rewritten::Kept | Rewritten::PlusOne => row,
        }
    }
}

/// What was met in each tensor, in their order.
pub(super) type Met = Vec<Seen>;

/// Writes all of `outputs` into `file`; `show` is told how many elements are done.
///
/// # Errors
/// Reading or writing failed, or the flag was raised.
pub(super) fn write(
    outputs: &[Output<'_>],
    file: &File,
    threads: usize,
    cancel: &Cancel,
    mut show: impl FnMut(u64),
) -> Result<Met, Broken> {
    let pieces: Vec<(usize, u64, u64)> =
        outputs.iter().enumerate().flat_map(|(at, output)| pieces(at, output)).collect();
    let met: Vec<Mutex<Seen>> = outputs.iter().map(|_| Mutex::default()).collect();
    let (next, done, running) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicUsize::new(threads.max(1)));
    let (stop, fault) = (AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut buffers = Buffers::default();
                while let Some(&(at, from, to)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let Some(output) = outputs.get(at) else { break };
                    match buffers.piece(output, from..to, file) {
                        Ok(seen) => {
                            if let Some(all) = met.get(at) {
                                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                                all.not_finite += seen.not_finite;
                                all.overflown += seen.overflown;
                            }
                            done.fetch_add((to - from) * output.rows().1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            std::thread::sleep(TICK);
            show(done.load(Ordering::Relaxed));
            if cancel.is_cancelled() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    if let Some(error) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    if cancel.is_cancelled() {
        return Err(Broken::Read(ConvertError::Interrupted));
    }
    Ok(met.into_iter().map(|seen| seen.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
}

/// What broke off.
#[derive(Debug)]
pub(super) enum Broken {
    Read(ConvertError),
    Write(io::Error),
}

fn pieces(at: usize, output: &Output<'_>) -> impl Iterator<Item = (usize, u64, u64)> + use<> {
    let (rows, columns) = output.rows();
    let step = (PIECE / columns.max(1)).max(1);
    (0..rows.div_ceil(step)).map(move |piece| (at, piece * step, ((piece + 1) * step).min(rows)))
}

#[derive(Default)]
struct Buffers {
    raw: Vec<u8>,
    numbers: Vec<f32>,
    out: Vec<u8>,
}

impl Buffers {
    fn piece(&mut self, output: &Output<'_>, rows: std::ops::Range<u64>, file: &File) -> Result<Seen, Broken> {
        let (all, columns) = output.rows();
        match &output.from {
            From::Made(numbers) => {
                let [from, to] = [rows.start, rows.end].map(|row| (row * columns) as usize);
                self.numbers.clear();
                self.numbers.extend(numbers.get(from..to).unwrap_or_default());
            }
            From::Checkpoint(tensor) => {
                self.read(output, tensor, rows.clone(), all, columns).map_err(Broken::Read)?;
                self.numbers.resize(self.raw.len() / tensor.dtype.size() as usize, 0.0);
                numbers::decode(tensor.dtype, &self.raw, &mut self.numbers);
            }
        }
        if output.change == Rewritten::PlusOne {
            self.numbers.iter_mut().for_each(|number| *number += 1.0);
        }
        self.out.clear();
        let seen = encode(output.kind, &self.numbers, &mut self.out);
        let before = rows.start * columns / output.kind.block() * output.kind.block_bytes();
        file.write_all_at(&self.out, output.offset + before).map_err(Broken::Write)?;
        Ok(seen)
    }

    fn read(
        &mut self,
        output: &Output<'_>,
        tensor: &Tensor,
        rows: std::ops::Range<u64>,
        all: u64,
        columns: u64,
    ) -> Result<(), ConvertError> {
        let row = columns * tensor.dtype.size();
        self.raw.resize(((rows.end - rows.start) * row) as usize, 0);
        if !matches!(output.change, Rewritten::Paired(_)) {
            return Ok(tensor.read(&mut self.raw, (output.first + rows.start) * row)?);
        }
        for (to, number) in self.raw.chunks_mut((row as usize).max(1)).zip(rows) {
            tensor.read(to, (output.first + output.source_row(number, all)) * row)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_row_once() {
        let output = Output {
            name: String::new(),
            from: From::Made(Vec::new()),
            change: Rewritten::Kept,
            kind: GgmlType::F32,
            shape: vec![1000, 3000],
            first: 0,
            offset: 0,
        };
        let all: Vec<_> = pieces(0, &output).collect();
        assert_eq!((all[0].1, all.last().unwrap().2), (0, 1000));
        assert!(all.windows(2).all(|pair| pair[0].2 == pair[1].1));
    }

    #[test]
    fn numbers_that_were_made_are_written_where_they_belong_in_every_piece() {
        let numbers: Vec<f32> = (0..3 << 19).map(|n| n as f32).collect();
        let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let output = Output {
            name: String::new(),
            from: From::Made(numbers),
            change: Rewritten::Kept,
            kind: GgmlType::F32,
            shape: vec![3 << 10, 512],
            first: 0,
            offset: 64,
        };
        assert!(pieces(0, &output).count() > 1);
        let file = tempfile::tempfile().unwrap();
        write(&[output], &file, 2, &Cancel::new(), |_| ()).unwrap();
        let mut back = vec![0; raw.len()];
        file.read_exact_at(&mut back, 64).unwrap();
        assert!(back == raw && file.metadata().unwrap().len() == 64 + raw.len() as u64);
    }
}

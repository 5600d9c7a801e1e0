//! A model's weights on their way to a file.

use std::path::Path;

use super::weight::Numbers;
use crate::atomic::WriteError;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;
use crate::weights::safetensors::write::{NewTensor, Writer};

/// Numbers turned into bytes at once.
const CHUNK: usize = 1 << 20;

/// A tensor on its way to a file.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) dims: &'a [usize],
    pub(crate) dtype: Dtype,
    pub(crate) numbers: Values<'a>,
}

/// Where a tensor's numbers are.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    Weight(&'a Numbers),
    Floats(&'a [f32]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Weight(numbers) => numbers.len(),
            Self::Floats(numbers) => numbers.len(),
        }
    }

    fn write(&self, dtype: Dtype, from: usize, to: usize) -> Vec<u8> {
        match self {
            Self::Weight(numbers) => numbers.write(dtype, from, to),
            Self::Floats(numbers) => numbers::encoded(dtype, &numbers[from..to]),
        }
    }
}

/// Writes a file of these tensors, in this order, with `notes` in its header.
///
/// # Errors
/// The disk is full or the place cannot be written to; what was under the name stays.
pub(crate) fn write(path: &Path, entries: &[Entry<'_>], notes: &[(&str, &str)]) -> Result<(), WriteError> {
    let spec = |Entry { name, dims, dtype, .. }: &Entry<'_>| {
        let shape = dims.iter().map(|&dim| dim as u64).collect();
        NewTensor { name: name.clone(), dtype: *dtype, shape }
    };
    let mut file = Writer::create(path, &entries.iter().map(spec).collect::<Vec<_>>(), notes)?;
    for Entry { dtype, numbers, .. } in entries {
        for from in (0..numbers.len()).step_by(CHUNK) {
            file.write(&numbers.write(*dtype, from, (from + CHUNK).min(numbers.len())))?;
        }
    }
    file.finish()
}

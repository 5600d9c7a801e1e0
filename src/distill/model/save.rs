//! A model's weights on their way to a file.

use std::path::Path;

use super::weight::{Numbers, Weight};
use crate::atomic::WriteError;
use crate::weights::safetensors::Dtype;
use crate::weights::safetensors::write::{NewTensor, Writer};

/// Numbers turned into bytes at once.
const CHUNK: usize = 1 << 20;

/// A tensor on its way to a file.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) weight: &'a Weight,
    /// What is written in the weight's place, of its shape.
    pub(crate) instead: Option<&'a [f32]>,
}

/// Writes a file of these tensors, in this order, with `notes` in its header.
///
/// # Errors
/// The disk is full or the place cannot be written to; what was under the name stays.
pub(crate) fn write(path: &Path, entries: &[Entry<'_>], notes: &[(&str, &str)]) -> Result<(), WriteError> {
    let spec = |Entry { name, dtype, weight, .. }: &Entry<'_>| {
        let shape = weight.dims.iter().map(|&dim| dim as u64).collect();
        NewTensor { name: name.clone(), dtype: *dtype, shape }
    };
    let mut file = Writer::create(path, &entries.iter().map(spec).collect::<Vec<_>>(), notes)?;
    for Entry { dtype, weight, instead, .. } in entries {
        match (instead, &weight.numbers) {
            (Some(numbers), _) => file.numbers(*dtype, numbers)?,
            (None, Numbers::F32(numbers)) => file.numbers(*dtype, numbers)?,
            (None, Numbers::Blocks(blocks)) => {
                for from in (0..blocks.len()).step_by(CHUNK) {
                    file.numbers(*dtype, &blocks.part(from, (from + CHUNK).min(blocks.len())))?;
                }
            }
            // What was not trained comes out as it came in.
            (None, Numbers::F16(bits) | Numbers::Bf16(bits)) => {
                for bits in bits.chunks(CHUNK) {
                    file.write(&bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>())?;
                }
            }
        }
    }
    file.finish()
}

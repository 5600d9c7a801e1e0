//! The weights, as far as they are quickly read: norms and biases wholly, of each matrix a few pieces. NaN anywhere
//! makes every answer of a model NaN, so a failed training or a broken disk shows at once.

use super::{AdmissionError, is_vector, shown};
use crate::weights::gguf::{GgmlType, Header, ReadAt, TensorInfo, read_exact};

/// Bytes of a piece that is looked at.
const PIECE: u64 = 4 << 10;
/// Vectors longer than this are no norms, and looked at in pieces too.
const LONGEST_VECTOR: u64 = 8 << 20;
/// Adapters up to this are read wholly.
const LARGEST_ADAPTER: u64 = 256 << 20;

/// Looks at the numbers of a model.
pub(super) fn check(header: &Header, source: &dyn ReadAt) -> Result<(), AdmissionError> {
    header.tensors.iter().try_for_each(|tensor| {
        let wholly = is_vector(tensor) && tensor.bytes <= LONGEST_VECTOR;
        look(header, tensor, source, wholly)
    })
}

/// Looks at the numbers of an adapter, which is small enough to be read.
///
/// # Errors
/// One of its tensors holds what is no number, or it cannot be read.
pub(super) fn adapter(header: &Header, source: &dyn ReadAt) -> Result<(), AdmissionError> {
    let bytes: u64 = header.tensors.iter().map(|tensor| tensor.bytes).sum();
    header.tensors.iter().try_for_each(|tensor| look(header, tensor, source, bytes <= LARGEST_ADAPTER))
}

fn look(header: &Header, tensor: &TensorInfo, source: &dyn ReadAt, wholly: bool) -> Result<(), AdmissionError> {
    let block = tensor.kind.block_bytes();
    let piece = PIECE / block * block;
    let last = tensor.bytes.saturating_sub(piece) / block * block;
    let starts = if wholly {
        (0..tensor.bytes).step_by(piece as usize).collect()
    } else {
        vec![0, last / 2 / block * block, last]
    };
    let mut bytes = Vec::new();
    for start in starts {
        let length = piece.min(tensor.bytes - start);
        bytes.resize(length as usize, 0);
        read_exact(source, &mut bytes, header.data_offset + tensor.offset + start)
            .map_err(|source| AdmissionError::Io { path: header.path().to_owned(), source })?;
        if !bytes.chunks_exact(block as usize).all(|block| is_number(tensor.kind, block)) {
            let (path, tensor) = (header.path().to_owned(), shown(&tensor.name));
            return Err(AdmissionError::NotANumber { path, tensor });
        }
    }
    Ok(())
}

/// Whether a block is made of numbers: of quantized ones, its scales (`ggml/src/ggml-common.h`).
fn is_number(kind: GgmlType, block: &[u8]) -> bool {
    let halves = |places: &[usize]| places.iter().all(|&at| half(block, at) & 0x7c00 != 0x7c00);
    match kind {
        GgmlType::F32 => block.first_chunk::<4>().is_some_and(|bytes| f32::from_le_bytes(*bytes).is_finite()),
        GgmlType::BF16 => half(block, 0) & 0x7f80 != 0x7f80,
        GgmlType::F16
        | GgmlType::Q4_0
        | GgmlType::Q5_0
        | GgmlType::Q8_0
        | GgmlType::IQ2_XXS
        | GgmlType::IQ2_XS
        | GgmlType::IQ2_S
        | GgmlType::IQ3_XXS
        | GgmlType::IQ3_S
        | GgmlType::IQ1_S
        | GgmlType::IQ4_NL
        | GgmlType::IQ4_XS
        | GgmlType::Q1_0
        | GgmlType::Q2_0 => halves(&[0]),
        GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4_K | GgmlType::Q5_K => halves(&[0, 2]),
        GgmlType::Q2_K => halves(&[80, 82]),
        GgmlType::Q3_K => halves(&[108]),
        GgmlType::Q6_K => halves(&[208]),
        GgmlType::TQ1_0 => halves(&[52]),
        GgmlType::TQ2_0 => halves(&[64]),
        // Scales in other forms, and whole numbers.
        GgmlType::Q8_1
        | GgmlType::Q8_K
        | GgmlType::IQ1_M
        | GgmlType::MXFP4
        | GgmlType::NVFP4
        | GgmlType::I8
        | GgmlType::I16
        | GgmlType::I32
        | GgmlType::I64
        | GgmlType::F64 => true,
    }
}

fn half(block: &[u8], at: usize) -> u16 {
    block.get(at..at + 2).and_then(|bytes| bytes.first_chunk::<2>()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

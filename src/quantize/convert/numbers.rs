//! Elements in the types of a GGUF file, with what is no number counted on the way.

use half::f16;

use crate::weights::gguf::GgmlType;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Numbers in a block of Q8_0 (`QK8_0` in `ggml-common.h`).
const BLOCK: usize = 32;

/// What was met in some elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// NaN and infinities.
    pub(super) not_finite: u64,
    /// Finite numbers that the type cannot hold, or blocks of them.
    pub(super) overflown: u64,
}

/// Writes elements in `kind` (F32, F16, BF16 or Q8_0 with whole blocks) behind what `out` has.
pub(super) fn encode(kind: GgmlType, elements: &[f32], out: &mut Vec<u8>) -> Seen {
    let not_finite = elements.iter().filter(|n| !n.is_finite()).count() as u64;
    let dtype = match kind {
        GgmlType::F16 => Dtype::F16,
        GgmlType::BF16 => Dtype::BF16,
        GgmlType::Q8_0 => {
            let overflown = elements.chunks(BLOCK).filter(|&block| !q8_0(block, out)).count() as u64;
            return Seen { not_finite, overflown };
        }
        _ => Dtype::F32,
    };
    numbers::encode(dtype, elements, out);
    Seen { not_finite, overflown: numbers::overflown(dtype, elements) as u64 }
}

/// One block: a scale and 32 whole numbers (`quantize_row_q8_0_ref` in `ggml-quants.c`). `false` when the scale, an f16,
/// cannot be held although every number is finite.
fn q8_0(block: &[f32], out: &mut Vec<u8>) -> bool {
    let most = block.iter().fold(0f32, |most, number| most.max(number.abs()));
    let scale = most / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    out.extend(block.iter().map(|number| (number * inverse).round() as i8 as u8));
    stored.is_finite() || block.iter().any(|number| !number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_even_and_overflow_is_counted() {
        let numbers =
            [1.0, 1.0 + 2f32.powi(-11), 1.0 + 3.0 * 2f32.powi(-11), 65_519.0, 65_520.0, f32::NAN, 1e-8, -2e-8];
        let mut out = Vec::new();
        assert_eq!(encode(GgmlType::F16, &numbers, &mut out), Seen { not_finite: 1, overflown: 1 });
        let halves: Vec<u16> = out.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        assert_eq!(halves[..5], [0x3c00, 0x3c00, 0x3c02, 0x7bff, 0x7c00]);
        assert_eq!(halves[6..], [0, 0x8000]);
        let mut out = Vec::new();
        encode(GgmlType::BF16, &[1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8)], &mut out);
        assert_eq!(out, [0x80, 0x3f, 0x82, 0x3f]);
    }

    #[test]
    fn a_block_of_q8_0_is_scale_and_bytes() {
        let mut numbers = [0f32; 32];
        (numbers[0], numbers[1], numbers[2]) = (127.0, -63.5, 2.5);
        let mut out = Vec::new();
        encode(GgmlType::Q8_0, &numbers, &mut out);
        assert_eq!(out.len(), 34);
        assert_eq!(out[..5], [0x00, 0x3c, 127, -64i8 as u8, 3]);
        let mut zeros = Vec::new();
        encode(GgmlType::Q8_0, &[0.0; 32], &mut zeros);
        assert_eq!(zeros, [0; 34]);
        numbers[3] = 1e7;
        assert_eq!(encode(GgmlType::Q8_0, &numbers, &mut out), Seen { not_finite: 0, overflown: 1 });
        assert_eq!(encode(GgmlType::BF16, &[3.4e38, 1.0, f32::NAN], &mut out), Seen { not_finite: 1, overflown: 1 });
    }
}

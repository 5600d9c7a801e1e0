//! Weights between the types of a checkpoint and `f32`, whole slices at a time, in loops that become vector instructions.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::safetensors::{Dtype, SafetensorsError, Tensor};

/// Types that weights are computed in.
pub const FLOATS: [Dtype; 4] = [Dtype::BF16, Dtype::F16, Dtype::F32, Dtype::F64];

/// Whether weights of this type can be read as `f32`.
pub fn is_float(dtype: Dtype) -> bool {
    FLOATS.contains(&dtype)
}

/// All numbers of a tensor, for what is small; none of a type that is no floating point.
///
/// # Errors
/// The file cannot be read.
pub fn read(tensor: &Tensor) -> Result<Vec<f32>, SafetensorsError> {
    let mut raw = vec![0; tensor.bytes as usize];
    tensor.read(&mut raw, 0)?;
    Ok(decoded(tensor.dtype, &raw))
}

/// All numbers of these bytes; none of a type that is no floating point.
pub fn decoded(dtype: Dtype, raw: &[u8]) -> Vec<f32> {
    let count = if is_float(dtype) { raw.len() / dtype.size() as usize } else { 0 };
    let mut out = vec![0.0; count];
    decode(dtype, raw, &mut out);
    out
}

/// Numbers read at once.
const PIECE: usize = 1 << 20;

/// Whether two tensors of floating-point numbers have the same, but for what the first one's type does not hold.
///
/// # Errors
/// A file cannot be read.
pub fn same(copy: &Tensor, own: &Tensor) -> Result<bool, SafetensorsError> {
    if copy.shape != own.shape {
        return Ok(false);
    }
    let all = copy.elements() as usize;
    for from in (0..all).step_by(PIECE) {
        let count = PIECE.min(all - from);
        let piece = |tensor: &Tensor| -> Result<Vec<f32>, SafetensorsError> {
            let size = tensor.dtype.size() as usize;
            let mut raw = vec![0; count * size];
            tensor.read(&mut raw, (from * size) as u64)?;
            Ok(decoded(tensor.dtype, &raw))
        };
        let mut wanted = piece(own)?;
        round(copy.dtype, &mut wanted);
        if piece(copy)? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A number of 16 bits that is the upper half of one of 32.
#[inline]
pub fn of_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Reads as many numbers as `out` has places; `raw` holds exactly these. Types that are no floating point give zeros.
pub fn decode(dtype: Dtype, raw: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::BF16 => {
            for (to, word) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                *to = of_bf16(u16::from_le_bytes(*word));
            }
        }
        Dtype::F32 => {
            for (to, word) in out.iter_mut().zip(raw.as_chunks::<4>().0) {
                *to = f32::from_le_bytes(*word);
            }
        }
        Dtype::F16 => {
            let mut halves = [f16::ZERO; 512];
            for (out, raw) in out.chunks_mut(512).zip(raw.chunks(1024)) {
                for (to, word) in halves.iter_mut().zip(raw.as_chunks::<2>().0) {
                    *to = f16::from_le_bytes(*word);
                }
                halves[..out.len()].convert_to_f32_slice(out);
            }
        }
        Dtype::F64 => {
            for (to, word) in out.iter_mut().zip(raw.as_chunks::<8>().0) {
                *to = f64::from_le_bytes(*word) as f32;
            }
        }
        _ => out.fill(0.0),
    }
}

/// The nearest number of 16 bits, to even when two are as near.
#[inline]
fn bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    if number.is_nan() { (bits >> 16) as u16 | 0x40 } else { rounded }
}

/// Writes numbers behind what `out` has. `dtype` is one of F64, F32, F16 and BF16.
pub fn encode(dtype: Dtype, numbers: &[f32], out: &mut Vec<u8>) {
    let begin = out.len();
    match dtype {
        Dtype::BF16 => {
            out.resize(begin + numbers.len() * 2, 0);
            for (to, &number) in out[begin..].as_chunks_mut::<2>().0.iter_mut().zip(numbers) {
                *to = bf16(number).to_le_bytes();
            }
        }
        Dtype::F16 => {
            out.resize(begin + numbers.len() * 2, 0);
            let mut halves = [f16::ZERO; 512];
            for (to, numbers) in out[begin..].chunks_mut(1024).zip(numbers.chunks(512)) {
                halves[..numbers.len()].convert_from_f32_slice(numbers);
                for (to, half) in to.as_chunks_mut::<2>().0.iter_mut().zip(halves) {
                    *to = half.to_le_bytes();
                }
            }
        }
        Dtype::F64 => out.extend(numbers.iter().flat_map(|&number| f64::from(number).to_le_bytes())),
        _ => {
            out.resize(begin + numbers.len() * 4, 0);
            for (to, number) in out[begin..].as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
                *to = number.to_le_bytes();
            }
        }
    }
}

/// The bytes of numbers; `dtype` as for [`encode`].
pub fn encoded(dtype: Dtype, numbers: &[f32]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(dtype, numbers, &mut out);
    out
}

/// How many finite numbers would become infinite in a type of 16 bits.
pub fn overflown(dtype: Dtype, numbers: &[f32]) -> usize {
    // Half way from the largest to the next one, which there is not: from here on the nearest is infinity.
    let least = match dtype {
        Dtype::F16 => 65_520.0,
        Dtype::BF16 => f32::from_bits(0x7f7f_8000),
        _ => return 0,
    };
    numbers.iter().filter(|number| number.abs() >= least && number.is_finite()).count()
}

/// Rounds numbers to what `dtype` holds.
pub fn round(dtype: Dtype, numbers: &mut [f32]) {
    match dtype {
        Dtype::BF16 => numbers.iter_mut().for_each(|number| *number = of_bf16(bf16(*number))),
        Dtype::F16 => numbers.iter_mut().for_each(|number| *number = f16::from_f32(*number).to_f32()),
        _ => {}
    }
}

/// Whether all are finite.
pub fn all_finite(numbers: &[f32]) -> bool {
    numbers.iter().fold(0, |most, number| most.max(number.to_bits() & 0x7fff_ffff)) < f32::INFINITY.to_bits()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_half_survives_the_way_through_f32() {
        let raw: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for dtype in [Dtype::F16, Dtype::BF16] {
            let mut numbers = vec![0.0; 1 << 16];
            decode(dtype, &raw, &mut numbers);
            let mut back = vec![7];
            encode(dtype, &numbers, &mut back);
            let differ =
                raw.chunks(2).zip(back[1..].chunks(2)).zip(&numbers).filter(|((a, b), n)| a != b && !n.is_nan());
            assert_eq!(differ.count(), 0, "{dtype:?}");
            assert!(!all_finite(&numbers));
            assert!(all_finite(&numbers[..100]));
        }
    }

    #[test]
    fn a_type_overflows_where_the_nearest_number_is_infinite() {
        let below = |number: f32| f32::from_bits(number.to_bits() - 1);
        for (dtype, least) in [(Dtype::F16, 65_520.0), (Dtype::BF16, f32::from_bits(0x7f7f_8000))] {
            let numbers = [least, below(least), -least, f32::MAX, f32::INFINITY, f32::NAN];
            assert_eq!(overflown(dtype, &numbers), 3, "{dtype:?}");
            assert_eq!(decoded(dtype, &encoded(dtype, &numbers[..2])), [f32::INFINITY, largest(dtype)]);
        }
        assert_eq!(overflown(Dtype::F32, &[f32::MAX]), 0);
    }

    fn largest(dtype: Dtype) -> f32 {
        if dtype == Dtype::F16 { f16::MAX.to_f32() } else { half::bf16::MAX.to_f32() }
    }

    proptest! {
        #[test]
        fn rounding_is_the_nearest_and_what_is_written(number in any::<f32>()) {
            for (dtype, want) in [
                (Dtype::BF16, half::bf16::from_f32(number).to_f32()),
                (Dtype::F16, f16::from_f32(number).to_f32()),
                (Dtype::F32, number),
            ] {
                let mut rounded = [number];
                round(dtype, &mut rounded);
                let mut raw = Vec::new();
                encode(dtype, &[number], &mut raw);
                let mut read = [0.0];
                decode(dtype, &raw, &mut read);
                prop_assert!(rounded[0] == want || want.is_nan() && rounded[0].is_nan());
                prop_assert!(read[0] == want || want.is_nan() && read[0].is_nan());
                let lost = number.is_finite() && !want.is_finite();
                prop_assert_eq!(overflown(dtype, &[number]), usize::from(lost));
            }
        }
    }
}

//! ggml's own dequantizers: plain functions from blocks to numbers.

use llama_cpp_sys_2 as sys;

use crate::weights::gguf::GgmlType;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Whole blocks to as many numbers as they hold; `false` for a type that has no way back, or lengths that do not match.
pub(crate) fn dequantize(kind: GgmlType, raw: &[u8], out: &mut [f32]) -> bool {
    let blocks = raw.len() as u64 / kind.block_bytes();
    if blocks * kind.block() != out.len() as u64 || blocks * kind.block_bytes() != raw.len() as u64 {
        return false;
    }
    if kind == GgmlType::F32 {
        numbers::decode(Dtype::F32, raw, out);
        return true;
    }
    // SAFETY: the number is one of ggml's own, for which it answers with a static table.
    let traits = unsafe { sys::ggml_get_type_traits(kind.id() as sys::ggml_type) };
    if traits.is_null() {
        return false;
    }
    // SAFETY: checked for null.
    let Some(convert) = (unsafe { (*traits).to_float }) else { return false };
    let Ok(count) = i64::try_from(out.len()) else { return false };
    // Blocks hold 16-bit scales, so they must lie evenly; a vector of bytes from the allocator does.
    if !raw.as_ptr().cast::<u64>().is_aligned() {
        return false;
    }
    // SAFETY: source and target hold exactly `count` elements, as was checked above.
    unsafe { convert(raw.as_ptr().cast(), out.as_mut_ptr(), count) };
    true
}

//! LoRA adapters made up here, for models whose shapes are known.
#![allow(clippy::unwrap_used, reason = "a test must be able to fail, in its helpers too")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use zord::weights::gguf::{GgmlType, write::HeaderWriter};

/// SmolLM2-135M: layers, and the width of its queries' square matrix.
pub const LAYERS: u32 = 30;
pub const WIDTH: u64 = 576;
pub const RANK: u64 = 4;

/// A fixed sequence of numbers (splitmix64).
pub fn number(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn header() -> HeaderWriter {
    HeaderWriter::new()
        .str("general.type", "adapter")
        .str("general.architecture", "llama")
        .str("adapter.type", "lora")
        .f32("adapter.lora.alpha", RANK as f32)
}

/// An adapter of all queries, `width` wide; its bytes.
pub fn adapter(header: HeaderWriter, width: u64, layers: u32) -> Vec<u8> {
    let header = (0..layers).fold(header, |header, layer| {
        let name = format!("blk.{layer}.attn_q.weight");
        header.tensor(&format!("{name}.lora_a"), &[width, RANK], GgmlType::F32).tensor(
            &format!("{name}.lora_b"),
            &[RANK, width],
            GgmlType::F32,
        )
    });
    let (mut bytes, data) = header.bytes().unwrap();
    let mut state = 7;
    for _ in 0..data / 4 {
        // About as large as the weights themselves, so that it shows.
        let value = (number(&mut state) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        bytes.extend((value * 0.3).to_le_bytes());
    }
    bytes
}

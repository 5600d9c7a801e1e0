//! What one choice of settings takes: the resident set at its peak, part by part.
//!
//! Each formula names the line of llama.cpp (0.1.161 of `llama-cpp-sys-2`) it stands on; the constants were measured
//! with that build. What it refuses to do: choose.

use super::shape::{Matrix, Shape};
use super::{KvType, Plan};
use crate::device::Features;
use crate::weights::gguf::GgmlType;

/// Rows of logits that are kept while a draft of fifteen tokens is verified in one batch. The engine allows as many
/// (`n_outputs_max`) without drafting too, and then touches one.
const DRAFT_ROWS: u64 = 16;

const MIB: u64 = 1 << 20;
/// Pages of the program's own file and its libraries that are touched, in bytes.
const PROGRAM_CODE: u64 = 13 * MIB;
/// What the program allocates before a model is there, in bytes.
const PROGRAM_HEAP: u64 = 2 * MIB;
/// What a process of the engine's own takes besides: its heap, its stacks, and the pages of the program's file that are
/// no longer the same once they are relocated.
const SECOND_PROCESS: u64 = 3 * MIB;
/// `llama_vocab`: a token costs its entry in `id_to_token`, `token_to_id` and `cache_token_to_piece`, a merge its node in
/// `bpe_ranks` and the text it was parsed from. Measured with 49,152 + 48,900 and with 262,144 + 0 of them.
const TOKEN_BYTES: u64 = 150;
const MERGE_BYTES: u64 = 180;
/// What loading takes besides for a moment (the metadata as llama.cpp parses it), for each token.
const TOKEN_LOADING: u64 = 55;
/// Scheduler, graph and hash sets, for each tensor of the model (`llama_context::sched_reserve`: 8 nodes a tensor).
const GRAPH_BYTES: u64 = 1600;
/// A cell's position, shift and set of sequences (`src/llama-kv-cells.h`).
const CELL_BYTES: u64 = 48;
/// `GGML_FA_TILE_Q`, `GGML_FA_TILE_KV` (`ggml-cpu/common.h`).
const FLASH_TILE: u64 = 64;
/// A slot of the tiled matrix product for each thread (`ggml-cpu/tiled/tiled.cpp`).
const TILED_SLOT: u64 = 512 << 10;

/// The settings that cost memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Tokens of context, a multiple of 256.
    pub n_ctx: u32,
    /// Cells for completions beside them, a multiple of 256.
    pub n_infill: u32,
    /// KV cache type.
    pub kv_type: KvType,
    /// Physical batch.
    pub n_ubatch: u32,
    /// Sequences.
    pub n_seq: u32,
    /// Tokens may be drafted.
    pub speculate: bool,
    /// Threads.
    pub threads: u32,
    /// Flash attention.
    pub flash: bool,
    /// A rearranged copy of the weights.
    pub repack: bool,
    /// In a process of its own.
    pub apart: bool,
}

/// A plan with its sizes, for `choice`; budget and reason are left empty.
pub fn plan_of(shape: &Shape, choice: &Choice, features: &Features) -> Plan {
    let weights = shape.data;
    let weights_copied = if choice.repack { copied(shape, features) } else { 0 };
    let kv = kv_bytes(shape, choice);
    let compute = compute_bytes(shape, choice);
    let vocabulary = vocabulary_bytes(shape);
    let processes = PROGRAM_CODE + PROGRAM_HEAP + if choice.apart { SECOND_PROCESS } else { 0 };
    let program = processes + vocabulary + bookkeeping(shape, choice);
    // While loading, the mapped file holds its header too, and llama.cpp its parsed form; both are gone before the
    // context comes (`llama_mmap::unmap_fragment`).
    let loading = (shape.file - weights) + TOKEN_LOADING * shape.vocabulary;
    let running = weights + weights_copied + kv + compute + program;
    let total = running.max(weights + weights_copied + processes + vocabulary + loading);
    Plan {
        n_ctx: choice.n_ctx,
        kv_type: choice.kv_type,
        n_ubatch: choice.n_ubatch,
        threads: choice.threads,
        n_seq: choice.n_seq,
        n_infill: choice.n_infill,
        flash: choice.flash,
        repack: weights_copied > 0,
        weights,
        weights_copied,
        kv,
        compute,
        program: program + (total - running),
        total,
        budget: 0,
        reason: String::new(),
    }
}

/// Weights of which llama.cpp keeps a rearranged copy on this processor; the mapped original has been read, and stays
/// (`ggml_repack_get_optimal_repack_type` in `ggml-cpu/repack.cpp`).
pub fn copied(shape: &Shape, features: &Features) -> u64 {
    // A tied embedding table is copied too, as the output projection (`TENSOR_DUPLICATED`).
    let table = |m: &&Matrix| shape.tied && m.rows == shape.vocabulary && m.columns == u64::from(shape.embedding);
    let wanted = shape.matrices.iter().filter(|m| m.multiplied || table(m));
    wanted.filter(|matrix| is_repacked(matrix, features)).map(|matrix| matrix.bytes).sum()
}

fn is_repacked(matrix: &Matrix, features: &Features) -> bool {
    let (avx2, avx512) = (features.has("avx2"), features.has("avx512f"));
    let neon = features.has("dotprod") || features.has("i8mm");
    let rows = |step| matrix.rows.is_multiple_of(step);
    match matrix.kind {
        GgmlType::Q4_0 | GgmlType::IQ4_NL | GgmlType::MXFP4 => (avx2 && rows(8)) || (neon && rows(4)),
        GgmlType::Q4_K => (avx2 || neon) && rows(8),
        GgmlType::Q2_K => avx512 && rows(8),
        GgmlType::Q5_K | GgmlType::Q6_K => neon && rows(8),
        GgmlType::Q8_0 => neon && rows(4),
        _ => false,
    }
}

/// Keys and values of every layer for every cell: the buffer is cleared when it is made, so all of it is resident
/// (`llama_kv_cache::llama_kv_cache`). Sliding layers get all cells as well (`swa_full`).
pub fn kv_bytes(shape: &Shape, choice: &Choice) -> u64 {
    let row = |heads: u32, width: u32| {
        let numbers = u64::from(heads) * u64::from(width);
        match choice.kv_type {
            KvType::F16 => numbers * 2,
            KvType::Q8_0 => numbers.div_ceil(32) * 34,
            KvType::Q4_0 => numbers.div_ceil(32) * 18,
        }
    };
    let layer = |&heads: &u32| row(heads, shape.key_width) + row(heads, shape.value_width);
    shape.kv_heads.iter().map(layer).sum::<u64>() * cells(choice)
}

/// All cells of the cache.
fn cells(choice: &Choice) -> u64 {
    u64::from(choice.n_ctx) + u64::from(choice.n_infill)
}

/// Whether a quantized cache is possible: rows of keys and values are whole blocks.
pub fn kv_fits_blocks(shape: &Shape) -> bool {
    let whole = |width: u32| width.is_multiple_of(32);
    whole(shape.key_width) && whole(shape.value_width)
}

/// Activations, masks and scratch of one physical batch, as far as they are touched.
///
/// `ggml_gallocr` lets the layers share one buffer; its high mark is the widest moment of one layer.
fn compute_bytes(shape: &Shape, choice: &Choice) -> u64 {
    let batch = u64::from(choice.n_ubatch.min(choice.n_ctx));
    let cells = cells(choice);
    let (embedding, hidden) = (u64::from(shape.embedding), u64::from(shape.feed_forward));
    let queries = u64::from(shape.heads) * u64::from(shape.key_width);
    let kv = u64::from(shape.kv_heads.iter().copied().max().unwrap_or_default()) * u64::from(shape.key_width);
    // `build_attn_inp_kq_mask`: one mask for all layers, a second one for sliding layers, f16 with flash attention.
    let masks = if shape.window.is_some() { 2 } else { 1 };
    let mask = masks * cells * batch * if choice.flash { 2 } else { 4 };
    // Gate, up and their product beside four rows of the residual stream; token ids, positions, cell indices.
    let feed_forward = batch * 4 * (3 * hidden + 4 * embedding + 72);
    let attention = batch * 4 * (4 * embedding + 2 * queries + 2 * kv);
    let scores = if choice.flash { 0 } else { batch * 4 * u64::from(shape.heads) * cells };
    // The logits reuse what the layers left.
    let logits = output_rows(choice) * 4 * (shape.vocabulary + 2 * embedding);
    mask + feed_forward.max(attention + scores).max(logits) + work_bytes(shape, choice)
}

/// Scratch of the widest operation (`ggml_graph_plan` in `ggml-cpu.c`).
fn work_bytes(shape: &Shape, choice: &Choice) -> u64 {
    let batch = u64::from(choice.n_ubatch.min(choice.n_ctx));
    let threads = u64::from(choice.threads);
    // Activations are quantized before a product; 36 bytes for 32 numbers is the widest such type.
    let widest =
        shape.matrices.iter().filter(|m| m.multiplied).map(|m| m.columns).max().unwrap_or_default().min(1 << 24);
    let product = widest * batch * 36 / 32 + threads * TILED_SLOT * u64::from(cfg!(target_arch = "x86_64"));
    let attention = if choice.flash {
        let (key, value) = (u64::from(shape.key_width), u64::from(shape.value_width));
        threads * 4 * FLASH_TILE * (2 * key + 2 * value + 2 * FLASH_TILE)
    } else {
        // Scores are converted to f16 before they meet the values.
        u64::from(shape.heads) * cells(choice) * batch * 2
    };
    product.max(attention)
}

/// Rows of logits that are used at once (`llama_context::output_reserve` makes room for what a batch asks).
fn output_rows(choice: &Choice) -> u64 {
    let most = u64::from(choice.n_ubatch);
    if choice.speculate { DRAFT_ROWS.min(most) } else { 1 }.max(choice.n_seq.into())
}

fn vocabulary_bytes(shape: &Shape) -> u64 {
    // Texts of up to fifteen bytes live inside their strings; what is longer is a small part.
    shape.vocabulary * TOKEN_BYTES + shape.vocabulary_bytes + shape.merges * MERGE_BYTES + shape.merge_bytes
}

/// Context bookkeeping: the output buffer (`llama_context::output_reserve`), a list of all token ids, cells, the graph.
fn bookkeeping(shape: &Shape, choice: &Choice) -> u64 {
    output_rows(choice) * shape.vocabulary * 4
        + shape.vocabulary * 4
        + cells(choice) * CELL_BYTES
        + shape.matrices.len() as u64 * GRAPH_BYTES
}

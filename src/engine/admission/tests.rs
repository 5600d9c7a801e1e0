//! Minimal models, each with one thing that llama.cpp does not survive.

use std::path::Path;

use super::*;
use crate::weights::gguf::Metadata;
use crate::weights::gguf::write::HeaderWriter;

/// A model of the llama family that llama.cpp loads and evaluates: two layers, a vocabulary of bytes and two words.
pub(crate) struct Minimal {
    pub(crate) keys: Metadata,
    tensors: Vec<(String, Vec<u64>, GgmlType)>,
    alignment: u64,
    /// Bytes at the beginning of a tensor's data.
    data: Option<(String, Vec<u8>)>,
}

const DOWN: &str = "blk.1.ffn_down.weight";
const NORM: &str = "blk.0.attn_norm.weight";

impl Minimal {
    pub(crate) fn new() -> Self {
        let mut keys = Metadata::new();
        keys.str("general.architecture", "llama");
        for (key, value) in [
            ("block_count", 2),
            ("context_length", 256),
            ("embedding_length", 64),
            ("feed_forward_length", 256),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
            ("rope.dimension_count", 32),
        ] {
            keys.u32(&format!("llama.{key}"), value);
        }
        keys.f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        keys.f32("llama.rope.freq_base", 10_000.0);
        keys.str("tokenizer.ggml.model", "llama");
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        tokens.extend(["a", "b"].map(str::to_owned));
        let kind = |id: usize| {
            if id < 3 {
                3
            } else if id < 259 {
                6
            } else {
                1
            }
        };
        keys.i32s("tokenizer.ggml.token_type", &(0..tokens.len()).map(kind).collect::<Vec<_>>());
        keys.f32s("tokenizer.ggml.scores", &vec![0.0; tokens.len()]);
        let rows = tokens.len() as u64;
        keys.strs("tokenizer.ggml.tokens", tokens.iter());
        let mut tensors = vec![("token_embd.weight".to_owned(), vec![64, rows], GgmlType::Q8_0)];
        tensors.push(("output_norm.weight".to_owned(), vec![64], GgmlType::F32));
        for layer in 0..2 {
            for (part, dims) in [
                ("attn_norm", vec![64]),
                ("attn_q", vec![64, 64]),
                ("attn_k", vec![64, 32]),
                ("attn_v", vec![64, 32]),
                ("attn_output", vec![64, 64]),
                ("ffn_norm", vec![64]),
                ("ffn_gate", vec![64, 256]),
                ("ffn_up", vec![64, 256]),
                ("ffn_down", vec![256, 64]),
            ] {
                let kind = if dims.len() == 1 { GgmlType::F32 } else { GgmlType::Q8_0 };
                tensors.push((format!("blk.{layer}.{part}.weight"), dims, kind));
            }
        }
        Self { keys, tensors, alignment: 32, data: None }
    }

    fn stored(&mut self, tensor: &str, kind: GgmlType) {
        self.tensors.iter_mut().find(|(name, ..)| name == tensor).unwrap().2 = kind;
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let writer = HeaderWriter::new().metadata(&self.keys).aligned(self.alignment);
        let writer = self.tensors.iter().fold(writer, |writer, (name, dims, kind)| writer.tensor(name, dims, *kind));
        let (mut bytes, data) = writer.bytes().unwrap();
        let start = bytes.len();
        bytes.resize(start + data as usize, 0);
        if let Some((tensor, values)) = &self.data {
            let header = Header::parse(Path::new("m.gguf"), &bytes.as_slice(), bytes.len() as u64).unwrap();
            let place = header.tensors.iter().find(|info| info.name == *tensor).unwrap().offset as usize;
            bytes[start + place..][..values.len()].copy_from_slice(values);
        }
        bytes
    }

    fn check(&self) -> Result<(), AdmissionError> {
        let bytes = self.bytes();
        let header = Header::parse(Path::new("m.gguf"), &bytes.as_slice(), bytes.len() as u64).unwrap();
        check_from(&header, &bytes.as_slice())
    }
}

/// A change, and what the refusal must name.
type Case = (&'static str, fn(&mut Minimal));

const HOSTILE: &[Case] = &[
    ("stored as `q8_1`", |model| model.stored(DOWN, GgmlType::Q8_1)),
    ("stored as `q8_K`", |model| model.stored(DOWN, GgmlType::Q8_K)),
    ("stored as `i8`", |model| model.stored(DOWN, GgmlType::I8)),
    ("stored as `i16`", |model| model.stored(DOWN, GgmlType::I16)),
    ("stored as `i32`", |model| model.stored("token_embd.weight", GgmlType::I32)),
    ("stored as `i64`", |model| model.stored(DOWN, GgmlType::I64)),
    ("stored as `f64`", |model| model.stored(DOWN, GgmlType::F64)),
    ("stored as `i32`, and must be `f32`", |model| model.stored(NORM, GgmlType::I32)),
    ("stored as `f16`, and must be `f32`", |model| model.stored(NORM, GgmlType::F16)),
    ("rms_epsilon` is NaN", |model| model.keys.f32("llama.attention.layer_norm_rms_epsilon", f32::NAN)),
    ("rms_epsilon` is -1", |model| model.keys.f32("llama.attention.layer_norm_rms_epsilon", -1.0)),
    ("rms_epsilon` is inf", |model| model.keys.f32("llama.attention.layer_norm_rms_epsilon", f32::INFINITY)),
    ("freq_base` is 0", |model| model.keys.f32("llama.rope.freq_base", 0.0)),
    ("freq_base` is -10000", |model| model.keys.f32("llama.rope.freq_base", -10_000.0)),
    ("freq_base` is NaN", |model| model.keys.f32("llama.rope.freq_base", f32::NAN)),
    ("factor` is -2", |model| model.keys.f32("llama.rope.scaling.factor", -2.0)),
    ("scaling.type` is `su\u{fffd}`", |model| model.keys.str("llama.rope.scaling.type", "su\u{1b}")),
    ("head_count` is 0", |model| model.keys.u32("llama.attention.head_count", 0)),
    ("head_count_kv` is [2, 0]", |model| model.keys.i32s("llama.attention.head_count_kv", &[2, 0])),
    ("head_count_kv` is [1, 2]", |model| model.keys.i32s("llama.attention.head_count_kv", &[1, 2])),
    ("a divisor of the 2 heads", |model| model.keys.u32("llama.attention.head_count_kv", 3)),
    ("dimension_count` is 16", |model| model.keys.u32("llama.rope.dimension_count", 16)),
    ("key_length` is 33", |model| model.keys.u32("llama.attention.key_length", 33)),
    ("value_length` is 16", |model| model.keys.u32("llama.attention.value_length", 16)),
    ("context_length` is 2147483648", |model| model.keys.u32("llama.context_length", 1 << 31)),
    ("original_context_length` is", |model| {
        model.keys.u32("llama.rope.scaling.original_context_length", u32::MAX);
    }),
    ("causal` is false", |model| model.keys.bool("llama.attention.causal", false)),
    ("nextn_predict_layers` is 2", |model| model.keys.u32("llama.nextn_predict_layers", 2)),
    ("expert_count` is 4096", |model| model.keys.u32("llama.expert_count", 4096)),
    ("expert_used_count` is 2", |model| model.keys.u32("llama.expert_used_count", 2)),
    ("expert_used_count` is missing", |model| model.keys.u32("llama.expert_count", 8)),
    ("expert_group_count` is 3", |model| {
        for (key, value) in [("expert_count", 8), ("expert_used_count", 2), ("expert_group_count", 3)] {
            model.keys.u32(&format!("llama.{key}"), value);
        }
    }),
    ("alignment` is 1", |model| {
        model.alignment = 1;
        model.keys.u32("general.alignment", 1);
    }),
    ("alignment` is 32, and must be a `u32`", |model| model.keys.number("general.alignment", &Value::U64(32))),
    ("tokenizer.ggml.model` is `none`", |model| model.keys.str("tokenizer.ggml.model", "none")),
    ("tokenizer.ggml.model` is `no_vocab`", |model| model.keys.str("tokenizer.ggml.model", "no_vocab")),
    ("tokenizer.ggml.model` is `rwkv`", |model| model.keys.str("tokenizer.ggml.model", "rwkv")),
    ("tokenizer.ggml.model` is `t5`", |model| model.keys.str("tokenizer.ggml.model", "t5")),
    ("tokenizer.ggml.model` is missing", |model| {
        model.keys.remove("tokenizer.ggml.model");
    }),
    ("tokenizer.ggml.tokens` is missing", |model| {
        model.keys.remove("tokenizer.ggml.tokens");
    }),
    ("tokens 1 and 3 are both `b`", |model| model.keys.strs("tokenizer.ggml.tokens", ["a", "b", "c", "b"].iter())),
    // llama.cpp reads up to the NUL
    ("tokens 0 and 1 are both `a`", |model| model.keys.strs("tokenizer.ggml.tokens", ["a", "a\0b"].iter())),
    ("tokens 0 and 1 are both `[EMPTY_1]`", |model| {
        model.keys.strs("tokenizer.ggml.tokens", ["[EMPTY_1]", ""].iter());
    }),
    ("no token for the byte 0x00", |model| model.keys.strs("tokenizer.ggml.tokens", ["a", "b"].iter())),
    ("bos_token_id` is 7", |model| {
        model.keys.str("tokenizer.ggml.model", "gpt2");
        model.keys.strs("tokenizer.ggml.tokens", ["a", "b"].iter());
        model.keys.bool("tokenizer.ggml.add_bos_token", true);
        model.keys.u32("tokenizer.ggml.bos_token_id", 7);
    }),
    ("`blk.0.attn_norm.weight` holds", |model| {
        model.data = Some((NORM.to_owned(), f32::NAN.to_le_bytes().to_vec()));
    }),
    ("`blk.1.ffn_down.weight` holds", |model| {
        model.data = Some((DOWN.to_owned(), 0x7c00u16.to_le_bytes().to_vec()));
    }),
];

#[test]
fn what_llama_cpp_does_not_survive_is_refused_by_name() {
    Minimal::new().check().unwrap();
    for (names, change) in HOSTILE {
        let mut model = Minimal::new();
        change(&mut model);
        let refusal = model.check().expect_err(names).to_string();
        assert!(refusal.contains(names) && !refusal.contains('\u{1b}'), "{refusal:?} does not say {names:?}");
    }
    assert!(HOSTILE.len() > 40);
}

#[test]
fn what_is_unusual_and_survives_is_left_alone() {
    let harmless: &[fn(&mut Minimal)] = &[
        |model| model.keys.f32("llama.attention.layer_norm_rms_epsilon", 0.0),
        |model| model.keys.str("llama.rope.scaling.type", "yarn"),
        |model| model.keys.i32s("llama.attention.head_count_kv", &[1, 1]),
        |model| model.keys.u32("llama.context_length", i32::MAX as u32),
        |model| model.stored(DOWN, GgmlType::BF16),
        |model| model.stored(DOWN, GgmlType::IQ4_XS),
        |model| model.keys.f32("tokenizer.other", f32::NAN),
        |model| {
            model.keys.str("tokenizer.ggml.model", "gpt2");
            model.keys.strs("tokenizer.ggml.tokens", ["a", "", ""].iter());
        },
    ];
    for change in harmless {
        let mut model = Minimal::new();
        change(&mut model);
        model.check().unwrap();
    }
}

#[test]
fn an_adapter_with_nan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = Minimal::new().bytes();
    let model = Header::parse(Path::new("m.gguf"), &model.as_slice(), model.len() as u64).unwrap();
    let adapter = HeaderWriter::new()
        .str("general.type", "adapter")
        .str("general.architecture", "llama")
        .str("adapter.type", "lora")
        .tensor("blk.1.ffn_down.weight.lora_a", &[256, 8], GgmlType::F32)
        .tensor("blk.1.ffn_down.weight.lora_b", &[8, 64], GgmlType::F32);
    let (mut bytes, data) = adapter.bytes().unwrap();
    bytes.resize(bytes.len() + data as usize, 0);
    let file = folder.path().join("a.gguf");
    std::fs::write(&file, &bytes).unwrap();
    check_adapter(&file, &model).unwrap();
    // the last number of all
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, &bytes).unwrap();
    assert!(check_adapter(&file, &model).unwrap_err().contains("lora_b` holds values that are not numbers"));
}

#[test]
fn the_models_at_hand_pass() {
    let Some(folder) = std::env::var_os("ZORD_TEST_MODELS") else {
        eprintln!("SKIPPED: ZORD_TEST_MODELS names no folder with models");
        return;
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "gguf") {
            continue;
        }
        let header = Header::read(&path).unwrap();
        let started = std::time::Instant::now();
        check(&header).unwrap();
        eprintln!("{}: {:.1} ms", path.display(), started.elapsed().as_secs_f64() * 1e3);
        seen += 1;
    }
    assert!(seen > 0, "no model in {}", folder.display());
}

//! What converted files compute, beside what PyTorch and PEFT compute of the same checkpoints and adapters.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use zord::weights::gguf::Header;
use zord::weights::safetensors::Folder;

use crate::convert::{HERE, SMALL, checkpoints, succeed};
use crate::ran::Tool;

/// How far a logit may be off, as a share of the largest. Weights and caches have 32 bits on both sides, and 24 tokens go
/// through two layers: only the order of sums differs, and 1e-6 was seen.
const OFF: f32 = 1e-5;
/// The same where GELU is, which llama.cpp looks up in a table of 16 bits; 4e-4 was seen.
const OFF_GELU: f32 = 1e-3;

fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().unwrap();
        backend.void_logs();
        backend
    })
}

pub(crate) fn computed(model: &Path, adapter: Option<&Path>, tokens: &[i32]) -> Vec<Vec<f32>> {
    let mut model = LlamaModel::load_from_file(backend(), model, &LlamaModelParams::default()).unwrap();
    let mut adapter = adapter.map(|file| model.lora_adapter_init(file).unwrap());
    let params = LlamaContextParams::default().with_n_ctx(NonZeroU32::new(256));
    let params = params.with_type_k(KvCacheType::F32).with_type_v(KvCacheType::F32);
    let params = params.with_flash_attention_policy(llama_cpp_sys_2::LLAMA_FLASH_ATTN_TYPE_DISABLED);
    let mut context = model.new_context(backend(), params).unwrap();
    if let Some(adapter) = &mut adapter {
        context.lora_adapter_set(adapter, 1.0).unwrap();
    }
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (at, &token) in tokens.iter().enumerate() {
        batch.add(LlamaToken(token), at as i32, &[0], true).unwrap();
    }
    context.decode(&mut batch).unwrap();
    (0..tokens.len()).map(|at| context.get_logits_ith(at as i32).to_vec()).collect()
}

/// Tokens and logits, as the script left them.
fn reference(folder: &Path) -> (Vec<i32>, Vec<f32>) {
    let file = Folder::open(&folder.join("reference.safetensors")).unwrap();
    let words = |name: &str| {
        let tensor = file.get(name).unwrap();
        let mut raw = vec![0; tensor.bytes as usize];
        tensor.read(&mut raw, 0).unwrap();
        raw.as_chunks::<4>().0.to_vec()
    };
    let tokens = words("tokens").into_iter().map(i32::from_le_bytes).collect();
    (tokens, words("logits").into_iter().map(f32::from_le_bytes).collect())
}

pub(crate) fn agree(name: &str, ours: &[Vec<f32>], theirs: &[f32]) {
    let ours: Vec<f32> = ours.concat();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let largest = theirs.iter().fold(0f32, |most, logit| most.max(logit.abs()));
    let worst = ours.iter().zip(theirs).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    eprintln!("{name}: {worst} of {largest}");
    let off = if ["phi2", "gemma3"].iter().any(|gelu| name.starts_with(gelu)) { OFF_GELU } else { OFF };
    // Not a model of zeros; the generated Granite divides its logits by 8.
    let least = if name.starts_with("granite") { 0.5 / 8.0 } else { 0.5 };
    assert!(largest > least && worst <= off * largest, "{name}: {worst} of {largest}");
}

#[test]
fn converted_checkpoints_compute_what_the_reference_computes() {
    let Some((folder, _)) = checkpoints() else { return };
    let tool = Tool::new();
    for (name, ..) in SMALL.iter().filter(|(name, ..)| !name.starts_with("spm")) {
        let source = folder.path().join(name);
        if *name == "chatglm" {
            for file in ["tokenizer.json", "tokenizer_config.json"] {
                std::fs::copy(folder.path().join("smollm2").join(file), source.join(file)).unwrap();
            }
        }
        let model = tool.path("m.gguf");
        let args = ["convert".as_ref(), source.as_os_str(), "-o".as_ref(), model.as_os_str()];
        // llama.cpp looks for Phi-3's own tokens in any vocabulary whose model has that name.
        tool.run(args.into_iter().chain(["--type", "f32", "--name", "Small"].map(AsRef::as_ref))).done();
        let (tokens, logits) = reference(&source);
        agree(name, &computed(&model, None, &tokens), &logits);
    }
}

#[test]
fn converted_adapters_change_what_peft_says_they_change() {
    let Some((folder, python)) = checkpoints() else { return };
    let tool = Tool::new();
    let names = ["llama-linear", "llama-three", "qwen3", "phi3"];
    succeed(Command::new(python).arg(format!("{HERE}/adapters.py")).arg(folder.path()).args(names));
    for name in names {
        let (base, source) = (folder.path().join(name), folder.path().join(format!("{name}-lora")));
        let (model, adapter) = (tool.path("m.gguf"), tool.path("a.gguf"));
        let convert = |from: &Path, to: &Path, more: &[&str]| {
            let args = ["convert".as_ref(), from.as_os_str(), "-o".as_ref(), to.as_os_str()];
            tool.run(args.into_iter().chain(more.iter().map(AsRef::as_ref)))
        };
        convert(&base, &model, &["--type", "f32", "--name", "Small"]).done();
        let named = std::fs::read_to_string(source.join("adapter_config.json")).unwrap();
        if named.contains("owner/Base-1B") {
            convert(&source, &adapter, &[]).refused(1, &["`owner/Base-1B` is not here", "--base"]);
        }
        convert(&source, &adapter, &["--base", base.to_str().unwrap()]).done();
        let header = Header::read(&adapter).unwrap();
        zord::weights::adapter::check(&header, &Header::read(&model).unwrap()).unwrap();
        let (tokens, logits) = reference(&source);
        agree(&format!("{name}-lora"), &computed(&model, Some(&adapter), &tokens), &logits);
        // It is not nothing that was laid over.
        let plain = computed(&model, None, &tokens).concat();
        assert!(plain.iter().zip(&logits).any(|(a, b)| (a - b).abs() > 0.05), "{name}");
    }
}

//! `export` and `modelfile`: back to a checkpoint, and from there to the same file again.

use std::path::Path;
use std::process::Command;

use zord::weights::gguf::Header;

use crate::convert::{SMALL, checkpoints};
use crate::file::tensors;
use crate::ran::Tool;
use crate::small::Small;

#[test]
fn a_file_that_was_exported_converts_back_to_itself() {
    let (tool, small) = (Tool::new(), Small::new());
    small.write(&tool.path("c"));
    tool.run(["convert", "c", "-o", "a.gguf", "--type", "f32"]).done();
    tool.run(["export", "a.gguf", "-o", "back", "--type", "f32"]).done();
    tool.run(["convert", "back", "-o", "b.gguf", "--type", "f32"]).done();
    assert!(tensors(&tool.path("a.gguf")) == tensors(&tool.path("b.gguf")));
    let old = std::fs::read(tool.path("c/config.json")).unwrap();
    let new = std::fs::read(tool.path("back/config.json")).unwrap();
    let [old, new]: [serde_json::Value; 2] = [old, new].map(|text| serde_json::from_slice(&text).unwrap());
    for (key, value) in old.as_object().unwrap() {
        assert_eq!(&new[key], value, "{key}");
    }
    let tokens = |name: &str| Header::read(&tool.path(name)).unwrap().strings("tokenizer.ggml.tokens").unwrap();
    assert_eq!(tokens("a.gguf"), tokens("b.gguf"));
}

#[test]
fn a_real_quantized_model_exports_and_converts_back_within_its_type() {
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    tool.run(["export".as_ref(), model.as_os_str(), "-o".as_ref(), "hf".as_ref()]).done();
    tool.run(["convert", "hf", "-o", "bf16.gguf"]).done();
    let (old, new) = (Header::read(&model).unwrap(), Header::read(&tool.path("bf16.gguf")).unwrap());
    let names = |header: &Header| {
        let mut all: Vec<_> = header.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.dims.clone())).collect();
        all.sort();
        all
    };
    assert_eq!(names(&old), names(&new));
    for key in ["llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon"] {
        assert_eq!(old.f32(key), new.f32(key), "{key}");
    }
    assert_eq!(old.str("tokenizer.chat_template"), new.str("tokenizer.chat_template"));
    for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
        assert!(old.strings(key).unwrap() == new.strings(key).unwrap(), "{key}");
    }
    let text = tool.run(["modelfile", "bf16.gguf"]).done();
    assert!(
        text.starts_with("FROM ./bf16.gguf\nTEMPLATE \"\"\"") && text.contains("PARAMETER stop \"<|im_end|>\""),
        "{text}"
    );
}

/// The numbers of a text's tokens, by Hugging Face's own reader of `tokenizer.json`.
fn split(python: &Path, folder: &Path) -> String {
    let script = "import sys, tokenizers\n\
        text = '<|im_start|>user\\nfn größe() -> u8 { x += 1234 }  // 模型<|im_end|>\\n'\n\
        print(tokenizers.Tokenizer.from_file(sys.argv[1]).encode(text).ids)";
    let output = Command::new(python).arg("-c").arg(script).arg(folder.join("tokenizer.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_architecture_comes_back_from_a_folder() {
    let Some((folder, python)) = checkpoints() else { return };
    // ChatGLM's matrices are fused in a way that no class of the library reads any more.
    for (name, ..) in SMALL.iter().filter(|(name, ..)| *name != "chatglm") {
        eprintln!("{name}");
        let (tool, source) = (Tool::new(), folder.path().join(name));
        tool.run(["convert".as_ref(), source.as_os_str(), "-o".as_ref(), "a.gguf".as_ref()]).done();
        tool.run(["export", "a.gguf", "-o", "back", "--type", "f32"]).done();
        // In 16 bits again, of the kind that the first had.
        let header = Header::read(&tool.path("a.gguf")).unwrap();
        let kind = header.tensors.iter().find(|tensor| tensor.name == "token_embd.weight").unwrap().kind.name();
        tool.run(["convert", "back", "-o", "b.gguf", "--type", kind]).done();
        let read = source.join("tokenizer.json").is_file();
        assert!(
            !read || split(&python, &source) == split(&python, &tool.path("back")),
            "{name}: other tokens in a text"
        );
        let [first, again] = ["a.gguf", "b.gguf"].map(|file| tensors(&tool.path(file)));
        let differs = first.iter().zip(&again).find(|(a, b)| a != b).map(|(a, b)| (&a.0, &a.1, &b.0, &b.1));
        assert!(first.len() == again.len() && differs.is_none(), "{name}: {differs:?}");
        let told = |path: &str| {
            let header = Header::read(&tool.path(path)).unwrap();
            let mut keys: Vec<_> = header
                .metadata
                .iter()
                .filter(|(key, _)| !key.starts_with("general.") && !key.starts_with("tokenizer."))
                .map(|(key, value)| format!("{key} {value:?}"))
                .collect();
            keys.sort();
            let tokens = header.strings("tokenizer.ggml.tokens").unwrap();
            (keys, tokens, header.str("tokenizer.ggml.pre").map(str::to_owned))
        };
        let (first, again) = (told("a.gguf"), told("b.gguf"));
        assert_eq!((&first.0, &first.2), (&again.0, &again.2), "{name}");
        assert!(first.1 == again.1, "{name}: other tokens");
    }
}

//! `export` and `modelfile`: back to a checkpoint, and from there to the same file again.

use zord::weights::gguf::Header;

use crate::file::tensors;
use crate::small::Small;
use crate::tool::Tool;

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

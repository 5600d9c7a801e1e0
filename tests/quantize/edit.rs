//! `inspect` and `edit`.

use std::path::{Path, PathBuf};

use zord::weights::gguf::write::HeaderWriter;
use zord::weights::gguf::{GgmlType, Header, Value};

use crate::ran::Tool;

const TEMPLATE: &str = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}\n{% endfor %}";

fn model(tool: &Tool) -> PathBuf {
    let tokens: Vec<String> = (0..2000).map(|n| format!("t{n}")).chain(["<|fim_prefix|>".to_owned()]).collect();
    let (mut bytes, data) = HeaderWriter::new()
        .str("general.architecture", "llama")
        .str("general.name", "Tiny")
        .u32("llama.block_count", 2)
        .f32("llama.rope.freq_base", 1e4)
        .strs("tokenizer.ggml.tokens", &tokens)
        .str("tokenizer.chat_template", TEMPLATE)
        .tensor("token_embd.weight", &[64, 2001], GgmlType::Q8_0)
        .tensor("output_norm.weight", &[64], GgmlType::F32)
        .bytes()
        .unwrap();
    bytes.extend((0..data).map(|n| (n % 251) as u8));
    tool.write("m.gguf", bytes)
}

fn data(path: &Path) -> Vec<u8> {
    let header = Header::read(path).unwrap();
    std::fs::read(path).unwrap().split_off(header.data_offset as usize)
}

#[test]
fn inspect_shows_what_a_gguf_file_holds() {
    let tool = Tool::new();
    model(&tool);
    let page = tool.run(["inspect", "m.gguf", "--tensors"]).done();
    for word in ["GGUF version 3", "2 tensors", "q8_0", "general.name", "Tiny", "2001 of text", "64 × 2001"] {
        assert!(page.contains(word), "`{word}` is not in {page}");
    }
    let json = tool.run(["inspect", "m.gguf", "--json"]).json();
    assert_eq!(json["parameters"], 64 * 2001 + 64);
    assert_eq!(json["metadata"]["llama.rope.freq_base"], 1e4);
    assert_eq!(json["metadata"]["tokenizer.ggml.tokens"]["first"][1], "t1");
    assert_eq!(json["tensors"][0]["shape"][1], 2001);
    assert_eq!(tool.run(["inspect", "m.gguf", "--template"]).done(), format!("{TEMPLATE}\n"));
    assert_eq!(tool.run(["inspect", "m.gguf", "--key", "llama.block_count"]).done(), "2\n");
    tool.run(["inspect", "m.gguf", "--key", "llama.layers"]).refused(1, &["no `llama.layers`", "\n\nhint: "]);
    tool.run(["inspect", "n.gguf"]).refused(1, &["n.gguf"]);
    tool.run(["inspect"]).refused(2, &["<PATH>"]);
}

#[test]
fn inspect_shows_what_a_checkpoint_holds() {
    let tool = Tool::new();
    let header = r#"{"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 12]);
    tool.write("c/model.safetensors", bytes);
    tool.write("c/config.json", r#"{"model_type":"llama","hidden_size":3}"#);
    tool.write("c/tokenizer_config.json", r#"{"chat_template":"x"}"#);
    let json = tool.run(["inspect", "c", "--json"]).json();
    assert_eq!((&json["format"], &json["template"]), (&"safetensors, 1 file".into(), &"x".into()));
    assert_eq!((&json["parameters"], &json["metadata"]["config.hidden_size"]), (&6.into(), &3.into()));
    assert_eq!(json["bpw"], 16.0);
    tool.write("c/model.safetensors", "{}");
    tool.run(["inspect", "c"]).refused(1, &["model.safetensors"]);
}

#[test]
fn edit_changes_values_and_moves_no_weights() {
    let tool = Tool::new();
    let path = model(&tool);
    let (before, place) = (data(&path), Header::read(&path).unwrap().data_offset);
    tool.run(["edit", "m.gguf", "--remove", "tokenizer.chat_template"]).done();
    let args = [
        ["--set", "general.name=Small One"],
        ["--set", "llama.rope.freq_base=1000000"],
        ["--set", "a.new=i32:-3"],
        ["--token", "fim_pre=<|fim_prefix|>"],
        ["--token", "eos=7"],
    ];
    let ran = tool.run(["edit", "m.gguf"].into_iter().chain(args.into_iter().flatten()));
    assert!(ran.err.contains("in place"), "{}", ran.err);
    let header = Header::read(&path).unwrap();
    assert_eq!((header.str("general.name"), header.f32("llama.rope.freq_base")), (Some("Small One"), Some(1e6)));
    assert_eq!(header.get("a.new"), Some(&Value::I32(-3)));
    assert_eq!(header.u32("tokenizer.ggml.fim_pre_token_id"), Some(2000));
    assert_eq!((header.u32("tokenizer.ggml.eos_token_id"), header.data_offset), (Some(7), place));
    assert!(header.get("tokenizer.chat_template").is_none());
    assert_eq!(data(&path), before);

    tool.write("long.jinja", TEMPLATE.replace("\n", &"-".repeat(4000)));
    let ran = tool.run(["edit", "m.gguf", "--template", "long.jinja", "-o", "n.gguf"]);
    assert!(ran.err.contains("written"), "{}", ran.err);
    assert_eq!(data(&tool.path("n.gguf")), before);
    assert!(Header::read(&tool.path("n.gguf")).unwrap().str("tokenizer.chat_template").unwrap().len() > 4000);
    assert_eq!(tool.names(), ["long.jinja", "m.gguf", "n.gguf"]);
}

#[test]
fn edits_that_make_no_sense_change_nothing() {
    let tool = Tool::new();
    let whole = std::fs::read(model(&tool)).unwrap();
    tool.write("bad.jinja", "{% for x in %}");
    for (args, code, words) in [
        (&["--set", "llama.block_count=two"][..], 2, &["`two` is no u32"][..]),
        (&["--set", "nothing"], 2, &["no `=`"]),
        (&["--set", "tokenizer.ggml.tokens=x"], 1, &["is an array"]),
        (&["--remove", "x.y"], 1, &["no `x.y` to remove"]),
        (&["--remove", "general.architecture"], 1, &["cannot be loaded"]),
        (&["--token", "fim_pre=<PRE>"], 1, &["no token `<PRE>`"]),
        (&["--token", "fim_pre=2001"], 1, &["token 2001 is not in the vocabulary"]),
        (&["--token", "pd=3"], 2, &["`pd` is no name", "`pad`"]),
        (&["--set", "general.alignment=u32:64"], 1, &["how the file is laid out"]),
        (&["--remove", "split.count"], 1, &["how the file is laid out"]),
        (&[], 2, &["nothing to change"]),
        (&["--template", "bad.jinja"], 1, &["is no chat template"]),
        (&["--name", "x", "-o", "no/such/n.gguf"], 1, &["cannot write `no/such/n.gguf`"]),
    ] {
        tool.run(["edit", "m.gguf"].iter().chain(args)).refused(code, words);
        assert_eq!(std::fs::read(tool.path("m.gguf")).unwrap(), whole, "{args:?}");
    }
}

#[test]
fn a_real_model_is_the_same_after_an_edit_in_place() {
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    std::fs::copy(model, tool.path("m.gguf")).unwrap();
    let before = data(&tool.path("m.gguf"));
    let old = tool.run(["inspect", "m.gguf", "--json"]).json();
    tool.run(["edit", "m.gguf", "--name", "S"]).done();
    tool.run(["edit", "m.gguf", "--token", "fim_pre=10", "--token", "fim_suf=11", "--token", "fim_mid=12"]).done();
    let new = tool.run(["inspect", "m.gguf", "--json"]).json();
    assert_eq!((&new["metadata"]["general.name"], &new["tensors"]), (&"S".into(), &old["tensors"]));
    assert_eq!(new["metadata"]["tokenizer.ggml.fim_mid_token_id"], 12);
    assert_eq!(new["metadata"]["tokenizer.ggml.tokens"], old["metadata"]["tokenizer.ggml.tokens"]);
    assert_eq!(data(&tool.path("m.gguf")), before);
}

use serde_json::{Value, json};

use super::pre::recognise;
use super::sentencepiece::pieces;
use super::*;

fn named(steps: Value, arch: &str, ignores: bool, tokens: &[&str]) -> Result<String, ConvertError> {
    let spec = &crate::arch::named(arch).unwrap().tokenizer;
    let json = json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}});
    recognise(&json, &json!({"ignore_merges": ignores}), spec, &|text| tokens.contains(&text))
}

fn split(pattern: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"})
}

const BYTES: &str = r#"{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}"#;

fn words(digits: &str) -> Value {
    split(&format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ))
}

#[test]
fn pre_tokenizers_are_told_by_their_pattern() {
    let bytes: Value = serde_json::from_str(BYTES).unwrap();
    let digits = json!({"type": "Digits", "individual_digits": true});
    let gpt = json!({"type": "ByteLevel", "add_prefix_space": false});
    let name = |steps: Value, arch: &str| named(steps, arch, false, &[]).unwrap();
    assert_eq!(name(json!([words(r"\p{N}"), bytes]), "qwen2"), "qwen2");
    assert_eq!(name(json!([words(r"\p{N}{1,3}"), bytes]), "chatglm"), "glm4");
    assert_eq!(name(json!([words(r"\p{N}{1,3}"), bytes]), "phi3"), "dbrx");
    assert_eq!(named(json!([words(r"\p{N}{1,3}"), bytes]), "llama", true, &[]).unwrap(), "llama-bpe");
    assert_eq!(name(json!([digits, gpt]), "llama"), "smollm");
    assert_eq!(named(json!([digits, gpt]), "llama", false, &["<fim_prefix>"]).unwrap(), "starcoder");
    assert_eq!(name(json!([gpt]), "phi2"), "phi-2");
    let deepseek = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"].map(split);
    let deepseek: Vec<Value> = deepseek.into_iter().chain([digits, bytes.clone()]).collect();
    assert_eq!(name(json!(deepseek), "llama"), "deepseek-coder");
    let error = named(json!([split("x+"), bytes]), "llama", false, &[]).unwrap_err();
    assert!(error.to_string().contains("no pre-tokenizer with the steps [Split(\"x+\"), Bytes]"), "{error}");
}

#[test]
fn pieces_are_read_and_damage_is_noticed() {
    let piece = |text: &str, score: f32, kind: u8| {
        let mut inner = vec![0x0a, text.len() as u8];
        inner.extend(text.as_bytes());
        inner.push(0x15);
        inner.extend(score.to_le_bytes());
        inner.extend([0x18, kind]);
        let mut outer = vec![0x0a, inner.len() as u8];
        outer.extend(inner);
        outer
    };
    let mut bytes = piece("<unk>", 0.0, 2);
    bytes.extend(piece("▁a", -1.5, 1));
    bytes.extend(piece("<0x0A>", 0.0, 6));
    // A field that means nothing here is stepped over.
    bytes.extend([0x12, 2, 0x18, 1]);
    let all = pieces(&bytes).unwrap();
    assert_eq!((all.len(), all[1].text.as_str(), all[1].score), (3, "▁a", -1.5));
    assert_eq!([all[0].kind, all[1].kind, all[2].kind], [Kind::Unknown, Kind::Normal, Kind::Byte]);
    assert!(pieces(&bytes[..bytes.len() - 5]).is_none());
    assert!(pieces(b"").is_none() && pieces(&[0xff; 40]).is_none());
    let mut state = 1u32;
    for _ in 0..5000 {
        let mut bytes = bytes.clone();
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let at = (state >> 8) as usize % bytes.len();
        bytes[at] = (state >> 24) as u8;
        let _ = pieces(&bytes);
    }
}

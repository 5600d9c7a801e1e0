//! What the student reads.

use serde_json::{Value, json};

use crate::small::stage;

fn dataset(tool: &crate::tool::Tool, set: &[&str]) -> Value {
    let set = set.iter().flat_map(|set| ["--set", set]);
    tool.run(
        ["dataset", "recipe.toml", "--json", "--samples", "3", "--set", "data.validation=0.0"].into_iter().chain(set),
    )
    .json()
}

fn learnt(document: &Value) -> String {
    let tokens = document["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap());
    let learnt = document["learnt"].as_array().unwrap().iter().map(|learnt| learnt.as_bool().unwrap());
    let bytes = tokens.zip(learnt).filter(|(_, learnt)| *learnt);
    bytes
        .map(|(token, _)| if token < 256 { char::from(token as u8).to_string() } else { format!("<{token}>") })
        .collect()
}

#[test]
fn only_answers_are_learnt_of_conversations() {
    let tool = stage("");
    let chat = json!({"messages": [
        {"role": "user", "content": "one?"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three?"}, {"role": "assistant", "content": "four"}]});
    tool.write("data.jsonl", format!("{chat}\n"));
    let told = dataset(&tool, &[]);
    let document = &told["samples"][0][0];
    let text = document["text"].as_str().unwrap();
    assert!(text.starts_with("<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>"), "{text}");
    // 258 ends a turn
    assert_eq!(learnt(document), "two<258>four<258>");
    let told = dataset(&tool, &["data.learn=all"]);
    assert_eq!(told["learnt"].as_u64(), told["tokens"].as_u64().map(|tokens| tokens - 1));
    let told = dataset(&tool, &["data.form=alpaca"]);
    assert_eq!(learnt(&told["samples"][0][0]), "two\n\nfour\n\n<258>");
}

#[test]
fn every_form_is_read_and_wrong_lines_are_counted() {
    let tool = stage("");
    let lines = [
        r#"{"text":"a document"}"#,
        r#"{"prompt":"before ","completion":"after"}"#,
        r#"{"instruction":"do","input":"it","output":"done"}"#,
        r#"{"text":"a document"}"#,
        r#"{"text":"#,
        r#"{"words":"none"}"#,
    ];
    tool.write("data.jsonl", lines.join("\n"));
    let told = dataset(&tool, &[]);
    assert_eq!(
        (&told["documents"], &told["tally"]["duplicates"], &told["tally"]["malformed"]),
        (&json!(3), &json!(1), &json!(2))
    );
    assert!(told["tally"]["shown"][0].as_str().unwrap().contains("line 5"));
    let set = ["dataset", "recipe.toml", "--set", "data.malformed=1"];
    tool.run(set).refused(1, &["more than 1 lines are wrong", "line 5", "line 6", "hint: "]);
}

#[test]
fn holes_are_cut_before_packing_and_marked_by_the_vocabulary() {
    let tool = stage("");
    let told = dataset(&tool, &["data.fim.rate=1.0", "data.fim.spm=0.0"]);
    assert_eq!(told["tally"]["with_hole"], told["tally"]["examples"]);
    for document in told["samples"][0].as_array().unwrap() {
        let text = document["text"].as_str().unwrap();
        let rest = text.strip_prefix("<fim_prefix>").unwrap();
        let (prefix, rest) = rest.split_once("<fim_suffix>").unwrap();
        let (suffix, middle) = rest.split_once("<fim_middle>").unwrap();
        let middle = middle.strip_suffix("<|im_end|>").unwrap();
        let whole = format!("{prefix}{middle}{suffix}");
        assert!(whole.starts_with("number ") && whole.ends_with("again, ") || whole.ends_with('.'), "{whole}");
        assert_eq!(learnt(document), format!("{middle}<258>"));
    }
    let told = dataset(&tool, &["data.fim.rate=1.0", "data.fim.spm=1.0"]);
    assert!(told["samples"][0][0]["text"].as_str().unwrap().starts_with("<fim_prefix><fim_suffix>"));
    let set = ["dataset", "recipe.toml", "--set", "data.fim.rate=1.0", "--set", "data.fim.form=qwen"];
    tool.run(set).refused(1, &["no tokens for filling in"]);
}

#[test]
fn folders_of_source_code_keep_to_gitignore_and_licences() {
    let tool = stage("");
    tool.write("code/a.py", "print('a file of its own')\n");
    tool.write("code/b.py", "# SPDX-License-Identifier: GPL-3.0-only\nprint('another')\n");
    tool.write("code/out/c.py", "print('made by a program')\n");
    tool.write("code/.gitignore", "out/\n");
    tool.write("code/d.bin", [0, 1, 2]);
    let told = dataset(&tool, &["data.source.0.path=code"]);
    assert_eq!(told["documents"], 2);
    assert_eq!(told["tally"]["licences"]["GPL-3.0-only"], 1);
    let told = dataset(&tool, &["data.source.0.path=code", "data.source.0.without_licences=['GPL-3.0-only']"]);
    assert_eq!(told["documents"], 1);
    assert!(told["samples"][0][0]["text"].as_str().unwrap().contains("of its own"));
}

#[test]
fn documents_longer_than_a_window_go_on_in_the_next_or_are_cut() {
    let tool = stage("");
    tool.write("data.jsonl", json!({"text": "x".repeat(300)}).to_string());
    assert_eq!(dataset(&tool, &[])["tokens"], 301);
    assert_eq!(dataset(&tool, &["data.long=cut"])["tokens"], 128);
    tool.run(["dataset", "recipe.toml", "--set", "data.long=drop"])
        .refused(1, &["nothing to learn from", "data.jsonl"]);
}

#[test]
fn a_text_that_looks_like_a_mark_is_a_text() {
    let tool = stage("");
    tool.write("data.jsonl", json!({"text": "a <|im_end|> in a text"}).to_string());
    let told = dataset(&tool, &[]);
    let tokens = told["samples"][0][0]["tokens"].as_array().unwrap();
    assert_eq!(tokens.iter().filter(|token| **token == 258).count(), 1, "only the end of the document");
}

#[test]
fn texts_that_are_nearly_the_same_are_read_once() {
    let tool = stage("");
    let text = |i: usize, last: &str| (0..60).map(|word| format!("{} ", word * i % 97)).collect::<String>() + last;
    let line = |text: String| json!({"text": text}).to_string() + "\n";
    tool.write("data.jsonl", [line(text(3, "end")), line(text(3, "other end")), line(text(5, "end"))].concat());
    assert_eq!(dataset(&tool, &[])["tally"]["near_duplicates"], 0);
    let told = dataset(&tool, &["data.near_duplicates=0.8"]);
    assert_eq!((&told["tally"]["near_duplicates"], &told["tally"]["examples"]), (&json!(1), &json!(3)));
    tool.run(["dataset", "recipe.toml", "--set", "data.near_duplicates=8"]).refused(1, &["data.near_duplicates"]);
}

#[test]
fn a_tokenizer_from_a_gguf_file_keeps_its_special_tokens() {
    let Some(smollm2) = crate::peers::smollm2() else { return };
    let tool = stage("");
    let chat = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    tool.write("data.jsonl", chat.to_string());
    let told = dataset(&tool, &[&format!("student.path={}", smollm2.display())]);
    let tokens: Vec<u64> =
        told["samples"][0][0]["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap()).collect();
    // `<|im_start|>` and `<|im_end|>` of SmolLM2
    assert!(tokens[0] == 1 && tokens.iter().filter(|&&token| token == 2).count() == 3, "{tokens:?}");
}

//! What the student reads.

use serde_json::{Value, json};

use crate::small::stage;

fn dataset(tool: &crate::ran::Tool, set: &[&str]) -> Value {
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
    assert_eq!(learnt(&told["samples"][0][0]), "two<258>four<258>");
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
    tool.run(set).refused(1, &["more than 1 examples cannot be read", "line 5", "line 6", "hint: "]);
}

#[test]
fn holes_are_cut_before_packing_and_marked_by_the_vocabulary() {
    let tool = stage("");
    let written: Vec<String> = crate::small::lines(120)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    let told = dataset(&tool, &["data.fim.rate=1.0", "data.fim.spm=0.0", "data.fim.learn=middle"]);
    assert_eq!(told["tally"]["with_hole"], told["tally"]["examples"]);
    for document in told["samples"][0].as_array().unwrap() {
        let text = document["text"].as_str().unwrap();
        let rest = text.strip_prefix("<fim_prefix>").unwrap();
        let (prefix, rest) = rest.split_once("<fim_suffix>").unwrap();
        let (suffix, middle) = rest.split_once("<fim_middle>").unwrap();
        let middle = middle.strip_suffix("<|im_end|>").unwrap();
        let whole = format!("{prefix}{middle}{suffix}");
        assert!(written.contains(&whole), "{whole}");
        assert_eq!(learnt(document), format!("{middle}<258>"));
    }
    let told = dataset(&tool, &["data.fim.rate=1.0", "data.fim.spm=1.0"]);
    assert!(told["samples"][0][0]["text"].as_str().unwrap().starts_with("<fim_prefix><fim_suffix>"));
    assert_eq!(told["learnt"].as_u64(), told["tokens"].as_u64().map(|all| all - told["documents"].as_u64().unwrap()));
}

#[test]
fn holes_are_whole_lines_where_that_is_asked() {
    let tool = stage("");
    let text: String = (0..300).map(|i| format!("line {i} of many\n")).collect();
    tool.write("data.jsonl", json!({"text": text}).to_string());
    let middles = |lines: &str| -> Vec<String> {
        let lines = format!("data.fim.lines={lines}");
        let set = ["data.fim.rate=1.0", "data.fim.spm=0.0", "data.context=256", &lines, "data.validation=0.0"];
        let set = set.into_iter().flat_map(|set| ["--set", set]);
        let told = tool.run(["dataset", "recipe.toml", "--json", "--samples", "30"].into_iter().chain(set)).json();
        let windows = told["samples"].as_array().unwrap().iter().flat_map(|window| window.as_array().unwrap());
        let text =
            |document: &Value| document["text"].as_str().unwrap().split_once("<fim_middle>").unwrap().1.to_owned();
        windows.map(text).map(|middle| middle.strip_suffix("<|im_end|>").unwrap().trim().to_owned()).collect()
    };
    let known: Vec<&str> = text.lines().collect();
    let whole = |middle: &String| !middle.is_empty() && middle.lines().all(|line| known.contains(&line));
    let (lines, any) = (middles("1.0"), middles("0.0"));
    assert!(lines.len() > 10 && lines.iter().all(whole), "{lines:?}");
    assert!(!any.iter().all(whole), "{any:?}");
}

#[test]
fn marks_are_added_where_the_vocabulary_has_none() {
    let tool = stage("");
    let set = ["data.fim.rate=1.0", "data.fim.spm=0.0", "data.fim.form=qwen"];
    let told = dataset(&tool, &set);
    let document = &told["samples"][0][0];
    assert!(document["text"].as_str().unwrap().starts_with("<|fim_prefix|>"), "{document}");
    assert_eq!(document["tokens"][0], crate::small::VOCABULARY as u64 - 1);
    // A text that spells one is no mark.
    tool.write("data.jsonl", json!({"text": "a <|fim_middle|> b"}).to_string());
    let told = dataset(&tool, &set);
    let tokens = told["samples"][0][0]["tokens"].as_array().unwrap();
    assert_eq!(tokens.iter().filter(|token| token.as_u64() > Some(258)).count(), 3, "{tokens:?}");
    tool.write("data.jsonl", crate::small::lines(60));
    let set = set.iter().flat_map(|set| ["--set", set]);
    tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "1"].into_iter().chain(set.clone())).done();
    let file = std::fs::read_to_string(tool.path("out/tokenizer.json")).unwrap();
    assert!(file.contains("<|fim_suffix|>"));
    let taught = ["--set", "objective.kind=kd", "--set", "teacher=[{model='t.gguf'}]"];
    tool.run(["run", "recipe.toml", "-o", "taught"].into_iter().chain(set).chain(taught))
        .refused(1, &["teachers do not know", "<|fim_prefix|>"]);
}

#[test]
fn holes_of_long_texts_are_whole_and_differ() {
    let tool = stage("");
    let text: String = (0..400).map(|i| format!("größe {i}; ")).collect();
    tool.write("data.jsonl", json!({"text": text}).to_string());
    let set = ["data.fim.rate=1.0", "data.fim.learn=middle", "data.context=256", "data.fim.spm=0.5"];
    let told = tool
        .run(
            ["dataset", "recipe.toml", "--json", "--samples", "30", "--set", "data.validation=0.0"]
                .into_iter()
                .chain(set.iter().flat_map(|set| ["--set", set])),
        )
        .json();
    let documents: Vec<&Value> =
        told["samples"].as_array().unwrap().iter().flat_map(|window| window.as_array().unwrap()).collect();
    let (mut whole, mut shares, mut forms) = (Vec::new(), Vec::new(), Vec::new());
    for document in &documents {
        let text = document["text"].as_str().unwrap();
        assert!(!text.contains('\u{fffd}'), "{text}");
        let (front, middle) = text.split_once("<fim_middle>").unwrap();
        let middle = middle.strip_suffix("<|im_end|>").expect("its end is there");
        let parts = front.strip_prefix("<fim_prefix>").unwrap().split_once("<fim_suffix>").unwrap();
        forms.push(parts.0.is_empty() && !middle.is_empty());
        if !parts.0.is_empty() {
            whole.push(format!("{}{middle}{}", parts.0, parts.1));
            shares.push(parts.0.len());
        }
    }
    assert!(documents.len() > 15, "{}", documents.len());
    assert!(forms.contains(&true) && forms.contains(&false), "both forms");
    shares.dedup();
    assert!(shares.len() > 3, "cut at other places each: {shares:?}");
    assert!(whole.iter().all(|part| text.contains(part.as_str())), "{whole:?}");
    let drop = ["dataset", "recipe.toml", "--set", "data.fim.rate=1.0", "--set", "data.long=drop"];
    tool.run(drop).refused(1, &["nothing to learn from"]);
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
fn licences_are_chosen_by_files_beside_and_by_columns() {
    let tool = stage("");
    tool.write("code/a.py", "print('a file without a line')\n");
    tool.write(
        "code/LICENSE",
        "MIT License\nPermission is hereby granted, free of charge, to any person obtaining a copy",
    );
    tool.write("code/b.py", "# SPDX-License-Identifier: GPL-3.0-only OR Apache-2.0\nprint('a choice')\n");
    tool.write("code/sub/c.py", "print('under another one')\n");
    tool.write("code/sub/COPYING", "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007");
    let of = |list: &str| {
        dataset(&tool, &["data.source.0.path=code", &format!("data.source.0.{list}")])["documents"].clone()
    };
    assert_eq!(of("without_licences=[]"), 3);
    assert_eq!(of("without_licences=['GPL-3.0']"), 2);
    assert_eq!(of("only_licences=['MIT']"), 1);
    let lines = [r#"{"text":"one","license":"mit"}"#, r#"{"text":"two","license":"gpl-3.0"}"#, r#"{"text":"three"}"#];
    tool.write("data.jsonl", lines.join("\n"));
    assert_eq!(dataset(&tool, &["data.source.0.without_licences=['GPL-3.0']"])["documents"], 2);
    let told = dataset(&tool, &["data.source.0.only_licences=['MIT']"]);
    assert_eq!((&told["documents"], &told["tally"]["unwanted"]), (&json!(1), &json!(2)));
}

#[test]
fn texts_begin_with_the_token_that_the_checkpoint_puts_before_them() {
    let tool = stage("");
    let settings = json!({"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "add_bos_token": true});
    tool.write("student/tokenizer_config.json", settings.to_string());
    let lines = [
        r#"{"text":"a document"}"#,
        r#"{"prompt":"before ","completion":"after"}"#,
        r#"{"instruction":"do","output":"done"}"#,
    ];
    tool.write("data.jsonl", lines.join("\n"));
    for set in [["data.fim.rate=0.0", "data.form=alpaca"], ["data.fim.rate=1.0", "data.form=model"]] {
        let told = dataset(&tool, &set);
        let documents = told["samples"][0].as_array().unwrap();
        assert_eq!(documents.len(), 3);
        for document in documents {
            let tokens = document["tokens"].as_array().unwrap();
            assert_eq!(tokens.iter().position(|token| *token == 256), Some(0), "{document}");
            assert_eq!(tokens.iter().filter(|token| **token == 256).count(), 1, "{document}");
            assert_eq!(document["learnt"][0], false);
        }
    }
    let settings = json!({"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "add_bos_token": false});
    tool.write("student/tokenizer_config.json", settings.to_string());
    let told = dataset(&tool, &["data.form=alpaca"]);
    assert!(!told["samples"][0].to_string().contains("256"));
}

/// A tokenizer without ChatML's tokens, so that plain headings are the template.
fn without_chatml(tool: &crate::ran::Tool) {
    let mut small = crate::small::Small::new();
    small.tokenizer["added_tokens"][1]["content"] = json!("<|user|>");
    small.tokenizer["added_tokens"][2]["content"] = json!("</s>");
    small.write(tool, "student");
}

#[test]
fn an_end_is_learnt_where_the_template_writes_none() {
    let tool = stage("");
    without_chatml(&tool);
    tool.write("student/tokenizer_config.json", json!({"eos_token": "</s>"}).to_string());
    let chat = json!({"messages": [
        {"role": "user", "content": "one?"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three?"}, {"role": "assistant", "content": "four"}]});
    tool.write("data.jsonl", chat.to_string());
    assert_eq!(learnt(&dataset(&tool, &[])["samples"][0][0]), "two<258>four<258>");
    // A base model's end is another one than its template's; what stands behind the turn is no answer.
    let template = "{% for m in messages %}<|user|>{{ m.content }}</s>\n{% endfor %}";
    let settings = json!({"eos_token": "<|endoftext|>", "chat_template": template});
    tool.write("student/tokenizer_config.json", settings.to_string());
    assert_eq!(learnt(&dataset(&tool, &[])["samples"][0][0]), "<257>two<258><257>four<258>");
    tool.write("student/tokenizer_config.json", "{}");
    let told = tool.run(["dataset", "recipe.toml"]);
    assert!(told.done().contains("eos_token"));
}

#[test]
fn templates_that_change_earlier_answers_give_a_document_for_each() {
    let tool = stage("");
    // As Qwen3's: a thought stands before the last answer only.
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
        {% if m.role == 'assistant' and loop.last %}(thought){% endif %}{{ m.content }}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let settings = json!({"eos_token": "<|im_end|>", "chat_template": template});
    tool.write("student/tokenizer_config.json", settings.to_string());
    let chat = json!({"messages": [
        {"role": "user", "content": "one?"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three?"}, {"role": "assistant", "content": "four"}]});
    tool.write("data.jsonl", chat.to_string());
    let told = dataset(&tool, &[]);
    assert_eq!((&told["documents"], &told["tally"]["malformed"]), (&json!(2), &json!(0)));
    let documents = told["samples"][0].as_array().unwrap();
    let all: Vec<String> = documents.iter().map(learnt).collect();
    assert_eq!(all, ["(thought)two<258>", "(thought)four<258>"]);
    let last = documents[1]["text"].as_str().unwrap();
    assert!(last.contains("assistant\ntwo<|im_end|>"), "{last}");
}

#[test]
fn windows_in_which_nothing_is_left_to_learn_are_not_written() {
    let tool = stage("");
    let lines = [
        json!({"prompt": "p".repeat(300), "completion": "too far back"}),
        json!({"prompt": "p", "completion": "near"}),
    ];
    tool.write("data.jsonl", format!("{}\n{}\n", lines[0], lines[1]));
    let told = dataset(&tool, &["data.long=cut"]);
    assert_eq!((&told["documents"], &told["windows"]), (&json!(1), &json!(1)));
    assert_eq!(told["tally"]["nothing_to_learn"], 1);
}

#[test]
fn what_is_read_ends_with_the_examples_wanted() {
    let tool = stage("");
    let lines: String = (0..40).map(|i| json!({"text": format!("text {i}")}).to_string() + "\n").collect();
    tool.write("data.jsonl", lines + &"no JSON\n".repeat(50));
    tool.run(["dataset", "recipe.toml"]).refused(1, &["cannot be read"]);
    let told = dataset(&tool, &["data.examples=40"]);
    assert_eq!((&told["documents"], &told["tally"]["malformed"]), (&json!(40), &json!(0)));
}

#[test]
fn a_full_disk_is_no_wrong_line() {
    let tool = stage("");
    tool.write("data.jsonl", crate::small::lines(20_000));
    // Files of 512 kB at most stand in for a full disk; the signal that goes with it is not wanted.
    let program = env!("CARGO_BIN_EXE_zord-distill");
    let script = format!("trap '' XFSZ; ulimit -f 1024; exec {program} run recipe.toml -o out");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(tool.path("")).env("ZORD_HOME", tool.path(""));
    crate::ran::Ran::of(&command.output().unwrap()).refused(1, &["train.windows", "hint: "]);
}

#[test]
fn examples_made_on_several_threads_stay_in_their_order() {
    let tool = stage("");
    tool.write("data.jsonl", crate::small::lines(3000));
    let [one, two] = ["threads=1", "threads=2"].map(|threads| {
        let set =
            ["dataset", "recipe.toml", "--json", "--samples", "1", "--set", threads, "--set", "data.context=8192"];
        tool.run(set.into_iter().chain(["--set", "data.validation=0.0"])).json()
    });
    assert_eq!((&one["fingerprint"], &one["documents"]), (&two["fingerprint"], &json!(3000)));
    let number = |document: &Value| -> u32 {
        let text = document["text"].as_str().unwrap().strip_prefix("number ").unwrap();
        text.split_once(':').unwrap().0.parse().unwrap()
    };
    let numbers: Vec<u32> = two["samples"][0].as_array().unwrap().iter().map(number).collect();
    assert!(numbers.len() > 50 && numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn templates_that_fail_are_told() {
    let tool = stage("");
    let template = "{% for m in messages %}{% if 'stop' in m.content %}{{ raise_exception('no') }}{% endif %}\
        <|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let settings = json!({"eos_token": "<|im_end|>", "chat_template": template});
    tool.write("student/tokenizer_config.json", settings.to_string());
    let line = |word: &str| json!({"instruction": word, "output": "done"}).to_string() + "\n";
    tool.write("data.jsonl", (0..20).map(|i| line(&format!("go {i}"))).collect::<String>() + &line("stop"));
    assert_eq!(dataset(&tool, &[])["tally"]["by_spare"], 1);
    let run = tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "1"]);
    assert!(run.err.contains("failed on 1 conversations"), "{}", run.err);
    run.done();
    let settings = json!({"eos_token": "<|im_end|>", "chat_template": "{% for %}"});
    tool.write("student/tokenizer_config.json", settings.to_string());
    // Also where the windows are there already.
    for _ in 0..2 {
        let run = tool.run(["run", "recipe.toml", "-o", "other", "--max-steps", "1"]);
        assert!(run.err.contains("template cannot be used"), "{}", run.err);
        run.done();
    }
}

#[test]
fn lengths_are_shown_by_shares() {
    let tool = stage("");
    let lines: String = (1..=100).map(|i| json!({"text": "x".repeat(i)}).to_string() + "\n").collect();
    tool.write("data.jsonl", lines);
    // Each ends with a token of its own.
    let lengths = dataset(&tool, &[])["lengths"].clone();
    assert_eq!(lengths, json!({"0%": 2, "5%": 6, "25%": 26, "50%": 51, "75%": 76, "95%": 96, "100%": 101}));
    assert!(tool.run(["dataset", "recipe.toml"]).done().contains("50 %: 51"));
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
fn special_tokens_in_rows_are_tokens_and_in_source_code_text() {
    let tool = stage("");
    let count = |told: &Value| {
        let tokens = told["samples"][0][0]["tokens"].as_array().unwrap();
        [257, 258].map(|wanted| tokens.iter().filter(|token| **token == wanted).count())
    };
    // As a template made it: no letters, and no second end.
    let text = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>";
    tool.write("data.jsonl", json!({"text": text}).to_string());
    let told = dataset(&tool, &["data.fim.rate=1.0"]);
    assert_eq!((count(&told), &told["tally"]["marked"], &told["tally"]["with_hole"]), ([2, 2], &json!(1), &json!(0)));
    assert!(tool.run(["dataset", "recipe.toml"]).done().contains("in the text of 1 examples are read as tokens"));
    let (prompt, completion) = text.split_at(text.len() - "a<|im_end|>".len());
    tool.write("data.jsonl", json!({"prompt": prompt, "completion": completion}).to_string());
    let told = dataset(&tool, &[]);
    assert_eq!((count(&told), learnt(&told["samples"][0][0])), ([2, 2], "a<258>".to_owned()));
    // Not whole, or spelt by a program.
    tool.write("data.jsonl", json!({"text": "a <|im_end and |im_end|>"}).to_string());
    let told = dataset(&tool, &[]);
    assert_eq!((count(&told), &told["tally"]["marked"]), ([0, 1], &json!(0)), "only the end of the document");
    tool.write("code/a.py", "END = '<|im_end|>'\n");
    assert_eq!(count(&dataset(&tool, &["data.source.0.path=code"])), [0, 1]);
}

#[test]
fn conversations_are_left_out_where_they_do_not_fit_unless_they_are_to_be_cut() {
    let tool = stage("");
    let turn = |role: &str, text: String| json!({"role": role, "content": text});
    let long = json!({"messages": [turn("user", "q".into()), turn("assistant", "a".repeat(300))]});
    let short = json!({"messages": [turn("user", "q".into()), turn("assistant", "a".into())]});
    tool.write("data.jsonl", format!("{long}\n{short}\n"));
    let told = dataset(&tool, &["data.long=split"]);
    assert_eq!((&told["documents"], &told["tally"]["left_out"]), (&json!(1), &json!(1)));
    assert_eq!(learnt(&told["samples"][0][0]), "a<258>");
    let page = tool.run(["dataset", "recipe.toml"]).done();
    assert!(page.contains("1 of 1 documents longer than a window are truncated or left out"), "{page}");
    assert_eq!(dataset(&tool, &["data.long=cut"])["documents"], 2);
    tool.write("data.jsonl", long.to_string());
    tool.run(["dataset", "recipe.toml"]).refused(1, &["nothing to learn from", "longer than a window"]);
}

#[test]
fn lists_and_files_with_a_byte_order_mark_are_read_whole() {
    let tool = stage("");
    let turns = |text: &str| json!([{"role": "user", "content": [{"type": "text", "text": text}]}]);
    let answer = json!([{"role": "assistant", "content": "yes"}]);
    let rows: Vec<Value> = ["one", "two"].map(|text| json!({"prompt": turns(text), "completion": answer})).into();
    for content in [
        format!("\u{feff}{}\n{}\n", rows[0], rows[1]),
        serde_json::to_string_pretty(&rows).unwrap(),
        format!("\u{feff}{}", serde_json::to_string(&rows).unwrap()),
    ] {
        tool.write("data.jsonl", content);
        let told = dataset(&tool, &[]);
        assert_eq!((&told["documents"], &told["tally"]["malformed"]), (&json!(2), &json!(0)));
        assert_eq!(learnt(&told["samples"][0][0]), "yes<258>");
    }
    tool.write("data.jsonl", [0x1f, 0x8b, 8, 0]);
    tool.run(["dataset", "recipe.toml"]).refused(1, &["data.jsonl", "gzip"]);
    // One reason, told once.
    let tools = json!({"messages": [{"role": "tool", "content": "x"}]}).to_string() + "\n";
    tool.write("data.jsonl", tools.repeat(20));
    let ran = tool.run(["dataset", "recipe.toml"]);
    assert_eq!(ran.err.matches("conversations with tools are not read").count(), 1, "{}", ran.err);
    ran.refused(1, &["more than 10 examples", "line 1:"]);
}

/// A table of one column: `count` times the text, and a second row.
fn table(tool: &crate::ran::Tool, text: &str, count: usize) {
    use parquet::data_type::{ByteArray, ByteArrayType};
    let schema =
        "message rows { REQUIRED group prompt (LIST) { REPEATED group list { REQUIRED BYTE_ARRAY element (UTF8); } }
        REQUIRED BYTE_ARRAY text (UTF8); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::ZSTD(Default::default()))
        .set_dictionary_page_size_limit(1 << 30)
        .set_data_page_size_limit(1 << 30)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let file = std::fs::File::create(tool.path("data.parquet")).unwrap();
    let mut writer =
        parquet::file::writer::SerializedFileWriter::new(file, schema, std::sync::Arc::new(properties)).unwrap();
    let mut columns = writer.next_row_group().unwrap();
    let mut column = columns.next_column().unwrap().unwrap();
    let value = ByteArray::from(text);
    let mut repeated: Vec<i16> = vec![1; count];
    (repeated[0], repeated[count - 1]) = (0, 0);
    column.typed::<ByteArrayType>().write_batch(&vec![value; count], Some(&vec![1; count]), Some(&repeated)).unwrap();
    column.close().unwrap();
    let mut column = columns.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["one".into(), "two".into()], None, None).unwrap();
    column.close().unwrap();
    columns.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_small_table_that_stands_for_gigabytes_is_refused() {
    let tool = stage("");
    let set = ["data.source.0.path=data.parquet"];
    table(&tool, "x", 3);
    assert_eq!(dataset(&tool, &set)["documents"], 2);
    // Written out it would be 1.9 GB, and more than the reader may take.
    table(&tool, &"x".repeat(1 << 20), 1900);
    let size = std::fs::metadata(tool.path("data.parquet")).unwrap().len();
    assert!(size < 10_000, "{size}");
    tool.run(["dataset", "recipe.toml", "--set", set[0]]).refused(1, &["data.parquet", "MiB of memory"]);
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

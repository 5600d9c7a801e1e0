//! What is learnt of answers, in every form of talking that the repository knows.

use serde_json::json;

use super::*;

/// A tokenizer with these special tokens, the first of which ends documents, and a template.
fn tokenizer(specials: &[&str], template: Option<&str>, architecture: &str) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let added = specials.iter().enumerate().map(|(id, text)| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    });
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        specials.iter().enumerate().map(|(id, text)| ((*text).to_owned(), json!(id))).collect();
    let file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "merges": [], "vocab": vocabulary}});
    std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
    let settings = json!({"eos_token": specials[0], "chat_template": template});
    std::fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let tokenizer = Tokenizer::open(folder.path(), architecture, &[]).unwrap();
    assert!(tokenizer.problems.is_empty(), "{:?}", tokenizer.problems);
    tokenizer
}

fn learnt(parts: &[Stretch]) -> String {
    parts.iter().filter(|part| part.answer).map(|part| part.text.as_str()).collect()
}

/// What a form of talking does to an answer.
struct Family {
    name: &'static str,
    tokenizer: Tokenizer,
    /// How the words are written.
    written: fn(&str) -> String,
    /// What is learnt before and behind them.
    around: (&'static str, &'static str),
    /// Whether it leaves an answer without words out.
    drops_empty: bool,
}

/// A template of the repository: its name, special tokens, and the rest as in [`Family`].
type Own<'a> = (&'a str, &'a [&'a str], fn(&str) -> String, (&'static str, &'static str), bool);

fn families() -> Vec<Family> {
    let as_it_is: fn(&str) -> String = str::to_owned;
    let trimmed: fn(&str) -> String = |words| words.trim().to_owned();
    let mut all = Vec::new();
    let built_in: [(&str, &str, &[&str], _, _); 6] = [
        ("chatml", "llama", &["<|im_end|>", "<|im_start|>"], as_it_is, "<|im_end|>"),
        ("deepseek-coder", "llama", &["<|EOT|>"], as_it_is, "\n<|EOT|>"),
        // The next turn's heading is the end there; a text that stands alone gets the document's.
        ("glm-4", "glm4", &["<|endoftext|>", "[gMASK]", "<|user|>"], as_it_is, "<|endoftext|>"),
        ("llama-3", "llama", &["<|eot_id|>", "<|start_header_id|>"], trimmed, "<|eot_id|>"),
        ("gemma", "gemma", &["<end_of_turn>", "<start_of_turn>"], trimmed, "<end_of_turn>"),
        ("alpaca", "llama", &["</s>"], as_it_is, "</s>"),
    ];
    for (name, architecture, specials, written, end) in built_in {
        let tokenizer = tokenizer(specials, None, architecture);
        assert_eq!(tokenizer.template.origin(), name);
        all.push(Family { name, tokenizer, written, around: ("", end), drops_empty: false });
    }
    let without_breaks: fn(&str) -> String = |words| words.trim_start_matches('\n').to_owned();
    let own: [Own<'_>; 11] = [
        ("deepseek_coder", &["<|EOT|>"], as_it_is, ("", "\n<|EOT|>"), false),
        ("gemma", &["<end_of_turn>", "<start_of_turn>"], trimmed, ("", "<end_of_turn>"), false),
        ("gemma3", &["<end_of_turn>", "<start_of_turn>"], trimmed, ("", "<end_of_turn>"), false),
        ("glm4", &["<|endoftext|>", "<|user|>", "<|assistant|>"], as_it_is, ("\n", "<|endoftext|>"), true),
        ("llama3", &["<|eot_id|>", "<|start_header_id|>"], trimmed, ("", "<|eot_id|>"), false),
        ("mistral", &["</s>", "<s>"], as_it_is, ("", "</s>"), false),
        ("qwen2_5", &["<|im_end|>", "<|im_start|>"], as_it_is, ("", "<|im_end|>"), false),
        ("qwen3", &["<|im_end|>", "<|im_start|>"], without_breaks, ("<think>\n\n</think>\n\n", "<|im_end|>"), false),
        ("r1", &["<｜end▁of▁sentence｜>", "<｜User｜>"], as_it_is, ("", "<｜end▁of▁sentence｜>"), false),
        ("smollm2", &["<|im_end|>", "<|im_start|>"], as_it_is, ("", "<|im_end|>"), false),
        ("typed", &["<|end|>", "<|user|>"], as_it_is, ("", "<|end|>"), false),
    ];
    for (name, specials, written, around, drops_empty) in own {
        let path = format!("{}/tests/templates/{name}.jinja", env!("CARGO_MANIFEST_DIR"));
        let tokenizer = tokenizer(specials, Some(&std::fs::read_to_string(path).unwrap()), "llama");
        assert_eq!(tokenizer.template.origin(), "model", "{name}");
        all.push(Family { name, tokenizer, written, around, drops_empty });
    }
    all
}

/// Answers that are parts of marks, occur in what was asked, or are changed by templates.
const ANSWERS: [&str; 30] = [
    "d",
    "e",
    "n",
    "m",
    "|",
    ">",
    "<",
    "_",
    " im end",
    "im_end",
    "end",
    "end|>",
    "|im_",
    "<|",
    "<|im_end|>",
    "<|im_end",
    "</s>",
    "<|EOT|>",
    "EOT",
    "<end_of_turn>",
    "question",
    "a question?",
    "assistant",
    "\n",
    "  d  ",
    "d\n",
    "\n\nd\n\n",
    "",
    "<b>",
    "Q\u{e000}",
];

#[test]
fn an_answer_ends_where_the_template_ends_it_whatever_it_spells() {
    let mut checked = 0;
    for Family { name, tokenizer, written, around, drops_empty } in families() {
        for answer in ANSWERS {
            let turns = [Message::new(Role::User, "a question?"), Message::new(Role::Assistant, answer)];
            let rendered = chat(&turns, 0, Form::Model, &tokenizer);
            if drops_empty && answer.is_empty() {
                assert!(rendered.unwrap_err().contains("leaves this answer out"), "{name}");
                continue;
            }
            let rendered = rendered.unwrap_or_else(|error| panic!("{name}, {answer:?}: {error}"));
            assert_eq!(rendered.documents.len(), 1, "{name}, {answer:?}");
            let (opening, end) = around;
            let expected = format!("{opening}{}{end}", written(answer));
            assert_eq!(learnt(&rendered.documents[0]), expected, "{name}, {answer:?}");
            checked += 1;
        }
    }
    assert_eq!(checked, 17 * ANSWERS.len() - 1);
}

#[test]
fn each_answer_of_a_conversation_ends_on_its_own() {
    for Family { name, tokenizer, written, around: (opening, end), .. } in families() {
        for [one, two] in [["d", "e"], ["|", "|"], ["<|im_end|>", "<"], [">", " im end"]] {
            let turn = Message::new;
            let turns =
                [turn(Role::User, "d"), turn(Role::Assistant, one), turn(Role::User, one), turn(Role::Assistant, two)];
            let rendered = chat(&turns, 0, Form::Model, &tokenizer).unwrap();
            let all: Vec<String> = rendered.documents.iter().map(|parts| learnt(parts)).collect();
            let expected = [one, two].map(|answer| format!("{opening}{}{end}", written(answer)));
            // Those that take thoughts out of earlier answers, or whose prompts open one, give a document for each.
            assert_eq!(all.len(), if matches!(name, "qwen3" | "r1") { 2 } else { 1 }, "{name}");
            assert_eq!(all.concat(), expected.concat(), "{name}");
        }
    }
}

#[test]
fn a_thought_that_the_template_drops_does_not_move_an_answer() {
    let r1 = families().into_iter().find(|family| family.name == "r1").unwrap();
    for (answer, expected) in [("<think>\nso</think><b>", "<b>"), ("<think>so</think>e", "e"), ("<t", "<t")] {
        let turns = [Message::new(Role::User, "q"), Message::new(Role::Assistant, answer)];
        let rendered = chat(&turns, 0, Form::Model, &r1.tokenizer).unwrap();
        assert_eq!(learnt(&rendered.documents[0]), format!("{expected}<｜end▁of▁sentence｜>"));
    }
}

#[test]
fn an_answer_whose_end_a_template_hides_is_refused() {
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
        {% if messages[-1].content == 'odd' %}!{% endif %}\
        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let tokenizer = tokenizer(&["<|im_end|>", "<|im_start|>"], Some(template), "llama");
    let turns = |answer| [Message::new(Role::User, "q"), Message::new(Role::Assistant, answer)];
    let error = chat(&turns("odd"), 0, Form::Model, &tokenizer).unwrap_err();
    assert!(error.contains("does not show where this answer ends"), "{error}");
    assert_eq!(learnt(&chat(&turns("even"), 0, Form::Model, &tokenizer).unwrap().documents[0]), "even<|im_end|>");
}

//! Vocabularies put together: rows by token, never by number.

use serde_json::{Map, Value, json};

use crate::tool::{Tool, read};
use crate::toy::{Toy, VOCABULARY};

fn rows(tool: &Tool, name: &str) -> Vec<Vec<f32>> {
    read(&tool.path(name))["model.embed_tokens.weight"].numbers().chunks(16).map(<[f32]>::to_vec).collect()
}

fn ids(tool: &Tool, name: &str) -> std::collections::BTreeMap<String, usize> {
    let json = tool.json(&format!("{name}/tokenizer.json"));
    let mut ids: std::collections::BTreeMap<String, usize> = json["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(text, id)| (text.clone(), id.as_u64().unwrap() as usize))
        .collect();
    for token in json["added_tokens"].as_array().unwrap() {
        ids.insert(token["content"].as_str().unwrap().into(), token["id"].as_u64().unwrap() as usize);
    }
    ids
}

/// Two models; the second has two tokens in each other's place and one of its own.
fn two(tool: &Tool) {
    Toy::new(1).write(&tool.path("a"));
    let mut other = Toy::new(2);
    other.tokens.swap(3, 4);
    other.tokens[9] = "own".into();
    other.write(&tool.path("b"));
}

const HALF: &str = "merge_method: linear\nbase_model: a\nparameters: {weight: 0.5}\nmodels: [{model: a}, {model: b}]\n";

fn mean(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| (0.5 * a + 0.5 * b) / 1.0).collect()
}

#[test]
fn the_bases_tokens_place_the_others_rows() {
    let tool = Tool::new();
    two(&tool);
    tool.merge(&format!("{HALF}tokenizer: {{source: base, pad_to_multiple_of: 64}}\n"), &[]).done();
    let (a, b, out) = (rows(&tool, "a"), rows(&tool, "b"), rows(&tool, "out"));
    assert_eq!(out.len(), 64);
    assert_eq!(out[3], mean(&a[3], &b[4]));
    assert_eq!(out[5], mean(&a[5], &b[5]));
    // `t9` is not in b: its row there is a's
    assert_eq!(out[9], mean(&a[9], &a[9]));
    let fill: Vec<f32> = (0..16).map(|at| out[..40].iter().map(|row| row[at]).sum::<f32>() / 40.0).collect();
    assert!(out[63].iter().zip(&fill).all(|(a, b)| (a - b).abs() < 1e-5));
    assert_eq!(tool.json("out/config.json")["vocab_size"], json!(64));
    assert_eq!(tool.json("out/tokenizer.json"), tool.json("a/tokenizer.json"));
}

#[test]
fn a_union_has_the_tokens_of_both_and_rows_of_whoever_has_them() {
    let tool = Tool::new();
    two(&tool);
    let recipe = format!(
        "{HALF}tokenizer:\n  source: union\n  tokens:\n    t7: {{source: {{kind: model_token, model: b, token: t8}}, force: true}}\n    \
         t6: {{source: b, force: true}}\n    new: {{source: {{kind: zero}}}}\n"
    );
    let ran = tool.merge(&recipe, &[]);
    assert!(ran.err.contains("bpe_union"), "{}", ran.err);
    ran.done();
    let (a, b, out, ids) = (rows(&tool, "a"), rows(&tool, "b"), rows(&tool, "out"), ids(&tool, "out"));
    assert_eq!(ids.len(), VOCABULARY + 2);
    assert_eq!(out[ids["own"]], b[9]);
    assert_eq!(out[ids["t9"]], a[9]);
    assert_eq!(out[ids["t7"]], b[8]);
    assert_eq!(out[ids["t6"]], b[6]);
    assert_eq!(out[ids["new"]], vec![0.0; 16]);
    assert_eq!(out[ids["t3"]], mean(&a[3], &b[4]));
    assert_eq!(tool.json("out/config.json")["vocab_size"], json!(VOCABULARY + 2));
}

/// A byte-level tokenizer of these letters and merges.
fn bpe(tool: &Tool, name: &str, toy: &mut Toy, merges: &[(&str, &str)]) {
    let mut tokens: Vec<String> = ('a'..='z').chain(['Ġ']).map(String::from).collect();
    tokens.extend(merges.iter().map(|(a, b)| format!("{a}{b}")));
    toy.tokens = tokens;
    let embedding = toy.tensor("embed_tokens.weight");
    let count = 27 + merges.len();
    embedding.2 = vec![count, 16];
    embedding.3.truncate(count * 64);
    toy.config["vocab_size"] = json!(count);
    toy.write(&tool.path(name));
    let mut json: Value = tool.json(&format!("{name}/tokenizer.json"));
    json["model"]["merges"] = merges.iter().map(|(a, b)| json!([a, b])).collect();
    tool.write(&format!("{name}/tokenizer.json"), json.to_string());
}

/// Splits a word by a tokenizer's own merges, lowest first.
fn split(json: &Value, word: &str) -> Vec<String> {
    let mut ranks = Map::new();
    for (rank, pair) in json["model"]["merges"].as_array().unwrap().iter().enumerate() {
        ranks.insert(format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()), json!(rank));
    }
    let mut parts: Vec<String> = word.chars().map(String::from).collect();
    loop {
        let rank = |pair: &[String]| ranks.get(&format!("{} {}", pair[0], pair[1])).and_then(Value::as_u64);
        let Some((_, at)) = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min() else {
            return parts;
        };
        let second = parts.remove(at + 1);
        parts[at].push_str(&second);
    }
}

#[test]
fn a_true_union_splits_words_as_one_of_the_parents() {
    let first = [("t", "h"), ("th", "e"), ("i", "n"), ("Ġ", "the"), ("in", "g")];
    // a vocabulary that grew from the first one, and one that has little to do with it
    let grown = [&first[..], &[("o", "n"), ("e", "r"), ("i", "on")]].concat();
    let other = vec![("t", "h"), ("e", "r"), ("th", "er"), ("o", "n"), ("i", "on"), ("h", "e"), ("n", "g")];
    for (second, keeps) in [(grown, true), (other, false)] {
        let tool = Tool::new();
        bpe(&tool, "a", &mut Toy::new(1), &first);
        bpe(&tool, "b", &mut Toy::new(2), &second);
        let ran = tool.merge(&format!("{HALF}tokenizer: {{source: bpe_union}}\n"), &[]);
        assert!(ran.err.contains("words is split as a parent does"), "{}", ran.err);
        ran.done();
        let json = |name: &str| tool.json(&format!("{name}/tokenizer.json"));
        let (a, b, out) = (json("a"), json("b"), json("out"));
        assert!(out["added_tokens"].as_array().unwrap().is_empty(), "no token is torn out of its text");
        let mut own = 0;
        let words = "the other thing in their region gives rise to longer weather thrones Ġthe Ġother hero on ion ring";
        for word in words.split(' ') {
            let (x, y, z) = (split(&a, word), split(&b, word), split(&out, word));
            assert!(z == x || z == y, "{word}: {z:?} is neither {x:?} nor {y:?}");
            own += usize::from(z == y && z != x);
        }
        assert!(own > 0 || !keeps, "the second parent's merges count for something");
        let (rows_b, rows_out, ids_b, ids_out) =
            (rows(&tool, "b"), rows(&tool, "out"), ids(&tool, "b"), ids(&tool, "out"));
        assert_eq!(rows_out[ids_out["ion"]], rows_b[ids_b["ion"]]);
        assert_eq!(rows_out.len(), ids_out.len());
    }
}

#[test]
fn tokens_and_models_that_are_not_there_are_named() {
    let tool = Tool::new();
    two(&tool);
    let with = |rest: &str| format!("{HALF}{rest}\n");
    tool.merge(
        &with("tokenizer: {source: base, tokens: {x: {source: {kind: model_token, model: b, token: nope}}}}"),
        &[],
    )
    .refused(1, &["`b` has no token `nope`"]);
    tool.merge(&with("tokenizer: {source: c}"), &[]).refused(1, &["`c`", "not merged"]);
    tool.merge(&with("tokenizer: {source: base}\ntokenizer_source: base"), &[]).refused(1, &["exclude each other"]);
    std::fs::remove_file(tool.path("a/tokenizer.json")).unwrap();
    tool.merge(&with("tokenizer_source: base"), &[]).refused(1, &["`a` has no `tokenizer.json`"]);
}

#[test]
fn chat_templates_are_chosen_by_name_by_text_or_by_majority() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("a"));
    Toy::new(2).write(&tool.path("b"));
    let template = |wanted: &str| {
        let _ = std::fs::remove_dir_all(tool.path("out"));
        tool.merge(&format!("{HALF}chat_template: {wanted}\n"), &[]).done();
        tool.json("out/tokenizer_config.json")["chat_template"].as_str().unwrap().to_owned()
    };
    assert!(template("chatml").contains("<|im_start|>"));
    assert_eq!(template("auto"), "{{ messages }}");
    assert_eq!(template("'{% for m in messages %}{{ m }}{% endfor %}'"), "{% for m in messages %}{{ m }}{% endfor %}");
    std::fs::remove_dir_all(tool.path("out")).unwrap();
    tool.merge(&format!("{HALF}chat_template: chatmll\n"), &[]).refused(1, &["`chat_template`", "`chatml`", "line 5"]);
    assert!(!tool.path("out").exists());
}

//! mergekit's union: the base's tokenizer, with what the others have besides as added tokens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Ids, Vocabulary};

/// Appends what other vocabularies have besides, in their order; gives how many that are.
pub(super) fn append(json: &mut Value, ids: &mut Ids, all: &[Option<Vocabulary>], own: usize) -> usize {
    let mut count = 0;
    for other in all.iter().enumerate().filter(|(at, _)| *at != own).filter_map(|(_, other)| other.as_ref()) {
        for (text, added) in besides(ids, other) {
            add(json, ids, text, added.cloned().unwrap_or_else(|| json!({})));
            count += 1;
        }
    }
    count
}

/// Tokens that another vocabulary has besides, in its order; of added ones what it says of them.
pub(super) fn besides<'a>(ids: &Ids, other: &'a Vocabulary) -> Vec<(&'a str, Option<&'a Value>)> {
    let mut texts: Vec<(&String, &u32)> = other.ids.iter().filter(|(text, _)| !ids.has(text)).collect();
    texts.sort_by_key(|(_, id)| **id);
    let added = other.json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let added: BTreeMap<&str, &Value> =
        added.filter_map(|token| Some((token.get("content")?.as_str()?, token))).collect();
    texts.into_iter().map(|(text, _)| (text.as_str(), added.get(text.as_str()).copied())).collect()
}

/// Adds one token, with the properties of another one where that has any.
pub(super) fn add(json: &mut Value, ids: &mut Ids, text: &str, like: Value) {
    let mut token = json!({
        "id": ids.next, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
        "special": false,
    });
    if let (Some(token), Value::Object(like)) = (token.as_object_mut(), like) {
        token.extend(like.into_iter().filter(|(key, _)| key != "id" && key != "content"));
    }
    if let Some(tokenizer) = json.as_object_mut() {
        let added = tokenizer.entry("added_tokens").or_insert_with(|| json!([]));
        if let Some(added) = added.as_array_mut() {
            added.push(token);
            ids.add(text);
        }
    }
}

/// Takes away tokens that no row stands for, and the merges that make them.
pub(super) fn strip(json: &mut Value, ids: &BTreeMap<String, u32>) {
    if let Some(Value::Object(vocabulary)) = json.pointer_mut("/model/vocab") {
        vocabulary.retain(|text, _| ids.contains_key(text));
    }
    if let Some(Value::Array(added)) = json.get_mut("added_tokens") {
        added.retain(|token| token.get("content").and_then(Value::as_str).is_some_and(|text| ids.contains_key(text)));
    }
    if let Some(Value::Array(merges)) = json.pointer_mut("/model/merges") {
        merges.retain(|merge| {
            super::bpe::pair(merge).is_some_and(|(a, b)| {
                ids.contains_key(&a) && ids.contains_key(&b) && ids.contains_key(&format!("{a}{b}"))
            })
        });
    }
}

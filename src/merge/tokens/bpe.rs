//! Byte-pair encoding: a word to tokens, and two vocabularies to one that splits text as its parents did.
//!
//! The united merges are the first parent's, then the second's own. A word that they would split as neither parent does
//! shows which of the second's merges go too far; these fall, until no word of a large sample is split in a third way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{Ids, Vocabulary};

/// Texts whose words the union is tried on, besides every token of both parents.
const SAMPLES: [&str; 2] =
    [include_str!("../../../assets/calibration/prose.txt"), include_str!("../../../assets/calibration/code.txt")];
/// How often merges are taken away one for a word.
const ROUNDS: usize = 40;

/// Merges with their ranks.
#[derive(Clone, Debug, Default)]
pub struct Merges {
    ranks: HashMap<(String, String), u32>,
}

/// `a b` or `["a", "b"]`.
pub(super) fn pair(merge: &Value) -> Option<(String, String)> {
    match merge {
        Value::String(text) => text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
        Value::Array(parts) => match &parts[..] {
            [Value::String(a), Value::String(b)] => Some((a.clone(), b.clone())),
            _ => None,
        },
        _ => None,
    }
}

impl Merges {
    /// Of a list, the first one first.
    pub fn of(list: &[(String, String)]) -> Self {
        let mut ranks = HashMap::new();
        for (rank, pair) in list.iter().enumerate() {
            ranks.entry(pair.clone()).or_insert(rank as u32);
        }
        Self { ranks }
    }

    /// Splits a word; gives its tokens and the ranks of the merges that made them.
    pub fn split(&self, word: &str) -> (Vec<String>, Vec<u32>) {
        let mut parts: Vec<String> = word.chars().map(String::from).collect();
        let mut used = Vec::new();
        loop {
            let rank = |pair: &[String]| self.ranks.get(&(pair[0].clone(), pair[1].clone())).copied();
            let best = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at))).min();
            let Some((rank, at)) = best else { return (parts, used) };
            let second = parts.remove(at + 1);
            parts[at].push_str(&second);
            used.push(rank);
        }
    }
}

/// What a union came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct United {
    /// Tokens the second parent had besides.
    pub tokens: usize,
    /// Merges of the second parent that were taken over.
    pub merges: usize,
    /// Those that were not, as they split words in a third way.
    pub dropped: usize,
    /// Words tried; each is split as one of the parents does.
    pub words: usize,
}

impl std::fmt::Display for United {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tokens, merges, dropped, words } = self;
        write!(
            f,
            "{tokens} tokens and {merges} merges come in, {dropped} merges stay out; \
             each of {words} words is split as a parent does"
        )
    }
}

pub(super) fn merges(json: &Value) -> Result<Vec<(String, String)>, String> {
    let kind = json.pointer("/model/type").and_then(Value::as_str).unwrap_or("unknown");
    if kind != "BPE" {
        return Err(format!("a tokenizer of type `{kind}` cannot be united by merges; `source: union` takes any"));
    }
    let list = json.pointer("/model/merges").and_then(Value::as_array);
    Ok(list.into_iter().flatten().filter_map(pair).collect())
}

/// Brings a second parent's tokens and merges into a tokenizer.
///
/// # Errors
/// One of them is no BPE tokenizer.
pub(super) fn unite(json: &mut Value, ids: &mut Ids, other: &Vocabulary) -> Result<United, String> {
    let (first, second) = (merges(json)?, merges(&other.json)?);
    // `Ġ` in one and `▁` in the other: neither's merges would ever meet the other's words.
    let bytes = |json: &Value| json.get("decoder").is_some_and(|decoder| decoder.to_string().contains("\"ByteLevel\""));
    if bytes(json) != bytes(&other.json) {
        let what = "one tokenizer spells bytes, the other one characters, and no merge fits both";
        return Err(format!("{what}; `source: union` takes any"));
    }
    // Merges meet only what the first parent's pre-tokenizer leaves together: tokens of the second could never be made.
    for part in ["normalizer", "pre_tokenizer"] {
        if meaning(json.get(part)) != meaning(other.json.get(part)) {
            let what = format!(
                "the tokenizers cut texts into words differently (`{part}`), so that tokens of one would never be made"
            );
            return Err(format!("{what}; `source: union` takes any"));
        }
    }
    let known: BTreeSet<&(String, String)> = first.iter().collect();
    let mut more: Vec<(String, String)> = second.iter().filter(|pair| !known.contains(pair)).cloned().collect();
    let all = more.len();
    let words = words(&ids.all, &other.ids);
    let (a, b) = (Merges::of(&first), Merges::of(&second));
    let parents: Vec<[Vec<String>; 2]> = words.iter().map(|word| [a.split(word).0, b.split(word).0]).collect();
    // A word that is split in a third way shows at least one merge of the second, so this ends.
    for round in 0.. {
        let list: Vec<(String, String)> = first.iter().chain(&more).cloned().collect();
        let united = Merges::of(&list);
        let mut blamed = BTreeSet::new();
        for (word, parents) in words.iter().zip(&parents) {
            let (split, used) = united.split(word);
            if !parents.contains(&split) {
                let own = used.into_iter().rev().filter(|rank| *rank >= first.len() as u32);
                // The last one: those before may be right for other words. Where that leads nowhere, all.
                blamed.extend(own.take(if round < ROUNDS { 1 } else { usize::MAX }));
            }
        }
        if blamed.is_empty() {
            break;
        }
        let mut rank = first.len() as u32;
        more.retain(|_| {
            rank += 1;
            !blamed.contains(&(rank - 1))
        });
    }
    let tokens = bring(json, ids, other, &first, &more);
    Ok(United { tokens, merges: more.len(), dropped: all - more.len(), words: words.len() })
}

/// A part of a tokenizer without what changes no token.
fn meaning(part: Option<&Value>) -> Value {
    match part {
        None => Value::Null,
        Some(Value::Object(map)) => {
            let kept = map.iter().filter(|(key, _)| *key != "trim_offsets");
            let mut kept: Vec<(String, Value)> = kept.map(|(key, value)| (key.clone(), meaning(Some(value)))).collect();
            kept.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(kept.into_iter().collect())
        }
        Some(Value::Array(list)) => Value::Array(list.iter().map(|item| meaning(Some(item))).collect()),
        Some(other) => other.clone(),
    }
}

/// Writes the second parent's tokens and the merges that stay.
fn bring(
    json: &mut Value,
    ids: &mut Ids,
    other: &Vocabulary,
    first: &[(String, String)],
    more: &[(String, String)],
) -> usize {
    let besides = super::union::besides(ids, other);
    let tokens = besides.len();
    for (text, added) in besides {
        if let Some(token) = added {
            super::union::add(json, ids, text, token.clone());
        } else if let Some(Value::Object(vocabulary)) = json.pointer_mut("/model/vocab") {
            vocabulary.insert(text.to_owned(), json!(ids.add(text)));
        }
    }
    if let Some(Value::Array(merges)) = json.pointer_mut("/model/merges") {
        let text = merges.first().is_some_and(Value::is_string);
        merges.clear();
        merges.extend(
            first.iter().chain(more).map(|(a, b)| if text { json!(format!("{a} {b}")) } else { json!([a, b]) }),
        );
    }
    tokens
}

/// Every token of both, and the words of the samples, as byte-level BPE spells them.
fn words(a: &BTreeMap<String, u32>, b: &BTreeMap<String, u32>) -> Vec<String> {
    let mut words: BTreeSet<String> = a.keys().chain(b.keys()).filter(|text| text.len() < 64).cloned().collect();
    let bytes = bytes();
    for sample in SAMPLES {
        let mut word = String::new();
        let mut last = ' ';
        for c in sample.chars() {
            let kind = |c: char| {
                if c.is_alphabetic() {
                    0
                } else if c.is_numeric() {
                    1
                } else if c.is_whitespace() {
                    2
                } else {
                    3
                }
            };
            // A space belongs to the word that follows it.
            if kind(c) != kind(last) && !(last == ' ' && word.len() == 1) || kind(c) == 1 {
                words.insert(std::mem::take(&mut word));
            }
            word.push(c);
            last = c;
        }
        words.insert(word);
    }
    let spelt = |word: &String| word.bytes().map(|byte| bytes[byte as usize]).collect::<String>();
    let tokens: BTreeSet<String> = a.keys().chain(b.keys()).cloned().collect();
    let mut all: Vec<String> =
        words.iter().map(|word| if tokens.contains(word) { word.clone() } else { spelt(word) }).collect();
    all.retain(|word| !word.is_empty());
    all
}

/// GPT-2's letters for bytes: printable ones as they are, the others from U+0100 on.
pub(super) fn bytes() -> [char; 256] {
    let mut letters = ['\0'; 256];
    let mut next = 0x100u32;
    for (byte, letter) in letters.iter_mut().enumerate() {
        let plain = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        *letter = char::from_u32(if plain { byte as u32 } else { next }).unwrap_or('\u{fffd}');
        next += u32::from(!plain);
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(digits: &str, trims: bool) -> Vocabulary {
        let json = json!({
            "model": {"type": "BPE", "vocab": {"1": 0, "2": 1, "12": 2}, "merges": [["1", "2"]]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": digits}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": trims}]},
        });
        let ids = [("1", 0), ("2", 1), ("12", 2)].map(|(text, id)| (text.to_owned(), id)).into();
        Vocabulary { file: "tokenizer.json".into(), json, ids }
    }

    #[test]
    fn tokenizers_that_cut_words_otherwise_are_not_united() {
        let united = |other: &Vocabulary| {
            let first = vocabulary(r"\p{N}", true);
            unite(&mut first.json.clone(), &mut Ids::of(first.ids.clone()), other)
        };
        assert_eq!(united(&vocabulary(r"\p{N}", false)).map(|united| united.tokens), Ok(0));
        let error = united(&vocabulary(r"\p{N}{1,3}", true)).unwrap_err();
        assert!(error.contains("`pre_tokenizer`") && error.contains("`source: union`"), "{error}");
    }
}

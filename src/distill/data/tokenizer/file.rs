//! `tokenizer.json`, read from strangers: what it may make of a text is bounded before the library sees it.
//!
//! A file of a few kilobytes can turn one letter into gigabytes (replacements of replacements, padding), and the library
//! panics over others. What this refuses to do: hand such a file on, or let a panic out.

use serde_json::Value as Json;
use tokenizers::Tokenizer as Inner;

use crate::distill::data::guard::guarded;

/// How many times longer replacements may make a text; what is in use makes a space three bytes.
const GROWTH: f64 = 64.0;
/// Steps of a sequence.
const STEPS: usize = 256;
/// The longest pattern, replacement or mark, in bytes.
const LONGEST_TEXT: usize = 1 << 16;
/// Texts that no tokenizer may panic over.
const PROBES: [&str; 5] =
    ["", "a", " Hello,  world 12\n\t", "größer 漢字 🙂 e\u{301}\u{fffd}", "\u{0}\u{feff}\u{2028}"];

/// A tokenizer that neither pads nor cuts texts.
///
/// # Errors
/// In words: what is wrong with the file.
pub(super) fn tokenizer(bytes: &[u8]) -> Result<Inner, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check(&json)?;
    drop(json);
    let read = guarded(|| {
        let mut inner = Inner::from_bytes(bytes).map_err(|error| error.to_string())?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        for probe in PROBES {
            // It may refuse a text, but not panic over it.
            let _ = inner.encode(probe, true);
        }
        Ok(inner)
    });
    read.unwrap_or_else(|| Err("it is damaged: the tokenizer's library fails on it".to_owned()))
}

/// What the parts of the file make of a text, bounded.
fn check(json: &Json) -> Result<(), String> {
    for (part, list) in [
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
        ("post_processor", "processors"),
        ("decoder", "decoders"),
    ] {
        let mut steps = Vec::new();
        flatten(&json[part], list, &mut steps);
        if steps.len() > STEPS {
            return Err(format!("its `{part}` has {} steps, expected at most {STEPS}", steps.len()));
        }
        let mut growth = 1.0;
        for step in steps {
            growth *= grown(step).map_err(|what| format!("its `{part}` has {what}"))?;
        }
        if growth > GROWTH {
            return Err(format!("its `{part}` makes texts {growth:.0} times as long, expected at most {GROWTH}"));
        }
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if json["model"][key].as_str().is_some_and(|text| text.len() > LONGEST_TEXT) {
            return Err(format!("its `model.{key}` is longer than {LONGEST_TEXT} bytes"));
        }
    }
    Ok(())
}

/// The steps of a part, those of sequences in their places. JSON's own depth is bounded.
fn flatten<'a>(step: &'a Json, list: &str, steps: &mut Vec<&'a Json>) {
    match step[list].as_array() {
        Some(inner) => inner.iter().for_each(|step| flatten(step, list, steps)),
        None if step.is_null() => {}
        None => steps.push(step),
    }
}

/// How many times longer a step may make a text.
fn grown(step: &Json) -> Result<f64, String> {
    let texts = ["content", "prepend", "replacement", "prefix", "suffix"].map(|key| &step[key]);
    let pattern = &step["pattern"];
    let [plain, expression] = ["String", "Regex"].map(|key| pattern[key].as_str());
    for text in texts.iter().filter_map(|text| text.as_str()).chain(plain).chain(expression) {
        if text.len() > LONGEST_TEXT {
            return Err(format!("a text of {} bytes, expected at most {LONGEST_TEXT}", text.len()));
        }
    }
    if plain.or(expression).is_some_and(str::is_empty) {
        return Err("an empty pattern".to_owned());
    }
    if step["type"] != "Replace" {
        return Ok(1.0);
    }
    let content = step["content"].as_str().unwrap_or_default().len() as f64;
    // An expression may match one byte.
    let least = plain.map_or(1, str::len) as f64;
    Ok((content / least).max(1.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(change: impl FnOnce(&mut Json)) -> Vec<u8> {
        let mut file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "merges": [], "vocab": {"a": 0, "b": 1}}});
        change(&mut file);
        file.to_string().into_bytes()
    }

    fn replace(pattern: Json, content: &str) -> Json {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    #[test]
    fn what_makes_much_of_little_is_refused() {
        let letter = |letter: &str| json!({"String": letter});
        let doublings: Vec<Json> = (0..40).map(|_| replace(letter("a"), "aa")).collect();
        let sequence = json!({"type": "Sequence", "normalizers": doublings});
        let long = "x".repeat(100_000);
        for (part, value, word) in [
            ("normalizer", sequence.clone(), "times as long"),
            ("normalizer", json!({"type": "Sequence", "normalizers": [sequence]}), "times as long"),
            ("normalizer", replace(json!({"Regex": "."}), &long), "100000 bytes"),
            ("normalizer", replace(json!({"Regex": "."}), &long[..1000]), "1000 times"),
            ("decoder", replace(letter("a"), &long[..1000]), "1000 times"),
            ("normalizer", replace(json!({"Regex": ""}), "x"), "empty pattern"),
            ("normalizer", replace(letter(""), "x"), "empty pattern"),
            (
                "pre_tokenizer",
                json!({"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": false}),
                "empty pattern",
            ),
            ("normalizer", json!({"type": "Prepend", "prepend": long}), "100000 bytes"),
            ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}), ""),
            ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}), ""),
            ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "no base64"}), ""),
        ] {
            let error = tokenizer(&with(|file| file[part] = value.clone())).map(|_| ()).unwrap_err();
            assert!(error.contains(word), "{part} {word}: {error}");
        }
    }

    #[test]
    fn padding_and_truncation_of_the_file_are_not_followed() {
        let file = with(|file| {
            file["padding"] = json!({"strategy": {"Fixed": 2_000_000_000u32}, "direction": "Right",
                "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"});
            file["truncation"] =
                json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
        });
        let tokenizer = tokenizer(&file).unwrap();
        assert_eq!(tokenizer.encode("abba", true).unwrap().get_ids(), [0, 1, 1, 0]);
    }

    #[test]
    fn what_is_in_use_is_taken() {
        let file = with(|file| {
            file["normalizer"] = json!({"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, replace(json!({"String": " "}), "▁"), {"type": "NFC"}]});
            file["decoder"] = json!({"type": "Sequence", "decoders": [
                replace(json!({"String": "▁"}), " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        });
        tokenizer(&file).unwrap();
    }
}

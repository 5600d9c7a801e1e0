//! `zord complete`.

use serde_json::json;

use crate::program::{Zord, has_keys};
use crate::real;

const KEYS: [&str; 7] = ["text", "alternatives", "prefilled_tokens", "generated_tokens", "cached", "ms", "method"];
const PREFIX: &str = "def is_even(n):\n    return n %";

#[test]
fn a_place_in_a_file_and_the_same_on_stdin_are_completed_alike() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let text = format!("{PREFIX}\n\nprint(is_even(2))\n");
    zord.write("even.py", &text);
    let place = ["complete", "--file", "even.py", "--line", "2", "--col", "15", "--max-tokens", "8"];
    let at = zord.run(place.into_iter().chain(["--json"])).json();
    has_keys(&at, &KEYS);
    has_keys(&at["alternatives"][0], &["text", "score"]);
    assert_eq!((&at["cached"], &at["method"]), (&false.into(), &"continuation".into()));
    assert!(at["prefilled_tokens"].as_u64().unwrap() > 5 && at["generated_tokens"].as_u64().unwrap() > 0, "{at}");
    let want = at["text"].as_str().unwrap();
    assert_eq!(at["alternatives"][0]["text"], want);
    assert!(want.trim_start().starts_with('2'), "{want:?}");

    // The cursor's file and what an editor sends of it are the same place: the second answer needs no model at all.
    let object = json!({"prefix": PREFIX, "suffix": &text[PREFIX.len()..], "path": "even.py"}).to_string();
    let sent = zord.fed(["complete", "--stdin", "--json", "--max-tokens", "8"], object.as_bytes()).json();
    assert_eq!((&sent["text"], &sent["cached"]), (&want.into(), &true.into()));
    assert_eq!((&sent["prefilled_tokens"], &sent["generated_tokens"]), (&0.into(), &0.into()));
    assert_eq!(zord.run(place).silent(), format!("{want}\n"));

    // Having typed what was suggested, the rest of it is still known.
    let typed = want.len().min(2);
    let object = json!({"prefix": format!("{PREFIX}{}", &want[..typed]), "suffix": &text[PREFIX.len()..]});
    let object = json!({"path": "even.py", "prefix": object["prefix"], "suffix": object["suffix"]}).to_string();
    let rest = zord.fed(["complete", "--stdin", "--json", "--max-tokens", "8"], object.as_bytes()).json();
    if typed < want.len() {
        assert_eq!((&rest["text"], &rest["cached"]), (&want[typed..].into(), &true.into()));
    }

    // A cache that something else wrote is no cache.
    zord.write("cache/suggestions", "rubbish");
    let again = zord.run(place.into_iter().chain(["--json"])).json();
    assert_eq!((&again["text"], &again["cached"]), (&want.into(), &false.into()));
}

#[test]
fn alternatives_are_different_and_the_best_comes_first() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let object = json!({"prefix": "names = [\"Ann\", ", "suffix": "]\nprint(names)\n", "path": "a.py"}).to_string();
    let args = ["complete", "--stdin", "--json", "--alternatives", "4", "--max-tokens", "12"];
    let answer = zord.fed(args, object.as_bytes()).json();
    let list = answer["alternatives"].as_array().unwrap();
    assert!((2..=4).contains(&list.len()), "{answer}");
    let scores: Vec<f64> = list.iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{answer}");
    let texts: std::collections::HashSet<&str> = list.iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), list.len());
    assert!(texts.iter().all(|text| !text.contains('\n')), "there is text behind the cursor: {answer}");
}

#[test]
fn places_that_are_not_there_are_named() {
    let zord = Zord::new();
    zord.write("a.py", "one\nzwölf\n");
    zord.write("latin.py", b"caf\xe9\n");
    std::fs::create_dir(zord.path("folder")).unwrap();
    let at = |file, line, col| zord.run(["complete", "--file", file, "--line", line, "--col", col]);
    at("a.py", "9", "1").refused(1, &["`a.py` has 3 lines, not 9"]);
    at("a.py", "2", "7").refused(1, &["`a.py` has 6 columns in line 2, not 7"]);
    at("a.py", "1", "1").refused(1, &["nothing before the cursor"]);
    at("none.py", "1", "1").refused(1, &["cannot read `none.py`"]);
    at("folder", "1", "1").refused(1, &["cannot read `folder`"]);
    at("latin.py", "1", "1").refused(1, &["cannot read `latin.py`: it is not UTF-8 text"]);
    at("a.py", "0", "1").refused(2, &["--line"]);
    at("a.py", "1", "18446744073709551616").refused(2, &["--col"]);
    zord.run(["complete", "--file", "a.py", "--line", "1"]).advised(2, &["--col"]);
    zord.run(["complete"]).advised(2, &["--file"]);
    zord.run(["complete", "--stdin", "--file", "a.py"]).refused(2, &["--stdin"]);
}

#[test]
fn what_is_no_request_is_refused() {
    let zord = Zord::new();
    let bad: [(&[u8], &str); 6] = [
        (b"", "EOF"),
        (b"{nope", "line 1"),
        (b"[]", "JSON"),
        (b"{\"suffix\": \"x\"}", "prefix"),
        (b"{\"prefix\": \"x\", \"sufix\": \"y\"}", "sufix"),
        (b"{\"prefix\": 3}", "string"),
    ];
    for (input, word) in bad {
        zord.fed(["complete", "--stdin"], input).advised(1, &["stdin is not the JSON it should be", word]);
    }
    zord.fed(["complete", "--stdin"], b"\xff\xfe").refused(1, &["stdin"]);
    zord.fed(["complete", "--stdin"], b"{\"prefix\": \" \"}").refused(1, &["nothing before the cursor"]);
}

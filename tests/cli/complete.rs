//! `zord complete`.

use serde_json::json;
use zord::engine::{CompleteRequest, Sampling, Work};

use crate::program::{Zord, has_keys};
use crate::real::{self, Asked, one_thread};

const KEYS: [&str; 7] = ["text", "alternatives", "prefilled_tokens", "generated_tokens", "cached", "ms", "method"];
const PREFIX: &str = "def is_even(n):\n    return n %";

#[test]
fn a_place_in_a_file_and_the_same_on_stdin_are_continued_alike() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let request = CompleteRequest {
        prefix: PREFIX.into(),
        sampling: Sampling::default(),
        max_tokens: 8,
        stop: vec!["\n\n".into()],
        ignore_end: false,
    };
    let mut engine = Asked::local(model, one_thread());
    let (want, ..) = real::generated(engine.work(Work::Complete(request)).1);
    engine.stop();

    zord.write("even.py", format!("{PREFIX}\n\nprint(is_even(2))\n"));
    let place = ["complete", "--file", "even.py", "--line", "2", "--col", "15", "--max-tokens", "8"];
    assert_eq!(zord.run(place).silent(), format!("{want}\n"));
    let at = zord.run(place.into_iter().chain(["--json"])).json();
    has_keys(&at, &KEYS);
    assert_eq!(at["text"], want.as_str());
    has_keys(&at["alternatives"][0], &["text", "score"]);

    let object = json!({"prefix": PREFIX, "suffix": "\n\nprint(is_even(2))\n", "path": "even.py"}).to_string();
    let args = ["complete", "--stdin", "--json", "--max-tokens", "8"];
    let sent = zord.fed(args, object.as_bytes()).json();
    assert_eq!(sent["text"], want.as_str());
    assert_eq!(sent["generated_tokens"], at["generated_tokens"]);
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
    at("latin.py", "1", "1").refused(1, &["`latin.py` is not UTF-8"]);
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

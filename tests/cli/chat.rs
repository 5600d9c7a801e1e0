//! `zord chat`.

use std::io::{BufRead, BufReader, Read};

use rustix::process::{Pid, Signal, kill_process};
use zord::chat::{Message, Role};
use zord::engine::ChatRequest;

use crate::program::{DONE, Ran, Zord, has_keys, lines, pieces};
use crate::real::{self, Asked, one_thread};

const SUM: &str = "What is 2+2?";

fn turns(turns: &[(Role, &str)], max_tokens: Option<u32>) -> ChatRequest {
    let turns = turns.iter().map(|&(role, text)| Message::new(role, text)).collect();
    ChatRequest { turns, max_tokens, ..ChatRequest::default() }
}

#[test]
fn the_program_prints_what_the_engine_answers() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let mut engine = Asked::local(model, one_thread());
    let (text, _, stats) = engine.chat(turns(&[(Role::User, SUM)], None));
    let polite = turns(&[(Role::System, "You are a pirate."), (Role::User, SUM)], Some(24));
    let (pirate, ..) = engine.chat(polite);
    let code = "def is_even(n):\n    return n %";
    let (raw, ..) = engine.chat(ChatRequest { raw: true, ..turns(&[(Role::User, code)], Some(12)) });
    engine.stop();

    assert_eq!(zord.run(["chat", SUM]).silent(), format!("{text}\n"));
    let lines = zord.run(["chat", "--json", SUM]).lines();
    assert_eq!(pieces(&lines), text);
    let done = lines.last().unwrap();
    has_keys(done, &DONE);
    assert_eq!((&done["text"], &done["stop"]), (&text.as_str().into(), &"end".into()));
    assert_eq!(done["prompt_tokens"], stats.prompt_tokens);
    assert_eq!(done["generated_tokens"], stats.generated_tokens);
    assert!(lines[..lines.len() - 1].iter().all(|line| line["type"] == "piece"));

    let system = zord.run(["chat", "--system", "You are a pirate.", "--max-tokens", "24", SUM]).silent();
    assert_eq!(system.trim_end_matches('\n'), pirate.trim_end_matches('\n'));
    let said = zord.run(["chat", "--raw", "--max-tokens", "12", code]).silent();
    assert_eq!(said.trim_end_matches('\n'), raw.trim_end_matches('\n'));
}

#[test]
fn limits_and_stop_texts_end_an_answer() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let done = zord.run(["chat", "--json", "--stop", "math", "--stop", "never said", SUM]).lines();
    let last = done.last().unwrap();
    assert_eq!(last["stop"], "text");
    assert!(last["text"].as_str().unwrap().ends_with("classic "), "{last}");
    assert_eq!(pieces(&done), last["text"].as_str().unwrap());
    let done = zord.run(["chat", "--json", "--max-tokens", "3", SUM]).done();
    assert_eq!((&done["stop"], &done["generated_tokens"]), (&"length".into(), &3.into()));
}

#[test]
fn a_text_that_fills_the_context_ends_with_it() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    // A text without turns has nothing that could be dropped, and this one goes on as it began.
    let text = "one and two and ".repeat(50);
    let done = zord.run(["chat", "--raw", "--ctx", "256", "--json", text.trim_end()]).done();
    assert_eq!(done["stop"], "context", "{done}");
    let number = |key: &str| done[key].as_u64().unwrap();
    // The last token follows from a full context and has no place in it.
    assert_eq!((number("context_tokens"), number("prompt_tokens") + number("generated_tokens")), (256, 257), "{done}");
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let answer = |seed| {
        let args = ["chat", "--preset", "explore", "--max-tokens", "24", "--seed", seed, "Tell me a story."];
        zord.run(args).silent()
    };
    let one = answer("7");
    assert_eq!(answer("7"), one);
    assert_ne!(answer("8"), one);
}

/// Runs with what is sent to the model in the log.
fn watched(zord: &Zord, args: &[&str], input: &[u8]) -> Ran {
    crate::program::feed(zord.command(args).env("ZORD_LOG", "zord::engine=trace"), input)
}

#[test]
fn attached_files_and_piped_text_stand_before_the_question() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    zord.write("a.py", "def first(): pass\n");
    zord.write("b.py", "def second(): pass\n");
    let args = ["chat", "--attach", "a.py", "--attach", "b.py", "--max-tokens", "2", "What is this?"];
    let sent = watched(&zord, &args, b"a line from the pipe\n");
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    let parts =
        ["`a.py`:", "def first(): pass", "`b.py`:", "def second(): pass", "a line from the pipe", "What is this?"];
    let places: Vec<_> = parts.iter().map(|part| sent.err.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {}", sent.err);

    let alone = zord.run(["chat", "--json", "--max-tokens", "1", SUM]).done()["prompt_tokens"].clone();
    let args = ["chat", "--json", "--max-tokens", "1", "--no-stdin", SUM];
    assert_eq!(zord.fed(args, b"a line from the pipe\n").done()["prompt_tokens"], alone);
    let args = ["chat", "--json", "--max-tokens", "1", SUM];
    assert_ne!(zord.fed(args, b"a line from the pipe\n").done()["prompt_tokens"], alone);
    // The question itself may come by the pipe.
    let piped = zord.fed(["chat", "--json", "--max-tokens", "1", "-"], SUM.as_bytes()).done();
    assert_eq!(piped["prompt_tokens"], alone);
}

#[test]
fn what_cannot_be_attached_is_said_before_a_model_is_loaded() {
    let zord = Zord::new();
    std::fs::create_dir(zord.path("folder")).unwrap();
    zord.write("binary.o", b"\x7fELF\x02\x01\0\0\xff\xfe");
    zord.run(["chat", "--attach", "folder", "hi"]).advised(1, &["`folder` is a folder", "--attach"]);
    zord.run(["chat", "--attach", "none.rs", "hi"]).refused(1, &["cannot read `none.rs`", "No such file"]);
    zord.run(["chat", "--attach", "binary.o", "hi"]).refused(1, &["`binary.o` is no text"]);
    zord.run(["chat"]).advised(2, &["there is no question", "zord chat"]);
}

#[test]
fn a_long_log_keeps_its_beginning_and_its_end() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let mut log: String = (1..=20_000).map(|i| format!("   Compiling crate-{i} v0.1.{i}\n")).collect();
    log.push_str("error[E0425]: cannot find value `colour` in this scope\n");
    let args = ["chat", "--ctx", "512", "--json", "--max-tokens", "8", "What is wrong?"];
    let ran = zord.fed(args, log.as_bytes());
    assert!(ran.err.starts_with("notice: the input is longer than the context; "), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    let done = ran.done();
    let tokens = done["prompt_tokens"].as_u64().unwrap();
    assert!(tokens > 400 && tokens < 512, "{done}");
    assert_eq!(done["generated_tokens"], 8);

    let sent = watched(&zord, &args, log.as_bytes()).err;
    for kept in
        ["Compiling crate-1 v0.1.1\n", "crate-20000 v0.1.20000\n", "error[E0425]", "What is wrong?", "lines left out"]
    {
        assert!(sent.contains(kept), "`{kept}` is not in {sent}");
    }
    assert!(!sent.contains("crate-10000 "));
}

#[test]
fn text_that_is_not_utf8_is_replaced_and_said() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let ran = zord.fed(["chat", "--max-tokens", "2", "What is this?"], b"caf\xe9 \xff\xfe\n");
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.err, "notice: stdin is not all UTF-8; what is not was replaced\n");
}

/// A question whose answer has no end in sight.
const ENDLESS: [&str; 5] = ["chat", "--ctx", "8192", "--stop", "\u{1}"];
const COUNT: &str = "Write down all numbers from one to ten thousand in words, each on its own line.";

#[test]
fn a_reader_that_goes_away_is_success() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    for form in [&[COUNT][..], &["--json", COUNT]] {
        let mut child = zord.spawn(ENDLESS.iter().chain(form));
        let mut some = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        // That it ends at all says that it noticed: the answer has no end.
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{form:?}");
    }
}

#[test]
fn an_interrupt_keeps_what_was_said() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let mut child = zord.spawn(ENDLESS.into_iter().chain(["--json", COUNT]));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..3 {
        out.read_line(&mut text).unwrap();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (Some(130), ""));
    let lines = lines(&text);
    let done = lines.last().unwrap();
    assert_eq!(done["stop"], "cancelled");
    assert_eq!(pieces(&lines), done["text"].as_str().unwrap());
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let ran = zord.run(["chat", "--budget", "50MiB", SUM]);
    ran.advised(1, &["needs", "the budget is 50.0 MiB", "--budget"]);
}

#[test]
fn the_log_of_llama_cpp_shows_only_where_asked() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let ran: Ran = zord.command(["chat", "--max-tokens", "1", SUM]).env("ZORD_LOG", "debug").output().unwrap().into();
    assert!(ran.err.contains("llama.cpp") && ran.err.contains("llama_model_loader"), "{}", ran.err);
    assert!(!ran.out.contains("llama_model_loader"));
    let file = zord.path("log");
    let mut command = zord.command(["chat", "--max-tokens", "1", SUM]);
    Ran::from(command.env("ZORD_LOG", "debug").env("ZORD_LOG_FILE", &file).output().unwrap()).silent();
    assert!(std::fs::read_to_string(file).unwrap().contains("llama_model_loader"));
}

//! What the terminal interface keeps of a conversation's KV cache: written when leaving and when memory is short, read
//! back when going on. In a real terminal with a real model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;
mod screen;

use std::path::Path;

use screen::{READY, Screen, open, stats};

const SHORT: &str = "max_tokens = 12\n[context]\nsize = 2048\n";

fn ask(screen: &mut Screen, home: &Path, question: &str) {
    let before = stats(home).len();
    screen.keys(&format!("\x1b[200~{question}\x1b[201~\r"));
    screen.wait("the end of the answer", |text| text.contains(READY) && stats(home).len() > before);
}

/// Some 700 tokens.
fn long() -> String {
    let function = |n| format!("def area_{n}(width, height):\n    return width * height + {n}\n\n");
    format!("What does this do?\n{}", (0..30).map(function).collect::<String>())
}

fn snapshots(home: &Path) -> usize {
    let files = std::fs::read_dir(home.join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "kv")).count()
}

#[test]
fn leaving_keeps_the_cache_and_going_on_reads_it_back() {
    let Some(model) = real::smollm2() else { return };
    let home = screen::home(&[model.as_path()], SHORT);
    let mut screen = open(home.path());
    screen.wait_for(READY);
    ask(&mut screen, home.path(), &long());
    assert_eq!(snapshots(home.path()), 0);
    screen.keys("/quit\r");
    assert!(screen.end().success());
    assert_eq!(snapshots(home.path()), 1);

    let mut screen = open(home.path());
    screen.wait_for(READY);
    screen.keys("/sessions\r");
    screen.wait_for("What does this do?");
    screen.keys("\r");
    screen.wait("the conversation", |text| text.contains("more rows") || text.contains("area_29"));
    ask(&mut screen, home.path(), "And in one word?");
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let stats = stats(home.path());
    let number = |n: usize, key: &str| stats[n][key].as_u64().unwrap();
    assert!(number(0, "prefilled_tokens") > 500, "{stats:?}");
    assert!(number(1, "prompt_tokens") > number(0, "prompt_tokens"));
    assert!(number(1, "prefilled_tokens") < 40, "only what is new is evaluated: {stats:?}");
}

#[test]
fn the_last_conversation_of_a_folder_is_resumed_and_a_cut_answer_is_finished() {
    let Some(model) = real::smollm2() else { return };
    let home = screen::home(&[model.as_path()], SHORT);
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut screen = Screen::open(home.path(), here.path(), &[], 80, 24);
    screen.wait_for(READY);
    ask(&mut screen, home.path(), "Tell me of the sea.");
    screen.wait_for("/finish");
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let mut screen = Screen::open(home.path(), there.path(), &["--continue"], 80, 24);
    screen.wait_for("no earlier conversation in this folder");
    screen.wait_for(READY);
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let mut screen = Screen::open(home.path(), here.path(), &["--continue"], 80, 24);
    screen.wait("it with the model", |text| text.contains("Tell me of the sea.") && text.contains(" mem "));
    screen.keys("/finish\r");
    screen.wait("the rest of the answer", |text| text.contains(READY) && stats(home.path()).len() == 2);
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let turns = &screen::last_session(home.path())["turns"];
    // a greedy model that is not stopped by the limit writes the same text in one go
    let whole = screen::zord(
        home.path(),
        &["chat", "Tell me of the sea.", "--max-tokens", "24", "--preset", "greedy", "--no-stdin"],
    );
    let text = turns[turns.as_array().unwrap().len() - 1]["text"].as_str().unwrap().to_owned();
    assert_eq!(text.trim(), String::from_utf8_lossy(&whole.stdout).trim());
}

const ASKED: &str = "Use it as context in this folder?";

#[test]
fn notes_of_a_folder_are_asked_about_once_and_stand_in_the_prompt_when_it_is_resumed() {
    let Some(model) = real::smollm2() else { return };
    let home = screen::home(&[model.as_path()], SHORT);
    let folder = tempfile::tempdir().unwrap();
    let rules: String = (0..400).map(|n| format!("Rule {n}: write short functions.\n")).collect();
    std::fs::write(folder.path().join("AGENTS.md"), rules).unwrap();
    let open = || Screen::open(home.path(), folder.path(), &[], 80, 24);
    let mut screen = open();
    screen.wait("the question, with the model loaded", |text| text.contains(ASKED) && text.contains(" mem "));
    // nobody answers in the moment in which it appears
    screen.settle(std::time::Duration::from_millis(400));
    screen.keys("\r");
    screen.wait_for("goes with the first question");
    ask(&mut screen, home.path(), "Why?");
    screen.wait_for("was cut to a quarter of the context");
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let notes = &screen::last_session(home.path())["notes"];
    let text = notes["text"].as_str().unwrap().to_owned();
    assert_eq!(notes["name"], "AGENTS.md");
    assert!(text.starts_with("Rule 0") && text.ends_with("functions.\n") && text.len() <= 1792, "{text}");

    // agreed to: not asked again, and the conversation goes on with what it had, whatever the file says now
    let mut screen = open();
    screen.wait("a start without the question", |text| text.contains(READY) && text.contains("AGENTS.md goes with"));
    assert!(!screen.text().contains(ASKED));
    screen.keys("/quit\r");
    assert!(screen.end().success());
    std::fs::write(folder.path().join("AGENTS.md"), "Something else.\n").unwrap();
    let mut screen = Screen::open(home.path(), folder.path(), &["--continue"], 80, 24);
    screen.wait("it with the model", |text| text.contains("+ AGENTS.md") && text.contains(" mem "));
    ask(&mut screen, home.path(), "And in one word?");
    assert_eq!(screen::last_session(home.path())["notes"]["text"], text.as_str());
    let stats = stats(home.path());
    let number = |n: usize, key: &str| stats[n][key].as_u64().unwrap();
    assert!(number(0, "prompt_tokens") > 350, "{stats:?}");
    assert!(number(1, "prefilled_tokens") < 40, "only what is new is evaluated: {stats:?}");
    // other content, a new conversation: asked again
    screen.keys("/new\r");
    screen.wait_for(ASKED);
    screen.settle(std::time::Duration::from_millis(400));
    screen.keys("\x1b");
    screen.wait_for("`AGENTS.md` is not used");
    screen.keys("/quit\r");
    assert!(screen.end().success());
}

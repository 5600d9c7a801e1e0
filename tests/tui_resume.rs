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

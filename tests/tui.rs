//! The terminal interface in a real terminal with a real model: what is seen, what survives, what is left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;
mod screen;

use std::io::{Read, Write};
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;
use screen::{BUSY, READY, Screen, last_session, open};

/// Its answer takes many seconds.
const LONG: &str = "Write a long story about a lighthouse keeper.";

fn home() -> Option<tempfile::TempDir> {
    real::smollm2().map(|model| screen::home(&[model.as_path()], ""))
}

/// Text without what drawing and Markdown may change.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// What of the answer to `question` is seen, from the line after the question to the rule over the input.
fn seen_answer(screen: &str, question: &str) -> String {
    let after = screen.split_once(question).map_or(screen, |(_, after)| after);
    let lines = after.lines().skip(1).take_while(|line| !line.starts_with("──"));
    // Until the answer begins, its place says what is done meanwhile; what is told stands below it.
    let told = |line: &&str| line.contains("reading ") || line.contains("waiting") || line.starts_with("· ");
    lines.filter(|line| !told(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_question_is_answered_and_the_terminal_given_back() {
    let Some(home) = home() else { return };
    let mut screen = open(home.path());
    screen.wait_for(READY);
    screen.keys("What is 2+2?\r");
    screen.wait_for("classic math problem is 4.");
    // the rate is told while it is written too
    screen.wait("the end of the answer", |text| text.contains("tok/s") && text.contains(READY));
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    assert!(raw.contains("\x1b[?1049h") && raw.trim_end().contains("\x1b[?1049l"), "the alternate screen is left");
    assert!(raw.rfind("\x1b[?25h") > raw.rfind("\x1b[?25l"), "the cursor is shown again");
    assert!(raw.rfind("\x1b[?2004l") > raw.rfind("\x1b[?2004h"), "bracketed paste is off again");
    let session = last_session(home.path());
    assert_eq!(session["turns"][0]["text"], "What is 2+2?");
    assert_eq!(session["turns"][1]["stop"], "end");
}

#[test]
fn signals_give_the_terminal_back_and_lose_nothing() {
    let Some(home) = home() else { return };
    for signal in [Signal::TERM, Signal::HUP] {
        let mut screen = open(home.path());
        screen.wait_for(READY);
        screen.keys(&format!("{LONG}\r"));
        screen.wait("an answer", |text| text.contains(BUSY) && bare(&seen_answer(text, LONG)).len() > 40);
        let seen = bare(&seen_answer(&screen.text(), LONG));
        screen.signal(signal);
        screen.end();
        let raw = String::from_utf8_lossy(&screen.raw).into_owned();
        assert!(raw.contains("\x1b[?1049l"));
        let text = bare(last_session(home.path())["turns"][1]["text"].as_str().unwrap());
        assert!(text.starts_with(&seen[..seen.len().min(400)]), "{seen}\n--\n{text}");
    }
}

/// A terminal's window closed, a session of Termux ended: nothing can be written any more, to the standard error neither.
#[test]
fn a_terminal_that_vanishes_is_an_orderly_end() {
    let Some(home) = home() else { return };
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_zord"));
    command.env("ZORD_HOME", home.path());
    command.env("TERM", "xterm-256color");
    command.cwd(home.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let (mut reader, mut keys) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
    let mut parser = vt100::Parser::new(std::num::NonZero::new(24).unwrap(), std::num::NonZero::new(80).unwrap(), 0);
    let mut read_until = |parser: &mut vt100::Parser, words: &str| {
        let mut buffer = [0; 4096];
        while !parser.screen().contents().contains(words) {
            let n = reader.read(&mut buffer).unwrap();
            parser.process(&buffer[..n]);
        }
    };
    read_until(&mut parser, READY);
    keys.write_all(format!("{LONG}\r").as_bytes()).unwrap();
    read_until(&mut parser, BUSY);
    // every copy of the terminal's other end goes
    drop((reader, keys, pair.master));
    let status = child.wait().unwrap();
    // by the signal, or by the first frame that could not be drawn
    assert!([1, 130].contains(&status.exit_code()), "{status:?}");
    let marked = std::fs::read_dir(home.path().join("cache/running")).unwrap().count();
    assert_eq!(marked, 0, "the next start takes it for an orderly end");
    assert_eq!(last_session(home.path())["turns"][0]["text"], LONG);
}

/// The context that the status line tells, as `0/8.1k`; `None` before a model is loaded.
fn context(text: &str) -> Option<String> {
    let last = text.trim_end().lines().last()?;
    let told = last.split_once(" ctx ")?.1;
    // the memory in use is told from then on
    told.contains(" mem ").then(|| told.split(' ').next().unwrap_or_default().to_owned())
}

#[test]
fn a_crash_is_named_at_the_next_start_and_the_question_stands_in_the_input() {
    let Some(home) = home() else { return };
    let mut screen = open(home.path());
    screen.wait_for(READY);
    screen.keys(&format!("{LONG}\r"));
    screen.wait("an answer", |text| text.contains(BUSY) && bare(&seen_answer(text, LONG)).len() > 20);
    screen.signal(Signal::SEGV);
    assert!(!screen.end().success());
    let raw = String::from_utf8_lossy(&screen.raw).into_owned();
    let at = |words: &str| raw.rfind(words).unwrap_or_else(|| panic!("no {words:?} in {raw:?}"));
    assert!(at("\x1b[?1049l") > at("\x1b[?1049h"), "the alternate screen is left");
    assert!(at("zord crashed while writing the answer (segmentation fault)") > at("\x1b[?1049l"));
    let mut again = open(home.path());
    again.wait_for("Zord crashed last time while writing the answer");
    again.keys("\x1b");
    again.wait("the question in the input", |text| {
        text.lines().any(|line| line.trim_start().starts_with(['›', '>', '❯']) && line.contains(LONG))
    });
    assert!(!again.text().contains("was killed"), "{}", again.text());
    again.keys("\x03\x03\x03");
    again.end();
}

#[test]
fn after_a_kill_the_context_is_as_large_as_before_where_it_fits() {
    let Some(home) = home() else { return };
    let mut screen = open(home.path());
    screen.wait("the model's context", |text| text.contains(READY) && context(text).is_some());
    let before = context(&screen.text());
    assert_eq!(before.as_deref(), Some("0/8.1k"), "this small model has room for all it was trained for");
    screen.signal(Signal::KILL);
    screen.end();
    let mut again = open(home.path());
    again.wait_for("Zord was killed last time");
    again.wait("the same context", |text| text.contains(READY) && context(text) == before);
    again.keys("\x03\x03\x03");
    again.end();
    let mut third = open(home.path());
    third.wait("the model's context", |text| text.contains(READY) && context(text) == before);
    assert!(!third.text().contains("was killed"), "it is told once: {}", third.text());
    third.keys("\x03\x03\x03");
    third.end();
}

#[test]
fn escape_stops_an_answer_and_what_came_stays() {
    let Some(home) = home() else { return };
    let mut screen = open(home.path());
    screen.wait_for(READY);
    screen.keys(&format!("{LONG}\r"));
    screen.wait("an answer", |text| text.contains(BUSY) && bare(&seen_answer(text, LONG)).len() > 20);
    screen.keys("\x1b");
    screen.wait_for(READY);
    screen.keys("/quit\r");
    screen.end();
    assert_eq!(last_session(home.path())["turns"][1]["stop"], "cancelled");
}

#[test]
fn nothing_is_written_while_idle_and_any_size_is_survived() {
    let Some(home) = home() else { return };
    let mut screen = open(home.path());
    screen.wait_for(READY);
    screen.settle(Duration::from_millis(1500));
    for (columns, rows) in [(1, 1), (2, 2), (0, 0), (45, 30), (200, 3), (80, 24)] {
        screen.resize(columns, rows);
        screen.settle(Duration::from_millis(150));
    }
    screen.wait_for(READY);
    screen.keys("\x1b[200~pasted\r\ntext \x1b]0;evil\x07中文\x1b[201~");
    screen.wait_for("pasted");
    screen.wait_for("中文");
    screen.keys("\x03\x03\x03");
    screen.end();
}

/// What is seen, but for the line that tells the memory in use; blanks that were written are as good as none.
fn steady(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    lines[..lines.len().saturating_sub(1)].join("\n")
}

/// A terminal with a model that is loaded and half a thought in the input.
fn with_half_a_thought(home: &std::path::Path) -> Screen {
    let mut screen = open(home);
    screen.wait("the model", |text| text.contains(READY) && text.contains(" mem "));
    screen.keys("half a thought");
    screen.wait_for("half a thought");
    screen
}

#[test]
fn suspended_and_resumed_it_draws_itself_again() {
    let Some(home) = home() else { return };
    let mut screen = with_half_a_thought(home.path());
    let before = screen.raw.len();
    let seen = steady(&screen.text());
    screen.keys("\x1a");
    screen.stopped();
    assert!(String::from_utf8_lossy(&screen.raw[before..]).contains("\x1b[?1049l"), "left while stopped");
    screen.signal(Signal::CONT);
    screen.wait("everything again", |text| steady(text) == seen);
    screen.settle(Duration::from_millis(150));
    assert_eq!(steady(&screen.text()), seen, "nothing is taken away again");
    screen.keys(" or two");
    screen.wait_for("half a thought or two");
    screen.keys("\x03\x03\x03");
    screen.end();
}

#[test]
fn stopped_from_outside_it_draws_everything_again() {
    let Some(home) = home() else { return };
    let mut screen = with_half_a_thought(home.path());
    let seen = steady(&screen.text());
    assert!(screen.is_raw());
    screen.signal(Signal::STOP);
    screen.stopped();
    screen.read_lines();
    // What a shell does meanwhile: another screen, its own words, lines read whole.
    screen.parser.process(b"\x1b[?1049l\x1b[2J\x1b[?2004l$ ls\r\nnotes");
    let before = screen.raw.len();
    screen.signal(Signal::CONT);
    screen.wait("everything again", |text| steady(text) == seen);
    let again = String::from_utf8_lossy(&screen.raw[before..]).into_owned();
    assert!(again.contains("\x1b[?1049h") && again.contains("\x1b[?2004h"), "{again:?}");
    assert!(screen.is_raw(), "raw mode is taken again");
    screen.keys(" or two");
    screen.wait_for("half a thought or two");
    screen.keys("\x03\x03\x03");
    screen.end();
}

#[test]
fn what_was_typed_stands_in_the_input_again_after_a_kill() {
    let Some(home) = home() else { return };
    let mut screen = with_half_a_thought(home.path());
    let names =
        || std::fs::read_dir(home.path().join("unsent")).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    // what is being written has a hidden name
    let kept = || names().filter(|name| !name.to_string_lossy().starts_with('.')).count();
    screen.wait("the text on disk", |_| kept() == 1);
    screen.signal(Signal::KILL);
    screen.end();
    let mut screen = open(home.path());
    screen.wait("the text again", |text| text.contains("half a thought"));
    screen.keys("\x03\x03\x03");
    screen.end();
    assert_eq!(kept(), 0, "what was given up is not kept");
}

/// A linear congruential generator, so that the moments are the same in every run.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Each kill has a slice of the 1.2 seconds in which an answer begins for itself, so that all of them are met.
const KILLS: u64 = 16;

#[test]
fn killed_at_any_moment_at_most_the_last_second_is_lost() {
    let Some(home) = home() else { return };
    let question = LONG;
    let mut moments = Moments(20_261_121);
    for kill in 0..KILLS {
        let mut screen = open(home.path());
        if kill > 0 {
            // The newest conversation is offered; this test wants a new one.
            screen.wait_for("Resume?");
            screen.keys("\x1b");
        }
        screen.wait("the input", |text| text.contains(READY) && !text.contains("Resume?"));
        screen.keys(&format!("{question}\r"));
        screen.wait_for(BUSY);
        screen.watch(Duration::from_millis(1200 * kill / KILLS + moments.next(1200 / KILLS)));
        let seen = bare(&seen_answer(&screen.text(), question));
        // What is seen now must be safe a second later.
        screen.watch(Duration::from_millis(1000));
        screen.signal(Signal::KILL);
        screen.end();
        let session = last_session(home.path());
        assert_eq!(session["turns"][0]["text"], question, "kill {kill}");
        let text = bare(session["turns"][1]["text"].as_str().unwrap_or_default());
        assert!(text.starts_with(&seen), "kill {kill}: seen\n{seen}\nkept\n{text}");
    }
    let mut screen = open(home.path());
    screen.wait_for("Resume?");
    // an answer counts a moment after the first frame
    screen.settle(Duration::from_millis(300));
    screen.keys("\r");
    screen.wait_for(question);
    screen.keys("\x03\x03\x03");
    screen.end();
}

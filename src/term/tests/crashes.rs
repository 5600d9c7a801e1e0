//! A process that crashes in a terminal of its own.
#![allow(unsafe_code)]

use super::{Seen, assert_given_back, in_a_terminal};
#[cfg(feature = "engine")]
use crate::crash::last_words;
use crate::crash::{Doing, SIGNALS, Step, arm, mark_in};
use crate::term::Screen;

/// Not a test of its own: the process that the tests below start.
#[test]
fn crashes() {
    let Some(mark) = std::env::var_os("ZORD_TEST_CRASH") else { return };
    arm();
    let mark = std::fs::File::create(mark).unwrap();
    mark_in(Some(&mark));
    let mut screen = Screen::take().unwrap();
    screen.draw(|frame| frame.render_widget("before", frame.area())).unwrap();
    screen.mouse(true);
    let signal: i32 = std::env::var("ZORD_TEST_SIGNAL").unwrap().parse().unwrap();
    #[cfg(feature = "engine")]
    if std::env::var_os("ZORD_TEST_WORDS").is_some() {
        last_words(b"/a/folder/ops.cpp:12: GGML_ASSERT(a/b: \x1bc) failed");
    }
    let writing = Doing::now(Step::Writing);
    drop(Doing::now(Step::Completing));
    // where an engine's kernels run: threads that nobody gave a stack for signals, many at once
    let crash = || {
        // SAFETY: that is what is tested.
        unsafe { libc::raise(signal) };
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(crash))));
    drop(writing);
}

/// Has this test program crash there; gives what is seen, and the mark on disk.
fn after(signal: i32, words: bool) -> (Seen, String) {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let signal = signal.to_string();
    let mut environment = vec![("ZORD_TEST_CRASH", mark.as_os_str()), ("ZORD_TEST_SIGNAL", signal.as_ref())];
    if words {
        environment.push(("ZORD_TEST_WORDS", "1".as_ref()));
    }
    let seen = in_a_terminal("term::tests::crashes::crashes", &environment);
    (seen, std::fs::read_to_string(mark).unwrap())
}

#[test]
fn a_crash_gives_the_terminal_back_says_what_it_was_and_leaves_a_mark() {
    for (signal, name) in SIGNALS {
        let (Seen { wrote, lines, status }, mark) = after(signal, false);
        assert!(lines, "{name}: lines are read whole again");
        let left = assert_given_back(&wrote);
        let said = format!("error: zord crashed while writing the answer ({name})");
        assert!(wrote.rfind(&said) > Some(left), "{name}: {wrote:?}");
        assert_eq!(wrote.matches("zord crashed").count(), 1, "{name}: {wrote:?}");
        assert_eq!(mark, "crashed writing\n", "{name}");
        assert!(!status.success(), "{name}: {status:?}");
        assert!(status.signal().is_some(), "{name}: ended by its own signal: {status:?}");
    }
}

#[cfg(feature = "engine")]
#[test]
fn the_words_of_an_assertion_are_told_without_its_folder() {
    let (Seen { wrote, .. }, _) = after(libc::SIGABRT, true);
    assert!(
        wrote.contains("error: zord crashed while writing the answer: ops.cpp:12: GGML_ASSERT(a/b:  c) failed"),
        "{wrote:?}"
    );
}

//! A process that crashes in a terminal of its own.

use std::io::Read;

use portable_pty::{CommandBuilder, ExitStatus, PtySize, native_pty_system};

use super::*;
use crate::term::Screen;

/// Not a test of its own: the process that the tests below start.
#[test]
fn crashes() {
    let Some(mark) = std::env::var_os("ZORD_TEST_CRASH") else { return };
    arm();
    let mark = File::create(mark).unwrap();
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

struct After {
    wrote: String,
    lines: bool,
    mark: String,
    status: ExitStatus,
}

fn after(signal: i32, words: bool) -> After {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::tests::crashes", "--nocapture", "--test-threads=1"]);
    command.env("ZORD_TEST_CRASH", &mark);
    command.env("ZORD_TEST_SIGNAL", signal.to_string());
    if words {
        command.env("ZORD_TEST_WORDS", "1");
    }
    command.env("TERM", "xterm-256color");
    command.cwd(folder.path());
    let mut child = pair.slave.spawn_command(command).unwrap();
    let mut reader = pair.master.try_clone_reader().unwrap();
    let wrote = std::thread::spawn(move || {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        // the end of a terminal without a process is an error, not an end
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            all.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8_lossy(&all).into_owned()
    });
    let status = child.wait().unwrap();
    let modes = format!("{:?}", pair.master.get_termios().unwrap().local_flags);
    drop(pair.slave);
    let lines = modes.contains("ICANON") && modes.contains("ECHO");
    After { wrote: wrote.join().unwrap(), lines, mark: std::fs::read_to_string(mark).unwrap(), status }
}

#[test]
fn a_crash_gives_the_terminal_back_says_what_it_was_and_leaves_a_mark() {
    for (signal, name) in SIGNALS {
        let After { wrote, lines, mark, status } = after(signal, false);
        let at = |sequence: &str| wrote.rfind(sequence).unwrap_or_else(|| panic!("no {sequence:?} in {wrote:?}"));
        assert!(lines, "{name}: lines are read whole again");
        assert!(at("\x1b[?1049l") > at("\x1b[?1049h") && at("\x1b[?25h") > at("\x1b[?25l"), "{name}: {wrote:?}");
        assert!(at("\x1b[?2004l") > at("\x1b[?2004h") && at("\x1b[?1000l") > at("\x1b[?1000h"), "{name}: {wrote:?}");
        let said = format!("error: zord crashed while writing the answer ({name})");
        assert!(at(&said) > at("\x1b[?1049l"), "{name}: {wrote:?}");
        assert_eq!(wrote.matches("zord crashed").count(), 1, "{name}: {wrote:?}");
        assert_eq!(mark, "crashed writing\n", "{name}");
        assert!(!status.success(), "{name}: {status:?}");
        assert!(status.signal().is_some(), "{name}: ended by its own signal: {status:?}");
    }
}

#[cfg(feature = "engine")]
#[test]
fn the_words_of_an_assertion_are_told_without_its_folder() {
    let After { wrote, .. } = after(libc::SIGABRT, true);
    assert!(
        wrote.contains("error: zord crashed while writing the answer: ops.cpp:12: GGML_ASSERT(a/b:  c) failed"),
        "{wrote:?}"
    );
}

#[test]
fn a_mark_is_read_back_and_other_lines_are_none() {
    for step in Step::ALL {
        assert_eq!(Step::from_mark(&format!("{CRASHED}{}", step.word())), Some(step));
    }
    assert_eq!(Step::from_mark("crashed otherwise"), Some(Step::Other));
    assert_eq!(Step::from_mark("context 12"), None);
}

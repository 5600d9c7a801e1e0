//! Ends in a terminal of its own: by a panic, and below by a crash.

use std::ffi::OsStr;
use std::io::Read;

use portable_pty::{CommandBuilder, ExitStatus, PtySize, native_pty_system};

use super::*;

mod crashes;

/// Not a test of its own: the process that panics in the tests below.
#[test]
fn panics_in_a_terminal() {
    let Some(whose) = std::env::var_os("ZORD_TEST_PANIC") else { return };
    let mut screen = Screen::take().unwrap();
    screen.draw(|frame| frame.render_widget("before", frame.area())).unwrap();
    screen.mouse(true);
    match whose.to_str() {
        Some("main") => panic!("the words of the panic"),
        _ => std::thread::spawn(|| panic!("the words of the panic")).join().unwrap_err(),
    };
    screen.draw(|frame| frame.render_widget("goes on", frame.area())).unwrap();
}

/// What a process left of its terminal.
struct Seen {
    wrote: String,
    /// Whether the terminal reads lines and echoes them again.
    lines: bool,
    status: ExitStatus,
}

/// Runs one test of this program, as a process in a terminal of its own.
fn in_a_terminal(test: &str, environment: &[(&str, &OsStr)]) -> Seen {
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    // one thread: the test runs on the main one, whose name the hook of panics looks at
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.env("TERM", "xterm-256color");
    command.cwd(std::env::temp_dir());
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
    // whoever holds the other end keeps it open
    drop(pair.slave);
    let lines = modes.contains("ICANON") && modes.contains("ECHO");
    Seen { wrote: wrote.join().unwrap(), lines, status }
}

/// Has this test program panic there.
fn after_a_panic(whose: &str) -> (String, bool) {
    let seen = in_a_terminal("term::tests::panics_in_a_terminal", &[("ZORD_TEST_PANIC", whose.as_ref())]);
    (seen.wrote, seen.lines)
}

/// What must have been written after the last time the terminal was taken.
#[track_caller]
fn assert_given_back(wrote: &str) -> usize {
    let at = |sequence: &str| wrote.rfind(sequence).unwrap_or_else(|| panic!("no {sequence:?} in {wrote:?}"));
    let left = at("\x1b[?1049l");
    assert!(left > at("\x1b[?1049h") && at("\x1b[?25h") > at("\x1b[?25l"), "{wrote:?}");
    assert!(at("\x1b[?2004l") > at("\x1b[?2004h") && at("\x1b[?1000l") > at("\x1b[?1000h"), "{wrote:?}");
    left
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_reported() {
    let (wrote, lines) = after_a_panic("main");
    let left = assert_given_back(&wrote);
    assert!(lines, "lines are read whole again");
    assert!(wrote.find("the words of the panic") > Some(left), "{wrote:?}");
}

#[test]
fn another_threads_panic_is_told_when_the_terminal_is_given_back() {
    let (wrote, lines) = after_a_panic("thread");
    let left = assert_given_back(&wrote);
    assert!(lines);
    assert!(wrote.find("goes on").is_some_and(|at| at < left), "it goes on: {wrote:?}");
    assert!(wrote.find("the words of the panic") > Some(left), "{wrote:?}");
}

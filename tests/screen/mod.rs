//! The program behind a real pseudo-terminal, and what a person would see there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::termios::LocalModes;
use serde_json::Value;

/// Stands in the input of a program that waits for a question.
pub const READY: &str = "ask · / commands";
/// Stands in the input while an answer is written.
pub const BUSY: &str = "Esc stops";

/// Runs `zord` without a terminal.
pub fn zord(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zord")).env("ZORD_HOME", home).args(arguments).output().unwrap()
}

/// A home with models in its store, the first of them chosen; `more` goes into its configuration.
pub fn home(models: &[&Path], more: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut config = String::new();
    for (n, model) in models.iter().enumerate() {
        let added = zord(home.path(), &["models", "add", model.to_str().unwrap()]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        if n == 0 && models.len() > 1 {
            config = format!("model = '{}'\n", model.file_name().unwrap().to_str().unwrap());
        }
    }
    // Greedy, so that every run says the same.
    config.push_str("[chat]\npreset = \"greedy\"\n");
    std::fs::write(home.path().join("config.toml"), config + more).unwrap();
    home
}

/// A terminal of usual size with `zord` in its home folder.
pub fn open(home: &Path) -> Screen {
    Screen::open(home, home, &[], 80, 24)
}

/// The newest conversation.
pub fn last_session(home: &Path) -> Value {
    let shown = zord(home, &["sessions", "show", "last", "--json"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// What the finished answers of all conversations took, as their journals say, in order.
pub fn stats(home: &Path) -> Vec<Value> {
    // A conversation has a file from its first message on.
    let mut files: Vec<_> = std::fs::read_dir(home.join("sessions"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let lines = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    // The last line may be half written.
    let entries = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| entry["t"] == "end").map(|entry| entry["stats"].clone()).collect()
}

/// A terminal with `zord` in it.
pub struct Screen {
    pub parser: vt100::Parser,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    /// Everything that was written, as it came.
    pub raw: Vec<u8>,
    pub started: Instant,
    /// From the start of the process to the first bytes that show text.
    pub first_frame: Option<Duration>,
}

/// How long anything may take before a test gives up; honest waits are far shorter.
const PATIENCE: Duration = Duration::from_secs(120);

impl Screen {
    /// Starts `zord` in `folder` with everything it keeps below `home`.
    pub fn open(home: &Path, folder: &Path, arguments: &[&str], columns: u16, rows: u16) -> Self {
        let program = [&[env!("CARGO_BIN_EXE_zord")], arguments].concat();
        Self::open_program(&program, home, folder, &[], columns, rows)
    }

    /// The same for any program that becomes `zord`, with variables of its own.
    pub fn open_program(
        program: &[&str],
        home: &Path,
        folder: &Path,
        variables: &[(&str, &str)],
        columns: u16,
        rows: u16,
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut command = CommandBuilder::new(program[0]);
        command.args(&program[1..]);
        variables.iter().for_each(|(name, value)| command.env(name, value));
        command.cwd(folder);
        command.env("ZORD_HOME", home);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env_remove("NO_COLOR");
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            parser: vt100::Parser::new(at_least_one(rows), at_least_one(columns), 0),
            child,
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            output,
            raw: Vec::new(),
            started,
            first_frame: None,
        }
    }

    /// Takes in what was written until `wait` has passed without anything new or the output ended; `false` at the end.
    fn take_in(&mut self, wait: Duration) -> bool {
        match self.output.recv_timeout(wait) {
            Ok(bytes) => {
                self.parser.process(&bytes);
                self.raw.extend(bytes);
                if self.first_frame.is_none() && !self.text().trim().is_empty() {
                    self.first_frame = Some(self.started.elapsed());
                }
                true
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => false,
        }
    }

    /// What is seen.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until what is seen satisfies `seen`.
    pub fn wait(&mut self, what: &str, seen: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !seen(&self.text()) {
            let open = self.take_in(Duration::from_millis(20));
            assert!(open && Instant::now() < until, "waiting for {what}; the screen is:\n{}", self.text());
        }
    }

    pub fn wait_for(&mut self, text: &str) {
        self.wait(text, |screen| screen.contains(text));
    }

    /// Follows the output for a while.
    pub fn watch(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if !self.take_in(left) {
                break;
            }
        }
    }

    /// Waits until nothing was written for `quiet`.
    pub fn settle(&mut self, quiet: Duration) {
        let until = Instant::now() + PATIENCE;
        let mut seen = usize::MAX;
        while seen != self.raw.len() {
            assert!(Instant::now() < until, "it never stops writing:\n{}", self.text());
            seen = self.raw.len();
            self.watch(quiet);
        }
    }

    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.resize(size(columns, rows)).unwrap();
        self.parser.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
    }

    pub fn pid(&self) -> i32 {
        self.child.process_id().unwrap().cast_signed()
    }

    /// The process that has the model, if it is another one.
    pub fn engine(&self) -> Option<u32> {
        engine_of(self.pid())
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The terminal, opened by its name.
    fn terminal(&self) -> std::fs::File {
        // no controlling terminal of this test's
        let options = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let path = format!("/proc/{}/fd/0", self.pid());
        std::fs::File::from(rustix::fs::open(path, options, rustix::fs::Mode::empty()).unwrap())
    }

    /// Has the terminal read whole lines and echo them, as a shell does that got it back.
    pub fn read_lines(&self) {
        let terminal = self.terminal();
        let mut modes = rustix::termios::tcgetattr(&terminal).unwrap();
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &modes).unwrap();
    }

    /// Whether each key reaches the program as it is.
    pub fn is_raw(&self) -> bool {
        let modes = rustix::termios::tcgetattr(self.terminal()).unwrap().local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits until the process is stopped, and takes in what it wrote before.
    pub fn stopped(&mut self) {
        let until = Instant::now() + PATIENCE;
        let stat = format!("/proc/{}/stat", self.pid());
        let is_stopped = || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        while !is_stopped() {
            assert!(Instant::now() < until, "it does not stop:\n{}", self.text());
            self.watch(Duration::from_millis(5));
        }
        self.settle(Duration::from_millis(20));
    }

    /// Waits for the end of the process and takes in its last words.
    pub fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        while self.take_in(Duration::from_millis(50)) {
            if self.child.try_wait().unwrap().is_some() {
                self.watch(Duration::from_millis(100));
                break;
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.text());
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

/// The engine's process of a program.
pub fn engine_of(parent: i32) -> Option<u32> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let ours = fields.next()? != "Z" && fields.next()?.parse() == Ok(parent);
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        (ours && command.ends_with(b"\0engine\0")).then_some(pid)
    })
}

/// A parser has no screen without cells.
fn at_least_one(n: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(n).unwrap_or(std::num::NonZero::<u16>::MIN)
}

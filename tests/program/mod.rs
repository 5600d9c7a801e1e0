//! The real `zord` program in a home of its own.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Variables of the person who runs the tests that would change what the program does.
const FOREIGN: [&str; 15] = [
    "ZORD_LOG",
    "ZORD_LOG_FILE",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "HF_TOKEN",
];

/// Models spin on all cores: several at once would only slow each other down.
static TURN: Mutex<()> = Mutex::new(());

/// A home, perhaps with a model that its configuration names.
pub struct Zord {
    home: tempfile::TempDir,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// How a run ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Zord {
    /// An empty home.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), _turn: None }
    }

    /// A home that waits for its turn to use the cores; its configuration names the model, a small context and greedy
    /// answers.
    pub fn with(model: &Path) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let zord = Self { _turn: Some(turn), ..Self::new() };
        // One thread: spinning against other programs of the same machine takes far longer than computing.
        let text = "[context]\nsize = 1024\n[threads]\ncount = 1\npin = false\n[chat]\npreset = 'greedy'\n";
        let text = format!("model = '{}'\n{text}", model.display());
        zord.write("config.toml", text);
        zord
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The program with its home as current folder and nothing on stdin.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zord"));
        command.args(args).current_dir(self.home.path()).env("ZORD_HOME", self.home.path()).stdin(Stdio::null());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs with bytes on stdin.
    pub fn fed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Ran {
        feed(&mut self.command(args), input)
    }

    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

pub fn feed(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The program may end before it has read all.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output().unwrap().into()
    })
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// What it printed, when it succeeded.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// What it printed, when it succeeded without a word on stderr.
    #[track_caller]
    pub fn silent(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self.out
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.good();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// The objects of a stream of JSON lines.
    #[track_caller]
    pub fn lines(self) -> Vec<Value> {
        lines(&self.good())
    }

    /// The last object of a stream.
    #[track_caller]
    pub fn done(self) -> Value {
        let done = self.lines().pop().unwrap();
        assert_eq!(done["type"], "done");
        done
    }

    /// An error in the program's form, once, with nothing on stdout, and with these words in it.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.err, self.out);
        assert_eq!(self.out, "");
        assert!(self.err.starts_with("error: "), "{}", self.err);
        assert_eq!(self.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", self.err);
        let message = self.err["error: ".len()..].split("\n\nhint: ").next().unwrap();
        assert!(!message.trim_end().ends_with('.') && !message.starts_with(char::is_uppercase), "{}", self.err);
        assert!(self.err.matches("hint: ").count() <= 1, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
    }

    /// As [`Self::refused`], and it says what to do.
    #[track_caller]
    pub fn advised(&self, code: i32, words: &[&str]) {
        self.refused(code, words);
        assert!(self.err.contains("\n\nhint: "), "{}", self.err);
    }
}

#[track_caller]
pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The text of all pieces of a stream.
pub fn pieces(lines: &[Value]) -> String {
    lines.iter().filter(|line| line["type"] == "piece").map(|line| line["text"].as_str().unwrap()).collect()
}

/// Whether an object has all of these keys.
#[track_caller]
pub fn has_keys(value: &Value, keys: &[&str]) {
    let missing: Vec<_> = keys.iter().filter(|&&key| value.get(key).is_none_or(Value::is_null)).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in {value}");
}

/// The keys that the contract promises of a finished answer.
pub const DONE: [&str; 9] = [
    "type",
    "text",
    "stop",
    "prompt_tokens",
    "prefilled_tokens",
    "generated_tokens",
    "first_token_ms",
    "prefill_tps",
    "decode_tps",
];

//! The program in a folder of its own.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub use crate::ran::Ran;

pub struct Tool {
    home: tempfile::TempDir,
}

impl Tool {
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zord-distill"));
        command.args(args).current_dir(self.home.path()).env("ZORD_HOME", self.home.path()).stdin(Stdio::null());
        command.env_remove("ZORD_LOG").env_remove("ZORD_LOG_FILE");
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&self.command(args).output().unwrap())
    }
}

/// Losses in the log of a run.
pub fn losses(out: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(out.join("run/metrics.jsonl")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64()).collect()
}

//! Our program and llama.cpp's own, on the same files.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ran::Tool;

/// Models keep all cores busy: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder with llama.cpp's own tools; `None`, said loudly, without them.
fn peers() -> Option<PathBuf> {
    let root = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("llama"));
    let root = root.filter(|root| root.join("usr/bin/llama-quantize").is_file());
    if root.is_none() {
        eprintln!("SKIPPED: needs llama.cpp's tools in the folder that ZORD_PEERS names");
    }
    root
}

/// A folder inside the peers' root, so that both can reach it.
pub struct Shared {
    inside: PathBuf,
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Shared {
    pub fn new() -> Option<Self> {
        let root = peers()?;
        let folder = tempfile::tempdir_in(root.join("tmp")).unwrap();
        let inside = Path::new("/tmp").join(folder.path().file_name().unwrap());
        Some(Self { inside, folder, root })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn peer(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new("chroot");
        command.arg(&self.root).arg(program);
        for arg in args {
            match arg.strip_prefix('@') {
                Some(name) => command.arg(self.inside.join(name)),
                None => command.arg(arg),
            };
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{command:?}: {text}");
        text
    }
}

/// SmolLM2 in 16 bits: what the small file of the tests unfolds to.
pub fn whole(tool: &Tool, shared: &Shared) -> Option<PathBuf> {
    let model = crate::smollm2()?;
    let path = shared.path("f16.gguf");
    let args = ["quantize".as_ref(), model.as_os_str(), path.as_os_str(), "--type".as_ref(), "F16".as_ref()];
    tool.run(args.into_iter().chain(["--allow-requantize".as_ref()])).done();
    Some(path)
}

/// Prose to read.
pub fn text(shared: &Shared) -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/calibration/prose.txt");
    let path = shared.path("text.txt");
    std::fs::copy(sample, &path).unwrap();
    path
}

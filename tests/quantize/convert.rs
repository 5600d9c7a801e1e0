//! `convert`: against llama.cpp's own converter, against what the reference implementation computes, and against damage.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use zord::weights::gguf::{Header, Metadata, ValueKind};

use crate::tool::Tool;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quantize");

/// Small checkpoints of all architectures, with the pre-tokenizer that the peer is told, and what the two converters say
/// differently of them.
const SMALL: [(&str, &str, &[&str]); 12] = [
    ("llama-linear", "smollm", &[]),
    ("llama-three", "smollm", &[]),
    ("qwen2", "smollm", &[]),
    ("qwen2-tied-yarn", "smollm", &[]),
    ("qwen3", "smollm", &[]),
    ("phi2", "smollm", &[]),
    ("phi3", "smollm", &[]),
    ("glm4", "none", &["tokenizer."]),
    // The peer takes the width for the context and a default for epsilon where the keys have newer names.
    ("chatglm", "none", &["tokenizer.", "chatglm.context_length", "chatglm.attention.layer_norm_rms_epsilon"]),
    ("gemma3", "smollm", &[]),
    ("spm", "-", &[]),
    ("spm-llama", "-", &[]),
];

/// The peers' Python; `None`, said loudly, where it is not installed.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("lab/bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        eprintln!(
            "SKIPPED: needs `lab/bin/python` in the folder that ZORD_PEERS names (../shared/reference/peers.sh makes it)"
        );
    }
    python
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// All checkpoints, made once.
fn checkpoints() -> Option<&'static (tempfile::TempDir, PathBuf)> {
    static MADE: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let python = python()?;
        let maker = Path::new(HERE).join("../../../shared/reference/smollm2_hf.py");
        let model = crate::smollm2()?;
        if !maker.is_file() {
            eprintln!("SKIPPED: needs `../shared/reference/smollm2_hf.py`");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let smollm2 = folder.path().join("smollm2");
        succeed(Command::new(&python).arg(maker).arg(&smollm2).arg("--gguf").arg(model));
        succeed(Command::new(&python).arg(format!("{HERE}/checkpoints.py")).arg(folder.path()).arg(&smollm2));
        Some((folder, python))
    });
    made.as_ref()
}

/// Every tensor of both files, with type, shape and bytes.
fn tensors(path: &Path) -> Vec<(String, String, Vec<u8>)> {
    let header = Header::read(path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let mut all: Vec<_> = header
        .tensors
        .iter()
        .map(|tensor| {
            let at = (header.data_offset + tensor.offset) as usize;
            let kind = format!("{} {:?}", tensor.kind, tensor.dims);
            (tensor.name.clone(), kind, bytes[at..at + tensor.bytes as usize].to_vec())
        })
        .collect();
    all.sort();
    all
}

fn metadata(path: &Path) -> Vec<(String, ValueKind, Vec<u8>)> {
    let header = Header::read(path).unwrap();
    let file = std::fs::File::open(path).unwrap();
    let all = Metadata::of(&header, &file).unwrap();
    let mut all: Vec<_> = all.entries().map(|(key, kind, bytes)| (key.to_owned(), kind, bytes.to_vec())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Both files are the same but for these keys.
fn same(ours: &Path, theirs: &Path, but: &[&str]) {
    let (a, b) = (tensors(ours), tensors(theirs));
    let names = |all: &[(String, String, Vec<u8>)]| all.iter().map(|t| (t.0.clone(), t.1.clone())).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for (a, b) in a.iter().zip(&b) {
        assert!(a.2 == b.2, "{} differs", a.0);
    }
    let told = |path: &Path| {
        metadata(path).into_iter().filter(|value| !but.iter().any(|key| value.0.starts_with(key))).collect::<Vec<_>>()
    };
    let (a, b) = (told(ours), told(theirs));
    let keys = |all: &[(String, ValueKind, Vec<u8>)]| all.iter().map(|value| value.0.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&a), keys(&b));
    for (a, b) in a.iter().zip(&b) {
        let short = |bytes: &[u8]| bytes.iter().copied().take(64).collect::<Vec<_>>();
        assert!(a == b, "{}: {:?} {:?}, theirs {:?} {:?}", a.0, a.1, short(&a.2), b.1, short(&b.2));
    }
}

fn peer(python: &Path, folder: &Path, out: &Path, kind: &str, pre: &str) {
    let mut command = Command::new(python);
    succeed(command.arg(format!("{HERE}/peer.py")).args([folder, out]).args([kind, pre]));
}

#[test]
fn the_real_checkpoint_becomes_the_file_that_the_peer_makes() {
    let Some((folder, python)) = checkpoints() else { return };
    let (tool, source) = (Tool::new(), folder.path().join("smollm2"));
    for kind in ["auto", "f16", "f32", "q8_0"] {
        let (ours, theirs) = (tool.path("a.gguf"), tool.path("b.gguf"));
        tool.run([
            "convert".as_ref(),
            source.as_os_str(),
            "-o".as_ref(),
            ours.as_os_str(),
            "--type".as_ref(),
            kind.as_ref(),
        ])
        .done();
        peer(python, &source, &theirs, kind, "-");
        same(&ours, &theirs, &[]);
    }
}

#[test]
fn every_architecture_becomes_the_file_that_the_peer_makes() {
    let Some((folder, python)) = checkpoints() else { return };
    let tool = Tool::new();
    for (name, pre, but) in SMALL {
        eprintln!("{name}");
        let source = folder.path().join(name);
        let (ours, theirs) = (tool.path("a.gguf"), tool.path("b.gguf"));
        if name == "chatglm" {
            // No tokenizer of GLM can be had here; any will do for the weights.
            for file in ["tokenizer.json", "tokenizer_config.json"] {
                std::fs::copy(folder.path().join("smollm2").join(file), source.join(file)).unwrap();
            }
        }
        tool.run(["convert".as_ref(), source.as_os_str(), "-o".as_ref(), ours.as_os_str()]).done();
        peer(python, &source, &theirs, "auto", pre);
        same(&ours, &theirs, but);
    }
}

//! `convert`: against llama.cpp's own converter.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::path::{Path, PathBuf};
use std::process::Command;

use zord::weights::gguf::{Header, Metadata, ValueKind};

use crate::file::tensors;
use crate::ran::Tool;

pub const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/quantize");

/// Small checkpoints of all architectures, with the pre-tokenizer that the peer is told, and what the two converters say
/// differently of them.
pub const SMALL: [(&str, &str, &[&str]); 15] = [
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
    ("gemma3-half", "smollm", &[]),
    ("spm", "-", &[]),
    ("spm-llama", "-", &[]),
    ("granite", "smollm", &[]),
    ("smollm3", "smollm", &[]),
];

/// A card of the forms that cards have.
const CARD: &str = "---\nlicense: apache-2.0\nlicense_link: https://example.org/licence\nlanguage:\n- en\n- zh\ntags:\n- code\n\
    - \"small\" # really\npipeline_tag: text-generation\nmodel_creator: Somebody\nbase_model:\n- owner/Base-135M-v2\n\
    - https://huggingface.co/owner/other-model\ndatasets: [owner/set-one, plain]\nmodel-index:\n- name: x\n  results: []\n---\n# A model\n";

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

pub fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// All checkpoints, in a folder that lives as long as the test, and the Python that made them.
pub fn checkpoints() -> Option<(tempfile::TempDir, PathBuf)> {
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
    std::fs::write(smollm2.join("README.md"), CARD).unwrap();
    Some((folder, python))
}

pub fn metadata(path: &Path) -> Vec<(String, ValueKind, Vec<u8>)> {
    let header = Header::read(path).unwrap();
    let file = std::fs::File::open(path).unwrap();
    let all = Metadata::of(&header, &file).unwrap();
    let mut all: Vec<_> = all.entries().map(|(key, kind, bytes)| (key.to_owned(), kind, bytes.to_vec())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Numbers of 32 bits as 16 can hold them.
pub fn rounded(bytes: &[u8]) -> Vec<u8> {
    let numbers = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
    numbers.flat_map(|number| half::f16::from_f32(number).to_f32().to_le_bytes()).collect()
}

/// Both files are the same but for these keys. Where a norm is one plus a weight of 16 bits, the peer's sum (`halves`) has
/// 16 bits too; ours is the one that the model is defined by, and rounds to it.
fn same(ours: &Path, theirs: &Path, but: &[&str], halves: bool) {
    let (a, b) = (tensors(ours), tensors(theirs));
    let names = |all: &[(String, String, Vec<u8>)]| all.iter().map(|t| (t.0.clone(), t.1.clone())).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for (a, b) in a.iter().zip(&b) {
        assert!(a.2 == b.2 || (halves && a.0.ends_with("norm.weight") && rounded(&a.2) == b.2), "{} differs", a.0);
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
        peer(&python, &source, &theirs, kind, "-");
        same(&ours, &theirs, &[], false);
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
        peer(&python, &source, &theirs, "auto", pre);
        same(&ours, &theirs, but, name == "gemma3-half");
    }
}

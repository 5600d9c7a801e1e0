//! The `zord-quantize` program as a person or a script uses it: real binary, real models where they are, and the programs
//! it stands beside where they are installed.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test must be able to fail")]

#[path = "../golden/mod.rs"]
mod golden_data;
#[path = "../ran/mod.rs"]
mod ran;

#[cfg(feature = "engine")]
mod beside;
mod convert;
mod edit;
#[cfg(feature = "engine")]
mod export;
#[cfg(feature = "engine")]
mod families;
mod file;
mod golden;
#[cfg(feature = "engine")]
mod logits;
#[cfg(feature = "engine")]
mod measure;
#[cfg(feature = "engine")]
mod options;
mod refused;
#[cfg(feature = "engine")]
mod shrink;
mod small;
mod usage;

/// What is tested here.
const PROGRAM: &str = env!("CARGO_BIN_EXE_zord-quantize");

/// SmolLM2 in the folder that ZORD_TEST_MODELS names.
fn smollm2() -> Option<std::path::PathBuf> {
    let name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let file = std::env::var_os("ZORD_TEST_MODELS").map(|folder| std::path::PathBuf::from(folder).join(name));
    let file = file.filter(|file| file.is_file());
    if file.is_none() {
        eprintln!("SKIPPED: needs `{name}` in the folder that ZORD_TEST_MODELS names");
    }
    file
}

//! What merges come to, and the peer they stand beside.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zord::weights::numbers;
use zord::weights::safetensors::{Dtype, Folder};

pub use crate::ran::{Ran, Tool};

/// A tensor that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub raw: Vec<u8>,
}

impl Read {
    pub fn numbers(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.raw.len() / self.dtype.size() as usize];
        numbers::decode(self.dtype, &self.raw, &mut out);
        out
    }
}

/// All tensors of a checkpoint.
pub fn read(folder: &Path) -> BTreeMap<String, Read> {
    let folder = Folder::open(folder).unwrap();
    let read = |tensor: &zord::weights::safetensors::Tensor| {
        let mut raw = vec![0; tensor.bytes as usize];
        tensor.read(&mut raw, 0).unwrap();
        Read { dtype: tensor.dtype, shape: tensor.shape.clone(), raw }
    };
    folder.tensors.iter().map(|tensor| (tensor.name.clone(), read(tensor))).collect()
}

/// The peers' Python with mergekit, said loudly where it is not.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("lab/bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("SKIPPED: needs mergekit in the folder that ZORD_PEERS names (../shared/reference/peers.sh DIR lab)");
    }
    python
}

impl Tool {
    /// Merges a recipe's text into `out` with whatever more is said.
    pub fn merge(&self, recipe: &str, more: &[&str]) -> Ran {
        self.write("recipe.yml", recipe);
        self.run([&["run", "recipe.yml", "-o", "out"], more].concat())
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

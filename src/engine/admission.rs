//! Whether a file may be given to llama.cpp, which ends the whole process where a header contradicts its assertions.
//!
//! Every key and every type of a tensor that llama.cpp leans on without an error of its own is looked at before it sees
//! the file: `load_hparams` in `src/llama-model.cpp`, the graphs in `src/models/`, the kernels in `ggml/src/ggml-cpu/`.
//! What llama.cpp refuses by itself (a missing tensor, a wrong shape) is left to it. What it refuses to do: judge how
//! well a model writes, or read all of its weights.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::arch;
use crate::budget::shape;
use crate::error::Advise;
use crate::weights::adapter;
use crate::weights::gguf::{GgmlType, Header, ReadAt, TensorInfo, Value};

mod numbers;
mod vocabulary;

#[cfg(test)]
pub(crate) mod tests;

/// A file that llama.cpp would end the process over.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum AdmissionError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` cannot be run: `{key}` is {value}, and must be {wanted}", path.display())]
    Key { path: PathBuf, key: String, value: String, wanted: String },
    #[error("`{}` cannot be run: its tensor `{tensor}` is stored as `{kind}`, and must be {wanted}", path.display())]
    Storage { path: PathBuf, tensor: String, kind: GgmlType, wanted: &'static str },
    #[error("`{}` cannot be run: its tokens {first} and {second} are both `{token}`", path.display())]
    Twice { path: PathBuf, token: String, first: usize, second: usize },
    #[error("`{}` cannot be run: its vocabulary has no token for the byte {byte:#04x}", path.display())]
    Byte { path: PathBuf, byte: u8 },
    #[error("`{}` cannot be run: its tensor `{tensor}` holds values that are not numbers", path.display())]
    NotANumber { path: PathBuf, tensor: String },
}

impl Advise for AdmissionError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io { .. } => return None,
            Self::Storage { .. } => "get another quantization of the model, `Q4_K_M` say",
            Self::NotANumber { .. } => "the file is damaged, or its training failed; get another one",
            Self::Key { .. } | Self::Twice { .. } | Self::Byte { .. } => {
                "the file is damaged or was converted wrongly; compare its SHA-256 with the publisher's"
            }
        };
        Some(text.to_owned())
    }
}

/// llama.cpp counts positions and tokens in 32 bits with a sign.
const MOST_TOKENS: u64 = i32::MAX as u64;
/// `LLAMA_MAX_EXPERTS` (`src/llama-hparams.h`).
const MOST_EXPERTS: u64 = 1024;
/// What buffers must be aligned to (`TENSOR_ALIGNMENT` in `ggml/src/ggml-impl.h`); the file is mapped as it is.
const ALIGNMENT: u64 = 32;
/// `LLAMA_ROPE_SCALING_TYPES` in `src/llama-model.cpp`.
const ROPE_SCALINGS: [&str; 4] = ["none", "linear", "yarn", "longrope"];
/// Architectures that are not converted here and whose graph asserts that all of a head is rotated.
const ROTATED_WHOLE: [&str; 1] = ["starcoder2"];

/// Whether a model's file may be loaded: its header, its vocabulary, and the numbers that are quickly read.
///
/// # Errors
/// The first thing llama.cpp would not survive, or the file cannot be read.
pub fn check(header: &Header) -> Result<(), AdmissionError> {
    /// What passed last: it is planned first, and loaded right after.
    static PASSED: Mutex<Option<Same>> = Mutex::new(None);
    let io = |source| AdmissionError::Io { path: header.path().to_owned(), source };
    let file = File::open(header.path()).map_err(io)?;
    let same = Same::of(&file).map_err(io)?;
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    if passed.as_ref() != Some(&same) {
        check_from(header, &file)?;
        *passed = Some(same);
    }
    Ok(())
}

/// What tells a file that was not changed.
#[derive(PartialEq)]
struct Same {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Same {
    fn of(file: &File) -> io::Result<Self> {
        let facts = file.metadata()?;
        let changed = (facts.ctime(), facts.ctime_nsec());
        Ok(Self { device: facts.dev(), inode: facts.ino(), bytes: facts.len(), changed })
    }
}

/// As [`check`], from an open source.
///
/// # Errors
/// As there.
pub fn check_from(header: &Header, source: &dyn ReadAt) -> Result<(), AdmissionError> {
    let look = Look::at(header);
    look.alignment()?;
    look.floats()?;
    look.lengths()?;
    look.rope()?;
    look.experts()?;
    look.heads()?;
    look.storage()?;
    vocabulary::check(&look, source)?;
    numbers::check(header, source)
}

/// Whether an adapter may be laid over a model: its header, and all of its numbers.
///
/// # Errors
/// In words: the file cannot be read, is damaged, or is not for this model.
pub fn check_adapter(file: &Path, model: &Header) -> Result<(), String> {
    adapter::check_file(file, model)?;
    let header = Header::read(file).map_err(|error| crate::error::chain(&error))?;
    let source = File::open(file).map_err(|error| error.to_string())?;
    Look::at(&header).alignment().and_then(|()| numbers::adapter(&header, &source)).map_err(|error| error.to_string())
}

/// A header, looked at under its architecture's name.
struct Look<'a> {
    header: &'a Header,
    prefix: &'a str,
    /// The graph is one whose assertions are known here.
    known: bool,
}

impl<'a> Look<'a> {
    fn at(header: &'a Header) -> Self {
        let prefix = header.str("general.architecture").unwrap_or_default();
        Self { header, prefix, known: shape::is_measured(prefix) }
    }

    fn path(&self) -> &Path {
        self.header.path()
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.header.get(&self.key(name))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }

    /// An error about a key as it stands in the file.
    fn wrong(&self, key: &str, wanted: impl Into<String>) -> AdmissionError {
        let value = self.header.get(key).map_or_else(|| "missing".to_owned(), told);
        AdmissionError::Key { path: self.path().to_owned(), key: shown(key), value, wanted: wanted.into() }
    }

    /// An error about a key of the architecture.
    fn odd(&self, name: &str, wanted: impl Into<String>) -> AdmissionError {
        self.wrong(&self.key(name), wanted)
    }

    fn alignment(&self) -> Result<(), AdmissionError> {
        const KEY: &str = "general.alignment";
        let stated = self.header.get(KEY);
        if stated.is_some_and(|value| !matches!(value, Value::U32(_))) || self.header.alignment < ALIGNMENT {
            return Err(self.wrong(KEY, format!("a `u32` of at least {ALIGNMENT}")));
        }
        Ok(())
    }

    /// Numbers with a point: finite, and in the range that kernels assert.
    fn floats(&self) -> Result<(), AdmissionError> {
        for (key, value) in &self.header.metadata {
            let Some(name) = key.strip_prefix(self.prefix).and_then(|rest| rest.strip_prefix('.')) else { continue };
            for number in floats(value) {
                if !number.is_finite() {
                    return Err(self.wrong(key, "a finite number"));
                }
                // `GGML_ASSERT(eps >= 0.0f)` in every norm of `ggml-cpu/ops.cpp`.
                if name.ends_with("epsilon") && number < 0.0 {
                    return Err(self.wrong(key, "a number of at least 0"));
                }
                if name.starts_with("rope.freq_base") && number <= 0.0 {
                    return Err(self.wrong(key, "a number above 0"));
                }
                if name.starts_with("rope.scal") && name.ends_with("factor") && number < 0.0 {
                    return Err(self.wrong(key, "a number of at least 0"));
                }
            }
        }
        Ok(())
    }

    fn lengths(&self) -> Result<(), AdmissionError> {
        for name in ["context_length", "rope.scaling.original_context_length", "attention.sliding_window"] {
            if self.number(name).is_some_and(|tokens| tokens > MOST_TOKENS) {
                return Err(self.odd(name, format!("at most {MOST_TOKENS}")));
            }
        }
        if self.header.bool(&self.key("attention.causal")) == Some(false) {
            return Err(self.odd("attention.causal", "true in a model that continues text"));
        }
        let layers = self.number("block_count").unwrap_or_default();
        if self.number("nextn_predict_layers").is_some_and(|ahead| ahead > 0 && ahead >= layers) {
            return Err(self.odd("nextn_predict_layers", format!("below the {layers} layers")));
        }
        Ok(())
    }

    fn rope(&self) -> Result<(), AdmissionError> {
        const SCALING: &str = "rope.scaling.type";
        let scaling = self.header.str(&self.key(SCALING));
        if scaling.is_some_and(|scaling| !ROPE_SCALINGS.contains(&scaling)) {
            return Err(self.odd(SCALING, "`none`, `linear`, `yarn` or `longrope`"));
        }
        const SECTIONS: &str = "rope.dimension_sections";
        let sections = self.header.array(&self.key(SECTIONS)).and_then(|array| array.items.as_ref());
        if self.prefix == "glm4" && sections.into_iter().flatten().any(|part| part.as_u64() != Some(0)) {
            return Err(self.odd(SECTIONS, "absent in a model of text"));
        }
        Ok(())
    }

    /// The assertions of `llama_model_base::load_hparams`.
    fn experts(&self) -> Result<(), AdmissionError> {
        let count = self.number("expert_count").unwrap_or_default();
        let used = self.get("expert_used_count").map(wholes).unwrap_or_default().into_iter().max().unwrap_or_default();
        let groups = self.number("expert_group_count").unwrap_or_default();
        let picked = self.number("expert_group_used_count").unwrap_or_default();
        if count > MOST_EXPERTS {
            return Err(self.odd("expert_count", format!("at most {MOST_EXPERTS}")));
        }
        if used > count || (used == 0 && count > 0) {
            return Err(
                self.odd("expert_used_count", format!("above 0 and at most the {count} experts, if there are any"))
            );
        }
        let grouped = groups < count && (groups < 2 || (count.is_multiple_of(groups) && picked > 0 && picked < groups));
        if groups > 0 && !grouped {
            return Err(
                self.odd("expert_group_count", format!("a divisor of the {count} experts, of which some are used"))
            );
        }
        Ok(())
    }

    /// One number of heads for all layers, keys as wide as values: what the graphs of the known architectures assert.
    fn heads(&self) -> Result<(), AdmissionError> {
        if !self.known {
            return Ok(());
        }
        let same = |name: &str| {
            let all = self.get(name).map(wholes).unwrap_or_default();
            let first = all.first().copied().unwrap_or_default();
            if first == 0 || all.iter().any(|&heads| heads != first) {
                return Err(self.odd(name, "the same for every layer, and above 0"));
            }
            Ok(first)
        };
        let heads = same("attention.head_count")?;
        const KV: &str = "attention.head_count_kv";
        let kv = if self.get(KV).is_some() { same(KV)? } else { heads };
        if !heads.is_multiple_of(kv) {
            return Err(self.odd(KV, format!("a divisor of the {heads} heads")));
        }
        let split = self.number("embedding_length").unwrap_or_default() / heads;
        let (key, value) = ("attention.key_length", "attention.value_length");
        let width = self.number(key).unwrap_or(split);
        if width == 0 || !width.is_multiple_of(2) {
            return Err(self.odd(key, "an even number above 0"));
        }
        if self.number(value).unwrap_or(split) != width {
            return Err(self.odd(value, format!("{width}, as wide as a key")));
        }
        self.rotated(width)
    }

    fn rotated(&self, width: u64) -> Result<(), AdmissionError> {
        const KEY: &str = "rope.dimension_count";
        let rotated = self.number(KEY).unwrap_or(width);
        let whole = arch::named(self.prefix).is_some_and(|family| family.rope.asserts_whole);
        if (whole || ROTATED_WHOLE.contains(&self.prefix)) && rotated != width {
            return Err(self.odd(KEY, format!("{width}, all of a head")));
        }
        if rotated == 0 || !rotated.is_multiple_of(2) || rotated > width {
            return Err(self.odd(KEY, format!("even, above 0 and at most {width}")));
        }
        Ok(())
    }

    /// Types that there are kernels for: products of matrices (`type_traits_cpu` in `ggml-cpu.c`), and sums with what is
    /// in single precision (`binary-ops.cpp`).
    fn storage(&self) -> Result<(), AdmissionError> {
        for tensor in &self.header.tensors {
            let wanted = if self.known && is_vector(tensor) && tensor.kind != GgmlType::F32 {
                "`f32`"
            } else if !self.multiplies(tensor.kind) {
                "a type that llama.cpp can multiply"
            } else {
                continue;
            };
            let (path, tensor, kind) = (self.path().to_owned(), shown(&tensor.name), tensor.kind);
            return Err(AdmissionError::Storage { path, tensor, kind, wanted });
        }
        Ok(())
    }

    fn multiplies(&self, kind: GgmlType) -> bool {
        match kind {
            GgmlType::Q8_1 | GgmlType::Q8_K | GgmlType::I8 | GgmlType::I16 | GgmlType::I64 | GgmlType::F64 => false,
            // Some architectures keep tables of token ids.
            GgmlType::I32 => !self.known,
            _ => true,
        }
    }
}

/// A norm, a bias: added or multiplied element by element.
fn is_vector(tensor: &TensorInfo) -> bool {
    tensor.dims.iter().skip(1).all(|&rows| rows == 1)
}

/// The numbers with a point in a value or a short array.
fn floats(value: &Value) -> Vec<f64> {
    match value {
        Value::F32(number) => vec![f64::from(*number)],
        Value::F64(number) => vec![*number],
        Value::Array(array) => array.items.iter().flatten().flat_map(floats).collect(),
        _ => Vec::new(),
    }
}

/// The whole numbers in a value or a short array; what is none counts as 0.
fn wholes(value: &Value) -> Vec<u64> {
    match value {
        Value::Array(array) => array.items.iter().flatten().map(|item| item.as_u64().unwrap_or_default()).collect(),
        one => vec![one.as_u64().unwrap_or_default()],
    }
}

/// A value as it may be shown.
fn told(value: &Value) -> String {
    match value {
        Value::U8(n) => n.to_string(),
        Value::I8(n) => n.to_string(),
        Value::U16(n) => n.to_string(),
        Value::I16(n) => n.to_string(),
        Value::U32(n) => n.to_string(),
        Value::I32(n) => n.to_string(),
        Value::U64(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::F32(n) => n.to_string(),
        Value::F64(n) => n.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::String(text) => format!("`{}`", shown(text)),
        Value::Array(array) => {
            let items: Vec<String> = array.items.iter().flatten().take(8).map(told).collect();
            if items.is_empty() { format!("a list of {}", array.len) } else { format!("[{}]", items.join(", ")) }
        }
    }
}

/// Text from a file as it may be shown.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

//! What a file or a checkpoint holds, as values: for a page, for JSON, for whoever compares two of them.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::error::UserError;
use crate::small;
use crate::weights::checkpoint;
use crate::weights::gguf::{Array, Header, Parts, ReadAt, Value, ValueKind, read_exact};
use crate::weights::safetensors::Folder;

/// Elements of an array that are shown.
const SHOWN: u64 = 8;
/// What fills a header up, and says nothing.
pub(super) const PADDING: &str = "zord.padding";

/// One tensor, with dimensions as its format counts them.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// How elements are stored.
    pub kind: String,
    /// GGUF counts the fastest dimension first, safetensors the slowest.
    pub shape: Vec<u64>,
    /// Size in bytes.
    pub bytes: u64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Contents {
    /// `GGUF version 3`, or `safetensors, 2 files`.
    pub format: String,
    /// The file's or files' size in bytes.
    pub bytes: u64,
    /// Values as people read them, arrays cut.
    pub metadata: Vec<(String, Json)>,
    /// In the order of the file.
    pub tensors: Vec<Tensor>,
    /// The chat template.
    pub template: Option<String>,
}

impl Contents {
    /// Looks into a GGUF file, a safetensors file, or a checkpoint's folder.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub fn of(path: &Path) -> Result<Self, UserError> {
        let name = path.to_string_lossy();
        if path.is_dir() || name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") {
            return Self::of_checkpoint(path);
        }
        let header = Header::read(path)?;
        // A part that is not the first is shown by itself.
        let model = if header.u64("split.no").unwrap_or(0) > 0 { header.into() } else { Parts::read(path)? };
        let header = model.first();
        let file = File::open(path).map_err(|error| UserError::failed(format!("cannot read `{name}`: {error}")))?;
        let metadata = header
            .metadata
            .iter()
            .filter(|(key, _)| key != PADDING)
            .map(|(key, value)| (key.clone(), shown(value, header, &file, SHOWN)))
            .collect();
        let tensor = |tensor: &crate::weights::gguf::TensorInfo| Tensor {
            name: tensor.name.clone(),
            kind: tensor.kind.name().to_owned(),
            shape: tensor.dims.clone(),
            bytes: tensor.bytes,
        };
        let files = if model.count() > 1 { format!(", {} files", model.count()) } else { String::new() };
        Ok(Self {
            format: format!("GGUF version {}{files}", header.version),
            bytes: model.bytes(),
            metadata,
            tensors: model.tensors().map(tensor).collect(),
            template: header.str("tokenizer.chat_template").map(str::to_owned),
        })
    }

    fn of_checkpoint(path: &Path) -> Result<Self, UserError> {
        // An adapter, as PEFT saves it, has its weights under another name.
        let adapter = path.join("adapter_model.safetensors");
        let alone = !path.join("config.json").is_file() && adapter.is_file();
        let all = Folder::open(if alone { &adapter } else { path })?;
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let read = |name: &str| -> Option<Json> {
            let text = small::read(folder.join(name), small::TOKENIZER).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let mut metadata: Vec<(String, Json)> =
            all.notes.iter().map(|(key, value)| (format!("safetensors.{key}"), json!(value))).collect();
        let config = read(if alone { "adapter_config.json" } else { "config.json" });
        if let Some(Json::Object(config)) = config {
            metadata.extend(config.into_iter().map(|(key, value)| (format!("config.{key}"), value)));
        }
        let template = checkpoint::chat_template(folder, read("tokenizer_config.json").as_ref())?.templates.usual();
        let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |facts| facts.len());
        let tensor = |tensor: &crate::weights::safetensors::Tensor| Tensor {
            name: tensor.name.clone(),
            kind: tensor.dtype.name().to_lowercase(),
            shape: tensor.shape.clone(),
            bytes: tensor.bytes,
        };
        let files = if all.files.len() == 1 { "1 file".to_owned() } else { format!("{} files", all.files.len()) };
        Ok(Self {
            format: format!("safetensors, {files}"),
            bytes: all.files.iter().map(size).sum(),
            metadata,
            tensors: all.tensors.iter().map(tensor).collect(),
            template,
        })
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum()
    }

    /// Bits of the data for each weight.
    pub fn bits_per_weight(&self) -> f64 {
        let bytes: u64 = self.tensors.iter().map(|tensor| tensor.bytes).sum();
        bytes as f64 * 8.0 / self.parameters().max(1) as f64
    }

    /// Types with their number of tensors and bytes, the largest first.
    pub fn kinds(&self) -> Vec<(String, usize, u64)> {
        let mut kinds: Vec<(String, usize, u64)> = Vec::new();
        for tensor in &self.tensors {
            match kinds.iter_mut().find(|kind| kind.0 == tensor.kind) {
                Some(kind) => (kind.1, kind.2) = (kind.1 + 1, kind.2 + tensor.bytes),
                None => kinds.push((tensor.kind.clone(), 1, tensor.bytes)),
            }
        }
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.2));
        kinds
    }

    /// One JSON document.
    pub fn json(&self) -> Json {
        let kinds = self
            .kinds()
            .into_iter()
            .map(|(name, tensors, bytes)| json!({"type": name, "tensors": tensors, "bytes": bytes}));
        let tensors = self.tensors.iter().map(
            |tensor| json!({"name": tensor.name, "type": tensor.kind, "shape": tensor.shape, "bytes": tensor.bytes}),
        );
        json!({
            "format": self.format, "bytes": self.bytes, "parameters": self.parameters(),
            "bpw": self.bits_per_weight(), "types": kinds.collect::<Vec<_>>(),
            "metadata": self.metadata.iter().cloned().collect::<Map<_, _>>(),
            "tensors": tensors.collect::<Vec<_>>(), "template": self.template,
        })
    }
}

/// A metadata value; of a longer array its kind, length and first elements.
pub fn shown(value: &Value, header: &Header, source: &dyn ReadAt, most: u64) -> Json {
    match value {
        Value::String(text) => json!(text),
        Value::Bool(truth) => json!(truth),
        Value::F32(number) => json!(rounded(*number)),
        Value::F64(number) => json!(number),
        Value::I8(number) => json!(number),
        Value::I16(number) => json!(number),
        Value::I32(number) => json!(number),
        Value::I64(number) => json!(number),
        Value::U8(_) | Value::U16(_) | Value::U32(_) | Value::U64(_) => json!(value.as_u64()),
        Value::Array(array) => {
            let first = elements(array, header, source, most);
            if array.len <= most {
                return json!(first);
            }
            json!({"array": array.kind.name(), "length": array.len, "first": first})
        }
    }
}

/// The shortest decimal that reads back as the same number.
fn rounded(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}

fn elements(array: &Array, header: &Header, source: &dyn ReadAt, most: u64) -> Vec<Json> {
    if let Some(items) = &array.items {
        return items.iter().take(most as usize).map(|item| shown(item, header, source, 0)).collect();
    }
    let mut at = array.offset;
    let mut all = Vec::new();
    for _ in 0..array.len.min(most) {
        let (size, skip) = match array.kind {
            ValueKind::String => {
                let mut len = [0; 8];
                if read_exact(source, &mut len, at).is_err() {
                    break;
                }
                (u64::from_le_bytes(len), 8)
            }
            ValueKind::Array => break,
            kind => (kind.size().unwrap_or_default(), 0),
        };
        // The reader held the array against the file's size; a file that changed since ends here.
        if size > array.bytes {
            break;
        }
        let mut bytes = vec![0; size as usize];
        if read_exact(source, &mut bytes, at + skip).is_err() {
            break;
        }
        at += skip + size;
        all.push(match Value::from_bytes(array.kind, &bytes) {
            Some(number) => shown(&number, header, source, 0),
            None => json!(String::from_utf8_lossy(&bytes)),
        });
    }
    all
}

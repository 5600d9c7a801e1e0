//! An input: a checkpoint's configuration, and its tensors by name, mapped and read as `f32`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map as Object, Value};

use super::error::MergeError;
use super::names::{Layers, layers};
use super::recipe::Reference;
use crate::arch::{self, Architecture};
use crate::small;
use crate::weights::checkpoint;
use crate::weights::map::Map;
use crate::weights::numbers;
use crate::weights::safetensors::{Dtype, Folder};

/// A checkpoint that is open.
#[derive(Debug)]
pub struct Model {
    /// As the recipe names it.
    pub reference: Reference,
    /// Its folder.
    pub folder: PathBuf,
    /// Its `config.json`.
    pub config: Object<String, Value>,
    /// Its tensors.
    pub weights: BTreeMap<String, Arc<Weight>>,
    /// Its files of weights, those of adapters that were baked in too.
    pub files: Vec<PathBuf>,
    /// What was done to its tensors since, in words.
    pub changes: Vec<String>,
    /// How its layers are named.
    pub layers: Layers,
    /// Its `tokenizer.json`, where that is no file of the folder.
    pub tokenizer: Option<Value>,
    /// Tokenizer files that were made of a GGUF file, by name.
    pub made: Vec<(String, Vec<u8>)>,
    /// What the person should know of how its files were read.
    pub notices: Vec<String>,
}

/// A tensor of a checkpoint.
#[derive(Debug)]
pub struct Weight {
    /// As the checkpoint names it.
    pub name: String,
    /// Elements in each dimension, the slowest first.
    pub shape: Vec<u64>,
    /// How elements are stored.
    pub dtype: Dtype,
    /// The file it lies in.
    pub file: PathBuf,
    place: Box<dyn Numbers>,
}

/// Where a tensor's numbers come from.
pub trait Numbers: std::fmt::Debug + Send + Sync {
    /// Numbers from the element `at` on, as many as `out` has places.
    fn read(&self, at: u64, out: &mut [f32]);
    /// Says that these elements are not needed soon.
    fn forget(&self, _elements: std::ops::Range<u64>) {}
    /// The bytes as they are stored, where they are.
    fn bytes(&self) -> Option<&[u8]> {
        None
    }
}

/// A part of a mapped file.
#[derive(Debug)]
struct Mapped {
    map: Arc<Map>,
    offset: u64,
    bytes: u64,
    dtype: Dtype,
}

impl Numbers for Mapped {
    fn read(&self, at: u64, out: &mut [f32]) {
        let size = self.dtype.size();
        let from = (self.offset + at * size) as usize;
        if let Some(raw) = self.map.bytes().get(from..from + out.len() * size as usize) {
            numbers::decode(self.dtype, raw, out);
        }
    }

    fn forget(&self, elements: std::ops::Range<u64>) {
        let size = self.dtype.size();
        self.map.forget(self.offset + elements.start * size..self.offset + elements.end * size);
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.map.bytes().get(self.offset as usize..(self.offset + self.bytes) as usize)
    }
}

impl Weight {
    /// One whose numbers come from elsewhere.
    pub fn new(name: String, shape: Vec<u64>, dtype: Dtype, file: PathBuf, place: Box<dyn Numbers>) -> Self {
        Self { name, shape, dtype, file, place }
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of a row.
    pub fn columns(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// Numbers from the element `at` on.
    pub fn read(&self, at: u64, out: &mut [f32]) {
        self.place.read(at, out);
    }

    /// Says that these elements are not needed soon.
    pub fn forget(&self, elements: std::ops::Range<u64>) {
        self.place.forget(elements);
    }

    /// The bytes as they are stored, where they are.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.place.bytes()
    }

    /// The whole tensor; for what is small.
    pub fn all(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.elements() as usize];
        self.read(0, &mut out);
        out
    }
}

impl Model {
    /// Opens a checkpoint's folder: headers and configuration.
    ///
    /// # Errors
    /// Something is missing or damaged.
    pub fn open(reference: &Reference, path: &Path) -> Result<Self, MergeError> {
        if super::gguf::is_gguf(path) {
            return super::gguf::open(reference, path);
        }
        let folder = if path.is_file() { path.parent().unwrap_or(path).to_owned() } else { path.to_owned() };
        let mut config = object(&folder.join("config.json"))?;
        if let Some(quantized) = config.get("quantization_config") {
            let method = quantized.get("quant_method").and_then(Value::as_str).unwrap_or("an unknown method");
            return Err(MergeError::Model {
                what: format!("the checkpoint `{}` is quantized, by `{method}`", folder.display()),
                hint: "merge the checkpoint in 16 bits that it was made from",
            });
        }
        let tensors = Folder::open(path)?;
        let mut notices: Vec<String> = tensors.notice.iter().cloned().collect();
        if config.get("tie_word_embeddings") == Some(&Value::Bool(true)) && checkpoint::has_own_head(&tensors)? {
            config.insert("tie_word_embeddings".to_owned(), Value::Bool(false));
            notices.push(checkpoint::OWN_HEAD.to_owned());
        }
        let mut maps: HashMap<PathBuf, Arc<Map>> = HashMap::new();
        let mut weights = BTreeMap::new();
        for tensor in &tensors.tensors {
            let file = tensor.file.path.clone();
            let map = match maps.get(&file) {
                Some(map) => map.clone(),
                None => {
                    let map = Map::open(&file).map_err(|source| MergeError::Io { path: file.clone(), source })?;
                    maps.entry(file.clone()).or_insert_with(|| Arc::new(map)).clone()
                }
            };
            let (offset, bytes, dtype) = (tensor.offset, tensor.bytes, tensor.dtype);
            let place = Box::new(Mapped { map, offset, bytes, dtype });
            let weight = Weight::new(tensor.name.clone(), tensor.shape.clone(), dtype, file, place);
            weights.insert(tensor.name.clone(), Arc::new(weight));
        }
        let layers = layers(weights.keys().map(String::as_str));
        Ok(Self {
            reference: reference.clone(),
            folder,
            config,
            weights,
            files: tensors.files,
            changes: Vec::new(),
            layers,
            tokenizer: None,
            made: Vec::new(),
            notices,
        })
    }

    /// A whole number of its configuration, under the first of these keys that it has.
    pub fn number(&self, keys: &[&str]) -> Option<u64> {
        keys.iter().find_map(|key| self.config.get(*key).and_then(Value::as_u64))
    }

    /// Its family, where that is one that is known.
    pub fn family(&self) -> Option<&'static Architecture> {
        let named = self.config.get("architectures").and_then(|all| all.get(0)).and_then(Value::as_str);
        arch::of_checkpoint(named, self.config.get("model_type").and_then(Value::as_str))
    }

    /// Its architecture, as the configuration says.
    pub fn architecture(&self) -> String {
        let named = self.config.get("architectures").and_then(|all| all.get(0)).and_then(Value::as_str);
        let kind = self.config.get("model_type").and_then(Value::as_str);
        named.or(kind).unwrap_or("unknown").to_owned()
    }

    /// Whether the output matrix is the embedding.
    pub fn tied(&self) -> bool {
        let said = self.config.get("tie_word_embeddings").and_then(Value::as_bool);
        said.unwrap_or_else(|| self.family().is_some_and(|family| family.tied))
    }
}

/// A JSON file that holds an object.
///
/// # Errors
/// It cannot be read, is too long, or holds something else.
pub fn object(path: &Path) -> Result<Object<String, Value>, MergeError> {
    let io = |source| MergeError::Io { path: path.to_owned(), source };
    let wrong = |what: String| MergeError::Json { path: path.to_owned(), what };
    let text = small::read(path, small::TOKENIZER).map_err(io)?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

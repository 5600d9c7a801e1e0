//! From a checkpoint's folder to a model in memory.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::block::Block;
use super::blocks::{Base, Blocks};
use super::decoder::Decoder;
use super::linear::Linear;
use super::shape::Shape;
use super::weight::{Id, Numbers, Weight};
use crate::arch;
use crate::distill::kernel::matmul::Precision;
use crate::distill::kernel::rope::Rope;
use crate::error::Advise;
use crate::weights::checkpoint;
use crate::weights::safetensors::{Folder, SafetensorsError, Tensor};

/// The longest configuration read, in bytes.
const LONGEST: u64 = 4 << 20;

/// Why a checkpoint cannot be trained.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum ModelError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}`: {what}", path.display())]
    Config { path: PathBuf, what: String },
    #[error("`{}` is of the architecture `{found}`, which cannot be trained", path.display())]
    Family { path: PathBuf, found: String },
    #[error(transparent)]
    File(#[from] SafetensorsError),
    #[error("`{}` has no tensor `{name}`", path.display())]
    Missing { path: PathBuf, name: String },
    #[error("`{}` has a tensor `{name}`, for which a {family} model has no place", path.display())]
    Unknown { path: PathBuf, name: String, family: &'static str },
    #[error("tensor `{name}` of `{}` has the shape {found:?}, expected {expected:?}", path.display())]
    Dims { path: PathBuf, name: String, found: Vec<u64>, expected: Vec<usize> },
    #[error("tensor `{name}` of `{}` is stored as {found}, expected F32, F16 or BF16", path.display())]
    Dtype { path: PathBuf, name: String, found: String },
    #[error("tensor `{name}` of `{}` holds NaN or infinite numbers", path.display())]
    NotFinite { path: PathBuf, name: String },
}

impl Advise for ModelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Family { .. } => Some(format!("students are {}; any GGUF can teach", arch::trained_names())),
            Self::Missing { .. } | Self::Dims { .. } => {
                Some("the weights and `config.json` are not of the same model".to_owned())
            }
            Self::Dtype { .. } => Some("`zord-quantize export` writes a GGUF file back as plain weights".to_owned()),
            _ => None,
        }
    }
}

/// Reads a JSON file of a checkpoint.
pub(crate) fn json(path: &Path) -> Result<Json, ModelError> {
    let read = |source| ModelError::Read { path: path.to_owned(), source };
    let text = crate::small::read(path, LONGEST).map_err(read)?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Config { path: path.to_owned(), what: error.to_string() })
}

/// A checkpoint of which only the headers have been read.
pub(crate) struct Source {
    pub(crate) folder: PathBuf,
    pub(crate) shape: Shape,
    pub(crate) config: Json,
    pub(crate) tensors: Folder,
    /// What the person should know of how its files were read.
    pub(crate) notices: Vec<String>,
}

impl Source {
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let mut config = json(&path)?;
        let mut shape = Shape::of(&config, &path)?;
        let tensors = Folder::open(folder)?;
        let mut notices: Vec<String> = tensors.notice.iter().cloned().collect();
        if shape.tied && checkpoint::has_own_head(&tensors)? {
            shape.tied = false;
            config["tie_word_embeddings"] = false.into();
            notices.push(checkpoint::OWN_HEAD.to_owned());
        }
        let unknown = config.as_object().map(|config| arch::keys::unknown(shape.family, config)).unwrap_or_default();
        if !unknown.is_empty() {
            let unknown = unknown.join("`, `");
            notices.push(format!(
                "`config.json` has keys that are not known here, and what they ask for is not computed: `{unknown}`"
            ));
        }
        let source = Self { folder: folder.to_owned(), shape, config, tensors, notices };
        source.check()?;
        Ok(source)
    }

    fn check(&self) -> Result<(), ModelError> {
        let path = || self.folder.clone();
        let wanted = names(&self.shape);
        for (name, dims) in &wanted {
            let tensor = self.tensor(name).ok_or_else(|| ModelError::Missing { path: path(), name: name.clone() })?;
            if !tensor.shape.iter().map(|&dim| dim as usize).eq(dims.iter().copied()) {
                let (name, found) = (name.clone(), tensor.shape.clone());
                return Err(ModelError::Dims { path: path(), name, found, expected: dims.clone() });
            }
            if Numbers::read(tensor.dtype, &[]).is_none() {
                let (name, found) = (name.clone(), tensor.dtype.name());
                return Err(ModelError::Dtype { path: path(), name, found });
            }
        }
        let known = |name: &str| {
            let left = arch::is_buffer(name) || (self.shape.tied && name == "lm_head.weight");
            left || wanted.iter().any(|(wanted, _)| wanted == name)
        };
        match self.tensors.tensors.iter().find(|tensor| !known(&tensor.name)) {
            Some(tensor) => {
                let (family, name) = (self.shape.family.gguf, tensor.name.chars().take(120).collect());
                Err(ModelError::Unknown { path: path(), name, family })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Reads the weights, for positions up to `context`, projections in the bits of `base`. Nothing is trained yet.
    pub(crate) fn load(&self, context: usize, base: Base) -> Result<Decoder, ModelError> {
        let mut weights = Vec::new();
        for (name, dims) in names(&self.shape) {
            let tensor = self.tensor(&name);
            let Some(tensor) = tensor else { return Err(ModelError::Missing { path: self.folder.clone(), name }) };
            let mut bytes = vec![0; tensor.bytes as usize];
            tensor.read(&mut bytes, 0)?;
            let Some(numbers) = Numbers::read(tensor.dtype, &bytes) else {
                let found = tensor.dtype.name();
                return Err(ModelError::Dtype { path: self.folder.clone(), name, found });
            };
            let mut weight = Weight { name, dims, dtype: tensor.dtype, numbers, trained: false };
            if !weight.all().iter().all(|x| x.is_finite()) {
                return Err(ModelError::NotFinite { path: self.folder.clone(), name: weight.name });
            }
            if weight.name.ends_with("_proj.weight")
                && let Some(blocks) = Blocks::of(&weight.all(), base)
            {
                weight.numbers = Numbers::Blocks(blocks);
            }
            weights.push(weight);
        }
        Ok(assemble(self.shape.clone(), weights, context))
    }
}

/// Names and shapes of all tensors of a model, in the order of its layers.
pub(crate) fn names(shape: &Shape) -> Vec<(String, Vec<usize>)> {
    let (family, sizes) = (shape.family, shape.dimensions());
    let mut all = Vec::new();
    let mut put = |gguf: &str| {
        if let (Some(name), Some(dims)) = (family.checkpoint_name(gguf), family.shape(gguf, &sizes)) {
            all.push((name, dims.into_iter().map(|dim| dim as usize).collect()));
        }
    };
    put("token_embd.weight");
    for layer in 0..shape.layers {
        for spec in family.layer {
            put(&format!("blk.{layer}.{}.weight", spec.gguf));
            if shape.has_bias(spec.gguf) {
                put(&format!("blk.{layer}.{}.bias", spec.gguf));
            }
        }
    }
    put("output_norm.weight");
    if !shape.tied {
        put("output.weight");
    }
    all
}

/// Puts weights that came in the order of [`names`] together.
pub(crate) fn assemble(shape: Shape, weights: Vec<Weight>, context: usize) -> Decoder {
    let mut next = 0..weights.len();
    let mut id = || Id(next.next().unwrap_or_default());
    let embeddings = id();
    let blocks = (0..shape.layers)
        .map(|layer| {
            let rotated = shape.rotated.get(layer).copied().unwrap_or(true);
            let (hidden, q, kv) = (shape.hidden, shape.heads * shape.width, shape.keys * shape.width);
            let input_norm = id();
            let mut linear = |inputs, outputs, bias: bool| {
                let weight = id();
                Linear { weight, bias: bias.then(&mut id), inputs, outputs, adapter: None }
            };
            let [q, k, v] = [q, kv, kv].map(|outputs| linear(hidden, outputs, shape.bias));
            let o = linear(q.outputs, hidden, shape.output_bias);
            let head_norms = shape.family.has_head_norms().then(|| (id(), id()));
            let post_norm = id();
            let mut plain = |inputs, outputs| Linear { weight: id(), bias: None, inputs, outputs, adapter: None };
            let (gate, up) = (plain(hidden, shape.inner), plain(hidden, shape.inner));
            let down = plain(shape.inner, hidden);
            Block { input_norm, q, k, v, o, head_norms, rotated, post_norm, gate, up, down }
        })
        .collect();
    let final_norm = id();
    let output = (!shape.tied).then(&mut id);
    let rope = Rope::new(shape.width, shape.theta, &shape.stretching, context);
    let precision = Precision::F32;
    Decoder { shape, weights, embeddings, final_norm, output, blocks, rope, precision, helpers: Vec::new() }
}

//! A LoRA adapter as PEFT saves it, made the file that llama.cpp lays over a model: two small matrices for each matrix
//! that was trained, under that matrix's name in GGUF.
//!
//! Names, shapes and the order of rows follow the base's configuration, which must be at hand. What it refuses to do: leave
//! out what the file's one scale and its pairs cannot express, as the model would then not be the one that was trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::error::ConvertError;
use super::sizes::{self, ModelSizes};
use super::stream::{Change, From, Output};
use super::{Parts, Request, Type, card, general};
use crate::arch::Architecture;
use crate::weights::gguf::{GgmlType, Metadata, Value};
use crate::weights::numbers;
use crate::weights::peft::{self, CONFIG, Part, Settings, WEIGHTS};
use crate::weights::safetensors::{Dtype, Folder, Tensor};

/// Whether a folder holds an adapter and no checkpoint.
pub(super) fn is_one(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && !folder.join("config.json").is_file()
}

/// Its weights.
pub(super) fn open(folder: &Path) -> Result<Folder, ConvertError> {
    Ok(Folder::open(&folder.join(WEIGHTS))?)
}

/// What the file is made of.
pub(super) fn parts<'a>(request: &Request, folder: &'a Folder) -> Result<Parts<'a>, ConvertError> {
    let config = Config::named(&request.folder, CONFIG)?;
    let settings = settings(&config)?;
    let base = base(request, &config)?;
    let base_config = Config::read(&base)?;
    let family = sizes::family(&base_config)?;
    let sizes = ModelSizes::of(family, &base_config)?;
    let kind = match request.kind {
        // Adapters are small, and most are kept in 32 bits.
        Type::Auto if folder.tensors.iter().any(|tensor| tensor.dtype == Dtype::F32) => GgmlType::F32,
        kind => kind.resolve(folder),
    };
    let outputs = outputs(family, &sizes, folder, kind)?;
    let mut metadata = Metadata::new();
    metadata.str("general.architecture", family.gguf);
    general::describe(&request.folder, &config, 0, request.name.as_deref(), &mut metadata)?;
    metadata.str("general.type", "adapter");
    let hub = |name: &&str| name.matches('/').count() == 1 && !name.starts_with(['.', '/']);
    if let Some(name) = named_base(&config).filter(hub) {
        card::origins("base_model", &[name.to_owned()], 0, &mut metadata);
    }
    metadata.str("adapter.type", "lora");
    metadata.number("adapter.lora.alpha", &Value::F32(alpha(&settings, folder)?));
    Ok(Parts { architecture: family.gguf, metadata, outputs, kind, notices: Vec::new() })
}

fn named_base(config: &Config) -> Option<&str> {
    config.str("base_model_name_or_path").filter(|name| !name.is_empty())
}

/// The checkpoint whose configuration says what the adapter's tensors are.
fn base(request: &Request, config: &Config) -> Result<PathBuf, ConvertError> {
    if let Some(base) = &request.base {
        return Ok(base.clone());
    }
    let named = named_base(config).unwrap_or_default();
    // A relative name is one of the folder where the adapter was trained, or of this one.
    let places = [PathBuf::from(named), request.folder.join(named)];
    let here = places.into_iter().find(|place| !named.is_empty() && place.join("config.json").is_file());
    here.ok_or_else(|| ConvertError::Base { named: named.chars().take(80).collect() })
}

/// What the adapter says, but for what has no place in such a file.
fn settings(config: &Config) -> Result<Settings, ConvertError> {
    let settings = Settings::of(&config.map).map_err(|what| ConvertError::Adapter { what })?;
    if settings.dora {
        return Err(ConvertError::Adapter { what: "it has magnitudes (`use_dora`)".to_owned() });
    }
    Ok(settings)
}

/// llama.cpp multiplies each product by one alpha over its rank (`get_scale` in `src/llama-adapter.h`).
fn alpha(settings: &Settings, folder: &Folder) -> Result<f32, ConvertError> {
    let mut found = None;
    for (module, part) in folder.tensors.iter().filter_map(|tensor| peft::part(&tensor.name)) {
        if !matches!(part, Part::A | Part::EmbeddingA) {
            continue;
        }
        let alpha = settings.scale(&module) * settings.rank(&module) as f32;
        if found.is_some_and(|found: f32| (found - alpha).abs() > 1e-6 * found.abs()) {
            let what = "its products have different scales (`alpha_pattern`, or `rank_pattern` with `use_rslora`)";
            return Err(ConvertError::Adapter { what: what.to_owned() });
        }
        found = found.or(Some(alpha));
    }
    Ok(found.unwrap_or(settings.alpha as f32))
}

/// Which half of a pair a tensor is, and of what.
fn half(name: &str) -> Option<(String, bool, bool)> {
    let (module, part) = peft::part(name)?;
    match part {
        Part::A => Some((module, false, false)),
        Part::B => Some((module, true, false)),
        Part::EmbeddingA => Some((module, false, true)),
        Part::EmbeddingB => Some((module, true, true)),
        Part::Magnitude | Part::Whole => None,
    }
}

fn outputs<'a>(
    family: &Architecture,
    sizes: &ModelSizes,
    folder: &'a Folder,
    kind: GgmlType,
) -> Result<Vec<Output<'a>>, ConvertError> {
    let mut pairs: BTreeMap<String, [Option<&Tensor>; 2]> = BTreeMap::new();
    for tensor in &folder.tensors {
        let unknown = || ConvertError::Unknown { tensor: tensor.name.clone(), arch: family.gguf };
        if let Some(stem) = tensor.name.strip_suffix(".base_layer.weight") {
            // PEFT keeps a copy of embeddings beside their pair, in case their number was changed.
            unchanged(family, sizes, stem, tensor)?;
            continue;
        }
        let (stem, second, table) = half(&tensor.name).ok_or_else(|| ConvertError::Adapter {
            what: format!("`{}` is no half of a pair, but a tensor of its own", tensor.name),
        })?;
        let name = family.gguf_name(&format!("{stem}.weight")).ok_or_else(unknown)?;
        if table != (name == "token_embd.weight") {
            return Err(unknown());
        }
        let slot = pairs.entry(name).or_default().get_mut(usize::from(second));
        if slot.is_none_or(|slot| slot.replace(tensor).is_some()) {
            return Err(unknown());
        }
    }
    if pairs.is_empty() {
        return Err(ConvertError::Adapter { what: "there is no tensor in it".to_owned() });
    }
    let mut all = Vec::new();
    for (name, pair) in &pairs {
        let [Some(first), Some(second)] = pair else {
            return Err(ConvertError::Adapter { what: format!("the tensor for `{name}` has no second half") });
        };
        all.extend(pair_of(family, sizes, name, first, second, kind)?);
    }
    Ok(all)
}

fn unchanged(family: &Architecture, sizes: &ModelSizes, stem: &str, tensor: &Tensor) -> Result<(), ConvertError> {
    let stem = stem.strip_prefix("base_model.model.").unwrap_or(stem);
    let name = family.gguf_name(&format!("{stem}.weight"));
    let expected = name.and_then(|name| family.shape(&name, &sizes.dimensions())).unwrap_or_default();
    if tensor.shape == expected {
        return Ok(());
    }
    Err(ConvertError::Shape { tensor: tensor.name.clone(), expected, found: tensor.shape.clone() })
}

/// Both halves, held against the matrix they change.
fn pair_of<'a>(
    family: &Architecture,
    sizes: &ModelSizes,
    name: &str,
    first: &'a Tensor,
    second: &'a Tensor,
    kind: GgmlType,
) -> Result<[Output<'a>; 2], ConvertError> {
    let unknown = |tensor: &Tensor| ConvertError::Unknown { tensor: tensor.name.clone(), arch: family.gguf };
    let matrix = family.shape(name, &sizes.dimensions()).ok_or_else(|| unknown(first))?;
    let &[rows, columns] = matrix.as_slice() else { return Err(unknown(first)) };
    let table = name == "token_embd.weight";
    let rank = first.shape.first().copied().unwrap_or(0);
    // The embeddings' pair is that of the transposed matrix.
    let wanted = if table { [[rank, rows], [columns, rank]] } else { [[rank, columns], [rows, rank]] };
    for (tensor, expected) in [first, second].into_iter().zip(wanted) {
        if tensor.shape != expected || rank == 0 {
            let (tensor, found) = (tensor.name.clone(), tensor.shape.clone());
            return Err(ConvertError::Shape { tensor, expected: expected.to_vec(), found });
        }
        if !numbers::is_float(tensor.dtype) {
            return Err(ConvertError::Dtype { tensor: tensor.name.clone(), found: tensor.dtype.name() });
        }
    }
    let output = |end: &str, from: From<'a>, change: Change, shape: Vec<u64>| {
        let whole = shape.last().is_some_and(|columns| columns.is_multiple_of(kind.block()));
        let kind = if whole { kind } else { GgmlType::F16 };
        Output { name: format!("{name}.{end}"), from, change, kind, shape, first: 0, offset: 0 }
    };
    let first = if table {
        output("lora_a", From::Made(transposed(first, rank, rows)?), Change::Kept, vec![rows, rank])
    } else {
        output("lora_a", From::Checkpoint(first), Change::Kept, first.shape.clone())
    };
    let change = Change::of(family, name, sizes);
    Ok([first, output("lora_b", From::Checkpoint(second), change, second.shape.clone())])
}

fn transposed(tensor: &Tensor, rows: u64, columns: u64) -> Result<Vec<f32>, ConvertError> {
    let numbers = numbers::read(tensor)?;
    let (rows, columns) = (rows as usize, columns as usize);
    Ok((0..columns)
        .flat_map(|column| numbers.iter().skip(column).step_by(columns.max(1)).take(rows).copied())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_told_by_their_names() {
        let names = ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "m.lora_B.default.weight"];
        let halves = names.map(|name| half(name).unwrap());
        assert_eq!(halves[0], ("model.layers.0.self_attn.q_proj".to_owned(), false, false));
        assert_eq!(halves[1], ("m".to_owned(), true, false));
        let table = half("base_model.model.model.embed_tokens.lora_embedding_A").unwrap();
        assert_eq!(table, ("model.embed_tokens".to_owned(), false, true));
        for other in ["base_model.model.lm_head.weight", "m.lora_magnitude_vector", "m.lora_B.bias", ""] {
            assert_eq!(half(other), None, "{other}");
        }
    }
}

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
use super::stream::{From, Output};
use super::{Parts, Request, Type, card, general};
use crate::arch::{Architecture, Rewritten};
use crate::weights::gguf::{GgmlType, Metadata, Value};
use crate::weights::numbers;
use crate::weights::peft::{self, Adapter, CONFIG, Module, Part, Settings};
use crate::weights::safetensors::{Dtype, Folder, Tensor};

/// Whether a folder holds an adapter and no checkpoint.
pub(super) fn is_one(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && !folder.join("config.json").is_file()
}

/// What the file is made of.
pub(super) fn parts<'a>(request: &Request, adapter: &'a Adapter) -> Result<Parts<'a>, ConvertError> {
    if adapter.settings.dora {
        return Err(ConvertError::Adapter { what: "it has magnitudes (`use_dora`)".to_owned() });
    }
    let config = Config::named(&request.folder, CONFIG)?;
    let (folder, modules) = (&adapter.file, adapter.modules()?);
    let base = base(request, &config)?;
    let base_config = Config::read(&base)?;
    let family = sizes::family(&base_config)?;
    let sizes = ModelSizes::of(family, &base_config)?;
    let kind = match request.kind {
        // Adapters are small, and most are kept in 32 bits.
        Type::Auto if folder.tensors.iter().any(|tensor| tensor.dtype == Dtype::F32) => GgmlType::F32,
        kind => kind.resolve(folder),
    };
    // Its configuration is enough; where its weights are at hand, they tell more.
    let base = Folder::open(&base).ok();
    let outputs = outputs(family, &sizes, base.as_ref(), &modules, kind)?;
    let mut metadata = Metadata::new();
    metadata.str("general.architecture", family.gguf);
    general::describe(&request.folder, &config, 0, request.name.as_deref(), &mut metadata)?;
    metadata.str("general.type", "adapter");
    let hub = |name: &&str| name.matches('/').count() == 1 && !name.starts_with(['.', '/']);
    if let Some(name) = named_base(&config).filter(hub) {
        card::origins("base_model", &[name.to_owned()], 0, &mut metadata);
    }
    metadata.str("adapter.type", "lora");
    metadata.number("adapter.lora.alpha", &Value::F32(alpha(&adapter.settings, &modules)?));
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

/// llama.cpp multiplies each product by one alpha over its rank (`get_scale` in `src/llama-adapter.h`).
fn alpha(settings: &Settings, modules: &BTreeMap<String, Module<'_>>) -> Result<f32, ConvertError> {
    let alphas = modules.keys().map(|module| settings.scale(module) * settings.rank(module) as f32);
    let alphas: Vec<f32> = alphas.collect();
    let first = alphas.first().copied().unwrap_or(settings.alpha as f32);
    if alphas.iter().any(|alpha| (alpha - first).abs() > 1e-6 * first.abs()) {
        let what = "its products have different scales (`alpha_pattern`, or `rank_pattern` with `use_rslora`)";
        return Err(ConvertError::Adapter { what: what.to_owned() });
    }
    Ok(first)
}

fn outputs<'a>(
    family: &Architecture,
    sizes: &ModelSizes,
    base: Option<&Folder>,
    modules: &BTreeMap<String, Module<'a>>,
    kind: GgmlType,
) -> Result<Vec<Output<'a>>, ConvertError> {
    let mut pairs = BTreeMap::new();
    for (stem, module) in modules {
        let whole = module.get(&Part::Whole);
        let Some((first, second)) = peft::product(module) else {
            let name = whole.map_or(stem, |tensor| &tensor.name);
            let what = format!("`{name}` is no half of a pair, but a tensor of its own");
            return Err(ConvertError::Adapter { what });
        };
        let unknown = || ConvertError::Unknown { tensor: first.name.clone(), arch: family.gguf };
        let name = family.gguf_name(&format!("{stem}.weight")).ok_or_else(unknown)?;
        if module.contains_key(&Part::EmbeddingA) != (name == "token_embd.weight") {
            return Err(unknown());
        }
        if let Some(copy) = whole {
            let expected = family.shape(&name, &sizes.dimensions()).unwrap_or_default();
            let own = base.and_then(|base| base.get(&format!("{stem}.weight")));
            unchanged(copy, expected, own)?;
        }
        let pair = pair_of(family, sizes, &name, first, second, kind)?;
        if pairs.insert(name, pair).is_some() {
            return Err(unknown());
        }
    }
    Ok(pairs.into_values().flatten().collect())
}

/// PEFT keeps a copy of embeddings beside their pair, in case they were changed, and loads it into the base. For a changed
/// one there is no place in the file.
fn unchanged(copy: &Tensor, expected: Vec<u64>, own: Option<&Tensor>) -> Result<(), ConvertError> {
    if copy.shape != expected {
        return Err(ConvertError::Shape { tensor: copy.name.clone(), expected, found: copy.shape.clone() });
    }
    match own {
        Some(own) if !numbers::same(copy, own)? => {
            let what = format!("`{}` has other numbers than the base", copy.name);
            Err(ConvertError::Adapter { what })
        }
        _ => Ok(()),
    }
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
    }
    let output = |end: &str, from: From<'a>, change: Rewritten, shape: Vec<u64>| {
        let whole = shape.last().is_some_and(|columns| columns.is_multiple_of(kind.block()));
        let kind = if whole { kind } else { GgmlType::F16 };
        Output { name: format!("{name}.{end}"), from, change, kind, shape, first: 0, offset: 0 }
    };
    let first = if table {
        output("lora_a", From::Made(transposed(first, rank, rows)?), Rewritten::Kept, vec![rows, rank])
    } else {
        output("lora_a", From::Checkpoint(first), Rewritten::Kept, first.shape.clone())
    };
    let change = sizes.rewritten(family, name);
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
    use crate::weights::safetensors::write::{NewTensor, Writer};

    #[test]
    fn a_copy_of_embeddings_that_was_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, dtype: Dtype, numbers: &[f32]| {
            let path = folder.path().join(name);
            let spec = NewTensor { name: "embed.weight".to_owned(), dtype, shape: vec![2, 2] };
            let mut file = Writer::create(&path, &[spec], &[]).unwrap();
            file.numbers(dtype, numbers).unwrap();
            file.finish().unwrap();
            Folder::open(&path).unwrap()
        };
        let numbers = [1.0, -0.3, 0.1, 7.0];
        let base = file("base", Dtype::F32, &numbers);
        let check = |copy: &Folder, base: Option<&Folder>, expected: &[u64]| {
            unchanged(&copy.tensors[0], expected.to_vec(), base.map(|base| &base.tensors[0]))
        };
        // A copy in fewer bits is of the same numbers.
        for dtype in numbers::FLOATS {
            check(&file("copy", dtype, &numbers), Some(&base), &[2, 2]).unwrap();
        }
        let changed = file("changed", Dtype::BF16, &[1.0, -0.3, 0.1, 8.0]);
        let error = check(&changed, Some(&base), &[2, 2]).unwrap_err();
        assert!(error.to_string().contains("`embed.weight` has other numbers than the base"), "{error}");
        // Where the base's weights are not at hand, its shape is all that can be held against it.
        check(&changed, None, &[2, 2]).unwrap();
        assert!(matches!(check(&changed, None, &[3, 2]), Err(ConvertError::Shape { .. })));
    }
}

//! LoRA and DoRA: where they sit, how they begin, and PEFT's files.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::blocks::Base;
use super::decoder::Decoder;
use super::linear::{Adapter, Linear};
use super::save::{self, Entry, Values};
use super::weight::{Id, Numbers, Weight};
use crate::distill::kernel::dropout;
use crate::quantize::WriteError;
use crate::weights::safetensors::Dtype;

/// What is laid over the projections.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdapterRecipe {
    /// Columns of the narrow products.
    pub(crate) rank: usize,
    /// What the product is multiplied by, before it is divided by the rank.
    pub(crate) alpha: f64,
    /// The share of inputs the adapter does not see.
    pub(crate) dropout: f32,
    /// Divide by the square root of the rank instead (rsLoRA, arXiv 2312.03732).
    pub(crate) rslora: bool,
    /// Learn the lengths of rows besides (DoRA, arXiv 2402.09353).
    pub(crate) dora: bool,
    /// How the frozen projections are kept meanwhile: `stored`, `q8` or `nf4`.
    pub(crate) base: Base,
    /// Ends of the names of the projections that get one.
    pub(crate) modules: Vec<String>,
    /// An adapter to go on from: the folder of an earlier run's.
    pub(crate) from: Option<std::path::PathBuf>,
}

impl Default for AdapterRecipe {
    fn default() -> Self {
        let modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        let modules = modules.map(str::to_owned).to_vec();
        Self {
            rank: 16,
            alpha: 32.0,
            dropout: 0.0,
            rslora: false,
            dora: false,
            base: Base::Stored,
            modules,
            from: None,
        }
    }
}

impl AdapterRecipe {
    fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Understands PEFT's `adapter_config.json`.
    ///
    /// # Errors
    /// In words: it is of a kind that is not known here.
    pub(crate) fn of_peft(config: &Json) -> Result<Self, String> {
        let number = |key: &str| config.get(key).and_then(Json::as_f64).ok_or_else(|| format!("it has no `{key}`"));
        let flag = |key: &str| config.get(key).and_then(Json::as_bool).unwrap_or(false);
        let text = |key: &str| config.get(key).and_then(Json::as_str).unwrap_or_default();
        if text("peft_type") != "LORA" || text("bias") != "none" || flag("fan_in_fan_out") {
            return Err("it is no plain LoRA".to_owned());
        }
        let names = config.get("target_modules").and_then(Json::as_array).ok_or("it names no `target_modules`")?;
        let modules = names.iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let (rank, alpha) = (number("r")? as usize, number("lora_alpha")?);
        let (rslora, dora) = (flag("use_rslora"), flag("use_dora"));
        Ok(Self { rank, alpha, rslora, dora, modules, ..Self::default() })
    }

    /// Whether a projection gets one.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.modules.iter().any(|module| name == module || name.ends_with(&format!(".{module}")))
    }
}

/// What stands before every name in PEFT's files.
const PREFIX: &str = "base_model.model.";

/// Lays an adapter over a frozen model: `A` as PEFT begins it (Kaiming's uniform), `B` zero. Gives the number of
/// projections that got one.
pub(crate) fn lay(model: &mut Decoder, recipe: &AdapterRecipe, seed: u64) -> usize {
    let mut count = 0;
    let Decoder { blocks, weights, .. } = model;
    for (layer, block) in blocks.iter_mut().enumerate() {
        for (name, linear) in block.projections() {
            let name = format!("model.layers.{layer}.{name}");
            if !recipe.takes(&name) {
                continue;
            }
            count += 1;
            let mut push = |half: &str, dims: &[usize], numbers: Vec<f32>| {
                weights.push(Weight::f32(format!("{PREFIX}{name}.{half}"), dims, numbers));
                Id(weights.len() - 1)
            };
            let (rank, inputs, outputs) = (recipe.rank, linear.inputs, linear.outputs);
            // a = √5 in Kaiming's formula gives bounds of 1/√inputs
            let bound = 1.0 / (inputs as f64).sqrt();
            let start = dropout::mix(seed ^ (count as u64) << 32);
            let random = |i: usize| ((dropout::share(start ^ i as u64) * 2.0 - 1.0) * bound) as f32;
            let a = push("lora_A.weight", &[rank, inputs], (0..rank * inputs).map(random).collect());
            let b = push("lora_B.weight", &[outputs, rank], vec![0.0; outputs * rank]);
            linear.adapter =
                Some(Adapter { a, b, rank, scale: recipe.scale(), dropout: recipe.dropout, magnitude: None });
            if recipe.dora {
                dora(linear, &name, weights);
            }
        }
    }
    count
}

fn dora(linear: &mut Linear, name: &str, weights: &mut Vec<Weight>) {
    let lengths = linear.row_lengths(weights);
    let ratio = vec![1.0; lengths.len()];
    let name = format!("{PREFIX}{name}.lora_magnitude_vector");
    weights.push(Weight::f32(name, &[linear.outputs], lengths));
    if let Some(adapter) = &mut linear.adapter {
        adapter.magnitude = Some((Id(weights.len() - 1), ratio));
    }
}

/// Whether a weight is the adapter's own.
pub(crate) fn is_part(weight: &Weight) -> bool {
    weight.name.starts_with(PREFIX)
}

/// What PEFT calls a weight.
fn name(weight: &Weight) -> String {
    if weight.name.starts_with(PREFIX) { weight.name.clone() } else { format!("{PREFIX}{}", weight.name) }
}

/// PEFT's `adapter_config.json`; `whole` are modules that are trained and kept as a whole.
fn config(recipe: &AdapterRecipe, base: &str, whole: &[&str], tied: bool) -> Json {
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "lora_dropout": recipe.dropout,
        "use_rslora": recipe.rslora,
        "use_dora": recipe.dora,
        "target_modules": recipe.modules,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_to_transform": null,
        "ensure_weight_tying": tied && !whole.is_empty(),
        "modules_to_save": if whole.is_empty() { Json::Null } else { json!(whole) },
    })
}

/// Writes the adapter as PEFT reads it.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn write(model: &Decoder, recipe: &AdapterRecipe, base: &str, folder: &Path) -> Result<(), WriteError> {
    let entries: Vec<Entry<'_>> = model
        .weights
        .iter()
        .filter(|weight| weight.trained && weight.is_of_model())
        .map(|weight| Entry {
            name: name(weight),
            dims: weight.dims.clone(),
            dtype: Dtype::F32,
            numbers: Values::Weight(&weight.numbers),
        })
        .collect();
    let notes = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    save::write(&folder.join("adapter_model.safetensors"), &entries, &notes)?;
    let whole: Vec<&str> = model
        .weights
        .iter()
        .filter(|weight| weight.trained && weight.is_of_model() && !weight.name.starts_with(PREFIX))
        .filter_map(|weight| weight.name.strip_suffix(".weight")?.rsplit('.').next())
        .collect();
    let text = serde_json::to_string_pretty(&config(recipe, base, &whole, model.output.is_none())).unwrap_or_default();
    let path = folder.join("adapter_config.json");
    crate::distill::run::output::replace(&path, text.as_bytes())
}

/// Reads numbers of an adapter that was written before into the one that was laid over the model.
///
/// # Errors
/// In words: what does not fit.
pub(crate) fn read(model: &mut Decoder, recipe: &AdapterRecipe, folder: &Path) -> Result<(), String> {
    let path = folder.join("adapter_config.json");
    let old = super::json(&path).map_err(|error| crate::error::chain(&error))?;
    let old = AdapterRecipe::of_peft(&old).map_err(|what| format!("`{}`: {what}", path.display()))?;
    if old.rank != recipe.rank
        || (old.scale() - recipe.scale()).abs() > 1e-6 * recipe.scale()
        || old.dora != recipe.dora
    {
        let told = |one: &AdapterRecipe| {
            format!("rank {}, alpha {}, rslora {}, dora {}", one.rank, one.alpha, one.rslora, one.dora)
        };
        let (found, wanted) = (told(&old), told(recipe));
        return Err(format!("the adapter to go on from has {found}, and the recipe {wanted}"));
    }
    let path = folder.join("adapter_model.safetensors");
    let file = crate::weights::safetensors::Folder::open(&path).map_err(|error| crate::error::chain(&error))?;
    let mut left = file.tensors.len();
    for weight in model.weights.iter_mut().filter(|weight| weight.trained) {
        let name = &name(weight);
        let tensor = file.tensors.iter().find(|tensor| tensor.name == *name);
        let tensor = tensor.ok_or_else(|| format!("`{}` has no tensor `{name}`", path.display()))?;
        if !tensor.shape.iter().map(|&dim| dim as usize).eq(weight.dims.iter().copied()) {
            let (found, expected) = (&tensor.shape, &weight.dims);
            return Err(format!("tensor `{name}` of `{}` is {found:?}, expected {expected:?}", path.display()));
        }
        let mut bytes = vec![0; tensor.bytes as usize];
        tensor.read(&mut bytes, 0).map_err(|error| crate::error::chain(&error))?;
        let numbers = Numbers::read(tensor.dtype, &bytes);
        let numbers =
            numbers.ok_or_else(|| format!("tensor `{name}` of `{}` is no matrix of floats", path.display()))?;
        weight.numbers = numbers;
        weight.train(true);
        left -= 1;
    }
    if left > 0 {
        return Err(format!("`{}` has {left} tensors more than the recipe's adapter", path.display()));
    }
    Ok(())
}

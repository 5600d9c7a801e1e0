//! LoRA and DoRA: where they sit, how they begin, and PEFT's files.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::blocks::Base;
use super::decoder::Decoder;
use super::linear::{Adapter, Linear};
use super::save::{self, Entry};
use super::weight::{Id, Numbers, Weight};
use crate::atomic::{self, WriteError};
use crate::distill::kernel::dropout;
use crate::weights::peft::{self, CONFIG, PREFIX, Part, PeftError, Settings, WEIGHTS};
use crate::weights::safetensors::write::PYTORCH;
use crate::weights::safetensors::{Dtype, Tensor};

/// The output's module.
const HEAD: &str = "lm_head";

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

    /// Whether a projection gets one.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.modules.iter().any(|module| name == module || name.ends_with(&format!(".{module}")))
    }
}

/// Lays an adapter over a frozen model: `A` as PEFT begins it (Kaiming's uniform), `B` zero. Ranks and scales are those of
/// an earlier adapter that is to be read into it, else the recipe's. Gives the number of projections that got one.
pub(crate) fn lay(model: &mut Decoder, recipe: &AdapterRecipe, earlier: Option<&Settings>, seed: u64) -> usize {
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
            let (inputs, outputs) = (linear.inputs, linear.outputs);
            let (rank, scale) =
                earlier.map_or((recipe.rank, recipe.scale()), |earlier| (earlier.rank(&name), earlier.scale(&name)));
            // a = √5 in Kaiming's formula gives bounds of 1/√inputs
            let bound = 1.0 / (inputs as f64).sqrt();
            let start = dropout::mix(seed ^ (count as u64) << 32);
            let random = |i: usize| ((dropout::share(start ^ i as u64) * 2.0 - 1.0) * bound) as f32;
            let a = push("lora_A.weight", &[rank, inputs], (0..rank * inputs).map(random).collect());
            let b = push("lora_B.weight", &[outputs, rank], vec![0.0; outputs * rank]);
            linear.adapter = Some(Adapter { a, b, rank, scale, dropout: recipe.dropout, magnitude: None });
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

/// Ranks and scales that are not the recipe's, as PEFT's `rank_pattern` and `alpha_pattern`.
fn patterns(model: &Decoder, recipe: &AdapterRecipe) -> [Map<String, Json>; 2] {
    let mut all = [Map::new(), Map::new()];
    for (layer, block) in model.blocks.iter().enumerate() {
        for (name, linear) in block.clone().projections() {
            let Some(Adapter { rank, scale, .. }) = linear.adapter else { continue };
            let name = format!("model.layers.{layer}.{name}");
            let divisor = if recipe.rslora { (rank as f64).sqrt() } else { rank as f64 };
            // A scale is kept in 32 bits, and so is what it follows from.
            let alpha = f64::from((f64::from(scale) * divisor) as f32);
            if rank != recipe.rank {
                all[0].insert(name.clone(), json!(rank));
            }
            if (alpha - recipe.alpha).abs() > 1e-6 * recipe.alpha.abs() {
                all[1].insert(name, json!(alpha));
            }
        }
    }
    all
}

/// PEFT's `adapter_config.json`; `whole` are modules that are trained and kept as a whole.
fn config(model: &Decoder, recipe: &AdapterRecipe, base: &str, whole: &[&str]) -> Json {
    let [ranks, alphas] = patterns(model, recipe);
    let tied = model.output.is_none();
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": recipe.rank,
        "lora_alpha": recipe.alpha,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
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

fn entry(name: String, weight: &Weight) -> Entry<'_> {
    Entry { name, dtype: Dtype::F32, weight, instead: None }
}

/// Writes the adapter as PEFT reads it.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn write(model: &Decoder, recipe: &AdapterRecipe, base: &str, folder: &Path) -> Result<(), WriteError> {
    let trained = model.weights.iter().filter(|weight| weight.trained && weight.is_of_model());
    let mut entries: Vec<Entry<'_>> = trained.map(|weight| entry(name(weight), weight)).collect();
    let embeddings = &model.weights[model.embeddings.0];
    if model.output.is_none() && embeddings.trained {
        // PEFT knows two modules where the model has one tensor, and wants to find both in the file.
        entries.push(entry(format!("{PREFIX}{HEAD}.weight"), embeddings));
    }
    save::write(&folder.join(WEIGHTS), &entries, PYTORCH)?;
    let whole: Vec<&str> = model
        .weights
        .iter()
        .filter(|weight| weight.trained && weight.is_of_model() && !weight.name.starts_with(PREFIX))
        .filter_map(|weight| weight.name.strip_suffix(".weight")?.rsplit('.').next())
        .collect();
    let text = serde_json::to_string_pretty(&config(model, recipe, base, &whole)).unwrap_or_default();
    let path = folder.join(CONFIG);
    atomic::replace(&path, text.as_bytes())
}

/// What an adapter's folder says of its products.
///
/// # Errors
/// In words: it is no LoRA that can be read.
pub(crate) fn settings(folder: &Path) -> Result<Settings, String> {
    open(folder).map(|adapter| adapter.settings)
}

fn open(folder: &Path) -> Result<peft::Adapter, String> {
    peft::Adapter::open(folder).map_err(told)
}

fn told(error: PeftError) -> String {
    crate::error::chain(&error)
}

/// An adapter as it is in its folder, with every module that it has.
///
/// # Errors
/// In words: it cannot be read, or there is no tensor in it.
pub(crate) fn found(folder: &Path) -> Result<(AdapterRecipe, Settings), String> {
    let adapter = open(folder)?;
    let modules = adapter.modules().map_err(told)?;
    let products = modules.into_iter().filter(|(_, module)| module.contains_key(&Part::A));
    let modules: Vec<String> = products.map(|(name, _)| name).collect();
    if modules.is_empty() {
        return Err(format!("the adapter `{}` changes nothing: there is no product in it", folder.display()));
    }
    let settings = adapter.settings;
    let Settings { rank, alpha, rank_stabilized, dora, .. } = settings;
    let recipe = AdapterRecipe { rank, alpha, rslora: rank_stabilized, dora, modules, ..AdapterRecipe::default() };
    Ok((recipe, settings))
}

/// Reads numbers of an adapter that was written before into the one that was laid over the model by its settings.
///
/// # Errors
/// In words: what does not fit.
pub(crate) fn read(
    model: &mut Decoder,
    recipe: &AdapterRecipe,
    settings: &Settings,
    folder: &Path,
) -> Result<(), String> {
    let shown = |rank: usize, alpha: f64, rslora: bool, dora: bool| {
        format!("rank {rank}, alpha {alpha}, rslora {rslora}, dora {dora}")
    };
    let found = shown(settings.rank, settings.alpha, settings.rank_stabilized, settings.dora);
    let wanted = shown(recipe.rank, recipe.alpha, recipe.rslora, recipe.dora);
    if found != wanted {
        return Err(format!("the adapter to go on from has {found}, and the recipe {wanted}"));
    }
    let adapter = open(folder)?;
    let path = folder.join(WEIGHTS);
    let mut left: BTreeMap<(String, Part), &Tensor> = BTreeMap::new();
    for (name, module) in adapter.modules().map_err(told)? {
        left.extend(module.into_iter().map(|(part, tensor)| ((name.clone(), part), tensor)));
    }
    for weight in model.weights.iter_mut().filter(|weight| weight.trained) {
        let name = &name(weight);
        let tensor = peft::part(name).and_then(|part| left.remove(&part));
        let tensor = tensor.ok_or_else(|| format!("`{}` has no tensor `{name}`", path.display()))?;
        if !tensor.shape.iter().map(|&dim| dim as usize).eq(weight.dims.iter().copied()) {
            let (found, expected) = (&tensor.shape, &weight.dims);
            return Err(format!("tensor `{name}` of `{}` is {found:?}, expected {expected:?}", path.display()));
        }
        weight.numbers = Numbers::F32(adapter.numbers(tensor).map_err(told)?);
        weight.train(true);
    }
    if model.output.is_none() && model.weights[model.embeddings.0].trained {
        // The copy for PEFT.
        left.remove(&(HEAD.to_owned(), Part::Whole));
    }
    if let Some(tensor) = left.values().next() {
        let (path, count) = (path.display(), left.len());
        return Err(format!(
            "`{path}` has {count} tensors more than the recipe's adapter, one of them `{}`",
            tensor.name
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::model;
    use super::*;

    fn frozen(kind: &str, tied: bool) -> Decoder {
        let mut model = model(kind, tied);
        model.weights.iter_mut().for_each(|weight| weight.trained = false);
        model
    }

    fn json_of(folder: &Path) -> Json {
        serde_json::from_slice(&std::fs::read(folder.join(CONFIG)).unwrap()).unwrap()
    }

    fn scales(model: &Decoder) -> Vec<(String, usize, f32)> {
        let blocks = model.blocks.iter().enumerate();
        let all = blocks.flat_map(|(layer, block)| {
            let mut block = block.clone();
            let adapters = block.projections().map(|(name, linear)| (name, linear.adapter.clone()));
            adapters.into_iter().filter_map(move |(name, adapter)| {
                adapter.map(|adapter| (format!("{layer}.{name}"), adapter.rank, adapter.scale))
            })
        });
        all.collect()
    }

    #[test]
    fn ranks_and_scales_of_an_earlier_adapter_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = AdapterRecipe {
            rank: 4,
            alpha: 8.0,
            modules: vec!["q_proj".to_owned(), "up_proj".to_owned()],
            ..AdapterRecipe::default()
        };
        let earlier = json!({"r": 4, "lora_alpha": 8, "rank_pattern": {"up_proj": 2},
            "alpha_pattern": {r".*layers\.0\..*q_proj": 3}});
        let earlier = Settings::of(earlier.as_object().unwrap()).unwrap();
        let mut one = frozen("llama", false);
        assert!(lay(&mut one, &recipe, Some(&earlier), 1) >= 4);
        let found = scales(&one);
        for (name, rank, scale) in &found {
            let expected = match name.as_str() {
                "0.self_attn.q_proj" => (4, 0.75),
                name if name.ends_with("up_proj") => (2, 4.0),
                _ => (4, 2.0),
            };
            assert_eq!((*rank, *scale), expected, "{name}");
        }
        write(&one, &recipe, "base", folder.path()).unwrap();
        let config = json_of(folder.path());
        assert_eq!(config["rank_pattern"]["model.layers.0.mlp.up_proj"], 2);
        assert_eq!(config["alpha_pattern"], json!({"model.layers.0.self_attn.q_proj": 3.0}));
        // What was written says the same, and is read.
        let again = settings(folder.path()).unwrap();
        let mut other = frozen("llama", false);
        lay(&mut other, &recipe, Some(&again), 2);
        assert_eq!(scales(&other), found);
        read(&mut other, &recipe, &again, folder.path()).unwrap();
        let parts = |model: &Decoder| -> Vec<Vec<f32>> {
            model.weights.iter().filter(|weight| is_part(weight)).map(|weight| weight.all().into_owned()).collect()
        };
        assert_eq!(parts(&other), parts(&one));
        let wrong = AdapterRecipe { alpha: 9.0, ..recipe };
        assert!(read(&mut other, &wrong, &again, folder.path()).unwrap_err().contains("alpha 8"));
    }

    #[test]
    fn an_output_that_is_the_embeddings_is_written_for_both_modules() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = AdapterRecipe { rank: 2, ..AdapterRecipe::default() };
        let mut model = frozen("llama", true);
        let embeddings = model.embeddings.0;
        model.weights[embeddings].train(true);
        lay(&mut model, &recipe, None, 1);
        write(&model, &recipe, "base", folder.path()).unwrap();
        let config = json_of(folder.path());
        assert_eq!(
            (&config["modules_to_save"], &config["ensure_weight_tying"]),
            (&json!(["embed_tokens"]), &json!(true))
        );
        let file = crate::weights::safetensors::Folder::open(&folder.path().join(WEIGHTS)).unwrap();
        let bytes = |name: &str| {
            let tensor = file.tensors.iter().find(|tensor| tensor.name == name).unwrap();
            let mut bytes = vec![0; tensor.bytes as usize];
            tensor.read(&mut bytes, 0).unwrap();
            bytes
        };
        // PEFT 0.21 looks for every key of both wrapped modules (`adapter_state_dict_load_map`).
        let table = bytes("base_model.model.model.embed_tokens.weight");
        assert!(!table.is_empty() && table == bytes("base_model.model.lm_head.weight"));
        let settings = settings(folder.path()).unwrap();
        read(&mut model, &recipe, &settings, folder.path()).unwrap();
    }

    #[test]
    fn an_adapter_without_a_product_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), json!({"peft_type": "LORA", "r": 4}).to_string()).unwrap();
        save::write(&folder.path().join(WEIGHTS), &[], &[]).unwrap();
        assert!(found(folder.path()).unwrap_err().contains("changes nothing"));
    }
}

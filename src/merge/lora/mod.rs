//! Adapters: PEFT's, baked into a base; and new ones, made from what a fine-tune changed.
//!
//! A baked tensor is computed row by row as it is read, so an adapter takes no more memory than itself. What this refuses to
//! do: pass over a tensor of the adapter that it has no place for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::error::MergeError;
use super::model::{Model, Weight};
use super::names;
use crate::weights::peft::{self, Part, Settings, WEIGHTS};
use crate::weights::safetensors::{Tensor, printable};

mod bake;
pub mod extract;

use bake::{Baked, Change};

/// The tensors of one module.
#[derive(Clone, Debug, Default)]
struct Parts {
    /// Both halves of its product.
    product: Option<(Matrix, Matrix)>,
    embedding: bool,
    magnitude: Option<Vec<f32>>,
    whole: Option<Matrix>,
}

/// A small matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Numbers.
    pub numbers: Vec<f32>,
}

impl Matrix {
    fn transposed(&self) -> Self {
        let mut numbers = Vec::with_capacity(self.numbers.len());
        for column in 0..self.columns {
            numbers.extend((0..self.rows).map(|row| self.numbers[row * self.columns + column]));
        }
        Self { rows: self.columns, columns: self.rows, numbers }
    }
}

/// An adapter that is open.
#[derive(Debug)]
pub struct Adapter {
    path: PathBuf,
    settings: Settings,
    parts: BTreeMap<String, Parts>,
}

fn fault(what: impl Into<String>) -> MergeError {
    MergeError::Adapter { what: what.into() }
}

impl Adapter {
    /// Reads a PEFT adapter's folder.
    ///
    /// # Errors
    /// It is no LoRA, or is damaged.
    pub fn open(path: &Path) -> Result<Self, MergeError> {
        let adapter = peft::Adapter::open(path)?;
        let mut parts: BTreeMap<String, Parts> = BTreeMap::new();
        for (name, module) in adapter.modules()? {
            let read = |part: Part| module.get(&part).map(|tensor| matrix(&adapter, tensor)).transpose();
            let both = |(a, b)| Ok::<_, MergeError>((matrix(&adapter, a)?, matrix(&adapter, b)?));
            let product = peft::product(&module).map(both).transpose()?;
            let embedding = module.contains_key(&Part::EmbeddingA);
            let magnitude = read(Part::Magnitude)?.map(|lengths| lengths.numbers);
            parts.insert(name, Parts { product, embedding, magnitude, whole: read(Part::Whole)? });
        }
        Ok(Self { path: path.to_owned(), settings: adapter.settings, parts })
    }
}

fn matrix(adapter: &peft::Adapter, tensor: &Tensor) -> Result<Matrix, MergeError> {
    let dim = |at: usize| tensor.shape.get(at).copied().unwrap_or(1) as usize;
    Ok(Matrix { rows: dim(0), columns: dim(1), numbers: adapter.numbers(tensor)? })
}

/// Bakes adapters, each with a weight, into a model: its tensors are replaced by ones that are computed as they are read.
/// An output matrix that is no longer the embedding becomes a tensor of its own.
///
/// # Errors
/// An adapter does not fit the model.
pub fn bake(model: &mut Model, adapters: &[(Adapter, f32)]) -> Result<(), MergeError> {
    let mut changes: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for (adapter, weight) in adapters {
        model.changes.push(format!("adapter `{}` with the weight {weight}", adapter.path.display()));
        model.files.push(adapter.path.join(WEIGHTS));
        for (module, parts) in &adapter.parts {
            let name = place(model, module).ok_or_else(|| {
                let (path, module) = (adapter.path.display(), printable(module));
                fault(format!("the adapter `{path}` changes `{module}`, which `{}` does not have", model.reference))
            })?;
            let target = super::plan::weight(model, &name);
            let Some(target) = target else { continue };
            let found = changes_of(adapter, module, parts, *weight, &target, inputs_first(model, module))?;
            changes.entry(name).or_default().extend(found);
        }
    }
    let embedding = model.weights.keys().find(|name| names::is_vocabulary(name) && names::is_before(name)).cloned();
    // The embedding first: an output matrix that is the same tensor is held against what becomes of it.
    let mut changes: Vec<_> = changes.into_iter().collect();
    changes.sort_by_key(|(name, _)| Some(name) != embedding.as_ref());
    for (name, changes) in changes {
        let Some(base) = super::plan::weight(model, &name) else { continue };
        let tied = model.tied() && !model.weights.contains_key(&name);
        // Saved whole, both come out the same and stay one.
        let same = tied
            && embedding.as_ref().and_then(|name| model.weights.get(name)).is_some_and(|own| bake::same(own, &changes));
        if same {
            continue;
        }
        if tied || (model.tied() && Some(&name) == embedding.as_ref()) {
            separate(model, &name, embedding.as_deref());
        }
        let baked = Baked::new(base.clone(), changes);
        let weight = Weight::new(name.clone(), base.shape.clone(), base.dtype, base.file.clone(), Box::new(baked));
        model.weights.insert(name, Arc::new(weight));
    }
    Ok(())
}

/// Where one of two tensors that were one changes alone, they become two. (PEFT changes both when the embedding is
/// adapted, since it is one tensor there; so does this.)
fn separate(model: &mut Model, name: &str, embedding: Option<&str>) {
    if Some(name) != embedding {
        model.config.insert("tie_word_embeddings".to_owned(), Value::Bool(false));
    }
}

/// The tensor that a module is called by.
fn place(model: &Model, module: &str) -> Option<String> {
    let direct = format!("{module}.weight");
    if super::plan::weight(model, &direct).is_some() {
        return Some(direct);
    }
    let end = format!(".{direct}");
    let mut found = model.weights.keys().filter(|name| name.ends_with(&end) || direct.ends_with(&format!(".{name}")));
    let only = found.next()?;
    found.next().is_none().then(|| only.clone())
}

/// Whether a module is one of GPT-2's `Conv1D`, which store a row for each input. PEFT looks at the module too, and not at
/// what `fan_in_fan_out` says.
fn inputs_first(model: &Model, module: &str) -> bool {
    let kind = model.config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let name = module.rsplit('.').next().unwrap_or(module);
    matches!(kind, "gpt2" | "openai-gpt" | "imagegpt" | "decision_transformer")
        && matches!(name, "c_attn" | "c_proj" | "c_fc" | "q_attn")
}

/// What an adapter does to one tensor: a whole one replaces it, and a product comes on top.
fn changes_of(
    adapter: &Adapter,
    module: &str,
    parts: &Parts,
    weight: f32,
    target: &Weight,
    inputs_first: bool,
) -> Result<Vec<Change>, MergeError> {
    let (rows, columns) = (target.shape.first().copied().unwrap_or(1) as usize, target.columns() as usize);
    let unfit = |what: &str, found: (usize, usize)| {
        let (module, path) = (printable(module), adapter.path.display());
        fault(format!(
            "the adapter `{path}` does not fit: {what} of `{module}` makes {} × {}, and the tensor is {rows} × {columns}",
            found.0, found.1
        ))
    };
    let mut changes = Vec::new();
    if let Some(whole) = &parts.whole {
        if whole.numbers.len() != rows * columns {
            return Err(unfit("the tensor", (whole.rows, whole.columns)));
        }
        changes.push(Change::Whole { numbers: whole.numbers.clone(), weight });
    }
    let Some((a, b)) = &parts.product else { return Ok(changes) };
    let scale = adapter.settings.scale(module);
    // As the tensor lies: B·A, or its transpose for embeddings and for layers that store inputs first.
    let (left, right) =
        if parts.embedding || inputs_first { (a.transposed(), b.transposed()) } else { (b.clone(), a.clone()) };
    if (left.rows, right.columns) != (rows, columns) {
        return Err(unfit("the product", (left.rows, right.columns)));
    }
    if let Some(magnitude) = &parts.magnitude
        && (inputs_first || parts.embedding || magnitude.len() != rows)
    {
        return Err(unfit("DoRA's magnitude", (magnitude.len(), 1)));
    }
    changes.push(Change::Low { left, right, scale, weight, magnitude: parts.magnitude.clone() });
    Ok(changes)
}

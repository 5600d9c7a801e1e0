//! What a recipe's student is: which layers, which adapter, what is trained.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::error::RunError;
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::model::{Base, Decoder, Shape, Source, adapter, initial, narrow};
use crate::distill::recipe::{Recipe, RecipeError};
use crate::distill::teacher;
use crate::hex::hex;

/// A model in memory with where it came from.
pub(crate) struct Student {
    pub(crate) model: Decoder,
    pub(crate) config: Json,
    pub(crate) folder: PathBuf,
    pub(crate) tokenizer: Tokenizer,
    /// Of the files that it came from.
    pub(crate) fingerprint: String,
}

/// Layers the recipe keeps, of so many; `None` for all.
///
/// # Errors
/// It names some that are not there.
pub(crate) fn kept_layers(recipe: &Recipe, all: usize) -> Result<Option<Vec<usize>>, RecipeError> {
    let student = &recipe.student;
    if student.layers > all {
        let what = format!("`student.layers` is {}, and the checkpoint has {all}", student.layers);
        return Err(RecipeError::Problems(vec![what]));
    }
    if student.layers > 0 {
        return Ok(Some(initial::spread(all, student.layers)).filter(|kept| kept.len() < all));
    }
    if let Some(&wrong) = student.keep_layers.iter().find(|&&layer| layer >= all) {
        let what = format!("`student.keep_layers` names {wrong}, and the last layer is {}", all - 1);
        return Err(RecipeError::Problems(vec![what]));
    }
    Ok(Some(student.keep_layers.clone()).filter(|kept| !kept.is_empty()))
}

/// The shape that the recipe leaves of a checkpoint's.
///
/// # Errors
/// It asks for more than there is.
pub(crate) fn shape(recipe: &Recipe, whole: &Shape) -> Result<Shape, RecipeError> {
    let wanted = &recipe.student;
    for (name, wanted, there) in [("hidden", wanted.hidden, whole.hidden), ("inner", wanted.inner, whole.inner)] {
        if wanted > there {
            let what = format!("`student.{name}` is {wanted}, and the checkpoint has {there}");
            return Err(RecipeError::Problems(vec![what]));
        }
    }
    let mut shape = whole.clone();
    shape.layers = kept_layers(recipe, whole.layers)?.map_or(whole.layers, |kept| kept.len());
    shape.hidden = if wanted.hidden > 0 { wanted.hidden } else { whole.hidden };
    shape.inner = if wanted.inner > 0 { wanted.inner } else { whole.inner };
    Ok(shape)
}

/// Reads the student and makes it ready to be trained.
///
/// # Errors
/// The checkpoint cannot be trained, or the recipe asks for what it does not have.
pub(crate) fn build(recipe: &Recipe) -> Result<Student, RunError> {
    let source = Source::open(&recipe.student.path)?;
    let architecture = source.config.get("model_type").and_then(Json::as_str).unwrap_or_default();
    let mut tokenizer = Tokenizer::of(recipe, &source.folder, architecture)?;
    tokenizer.notices.extend(source.notices.clone());
    let kept = kept_layers(recipe, source.shape.layers)?;
    let context = recipe.data.context;
    let mut model = source.load(context, recipe.adapter.as_ref().map_or(Base::Stored, |adapter| adapter.base))?;
    if let Some(kept) = kept {
        model = initial::keep_layers(model, &kept, context);
    }
    let Shape { hidden, inner, .. } = shape(recipe, &source.shape)?;
    narrow::narrow(&mut model, hidden, inner);
    model.precision = recipe.optimiser.precision;
    let new_tokens = !tokenizer.added.is_empty();
    for at in 0..model.weights.len() {
        // Rows of new tokens are trained with an adapter too, and with them the matrices they stand in.
        let rows = new_tokens && [model.embeddings, model.output()].iter().any(|id| id.0 == at);
        model.weights[at].train(recipe.adapter.is_none() || rows);
    }
    if new_tokens {
        initial::add_tokens(&mut model, &tokenizer.added);
    }
    if let Some(settings) = &recipe.adapter {
        let earlier = settings.from.as_deref().map(adapter::settings).transpose().map_err(RunError::Told)?;
        if adapter::lay(&mut model, settings, earlier.as_ref(), recipe.seed) == 0 {
            let names = settings.modules.join("`, `");
            let what = format!("`adapter.modules` names no projection of this model: `{names}`");
            return Err(RecipeError::Problems(vec![what]).into());
        }
        if let (Some(from), Some(earlier)) = (&settings.from, &earlier) {
            adapter::read(&mut model, settings, earlier, from).map_err(RunError::Told)?;
        }
    }
    if let (Some(hidden), Some(teacher)) = (&recipe.objective.hidden, recipe.teachers.first()) {
        let most = model.shape.layers;
        if let Some([layer, _]) = hidden.pairs.iter().find(|[layer, _]| *layer >= most) {
            let what = format!("`objective.hidden.pairs` names the layer {layer}, and the student has {most}");
            return Err(RecipeError::Problems(vec![what]).into());
        }
        initial::add_projections(&mut model, hidden.pairs.len(), teacher::width(&teacher.model)?, recipe.seed);
    }
    model.changed();
    let fingerprint = fingerprint(recipe, &source.folder)?;
    Ok(Student { model, config: source.config, folder: source.folder, tokenizer, fingerprint })
}

/// A name for the weights that a run begins with: samples of the files that hold them.
fn fingerprint(recipe: &Recipe, folder: &Path) -> Result<String, RunError> {
    let mut hash = Sha256::new();
    let from = recipe.adapter.as_ref().and_then(|adapter| adapter.from.as_deref());
    for folder in [Some(folder), from].into_iter().flatten() {
        let read = |error: std::io::Error| RunError::Told(format!("cannot read `{}`: {error}", folder.display()));
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).map_err(read)?.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "safetensors"));
        files.sort_unstable();
        for path in files {
            hash.update(teacher::fingerprint(&path)?);
        }
    }
    Ok(hex(&hash.finalize()))
}

//! What a recipe's student is: which layers, which adapter, what is trained.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::train::RunError;
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::model::{Decoder, Source, adapter, initial};
use crate::distill::recipe::{Recipe, RecipeError};

/// A model in memory with where it came from.
pub(crate) struct Student {
    pub(crate) model: Decoder,
    pub(crate) config: Json,
    pub(crate) folder: PathBuf,
    pub(crate) tokenizer: Tokenizer,
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

/// Reads the student and makes it ready to be trained.
///
/// # Errors
/// The checkpoint cannot be trained, or the recipe asks for what it does not have.
pub(crate) fn build(recipe: &Recipe) -> Result<Student, RunError> {
    let source = Source::open(&recipe.student.path)?;
    let architecture = source.config.get("model_type").and_then(Json::as_str).unwrap_or_default();
    let tokenizer = Tokenizer::open(&source.folder, architecture, &recipe.tokens.add)?;
    let kept = kept_layers(recipe, source.shape.layers)?;
    let context = recipe.data.context;
    let mut model = source.load(context)?;
    if let Some(kept) = kept {
        model = initial::keep_layers(model, &kept, context);
    }
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
        if adapter::lay(&mut model, settings, recipe.seed) == 0 {
            let names = settings.modules.join("`, `");
            let what = format!("`adapter.modules` names no projection of this model: `{names}`");
            return Err(RecipeError::Problems(vec![what]).into());
        }
        if let Some(from) = &settings.from {
            adapter::read(&mut model, from).map_err(RunError::Told)?;
        }
    }
    model.changed();
    Ok(Student { model, config: source.config, folder: source.folder, tokenizer })
}

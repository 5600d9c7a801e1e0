//! What is left at the end: a Hugging Face folder, or an adapter in PEFT's form, and a card that says where it comes from.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::error::RunError;
use super::student::Student;
use super::told::Outcome;
use crate::arch::keys;
use crate::atomic::replace;
use crate::distill::data::corpus::Head;
use crate::distill::model::adapter;
use crate::distill::model::save::{self, Entry};
use crate::distill::recipe::{self, Recipe, TeacherRecipe};
use crate::distill::teacher::Store;
use crate::weights::checkpoint;
use crate::weights::safetensors::write::PYTORCH;

/// The card, which is written last: a folder without it is not whole.
const CARD: &str = "README.md";

/// Whether a run wrote all of its output here.
pub(super) fn is_whole(out: &Path) -> bool {
    out.join(CARD).is_file()
}

/// Says that what is there is about to change.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn begin(out: &Path) -> Result<(), RunError> {
    let path = out.join(CARD);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RunError::Log { path, source }),
        _ => Ok(()),
    }
}

/// The base of an adapter for which the vocabulary has grown.
const BASE: &str = "base";

/// Writes the trained student.
///
/// # Errors
/// The folder cannot be written to, or a weight does not fit the student's own type.
pub(crate) fn write(student: &Student, recipe: &Recipe, out: &Path) -> Result<(), RunError> {
    let Some(settings) = &recipe.adapter else { return whole(student, out) };
    let mut base = recipe.student.path.clone();
    if !student.tokenizer.added.is_empty() {
        // An adapter lies over matrices of its own size, and those of the checkpoint are shorter.
        base = out.join(BASE);
        std::fs::create_dir_all(&base).map_err(|source| RunError::Log { path: base.clone(), source })?;
        whole(student, &base)?;
    }
    // PEFT finds the base from wherever it is called.
    let base = std::fs::canonicalize(&base).unwrap_or(base);
    adapter::write(&student.model, settings, &base.to_string_lossy(), out)?;
    beside(student, out)
}

/// Writes the model, without what lies over it.
fn whole(student: &Student, out: &Path) -> Result<(), RunError> {
    let own = student.model.weights.iter().filter(|weight| weight.is_of_model() && !adapter::is_part(weight));
    let mut entries = Vec::new();
    for weight in own {
        let (name, dtype) = (weight.name.clone(), weight.dtype);
        if let count @ 1.. = weight.numbers.overflown(dtype) {
            return Err(RunError::Overflow { tensor: name, kind: dtype.name(), count });
        }
        entries.push(Entry { name, dtype, weight, instead: None });
    }
    save::write(&out.join("model.safetensors"), &entries, PYTORCH)?;
    let text = serde_json::to_string_pretty(&config(student)).unwrap_or_default();
    replace(&out.join("config.json"), text.as_bytes())?;
    beside(student, out)
}

fn beside(student: &Student, out: &Path) -> Result<(), RunError> {
    for name in checkpoint::BESIDE {
        if name == "tokenizer.json" {
            replace(&out.join(name), &student.tokenizer.file)?;
        } else if let Ok(bytes) = crate::small::read(student.folder.join(name), crate::small::TOKENIZER) {
            replace(&out.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// The checkpoint's own, with what has changed.
fn config(student: &Student) -> Json {
    let mut config = student.config.clone();
    let shape = &student.model.shape;
    config["num_hidden_layers"] = json!(shape.layers);
    config["hidden_size"] = json!(shape.hidden);
    config["intermediate_size"] = json!(shape.inner);
    // Without it readers divide the hidden size by the heads.
    if shape.width * shape.heads != shape.hidden {
        config["head_dim"] = json!(shape.width);
    }
    config["vocab_size"] = json!(shape.vocabulary);
    if let Some(types) = config.get_mut(keys::KINDS).and_then(Json::as_array_mut) {
        types.truncate(shape.layers);
    }
    if config.get(keys::FIRST_SLIDING).is_some() {
        config[keys::FIRST_SLIDING] = json!(shape.layers);
    }
    if shape.family.rope.unrotated_every.is_some() {
        config[keys::ROTATED] = json!(shape.rotated.iter().map(|&rotated| u8::from(rotated)).collect::<Vec<_>>());
    }
    config
}

/// The recipe without what is nobody else's business: where files lie, and which servers were asked.
fn shareable(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    let short = |path: &mut PathBuf| *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    short(&mut recipe.student.path);
    recipe.data.sources.iter_mut().for_each(|source| short(&mut source.path));
    recipe.adapter.iter_mut().filter_map(|adapter| adapter.from.as_mut()).for_each(short);
    recipe.teachers.iter_mut().for_each(|teacher| {
        short(&mut teacher.model);
        teacher.servers.clear();
    });
    recipe
}

/// Writes `README.md`: recipe, data and results.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn card(
    recipe: &Recipe,
    data: &Head,
    teachers: &[Option<Store>],
    outcome: &Outcome,
    out: &Path,
) -> Result<(), RunError> {
    let shown = |loss: Option<f64>| loss.map_or_else(|| "–".to_owned(), |loss| format!("{loss:.4}"));
    let base = recipe.student.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let what = if recipe.adapter.is_some() { "An adapter for" } else { "Made from" };
    let library = if recipe.adapter.is_some() { "peft" } else { "transformers" };
    let shown_recipe = shareable(recipe);
    let teacher = |(teacher, store): (&TeacherRecipe, &Option<Store>)| {
        let fingerprint = store.as_ref()?.teacher();
        Some(format!("| teacher `{}` (its fingerprint) | `{fingerprint}` |\n", teacher.model.display()))
    };
    let taught: String = shown_recipe.teachers.iter().zip(teachers).filter_map(teacher).collect();
    let text = format!(
        "---\nlibrary_name: {library}\nbase_model: {}\ntags: [zord-distill]\n---\n\n# {base}, trained by zord-distill\n\n{what} `{base}`.\n\n\
         | | |\n|---|---|\n| steps | {} |\n| tokens | {} |\n| loss of the first and the last step | {} → {} |\n\
         | held-out loss before and after | {} → {} |\n| data (SHA-256 of its tokens) | `{}` |\n\
         | documents, tokens | {}, {} |\n{taught}\nIts weights keep the licence of what they were made from.\n\n\
         ## Recipe\n\n```toml\n{}```\n",
        json!(base),
        outcome.steps,
        outcome.tokens,
        shown(outcome.loss_first),
        shown(outcome.loss_last),
        shown(outcome.val_loss_before),
        shown(outcome.val_loss_after),
        data.content,
        data.documents,
        data.tokens,
        recipe::text(&shown_recipe),
    );
    Ok(replace(&out.join(CARD), text.as_bytes())?)
}

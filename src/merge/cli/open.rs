//! Models as a recipe names them: a folder, a GGUF file, or a repository, which is fetched into the store if it is not
//! there; or its headers alone, for a plan that nobody carries out yet.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::size::bytes;

use crate::cli::source;
use crate::error::UserError;
use crate::merge::lora::{Adapter, bake};
use crate::merge::model::Model;
use crate::merge::plan::Plan;
use crate::merge::recipe::{self, Layers, Recipe, Reference};
use crate::paths::Paths;

/// From `hf:owner/repo` to a folder.
type Fetch<'a> = &'a dyn Fn(&str) -> Result<PathBuf, UserError>;

fn whole(name: &str) -> Result<PathBuf, UserError> {
    source::folder(Path::new(name))
}

/// The folder or file of a model. Names are relative to the current folder, or to the recipe's.
fn place(reference: &Reference, recipe: &Path, fetch: Fetch<'_>) -> Result<PathBuf, UserError> {
    let named = Path::new(&reference.path);
    let beside = recipe.parent().unwrap_or(Path::new("")).join(named);
    for path in [named, &beside] {
        if path.exists() {
            return Ok(path.to_owned());
        }
    }
    let repository = reference.path.strip_prefix("hf:").unwrap_or(&reference.path);
    let parts: Vec<&str> = repository.split('/').collect();
    if parts.len() != 2 || parts.iter().any(|part| part.is_empty() || part.starts_with('.')) {
        let report = UserError::failed(format!("there is no checkpoint `{}`", reference.path));
        return Err(report.hint("name a folder, a GGUF file, or `owner/repo` on a hub"));
    }
    let revision = reference.revision.as_ref().map(|revision| format!("@{revision}")).unwrap_or_default();
    fetch(&format!("hf:{repository}{revision}"))
}

/// A model named on the command line.
pub(super) fn named(name: &str) -> Result<Model, UserError> {
    let unknown = || UserError::usage(format!("`{name}` names no model"));
    let reference = Reference::parse(name).ok_or_else(unknown)?;
    open(&reference, Path::new(""), &whole)
}

/// A folder named on the command line.
pub(super) fn folder(name: &str) -> Result<PathBuf, UserError> {
    place(&Reference { path: name.to_owned(), revision: None, lora: None }, Path::new(""), &whole)
}

/// A model, with its adapter in it where it has one.
fn open(reference: &Reference, recipe: &Path, fetch: Fetch<'_>) -> Result<Model, UserError> {
    let mut model = Model::open(reference, &place(reference, recipe, fetch)?)?;
    if let Some(lora) = &reference.lora {
        let lora = Reference { path: lora.clone(), revision: None, lora: None };
        let adapter = Adapter::open(&place(&lora, recipe, &whole)?)?;
        bake(&mut model, &[(adapter, 1.0)])?;
    }
    Ok(model)
}

/// A plan that writes one model as it is.
pub(super) fn alone(model: Model) -> Result<(Recipe, Plan), UserError> {
    let name = serde_json::to_string(&model.reference.path).unwrap_or_default();
    let text = format!("merge_method: passthrough\nmodels:\n  - model: {{model: {name}}}\n");
    let mut recipe = Recipe::parse(Path::new("recipe.yml"), &text)?;
    recipe.slices =
        Layers::Whole(vec![recipe::Model { model: model.reference.clone(), parameters: recipe::Settings::new() }]);
    let plan = Plan::new(&recipe, vec![model], None);
    Ok((recipe, plan))
}

/// Opens every model of a recipe and plans the merge.
pub(super) fn plan(path: &Path, seed: Option<u64>) -> Result<(Recipe, Plan), UserError> {
    planned(path, seed, &whole)
}

/// The same from headers alone: of a repository that is not in the store no weights are fetched.
pub(super) fn outline(path: &Path) -> Result<(Recipe, Plan), UserError> {
    let shelf = Shelf::new();
    let missing = RefCell::new(Vec::new());
    let fetch = |name: &str| {
        let place = shelf.0.join(missing.borrow().len().to_string());
        let (folder, size) = source::headers(name, &place)?;
        missing.borrow_mut().extend(size.map(|size| format!("`{name}` is not here; `run` fetches {}", bytes(size))));
        Ok(folder)
    };
    let (recipe, mut plan) = planned(path, None, &fetch)?;
    plan.notices.extend(missing.into_inner());
    Ok((recipe, plan))
}

fn planned(path: &Path, seed: Option<u64>, fetch: Fetch<'_>) -> Result<(Recipe, Plan), UserError> {
    let recipe = Recipe::read(path)?;
    let mut models = Vec::new();
    for reference in recipe.references() {
        models.push(open(reference, path, fetch)?);
    }
    let plan = Plan::new(&recipe, models, seed);
    Ok((recipe, plan))
}

/// A folder for headers, which goes when they are read.
struct Shelf(PathBuf);

impl Shelf {
    fn new() -> Self {
        Self(Paths::find().cache.join("headers").join(std::process::id().to_string()))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

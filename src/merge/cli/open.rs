//! Models as a recipe names them: a folder, a GGUF file, or a repository, which is fetched into the store if it is not
//! there.

use std::path::{Path, PathBuf};

use crate::error::Report;
use crate::merge::model::Model;
use crate::merge::plan::Plan;
use crate::merge::recipe::{Recipe, Reference};
use crate::quantize::cli::source;

/// The folder or file of a model. Names are relative to the current folder, or to the recipe's.
pub(super) fn place(reference: &Reference, recipe: &Path) -> Result<PathBuf, Report> {
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
        let report = Report::failed(format!("there is no checkpoint `{}`", reference.path));
        return Err(report.hint("name a folder, a GGUF file, or `owner/repo` on a hub"));
    }
    let revision = reference.revision.as_ref().map(|revision| format!("@{revision}")).unwrap_or_default();
    source::folder(Path::new(&format!("hf:{repository}{revision}")))
}

/// Opens every model of a recipe and plans the merge.
pub(super) fn plan(path: &Path, seed: Option<u64>) -> Result<(Recipe, Plan), Report> {
    let recipe = Recipe::read(path)?;
    let mut models = Vec::new();
    for reference in recipe.references() {
        models.push(Model::open(reference, &place(reference, path)?)?);
    }
    let plan = Plan::new(&recipe, models, seed);
    Ok((recipe, plan))
}

//! What stands against following a recipe: everything that can be known before it is followed, all at once.

use super::error::RunError;
use super::estimate::projections;
use super::place::unfit;
use super::student;
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::model::{Shape, Source};
use crate::distill::recipe::Recipe;
use crate::distill::teacher::{self, Look};
use crate::error::chain;

/// What was found.
#[derive(Default)]
pub(crate) struct Findings {
    /// What stands against it.
    pub(crate) problems: Vec<String>,
    /// What the person should know besides.
    pub(crate) notes: Vec<String>,
}

/// What could be opened of a recipe's files.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) source: Option<Source>,
    pub(crate) tokenizer: Option<Tokenizer>,
    /// Of all teachers; none of servers and of what cannot be read.
    pub(crate) teachers: Vec<Option<Look>>,
}

/// Opens what a recipe names, and says what is wrong with it.
pub(crate) fn open(recipe: &Recipe, found: &mut Findings) -> Opened {
    let mut opened = Opened::default();
    found.problems.extend(unfit(recipe, false).map(|what| RunError::Unfit(what).to_string()));
    match Source::open(&recipe.student.path) {
        Err(error) => found.problems.push(chain(&error)),
        Ok(source) => {
            found.notes.extend(source.notices.clone());
            let architecture = source.config.get("model_type").and_then(|kind| kind.as_str()).unwrap_or_default();
            match Tokenizer::of(recipe, &source.folder, architecture) {
                Err(error) => found.problems.push(chain(&error)),
                Ok(tokenizer) => {
                    found.problems.extend(tokenizer.problems.clone());
                    found.notes.extend(tokenizer.notices.clone());
                    opened.tokenizer = Some(tokenizer);
                }
            }
            opened.source = Some(source);
        }
    }
    if let Some(from) = recipe.adapter.as_ref().and_then(|adapter| adapter.from.as_ref())
        && !from.join("adapter_model.safetensors").is_file()
    {
        found
            .problems
            .push(format!("`adapter.from` is `{}`, which holds no `adapter_model.safetensors`", from.display()));
    }
    opened.teachers.resize_with(recipe.teachers.len(), || None);
    for (at, one) in recipe.teachers.iter().enumerate().filter(|(_, one)| one.servers.is_empty()) {
        let path = &one.model;
        let Some(tokenizer) = &opened.tokenizer else {
            if let Err(error) = std::fs::metadata(path) {
                found.problems.push(format!("cannot read the teacher `{}`: {error}", path.display()));
            }
            continue;
        };
        let look = match teacher::look(path, tokenizer) {
            Ok(look) => look,
            Err(error) => {
                found.problems.push(chain(&error));
                continue;
            }
        };
        let hidden = at == 0 && recipe.objective.hidden.is_some();
        if let Some(what) = &look.differs {
            let name = format!("the teacher `{}` has other tokens than the student ({what})", path.display());
            match (one.draws > 0, hidden, tokenizer.bytes().is_none()) {
                (true, ..) => found.problems.push(format!("{name}, so none can be sampled: leave `draws` out")),
                (_, true, _) => found.problems.push(format!("{name}, so hidden states cannot be compared")),
                (.., true) => found.problems.push(format!("{name}, and the student's are not byte-level")),
                _ => {
                    found.notes.push(format!("{name}: they are compared as text"));
                    if recipe.objective.temperature != 1.0 {
                        found.notes.push(format!("`objective.temperature` does not apply to `{}`", path.display()));
                    }
                    if recipe.data.fim.rate > 0.0 {
                        let left = 1.0 - recipe.objective.alpha;
                        found.notes.push(format!(
                            "`{}` says nothing about documents with a hole: they count with 1 − `objective.alpha` = {left:.2} only",
                            path.display()
                        ));
                    }
                }
            }
        }
        if hidden
            && let Some(layer) = recipe.objective.taught_layers().into_iter().find(|&layer| layer as u64 >= look.layers)
        {
            let most = look.layers;
            found
                .problems
                .push(format!("`objective.hidden.pairs` names the teacher's layer {layer}, and it has {most}"));
        }
        opened.teachers[at] = Some(look);
    }
    opened
}

/// Holds the recipe against the student's shape.
pub(crate) fn fits(recipe: &Recipe, source: &Source, found: &mut Findings) {
    let shape = match student::shape(recipe, &source.shape) {
        Ok(shape) => shape,
        Err(error) => return found.problems.push(chain(&error)),
    };
    let context = recipe.data.context;
    if context > shape.positions {
        let most = shape.positions;
        found.problems.push(format!("`data.context` is {context}, and the student was made for {most} positions"));
    }
    found.problems.extend(unnamed(recipe, &shape));
    for [layer, _] in recipe.objective.hidden.iter().flat_map(|hidden| &hidden.pairs) {
        if *layer >= shape.layers {
            let most = shape.layers;
            found
                .problems
                .push(format!("`objective.hidden.pairs` names the layer {layer}, and the student has {most}"));
        }
    }
}

/// Modules of the adapter that are no projection's.
fn unnamed(recipe: &Recipe, shape: &Shape) -> Vec<String> {
    let Some(adapter) = &recipe.adapter else { return Vec::new() };
    let all = projections(shape);
    let mut one = adapter.clone();
    let none = adapter.modules.iter().filter(|module| {
        one.modules = vec![(*module).clone()];
        !all.iter().any(|(name, ..)| one.takes(name))
    });
    none.map(|module| format!("`adapter.modules` names `{module}`, which is no projection of this model")).collect()
}

/// The first step at which no teacher is active.
pub(crate) fn gap(recipe: &Recipe, steps: u64) -> Option<String> {
    let teachers = &recipe.teachers;
    let active = |step: u64| teachers.iter().any(|one| step >= one.from && (one.until == 0 || step < one.until));
    let mut changes: Vec<u64> = teachers.iter().map(|one| one.until).chain([0]).filter(|&step| step < steps).collect();
    changes.sort_unstable();
    let first = changes.into_iter().find(|&step| !teachers.is_empty() && !active(step))?;
    Some(format!("no teacher is active at step {first}: `from` and `until` leave a gap"))
}

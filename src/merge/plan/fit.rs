//! Whether tensors and vocabularies of several models fit on each other.

use std::sync::Arc;

use super::{Input, Plan};
use crate::merge::model::{Model, Weight};
use crate::merge::names;
use crate::merge::recipe::Recipe;
use crate::merge::tokens::{self, Merged};

/// A model's tensor of this name; the embedding for the output matrix of a model that has none of its own.
pub(crate) fn weight(model: &Model, name: &str) -> Option<Arc<Weight>> {
    if let Some(weight) = model.weights.get(name) {
        return Some(weight.clone());
    }
    let tied = names::is_head(name) && model.tied();
    let embedding = || model.weights.iter().find(|(name, _)| names::is_vocabulary(name) && names::is_before(name));
    if tied { embedding().map(|(_, weight)| weight.clone()) } else { None }
}

/// The shape of the result, or how the inputs differ.
pub(super) fn shape(plan: &Plan, name: &str, inputs: &[Input]) -> Result<Vec<u64>, String> {
    let of = |input: &Input| match &input.rows {
        Some(rows) => std::iter::once(rows.count()).chain(input.weight.shape.iter().skip(1).copied()).collect(),
        None => input.weight.shape.clone(),
    };
    let shapes: Vec<Vec<u64>> = inputs.iter().map(of).collect();
    let Some(first) = shapes.first() else { return Err("no model has it".to_owned()) };
    if shapes.iter().all(|shape| shape == first) {
        return Ok(first.clone());
    }
    let each = inputs.iter().zip(&shapes).map(|(input, shape)| format!("{shape:?} in {}", place(plan, input)));
    let each = each.collect::<Vec<_>>().join(", ");
    let rows = names::is_vocabulary(name) && shapes.iter().all(|shape| shape[1..] == first[1..]);
    let way = if rows { "; `tokenizer: {source: base}` in the recipe places rows by token" } else { "" };
    Err(format!("its shapes differ: {each}{way}"))
}

/// How the types of checkpoints differ, where the recipe does not say what they are read as. What a GGUF file holds is
/// dequantized and has no type of its own.
pub(super) fn types(recipe: &Recipe, plan: &Plan, inputs: &[Input]) -> Option<String> {
    let own: Vec<&Input> = inputs.iter().filter(|input| plan.models[input.model].made.is_empty()).collect();
    let first = own.first()?.weight.dtype;
    if recipe.dtype.is_some() || own.iter().all(|input| input.weight.dtype == first) {
        return None;
    }
    let each = own.iter().map(|input| format!("{} in {}", input.weight.dtype.name(), place(plan, input)));
    let each = each.collect::<Vec<_>>().join(", ");
    Some(format!("its types differ: {each}; `dtype: float32` in the recipe says what all are read as"))
}

/// Where an input comes from, for messages.
fn place(plan: &Plan, input: &Input) -> String {
    let file = input.weight.file.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    format!("`{}` ({file})", plan.models[input.model].reference)
}

/// The result's vocabulary, where the recipe asks for one; else a look at whether the models' agree.
pub(super) fn vocabulary(recipe: &Recipe, plan: &mut Plan) -> Option<Merged> {
    if let Some(wanted) = &recipe.tokenizer {
        return match tokens::merge(wanted, &plan.models, plan.donor) {
            Ok((merged, notices)) => {
                plan.notices.extend(notices);
                Some(merged)
            }
            Err(error) => {
                plan.problem("", error.to_string());
                None
            }
        };
    }
    let donor = plan.models.get(plan.donor)?;
    let reference = donor.reference.to_string();
    let own = tokens::vocabulary(donor).ok().flatten();
    let mut found = Vec::new();
    for (at, model) in plan.models.iter().enumerate().filter(|(at, _)| *at != plan.donor) {
        match (&own, tokens::vocabulary(model)) {
            (Some(own), Ok(Some(other))) => found.extend(tokens::differ(own, &other).map(|how| (at, how))),
            (_, Err(error)) => plan.notices.push(error.to_string()),
            _ => {}
        }
    }
    for (at, how) in found {
        let other = plan.models[at].reference.to_string();
        plan.problem(
            "",
            format!(
                "the tokenizers of `{reference}` and `{other}` differ: {how}; \
                 `tokenizer: {{source: base}}` in the recipe places rows by token"
            ),
        );
    }
    None
}

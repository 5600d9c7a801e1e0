//! Which tensors of which models lie on each other: layer by layer as the recipe slices them, and those outside layers.

use std::collections::BTreeSet;

use super::parameters::{Places, told};
use super::{Action, Input, Output, Plan, find, fit};
use crate::arch;
use crate::merge::method::{Base, Scope, seed};
use crate::merge::names;
use crate::merge::recipe::{self, Recipe, Settings};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Layers of a result, at most.
const MOST_LAYERS: u64 = 10_000;

/// Some layers of the result, with models by number.
struct Slice<'a> {
    sources: Vec<Source<'a>>,
    base: Option<usize>,
    parameters: Vec<&'a Settings>,
}

struct Source<'a> {
    model: usize,
    from: u32,
    to: u32,
    parameters: &'a Settings,
}

pub(super) fn outputs(recipe: &Recipe, plan: &mut Plan) {
    let none = Settings::new();
    let slices = slices(recipe, plan, &none);
    if slices.is_empty() {
        return;
    }
    let layers: u64 =
        slices.iter().filter_map(|slice| slice.sources.first()).map(|one| u64::from(one.to - one.from)).sum();
    if layers > MOST_LAYERS {
        return plan.problem("", format!("the result would have {layers} layers, and at most {MOST_LAYERS} are made"));
    }
    plan.layers = layers as u32;
    let donor = plan.models.get(plan.donor).map(|model| model.layers.clone()).unwrap_or_default();
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return };
    for name in outside(plan, first, true) {
        tensor(recipe, plan, first, &name, None, 0.0);
    }
    let mut number = 0;
    for slice in &slices {
        let Some(source) = slice.sources.first() else { continue };
        let length = source.to - source.from;
        for offset in 0..length {
            let t = if length > 1 { f64::from(offset) / f64::from(length - 1) } else { 1.0 };
            for rest in inside(plan, slice, offset) {
                tensor(recipe, plan, slice, &donor.name(number, &rest), Some((offset, number, &rest)), t);
            }
            number += 1;
        }
    }
    for name in outside(plan, last, false) {
        tensor(recipe, plan, last, &name, None, 0.0);
    }
}

fn slices<'a>(recipe: &'a Recipe, plan: &mut Plan, none: &'a Settings) -> Vec<Slice<'a>> {
    let mut shared = vec![&recipe.parameters];
    if !recipe.module.is_empty() {
        shared.insert(0, &recipe.module);
    }
    let base = recipe.base.as_ref().and_then(|base| find(&plan.models, base));
    let mut all = Vec::new();
    match &recipe.slices {
        recipe::Layers::Whole(models) => {
            let mut sources: Vec<Source<'a>> = Vec::new();
            for model in models {
                let Some(at) = find(&plan.models, &model.model) else { continue };
                sources.push(Source {
                    model: at,
                    from: 0,
                    to: plan.models[at].layers.count,
                    parameters: &model.parameters,
                });
            }
            // As in mergekit, a base that is not named among the models is one of them all the same.
            if let Some(base) = base.filter(|base| sources.iter().all(|source| source.model != *base)) {
                sources.push(Source { model: base, from: 0, to: plan.models[base].layers.count, parameters: none });
            }
            all.push(Slice { sources, base, parameters: shared });
        }
        recipe::Layers::Sliced(slices) => {
            for slice in slices {
                let mut sources = Vec::new();
                for part in &slice.sources {
                    let Some(at) = find(&plan.models, &part.model) else { continue };
                    let (from, to) = part.layers;
                    let count = plan.models[at].layers.count;
                    if to > count {
                        plan.problem(
                            "",
                            format!("layers {from} to {to} of `{}` are wanted, which has {count}", part.model),
                        );
                        continue;
                    }
                    sources.push(Source { model: at, from, to, parameters: &part.parameters });
                }
                let base = slice.base.as_ref().map_or(base, |base| find(&plan.models, base));
                let parameters = std::iter::once(&slice.parameters).chain(shared.iter().copied()).collect();
                all.push(Slice { sources, base, parameters });
            }
        }
    }
    let before = plan.problems.len();
    for (number, slice) in all.iter().enumerate() {
        let place = if all.len() > 1 { format!(" in slice {}", number + 1) } else { String::new() };
        count(plan, slice, &place);
    }
    if plan.problems.len() > before && all.iter().any(|slice| slice.sources.is_empty()) { Vec::new() } else { all }
}

/// Whether a slice has as many models as the method wants, of as many layers each.
fn count(plan: &mut Plan, slice: &Slice<'_>, place: &str) {
    let contract = plan.method.contract();
    let name = plan.method.name();
    let mut seen = BTreeSet::new();
    for source in &slice.sources {
        if !seen.insert(source.model) {
            let twice = plan.models[source.model].reference.to_string();
            plan.problem("", format!("the model `{twice}` is there twice{place}"));
        }
    }
    let has_base = slice.base.is_some_and(|base| seen.contains(&base));
    if contract.base == Base::Needed && !has_base {
        let what = if slice.base.is_none() { "a `base_model`" } else { "its `base_model` among the sources" };
        plan.problem("", format!("the method `{name}` needs {what}{place}"));
    }
    let counted = slice.sources.len() - usize::from(has_base && contract.base != Base::Ignored);
    let besides = if contract.base == Base::Ignored { "" } else { " besides the base" };
    if counted < contract.least || counted > contract.most {
        let wanted = match (contract.least, contract.most) {
            (least, most) if least == most => format!("exactly {least}"),
            (least, usize::MAX) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        };
        plan.problem("", format!("the method `{name}` wants {wanted} models{besides}, and there are {counted}{place}"));
    }
    let lengths: Vec<u32> = slice.sources.iter().map(|source| source.to - source.from).collect();
    if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
        let each = slice
            .sources
            .iter()
            .map(|source| format!("{} of `{}`", source.to - source.from, plan.models[source.model].reference));
        let each = each.collect::<Vec<_>>().join(", ");
        plan.problem("", format!("models of different numbers of layers lie on each other{place}: {each}"));
    }
}

/// Names outside layers, of all models of a slice.
fn outside(plan: &Plan, slice: &Slice<'_>, before: bool) -> Vec<String> {
    let mut names = BTreeSet::new();
    for source in &slice.sources {
        let model = &plan.models[source.model];
        let own = model.weights.keys().filter(|name| model.layers.of(name).is_none());
        names.extend(own.filter(|name| names::is_before(name) == before && !arch::is_buffer(name)).cloned());
    }
    names.into_iter().collect()
}

/// Rests of names inside a layer, of all models of a slice.
fn inside(plan: &Plan, slice: &Slice<'_>, offset: u32) -> Vec<String> {
    let mut rests = BTreeSet::new();
    for source in &slice.sources {
        let model = &plan.models[source.model];
        let prefix = format!("{}{}.", model.layers.prefix, source.from + offset);
        let own = model.weights.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        rests.extend(own.filter(|(name, _)| !arch::is_buffer(name)).map(|(name, _)| name[prefix.len()..].to_owned()));
    }
    rests.into_iter().collect()
}

/// Plans one tensor; `place` is its layer in the slice and in the result, and the rest of its name.
fn tensor(recipe: &Recipe, plan: &mut Plan, slice: &Slice<'_>, name: &str, place: Option<(u32, u32, &str)>, t: f64) {
    let own = |source: &Source<'_>| match place {
        Some((offset, _, rest)) => plan.models[source.model].layers.name(source.from + offset, rest),
        None => name.to_owned(),
    };
    let names: Vec<String> = slice.sources.iter().map(own).collect();
    let mut inputs = Vec::new();
    let mut missing = Vec::new();
    for (source, own) in slice.sources.iter().zip(&names) {
        match fit::weight(&plan.models[source.model], own) {
            Some(weight) => {
                let narrower =
                    recipe.dtype.filter(|dtype| dtype.size() < weight.dtype.size() || mixed(*dtype, weight.dtype));
                let rows = plan.vocabulary.as_ref().and_then(|merged| merged.rows(&plan.models, source.model, name));
                if let Some(reason) = rows.as_ref().and_then(|rows| rows.missing(&weight)) {
                    return plan.problem(name, reason);
                }
                inputs.push(Input { model: source.model, weight, rows, rounded: narrower });
            }
            None => missing.push(format!("`{}`", plan.models[source.model].folder.display())),
        }
    }
    if !missing.is_empty() {
        let has: Vec<String> = inputs.iter().map(|input| format!("`{}`", plan.models[input.model].reference)).collect();
        plan.problem(name, format!("it is missing in {}, and {} has it", missing.join(", "), has.join(", ")));
        return;
    }
    let shape = match fit::shape(plan, name, &inputs) {
        Ok(shape) => shape,
        Err(reason) => return plan.problem(name, reason),
    };
    let layer = place.map(|(_, number, _)| number);
    let first = inputs.first().map_or(Dtype::F32, |input| input.weight.dtype);
    if inputs.iter().any(|input| !numbers::is_float(input.weight.dtype)) {
        if inputs.iter().any(|input| input.weight.dtype != first) {
            let found: Vec<String> = inputs.iter().map(|input| input.weight.dtype.name()).collect();
            return plan.problem(name, format!("its types are {}, which cannot be merged", found.join(", ")));
        }
        let action = Action::Copy;
        plan.outputs.push(Output { name: name.to_owned(), shape, dtype: first, inputs, action, layer });
        return;
    }
    if let Some(reason) = fit::types(recipe, plan, &inputs) {
        return plan.problem(name, reason);
    }
    let dtype = recipe.out_dtype.or(recipe.dtype).unwrap_or_else(|| promoted(&inputs));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let needs = plan.method.contract().base != Base::Ignored;
    let base = slice.base.filter(|_| needs).and_then(|base| inputs.iter().position(|input| input.model == base));
    let places = Places {
        inputs: slice.sources.iter().map(|source| source.parameters).collect(),
        shared: slice.parameters.clone(),
        names,
        t,
    };
    match told(plan.method, name, &places, base, &shape, seed(plan.seed, name)) {
        Ok(told) => {
            let whole = plan.method.contract().most == 1
                && !plan.method.parameters().iter().any(|one| one.scope == Scope::Input && told.has(one.name))
                && plan.method == crate::merge::method::Method::Passthrough;
            let plain = inputs.iter().all(|input| input.rows.is_none() && input.weight.bytes().is_some());
            let action = if whole && plain && dtype == first { Action::Copy } else { Action::Blend(told) };
            plan.outputs.push(Output { name: name.to_owned(), shape, dtype, inputs, action, layer });
        }
        Err(reason) => plan.problem(name, reason),
    }
}

/// The two types of 16 bits hold different numbers.
fn mixed(a: Dtype, b: Dtype) -> bool {
    a != b && a.size() == b.size()
}

/// The type that holds what all of them hold.
fn promoted(inputs: &[Input]) -> Dtype {
    let dtypes = || inputs.iter().map(|input| input.weight.dtype);
    let first = dtypes().next().unwrap_or(Dtype::F32);
    match () {
        () if dtypes().all(|dtype| dtype == first) => first,
        () if dtypes().any(|dtype| dtype == Dtype::F64) => Dtype::F64,
        () => Dtype::F32,
    }
}

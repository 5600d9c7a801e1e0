//! What a method is told for one tensor: the nearest setting of each parameter, else its default; and what cannot be told.

use std::collections::BTreeMap;

use crate::merge::method::{Method, Otherwise, Parameter, Scope, Told};
use crate::merge::recipe::{Scalar, Settings, resolve};

/// Where parameters of one tensor may stand, the nearest first.
pub(super) struct Places<'a> {
    /// Of each input alone.
    pub(super) inputs: Vec<&'a Settings>,
    /// Of all.
    pub(super) shared: Vec<&'a Settings>,
    /// The tensor's name in each input, which filters are held against.
    pub(super) names: Vec<&'a str>,
    /// How far through the slice the layer is, from 0 to 1.
    pub(super) t: f64,
}

/// Everything the method wants to know, or why that is not to be had.
pub(super) fn told(
    method: Method,
    tensor: &str,
    places: &Places<'_>,
    base: Option<usize>,
    shape: &[u64],
    seed: u64,
) -> Result<Told, String> {
    let mut told = Told { base, seed, shape: shape.to_vec(), ..Told::default() };
    told.inputs = vec![BTreeMap::new(); places.inputs.len()];
    for parameter in method.parameters() {
        if parameter.scope == Scope::Shared {
            if let Some(value) = value(&parameter, &places.shared, tensor, places.t, "")? {
                told.shared.insert(parameter.name, value);
            }
            continue;
        }
        for (at, own) in places.inputs.iter().enumerate() {
            if parameter.scope == Scope::NonBase && base == Some(at) {
                continue;
            }
            let all: Vec<&Settings> = std::iter::once(*own).chain(places.shared.iter().copied()).collect();
            let name = places.names.get(at).copied().unwrap_or(tensor);
            if let Some(value) = value(&parameter, &all, name, places.t, &format!(" of model {}", at + 1))? {
                told.inputs[at].insert(parameter.name, value);
            }
        }
    }
    method.judge(&told).map(|()| told)
}

fn value(
    parameter: &Parameter,
    places: &[&Settings],
    tensor: &str,
    t: f64,
    whose: &str,
) -> Result<Option<Scalar>, String> {
    if let Some(found) = resolve(parameter.name, places, tensor, t) {
        return Ok(Some(found));
    }
    match parameter.default {
        Otherwise::Required => Err(format!("the parameter `{}`{whose} is not given", parameter.name)),
        Otherwise::Absent => Ok(None),
        Otherwise::Number(number) => Ok(Some(Scalar::Number(number))),
        Otherwise::First => match parameter.kind {
            crate::merge::method::Kind::Word(words) => Ok(words.first().map(|word| Scalar::Text((*word).to_owned()))),
            _ => Ok(None),
        },
    }
}

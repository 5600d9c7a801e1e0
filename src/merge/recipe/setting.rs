//! Parameters: a number, a gradient over the layers, or several of these for tensors whose names contain a word.
//!
//! The nearest place that has a value for a tensor decides: the slice's source, the slice, the model, the whole recipe
//! (what mergekit does, whose recipes these are).

use std::collections::BTreeMap;

/// What a parameter may be for one tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A word.
    Text(String),
}

/// What a recipe says of a parameter.
#[derive(Clone, Debug)]
pub enum Setting {
    /// One value, or several that are spread evenly over the layers.
    Values(Vec<Scalar>),
    /// The first one whose filter fits.
    Filtered(Vec<Filtered>),
}

/// Values for some tensors.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// A part of the tensor's name; `None` and `*` fit every tensor.
    pub filter: Option<String>,
    /// One value or a gradient.
    pub values: Vec<Scalar>,
}

/// Parameters by name.
pub type Settings = BTreeMap<String, Setting>;

/// The value of `name` in the nearest of `places` that has one for this tensor; `t` runs from 0 at the first layer to 1 at
/// the last.
pub fn resolve(name: &str, places: &[&Settings], tensor: &str, t: f64) -> Option<Scalar> {
    places.iter().find_map(|settings| settings.get(name).and_then(|setting| setting.value(tensor, t)))
}

impl Setting {
    fn value(&self, tensor: &str, t: f64) -> Option<Scalar> {
        match self {
            Self::Values(values) => at(values, t),
            Self::Filtered(all) => all
                .iter()
                .find(|one| one.filter.as_deref().is_none_or(|part| part == "*" || tensor.contains(part)))
                .and_then(|one| at(&one.values, t)),
        }
    }

    /// Every value that a tensor may be given, for checks.
    pub fn all(&self) -> Vec<&Scalar> {
        match self {
            Self::Values(values) => values.iter().collect(),
            Self::Filtered(all) => all.iter().flat_map(|one| &one.values).collect(),
        }
    }

    /// Filters, for checks.
    pub fn filters(&self) -> Vec<&str> {
        match self {
            Self::Values(_) => Vec::new(),
            Self::Filtered(all) => all.iter().filter_map(|one| one.filter.as_deref()).collect(),
        }
    }
}

/// Between two numbers in proportion; of words and truth values the one before.
fn at(values: &[Scalar], t: f64) -> Option<Scalar> {
    let last = values.len().checked_sub(1)?;
    let place = t.clamp(0.0, 1.0) * last as f64;
    let before = (place as usize).min(last);
    let first = values.get(before)?;
    match (first, values.get((before + 1).min(last))?) {
        (Scalar::Number(from), Scalar::Number(to)) => {
            let part = place - before as f64;
            Some(Scalar::Number((1.0 - part) * from + part * to))
        }
        (first, _) => Some(first.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> Vec<Scalar> {
        values.iter().map(|&value| Scalar::Number(value)).collect()
    }

    #[test]
    fn gradients_pass_through_their_values() {
        let setting = Setting::Values(numbers(&[0.0, 1.0, 0.5]));
        for (t, want) in [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 0.75), (1.0, 0.5), (2.0, 0.5)] {
            assert_eq!(setting.value("x", t), Some(Scalar::Number(want)), "{t}");
        }
        let words = Setting::Values(vec![Scalar::Bool(true), Scalar::Bool(false)]);
        assert_eq!([0.0, 0.9, 1.0].map(|t| words.value("x", t)), [true, true, false].map(|b| Some(Scalar::Bool(b))));
        assert_eq!(Setting::Values(Vec::new()).value("x", 0.0), None);
    }

    #[test]
    fn the_nearest_place_with_a_fitting_filter_decides() {
        let filtered = |filter: &str, value: f64| {
            Setting::Filtered(vec![Filtered { filter: Some(filter.to_owned()), values: numbers(&[value]) }])
        };
        let near = Settings::from([("w".to_owned(), filtered("mlp", 2.0))]);
        let far = Settings::from([("w".to_owned(), Setting::Values(numbers(&[1.0])))]);
        let places = [&near, &far];
        assert_eq!(resolve("w", &places, "layers.0.mlp.up", 0.0), Some(Scalar::Number(2.0)));
        assert_eq!(resolve("w", &places, "layers.0.attn", 0.0), Some(Scalar::Number(1.0)));
        assert_eq!(resolve("v", &places, "layers.0.attn", 0.0), None);
    }
}

//! Which parameters a method takes, with mergekit's names and defaults, and how many models it wants.

use super::Method;
use crate::merge::recipe::Scalar;
use crate::weights::safetensors::printable;

/// For whom a parameter is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Once for a tensor.
    Shared,
    /// For each model.
    Input,
    /// For each model but the base.
    NonBase,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A number between two others, both included.
    Number(f64, f64),
    /// A whole number from 0 on.
    Whole,
    /// `true` or `false`.
    Truth,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// What stands where a recipe says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Otherwise {
    /// The recipe has to say it.
    Required,
    /// Left out is a meaning of its own.
    Absent,
    /// This number; 0 and 1 for truth values.
    Number(f64),
    /// The first of its words.
    First,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As recipes spell it.
    pub name: &'static str,
    /// For whom.
    pub scope: Scope,
    /// What it may be.
    pub kind: Kind,
    /// What it is otherwise.
    pub default: Otherwise,
}

/// Whether a method wants a base model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// It cannot do without.
    Needed,
    /// It works on differences where there is one.
    Optional,
    /// A base is a model like the others.
    Ignored,
}

/// How many models a method wants.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The base.
    pub base: Base,
    /// At least so many besides the base (the base counted where it is ignored).
    pub least: usize,
    /// At most so many besides the base.
    pub most: usize,
}

const ANY: Kind = Kind::Number(f64::NEG_INFINITY, f64::INFINITY);
const SHARE: Kind = Kind::Number(0.0, 1.0);
const WEIGHT: Parameter = of("weight", Scope::NonBase, ANY, Otherwise::Required);
/// mergekit keeps the L1 norm; the papers divide by the chance that a number was kept.
const RESCALE_BY: Parameter = of("rescale_by", Scope::Shared, Kind::Word(&["norm", "density"]), Otherwise::First);

const fn of(name: &'static str, scope: Scope, kind: Kind, default: Otherwise) -> Parameter {
    Parameter { name, scope, kind, default }
}

const fn truth(name: &'static str, default: bool) -> Parameter {
    of(name, Scope::Shared, Kind::Truth, Otherwise::Number(if default { 1.0 } else { 0.0 }))
}

const fn shared(name: &'static str, kind: Kind, default: Otherwise) -> Parameter {
    of(name, Scope::Shared, kind, default)
}

impl Method {
    /// Its parameters.
    pub fn parameters(self) -> Vec<Parameter> {
        use Otherwise::{Absent, Number, Required};
        match self {
            Self::Linear => vec![of("weight", Scope::Input, ANY, Required), truth("normalize", true)],
            // Above this |cos| the way on the sphere is taken for straight.
            Self::Slerp => vec![shared("t", ANY, Required), shared("lerp_above", SHARE, Number(0.9995))],
            Self::Nuslerp => vec![WEIGHT, truth("nuslerp_row_wise", false), truth("nuslerp_flatten", true)],
            Self::Multislerp => {
                vec![WEIGHT, truth("normalize_weights", true), shared("eps", SHARE, Number(1e-8))]
            }
            Self::Karcher => vec![shared("max_iter", Kind::Whole, Number(10.0)), shared("tol", SHARE, Number(1e-5))],
            // mergekit weighs evenly where the squares are small, which those of ordinary models are; the paper never does.
            Self::Sce => {
                vec![truth("int8_mask", false), shared("select_topk", SHARE, Number(1.0)), truth("paper", false)]
            }
            Self::ModelStock => vec![truth("filter_wise", false)],
            Self::Nearswap => vec![shared("t", Kind::Number(0.0, f64::INFINITY), Required)],
            Self::ArceeFusion => Vec::new(),
            Self::Passthrough => vec![of("scale", Scope::Input, ANY, Absent)],
            Self::TaskArithmetic
            | Self::Ties
            | Self::DareLinear
            | Self::DareTies
            | Self::Breadcrumbs
            | Self::BreadcrumbsTies
            | Self::Della
            | Self::DellaLinear => self.task_parameters(),
        }
    }

    fn task_parameters(self) -> Vec<Parameter> {
        let random = matches!(self, Self::DareLinear | Self::DareTies | Self::Della | Self::DellaLinear);
        let mut all = vec![
            WEIGHT,
            of("density", Scope::NonBase, SHARE, Otherwise::Number(1.0)),
            truth("normalize", matches!(self, Self::Ties | Self::Della)),
            truth("rescale", random),
            shared("lambda", ANY, Otherwise::Number(1.0)),
            truth("int8_mask", false),
        ];
        match self {
            Self::Breadcrumbs | Self::BreadcrumbsTies => {
                all.push(of("gamma", Scope::NonBase, SHARE, Otherwise::Number(0.01)));
            }
            Self::Della | Self::DellaLinear => {
                all.push(of("epsilon", Scope::NonBase, SHARE, Otherwise::Number(0.15)));
            }
            _ => {}
        }
        if random {
            all.push(RESCALE_BY);
        }
        all
    }

    /// The models it wants.
    pub fn contract(self) -> Contract {
        let (base, least, most) = match self {
            Self::Linear | Self::Karcher => (Base::Ignored, 1, usize::MAX),
            Self::Passthrough => (Base::Ignored, 1, 1),
            Self::Nuslerp => (Base::Optional, 2, 2),
            Self::Multislerp => (Base::Optional, 1, usize::MAX),
            Self::ModelStock => (Base::Needed, 2, usize::MAX),
            Self::Slerp | Self::Nearswap | Self::ArceeFusion => (Base::Needed, 1, 1),
            Self::Sce
            | Self::TaskArithmetic
            | Self::Ties
            | Self::DareLinear
            | Self::DareTies
            | Self::Breadcrumbs
            | Self::BreadcrumbsTies
            | Self::Della
            | Self::DellaLinear => (Base::Needed, 0, usize::MAX),
        };
        Contract { base, least, most }
    }

    /// Whether some method has a parameter of this name.
    pub fn any_has(name: &str) -> bool {
        Self::ALL.iter().any(|method| method.parameters().iter().any(|parameter| parameter.name == name))
    }
}

/// Whether a value is one that the parameter may have; else what is wrong.
///
/// # Errors
/// The value is of another kind, or out of bounds.
pub fn check(parameter: &Parameter, value: &Scalar) -> Result<(), String> {
    let name = parameter.name;
    let number = || match value {
        Scalar::Number(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Bool(_) => None,
    };
    let shown = match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(number) if number.abs() >= 1e15 => format!("{number:e}"),
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => printable(text),
    };
    match (parameter.kind, number()) {
        // Arithmetic is in f32.
        (Kind::Number(low, high), Some(number)) => {
            match (low..=high).contains(&number) && (number as f32).is_finite() {
                true => Ok(()),
                false if low.is_infinite() && high.is_infinite() => {
                    Err(format!("`{name}` must be finite in f32, and is {shown}"))
                }
                false if high.is_infinite() => Err(format!("`{name}` must be at least {low}, and is {shown}")),
                false => Err(format!("`{name}` must be in [{low}, {high}], and is {shown}")),
            }
        }
        (Kind::Number(..), None) => Err(format!("`{name}` must be a number, and is `{shown}`")),
        (Kind::Whole, Some(number)) if number.fract() == 0.0 && (0.0..1e9).contains(&number) => Ok(()),
        (Kind::Whole, _) => Err(format!("`{name}` must be a whole number from 0 on, and is `{shown}`")),
        (Kind::Truth, _) => match value {
            Scalar::Bool(_) => Ok(()),
            Scalar::Number(number) if *number == 0.0 || *number == 1.0 => Ok(()),
            _ => Err(format!("`{name}` must be `true` or `false`, and is `{shown}`")),
        },
        (Kind::Word(words), _) => match value {
            Scalar::Text(text) if words.contains(&text.as_str()) => Ok(()),
            _ => Err(format!("`{name}` must be one of `{}`, and is `{shown}`", words.join("`, `"))),
        },
    }
}

//! What will be written, known from headers alone: every tensor of the result, the tensors it is made of, and every reason
//! why it cannot be.
//!
//! What this refuses to do: cut, pad or skip a tensor that does not fit, or stop at the first problem.

use std::collections::HashSet;
use std::sync::Arc;

use super::method::{Kernel, Method, Told};
use super::model::{Model, Weight};
use super::recipe::{Recipe, Reference};
use super::tokens::rows::Rows;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

mod bounds;
mod check;
mod estimate;
mod fit;
mod parameters;
mod slices;

pub use bounds::{BLOCK, block_of, peak};
pub use check::{Summary, compare, route};
pub use estimate::seconds;
pub(crate) use fit::weight;

/// What the header of a GGUF file takes at most, in bytes: it has the vocabulary.
const GGUF_HEADER: u64 = 16 << 20;

/// A reason why a recipe cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Problem {
    /// The tensor of the result; empty where it is the models or the recipe.
    pub tensor: String,
    /// What is wrong, with names and values.
    pub reason: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.tensor.is_empty() {
            true => f.write_str(&self.reason),
            false => write!(f, "`{}`: {}", self.tensor, self.reason),
        }
    }
}

/// One input of a tensor.
#[derive(Clone, Debug)]
pub struct Input {
    /// The model's number in [`Plan::models`].
    pub model: usize,
    /// Its tensor.
    pub weight: Arc<Weight>,
    /// Where rows come from, for tensors with a row for each token that are put in another order.
    pub rows: Option<Arc<Rows>>,
    /// What numbers are rounded to first.
    pub rounded: Option<Dtype>,
}

impl Input {
    /// Numbers from the element `at` of the result's shape on.
    pub fn read(&self, at: u64, out: &mut [f32]) {
        match &self.rows {
            Some(rows) => rows.read(&self.weight, at, out),
            None => self.weight.read(at, out),
        }
        if let Some(dtype) = self.rounded {
            numbers::round(dtype, out);
        }
    }
}

/// How a tensor comes about.
#[derive(Clone, Debug)]
pub enum Action {
    /// The method.
    Blend(Told),
    /// The first input's bytes as they are; all inputs must be the same.
    Copy,
}

/// A tensor of the result.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Elements in each dimension, the slowest first.
    pub shape: Vec<u64>,
    /// How it is stored.
    pub dtype: Dtype,
    /// What it is made of, in the recipe's order.
    pub inputs: Vec<Input>,
    /// How.
    pub action: Action,
    /// Its layer in the result.
    pub layer: Option<u32>,
}

impl Output {
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.elements() * self.dtype.size()
    }

    /// The method at work on it.
    pub fn kernel(&self, method: Method) -> Option<Box<dyn Kernel>> {
        match &self.action {
            Action::Blend(told) => Some(method.kernel(told)),
            Action::Copy => None,
        }
    }
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    /// How tensors become one.
    pub method: Method,
    /// The models, each once; the base first where there is one.
    pub models: Vec<Model>,
    /// The model whose configuration the result has.
    pub donor: usize,
    /// The base of the recipe, for figures of change.
    pub base: Option<usize>,
    /// Tensors in the order in which they are written.
    pub outputs: Vec<Output>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The same, to know what was said already.
    said: HashSet<Problem>,
    /// What a person should know.
    pub notices: Vec<String>,
    /// Layers of the result.
    pub layers: u32,
    /// The result's vocabulary, where it is not the donor's.
    pub vocabulary: Option<super::tokens::Merged>,
    /// Where chance begins.
    pub seed: u64,
}

impl Plan {
    /// Makes a plan for open models, which are in the order of [`Recipe::references`].
    pub fn new(recipe: &Recipe, models: Vec<Model>, seed: Option<u64>) -> Self {
        let base = recipe.base.as_ref().and_then(|base| find(&models, base));
        let mut plan = Self {
            method: recipe.method,
            donor: base.unwrap_or(0),
            models,
            base,
            outputs: Vec::new(),
            problems: Vec::new(),
            said: HashSet::new(),
            notices: recipe.ignored.clone(),
            layers: 0,
            vocabulary: None,
            seed: seed.or(recipe.seed).unwrap_or(0),
        };
        for model in plan.models.iter().filter(|model| !model.made.is_empty()) {
            plan.notices.push(format!(
                "`{}` is a GGUF file: its weights are dequantized, and what quantizing lost stays lost",
                model.reference
            ));
        }
        for model in &plan.models {
            plan.notices.extend(model.notices.iter().map(|notice| format!("`{}`: {notice}", model.reference)));
        }
        check::models(&mut plan);
        plan.vocabulary = fit::vocabulary(recipe, &mut plan);
        slices::outputs(recipe, &mut plan);
        if plan.outputs.is_empty() && plan.problems.is_empty() {
            plan.problem("", "the models have no tensors");
        }
        let doubles = |output: &Output| output.dtype == Dtype::F64 && matches!(output.action, Action::Blend(_));
        if plan.outputs.iter().any(doubles) {
            plan.notices.push("arithmetic is in f32, also where f64 is written".to_owned());
        }
        plan
    }

    /// Bytes of all tensors of the result.
    pub fn output_bytes(&self) -> u64 {
        self.outputs.iter().map(Output::bytes).sum()
    }

    /// Bytes of the same as a GGUF file in f16, vectors in f32, with room for what its header holds.
    pub fn gguf_bytes(&self) -> u64 {
        let bytes = |output: &Output| output.elements() * if output.shape.len() < 2 { 4 } else { 2 };
        self.outputs.iter().map(bytes).sum::<u64>() + GGUF_HEADER
    }

    /// Bytes that are read.
    pub fn input_bytes(&self) -> u64 {
        let inputs = self.outputs.iter().flat_map(|output| &output.inputs);
        inputs.map(|input| input.weight.elements() * input.weight.dtype.size()).sum()
    }

    fn problem(&mut self, tensor: &str, reason: impl Into<String>) {
        let problem = Problem { tensor: tensor.to_owned(), reason: reason.into() };
        if self.said.insert(problem.clone()) {
            self.problems.push(problem);
        }
    }
}

/// A model's number.
fn find(models: &[Model], reference: &Reference) -> Option<usize> {
    models.iter().position(|model| model.reference == *reference)
}

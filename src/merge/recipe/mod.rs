//! Recipes: what is merged, how, and into what. mergekit's YAML as it is, and the same in TOML.
//!
//! What this refuses to do: pass over a key that it does not know. A misspelt `densty` that is ignored is a merge that
//! somebody believes in.

use std::path::{Path, PathBuf};

use crate::weights::safetensors::Dtype;

mod node;
mod read;
mod setting;
#[cfg(test)]
mod tests;

pub use setting::{Filtered, Scalar, Setting, Settings, resolve};

use super::error::MergeError;
use super::method::Method;

/// The longest recipe read, in bytes.
const LONGEST: u64 = 4 << 20;

/// Models that a recipe may name.
const MOST_MODELS: usize = 512;

/// A whole recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its file, for messages.
    pub path: PathBuf,
    /// Its text, for the manifest.
    pub text: String,
    /// How tensors become one.
    pub method: Method,
    /// Models from the first layer to the last.
    pub slices: Layers,
    /// What differences are taken from.
    pub base: Option<Reference>,
    /// What inputs are read as, and what is written unless `out_dtype` says otherwise.
    pub dtype: Option<Dtype>,
    /// What is written.
    pub out_dtype: Option<Dtype>,
    /// Whose tokenizer the result has.
    pub tokenizer: Option<Tokens>,
    /// The result's chat template.
    pub chat_template: Option<String>,
    /// Parameters for all.
    pub parameters: Settings,
    /// Parameters of the one module, where the recipe names modules.
    pub module: Settings,
    /// Where chance begins.
    pub seed: Option<u64>,
    /// Keys that are understood and mean nothing here.
    pub ignored: Vec<String>,
}

/// How layers are put together.
#[derive(Clone, Debug)]
pub enum Layers {
    /// All layers of each model, one on the other.
    Whole(Vec<Model>),
    /// Layers one after the other.
    Sliced(Vec<Slice>),
}

/// A model with its parameters.
#[derive(Clone, Debug)]
pub struct Model {
    /// Which.
    pub model: Reference,
    /// Its own parameters.
    pub parameters: Settings,
}

/// Some layers of the result.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The models they come from.
    pub sources: Vec<Part>,
    /// Another base for these layers.
    pub base: Option<Reference>,
    /// Parameters for these layers.
    pub parameters: Settings,
}

/// Some layers of a model.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which model.
    pub model: Reference,
    /// From the first on, to the second, which is not in it.
    pub layers: (u32, u32),
    /// Its own parameters.
    pub parameters: Settings,
}

/// A model as a recipe names it: a folder, a GGUF file, `owner/repo` on a hub; perhaps with an adapter behind a `+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The folder, file or repository.
    pub path: String,
    /// A branch, tag or commit of the repository.
    pub revision: Option<String>,
    /// An adapter that is baked in first.
    pub lora: Option<String>,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        match &self.lora {
            Some(lora) => write!(f, "+{lora}"),
            None => Ok(()),
        }
    }
}

/// Whose tokens the result has.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Where the vocabulary comes from.
    pub source: Vocabulary,
    /// Where the rows of some tokens come from.
    pub tokens: Vec<(String, Row)>,
    /// The number of rows is brought up to a multiple of this.
    pub multiple: Option<u64>,
}

/// Where a vocabulary comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Vocabulary {
    /// The base model's.
    Base,
    /// One model's.
    Of(Reference),
    /// The base model's, and what others have besides as added tokens (mergekit's `union`).
    Union,
    /// Vocabularies and merges of all: text is split as one of the parents did.
    BpeUnion,
}

/// Where a token's row comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which row; the usual rule where nothing is said.
    pub source: Option<RowSource>,
    /// Also for models that have the token.
    pub force: bool,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowSource {
    /// Zeros.
    Zero,
    /// The same token's in this model.
    Model(Reference),
    /// The row of this number in this model.
    Number(Reference, u64),
    /// Another token's row in this model.
    Token(Reference, String),
}

impl Recipe {
    /// Reads a recipe: TOML if its name ends so, else YAML.
    ///
    /// # Errors
    /// It cannot be read, is no recipe, or says something unknown; the error names the line.
    pub fn read(path: &Path) -> Result<Self, MergeError> {
        let io = |source| MergeError::Io { path: path.to_owned(), source };
        let text = crate::small::text(path, LONGEST).map_err(io)?;
        Self::parse(path, &text)
    }

    /// The same from a text; `path` names it in errors and says which language it is.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, MergeError> {
        let toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let tree = if toml { node::toml(text) } else { node::yaml(text) };
        let wrong = |node::Fault { line, what }| MergeError::Recipe { path: path.to_owned(), line, what };
        let recipe = tree.and_then(|tree| read::recipe(path, text, &tree)).map_err(wrong)?;
        // What is planned grows with models times tensors.
        let models = recipe.references().len();
        if models > MOST_MODELS {
            let what = format!("it names {models} models, and at most {MOST_MODELS} are merged at once");
            return Err(wrong(node::Fault { line: 1, what }));
        }
        Ok(recipe)
    }

    /// Every model that is named, each once: the base first, then in the recipe's order.
    pub fn references(&self) -> Vec<&Reference> {
        let mut all: Vec<&Reference> = self.base.iter().collect();
        match &self.slices {
            Layers::Whole(models) => all.extend(models.iter().map(|model| &model.model)),
            Layers::Sliced(slices) => {
                all.extend(
                    slices
                        .iter()
                        .flat_map(|slice| slice.base.iter().chain(slice.sources.iter().map(|source| &source.model))),
                );
            }
        }
        let mut seen = std::collections::HashSet::new();
        all.retain(|reference| seen.insert(*reference));
        all
    }
}

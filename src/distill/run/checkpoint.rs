//! A run's state on disk: one safetensors file, whole under its name or not there, from which the run goes on to the bit.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::RunError;
use super::guard::Guard;
use super::optimiser::AdamW;
use crate::distill::model::save::{self, Entry};
use crate::distill::model::{Decoder, Numbers, Weight};
use crate::distill::recipe::{self, Recipe};
use crate::hex::hex;
use crate::weights::numbers;
use crate::weights::safetensors::{Dtype, Folder};

/// Of the file's form.
const VERSION: u32 = 2;
const STATE: &str = "zord_state";

/// Numbers that must come back to the bit.
pub(crate) mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
        number.to_bits().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// A loss as it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept(#[serde(with = "exact")] pub(crate) f64);

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// Of the recipe, and of the data's tokens.
    pub(crate) recipe: String,
    pub(crate) data: String,
    /// Of the files that the student came from.
    pub(crate) student: String,
    /// Steps done.
    pub(crate) step: u64,
    /// Those of them that changed weights.
    pub(crate) updates: u64,
    /// Windows that were taken, those of steps that were left out included.
    pub(crate) cursor: u64,
    /// Tokens computed.
    pub(crate) tokens: u64,
    pub(crate) loss_first: Option<Kept>,
    pub(crate) loss_last: Option<Kept>,
    pub(crate) before: Option<Kept>,
    /// The best held-out loss and how many looks ago it was.
    pub(crate) best: Option<Kept>,
    pub(crate) stale: u64,
    pub(crate) guard: Guard,
    /// Returns to a checkpoint.
    pub(crate) returns: u64,
}

impl State {
    pub(crate) fn new(recipe: String, data: String, student: String) -> Self {
        Self { version: VERSION, recipe, data, student, ..Self::default() }
    }
}

/// A name for everything a run's numbers follow from; how often it is looked at or saved is not part of it.
pub(crate) fn fingerprint(recipe: &Recipe) -> String {
    let mut recipe = recipe.clone();
    recipe.threads = 0;
    recipe.safety.checkpoint_every = 0;
    recipe.evaluation.every = 0;
    recipe.evaluation.sample = 0;
    // What they name is held against what it was, wherever it lies now.
    recipe.student.path = PathBuf::new();
    recipe.data.sources.iter_mut().for_each(|source| source.path = PathBuf::new());
    if let Some(adapter) = &mut recipe.adapter {
        adapter.from = None;
    }
    for teacher in &mut recipe.teachers {
        teacher.servers.clear();
        teacher.model = teacher.model.file_name().map(PathBuf::from).unwrap_or_default();
    }
    hex(&Sha256::digest(recipe::text(&recipe)))
}

/// Writes weights that are trained, with the optimiser's means where it is given.
///
/// # Errors
/// The disk is full; the checkpoint before stays.
pub(crate) fn write(path: &Path, state: &State, model: &Decoder, optimiser: Option<&AdamW>) -> Result<(), RunError> {
    fn entry<'a>(name: String, weight: &'a Weight, instead: Option<&'a [f32]>) -> Entry<'a> {
        Entry { name, dtype: Dtype::F32, weight, instead }
    }
    let trained = || model.weights.iter().enumerate().filter(|(_, weight)| weight.trained);
    let mut entries: Vec<Entry<'_>> = trained().map(|(_, weight)| entry(weight.name.clone(), weight, None)).collect();
    if let Some(optimiser) = optimiser {
        for (kind, all) in [("mean", &optimiser.means), ("square", &optimiser.squares)] {
            entries.extend(
                trained()
                    .map(|(at, weight)| entry(format!("{kind}.{}", weight.name), weight, Some(all[at].as_slice()))),
            );
        }
    }
    let text = serde_json::to_string(state).unwrap_or_default();
    Ok(save::write(path, &entries, &[(STATE, &text)])?)
}

/// Where the run of a checkpoint stands.
///
/// # Errors
/// It is damaged.
pub(crate) fn state(path: &Path) -> Result<State, RunError> {
    opened(path).map(|(_, state)| state)
}

fn opened(path: &Path) -> Result<(Folder, State), RunError> {
    let wrong = |what: String| RunError::Checkpoint { path: path.to_owned(), what };
    let file = Folder::open(path).map_err(|error| wrong(crate::error::chain(&error)))?;
    let state = file.notes.get(STATE).ok_or_else(|| wrong("it holds no state of a run".to_owned()))?;
    let state: State = serde_json::from_str(state).map_err(|error| wrong(error.to_string()))?;
    if state.version != VERSION {
        return Err(wrong(format!("its form has the number {}, expected {VERSION}", state.version)));
    }
    Ok((file, state))
}

/// Reads a checkpoint back into a model and an optimiser that were made from the same recipe.
///
/// # Errors
/// It is damaged, or not of this model.
pub(crate) fn read(path: &Path, model: &mut Decoder, optimiser: Option<&mut AdamW>) -> Result<State, RunError> {
    let wrong = |what: String| RunError::Checkpoint { path: path.to_owned(), what };
    let (file, state) = opened(path)?;
    let fill = |weight: &Weight, name: String| -> Result<Vec<f32>, RunError> {
        let tensor = file.tensors.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.filter(|tensor| tensor.dtype == Dtype::F32 && tensor.elements() == weight.len() as u64);
        let tensor = tensor.ok_or_else(|| wrong(format!("the tensor `{name}` is missing or has another shape")))?;
        numbers::read(tensor).map_err(|error| wrong(crate::error::chain(&error)))
    };
    if let Some(optimiser) = optimiser {
        for (at, weight) in model.weights.iter().enumerate().filter(|(_, weight)| weight.trained) {
            optimiser.means[at] = fill(weight, format!("mean.{}", weight.name))?;
            optimiser.squares[at] = fill(weight, format!("square.{}", weight.name))?;
        }
        optimiser.steps = state.updates;
    }
    for weight in model.weights.iter_mut().filter(|weight| weight.trained) {
        let numbers = fill(weight, weight.name.clone())?;
        weight.numbers = Numbers::F32(numbers);
    }
    model.changed();
    Ok(state)
}

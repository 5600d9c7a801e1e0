//! Why a run ended early, and what to do about it.

use std::path::PathBuf;

use crate::atomic::WriteError;
use crate::distill::data::prepare::DataError;
use crate::distill::model::ModelError;
use crate::distill::recipe::RecipeError;
use crate::distill::teacher;
use crate::error::Advise;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the words say it")]
pub enum RunError {
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Teacher(#[from] teacher::TeacherError),
    #[error("cannot write `{}`: {source}", path.display())]
    Log { path: PathBuf, source: std::io::Error },
    #[error("the checkpoint `{}`: {what}", path.display())]
    Checkpoint { path: PathBuf, what: String },
    #[error("`{}` contains a run of another recipe", out.display())]
    Other { out: PathBuf },
    #[error("the data has changed since the run in `{}` started", out.display())]
    Changed { out: PathBuf },
    #[error("the student has changed since the run in `{}` started", out.display())]
    OtherStudent { out: PathBuf },
    #[error("`{}` is not empty and is no run of this program", out.display())]
    NotOurs { out: PathBuf },
    #[error("`{}` is an input and would be overwritten", out.display())]
    Input { out: PathBuf },
    #[error("another run is writing to `{}`", out.display())]
    Taken { out: PathBuf },
    #[error("the loss was {what} {times} times in a row at step {step}, after {returns} restored checkpoints")]
    Diverged { what: &'static str, times: u64, step: u64, returns: u64 },
    #[error("`optimiser.precision = \"bf16\"` is not for {0}")]
    Unfit(&'static str),
    #[error("training on a graphics card failed: {0}")]
    Card(String),
    #[error("tensor `{tensor}` has {count} weights beyond what {kind} can hold after training")]
    Overflow { tensor: String, kind: String, count: usize },
    #[error("{0}")]
    Told(String),
    #[error("interrupted before the first step")]
    Interrupted,
}

impl Advise for RunError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Recipe(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Write(error) => error.hint(),
            Self::Teacher(error) => error.hint(),
            Self::Other { .. } | Self::Changed { .. } | Self::OtherStudent { .. } => {
                Some("name another folder, or start over with `--fresh`".to_owned())
            }
            Self::NotOurs { .. } => Some("name a folder that is empty or not there yet".to_owned()),
            Self::Input { .. } => Some("name another folder".to_owned()),
            Self::Checkpoint { .. } => Some("`--fresh` starts over".to_owned()),
            Self::Diverged { .. } => Some("lower `optimiser.rate`, or raise `schedule.warmup`".to_owned()),
            Self::Overflow { .. } => Some(
                "start from the student's checkpoint stored in a wider type: BF16 instead of F16, F32 instead of BF16"
                    .to_owned(),
            ),
            Self::Unfit(_) => Some(
                "leave `optimiser.precision` out, or train by `--device cpu` on a processor that has it".to_owned(),
            ),
            Self::Card(_) => Some(
                "a smaller `optimiser.micro_batch` takes less of its memory; `--device cpu` does without it".to_owned(),
            ),
            _ => None,
        }
    }
}

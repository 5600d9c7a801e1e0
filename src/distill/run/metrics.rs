//! The log of a run: a JSON line a step, and one where steps were taken back.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value as Json;

use super::error::RunError;
use super::guard::Fault;

/// One step.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) step: u64,
    pub(crate) loss: f64,
    /// Of a distillation, the data's own tokens; of preferences, how often the better answer wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<f64>,
    pub(crate) rate: f64,
    /// The gradient's length before it was bounded.
    pub(crate) norm: f64,
    pub(crate) tokens: u64,
    pub(crate) tokens_per_s: f64,
    /// Held-out loss, where it was measured behind this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) val_loss: Option<f64>,
    /// What the student then wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<String>,
    /// Why the step was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Fault>,
}

/// Steps that were taken back.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Return {
    /// The last step that stands.
    pub(crate) step: u64,
    pub(crate) returned_from: u64,
    /// Which of the run's returns it is, from 1.
    pub(crate) returns: u64,
    pub(crate) fault: Fault,
}

/// The file.
pub(crate) struct Log(File);

impl Log {
    /// Opens it for what follows step `step`, before which there were so many returns. Lines of what a killed run did
    /// after that go: it will be done again.
    pub(crate) fn open(path: &Path, step: u64, returns: u64) -> Result<Self, RunError> {
        Self::keep(path, |of, returned| of <= step && returned.is_none_or(|number| number <= returns))
    }

    /// The same for a run that goes back to an earlier step, and says so.
    pub(crate) fn back(path: &Path, to: &Return) -> Result<Self, RunError> {
        let mut log = Self::keep(path, |of, _| of <= to.step)?;
        log.add(to);
        Ok(log)
    }

    /// Opens it with those of its lines that somebody wants, by their step and, if they tell of a return, its number.
    fn keep(path: &Path, wanted: impl Fn(u64, Option<u64>) -> bool) -> Result<Self, RunError> {
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let is_wanted = |line: &&str| {
            let line: Json = serde_json::from_str(line).unwrap_or_default();
            let returned = line.get("returns").and_then(Json::as_u64);
            line.get("step").and_then(Json::as_u64).is_some_and(|of| wanted(of, returned))
        };
        let kept: String = old.lines().filter(is_wanted).flat_map(|line| [line, "\n"]).collect();
        crate::atomic::replace(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path);
        file.map(Self).map_err(|source| RunError::Log { path: path.to_owned(), source })
    }

    /// Adds a line. A full disk stops the log and not the run: the checkpoint will say so.
    pub(crate) fn add(&mut self, line: &impl Serialize) {
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        if let Err(error) = self.0.write_all(text.as_bytes()) {
            tracing::warn!("the log of the run cannot be written: {error}");
        }
    }
}

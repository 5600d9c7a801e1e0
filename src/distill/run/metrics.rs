//! The log of a run: a JSON line a step.

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

/// The file.
pub(crate) struct Log(File);

impl Log {
    /// Opens it for what follows step `step`; lines of later steps, which a killed run left, go.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self, RunError> {
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let of_step = |line: &str| serde_json::from_str::<Json>(line).ok()?.get("step")?.as_u64();
        let kept: String = old
            .lines()
            .filter(|line| of_step(line).is_some_and(|of| of <= step))
            .flat_map(|line| [line, "\n"])
            .collect();
        super::output::replace(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path);
        file.map(Self).map_err(|source| RunError::Log { path: path.to_owned(), source })
    }

    /// Adds a line. A full disk stops the log and not the run: the checkpoint will say so.
    pub(crate) fn add(&mut self, line: &Line) {
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        if let Err(error) = self.0.write_all(text.as_bytes()) {
            tracing::warn!("the log of the run cannot be written: {error}");
        }
    }
}

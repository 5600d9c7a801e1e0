//! Steps, checkpoints, and what happens when something goes wrong.
//!
//! | file | what changes there |
//! |---|---|
//! | `train` | the loop |
//! | `told` | how it is started, what it tells, how it ended |
//! | `claim` | whose the output folder is |
//! | `rounds` | steps on what the student wrote itself |
//! | `place` | where the arithmetic of a step happens |
//! | `student` | what a recipe's student is: layers, adapter, what is trained |
//! | `lesson` | a batch with all that is known about it |
//! | `hidden` | states behind layers, beside a teacher's |
//! | `evaluate` | held-out loss |
//! | `check` | what stands against a recipe |
//! | `estimate`, `measure` | what a run will take, and how long |
//! | `optimiser`, `schedule` | AdamW and its rate |
//! | `guard` | spikes and NaN |
//! | `checkpoint` | state on disk, whole or not at all |
//! | `reference` | what the untrained student thinks of pairs |
//! | `metrics` | the log |
//! | `output`, `curve` | what is left at the end |
//! | `error` | why a run ended early |
//!
//! In the output folder stands what people want; in its folder `run`, what the run itself needs to go on.

pub(crate) mod check;
pub(crate) mod checkpoint;
mod claim;
mod curve;
mod error;
pub(crate) mod estimate;
mod evaluate;
mod guard;
mod hidden;
mod lesson;
pub(crate) mod measure;
mod metrics;
pub(crate) mod optimiser;
pub(crate) mod output;
mod place;
mod reference;
pub(crate) mod rounds;
pub(crate) mod schedule;
pub(crate) mod student;
mod told;
mod train;

pub(crate) use claim::{Claim, claim};
pub use error::RunError;
pub(crate) use metrics::Line;
#[cfg(test)]
pub(crate) use place::rows;
pub(crate) use place::unfit;
pub(crate) use told::{Event, Options, Outcome};
pub(crate) use train::train;

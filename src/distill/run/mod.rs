//! Steps, checkpoints, and what happens when something goes wrong.
//!
//! | file | what changes there |
//! |---|---|
//! | `train` | the loop |
//! | `student` | what a recipe's student is: layers, adapter, what is trained |
//! | `lesson` | a batch with all that is known about it |
//! | `evaluate` | held-out loss |
//! | `estimate` | what a run will take |
//! | `optimiser`, `schedule` | AdamW and its rate |
//! | `guard` | spikes and NaN |
//! | `checkpoint` | state on disk, whole or not at all |
//! | `reference` | what the untrained student thinks of pairs |
//! | `metrics` | the log |
//! | `output`, `curve` | what is left at the end |
//!
//! In the output folder stands what people want; in its folder `run`, what the run itself needs to go on.

pub(crate) mod checkpoint;
mod curve;
pub(crate) mod estimate;
mod evaluate;
mod guard;
mod lesson;
mod metrics;
pub(crate) mod optimiser;
pub(crate) mod output;
mod reference;
pub(crate) mod schedule;
pub(crate) mod student;
mod train;

#[cfg(test)]
pub(crate) use evaluate::rows;
pub use train::RunError;
pub(crate) use train::{Event, Options, Outcome, train};

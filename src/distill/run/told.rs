//! How a run is started, what it tells on the way, and how it ended.

use serde::Serialize;

use super::metrics::Line;
use crate::distill::data::corpus::Head;
use crate::distill::data::prepare::Tally;
use crate::distill::gpu::Adapter;
use crate::distill::teacher;
use crate::engine::Cancel;

/// How a run is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Stop after so many steps.
    pub(crate) max_steps: Option<u64>,
    /// Forget what an earlier run left.
    pub(crate) fresh: bool,
    /// The graphics cards to train on; none for the processor.
    pub(crate) cards: Vec<Adapter>,
    pub(crate) cancel: Cancel,
}

/// What is told on the way.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Data {
        head: &'a Head,
        tally: Option<&'a Tally>,
        notices: Vec<&'a str>,
    },
    Teacher(teacher::Progress<'a>),
    /// Something the person should know.
    Told(&'a str),
    Resumed {
        step: u64,
        steps: u64,
    },
    Wrote {
        step: u64,
    },
    Step {
        line: &'a Line,
        steps: u64,
    },
    Returned {
        step: u64,
    },
    Saved {
        step: u64,
    },
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) loss_first: Option<f64>,
    pub(crate) loss_last: Option<f64>,
    pub(crate) val_loss_before: Option<f64>,
    pub(crate) val_loss_after: Option<f64>,
    pub(crate) tokens_per_s: f64,
    pub(crate) peak_rss: u64,
    /// Whether it was stopped by the person; nothing but the checkpoint was written then.
    #[serde(skip)]
    pub(crate) interrupted: bool,
}

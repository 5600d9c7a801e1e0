//! The child's side: a job from stdin, done with llama.cpp's insides.

use serde::{Deserialize, Serialize};

use super::imatrix::gather;
use super::measure::lockstep;
use super::shrink::{errors, native};
use crate::error::ExitCode;
use crate::llama::child;

/// The longest job read, in bytes: texts of [`super::TEXTS`], written as JSON.
const LONGEST: u64 = 6 * super::TEXTS + (1 << 20);

/// What a child can do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Another file type.
    Quantize(native::Job),
    /// What types would lose of matrices.
    Errors(errors::Job),
    /// Sums of a matrix's inputs.
    Imatrix(gather::Job),
    /// Models against their base.
    Compare(lockstep::Job),
    /// How fast a model is.
    Rate(lockstep::RateJob),
}

/// Does one job of the process `parent` and ends.
pub(crate) fn serve(parent: u32) -> ExitCode {
    child::serve(parent, LONGEST, |work| match work {
        Work::Quantize(job) => native::quantize(&job),
        Work::Errors(job) => errors::measure(&job),
        Work::Imatrix(job) => gather::gather(&job),
        Work::Compare(job) => lockstep::compare(&job),
        Work::Rate(job) => lockstep::rate(&job),
    })
}

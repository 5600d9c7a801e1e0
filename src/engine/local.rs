//! To be written: local.
use super::start::Sink;
use super::{Job, LocalSpec};
use std::sync::mpsc::Receiver;
/// Runs.
pub(crate) fn run(_spec: LocalSpec, _inbox: Receiver<Job>, _sink: Sink) {}

//! To be written: remote.
use super::start::Sink;
use super::{Job, RemoteSpec};
use std::sync::mpsc::Receiver;
/// Runs.
pub(crate) fn run(_spec: RemoteSpec, _inbox: Receiver<Job>, _sink: Sink) {}

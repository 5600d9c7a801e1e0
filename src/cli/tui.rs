//! `zord` without a command: the terminal interface.
use std::path::PathBuf;
use super::Scene;
use crate::error::{ExitCode, Report};

pub(super) fn run(_scene: Scene, _path: Option<PathBuf>) -> Result<ExitCode, Report> {
    Err(Report::failed("the terminal interface is not connected yet"))
}

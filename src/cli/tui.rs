//! `zord` without a command: the terminal interface.
use super::Scene;
use crate::error::{ExitCode, Report};
use std::path::PathBuf;

pub(super) fn run(_scene: Scene, _path: Option<PathBuf>) -> Result<ExitCode, Report> {
    Err(Report::failed("the terminal interface is not connected yet"))
}

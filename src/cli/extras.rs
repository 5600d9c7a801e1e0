//! Shell completions and manual pages, made from the parser.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};
use crate::error::{ExitCode, Report};

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

#[derive(Args, Debug)]
pub(super) struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Report> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zord", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::Done)
}

pub(super) fn man(args: &ManArgs) -> Result<ExitCode, Report> {
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .map_err(|error| Report::failed(format!("cannot write into `{}`: {error}", args.folder.display())))?;
    Ok(ExitCode::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

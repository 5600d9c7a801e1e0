//! Shell completions and manual pages, made from the parser.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output;
use crate::error::{ExitCode, UserError};

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The folder, which must exist
    folder: PathBuf,
}

pub(crate) fn completions<C: CommandFactory>(args: &CompletionsArgs) -> Result<ExitCode, UserError> {
    let (mut text, mut command) = (Vec::new(), C::command());
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::Done)
}

pub(crate) fn man<C: CommandFactory>(args: &ManArgs) -> Result<ExitCode, UserError> {
    clap_mangen::generate_to(C::command(), &args.folder)
        .map_err(|error| UserError::failed(format!("cannot write into `{}`: {error}", args.folder.display())))?;
    Ok(ExitCode::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        super::super::Cli::command().debug_assert();
        #[cfg(feature = "lab")]
        crate::quantize::cli::Cli::command().debug_assert();
        #[cfg(feature = "lab")]
        crate::merge::cli::Cli::command().debug_assert();
    }
}

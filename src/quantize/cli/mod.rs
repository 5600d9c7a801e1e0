//! The `zord-quantize` program's command line: one file a command, each from parsed arguments to text on stdout.

use clap::{Parser, Subcommand};

use crate::cli::{output, refuse};
use crate::error::{ExitCode, Report};

mod edit;
mod inspect;

/// Checkpoints to GGUF, large models to small ones, and what was lost on the way.
#[derive(Debug, Parser)]
#[command(name = "zord-quantize", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is in a GGUF file or a checkpoint
    Inspect(inspect::InspectArgs),
    /// Change a GGUF file's metadata; the weights stay where they are
    Edit(edit::EditArgs),
}

/// Parses the arguments of the process and does what they say. Errors are printed here, once.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    output::start_log();
    match run(cli.command) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{report}");
            report.code
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Report> {
    match command {
        Command::Inspect(args) => inspect::run(&args),
        Command::Edit(args) => edit::run(args),
    }
}

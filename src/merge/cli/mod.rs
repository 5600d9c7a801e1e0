//! The `zord-merge` program's command line: one file a command, each from parsed arguments to text on stdout.

use clap::{Parser, Subcommand};

use crate::cli::{carry_out, extras};
use crate::error::{ExitCode, UserError};

mod check;
mod lora;
mod open;
mod run;
mod transplant;
mod write;

/// Several checkpoints to one, and the truth about what can be merged.
#[derive(Debug, Parser)]
#[command(name = "zord-merge", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge what a recipe names
    Run(run::RunArgs),
    /// Say what a recipe would do, and everything that is wrong with it; reads headers only
    Check(check::CheckArgs),
    /// Bake PEFT adapters into a base
    Lora(lora::LoraArgs),
    /// Make an adapter of what a fine-tune changed
    ExtractLora(lora::ExtractArgs),
    /// Give a model another tokenizer
    Transplant(transplant::TransplantArgs),
    /// Shell completions, on stdout
    #[command(hide = true)]
    Completions(extras::CompletionsArgs),
    /// Manual pages, into a folder
    #[command(hide = true)]
    Man(extras::ManArgs),
}

/// Parses the arguments of the process and does what they say. Errors are printed here, once.
pub fn main() -> ExitCode {
    carry_out(|cli: Cli| run(cli.command))
}

fn run(command: Command) -> Result<ExitCode, UserError> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Lora(args) => lora::run(&args),
        Command::ExtractLora(args) => lora::extract(&args),
        Command::Transplant(args) => transplant::run(&args),
        Command::Completions(args) => extras::completions::<Cli>(&args),
        Command::Man(args) => extras::man::<Cli>(&args),
    }
}

/// Threads, unless it is said otherwise: one for each core.
fn threads(said: Option<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    said.map_or(cores, usize::from)
}

//! The `zord-quantize` program's command line: one file a command, each from parsed arguments to text on stdout.

use clap::{Parser, Subcommand};

use crate::cli::{carry_out, extras};
use crate::error::{ExitCode, UserError};

mod convert;
mod edit;
#[cfg(feature = "engine")]
mod export;
#[cfg(feature = "engine")]
mod fit;
#[cfg(feature = "engine")]
mod imatrix;
mod inspect;
#[cfg(feature = "engine")]
mod measure;
mod modelfile;
#[cfg(feature = "engine")]
mod quantize;
#[cfg(feature = "engine")]
mod texts;

/// Checkpoints to GGUF, large models to small ones, and what was lost on the way.
#[derive(Debug, Parser)]
#[command(name = "zord-quantize", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a GGUF file of a Hugging Face checkpoint
    Convert(convert::ConvertArgs),
    /// Make a smaller file of a GGUF file
    #[cfg(feature = "engine")]
    Quantize(quantize::QuantizeArgs),
    /// Find out which weights matter, from a text
    #[cfg(feature = "engine")]
    Imatrix(imatrix::ImatrixArgs),
    /// Say what smaller files lost
    #[cfg(feature = "engine")]
    Measure(measure::MeasureArgs),
    /// What is in a GGUF file or a checkpoint
    Inspect(inspect::InspectArgs),
    /// Change a GGUF file's metadata; the weights stay where they are
    Edit(edit::EditArgs),
    /// Make a Hugging Face folder of a GGUF file
    #[cfg(feature = "engine")]
    Export(export::ExportArgs),
    /// Write a Modelfile, which Ollama makes its models from
    Modelfile(modelfile::ModelfileArgs),
    /// Shell completions, on stdout
    #[command(hide = true)]
    Completions(extras::CompletionsArgs),
    /// Manual pages, into a folder
    #[command(hide = true)]
    Man(extras::ManArgs),
    /// What this program starts itself as, to outlive llama.cpp
    #[cfg(feature = "engine")]
    #[command(hide = true)]
    LlamaChild { parent: u32 },
}

/// Parses the arguments of the process and does what they say. Errors are printed here, once.
pub fn main() -> ExitCode {
    carry_out(|cli: Cli| run(cli.command))
}

/// As many threads as were asked for, else as there are cores.
fn threads(wanted: Option<u16>) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().try_into().unwrap_or(u16::MAX));
    wanted.unwrap_or_else(cores)
}

fn run(command: Command) -> Result<ExitCode, UserError> {
    match command {
        Command::Convert(args) => convert::run(args),
        #[cfg(feature = "engine")]
        Command::Quantize(args) => quantize::run(&args),
        #[cfg(feature = "engine")]
        Command::Imatrix(args) => imatrix::run(&args),
        #[cfg(feature = "engine")]
        Command::Measure(args) => measure::run(&args),
        #[cfg(feature = "engine")]
        Command::LlamaChild { parent } => Ok(crate::quantize::work::serve(parent)),
        Command::Inspect(args) => inspect::run(&args),
        Command::Edit(args) => edit::run(args),
        #[cfg(feature = "engine")]
        Command::Export(args) => export::run(&args),
        Command::Modelfile(args) => modelfile::run(&args),
        Command::Completions(args) => extras::completions::<Cli>(&args),
        Command::Man(args) => extras::man::<Cli>(&args),
    }
}

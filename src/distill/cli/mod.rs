//! The `zord-distill` program's command line: one file a command, each from parsed arguments to text on stdout.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::cli::source;
use crate::cli::{carry_out, extras};
use crate::distill::recipe::{self, Recipe};
use crate::error::{ExitCode, UserError};

mod cache;
mod check;
#[cfg(feature = "engine")]
mod compare;
mod dataset;
mod device;
mod logits;
mod page;
mod run;

/// Teach a small model from larger ones, and fine-tune it.
#[derive(Debug, Parser)]
#[command(name = "zord-distill", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train by a recipe, resuming an earlier run of it
    Run(run::RunArgs),
    /// Check a recipe without training: every key, memory, steps, time
    Check(check::CheckArgs),
    /// Run the teachers and store their logprobs
    Cache(cache::CacheArgs),
    /// Show what the student would read: counts, lengths, samples
    Dataset(dataset::DatasetArgs),
    /// Compare a checkpoint as trained here with a GGUF file as llama.cpp runs it
    #[cfg(feature = "engine")]
    Compare(compare::CompareArgs),
    /// Write what the training implementation computes for some tokens
    #[command(hide = true)]
    Logits(logits::LogitsArgs),
    /// What this program starts itself as, to read a table in bounded memory
    #[command(hide = true)]
    TableChild { path: PathBuf },
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

/// A recipe and what is changed of it.
#[derive(Args, Debug)]
struct RecipeArgs {
    /// The recipe, a TOML file; paths in it count from its folder
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Change a key, repeat for more: `--set student.path=DIR`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl RecipeArgs {
    fn read(&self) -> Result<Recipe, UserError> {
        let mut recipe = recipe::read(&self.recipe, &self.set)?;
        recipe.student.path = source::folder(&recipe.student.path)?;
        Self::set_threads(&recipe);
        Ok(recipe)
    }

    /// The recipe with what stands against it; of a student on the hub only headers are fetched, into `place`, unless the
    /// `whole` is needed.
    fn read_headers(&self, place: &Path, whole: bool) -> Result<(Recipe, Vec<String>), UserError> {
        let (mut recipe, problems) = recipe::read_with_problems(&self.recipe, &self.set)?;
        let name = recipe.student.path.to_string_lossy().into_owned();
        recipe.student.path = if !whole && name.starts_with("hf:") {
            source::headers(&name, &place.join("student"))?.0
        } else {
            source::folder(&recipe.student.path)?
        };
        Self::set_threads(&recipe);
        Ok((recipe, problems))
    }

    fn set_threads(recipe: &Recipe) {
        // A second pool cannot be made; in tests of this process there may be one already.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(recipe.threads).build_global();
    }
}

/// A text without what a terminal would act on.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Parses the arguments of the process and does what they say. Errors are printed here, once.
pub fn main() -> ExitCode {
    carry_out(|cli: Cli| run(&cli.command))
}

fn run(command: &Command) -> Result<ExitCode, UserError> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Dataset(args) => dataset::run(args),
        #[cfg(feature = "engine")]
        Command::Compare(args) => compare::run(args),
        Command::Logits(args) => logits::run(args),
        #[cfg(feature = "engine")]
        Command::LlamaChild { parent } => Ok(crate::distill::teacher::serve(*parent)),
        Command::TableChild { path } => Ok(crate::distill::data::table::serve(path)),
        Command::Completions(args) => extras::completions::<Cli>(args),
        Command::Man(args) => extras::man::<Cli>(args),
    }
}

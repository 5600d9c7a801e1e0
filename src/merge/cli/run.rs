//! `zord-merge run`: a recipe to a checkpoint.

use std::path::PathBuf;

use clap::Args;

use super::write::{WriteArgs, write};
use crate::cli::progress;
use crate::error::{ExitCode, UserError};

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The recipe: YAML as mergekit reads it, or TOML
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Where chance begins, for methods that leave something to it [default: the recipe's, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    write: WriteArgs,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, UserError> {
    let (recipe, plan) = super::open::plan(&args.recipe, args.seed)?;
    write(&args.write, &recipe, &plan, &progress::cancel_on_signals()?)
}

//! `zord-distill cache`: asks the teachers, and keeps what they say where `run` finds it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::RecipeArgs;
use super::dataset::{prepared, tokenizer};
use crate::cli::{output, progress};
use crate::distill::run::{Claim, claim};
use crate::distill::teacher;
use crate::error::{ExitCode, UserError};

#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The folder that `run` will be given
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CacheArgs) -> Result<ExitCode, UserError> {
    let recipe = args.recipe.read()?;
    if recipe.teachers.is_empty() {
        return Err(UserError::usage("the recipe has no `[[teacher]]`"));
    }
    let cancel = progress::cancel_on_signals()?;
    let tokenizer = tokenizer(&recipe)?;
    let Claim { folder, lock } = claim(&recipe, &args.output)?;
    let data = prepared(&recipe, &tokenizer, &folder, &cancel)?;
    let mut bar = progress::Bar::counting("asking the teacher", "windows");
    let started = std::time::Instant::now();
    let mut tell = |progress: teacher::Progress<'_>| bar.show(progress.done, Some(progress.all));
    let stores = teacher::stores(&recipe, &data.train, &tokenizer, &folder, &|_| true, &cancel, &mut tell)?;
    bar.end();
    drop(lock);
    let seconds = started.elapsed().as_secs_f64();
    let sizes: Vec<u64> = stores.iter().flatten().map(teacher::Store::bytes).collect();
    let learnt = data.train.head.learnt;
    if args.json {
        output::json(&json!({
            "teachers": recipe.teachers.iter().map(|teacher| &teacher.model).collect::<Vec<_>>(),
            "tokens": data.train.head.tokens, "learnt": learnt, "bytes": sizes, "seconds": seconds,
        }))?;
    } else {
        let rows: Vec<Vec<String>> = recipe
            .teachers
            .iter()
            .zip(&sizes)
            .map(|(teacher, &size)| {
                let each = size as f64 / learnt.max(1) as f64;
                vec![teacher.model.display().to_string(), format!("{each:.0} bytes a token, {size} in all")]
            })
            .collect();
        output::print(&output::table(&rows))?;
    }
    Ok(ExitCode::Done)
}

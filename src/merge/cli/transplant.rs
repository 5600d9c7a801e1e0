//! `zord-merge transplant`: another tokenizer for a model.

use clap::{Args, ValueEnum};

use super::write::{WriteArgs, write};
use crate::cli::{output, progress};
use crate::error::{ExitCode, UserError};
use crate::merge::tokens::Merged;
use crate::merge::tokens::transplant::{self, Way};

#[derive(Args, Debug)]
pub(super) struct TransplantArgs {
    /// The model that gets another tokenizer
    #[arg(value_name = "MODEL")]
    model: String,
    /// The model whose tokenizer it gets
    #[arg(long, value_name = "DONOR")]
    tokenizer: String,
    /// How rows of new tokens come about
    #[arg(long, value_name = "WAY", value_enum, default_value = "omp")]
    method: Method,
    /// Shared tokens that a new one is a sum of, for `omp`
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    k: u16,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Omp,
    Mean,
    Subword,
}

pub(super) fn run(args: &TransplantArgs) -> Result<ExitCode, UserError> {
    let (mut model, donor) = (super::open::named(&args.model)?, super::open::named(&args.tokenizer)?);
    let way = match args.method {
        Method::Omp => Way::Omp(usize::from(args.k)),
        Method::Mean => Way::Mean,
        Method::Subword => Way::Subword,
    };
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::counting("fitting", "tokens");
    let moved = transplant::run(&mut model, &donor, way, &cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    let moved = moved?;
    output::note(format!("{} of {} tokens are shared", moved.shared, moved.tokens));
    let (recipe, mut plan) = super::open::alone(model)?;
    plan.vocabulary = Some(Merged::of(plan.models.len(), moved.rows));
    plan.models.push(donor);
    write(&args.write, &recipe, &plan, &cancel)
}

//! `zord-distill logits`: what the training implementation computes for some tokens, for whoever compares it.

use std::path::PathBuf;

use clap::Args;

use crate::distill::model::adapter;
use crate::distill::model::head::Wanted;
use crate::distill::model::{Base, Batch, Source};
use crate::error::{ExitCode, UserError};
use crate::weights::safetensors::Dtype;
use crate::weights::safetensors::write::{NewTensor, Writer};

#[derive(Args, Debug)]
pub(super) struct LogitsArgs {
    /// A Hugging Face folder
    model: PathBuf,
    /// An adapter laid over it, in PEFT's form
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// The tokens
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', required = true)]
    tokens: Vec<u32>,
    /// The file for the logits, a row for each token
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

pub(super) fn run(args: &LogitsArgs) -> Result<ExitCode, UserError> {
    let source = Source::open(&args.model)?;
    let vocabulary = source.shape.vocabulary;
    if let Some(token) = args.tokens.iter().find(|&&token| token as usize >= vocabulary) {
        return Err(UserError::usage(format!("the token {token} is none of the model's {vocabulary}")));
    }
    let mut model = source.load(args.tokens.len(), Base::Stored)?;
    if let Some(folder) = &args.adapter {
        let (recipe, settings) = adapter::found(folder).map_err(UserError::failed)?;
        adapter::lay(&mut model, &recipe, Some(&settings), 0);
        adapter::read(&mut model, &recipe, &settings, folder).map_err(UserError::failed)?;
        model.changed();
    }
    let mut batch = Batch::default();
    batch.push(args.tokens.iter().copied());
    let row = |_: usize, logits: &mut [f32]| logits.to_vec();
    let rows = model.head().run(&model.states(&batch), &row, Wanted::default());
    let logits = rows.concat();
    let shape = vec![args.tokens.len() as u64, vocabulary as u64];
    let spec = NewTensor { name: "logits".to_owned(), dtype: Dtype::F32, shape };
    let mut file = Writer::create(&args.output, &[spec], &[])?;
    file.numbers(Dtype::F32, &logits)?;
    file.finish()?;
    Ok(ExitCode::Done)
}

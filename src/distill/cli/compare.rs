//! `zord-distill compare`: the training implementation beside llama.cpp.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{output, progress};
use crate::distill::compare;
use crate::error::{ExitCode, UserError};

/// What is read when no text is named: prose and code.
const SAMPLE: &str = "The quick brown fox jumps over the lazy dog. In 1815, M. Charles-François-Bienvenu Myriel was Bishop \
                      of D——.\n\ndef area(width: float, height: float) -> float:\n    \"\"\"Area of a rectangle.\"\"\"\n    \
                      return width * height\n\nfor (let i = 0; i < rows.length; i++) {\n  total += rows[i].price;\n}\n";

#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    /// A Hugging Face folder
    #[arg(value_name = "HF_DIR")]
    folder: PathBuf,
    /// The file made from it
    #[arg(value_name = "FILE.gguf")]
    gguf: PathBuf,
    /// A text to read [default: some lines that come with the program]
    #[arg(short, long, value_name = "TEXT")]
    file: Option<PathBuf>,
    /// Tokens of it at most
    #[arg(long, value_name = "N", default_value_t = 128)]
    tokens: usize,
    /// Relative difference from which a layer counts as different
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    tolerance: f64,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompareArgs) -> Result<ExitCode, UserError> {
    let text = match &args.file {
        Some(path) => crate::small::text(path, crate::small::TOKENIZER)
            .map_err(|error| UserError::failed(format!("cannot read `{}`: {error}", path.display())))?,
        None => SAMPLE.to_owned(),
    };
    let cancel = progress::cancel_on_signals()?;
    let report = compare::compare(&args.folder, &args.gguf, &text, args.tokens, args.tolerance, &cancel)?;
    if args.json {
        output::json(&report)?;
        return Ok(ExitCode::Done);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("tokens", report.tokens.to_string()),
        row("largest difference of logits", format!("{:.5}", report.logit_max)),
        row("mean difference", format!("{:.6}", report.logit_mean)),
        row("same top token", format!("{:.1} %", report.top1 * 100.0)),
        row("differs from", report.parts_at.map_or_else(|| "no layer".to_owned(), |layer| format!("layer {layer}"))),
    ];
    rows.extend(
        report.layers.iter().enumerate().map(|(at, apart)| row(&format!("layer {at}"), format!("{apart:.2e}"))),
    );
    output::print(&output::table(&rows))?;
    Ok(ExitCode::Done)
}

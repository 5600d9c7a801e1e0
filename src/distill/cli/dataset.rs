//! `zord-distill dataset`: what the student would read.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{RecipeArgs, clean};
use crate::cli::{output, progress};
use crate::distill::data::corpus::Window;
use crate::distill::data::order;
use crate::distill::data::prepare::{Prepared, Tally, prepare};
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::model::Source;
use crate::distill::objective::Kind;
use crate::distill::recipe::Recipe;
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError};

#[derive(Args, Debug)]
pub(super) struct DatasetArgs {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Windows to show, as training takes them
    #[arg(long, value_name = "N", default_value_t = 2)]
    samples: u64,
    /// One JSON document, in it the samples' tokens
    #[arg(long)]
    json: bool,
}

/// The student's tokenizer.
pub(super) fn tokenizer(recipe: &Recipe) -> Result<Tokenizer, UserError> {
    let source = Source::open(&recipe.student.path)?;
    let architecture = source.config.get("model_type").and_then(|kind| kind.as_str()).unwrap_or_default();
    Ok(Tokenizer::of(recipe, &source.folder, architecture)?)
}

/// The recipe's windows.
pub(super) fn prepared(
    recipe: &Recipe,
    tokenizer: &Tokenizer,
    folder: &Path,
    cancel: &Cancel,
) -> Result<Prepared, UserError> {
    let pairs = recipe.objective.kind == Kind::Dpo;
    Ok(prepare(&recipe.data, pairs, recipe.seed, tokenizer, folder, &|| cancel.is_cancelled())?)
}

pub(super) fn run(args: &DatasetArgs) -> Result<ExitCode, UserError> {
    let recipe = args.recipe.read()?;
    let cancel = progress::cancel_on_signals()?;
    let tokenizer = tokenizer(&recipe)?;
    let folder = tempfile::tempdir().map_err(|error| UserError::failed(format!("cannot make a folder: {error}")))?;
    let data = prepared(&recipe, &tokenizer, folder.path(), &cancel)?;
    let (head, tally) = (&data.train.head, data.tally.unwrap_or_default());
    let samples: Result<Vec<Window>, String> =
        (0..args.samples).map(|place| data.train.window(order::at(recipe.seed, place, data.train.len()))).collect();
    let samples = samples.map_err(UserError::failed)?;
    if args.json {
        let sample = |window: &Window| {
            let document = |document: &Vec<(u32, bool)>| {
                let tokens: Vec<u32> = document.iter().map(|(token, _)| *token).collect();
                let learnt: Vec<bool> = document.iter().map(|(_, learnt)| *learnt).collect();
                json!({"text": tokenizer.text(&tokens), "tokens": tokens, "learnt": learnt})
            };
            json!(window.documents.iter().map(document).collect::<Vec<_>>())
        };
        output::json(&json!({
            "documents": head.documents,
            "tokens": head.tokens,
            "learnt": head.learnt,
            "windows": head.windows,
            "longest": head.longest,
            "held_out": data.validation.as_ref().map(|held| held.head.tokens),
            "fingerprint": head.content,
            "lengths": SHARES.iter().zip(tally.quantiles(&SHARES)).map(|(share, length)| (format!("{:.0}%", share * 100.0), json!(length)))
                .collect::<serde_json::Map<_, _>>(),
            "tally": tally,
            "samples": samples.iter().map(sample).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Done);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("documents", format!("{}, the longest of {} tokens", head.documents, head.longest)),
        row("lengths", lengths(&tally)),
        row("tokens", format!("{}, {} of them trained on", head.tokens, head.learnt)),
        row("windows", format!("{}, {:.0} % full", head.windows, fullness(&recipe, head.tokens, head.windows))),
        row("held out", data.validation.as_ref().map_or(0, |held| held.head.tokens).to_string() + " tokens"),
        row("examples", tally.examples.to_string()),
        row("duplicates", tally.duplicates.to_string()),
        row("near duplicates", tally.near_duplicates.to_string()),
        row("too long", format!("{}, {} of them truncated or left out", tally.long, tally.left_out)),
        row("with a hole", tally.with_hole.to_string()),
        row("nothing to train on", tally.nothing_to_learn.to_string()),
        row("unwanted licence", tally.unwanted.to_string()),
        row("cannot be read", tally.malformed.to_string()),
        row("fingerprint", head.content.clone()),
    ];
    for (licence, files) in &tally.licences {
        let name = if licence.is_empty() { "no licence named" } else { licence };
        rows.push(row(name, format!("{files} files")));
    }
    let mut text = output::table(&rows);
    for notice in tokenizer.told().chain(tally.notices().iter().map(String::as_str)) {
        text.push_str(&format!("{}\n", clean(notice)));
    }
    for (at, window) in samples.iter().enumerate() {
        text.push_str(&format!("\n── window {at}; ⟦learnt⟧\n"));
        window.documents.iter().for_each(|document| text.push_str(&marked(document, &tokenizer)));
    }
    output::print(&text)?;
    Ok(ExitCode::Done)
}

/// At which shares of all documents, sorted by length, a length is shown.
const SHARES: [f64; 7] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];

/// Tokens of documents before they are cut.
fn lengths(tally: &Tally) -> String {
    let each = SHARES.iter().zip(tally.quantiles(&SHARES));
    each.map(|(share, length)| format!("{:.0} %: {length}", share * 100.0)).collect::<Vec<_>>().join(", ")
}

fn fullness(recipe: &Recipe, tokens: u64, windows: u64) -> f64 {
    100.0 * tokens as f64 / (windows.max(1) as f64 * recipe.data.context as f64)
}

/// A document with brackets around what is learnt; control characters are not sent to a terminal.
fn marked(document: &[(u32, bool)], tokenizer: &Tokenizer) -> String {
    let mut text = String::new();
    for part in document.chunk_by(|a, b| a.1 == b.1) {
        let tokens: Vec<u32> = part.iter().map(|(token, _)| *token).collect();
        let shown = tokenizer.text(&tokens);
        let shown = clean(&shown);
        text.push_str(&if part[0].1 { format!("⟦{shown}⟧") } else { shown });
    }
    text.push_str("\n──\n");
    text
}

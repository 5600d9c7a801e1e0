//! `zord-quantize inspect`: metadata, tensors, types, sizes, the template.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;

use crate::cli::output;
use crate::error::{ExitCode, UserError};
use crate::quantize::inspect::Contents;
use crate::size::bytes;

#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// A GGUF file, a safetensors file, or a checkpoint's folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Every tensor with its type, shape and size
    #[arg(long)]
    tensors: bool,
    /// Only the chat template
    #[arg(long, conflicts_with_all = ["tensors", "key", "json"])]
    template: bool,
    /// Only this value of the metadata
    #[arg(long, value_name = "KEY", conflicts_with = "json")]
    key: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> Result<ExitCode, UserError> {
    let contents = Contents::of(&args.path)?;
    let text = if args.json {
        return output::json(&contents.json()).map(|()| ExitCode::Done);
    } else if args.template {
        contents.template.ok_or_else(|| UserError::failed("there is no chat template"))? + "\n"
    } else if let Some(key) = &args.key {
        let value = contents.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| plain(value));
        value.ok_or_else(|| UserError::failed(format!("there is no `{key}`")).hint("without `--key` all are listed"))?
            + "\n"
    } else {
        page(&contents, args.tensors)
    };
    output::print(&text)?;
    Ok(ExitCode::Done)
}

fn page(contents: &Contents, all: bool) -> String {
    let parameters = contents.parameters() as f64;
    let count =
        if parameters >= 1e9 { format!("{:.3} B", parameters / 1e9) } else { format!("{:.1} M", parameters / 1e6) };
    let mut text = format!(
        "{}, {}, {} tensors, {count} parameters, {:.2} bits a weight\n",
        contents.format,
        bytes(contents.bytes),
        contents.tensors.len(),
        contents.bits_per_weight()
    );
    let kinds = contents.kinds().into_iter().map(|(kind, tensors, size)| vec![kind, tensors.to_string(), bytes(size)]);
    let head = vec!["type".to_owned(), "tensors".to_owned(), "size".to_owned()];
    text += "\n";
    text += &output::table(&std::iter::once(head).chain(kinds).collect::<Vec<_>>());
    let values = contents.metadata.iter().map(|(key, value)| vec![clean(key), clean(&short(value))]);
    text += "\n";
    text += &output::table(&values.collect::<Vec<_>>());
    if all {
        let rows = contents.tensors.iter().map(|tensor| {
            let shape = tensor.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
            vec![clean(&tensor.name), tensor.kind.clone(), shape, bytes(tensor.bytes)]
        });
        text += "\n";
        text += &output::table(&rows.collect::<Vec<_>>());
    }
    text
}

/// A value on one line of at most 100 characters.
fn short(value: &Json) -> String {
    let text = match value {
        Json::Object(array) if array.contains_key("array") => {
            let first = array.get("first").map(Json::to_string).unwrap_or_default();
            let (kind, len) = (array.get("array").map(plain), array.get("length").map(plain));
            format!("{} of {}: {first}", len.unwrap_or_default(), kind.unwrap_or_default())
        }
        Json::String(text) if !text.contains('\n') => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(100) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Text from a file as it may be shown on a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

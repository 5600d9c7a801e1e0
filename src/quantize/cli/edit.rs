//! `zord-quantize edit`: metadata set and removed, by key or by what it is for.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::chat::template::{Hints, Template};
use crate::cli::{output, progress};
use crate::error::{ExitCode, UserError};
use crate::quantize::edit::{self, Done};
use crate::weights::gguf::{Header, Metadata, Value, ValueKind};

/// The longest template read, in bytes.
const LONGEST_TEMPLATE: u64 = 4 << 20;
const TEMPLATE: &str = "tokenizer.chat_template";

#[derive(Args, Debug)]
pub(super) struct EditArgs {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the result here instead
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Set a value; its type is the one it had, the one given, or the one it looks like
    #[arg(long, value_name = "KEY=[TYPE:]VALUE")]
    set: Vec<String>,
    /// Remove a value
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Set the model's name
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Set the chat template to what a file holds
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Say which token is the one for `bos`, `eos`, `fim_pre`, `fim_suf`, `fim_mid` and so on, by its text or number
    #[arg(long, value_name = "NAME=TOKEN")]
    token: Vec<String>,
}

pub(super) fn run(args: EditArgs) -> Result<ExitCode, UserError> {
    let (header, mut metadata) = edit::open(&args.file)?;
    let none = args.set.is_empty() && args.remove.is_empty() && args.token.is_empty();
    if none && args.name.is_none() && args.template.is_none() && args.output.is_none() {
        return Err(UserError::usage("there is nothing to change")
            .hint("`--set`, `--remove`, `--name`, `--template`, `--token`"));
    }
    for change in &args.set {
        let (key, value) = split(change, "--set")?;
        fixed(key)?;
        set(&mut metadata, &header, key, value)?;
    }
    if let Some(name) = &args.name {
        metadata.str("general.name", name);
    }
    if let Some(file) = &args.template {
        metadata.str(TEMPLATE, &template(file)?);
    }
    for change in &args.token {
        let (name, token) = split(change, "--token")?;
        let Some(key) = crate::quantize::convert::token_key(name) else {
            let names = crate::quantize::convert::TOKEN_NAMES.join("`, `");
            return Err(
                UserError::usage(format!("`{name}` is no name of a token")).hint(format!("there are `{names}`"))
            );
        };
        metadata.u32(&format!("tokenizer.ggml.{key}"), token_id(&header, token)?);
    }
    for key in &args.remove {
        fixed(key)?;
        if !metadata.remove(key) {
            return Err(
                UserError::failed(format!("there is no `{key}` to remove")).hint("`inspect` lists what there is")
            );
        }
    }
    // What cannot be loaded any more is not made.
    if !metadata.has("general.architecture") && header.get("general.architecture").is_some() {
        return Err(UserError::failed("a model without `general.architecture` cannot be loaded"));
    }
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::new("copying");
    let done = edit::write(&header, &metadata, args.output.as_deref(), &cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    match done? {
        Done::InPlace => output::note(format!("{}: header changed in place", args.file.display())),
        Done::Rewritten => {
            output::note(format!("{}: written", args.output.as_deref().unwrap_or(&args.file).display()));
        }
    }
    Ok(ExitCode::Done)
}

/// Values that say how the file itself is laid out.
fn fixed(key: &str) -> Result<(), UserError> {
    if key == "general.alignment" || key.starts_with("split.") {
        return Err(UserError::failed(format!("`{key}` says how the file is laid out, and is not changed alone")));
    }
    Ok(())
}

fn split<'a>(change: &'a str, option: &str) -> Result<(&'a str, &'a str), UserError> {
    change
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| UserError::usage(format!("`{change}` has no `=`")).hint(format!("`{option} NAME=VALUE`")))
}

fn template(file: &Path) -> Result<String, UserError> {
    let fault = |error: std::io::Error| UserError::failed(format!("cannot read `{}`: {error}", file.display()));
    let text = crate::small::text(file, LONGEST_TEMPLATE).map_err(fault)?;
    // A template that cannot be read would only fail when somebody wants to chat.
    let hints = Hints { architecture: "", name: "", has_token: &|_| false, now: 0 };
    if let (_, Some(notice)) = Template::new(Some(&text), &hints) {
        let reason =
            notice.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or(notice.as_str(), |p| p.0);
        return Err(UserError::failed(format!("`{}` is no chat template: {reason}", file.display())));
    }
    Ok(text)
}

fn token_id(header: &Header, token: &str) -> Result<u32, UserError> {
    let tokens = header.array_len("tokenizer.ggml.tokens").unwrap_or_default();
    if let Ok(id) = token.parse::<u32>() {
        if u64::from(id) < tokens {
            return Ok(id);
        }
        return Err(UserError::failed(format!("token {id} is not in the vocabulary, which has {tokens}")));
    }
    let place = header.strings("tokenizer.ggml.tokens")?.iter().position(|text| text == token);
    place.and_then(|id| id.try_into().ok()).ok_or_else(|| {
        UserError::failed(format!("the vocabulary has no token `{token}`"))
            .hint("a token can be named by its number too")
    })
}

fn set(metadata: &mut Metadata, header: &Header, key: &str, text: &str) -> Result<(), UserError> {
    let named = text.split_once(':').and_then(|(kind, rest)| Some((kind_of(kind)?, rest)));
    let (kind, text) = match (named, header.get(key).map(Value::kind)) {
        (Some((kind, rest)), _) => (kind, rest),
        (None, Some(ValueKind::Array)) => {
            return Err(UserError::failed(format!("`{key}` is an array")).hint("arrays can be removed, not set"));
        }
        (None, Some(kind)) => (kind, text),
        (None, None) => (guess(text), text),
    };
    if kind == ValueKind::String {
        metadata.str(key, text);
        return Ok(());
    }
    let value = number(kind, text).ok_or_else(|| {
        UserError::usage(format!("`{text}` is no {}, which `{key}` is", kind.name()))
            .hint(format!("`--set {key}=TYPE:VALUE` sets the type too"))
    })?;
    metadata.number(key, &value);
    Ok(())
}

fn kind_of(name: &str) -> Option<ValueKind> {
    match name {
        "str" | "string" => Some(ValueKind::String),
        _ => (0..13).filter_map(ValueKind::from_id).find(|kind| kind.name() == name && *kind != ValueKind::Array),
    }
}

fn guess(text: &str) -> ValueKind {
    let kinds = [ValueKind::Bool, ValueKind::U32, ValueKind::I32, ValueKind::U64, ValueKind::F32];
    kinds.into_iter().find(|&kind| number(kind, text).is_some()).unwrap_or(ValueKind::String)
}

fn number(kind: ValueKind, text: &str) -> Option<Value> {
    Some(match kind {
        ValueKind::U8 => Value::U8(text.parse().ok()?),
        ValueKind::I8 => Value::I8(text.parse().ok()?),
        ValueKind::U16 => Value::U16(text.parse().ok()?),
        ValueKind::I16 => Value::I16(text.parse().ok()?),
        ValueKind::U32 => Value::U32(text.parse().ok()?),
        ValueKind::I32 => Value::I32(text.parse().ok()?),
        ValueKind::U64 => Value::U64(text.parse().ok()?),
        ValueKind::I64 => Value::I64(text.parse().ok()?),
        ValueKind::F32 => Value::F32(text.parse().ok().filter(|number: &f32| number.is_finite())?),
        ValueKind::F64 => Value::F64(text.parse().ok().filter(|number: &f64| number.is_finite())?),
        ValueKind::Bool => Value::Bool(text.parse().ok()?),
        ValueKind::String | ValueKind::Array => return None,
    })
}

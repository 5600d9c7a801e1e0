//! Examples from files, in the forms in which people keep them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value as Json;

use crate::chat::{Message, Role};

/// The longest line read, in bytes.
const LONGEST: u64 = 16 << 20;

/// One example as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Example {
    /// A document.
    Text(String),
    /// What stands before, and what is to follow.
    Completion { prompt: String, completion: String },
    /// A conversation.
    Chat(Vec<Message>),
    /// A task, perhaps with material.
    Instruction { instruction: String, input: String, output: String },
    /// Two answers to the same turns, the better first.
    Pair { prompt: Vec<Message>, chosen: String, rejected: String },
}

impl Example {
    /// All its texts, for whoever compares examples.
    pub(super) fn words(&self) -> Cow<'_, str> {
        let turns = |turns: &[Message]| turns.iter().map(|turn| turn.content.as_str()).collect::<Vec<_>>().join("\n");
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Completion { prompt, completion } => Cow::Owned(format!("{prompt}{completion}")),
            Self::Chat(all) => Cow::Owned(turns(all)),
            Self::Instruction { instruction, input, output } => Cow::Owned(format!("{instruction}\n{input}\n{output}")),
            Self::Pair { prompt, chosen, rejected } => Cow::Owned(format!("{}\n{chosen}\n{rejected}", turns(prompt))),
        }
    }
}

/// An example and what is known of where it stood.
#[derive(Debug)]
pub(super) struct Found {
    /// The line or row, from 1.
    pub(super) number: usize,
    /// The share of the file that has been read with it.
    pub(super) read: f64,
    /// Its columns `license`, `licence` or `licenses`, several joined by `AND`.
    pub(super) licence: Option<String>,
    /// The example, or what is wrong with it.
    pub(super) example: Result<Example, String>,
}

/// Hands every example of a file to `each`.
///
/// # Errors
/// The file cannot be read, or whatever `each` says.
pub(super) fn examples<E: From<std::io::Error>>(
    path: &Path,
    mut each: impl FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let mut found = |number, read, row: Result<Json, String>| {
        let licence = row.as_ref().ok().and_then(licence);
        each(Found { number, read, licence, example: row.and_then(|row| understand(&row)) })
    };
    if path.extension().is_some_and(|end| end == "parquet") {
        return super::parquet::rows(path, found);
    }
    let parse = |line: &str| serde_json::from_str(line).map_err(|error| format!("it is no JSON: {error}"));
    lines(path, |number, read, line| found(number, read, line.and_then(parse)))
}

/// What an example says of its licence.
fn licence(json: &Json) -> Option<String> {
    let said =
        ["license", "licence", "licenses"].iter().find_map(|key| json.get(key).filter(|said| !said.is_null()))?;
    let text = match said {
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" AND "),
        other => other.as_str()?.to_owned(),
    };
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Understands one example, or says what is wrong with it.
fn understand(json: &Json) -> Result<Example, String> {
    let json = json.as_object().ok_or("it is no object")?;
    let text = |key: &str| match json.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        None | Some(Json::Null) => Err(format!("it has no `{key}`")),
        Some(_) => Err(format!("its `{key}` is no text")),
    };
    // A table has every column in every row.
    let has = |key: &str| json.get(key).is_some_and(|value| !value.is_null());
    if has("chosen") || has("rejected") {
        let prompt = match json.get("prompt") {
            Some(Json::Array(turns)) => messages(turns)?,
            _ => vec![Message::new(Role::User, text("prompt")?)],
        };
        return Ok(Example::Pair { prompt, chosen: answer(json, "chosen")?, rejected: answer(json, "rejected")? });
    }
    if let Some(Json::Array(turns)) = json.get("messages") {
        let turns = messages(turns)?;
        let answered = turns.iter().any(|turn| turn.role == Role::Assistant);
        return if answered { Ok(Example::Chat(turns)) } else { Err("nobody answers in its `messages`".to_owned()) };
    }
    if has("completion") {
        return Ok(Example::Completion { prompt: text("prompt")?, completion: text("completion")? });
    }
    if has("instruction") {
        let input = if has("input") { text("input")? } else { String::new() };
        return Ok(Example::Instruction { instruction: text("instruction")?, input, output: text("output")? });
    }
    if has("text") {
        return Ok(Example::Text(text("text")?));
    }
    Err("it has none of `text`, `messages`, `completion`, `instruction`, `chosen`".to_owned())
}

fn messages(turns: &[Json]) -> Result<Vec<Message>, String> {
    let one = |turn: &Json| {
        let part = |key: &str| turn.get(key).and_then(Json::as_str);
        let role = match part("role") {
            Some("system") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some(other) => return Err(format!("a role is `{}`", other.chars().take(40).collect::<String>())),
            None => return Err("a turn has no `role`".to_owned()),
        };
        Ok(Message::new(role, part("content").ok_or("a turn has no `content` that is text")?))
    };
    turns.iter().map(one).collect()
}

/// An answer as text, or as the last of some turns.
fn answer(json: &serde_json::Map<String, Json>, key: &str) -> Result<String, String> {
    match json.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(Json::Array(turns)) => match messages(turns)?.pop() {
            Some(last) if last.role == Role::Assistant => Ok(last.content),
            _ => Err(format!("its `{key}` does not end with an answer")),
        },
        _ => Err(format!("it has no `{key}` that is text")),
    }
}

/// Lines that are not empty, as text or as what is wrong with them.
fn lines<E: From<std::io::Error>>(
    path: &Path,
    mut each: impl FnMut(usize, f64, Result<&str, String>) -> Result<(), E>,
) -> Result<(), E> {
    let file = File::open(path)?;
    let all = file.metadata()?.len().max(1) as f64;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let (mut line, mut done) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let size = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if size == 0 {
            break;
        }
        done += size;
        let read = (done as f64 / all).min(1.0);
        if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
            each(number, read, Err(format!("it is longer than {LONGEST} bytes")))?;
            skip_line(&mut reader)?;
            continue;
        }
        match std::str::from_utf8(&line).map(str::trim) {
            Ok("") => {}
            Ok(text) => each(number, read, Ok(text))?,
            Err(_) => each(number, read, Err("it is no UTF-8".to_owned()))?,
        }
    }
    Ok(())
}

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, over) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Example, String> {
        understand(&serde_json::from_str(line).map_err(|error| format!("it is no JSON: {error}"))?)
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse(r#"{"text":"a","id":1}"#), Ok(Example::Text("a".to_owned())));
        let pair = parse(r#"{"prompt":"p","chosen":"c","rejected":[{"role":"assistant","content":"r"}]}"#).unwrap();
        let Example::Pair { prompt, chosen, rejected } = pair else { panic!() };
        assert_eq!((prompt[0].content.as_str(), chosen.as_str(), rejected.as_str()), ("p", "c", "r"));
        let chat = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#;
        assert!(matches!(parse(chat), Ok(Example::Chat(turns)) if turns.len() == 2));
        assert!(matches!(parse(r#"{"prompt":"p","completion":"c"}"#), Ok(Example::Completion { .. })));
        assert!(matches!(parse(r#"{"instruction":"i","output":"o"}"#), Ok(Example::Instruction { .. })));
    }

    #[test]
    fn what_is_null_is_not_there() {
        let line = r#"{"text":"a","chosen":null,"rejected":null,"messages":null,"completion":null,"instruction":null}"#;
        assert_eq!(parse(line), Ok(Example::Text("a".to_owned())));
        let line = r#"{"instruction":"i","input":null,"output":"o","text":null}"#;
        assert!(matches!(parse(line), Ok(Example::Instruction { input, .. }) if input.is_empty()));
        assert!(parse(r#"{"text":null}"#).unwrap_err().contains("none of"));
    }

    #[test]
    fn licences_are_read_from_their_column() {
        for (line, said) in [
            (r#"{"license":"mit"}"#, Some("mit")),
            (r#"{"licenses":["MIT","Apache-2.0"]}"#, Some("MIT AND Apache-2.0")),
            (r#"{"license":null,"licence":" ISC "}"#, Some("ISC")),
            (r#"{"license":""}"#, None),
            ("{}", None),
        ] {
            assert_eq!(licence(&serde_json::from_str(line).unwrap()).as_deref(), said, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, word) in [
            ("{", "JSON"),
            ("[]", "object"),
            ("{}", "none of"),
            (r#"{"text":1}"#, "`text`"),
            (r#"{"prompt":"p","chosen":"c"}"#, "`rejected`"),
            (r#"{"messages":[{"role":"user","content":"q"}]}"#, "nobody answers"),
            (r#"{"messages":[{"role":"tool","content":"q"}]}"#, "`tool`"),
        ] {
            assert!(parse(line).unwrap_err().contains(word), "{line}");
        }
    }
}

//! `zord chat`: one answer to stdout.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::stream::Session;
use super::{Scene, output, prepare};
use crate::chat::{Message, Role, thinking};
use crate::device::Termux;
use crate::device::memory::Probe;
use crate::engine::{ChatRequest, Event, Outcome, Sampling, Stats, Stop, Work, presets};
use crate::error::{ExitCode, UserError};
use crate::run::wake::Awake;
use crate::sampling::Preset;

#[derive(Args, Debug)]
pub(super) struct ChatArgs {
    /// The question; `-` or nothing reads it from stdin
    prompt: Option<String>,
    /// Leave stdin alone even if it is no terminal
    #[arg(long)]
    no_stdin: bool,
    /// greedy, precise, balanced, explore or auto (the model's own) [default: auto]
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Preset>)]
    preset: Option<Preset>,
    /// The longest answer, in tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// The same seed gives the same answer here
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// A system message; without it none is sent
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// A file to talk about; may be repeated
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// A text that ends the answer; may be repeated
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Send the prompt as it is, without the chat template
    #[arg(long)]
    raw: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is read from stdin or a file is bounded: no model here has a context that holds more.
const LARGEST: u64 = 16 << 20;

pub(super) fn run(scene: &Scene, args: ChatArgs) -> Result<ExitCode, UserError> {
    let question = question(&args)?;
    let ready = prepare::ready(&scene.config, &scene.paths, false)?;
    let config = &scene.config.chat;
    let preset = args.preset.unwrap_or(config.preset);
    let mut turns = Vec::new();
    if let Some(system) = args.system.clone().or_else(|| prepare::system(config, ready.entry)).filter(|_| !args.raw) {
        turns.push(Message::new(Role::System, system));
    }
    turns.push(Message::new(Role::User, question));
    let seed = args.seed.unwrap_or_else(random);
    let request = ChatRequest {
        turns,
        raw: args.raw,
        sampling: Sampling { seed, ..presets::sampling(preset, ready.entry) },
        max_tokens: args.max_tokens.or(config.max_tokens),
        stop: if args.stop.is_empty() { config.stop.clone() } else { args.stop },
        overflow: scene.config.context.overflow,
        ..ChatRequest::default()
    };
    let mut awake = Awake::new(Termux::here().as_ref(), scene.config.phone.wake_lock);
    awake.keep(true);
    let mut session = Session::start(ready.spec)?;
    session.ease();
    let mut out = Output { json: args.json, ends_line: true, refused: None };
    let outcome = session.work(Work::Chat(request), |event| out.take(event)).inspect_err(|_| out.break_off())?;
    let interrupted = session.interrupted();
    let code = out.finish(outcome, interrupted)?;
    session.stop();
    Ok(code)
}

/// The prompt with what is attached and piped in before it.
fn question(args: &ChatArgs) -> Result<String, UserError> {
    let mut parts = Vec::new();
    for file in &args.attach {
        parts.push(attachment(file)?);
    }
    let prompt = args.prompt.as_deref().filter(|prompt| *prompt != "-");
    let piped = !args.no_stdin && (!std::io::stdin().is_terminal() || args.prompt.as_deref() == Some("-"));
    let input = if piped { text(bytes(std::io::stdin().lock(), "stdin")?, "stdin") } else { String::new() };
    match (prompt, input.trim().is_empty()) {
        (None, true) if parts.is_empty() => {
            return Err(
                UserError::usage("there is no question").hint("`zord chat \"why does this fail?\"`, or pipe one in")
            );
        }
        (None, _) => parts.push(input),
        (Some(prompt), true) => parts.push(prompt.to_owned()),
        (Some(prompt), false) if args.raw => parts.extend([input, prompt.to_owned()]),
        // The question stands at both ends of nothing but the input's end, where small models look.
        (Some(prompt), false) => parts.extend([format!("```\n{}\n```\n", input.trim_end()), prompt.to_owned()]),
    }
    Ok(parts.join("\n"))
}

fn attachment(file: &std::path::Path) -> Result<String, UserError> {
    let name = file.display();
    let open =
        std::fs::File::open(file).map_err(|error| UserError::failed(format!("cannot read `{name}`: {error}")))?;
    if open.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(
            UserError::failed(format!("`{name}` is a folder")).hint("attach files, each with its own `--attach`")
        );
    }
    let bytes = bytes(open, &format!("`{name}`"))?;
    if bytes.contains(&0) {
        return Err(UserError::failed(format!("`{name}` is no text")).hint("only text can be attached"));
    }
    let text = text(bytes, &format!("`{name}`"));
    Ok(format!("`{name}`:\n```\n{}\n```\n", text.trim_end()))
}

/// All bytes up to the limit, else the last ones.
fn bytes(input: impl Read, name: &str) -> Result<Vec<u8>, UserError> {
    let mut bytes = Vec::new();
    let read = input.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| UserError::failed(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        output::note(format_args!("notice: only the last {} of {name} are looked at", crate::size::bytes(LARGEST)));
        bytes.drain(..bytes.len() - LARGEST as usize);
    }
    Ok(bytes)
}

/// Bytes that are no UTF-8 are replaced, and said so.
fn text(bytes: Vec<u8>, name: &str) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        output::note(format_args!("notice: {name} is not all UTF-8; what is not was replaced"));
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}

fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() as u32
}

/// Writes pieces as they come.
struct Output {
    json: bool,
    ends_line: bool,
    /// What stdout said when it took no more.
    refused: Option<std::io::Error>,
}

impl Output {
    /// `false` when nobody reads any more.
    fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::Piece { text, .. } => {
                self.ends_line = text.ends_with('\n');
                self.write(&if self.json {
                    format!("{}\n", json!({"type": "piece", "text": text}))
                } else {
                    text.clone()
                })
            }
            Event::Cut { turns, trimmed_lines, .. } => {
                if *trimmed_lines > 0 {
                    output::note(format_args!(
                        "notice: the input is longer than the context; {trimmed_lines} lines in its middle were left out"
                    ));
                } else {
                    output::note(format_args!("notice: the context is full; {turns} older turns were left out"));
                }
                true
            }
            _ => true,
        }
    }

    /// What was said so far gets its line's end, so that the error stands on a line of its own.
    fn break_off(&mut self) {
        if !self.json && !self.ends_line {
            self.write("\n");
        }
    }

    fn write(&mut self, text: &str) -> bool {
        self.wrote(output::write(text))
    }

    fn wrote(&mut self, done: std::io::Result<()>) -> bool {
        if let Err(error) = done {
            self.refused.get_or_insert(error);
        }
        self.refused.is_none()
    }

    fn finish(mut self, outcome: Outcome, interrupted: bool) -> Result<ExitCode, UserError> {
        let Outcome::Generated { text, stop, stats } = outcome else { return Ok(ExitCode::Done) };
        if self.refused.is_none() {
            if self.json {
                self.write(&format!("{}\n", done(&text, stop, &stats)));
            } else if !self.ends_line {
                self.write("\n");
            }
        }
        if stop == Stop::Context {
            output::note("notice: the context is full; the answer ends here");
        }
        if matches!(stop, Stop::End | Stop::Text) && thinking::strip(&text).trim().is_empty() {
            output::note("notice: the answer is empty");
        }
        self.code(stop, interrupted)
    }

    /// A reader that went away cancels like a signal, and is success; anything else that stdout meets is a failure.
    fn code(self, stop: Stop, interrupted: bool) -> Result<ExitCode, UserError> {
        match self.refused {
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(UserError::failed(format!("cannot write to stdout: {error}")))
            }
            None if interrupted && stop == Stop::Cancelled => Ok(ExitCode::Interrupted),
            _ => Ok(ExitCode::Done),
        }
    }
}

fn done(text: &str, stop: Stop, stats: &Stats) -> serde_json::Value {
    let mut value = json!(stats);
    value["type"] = json!("done");
    value["text"] = json!(text);
    value["stop"] = json!(stop);
    value["peak_rss"] = json!(Probe::new().resident().peak);
    value
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_reader_that_goes_away_is_success_in_either_form() {
        let ended = |json: bool, met: Option<ErrorKind>| {
            let mut out = Output { json, ends_line: true, refused: None };
            assert_eq!(out.wrote(met.map_or(Ok(()), |kind| Err(kind.into()))), met.is_none());
            assert_eq!(out.wrote(Ok(())), met.is_none(), "it is not forgotten");
            out.code(Stop::Cancelled, true).map_err(|report| report.code)
        };
        for json in [false, true] {
            assert_eq!(ended(json, Some(ErrorKind::BrokenPipe)), Ok(ExitCode::Done));
            assert_eq!(ended(json, Some(ErrorKind::StorageFull)), Err(ExitCode::Failed));
            assert_eq!(ended(json, None), Ok(ExitCode::Interrupted));
        }
    }
}

//! Jinja as Hugging Face's libraries set it up, with bounds.

use std::cell::Cell;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

use super::{TemplateError, python};
use crate::chat::calendar::Moment;
use crate::chat::tree::one_line;

/// Bytes of a template; the longest in use are around 20,000.
const MAX_SOURCE: usize = 256 << 10;
/// Steps of a template besides those for each turn; real ones take about 30 a turn.
const FUEL: u64 = 200_000;
/// Steps for each turn; templates that look back over all turns for each one need some thousands.
const FUEL_PER_TURN: u64 = 10_000;
/// Nested macros and loops. A thread's usual stack of 2 MiB holds several times this.
const MAX_DEPTH: usize = 128;
/// Bytes written besides twice what was said.
const MAX_FRAME: usize = 1 << 20;

const NAME: &str = "chat template";

thread_local! {
    /// Bytes that the rendering under way may still write, what it captures included.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
}

impl Jinja {
    pub(super) fn new(source: &str, now: u64) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::TooLarge);
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(reported)?;
        environment.set_syntax(syntax);
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_unknown_method_callback(python::method);
        environment.set_formatter(|out, _, value| {
            let text = value.to_string();
            spend(text.len())?;
            out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        environment.add_filter("tojson", python::tojson);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        let today = Moment::from_unix(now);
        environment.add_function("strftime_now", move |pattern: &str| today.format(pattern));
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(reported)?;
        Ok(Self { environment })
    }

    /// Writes nothing: stands in for a template that cannot be compiled.
    pub(super) fn bare() -> Self {
        Self { environment: Environment::new() }
    }

    /// `turns` and `size` (bytes of what was said) set the bounds.
    pub(super) fn render(&self, context: Value, turns: usize, size: usize) -> Result<String, TemplateError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + FUEL_PER_TURN * turns as u64));
        let template = environment.get_template(NAME).map_err(reported)?;
        let limit = MAX_FRAME + 2 * size;
        LEFT.set(limit);
        let mut out = Bounded { bytes: Vec::new(), limit };
        template.render_captured_to(context, &mut out).map_err(reported)?;
        String::from_utf8(out.bytes).map_err(|_| TemplateError::TooLarge)
    }
}

/// What is written, up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spend(bytes: usize) -> Result<(), Error> {
    match LEFT.get().checked_sub(bytes) {
        Some(left) => {
            LEFT.set(left);
            Ok(())
        }
        None => Err(Error::from(ErrorKind::WriteFailure)),
    }
}

fn reported(error: Error) -> TemplateError {
    match error.kind() {
        ErrorKind::OutOfFuel => TemplateError::Endless,
        ErrorKind::WriteFailure => TemplateError::TooLarge,
        ErrorKind::SyntaxError => {
            let message = one_line(error.detail().unwrap_or("syntax error"), 120);
            TemplateError::Syntax { line: error.line().unwrap_or(0), message }
        }
        kind => {
            let detail = error.detail().map(|detail| one_line(detail, 120)).filter(|detail| !detail.is_empty());
            TemplateError::Raised(detail.unwrap_or_else(|| kind.to_string()))
        }
    }
}

/// `{% generation %}` marks answers for training and means nothing here; minijinja does not know it.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        rest = tag;
        let body = tag.trim_start_matches(['-', '+']);
        let word = body.trim_start();
        for (name, stand_in) in [("generation", "if true"), ("endgeneration", "endif")] {
            let Some(after) = word.strip_prefix(name) else { continue };
            if after.trim_start().trim_start_matches(['-', '+']).starts_with("%}") {
                out.push_str(tag.get(..tag.len() - word.len()).unwrap_or_default());
                out.push_str(stand_in);
                rest = after;
                break;
            }
        }
    }
    out.push_str(rest);
    out
}

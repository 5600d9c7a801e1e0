//! Jinja as Hugging Face's libraries set it up, with bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::machinery::{self, get_compiled_template, make_string_output};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};

use super::{TemplateError, bounds, python, watch};
use crate::chat::calendar::Moment;
use crate::chat::tree::one_line;

/// Bytes of a template; the longest in use are around 20,000.
const MAX_SOURCE: usize = 256 << 10;
/// Steps of a template besides those for each turn, checks included; real ones take about 80 a turn.
const FUEL: u64 = 500_000;
/// Steps for each turn; templates that look back over all turns for each one need some thousands.
const FUEL_PER_TURN: u64 = 25_000;
/// Nested macros and loops. A thread's usual stack of 2 MiB holds several times this.
const MAX_DEPTH: usize = 128;
/// Bytes written besides twice what was said.
const MAX_FRAME: usize = 1 << 20;

const NAME: &str = "chat template";

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
        let source = without_generation_tags(source);
        watch::verify(&source, &syntax)?;
        environment.set_syntax(syntax);
        // Errors would hold a copy of all variables.
        environment.set_debug(false);
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_unknown_method_callback(python::method);
        environment.set_formatter(|out, _, value| {
            let text = value.as_str().map_or_else(|| shown(value).map(Cow::Owned), |text| Ok(Cow::Borrowed(text)))?;
            bounds::write(text.len())?;
            out.write_str(&text).map_err(|_| Error::from(ErrorKind::WriteFailure))
        });
        environment.add_filter("tojson", python::tojson);
        environment.remove_global("debug");
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        let today = Moment::utc(now);
        environment.add_function("strftime_now", move |pattern: &str| today.format(pattern));
        environment.add_function(watch::CHECK, |operands: Rest<ValueOrKwargs>| bounds::turned(operands.0));
        environment.add_function(watch::MADE, bounds::made);
        environment.add_template_owned(NAME, source).map_err(reported)?;
        let plain = environment.get_template(NAME).map_err(reported)?;
        watch::watched(&get_compiled_template(&plain).instructions)?;
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
        let plain = environment.get_template(NAME).map_err(reported)?;
        let watched = watch::watched(&get_compiled_template(&plain).instructions)?;
        bounds::begin(MAX_FRAME + 2 * size, size);
        let mut text = String::new();
        let blocks = BTreeMap::new();
        let output = &mut make_string_output(&mut text);
        machinery::eval(&environment, &watched, context, &blocks, output, AutoEscape::None).map_err(reported)?;
        Ok(text)
    }
}

/// A value that is no text, as a text.
fn shown(value: &Value) -> Result<String, Error> {
    bounds::size(value)?;
    Ok(value.to_string())
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

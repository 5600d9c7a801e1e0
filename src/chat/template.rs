//! Puts turns into the form a model was trained on: by the model's own Jinja template, else by a built-in one. Pure.
//!
//! A template comes out of a model file and is not trusted: its source, steps, depth, output and the values it computes on
//! the way are bounded, and one that is broken is replaced by a built-in with a notice.

use minijinja::value::Value;

use super::{Message, Role};
use crate::error::Advise;

mod bounds;
mod builtin;
mod jinja;
mod python;
mod watch;

use builtin::Builtin;
use jinja::Jinja;

/// What is known of a model when its template is chosen.
pub struct Hints<'a> {
    /// `general.architecture` of the file.
    pub architecture: &'a str,
    /// `general.name` or the file's name.
    pub name: &'a str,
    /// Whether a text is one token of the vocabulary.
    pub has_token: &'a dyn Fn(&str) -> bool,
    /// Seconds since 1970, for templates that name the day; keep it for a session, or its KV prefix is lost at midnight.
    pub now: u64,
}

/// Why turns could not be rendered. The texts come from the template and are cleaned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not Jinja as the program knows it.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// It refused, or computed nonsense.
    #[error("{0}")]
    Raised(String),
    /// It ran for too many steps.
    #[error("it does not come to an end")]
    Endless,
    /// It, or what it wrote, is absurdly large.
    #[error("it is too large or writes too much")]
    TooLarge,
    /// The turns are not in what it wrote.
    #[error("it leaves out what was said")]
    Deaf,
}

impl Advise for TemplateError {
    fn hint(&self) -> Option<String> {
        Some("`zord chat --raw` sends a prompt without a template".to_owned())
    }
}

/// How a model wants to be talked to.
#[derive(Debug)]
pub struct Template {
    jinja: Jinja,
    manners: Manners,
    origin: &'static str,
    stops: Vec<&'static str>,
    /// Takes the place of a model's template that fails on some conversation.
    spare: Option<(Jinja, Manners)>,
    thinking: Option<bool>,
    opens_thinking: bool,
}

/// What a template does not do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Manners {
    /// It wants content as a list of typed parts.
    typed: bool,
    /// It refuses or drops a system message.
    no_system: bool,
}

impl Template {
    /// The model's own template, or the built-in that suits it best; with a notice for the person when the model's own
    /// is there but cannot be used.
    pub fn new(source: Option<&str>, hints: &Hints<'_>) -> (Self, Option<String>) {
        let chosen = builtin::choose(hints);
        let own = source.filter(|source| !source.trim().is_empty());
        let notice = match own.map(|source| Self::own(source, chosen, hints.now)) {
            Some(Ok(template)) => return (template, None),
            Some(Err(error)) => Some(format!(
                "the model's chat template cannot be used ({error}); the built-in `{}` takes its place",
                chosen.name
            )),
            None => None,
        };
        (Self::built_in(chosen, hints.now), notice)
    }

    fn own(source: &str, chosen: &Builtin, now: u64) -> Result<Self, TemplateError> {
        let jinja = Jinja::new(source, now)?;
        let manners = Manners::of(&jinja)?;
        let spare = Jinja::new(chosen.source, now).ok().map(|jinja| (jinja, chosen.manners()));
        Ok(Self::with(jinja, manners, "model", builtin::stops_in(source), spare))
    }

    fn built_in(chosen: &'static Builtin, now: u64) -> Self {
        // The built-ins are tested; if one did not compile, turns would still be rendered, bare.
        let jinja = Jinja::new(chosen.source, now).unwrap_or_else(|_| Jinja::bare());
        Self::with(jinja, chosen.manners(), chosen.name, chosen.stops.to_vec(), None)
    }

    fn with(
        jinja: Jinja,
        manners: Manners,
        origin: &'static str,
        stops: Vec<&'static str>,
        spare: Option<(Jinja, Manners)>,
    ) -> Self {
        let mut template = Self { jinja, manners, origin, stops, spare, thinking: None, opens_thinking: false };
        template.probe_thinking();
        template
    }

    /// `model`, or the built-in's name.
    pub fn origin(&self) -> &str {
        self.origin
    }

    /// Texts that end an answer and are no part of it.
    pub fn stops(&self) -> &[&str] {
        &self.stops
    }

    /// Whether the prompt ends inside a thinking block, so that the answer begins within it.
    pub fn opens_thinking(&self) -> bool {
        self.opens_thinking
    }

    /// Tells templates that know `enable_thinking` whether to; `None` leaves it to them.
    pub fn set_thinking(&mut self, thinking: Option<bool>) {
        self.thinking = thinking;
        self.probe_thinking();
    }

    fn probe_thinking(&mut self) {
        let turns = [Message::new(Role::User, "x")];
        let prompt = self.render(&turns, "", "", true).unwrap_or_default();
        self.opens_thinking = ["<think>", "<thinking>"].iter().any(|tag| prompt.trim_end().ends_with(tag));
    }

    /// The prompt for `turns`. It may begin with `bos`: whoever tokenises it must not add another.
    ///
    /// A template that refuses a system message gets it before the first question; one that insists on alternating
    /// roles gets turns of the same role joined, and a placeholder question where the first is left out.
    ///
    /// # Errors
    /// The template fails on these turns, and no built-in can take its place.
    pub fn render(
        &self,
        turns: &[Message],
        bos: &str,
        eos: &str,
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        let (prompt, by_spare) = self.render_or_spare(turns, bos, eos, add_generation_prompt)?;
        if let Some(error) = by_spare {
            tracing::warn!(
                "the model's chat template failed on this conversation ({error}); a built-in took its place"
            );
        }
        Ok(prompt)
    }

    /// The same, with why a built-in took the place of the model's own template.
    pub(crate) fn render_or_spare(
        &self,
        turns: &[Message],
        bos: &str,
        eos: &str,
        add_generation_prompt: bool,
    ) -> Result<(String, Option<TemplateError>), TemplateError> {
        let frame = Frame { bos, eos, add_generation_prompt, thinking: self.thinking };
        let error = match attempt(&self.jinja, self.manners, turns, &frame) {
            Ok(prompt) => return Ok((prompt, None)),
            Err(error) => error,
        };
        let Some((spare, manners)) = &self.spare else { return Err(error) };
        match attempt(spare, *manners, turns, &frame) {
            Ok(prompt) => Ok((prompt, Some(error))),
            Err(_) => Err(error),
        }
    }
}

/// What stands around the turns.
struct Frame<'a> {
    bos: &'a str,
    eos: &'a str,
    add_generation_prompt: bool,
    thinking: Option<bool>,
}

impl Frame<'_> {
    fn context(&self, turns: &[Message], typed: bool) -> Value {
        let messages: Vec<Value> = turns
            .iter()
            .map(|turn| {
                let text = Value::from(turn.content.as_str());
                let content = if typed {
                    Value::from(vec![Value::from_pairs([("type", Value::from("text")), ("text", text)])])
                } else {
                    text
                };
                Value::from_pairs([("role", Value::from(turn.role.name())), ("content", content)])
            })
            .collect();
        let thinking = self.thinking.map(|thinking| ("enable_thinking", Value::from(thinking)));
        let fixed = [
            ("messages", Value::from(messages)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(self.add_generation_prompt)),
            ("bos_token", Value::from(self.bos)),
            ("eos_token", Value::from(self.eos)),
        ];
        Value::from_pairs(fixed.into_iter().chain(thinking))
    }
}

/// Renders the turns as they are, else in the shapes that strict templates accept.
fn attempt(jinja: &Jinja, manners: Manners, turns: &[Message], frame: &Frame<'_>) -> Result<String, TemplateError> {
    let merged = without_system(turns);
    let first = if manners.no_system { merged.clone() } else { turns.to_vec() };
    let mut shapes = vec![first];
    for shape in [alternating(turns), merged.clone(), alternating(&merged)] {
        if !(shapes.contains(&shape) || manners.no_system && shape.iter().any(|turn| turn.role == Role::System)) {
            shapes.push(shape);
        }
    }
    let mut first_error = None;
    for shape in &shapes {
        let size = shape.iter().map(|turn| turn.content.len()).sum();
        match jinja.render(frame.context(shape, manners.typed), shape.len(), size) {
            Ok(prompt) => return Ok(prompt),
            Err(error @ (TemplateError::Endless | TemplateError::TooLarge)) => return Err(error),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(TemplateError::Deaf))
}

/// The system messages moved to the front of the first question.
fn without_system(turns: &[Message]) -> Vec<Message> {
    let system: Vec<&str> =
        turns.iter().filter(|turn| turn.role == Role::System).map(|turn| turn.content.as_str()).collect();
    let mut rest: Vec<Message> = turns.iter().filter(|turn| turn.role != Role::System).cloned().collect();
    if system.is_empty() {
        return rest;
    }
    let system = system.join("\n\n");
    match rest.first_mut() {
        Some(first) if first.role == Role::User => first.content = format!("{system}\n\n{}", first.content),
        _ => rest.insert(0, Message::new(Role::User, system)),
    }
    rest
}

/// Turns of the same role joined, and a question before an answer that stands first.
fn alternating(turns: &[Message]) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::with_capacity(turns.len() + 1);
    for turn in turns {
        match out.last_mut() {
            Some(last) if last.role == turn.role => {
                last.content.push_str("\n\n");
                last.content.push_str(&turn.content);
            }
            last => {
                if turn.role == Role::Assistant && last.is_none_or(|last| last.role == Role::System) {
                    out.push(Message::new(Role::User, "…"));
                }
                out.push(turn.clone());
            }
        }
    }
    out
}

impl Manners {
    /// Found out by trying.
    ///
    /// # Errors
    /// The template cannot render a plain conversation.
    fn of(jinja: &Jinja) -> Result<Self, TemplateError> {
        let turn = Message::new;
        let (system, first) = (turn(Role::System, "zord-system"), turn(Role::User, "zord-first"));
        let (answer, second) = (turn(Role::Assistant, "zord-answer"), turn(Role::User, "zord-second"));
        let frame = Frame { bos: "", eos: "", add_generation_prompt: true, thinking: None };
        let says = |manners: Manners, turns: &[Message]| {
            let size = turns.iter().map(|turn| turn.content.len()).sum();
            let prompt = jinja.render(frame.context(turns, manners.typed), turns.len(), size)?;
            let whole = turns.iter().all(|turn| prompt.contains(&turn.content));
            if whole { Ok(()) } else { Err(TemplateError::Deaf) }
        };
        let talk = [first.clone(), answer, second];
        let plain = Self::default();
        let manners = match says(plain, &talk) {
            Ok(()) => plain,
            Err(error) => {
                let typed = Self { typed: true, ..plain };
                says(typed, &talk).map_err(|_| error)?;
                typed
            }
        };
        let no_system = says(manners, &[system, first]).is_err();
        Ok(Self { no_system, ..manners })
    }
}

#[cfg(test)]
mod tests;

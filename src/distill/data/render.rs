//! Examples as the model reads them, with what is to be learnt of them.

use serde::{Deserialize, Serialize};

use super::source::Example;
use super::tokenizer::Tokenizer;
use crate::chat::{Message, Role};

/// The form that turns take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// The checkpoint's own chat template.
    #[default]
    Model,
    /// `### Instruction:` and `### Response:`.
    Alpaca,
    /// One behind the other.
    Plain,
}

/// What is learnt of an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Learn {
    /// Answers; of plain documents everything.
    #[default]
    Answers,
    /// Everything.
    All,
}

/// A stretch of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) text: String,
    pub(super) answer: bool,
    /// Whether special tokens in it count as such.
    pub(super) marks: bool,
}

/// Stretches of an example; two lists for a pair of answers.
pub(super) fn stretches(example: &Example, form: Form, tokenizer: &Tokenizer) -> Result<Vec<Vec<Stretch>>, String> {
    let stretch = |text: String, answer: bool, marks: bool| Stretch { text, answer, marks };
    let turn = |role: Role, text: &str| Message::new(role, text);
    match example {
        Example::Text(text) => Ok(vec![vec![stretch(text.clone(), true, false)]]),
        Example::Completion { prompt, completion } => {
            Ok(vec![vec![stretch(prompt.clone(), false, false), stretch(completion.clone(), true, false)]])
        }
        Example::Instruction { instruction, input, output } => {
            let question = if input.is_empty() { instruction.clone() } else { format!("{instruction}\n\n{input}") };
            Ok(vec![chat(&[turn(Role::User, &question), turn(Role::Assistant, output)], form, tokenizer)?])
        }
        Example::Chat(turns) => Ok(vec![chat(turns, form, tokenizer)?]),
        Example::Pair { prompt, chosen, rejected } => {
            let both = [chosen, rejected].map(|answer| {
                let turns: Vec<Message> = prompt.iter().cloned().chain([turn(Role::Assistant, answer)]).collect();
                let mut parts = chat(&turns, form, tokenizer)?;
                // Only the last answer is compared.
                let last = parts.iter().rposition(|part| part.answer);
                parts.iter_mut().enumerate().for_each(|(at, part)| part.answer &= Some(at) == last);
                Ok::<_, String>(parts)
            });
            both.into_iter().collect()
        }
    }
}

fn chat(turns: &[Message], form: Form, tokenizer: &Tokenizer) -> Result<Vec<Stretch>, String> {
    match form {
        Form::Model => by_template(turns, tokenizer),
        Form::Alpaca => Ok(turns.iter().flat_map(alpaca).collect()),
        Form::Plain => Ok(turns
            .iter()
            .map(|turn| {
                let answer = turn.role == Role::Assistant;
                Stretch { text: format!("{}\n", turn.content), answer, marks: false }
            })
            .collect()),
    }
}

fn alpaca(turn: &Message) -> Vec<Stretch> {
    let part = |text: String, answer| Stretch { text, answer, marks: false };
    match turn.role {
        Role::System => vec![part(format!("{}\n\n", turn.content), false)],
        Role::User => vec![part(format!("### Instruction:\n{}\n\n", turn.content), false)],
        Role::Assistant => {
            vec![part("### Response:\n".to_owned(), false), part(format!("{}\n\n", turn.content), true)]
        }
    }
}

/// Answers are what a template writes beyond its prompt for them. What it writes behind an answer up to the end of the
/// turn is learnt too: it is how the model ends one.
fn by_template(turns: &[Message], tokenizer: &Tokenizer) -> Result<Vec<Stretch>, String> {
    let (bos, eos) = (tokenizer.bos.as_deref().unwrap_or_default(), tokenizer.eos.as_deref().unwrap_or_default());
    let render = |turns: &[Message], prompt: bool| {
        tokenizer.template.render(turns, bos, eos, prompt).map_err(|error| format!("the chat template: {error}"))
    };
    let mut parts: Vec<Stretch> = Vec::new();
    let mut done = String::new();
    let push = |parts: &mut Vec<Stretch>, text: &str, answer: bool| {
        if !text.is_empty() {
            parts.push(Stretch { text: text.to_owned(), answer, marks: true });
        }
    };
    let apart = || "the chat template changes earlier turns, so that answers cannot be told from it".to_owned();
    for (at, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
        let before = render(&turns[..at], true)?;
        let after = render(&turns[..=at], false)?;
        let asked = before.strip_prefix(done.as_str()).ok_or_else(apart)?;
        let answered = after.strip_prefix(before.as_str()).ok_or_else(apart)?;
        // Whatever stands behind the end of the turn belongs to the next one.
        let end = if eos.is_empty() { None } else { answered.rfind(eos).map(|found| found + eos.len()) };
        let (answer, rest) = answered.split_at(end.unwrap_or(answered.len()));
        push(&mut parts, asked, false);
        push(&mut parts, answer, true);
        push(&mut parts, rest, false);
        done = after;
    }
    Ok(parts)
}

//! Examples as the model reads them, with what is to be learnt of them.

use serde::{Deserialize, Serialize};

use super::example::Example;
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

/// An example as the model reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    /// Two of a pair of answers; of a conversation one, or one for each answer where the template changes earlier turns.
    pub(super) documents: Vec<Vec<Stretch>>,
    /// Whether a built-in template had to take the place of the model's own.
    pub(super) by_spare: bool,
}

/// Stretches of an example. Whatever is learnt to its end ends with a token that says so.
pub(super) fn stretches(example: &Example, form: Form, tokenizer: &Tokenizer) -> Result<Rendered, String> {
    let turn = |role: Role, text: &str| Message::new(role, text);
    let one = |parts: Vec<Stretch>| Ok(Rendered { documents: vec![parts], by_spare: false });
    match example {
        Example::Text { text, marks } => {
            let text = Stretch { text: text.clone(), answer: true, marks: *marks };
            one(ended(vec![text], tokenizer))
        }
        Example::Completion { prompt, completion } => {
            let [prompt, completion] = [(prompt, false), (completion, true)].map(|(text, answer)| Stretch {
                text: text.clone(),
                answer,
                marks: true,
            });
            one(ended(vec![prompt, completion], tokenizer))
        }
        Example::Instruction { instruction, input, output } => {
            let question = if input.is_empty() { instruction.clone() } else { format!("{instruction}\n\n{input}") };
            chat(&[turn(Role::User, &question), turn(Role::Assistant, output)], 0, form, tokenizer)
        }
        Example::Chat { turns, from } => chat(turns, *from, form, tokenizer),
        Example::Pair { prompt, chosen, rejected } => {
            let mut both = Rendered::default();
            for answered in [chosen, rejected] {
                let turns = [&prompt[..], answered].concat();
                let mut rendered = chat(&turns, prompt.len(), form, tokenizer)?;
                // Where the template rewrites earlier turns, the last answer stands for all.
                both.documents.push(rendered.documents.pop().unwrap_or_default());
                both.by_spare |= rendered.by_spare;
            }
            Ok(both)
        }
    }
}

/// A text in which special tokens do not count.
fn text_of(text: &str, answer: bool) -> Stretch {
    Stretch { text: text.to_owned(), answer, marks: false }
}

/// A document with its end, unless it was written with one.
fn ended(mut parts: Vec<Stretch>, tokenizer: &Tokenizer) -> Vec<Stretch> {
    let last = parts.last().filter(|last| last.marks).map(|last| last.text.trim_end());
    let Some(end) = end(tokenizer) else { return parts };
    if !last.is_some_and(|last| last.ends_with(&end.text)) {
        parts.push(end);
    }
    parts
}

/// The end of a document or an answer.
fn end(tokenizer: &Tokenizer) -> Option<Stretch> {
    let eos = tokenizer.eos.clone().filter(|_| tokenizer.end().is_some())?;
    Some(Stretch { text: eos, answer: true, marks: true })
}

/// A conversation; answers before the turn `from` are not learnt.
fn chat(turns: &[Message], from: usize, form: Form, tokenizer: &Tokenizer) -> Result<Rendered, String> {
    let mut rendered = match form {
        Form::Model => by_template(turns, from, tokenizer)?,
        Form::Alpaca | Form::Plain => {
            let headed = |(at, turn)| {
                let mut parts = headed(turn, form, tokenizer);
                parts.iter_mut().for_each(|part| part.answer &= at >= from);
                parts
            };
            let parts = turns.iter().enumerate().flat_map(headed).collect();
            Rendered { documents: vec![parts], by_spare: false }
        }
    };
    for parts in &mut rendered.documents {
        // What stands behind the last answer would belong to a turn that does not come.
        parts.truncate(parts.iter().rposition(|part| part.answer).map_or(0, |last| last + 1));
    }
    Ok(rendered)
}

/// A turn in one of our own forms: an answer ends with the model's end, and what parts turns is not learnt.
fn headed(turn: &Message, form: Form, tokenizer: &Tokenizer) -> Vec<Stretch> {
    let alpaca = form == Form::Alpaca;
    let between = if alpaca { "\n\n" } else { "\n" };
    let heading = match turn.role {
        Role::User if alpaca => "### Instruction:\n",
        Role::Assistant if alpaca => "### Response:\n",
        _ => "",
    };
    if turn.role != Role::Assistant {
        return vec![text_of(&format!("{heading}{}{between}", turn.content), false)];
    }
    let mut parts = vec![text_of(heading, false), text_of(&turn.content, true)];
    parts.extend(end(tokenizer));
    parts.push(text_of(between, false));
    parts.retain(|part| !part.text.is_empty());
    parts
}

/// What a template writes for some turns.
struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    /// The turn before which answers are not learnt.
    from: usize,
    by_spare: bool,
}

/// Answers are what a template writes beyond its prompt for them. What it writes behind an answer up to the end of the
/// turn is learnt too: it is how the model ends one.
fn by_template(turns: &[Message], from: usize, tokenizer: &Tokenizer) -> Result<Rendered, String> {
    let mut writer = Writer { tokenizer, from, by_spare: false };
    let documents = match writer.together(turns)? {
        Some(parts) => vec![parts],
        None => writer.one_by_one(turns)?,
    };
    Ok(Rendered { documents, by_spare: writer.by_spare })
}

impl Writer<'_> {
    fn render(&mut self, turns: &[Message], prompt: bool) -> Result<String, String> {
        let Tokenizer { bos, eos, template, .. } = self.tokenizer;
        let (bos, eos) = (bos.as_deref().unwrap_or_default(), eos.as_deref().unwrap_or_default());
        let (text, by_spare) =
            template.render_or_spare(turns, bos, eos, prompt).map_err(|error| format!("the chat template: {error}"))?;
        self.by_spare |= by_spare.is_some();
        Ok(text)
    }

    /// A conversation with all its answers; `None` where the template writes earlier turns in another way later.
    fn together(&mut self, turns: &[Message]) -> Result<Option<Vec<Stretch>>, String> {
        let mut parts = Vec::new();
        let mut done = String::new();
        for at in answers(turns) {
            let before = self.render(&turns[..at], true)?;
            let after = self.render(&turns[..=at], false)?;
            let (Some(asked), Some(answered)) = (before.strip_prefix(&done), after.strip_prefix(&before)) else {
                return Ok(None);
            };
            push(&mut parts, asked, false);
            let closing = self.closing(&turns[..=at], &after)?;
            self.answer(&mut parts, answered, closing, at >= self.from);
            done = after;
        }
        Ok(Some(parts))
    }

    /// Each answer as the last one of its own conversation, for templates that take thoughts out of earlier answers.
    fn one_by_one(&mut self, turns: &[Message]) -> Result<Vec<Vec<Stretch>>, String> {
        let mut documents = Vec::new();
        for at in answers(turns).filter(|&at| at >= self.from).collect::<Vec<_>>() {
            let (asked, before) = (self.render(&turns[..at], false)?, self.render(&turns[..at], true)?);
            let after = self.render(&turns[..=at], false)?;
            let same = common(&before, &after);
            // A prompt may open a thought that the answer does not have.
            if same < asked.len() {
                return Err(
                    "the chat template changes earlier turns, so that answers cannot be told from it".to_owned()
                );
            }
            if after == asked {
                return Err("the chat template leaves this answer out".to_owned());
            }
            let closing = self.closing(&turns[..=at], &after)?;
            // Letters that an answer happens to share with the thought that its prompt opens are the answer's.
            let opening = if same < before.len() { self.opening(&turns[..=at], &after)? } else { None };
            let same = opening.map_or(same, |opening| same.min(opening));
            let mut parts = Vec::new();
            push(&mut parts, &after[..same], false);
            self.answer(&mut parts, &after[same..], closing, true);
            documents.push(parts);
        }
        Ok(documents)
    }

    /// How many bytes the template writes behind the words of the last turn: what it writes behind a letter that is put
    /// behind them and that occurs nowhere else. The text itself is not searched: an answer may spell its own end.
    fn closing(&mut self, turns: &[Message], after: &str) -> Result<usize, String> {
        let unknown = || "the chat template does not show where this answer ends".to_owned();
        let mark = unused(after).ok_or_else(unknown)?;
        let marked = self.with_last(turns, |words| format!("{words}{mark}"))?;
        let (_, closing) = marked.rsplit_once(mark).ok_or_else(unknown)?;
        if after.ends_with(closing) { Ok(closing.len()) } else { Err(unknown()) }
    }

    /// Where the words of the last turn begin, as far as a letter before them shows it.
    fn opening(&mut self, turns: &[Message], after: &str) -> Result<Option<usize>, String> {
        let Some(mark) = unused(after) else { return Ok(None) };
        let mut marked = self.with_last(turns, |words| format!("{mark}{words}"))?;
        if !marked.contains(mark) {
            // A thought before the words is left out, and the letter with it.
            marked = self.with_last(turns, |_| mark.to_string())?;
        }
        let opening = marked.split_once(mark).map(|(opening, _)| opening);
        Ok(opening.filter(|opening| after.starts_with(opening)).map(str::len))
    }

    /// The turns with other words in the last one.
    fn with_last(&mut self, turns: &[Message], words: impl Fn(&str) -> String) -> Result<String, String> {
        let mut turns = turns.to_vec();
        if let Some(last) = turns.last_mut() {
            last.content = words(&last.content);
        }
        self.render(&turns, false)
    }

    /// Adds what the template wrote for an answer, of which the last `closing` bytes stand behind its words: learnt up to
    /// the first special token there, or up to the words' end and an end of our own.
    fn answer(&self, parts: &mut Vec<Stretch>, answered: &str, closing: usize, learn: bool) {
        let words = answered.len().saturating_sub(closing);
        let closing = &answered[words..];
        let tokens = self.tokenizer.specials().iter().chain(&self.tokenizer.eos).filter(|token| !token.is_empty());
        // Of those that begin at the same place the longest, as the tokenizer takes it.
        let end_of_turn = tokens
            .filter_map(|token| closing.find(token.as_str()).map(|at| (at, std::cmp::Reverse(at + token.len()))))
            .min()
            .map(|(_, std::cmp::Reverse(until))| until);
        let until = words + end_of_turn.unwrap_or(0);
        push(parts, &answered[..until], learn);
        if end_of_turn.is_none() {
            parts.extend(end(self.tokenizer).map(|end| Stretch { answer: learn, ..end }));
        }
        push(parts, &answered[until..], false);
    }
}

/// Bytes with which both texts begin.
fn common(one: &str, other: &str) -> usize {
    let differ = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
    differ.map_or(one.len().min(other.len()), |((at, _), _)| at)
}

/// A letter that a text does not have, of those that mean nothing (Unicode's private use area).
fn unused(text: &str) -> Option<char> {
    ('\u{e000}'..='\u{f8ff}').find(|&letter| !text.contains(letter))
}

fn answers(turns: &[Message]) -> impl Iterator<Item = usize> {
    let answers = turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant);
    answers.map(|(at, _)| at)
}

fn push(parts: &mut Vec<Stretch>, text: &str, answer: bool) {
    if !text.is_empty() {
        parts.push(Stretch { text: text.to_owned(), answer, marks: true });
    }
}

#[cfg(test)]
mod tests;

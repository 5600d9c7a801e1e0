//! From one example to its tokens, cut to windows. Pure, so that examples can be made at the same time.

use std::ops::Range;

use super::example::Example;
use super::fim::{self, Learnt, Marks};
use super::recipe::{DataRecipe, Long};
use super::render::{self, Learn};
use super::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};

/// Tokens, each with whether it is to be predicted.
pub(super) type Document = Vec<(u32, bool)>;

/// How examples are made into tokens.
pub(super) struct Making<'a> {
    pub(super) recipe: &'a DataRecipe,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) marks: Option<Marks>,
    /// Only pairs of answers count.
    pub(super) pairs: bool,
}

/// What an example gave.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Each fits a window and has something to be learnt; of a pair both, to stand in one window.
    pub(super) documents: Vec<Document>,
    /// Tokens of its documents before they were cut.
    pub(super) lengths: Vec<usize>,
    /// Documents longer than a window, and what of them was left out.
    pub(super) long: u64,
    pub(super) left_out: u64,
    /// Documents in which nothing is to be learnt.
    pub(super) nothing_to_learn: u64,
    pub(super) with_hole: bool,
    /// Whether a built-in template took the place of the model's own.
    pub(super) by_spare: bool,
    /// Whether a text spelt special tokens, which were read as such.
    pub(super) marked: bool,
}

impl Making<'_> {
    /// Makes an example into tokens; `place` is what chance follows from.
    ///
    /// # Errors
    /// In words: why it cannot be one.
    pub(super) fn make(&self, example: &Example, place: u64) -> Result<Made, String> {
        let marked = match example {
            Example::Text { text, marks: true } => self.spells_tokens(text),
            Example::Completion { prompt, completion } => self.spells_tokens(prompt) || self.spells_tokens(completion),
            _ => false,
        };
        let mut made = Made { marked, ..Made::default() };
        match (example, self.marks) {
            // A hole in what a template wrote would teach a conversation that nobody has.
            (Example::Text { text, .. }, Some(marks))
                if !made.marked && share(mix(place ^ 11)) < self.recipe.fim.rate =>
            {
                made.with_hole = true;
                self.with_hole(text, place, marks, &mut made)?;
            }
            _ => {
                let documents = self.rendered(example, &mut made)?;
                made.lengths = documents.iter().map(Vec::len).collect();
                if self.pairs {
                    self.fit_pair(documents, &mut made);
                } else {
                    let plain = matches!(example, Example::Text { .. });
                    documents.into_iter().for_each(|document| self.fit(document, plain, &mut made));
                }
            }
        }
        Ok(made)
    }

    /// Whether special tokens stand in a text, but for those that mark holes.
    fn spells_tokens(&self, text: &str) -> bool {
        let hole = |id: u32| self.marks.is_some_and(|marks| marks.all().contains(&id));
        self.tokenizer
            .specials()
            .iter()
            .filter(|token| text.contains(token.as_str()))
            .any(|token| self.tokenizer.id(token).is_some_and(|id| !hole(id)))
    }

    fn rendered(&self, example: &Example, made: &mut Made) -> Result<Vec<Document>, String> {
        let rendered = render::stretches(example, self.recipe.form, self.tokenizer)?;
        made.by_spare = rendered.by_spare;
        let mut documents = Vec::new();
        for stretches in rendered.documents {
            let mut tokens = Vec::new();
            for part in stretches {
                let ids = self.tokenizer.tokens(&part.text, part.marks)?;
                let learn = part.answer || self.recipe.learn == Learn::All;
                tokens.extend(ids.into_iter().map(|id| (id, learn)));
            }
            documents.push(self.begun(tokens));
        }
        Ok(documents)
    }

    /// A document with the token that all begin with, if it does not have it.
    fn begun(&self, mut tokens: Document) -> Document {
        if let Some(begin) = self.tokenizer.begin().filter(|&begin| tokens.first().is_none_or(|first| first.0 != begin))
        {
            tokens.insert(0, (begin, false));
        }
        tokens
    }

    /// A text with a hole; one that is too long is cut into texts with a hole each, at tokens' ends.
    fn with_hole(&self, text: &str, place: u64, marks: Marks, made: &mut Made) -> Result<(), String> {
        let context = self.recipe.context;
        let whole = self.hole(text, 0..text.len(), place, marks)?;
        made.lengths.push(whole.len());
        if whole.len() <= context {
            made.documents.push(whole);
            return Ok(());
        }
        made.long += 1;
        if self.recipe.long == Long::Drop {
            made.left_out += 1;
            return Ok(());
        }
        // Room for marks, beginning and end; and parts have a few tokens more than the text they were cut from.
        let room = context.saturating_sub(5 + context / 32).max(1);
        let cuts = self.tokenizer.cuts(text, room)?;
        for (number, ends) in (1_u64..).zip(cuts.windows(2)) {
            let piece = self.hole(text, ends[0]..ends[1], mix(place ^ number << 32), marks)?;
            // Without its end it would teach another text.
            if piece.len() > context {
                made.left_out += 1;
                continue;
            }
            made.documents.push(piece);
            if self.recipe.long == Long::Cut {
                made.left_out += 1;
                break;
            }
        }
        Ok(())
    }

    fn hole(&self, text: &str, piece: Range<usize>, place: u64, marks: Marks) -> Result<Document, String> {
        let mut tokens = fim::cut(text, piece, place, &self.recipe.fim, marks, self.tokenizer)?;
        tokens.extend(self.tokenizer.end().map(|end| (end, true)));
        if self.recipe.fim.learn == Learnt::All || self.recipe.learn == Learn::All {
            tokens.iter_mut().for_each(|(_, learn)| *learn = true);
        }
        Ok(self.begun(tokens))
    }

    /// Both answers stand in one window; a pair that is longer is left out.
    fn fit_pair(&self, documents: Vec<Document>, made: &mut Made) {
        if documents.iter().any(|tokens| tokens.len() > self.recipe.context / 2) {
            made.long += 1;
            made.left_out += 1;
        } else if documents.iter().all(|tokens| has_goal(tokens)) {
            made.documents = documents;
        } else {
            made.nothing_to_learn += 1;
        }
    }

    fn fit(&self, mut tokens: Document, plain: bool, made: &mut Made) {
        let context = self.recipe.context;
        if tokens.len() <= context {
            return keep(tokens, made);
        }
        made.long += 1;
        match self.recipe.long {
            Long::Drop => made.left_out += 1,
            Long::Split if plain => {
                made.documents.extend(tokens.chunks(context).filter(|part| has_goal(part)).map(<[_]>::to_vec));
            }
            // A conversation without its end would teach never to come to one.
            Long::Split => made.left_out += 1,
            Long::Cut => {
                made.left_out += 1;
                tokens.truncate(context);
                keep(tokens, made);
            }
        }
    }
}

fn keep(tokens: Document, made: &mut Made) {
    if has_goal(&tokens) {
        made.documents.push(tokens);
    } else {
        made.nothing_to_learn += 1;
    }
}

/// Whether anything is to be predicted; the first token never is.
fn has_goal(tokens: &[(u32, bool)]) -> bool {
    tokens.iter().skip(1).any(|(_, learn)| *learn)
}

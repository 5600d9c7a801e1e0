//! The order in which a form's tokens and texts stand in a prompt.

use super::heading;
use crate::fim::prompt::Part;
use crate::fim::ring::Chunk;
use crate::lang::Syntax;

/// Tokens of a repository's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fim) struct Files {
    pub(super) repository: Option<i32>,
    pub(super) separator: i32,
    /// StarCoder's way: no line ends after names, and the file's name stands inside the prefix.
    pub(super) star: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fim) enum Layout {
    /// Prefix, suffix, middle. Without `files`, other files stand inside the prefix, their names after `mark`, else in
    /// comments.
    Psm {
        pre: i32,
        suf: i32,
        mid: i32,
        files: Option<Files>,
        mark: Option<&'static str>,
    },
    CodeLlama {
        pre: i32,
        suf: i32,
        mid: i32,
    },
    Codestral {
        pre: i32,
        suf: i32,
    },
    Glm {
        user: i32,
        assistant: i32,
        pre: i32,
        suf: i32,
        mid: i32,
    },
    Plain {
        files: Option<Files>,
    },
}

/// What a prompt is made of.
pub(in crate::fim) struct Content<'a> {
    pub(in crate::fim) repo: Option<&'a str>,
    pub(in crate::fim) path: Option<&'a str>,
    pub(in crate::fim) language: Syntax,
    pub(in crate::fim) chunks: &'a [&'a Chunk],
    /// Imports and signatures that the prefix no longer has, then the prefix.
    pub(in crate::fim) prefix: String,
    pub(in crate::fim) suffix: &'a str,
}

impl Layout {
    pub(in crate::fim) fn assemble(&self, content: Content<'_>) -> Vec<Part> {
        let mut parts = Parts::default();
        match *self {
            Self::Psm { pre, suf, mid, files: Some(files), .. } if content.names_files() => {
                parts.files(files, &content);
                parts.token(files.separator);
                let name = content.path.map(|path| format!("{}\n", clean(path))).unwrap_or_default();
                if files.star {
                    parts.token(pre);
                    parts.text(name + &content.prefix);
                } else {
                    parts.text(name);
                    parts.token(pre);
                    parts.text(content.prefix);
                }
                parts.rest(suf, content.suffix, mid);
            }
            Self::Psm { pre, suf, mid, mark, .. } => {
                parts.token(pre);
                parts.headed(mark, &content);
                parts.text(content.prefix);
                parts.rest(suf, content.suffix, mid);
            }
            Self::CodeLlama { pre, suf, mid } => {
                parts.token(pre);
                // The space belongs to the form; the ones before `<SUF>` and `<MID>` belong to those tokens.
                parts.text(" ".to_owned());
                parts.headed(None, &content);
                parts.text(content.prefix);
                parts.rest(suf, content.suffix, mid);
            }
            Self::Codestral { pre, suf } => {
                parts.token(suf);
                parts.text(content.suffix.to_owned());
                parts.token(pre);
                parts.headed(None, &content);
                parts.text(content.prefix);
            }
            Self::Glm { user, assistant, pre, suf, mid } => {
                let path = content.path.map(clean).unwrap_or_default();
                parts.token(user);
                parts.text(format!("\n###PATH:{path}\n###LANGUAGE:{}\n###MODE:BLOCK\n", content.language.name()));
                parts.rest(suf, content.suffix, pre);
                parts.headed(None, &content);
                parts.text(content.prefix);
                parts.token(mid);
                parts.token(assistant);
                parts.text("\n".to_owned());
            }
            Self::Plain { files: Some(files) } if !content.chunks.is_empty() => {
                parts.files(files, &content);
                parts.token(files.separator);
                parts.text(content.path.map(|path| format!("{}\n", clean(path))).unwrap_or_default());
                parts.text(content.told_first());
            }
            Self::Plain { .. } => {
                parts.headed(None, &content);
                parts.text(content.told_first());
            }
        }
        parts.0
    }
}

impl Content<'_> {
    /// For models that only continue: what comes after the cursor, told before the prefix as a file might tell it. Base
    /// models were never taught this, and still use it: more lines come out right, and few are copied from there.
    fn told_first(self) -> String {
        let below = self.suffix.trim_end();
        if below.is_empty() {
            return self.prefix;
        }
        let sign = self.language.comment();
        format!("{sign} How it ends:\n{below}\n\n{sign} All of it:\n{}", self.prefix)
    }

    fn names_files(&self) -> bool {
        !self.chunks.is_empty() || (self.repo.is_some() && self.path.is_some())
    }
}

#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn token(&mut self, id: i32) {
        self.0.push(Part::Control(id));
    }

    fn text(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        // Texts that follow one another are one text to the tokenizer.
        match self.0.last_mut() {
            Some(Part::Text(last)) => last.push_str(&text),
            _ => self.0.push(Part::Text(text)),
        }
    }

    fn rest(&mut self, suf: i32, suffix: &str, then: i32) {
        self.token(suf);
        self.text(suffix.to_owned());
        self.token(then);
    }

    /// The repository's name and the chunks, each behind its token.
    fn files(&mut self, files: Files, content: &Content<'_>) {
        let end = if files.star { "" } else { "\n" };
        if let (Some(token), Some(repo)) = (files.repository, content.repo) {
            self.token(token);
            self.text(format!("{}{end}", clean(repo)));
        }
        for chunk in content.chunks {
            self.token(files.separator);
            self.text(format!("{}\n{}", clean(&chunk.path), chunk.text));
        }
    }

    /// The chunks inside the text, under their names, and this file's name below them.
    fn headed(&mut self, mark: Option<&str>, content: &Content<'_>) {
        for chunk in content.chunks {
            self.text(format!("{}{}\n", heading(mark, content.language, &chunk.path), chunk.text));
        }
        if let Some(path) = content.path.filter(|_| !content.chunks.is_empty()) {
            self.text(heading(mark, content.language, path));
        }
    }
}

/// A name that stays on its line.
fn clean(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

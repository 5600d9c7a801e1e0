//! Text to tokens and back, with the model's own vocabulary.

use std::sync::Arc;

use llama_cpp_2::token::LlamaToken;

use super::context::Model;

/// Stands inside the text of a special token that a person or a file wrote, so that it is not taken for the real one.
/// A noncharacter-like private code point that no text has a use for.
const SPLIT: char = '\u{10fffd}';

/// The vocabulary of a loaded model.
pub(super) struct Words {
    model: Arc<Model>,
    /// Texts of the control tokens.
    control: Vec<String>,
    bos: String,
    eos: String,
}

impl Words {
    pub(super) fn new(model: &Arc<Model>) -> Self {
        let vocab = model.view().vocab();
        let text = |token: LlamaToken| {
            // llama.cpp has no way out for a token that is not there
            let text = (token.0 >= 0).then(|| vocab.text(token)).flatten();
            text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let control = (0..vocab.n_tokens()).map(LlamaToken).filter(|&token| vocab.is_control(token));
        Self {
            control: control.map(text).filter(|text| text.len() > 1).collect(),
            bos: text(vocab.bos()),
            eos: text(vocab.eos()),
            model: Arc::clone(model),
        }
    }

    /// The text of the token that begins a document; empty without one.
    pub(super) fn bos(&self) -> &str {
        &self.bos
    }

    /// The text of the token that ends a document.
    pub(super) fn eos(&self) -> &str {
        &self.eos
    }

    /// Whether the vocabulary has this control token.
    pub(super) fn has(&self, text: &str) -> bool {
        self.control.iter().any(|control| control == text) || self.tokens(text, false).len() == 1
    }

    /// The token that is this text and nothing else.
    pub(super) fn id(&self, text: &str) -> Option<i32> {
        match self.model.view().vocab().tokenize(text.as_bytes(), false, true)[..] {
            [token] => Some(token.0),
            _ => None,
        }
    }

    /// What a person wrote, made harmless: control tokens spelt out in it stay text.
    pub(super) fn defuse(&self, text: &str) -> String {
        let mut out = text.replace(SPLIT, "");
        for control in &self.control {
            if out.contains(control.as_str()) {
                let first = control.chars().next().map_or(0, char::len_utf8);
                let (head, tail) = control.split_at(first);
                out = out.replace(control.as_str(), &format!("{head}{SPLIT}{tail}"));
            }
        }
        out
    }

    /// Tokens of a rendered prompt: control tokens are recognised, but for those that `defuse` took apart.
    pub(super) fn prompt(&self, rendered: &str) -> Vec<i32> {
        let has_bos = !self.bos.is_empty() && rendered.starts_with(&self.bos);
        let mut tokens = Vec::with_capacity(rendered.len() / 3);
        for (i, part) in rendered.split(SPLIT).enumerate() {
            let parsed = self.model.view().vocab().tokenize(part.as_bytes(), i == 0 && !has_bos, true);
            tokens.extend(parsed.into_iter().map(|token| token.0));
        }
        // A vocabulary that closes documents must not close the prompt.
        let vocab = self.model.view().vocab();
        if vocab.should_add_eos() && tokens.last() == Some(&vocab.eos().0) {
            tokens.pop();
        }
        tokens
    }

    /// Tokens of plain text.
    pub(super) fn tokens(&self, text: &str, begin: bool) -> Vec<i32> {
        let vocab = self.model.view().vocab();
        vocab.tokenize(text.as_bytes(), begin, false).into_iter().map(|token| token.0).collect()
    }

    /// The bytes of a token; control tokens have none, but for the marks of thinking.
    pub(super) fn bytes(&self, token: i32) -> Vec<u8> {
        let vocab = self.model.view().vocab();
        let token = LlamaToken(token);
        if vocab.is_control(token) {
            let text = vocab.text(token).map(|text| text.to_bytes().to_vec()).unwrap_or_default();
            return if matches!(&*text, b"<think>" | b"</think>") { text } else { Vec::new() };
        }
        vocab.token_to_piece(token, false, None)
    }

    /// Whether the model ends its answer with this token.
    pub(super) fn ends(&self, token: i32) -> bool {
        self.model.view().vocab().is_eog(LlamaToken(token))
    }
}

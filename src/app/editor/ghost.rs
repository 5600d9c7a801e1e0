//! Text that is proposed at the cursor: an annotation beside the document, never part of it until it is taken.

use super::msg::SuggestId;

/// Characters of a suggestion that are kept.
const LONGEST: usize = 4096;
/// Alternatives that are kept.
const MOST: usize = 8;

/// A suggestion and its alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The request that it answers.
    pub id: SuggestId,
    /// Where it stands, in characters of the document: always the cursor.
    pub at: usize,
    /// The document's revision that it is for.
    pub revision: u64,
    /// What is left of each alternative, line feeds as line ends; never empty, no two alike.
    alternatives: Vec<String>,
    chosen: usize,
}

impl Ghost {
    /// From an answer; `None` when there is nothing in it to show.
    pub fn new(id: SuggestId, at: usize, revision: u64, answers: Vec<String>) -> Option<Self> {
        let mut alternatives: Vec<String> = Vec::new();
        for text in answers {
            let text: String = crate::text::clean::pasted(&text).chars().take(LONGEST).collect();
            if !text.trim().is_empty() && !alternatives.contains(&text) && alternatives.len() < MOST {
                alternatives.push(text);
            }
        }
        (!alternatives.is_empty()).then_some(Self { id, at, revision, alternatives, chosen: 0 })
    }

    /// What is proposed now.
    pub fn text(&self) -> &str {
        self.alternatives.get(self.chosen).map_or("", String::as_str)
    }

    /// Which of how many, from 1.
    pub fn place(&self) -> (usize, usize) {
        (self.chosen + 1, self.alternatives.len())
    }

    /// To the next alternative, around the end; `false` if there is one only.
    pub fn cycle(&mut self) -> bool {
        self.chosen = (self.chosen + 1) % self.alternatives.len().max(1);
        self.alternatives.len() > 1
    }

    /// More alternatives for the same place.
    pub fn add(&mut self, answers: Vec<String>) {
        if let Some(more) = Self::new(self.id, self.at, self.revision, answers) {
            let room = MOST.saturating_sub(self.alternatives.len());
            let new: Vec<String> =
                more.alternatives.into_iter().filter(|text| !self.alternatives.contains(text)).take(room).collect();
            self.alternatives.extend(new);
        }
    }

    /// So many of its lines, with the line break behind the last of them only where that is the end.
    pub fn accept_lines(&self, lines: usize) -> String {
        let text = self.text();
        let end = text.match_indices('\n').nth(lines.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
        let rest = text.get(end..).unwrap_or_default();
        match end {
            _ if rest.trim().is_empty() => text.to_owned(),
            0 => self.accept_line(),
            _ => text[..end].to_owned(),
        }
    }

    /// The next word, with the blanks before it.
    pub fn accept_word(&self) -> String {
        let text = self.text();
        let body = text.len() - text.trim_start().len();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = &text[body..];
        let first = rest.chars().next().is_some_and(word);
        let end = rest.find(|c: char| c.is_whitespace() || word(c) != first).unwrap_or(rest.len());
        text[..body + end].to_owned()
    }

    /// The rest of the line; at its end, the line break and the next line.
    pub fn accept_line(&self) -> String {
        let text = self.text();
        let from = usize::from(text.starts_with('\n'));
        let end = text[from..].find('\n').map_or(text.len(), |at| from + at);
        text[..end].to_owned()
    }

    /// The person typed, or took, this: what was proposed beyond it stays, for the alternatives that go the same way.
    /// `None` when nothing is left.
    #[must_use]
    pub fn type_through(mut self, typed: &str, at: usize, revision: u64) -> Option<Self> {
        let chosen = self.text().strip_prefix(typed)?.to_owned();
        let mut rest: Vec<String> = Vec::new();
        for text in &self.alternatives {
            if let Some(text) = text.strip_prefix(typed).filter(|text| !text.is_empty())
                && !rest.iter().any(|known| known == text)
            {
                rest.push(text.to_owned());
            }
        }
        self.chosen = rest.iter().position(|text| *text == chosen)?;
        self.alternatives = rest;
        // Alternatives that are still to come are for the place before.
        (self.id, self.at, self.revision) = (SuggestId::default(), at, revision);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ghost(texts: &[&str]) -> Ghost {
        Ghost::new(SuggestId(1), 0, 0, texts.iter().map(|text| (*text).to_owned()).collect()).unwrap()
    }

    #[test]
    fn words_and_lines_are_taken_one_after_the_other() {
        let first = ghost(&["  foo_bar(x);\n    y\n"]);
        assert_eq!(first.accept_word(), "  foo_bar");
        let rest = first.clone().type_through("  foo_bar", 9, 1).unwrap();
        assert_eq!((rest.accept_word().as_str(), rest.accept_line().as_str()), ("(", "(x);"));
        let rest = rest.type_through("(x);", 13, 2).unwrap();
        assert_eq!(rest.accept_line(), "\n    y");
        assert!(rest.type_through("\n    y\n", 20, 3).is_none());
    }

    #[test]
    fn typing_keeps_the_alternatives_that_go_the_same_way() {
        let mut first = ghost(&["abc", "abd", "x", "abc"]);
        assert_eq!(first.place(), (1, 3));
        first.cycle();
        let next = first.clone().type_through("a", 1, 1).unwrap();
        assert_eq!((next.text(), next.place()), ("bd", (2, 2)));
        assert!(first.type_through("x", 1, 1).is_none());
    }

    #[test]
    fn what_a_model_writes_is_harmless_and_bounded() {
        assert_eq!(ghost(&["a\u{1b}[31mb\r\nc\u{7}"]).text(), "ab\nc");
        assert!(Ghost::new(SuggestId(1), 0, 0, vec![" \n".into(), String::new()]).is_none());
        assert_eq!(ghost(&["x".repeat(10_000).as_str()]).text().len(), LONGEST);
    }
}

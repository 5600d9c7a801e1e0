//! bat's grammars, run by syntect and asked for meanings instead of colours: a theme whose "colours" are the inks' numbers.

use std::str::FromStr;
use std::sync::Arc;

use syntect::highlighting::{
    Color, HighlightState, Highlighter, RangedHighlightIterator, ScopeSelectors, StyleModifier, Theme, ThemeItem,
    ThemeSettings,
};
use syntect::parsing::{ParseState, ScopeStack, SyntaxSet};

use super::{Ink, Pieces};

/// A line longer than this is drawn plain: grammars are slow on minified code.
pub(super) const LONGEST_LINE: usize = 1024;

/// What scopes mean; of two that match, the more specific wins.
const MEANINGS: &[(&str, Ink)] = &[
    ("comment, punctuation.definition.comment", Ink::Comment),
    ("string, constant.character, punctuation.definition.string, markup.raw", Ink::Text),
    ("constant.character.escape, constant.numeric, constant.language, constant.other, support.constant", Ink::Constant),
    ("variable.language, entity.name.constant", Ink::Constant),
    ("keyword, storage, entity.name.tag, markup.heading, variable.annotation", Ink::Keyword),
    ("keyword.operator, keyword.operator.assignment, storage.modifier.lifetime, punctuation", Ink::Plain),
    ("keyword.operator.word, keyword.operator.logical.python", Ink::Keyword),
    (
        "support.type, support.class, storage.type.primitive, entity.name.type, entity.name.class, entity.name.struct",
        Ink::Type,
    ),
    (
        "entity.name.enum, entity.name.trait, entity.name.interface, entity.name.impl, entity.other.inherited-class",
        Ink::Type,
    ),
    ("entity.name.function, support.function, variable.function, support.macro", Ink::Function),
    (
        "entity.other.attribute-name, meta.annotation, meta.mapping.key string, storage.modifier.lifetime",
        Ink::Attribute,
    ),
    ("markup.inserted, punctuation.definition.inserted", Ink::Inserted),
    ("markup.deleted, punctuation.definition.deleted", Ink::Deleted),
    ("meta.diff.header, meta.diff.range, punctuation.definition.range", Ink::Attribute),
    ("punctuation.definition.from-file, punctuation.definition.to-file", Ink::Attribute),
];

/// Where a block's highlighting stands: after a whole number of lines.
#[derive(Clone, PartialEq)]
pub(super) struct Progress {
    parse: ParseState,
    highlight: HighlightState,
}

pub(super) struct Grammar {
    set: SyntaxSet,
    theme: Theme,
}

impl Grammar {
    /// Reads the grammars: tens of milliseconds.
    pub(super) fn read() -> Self {
        let item = |(scopes, ink): &(&str, Ink)| {
            let scope = ScopeSelectors::from_str(scopes).ok()?;
            let style = StyleModifier { foreground: Some(colour(*ink)), background: None, font_style: None };
            Some(ThemeItem { scope, style })
        };
        let settings = ThemeSettings { foreground: Some(colour(Ink::Plain)), ..ThemeSettings::default() };
        let theme = Theme { settings, scopes: MEANINGS.iter().filter_map(item).collect(), ..Theme::default() };
        Self { set: two_face::syntax::extra_newlines(), theme }
    }

    /// The start of a block; `None` when there is no such grammar.
    pub(super) fn begin(&self, token: &str) -> Option<Progress> {
        let syntax = self.set.find_syntax_by_token(token)?;
        let highlight = HighlightState::new(&Highlighter::new(&self.theme), ScopeStack::new());
        Some(Progress { parse: ParseState::new(syntax), highlight })
    }

    /// The pieces of every line of `text`, which begins where `progress` stands.
    pub(super) fn advance(&self, progress: &mut Progress, text: &str) -> Vec<Pieces> {
        let highlighter = self.brush();
        text.split_inclusive('\n').map(|line| self.line(&highlighter, progress, line)).collect()
    }

    /// What marks lines; making one costs more than a line.
    pub(super) fn brush(&self) -> Highlighter<'_> {
        Highlighter::new(&self.theme)
    }

    /// The pieces of one line, its end included.
    pub(super) fn line(&self, highlighter: &Highlighter<'_>, progress: &mut Progress, line: &str) -> Pieces {
        let visible = line.trim_end_matches(['\n', '\r']).len();
        if line.len() > LONGEST_LINE {
            return Arc::new([]);
        }
        let Ok(changes) = progress.parse.parse_line(line, &self.set) else { return Arc::new([]) };
        let mut pieces: Vec<(Ink, std::ops::Range<usize>)> = Vec::new();
        for (style, _, range) in RangedHighlightIterator::new(&mut progress.highlight, &changes, line, highlighter) {
            let ink = Ink::from_index(style.foreground.r);
            let range = range.start.min(visible)..range.end.min(visible);
            match pieces.last_mut() {
                _ if range.is_empty() => {}
                Some((last, before)) if *last == ink && before.end == range.start => before.end = range.end,
                _ => pieces.push((ink, range)),
            }
        }
        pieces.into()
    }
}

fn colour(ink: Ink) -> Color {
    Color { r: ink as u8, g: 0, b: 0, a: 0xff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_understood() {
        assert_eq!(Grammar::read().theme.scopes.len(), MEANINGS.len());
    }

    #[test]
    fn every_language_named_here_has_a_grammar() {
        let grammar = Grammar::read();
        for language in crate::lang::LANGUAGES {
            let token = language.grammar;
            assert!(token.is_empty() || grammar.begin(token).is_some(), "{}: {token}", language.name);
        }
    }

    #[test]
    fn a_language_is_coloured_by_its_own_grammar() {
        let grammar = Grammar::read();
        let mut found = Vec::new();
        // where the grammar has another name than the language, both
        let names = "Swift Kotlin TypeScript TOML Dockerfile Zig Dart Elixir Julia INI CMake Nix SCSS Vue:Vue_Component \
                     Svelte Fish Rust Python Go Java C C++ C# HTML Markdown Perl OCaml F# GLSL Verilog VimL";
        for names in names.split(' ').filter(|names| !names.is_empty()) {
            let (word, name) = names.split_once(':').unwrap_or((names, names));
            let language = crate::lang::of_word(word).unwrap();
            let syntax = grammar.set.find_syntax_by_token(language.grammar).unwrap();
            found.push((word, name.replace('_', " "), syntax.name.clone()));
        }
        let others: Vec<_> = found.iter().filter(|(_, name, own)| name != own).collect();
        assert!(found.len() > 30 && others.is_empty(), "{others:?}");
    }

    #[test]
    fn a_line_of_a_diff_has_one_colour_its_sign_included() {
        let grammar = Grammar::read();
        let mut progress = grammar.begin("diff").unwrap();
        let lines = grammar.advance(&mut progress, "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-old = 1\n+new = 2\n");
        let inks: Vec<Vec<Ink>> = lines.iter().map(|line| line.iter().map(|(ink, _)| *ink).collect()).collect();
        assert_eq!(inks[3..], [[Ink::Deleted], [Ink::Inserted]], "{inks:?}");
        assert!(inks[..3].iter().flatten().all(|ink| *ink == Ink::Attribute), "{inks:?}");
    }

    #[test]
    fn a_very_long_line_is_plain_and_does_not_derail_the_next() {
        let grammar = Grammar::read();
        let mut progress = grammar.begin("rs").unwrap();
        let lines = grammar.advance(&mut progress, &format!("{}\nfn f() {{}}\n", "\"".repeat(LONGEST_LINE)));
        assert!(lines[0].is_empty());
        assert_eq!(lines[1][0], (Ink::Keyword, 0..2));
    }
}

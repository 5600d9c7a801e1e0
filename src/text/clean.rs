//! Foreign text made harmless: what a model, a file name or a paste may carry must neither move the cursor, nor change
//! colours, nor hide. Two ways: [`visible`] for what is drawn (nothing vanishes without a mark), [`pasted`] for what goes
//! into the input (terminal colours of a build log are of no use to anyone there).

use std::borrow::Cow;

/// An operating system command longer than this is not one.
const LONGEST_ESCAPE: usize = 4096;

/// Overrides and isolates of the text's direction.
pub(crate) fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that are drawn as nothing, or as what terminals do not agree on.
pub(crate) fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// How many bytes after `c` belong to the escape sequence it opens; `None` if it opens none (ECMA-48, section 5).
pub(crate) fn escape(c: char, after: &str) -> Option<usize> {
    match c {
        '\x1b' => {
            let (kind, body) = match after.bytes().next() {
                Some(kind @ (b'[' | b']' | b'P' | b'X' | b'^' | b'_')) => (kind, &after[1..]),
                _ => return Some(short_escape(after)),
            };
            Some(1 + if kind == b'[' { control_sequence(body) } else { control_string(body) })
        }
        '\u{9b}' => Some(control_sequence(after)),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(control_string(after)),
        _ => None,
    }
}

fn short_escape(after: &str) -> usize {
    let middle = after.bytes().take(8).take_while(|byte| (0x20..0x30).contains(byte)).count();
    match after.as_bytes().get(middle) {
        Some(0x30..0x7f) => middle + 1,
        _ => 0,
    }
}

fn control_sequence(body: &str) -> usize {
    let middle = body.bytes().take(64).take_while(|byte| (0x20..0x40).contains(byte)).count();
    match body.as_bytes().get(middle) {
        Some(0x40..0x7f) => middle + 1,
        _ => 0,
    }
}

/// Up to the string's terminator. One without an end hides nothing: the text after it is shown.
fn control_string(body: &str) -> usize {
    for (at, c) in body.char_indices().take_while(|(at, _)| *at < LONGEST_ESCAPE) {
        match c {
            '\x07' | '\u{9c}' => return at + c.len_utf8(),
            '\x1b' => return if body[at + 1..].starts_with('\\') { at + 2 } else { 0 },
            _ => {}
        }
    }
    0
}

/// What chooses between forms of the character before it: nothing alone, and part of emoji and of some scripts' spelling.
fn selects(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// What may stay in a text that is kept; the joiner and the selectors of forms stay as well, which drawing takes out.
fn is_harmless(c: char) -> bool {
    c == '\n' || c == '\t' || !(c.is_control() || turns(c) || breaks(c) || (hides(c) && !selects(c)))
}

/// Ends of lines that are no line feeds.
fn breaks(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Direction marks and zero-width characters: they make two names look alike.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text without anything that could disturb a terminal, cut to a line.
pub fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c };
    let mut out: String = text.chars().take(120).map(safe).collect();
    if text.chars().nth(120).is_some() {
        out.push('…');
    }
    out
}

/// The text as it may be drawn: line feeds and tabs stay, other C0 controls become their pictures (`␛`), C1 controls and
/// hidden characters become `\u{FFFD}`. Carriage returns before a line feed go.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            c if is_harmless(c) => out.push(c),
            '\u{7F}' => out.push('␡'),
            c if (c as u32) < 0x20 => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{FFFD}')),
            _ => out.push('\u{FFFD}'),
        }
    }
    Cow::Owned(out)
}

/// How many lines a text has, in words: `1 line`.
pub fn lines(text: &str) -> String {
    match text.lines().count() {
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    }
}

/// Whether a character is drawn as nothing or as a blank that is none, or turns the text around.
pub fn is_hidden(c: char) -> bool {
    let blank = c.is_whitespace() && c != ' ' && !c.is_control();
    hides(c) || turns(c) || breaks(c) || blank || matches!(c, '\u{200c}' | '\u{200d}' | '\u{2800}')
}

/// The hidden characters of a name, by their places. Joiners and selectors of forms belong to some scripts and to emoji:
/// those between characters beyond ASCII are no part of it.
fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let foreign = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_hidden(c));
    text.char_indices().filter(move |(at, c)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + c.len_utf8()..].chars().next();
        let spelling = match c {
            '\u{200c}' | '\u{200d}' => (foreign(before) || before.is_some_and(selects)) && foreign(after),
            c if selects(*c) => foreign(before),
            _ => false,
        };
        is_hidden(*c) && !spelling
    })
}

/// The text without what hides in it, and how many characters that were. Blanks of all kinds stay.
pub fn without_hidden(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let (mut done, mut count) = (0, 0);
    for (at, c) in hidden(text).filter(|(_, c)| !c.is_whitespace()) {
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
        count += 1;
    }
    out.push_str(&text[done..]);
    (out, count)
}

/// Whether something hides in a name, so that it looks like another.
pub fn has_hidden(name: &str) -> bool {
    hidden(name).next().is_some()
}

/// A name with what hides in it spelt out: `ma<U+200B>in.py`.
pub fn name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut done = 0;
    for (at, c) in hidden(name) {
        out.push_str(&name[done..at]);
        out.push_str(&format!("<U+{:04X}>", u32::from(c)));
        done = at + c.len_utf8();
    }
    out.push_str(&name[done..]);
    out
}

/// The text on one line: as [`visible`], line feeds and tabs become spaces.
pub fn one_line(text: &str) -> String {
    visible(text).chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect()
}

/// Pasted text: escape sequences are taken out whole, carriage returns become line feeds, other controls go.
pub fn pasted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' => {
                rest = rest.strip_prefix('\n').unwrap_or(rest);
                out.push('\n');
            }
            c if is_harmless(c) => out.push(c),
            c => rest = &rest[escape(c, rest).unwrap_or(0)..],
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(visible("fn main() {\n\tlet x = \"中文 👩‍💻\";\n}"), Cow::Borrowed(_)));
    }

    #[test]
    fn controls_are_shown_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[31mb\r\nc\u{7}\u{202e}d\u{7f}\u{9b}"), "a␛[31mb\nc␇\u{fffd}d␡\u{fffd}");
        assert_eq!(one_line("a\nb\tc\u{0}"), "a b c␀");
    }

    #[test]
    fn what_hides_is_taken_out_and_spelling_stays() {
        let smuggled: String = "run".bytes().map(|byte| char::from_u32(0xe0100 + u32::from(byte)).unwrap()).collect();
        let hidden = format!("a\u{200d}b\u{202e}c 😀{smuggled}\u{e0041}\u{2060}");
        // of what chooses a form one may stand behind an emoji
        let (shown, count) = without_hidden(&hidden);
        assert_eq!((shown.chars().filter(|c| !is_hidden(*c)).collect::<String>().as_str(), count), ("abc 😀", 6));
        for text in ["می\u{200c}خواهم", "👩\u{200d}💻 ❤\u{fe0f}", "a\u{a0}b\u{3000}c\n\td"] {
            assert_eq!(without_hidden(text), (text.to_owned(), 0));
        }
    }

    #[test]
    fn a_pasted_build_log_loses_its_colours() {
        assert_eq!(pasted("\u{1b}[0m\u{1b}[1;31merror\u{1b}[0m: x\r\ny\rz"), "error: x\ny\nz");
        assert_eq!(pasted("\u{1b}]0;title\u{7}text\u{1b}]8;;http://x\u{1b}\\link"), "textlink");
        assert_eq!(pasted("\u{1b}]never closed\nnext"), "never closed\nnext", "what is not closed hides nothing");
        assert_eq!(pasted("\u{1b}"), "");
    }
}

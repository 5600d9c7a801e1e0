//! Foreign text made harmless: what a model, a file name or a paste may carry must neither move the cursor, nor change
//! colours, nor hide. Two ways: [`visible`] for what is drawn (nothing vanishes without a mark), [`pasted`] for what goes
//! into the input (terminal colours of a build log are of no use to anyone there).

use std::borrow::Cow;

/// Characters that change the order or hide the presence of others: bidirectional controls and the like. The zero-width
/// joiner and the variation selectors are left alone; emoji are made of them.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{E0000}'..='\u{E007F}' | '\u{FFF9}'..='\u{FFFB}')
}

fn is_harmless(c: char) -> bool {
    c == '\n' || c == '\t' || !(c.is_control() || is_hidden(c))
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

/// The text on one line: as [`visible`], line feeds and tabs become spaces.
pub fn one_line(text: &str) -> String {
    visible(text).chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).collect()
}

/// Pasted text: escape sequences are taken out whole, carriage returns become line feeds, other controls go.
pub fn pasted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1B}' => skip_escape(&mut chars),
            '\u{9B}' => skip_csi(&mut chars),
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            c if is_harmless(c) => out.push(c),
            _ => {}
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After an escape character: a control sequence, a string (ended by BEL or ST), or one more character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_csi(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            // a string that is never closed must not swallow the rest: it ends with its line
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                if c == '\u{7}' || c == '\u{9C}' || (c == '\u{1B}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(c) if !c.is_control() => {
            chars.next();
        }
        _ => {}
    }
}

/// Parameters up to the final byte.
fn skip_csi(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next_if(|c| ('\u{20}'..='\u{7E}').contains(c)) {
        if ('\u{40}'..='\u{7E}').contains(&c) {
            break;
        }
    }
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
    fn a_pasted_build_log_loses_its_colours() {
        assert_eq!(pasted("\u{1b}[0m\u{1b}[1;31merror\u{1b}[0m: x\r\ny\rz"), "error: x\ny\nz");
        assert_eq!(pasted("\u{1b}]0;title\u{7}text\u{1b}]8;;http://x\u{1b}\\link"), "textlink");
        assert_eq!(pasted("\u{1b}]never closed\nnext"), "\nnext");
        assert_eq!(pasted("\u{1b}"), "");
    }
}

//! What is open at the end of a text that still grows, closed for the moment, so that it looks as it will.

use std::borrow::Cow;

use crate::text::fence::Fences;

/// The text with its last block mended: a table's head gets its rule, bold and code get their ends, and what may
/// become a fence, a heading's underline or an emphasis mark with the next piece is not shown yet.
pub(super) fn close(text: &str) -> Cow<'_, str> {
    if in_fence(text) {
        return Cow::Borrowed(hide_partial_fence(text));
    }
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].trim();
    if line_start > 0 && is_undecided(line) {
        return Cow::Borrowed(text[..line_start].trim_end_matches('\n'));
    }
    let block_start = text.rfind("\n\n").map_or(0, |at| at + 2);
    match table(&text[block_start..]) {
        Some(mended) => Cow::Owned(text[..block_start].to_owned() + &mended),
        None => inline(text, block_start),
    }
}

/// Whether a line may become anything: a rule, an item of a list, an underline, a fence, a row.
fn is_undecided(line: &str) -> bool {
    let all = |marks: &str| line.chars().all(|c| marks.contains(c));
    let number = line.trim_end_matches(['.', ')']);
    !line.is_empty()
        && (["-", "=", "|", "+"].into_iter().any(all)
            || (line.len() < 3 && ["`", "~", "*", "_"].into_iter().any(all))
            || (line.len() < 5 && number.bytes().all(|byte| byte.is_ascii_digit())))
}

/// Whether the end of the text is inside a fenced block.
fn in_fence(text: &str) -> bool {
    let mut fences = Fences::default();
    for line in text.lines() {
        fences.take(line.trim_start_matches([' ', '>', '\t']));
    }
    fences.left_open().is_some()
}

/// One or two marks alone on the last line of a fenced block will most likely be its end.
fn hide_partial_fence(text: &str) -> &str {
    let line_start = text.rfind('\n').map_or(0, |at| at + 1);
    match text[line_start..].trim_start_matches([' ', '>']) {
        "`" | "``" | "~" | "~~" => &text[..line_start],
        _ => text,
    }
}

/// A block that begins as a table and has no whole rule yet gets one.
fn table(block: &str) -> Option<String> {
    let mut lines = block.lines();
    let head = lines.next().filter(|line| line.trim_start().starts_with('|') && line.trim().len() > 1)?;
    let rule = lines.next().unwrap_or_default();
    let whole = block.len() > head.len() + 1 + rule.len();
    if whole || lines.next().is_some() || !rule.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) {
        return None;
    }
    let head = head.trim_end();
    let head = if head.ends_with('|') && !head.ends_with("\\|") { head.to_owned() } else { format!("{head} |") };
    let columns = cells(&head);
    Some(format!("{head}\n|{}\n", "---|".repeat(columns)))
}

/// Cells of a row that begins and ends with a bar.
fn cells(row: &str) -> usize {
    let mut escaped = false;
    let bars = row.chars().filter(|c| {
        let bar = *c == '|' && !escaped;
        escaped = *c == '\\' && !escaped;
        bar
    });
    bars.count().saturating_sub(1).max(1)
}

/// Closes inline code and strong text that are open in the last block; a mark with nothing behind it is not shown.
fn inline(text: &str, block_start: usize) -> Cow<'_, str> {
    // where the open marks stand, the code's with its length
    let mut code: Option<(usize, usize)> = None;
    let mut strong: Option<usize> = None;
    let mut at = block_start;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '`' => {
                let run = marks(&text[at..], b'`');
                code = match code {
                    None => Some((at, run)),
                    Some((_, open)) if open == run => None,
                    open => open,
                };
                at += run;
            }
            '*' if code.is_none() => {
                let run = marks(&text[at..], b'*');
                if run == 2 {
                    strong = if strong.is_some() { None } else { Some(at) };
                }
                at += run;
            }
            '\\' if code.is_none() => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            _ => at += c.len_utf8(),
        }
    }
    let close_strong = if strong.is_some() { "**" } else { "" };
    match (code, strong) {
        (None, None) => Cow::Borrowed(text),
        (Some((open, run)), None) if open + run == text.len() => Cow::Borrowed(&text[..open]),
        (Some((open, run)), _) if open + run == text.len() => Cow::Owned(text[..open].trim_end().to_owned() + "**"),
        (Some((_, run)), _) => Cow::Owned(text.to_owned() + &"`".repeat(run) + close_strong),
        (None, Some(open)) if open + 2 == text.len() => Cow::Borrowed(&text[..open]),
        (None, Some(_)) => Cow::Owned(text.trim_end_matches([' ', '*']).to_owned() + "**"),
    }
}

/// How many of one mark a text begins with. Counted where it is passed over as a whole, so that all of it is read once.
fn marks(text: &str, mark: u8) -> usize {
    text.bytes().take_while(|byte| *byte == mark).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_open_is_closed_and_what_is_undecided_waits() {
        for (text, closed) in [
            ("all is closed", "all is closed"),
            ("a **bold", "a **bold**"),
            ("a **bold*", "a **bold**"),
            ("a **", "a "),
            ("a `code", "a `code`"),
            ("a `", "a "),
            ("**a `co", "**a `co`**"),
            ("list:\n-", "list:"),
            ("title\n==", "title"),
            ("1. a\n2", "1. a"),
            ("42", "42"),
            ("text\n``", "text"),
            ("```rust\nlet x;\n``", "```rust\nlet x;\n"),
            ("```rust\n**", "```rust\n**"),
            ("| a | b", "| a | b |\n|---|---|\n"),
            ("x\n\n| a | b |\n|--", "x\n\n| a | b |\n|---|---|\n"),
            ("| a |\n|---|\n| 1", "| a |\n|---|\n| 1"),
            ("中**文", "中**文**"),
            ("\\`x", "\\`x"),
            ("é```x*", "é```x*```"),
            ("**a `", "**a**"),
        ] {
            assert_eq!(close(text), closed, "{text:?}");
        }
    }

    /// With work that grows with the square this does not end within an hour.
    #[test]
    fn a_run_of_millions_of_equal_characters_is_read_once() {
        for c in ["a", "é", "`", "*", "\\", "|", "中", "_"] {
            let text = format!("x {}", c.repeat(3_000_000));
            assert!(close(&text).len() <= 2 * text.len() + 4, "{c}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_closed(text in "([`*|~\\\\> \n-]|\\PC){0,40}") {
            let _ = close(&text);
        }
    }
}

//! Blocks as a person reads them: a change with its old and its new lines, not the marks that a program needs.

use std::borrow::Cow;

use super::{Mark, end_of, has_blocks, longest, mark};
use crate::text::fence::{Fences, Line};

/// A text with each block in the form of a diff in a fence, as many fences as [`super::fenced`] gives. `growing`: the last
/// one need not be at its end, and a mark that is being written is not shown.
pub fn shown(text: &str, growing: bool) -> Cow<'_, str> {
    let text = if growing { without_begun_mark(text) } else { text };
    if !has_blocks(text) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let mut fences = Fences::default();
        if fences.take(line.trim_start()) == Line::Opens {
            let closes = |line: &&str| fences.take(line.trim_start()) == Line::Closes;
            let end = lines[at + 1..].iter().position(closes).map_or(lines.len(), |end| at + 1 + end);
            let inner = &lines[at + 1..end];
            let first = inner.iter().find(|line| !line.trim().is_empty());
            if first.is_some_and(|line| matches!(mark(line), Some((Mark::Search, _)))) {
                let info = line.trim().trim_start_matches(['`', '~']);
                let name = info.split_once([' ', ':']).map_or("", |(_, name)| name.trim());
                push(&mut out, inner, name, end < lines.len());
            } else {
                out.extend(lines[at..lines.len().min(end + 1)].iter().copied());
            }
            at = end + 1;
        } else if matches!(mark(line), Some((Mark::Search, _)))
            && let Some(end) = end_of(&lines, at, growing)
        {
            let closed = matches!(mark(lines[end - 1]), Some((Mark::Replace, _)));
            push(&mut out, &lines[at..end], "", closed);
            at = end;
        } else {
            out.push_str(line);
            at += 1;
        }
    }
    Cow::Owned(out)
}

/// The last line goes if it can only become a mark.
fn without_begun_mark(text: &str) -> &str {
    let start = text.rfind('\n').map_or(0, |at| at + 1);
    let line = &text[start..];
    let begun = ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"].iter().any(|whole| whole.starts_with(line));
    if line.len() >= 3 && begun && mark(line).is_none() { &text[..start] } else { text }
}

fn push(out: &mut String, lines: &[&str], name: &str, closed: bool) {
    let body = body(lines, name);
    let marks = "`".repeat(longest(&body).max(2) + 1);
    out.extend([marks.as_str(), "diff\n", &body]);
    if closed {
        out.extend([marks.as_str(), "\n"]);
    }
}

/// What a block says so far.
#[derive(Default)]
struct Sides<'a> {
    old: Vec<&'a str>,
    new: Option<Vec<&'a str>>,
}

fn body(lines: &[&str], name: &str) -> String {
    let mut out = String::new();
    let mut add = |sign: &str, line: &str| out.extend([sign, line, "\n"]);
    if !name.is_empty() {
        add("@@ ", &format!("{name} @@"));
    }
    let mut open: Option<Sides<'_>> = None;
    for line in lines {
        let text = line.trim_end_matches(['\n', '\r']);
        match (mark(text), &mut open) {
            (Some((Mark::Search, rest)), _) => {
                flush(open.take(), false, &mut add);
                if !rest.is_empty() {
                    add("@@ ", &format!("{rest} @@"));
                }
                open = Some(Sides::default());
            }
            (Some((Mark::Divider, _)), Some(sides)) if sides.new.is_none() => sides.new = Some(Vec::new()),
            (Some((Mark::Replace, _)), Some(_)) => flush(open.take(), true, &mut add),
            (_, Some(Sides { new: Some(new), .. })) => new.push(text),
            (_, Some(sides)) => sides.old.push(text),
            (_, None) => add("", text),
        }
    }
    flush(open, false, &mut add);
    out
}

/// Lines that stay stand once; what is not written yet is not called changed.
fn flush(sides: Option<Sides<'_>>, closed: bool, add: &mut dyn FnMut(&str, &str)) {
    let Some(Sides { old, new }) = sides else { return };
    let new = new.unwrap_or_default();
    let lead = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    if !closed && lead == new.len() {
        old.iter().for_each(|line| add(" ", line));
        return;
    }
    let tail = old[lead..].iter().rev().zip(new[lead..].iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = if closed { tail } else { 0 };
    old[..lead].iter().for_each(|line| add(" ", line));
    old[lead..old.len() - tail].iter().for_each(|line| add("-", line));
    new[lead..new.len() - tail].iter().for_each(|line| add("+", line));
    old[old.len() - tail..].iter().for_each(|line| add(" ", line));
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "a.py\n<<<<<<< SEARCH\ndef f():\n    return 1\n    # end\n=======\ndef f():\n    return 2\n    # end\n>>>>>>> REPLACE\nDone.\n";

    #[test]
    fn a_block_is_shown_as_its_old_and_its_new_lines() {
        let want = "a.py\n```diff\n def f():\n-    return 1\n+    return 2\n     # end\n```\nDone.\n";
        assert_eq!(shown(WHOLE, false), want);
        let fenced = "x\n```python a.py\n<<<<<<< SEARCH\n1\n=======\n2\n>>>>>>> REPLACE\n```\ny\n```\nplain\n```\n";
        assert_eq!(shown(fenced, false), "x\n```diff\n@@ a.py @@\n-1\n+2\n```\ny\n```\nplain\n```\n");
        assert_eq!(shown("no block\n", false), "no block\n");
    }

    #[test]
    fn while_it_grows_no_mark_is_seen_and_each_line_is_seen_once_it_is_there() {
        for end in 0..=WHOLE.len() {
            let seen = shown(&WHOLE[..end], true).into_owned();
            let marks = ["<<<<", "====", ">>>>", "SEARCH", "REPLACE"];
            assert!(!marks.iter().any(|mark| seen.contains(mark)), "{seen}");
            assert_eq!(end >= WHOLE.find("return 2").unwrap() + 8, seen.contains("+    return 2"), "{seen}");
        }
        let half = shown(&WHOLE[..WHOLE.find("    return 2").unwrap()], true).into_owned();
        assert!(
            half.contains("     return 1\n") && !half.contains('-'),
            "what is not decided yet is no change: {half}"
        );
    }

    #[test]
    fn there_are_as_many_fences_as_blocks_are_counted() {
        let texts = [
            WHOLE.to_owned(),
            format!("{WHOLE}{WHOLE}"),
            format!("```\n{WHOLE}```\n{WHOLE}"),
            "````\n```\nx\n```\n````\n".into(),
        ];
        for text in texts {
            let count = |text: &str| text.lines().filter(|line| line.starts_with("```")).count();
            assert_eq!(count(&shown(&text, false)), count(&super::super::fenced(&text, false)), "{text}");
        }
    }
}

//! Takes the model's thinking apart from what it says. Pure; changes no text, only points into it.
//!
//! A block opens with `<think>` or `<thinking>` at the start of a line outside code, and closes with its counterpart. A
//! closing tag without an opening one means that the template opened the block in the prompt.

/// A stretch of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What is said.
    Text(&'a str),
    /// What was thought before.
    Thinking {
        /// Without the tags.
        text: &'a str,
        /// Whether the block came to its end; `false` while it streams.
        closed: bool,
    },
}

const TAGS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// The stretches of an answer in order; blank ones are left out. `starts_inside`: the template opened the block, so the
/// answer begins within it.
pub fn parts(text: &str, starts_inside: bool) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let head = rest.trim_start();
    // Some models repeat the tag that the template already wrote.
    if TAGS.iter().any(|(open, _)| head.starts_with(open)) {
        rest = head;
    } else if let Some((thought, after)) = orphan(rest) {
        push_thinking(&mut parts, thought, true);
        rest = after;
    } else if starts_inside {
        push_thinking(&mut parts, rest, false);
        return parts;
    }
    while let Some((before, close, inside)) = opening(rest) {
        push_text(&mut parts, text, before);
        match inside.split_once(close) {
            Some((thought, after)) => {
                push_thinking(&mut parts, thought, true);
                rest = after;
            }
            None => {
                push_thinking(&mut parts, inside, false);
                return parts;
            }
        }
    }
    push_text(&mut parts, text, rest);
    parts
}

/// What is said, without the thinking.
pub fn strip(text: &str) -> String {
    let said: Vec<&str> = parts(text, false)
        .into_iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Thinking { .. } => None,
        })
        .collect();
    match said.as_slice() {
        [one] => (*one).to_owned(),
        _ => said.join("\n"),
    }
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, whole: &'a str, text: &'a str) {
    // Line breaks after a block belong to neither side, but an answer's own indentation does.
    let after_block = !std::ptr::eq(whole.as_ptr(), text.as_ptr());
    let text = if after_block { text.trim_start_matches(['\n', '\r']) } else { text };
    if !text.trim().is_empty() {
        parts.push(Part::Text(text));
    }
}

fn push_thinking<'a>(parts: &mut Vec<Part<'a>>, text: &'a str, closed: bool) {
    let text = text.trim();
    // While it streams, the first tokens of the closing tag are not part of the thought.
    let text = if closed { text } else { without_begun_tag(text) };
    if !text.is_empty() || !closed {
        parts.push(Part::Thinking { text, closed });
    }
}

fn without_begun_tag(text: &str) -> &str {
    match text.rfind('<').map(|at| text.split_at(at)) {
        Some((before, tag)) if TAGS.iter().any(|(_, close)| close.starts_with(tag)) => before.trim_end(),
        _ => text,
    }
}

/// The first opening tag that counts: what stands before it, the tag that closes it, and what follows.
fn opening(text: &str) -> Option<(&str, &'static str, &str)> {
    outside_code(text, |line, at| {
        let body = line.trim_start_matches([' ', '\t']);
        TAGS.iter().find_map(|(open, close)| {
            let inside = body.strip_prefix(open)?;
            // The block goes on past this line.
            let from = at + (line.len() - inside.len());
            Some((text.get(..at)?, *close, text.get(from..)?))
        })
    })
}

/// A closing tag without an opening one before it: what stands before and after it.
fn orphan(text: &str) -> Option<(&str, &str)> {
    let open = opening(text).map_or(text.len(), |(before, ..)| before.len());
    let text_before = text.get(..open)?;
    outside_code(text_before, |line, at| {
        TAGS.iter().find_map(|(_, close)| {
            let place = line.find(close)?;
            // Quoted: the answer talks about the tag.
            if line.get(..place)?.ends_with(['`', '"', '\'']) {
                return None;
            }
            Some((text.get(..at + place)?, text.get(at + place + close.len()..)?))
        })
    })
}

/// Calls `look` with each line outside fenced code and its offset, until it finds something.
fn outside_code<'a, T>(text: &'a str, mut look: impl FnMut(&'a str, usize) -> Option<T>) -> Option<T> {
    let mut fence: Option<&str> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let body = line.trim();
        let mark = if body.starts_with("```") {
            Some("```")
        } else if body.starts_with("~~~") {
            Some("~~~")
        } else {
            None
        };
        match (fence, mark) {
            (None, None) => {
                if let Some(found) = look(line, at) {
                    return Some(found);
                }
            }
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(text: &str) -> Part<'_> {
        Part::Thinking { text, closed: true }
    }

    #[test]
    fn thinking_is_told_from_speaking() {
        let table: [(&str, bool, Vec<Part<'_>>); 12] = [
            ("plain", false, vec![Part::Text("plain")]),
            ("", false, vec![]),
            ("<think>\nhm\n</think>\n\nyes", false, vec![thought("hm"), Part::Text("yes")]),
            ("  <think>hm</think>yes", false, vec![thought("hm"), Part::Text("yes")]),
            ("<think>\n\n</think>\n\nyes", false, vec![Part::Text("yes")]),
            ("<think>\nhm", false, vec![Part::Thinking { text: "hm", closed: false }]),
            ("<thinking>hm</think></thinking>yes", false, vec![thought("hm</think>"), Part::Text("yes")]),
            ("hm", true, vec![Part::Thinking { text: "hm", closed: false }]),
            ("hm\n</think>\nyes", true, vec![thought("hm"), Part::Text("yes")]),
            ("hm\n</think>\nyes", false, vec![thought("hm"), Part::Text("yes")]),
            ("<think>hm</think>yes", true, vec![thought("hm"), Part::Text("yes")]),
            ("one\n<think>two</think>\nthree", false, vec![Part::Text("one\n"), thought("two"), Part::Text("three")]),
        ];
        for (text, inside, expected) in table {
            assert_eq!(parts(text, inside), expected, "{text:?}");
        }
    }

    #[test]
    fn an_answer_about_the_tags_is_not_thinking() {
        for text in [
            "Models write `<think>` and `</think>` around it",
            "Use <think> in a line",
            "```html\n<think>\nx\n</think>\n```\nas shown",
            "The tag \"</think>\" ends it",
        ] {
            assert_eq!(parts(text, false), vec![Part::Text(text)], "{text:?}");
        }
    }

    #[test]
    fn a_half_streamed_closing_tag_is_not_shown() {
        assert_eq!(parts("<think>hm\n</thi", false), vec![Part::Thinking { text: "hm", closed: false }]);
        assert_eq!(parts("<think>a < b", false), vec![Part::Thinking { text: "a < b", closed: false }]);
        assert_eq!(parts("<think>", false), vec![Part::Thinking { text: "", closed: false }]);
    }

    #[test]
    fn what_is_sent_back_holds_no_thinking() {
        assert_eq!(strip("<think>\nhm\n</think>\n\n    indented\n"), "    indented\n");
        assert_eq!(strip("<think>never closed"), "");
        assert_eq!(strip("one\n<think>two</think>\nthree"), "one\n\nthree");
        assert_eq!(strip("hm</think>\nyes"), "yes");
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_apart(text in "(<think>|</think>|<thinking>|</thinking>|```|~~~|`|\n| |<|é|漢|x){0,40}", inside: bool) {
            for part in parts(&text, inside) {
                let (Part::Text(piece) | Part::Thinking { text: piece, .. }) = part;
                proptest::prop_assert!(text.contains(piece));
            }
            let _ = strip(&text);
        }
    }
}

//! Takes the model's thinking apart from what it says. Pure; changes no text, only points into it.
//!
//! Thinking stands at the beginning of an answer and nowhere else: the template opened it in the prompt, or the model
//! opens it with `<think>` or `<thinking>` before its first word. Everything after that is text, whatever tags it shows,
//! since an answer may be about these very tags; so is a closing tag that nothing opened.

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

/// What follows a tag in a sentence about it.
const SENTENCE: [char; 11] = [' ', '\t', ',', ':', ';', '`', '"', '\'', ')', '?', '*'];

/// The stretches of an answer in order; blank ones are left out. `starts_inside`: the template opened the block, so the
/// answer begins within it.
pub fn parts(text: &str, starts_inside: bool) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let inside = starts_inside.then(|| {
        // Some models repeat the tag that the template already wrote.
        let head = text.trim_start();
        TAGS.iter().find_map(|(open, close)| Some((head.strip_prefix(open)?, *close))).unwrap_or((text, TAGS[0].1))
    });
    let block = match inside {
        Some((inside, close)) => {
            Some(closing(inside, close).map_or((inside, None), |(thought, rest)| (thought, Some(rest))))
        }
        None => opening(text.trim_start()),
    };
    match block {
        Some((thought, Some(rest))) => {
            push_thinking(&mut parts, thought, true);
            push_text(&mut parts, text, rest);
        }
        Some((thought, None)) => push_thinking(&mut parts, thought, false),
        None => push_text(&mut parts, text, text),
    }
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

/// The thinking that `head` opens with, and what follows it once it is closed; `None` where the tag is only spoken of.
fn opening(head: &str) -> Option<(&str, Option<&str>)> {
    let (inside, close) = TAGS.iter().find_map(|(open, close)| Some((head.strip_prefix(open)?, *close)))?;
    let spoken_of = inside.starts_with(SENTENCE);
    let Some((thought, rest)) = closing(inside, close) else {
        return (!spoken_of).then_some((inside, None));
    };
    let line_after = rest.lines().next().unwrap_or_default();
    let goes_on = rest.starts_with(SENTENCE) && !line_after.trim().is_empty();
    let is_sentence = if thought.contains('\n') { spoken_of && goes_on } else { goes_on };
    (!is_sentence).then_some((thought, Some(rest)))
}

/// What stands before and after the first closing tag that is not quoted.
fn closing<'a>(inside: &'a str, close: &str) -> Option<(&'a str, &'a str)> {
    inside.match_indices(close).find_map(|(at, _)| {
        let (thought, rest) = (inside.get(..at)?, inside.get(at + close.len()..)?);
        let quoted = ['`', '"', '\''].iter().any(|&mark| thought.ends_with(mark) && rest.starts_with(mark));
        (!quoted).then_some((thought, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(text: &str) -> Part<'_> {
        Part::Thinking { text, closed: true }
    }

    #[test]
    fn thinking_is_told_from_speaking() {
        let table: [(&str, bool, Vec<Part<'_>>); 14] = [
            ("plain", false, vec![Part::Text("plain")]),
            ("", false, vec![]),
            ("<think>\nhm\n</think>\n\nyes", false, vec![thought("hm"), Part::Text("yes")]),
            ("  <think>hm</think>yes", false, vec![thought("hm"), Part::Text("yes")]),
            ("<think>\n\n</think>\n\nyes", false, vec![Part::Text("yes")]),
            ("<think>\nhm", false, vec![Part::Thinking { text: "hm", closed: false }]),
            ("<thinking>hm</think></thinking>yes", false, vec![thought("hm</think>"), Part::Text("yes")]),
            ("hm", true, vec![Part::Thinking { text: "hm", closed: false }]),
            ("hm\n</think>\nyes", true, vec![thought("hm"), Part::Text("yes")]),
            ("<think>hm</think>yes", true, vec![thought("hm"), Part::Text("yes")]),
            ("say `</think>`\n</think>\nyes", true, vec![thought("say `</think>`"), Part::Text("yes")]),
            ("<think>\nnot `</think>` yet", false, vec![Part::Thinking { text: "not `</think>` yet", closed: false }]),
            ("<think> Let me see.\n</think>\nyes", false, vec![thought("Let me see."), Part::Text("yes")]),
            ("<think>hm</think>a <think>b</think>", false, vec![thought("hm"), Part::Text("a <think>b</think>")]),
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
            "First a model prints </think> and then it answers",
            "hm\n</think>\nyes",
            "The form is\n<think>\nreasons\n</think>\nand then the answer",
            "one\n<think>two</think>\nthree",
            "````md\n```\n<think>\nx\n</think>\n```\n<think>y</think>\n````\n",
            "~~~\n```\n~~~\n<think>\nx",
            "<think> is what it writes first",
            "<think> and </think> are tags",
            "<think>…</think> stands before the answer",
            "<think>, then\nthe reasons, then </think>, then the answer",
            "`<think>` opens it",
        ] {
            assert_eq!(parts(text, false), vec![Part::Text(text)], "{text:?}");
            assert_eq!(strip(text), text);
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
        assert_eq!(strip("<thinking>\nhm\n</thinking>\nyes"), "yes");
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

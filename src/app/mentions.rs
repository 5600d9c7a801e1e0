//! Files named in a message: `@path`, `@"path with blanks"`, `@src/**/*.rs`. A mention begins a word; `a@b` is none, and
//! neither is anything inside a fenced code block (decorators and annotations begin with the same sign).

use std::ops::Range;

use crate::text::fence::{Fences, Line};

/// The mention that is being typed at the cursor: its range from the `@` on, and what follows the sign.
pub fn at_cursor(text: &str, cursor: usize) -> Option<(Range<usize>, &str)> {
    let before = text.get(..cursor)?;
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    if let Some(at) = before[line..].rfind("@\"").map(|at| line + at)
        && begins_word(text, at)
        && !before[at + 2..].contains('"')
    {
        return Some((at..cursor, &before[at + 2..]));
    }
    let at = before.rfind(char::is_whitespace).map_or(0, |at| at + width_of(before, at));
    before[at..].strip_prefix('@').map(|query| (at..cursor, query))
}

fn width_of(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

fn begins_word(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '(')
}

/// What is put in place of a mention when a file was picked.
pub fn written(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("@\"{path}\" ") } else { format!("@{path} ") }
}

/// All patterns named in a message, each once, in order.
pub fn all(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fences = Fences::default();
    for line in text.lines() {
        if fences.take(line.trim_start()) != Line::Text {
            continue;
        }
        for (at, _) in line.match_indices('@').filter(|(at, _)| begins_word(line, *at)) {
            let rest = &line[at + 1..];
            let pattern = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').map_or("", |(inside, _)| inside),
                None => rest
                    .split(char::is_whitespace)
                    .next()
                    .unwrap_or("")
                    .trim_end_matches([',', ';', ':', '!', '?', ')', '.', '\'', '"']),
            };
            if !pattern.is_empty() && !found.iter().any(|known| known == pattern) {
                found.push(pattern.to_owned());
            }
        }
    }
    found
}

/// Whether a pattern that matches nothing was meant as a file: worth a word to the person.
pub fn looks_like_path(pattern: &str) -> bool {
    pattern.contains(['/', '*', '?'])
        || pattern.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && !end.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_found_under_the_cursor() {
        assert_eq!(at_cursor("see @src/ma", 11), Some((4..11, "src/ma")));
        assert_eq!(at_cursor("@", 1), Some((0..1, "")));
        assert_eq!(at_cursor("mail a@b", 8), None);
        assert_eq!(at_cursor("@\"my fi", 7), Some((0..7, "my fi")));
        assert_eq!(at_cursor("@\"my file\" x", 12), None);
        assert_eq!(at_cursor("中 @文", 8), Some((4..8, "文")));
    }

    #[test]
    fn all_patterns_are_read_once_and_without_punctuation() {
        assert_eq!(all("compare @a.rs, @b/*.rs and @a.rs (@c.py)."), ["a.rs", "b/*.rs", "c.py"]);
        assert_eq!(all("@\"two words.md\" x@y.z @"), ["two words.md"]);
    }

    #[test]
    fn fenced_code_names_no_files() {
        assert_eq!(all("why?\n```java\n@Override\n```\n@Main.java"), ["Main.java"]);
        assert!(!looks_like_path("Override") && looks_like_path("Main.java") && looks_like_path("src/*"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for path in ["a.rs", "with blank.rs", "目录/文件.rs"] {
            assert_eq!(all(&written(path)), [path]);
        }
    }
}

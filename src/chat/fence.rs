//! Code fences that hold whatever is put into them.

use crate::text::fence::Fences;

/// `text` as a fenced block that no line of it can close early; ends with a line break. `info` is the language's name
/// and loses what could break out of its line.
pub(crate) fn fenced(text: &str, info: &str) -> String {
    let marks = "`".repeat((longest_run(text) + 1).max(3));
    let info: String = info.chars().filter(|c| c.is_alphanumeric() || "+-#_.".contains(*c)).take(32).collect();
    let line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{marks}{info}\n{text}{line}{marks}\n")
}

/// `text` as code inside a line, on one line.
pub(crate) fn inline(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let marks = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{marks}{pad}{text}{pad}{marks}")
}

/// The language's name from a file name: its extension, which highlighters know.
pub(crate) fn language_of(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension,
        _ => "",
    }
}

/// The fence that `text` leaves open at its end, if it does: what a line must be to close it.
pub(crate) fn left_open(text: &str) -> Option<String> {
    let mut fences = Fences::default();
    for line in text.lines() {
        let body = line.trim_start_matches(' ');
        if line.len() - body.len() <= 3 {
            fences.take(body);
        }
    }
    fences.left_open()
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for byte in text.bytes() {
        run = if byte == b'`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_outgrows_the_fences_inside_it() {
        assert_eq!(fenced("x", "rs"), "```rs\nx\n```\n");
        assert_eq!(fenced("````\nx\n````\n", "md"), "`````md\n````\nx\n````\n`````\n");
        assert_eq!(fenced("", "a`\n# b"), "```a#b\n```\n");
        assert_eq!(inline("a`b"), "``a`b``");
        assert_eq!(inline("`a\nb"), "`` `a b ``");
    }

    #[test]
    fn an_open_fence_is_seen() {
        assert_eq!(left_open("a\n```rust\nfn"), Some("```".into()));
        assert_eq!(left_open("````md\n```\nx\n```\n"), Some("````".into()));
        assert_eq!(left_open("~~~\n```\n"), Some("~~~".into()));
        assert_eq!(left_open("```\nx\n```\nrest"), None);
        assert_eq!(left_open("``` not `a fence\n    ```\n"), None);
        assert_eq!(language_of("src/main.rs"), "rs");
        assert_eq!(language_of(".bashrc"), "");
    }
}

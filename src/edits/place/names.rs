//! The names that a block of code comes with, and the names in what a command wrote.

use super::Piece;
use crate::lang;

/// A name that a block comes with, and how sure it is that a file is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As it is written.
    pub name: String,
    /// It was given to the block itself, not only spoken of.
    pub explicit: bool,
}

/// What programs and languages are called that look like files.
const PRODUCTS: [&str; 12] = [
    "node.js",
    "next.js",
    "vue.js",
    "react.js",
    "express.js",
    "three.js",
    "d3.js",
    "nuxt.js",
    "angular.js",
    "ember.js",
    "chart.js",
    "alpine.js",
];

/// The usual extension of a file in a language, as it stands behind a fence.
pub fn extension_of(word: &str) -> &'static str {
    lang::of_word(word).and_then(|language| language.extensions.first()).unwrap_or(&"txt")
}

/// Whether a word looks like a file's name.
pub(crate) fn is_name(word: &str) -> bool {
    let file = word.rsplit('/').next().unwrap_or(word);
    let known = lang::is_whole_name(file);
    let dotted = file.rsplit_once('.').is_some_and(|(stem, end)| {
        !end.is_empty()
            && end.len() <= 10
            && end.chars().all(|c| c.is_ascii_alphanumeric())
            && (!stem.is_empty() || end.len() > 2)
            && end.chars().any(|c| c.is_ascii_alphabetic())
    });
    let clean = !word.contains(|c: char| c.is_whitespace() || c.is_control() || "(){}<>;=,|\"'`*?$&!".contains(c));
    clean && word.len() <= 400 && (known || dotted) && !["e.g", "i.e"].contains(&word)
}

/// Whether a file is of a kind that a person edits.
pub(crate) fn is_code(name: &str) -> bool {
    lang::is_whole_name(lang::file_of(name)) || lang::of_extension(lang::extension(name)).is_some()
}

/// Whether a name that no file has so far can be meant as one: `vb.net` and `math.sqrt` cannot.
fn can_be_new(name: &str) -> bool {
    (is_code(name) || name.contains('/')) && !PRODUCTS.contains(&name.to_ascii_lowercase().as_str())
}

/// Names of files in what a command wrote, each once, the last ones first; `most` of them.
pub fn names_in(output: &str, most: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let words = output.split(|c: char| c.is_whitespace() || "()[],\"'`<>=".contains(c));
    for word in words.collect::<Vec<_>>().into_iter().rev() {
        // `src/main.rs:12:5`
        let name = word.split(':').next().unwrap_or(word).trim_end_matches('.');
        // `0.12s` is a time
        let timed = name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains('/') && !is_code(name);
        if is_name(name) && !timed && !name.starts_with('-') && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
            if found.len() == most {
                break;
            }
        }
    }
    found
}

pub(super) fn comment(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = lang::COMMENTS.iter().chain(&["\"\"\""]).find_map(|sign| line.strip_prefix(sign))?;
    // `/// a.rs` is a comment; of `///a/b.rs` the comment's sign is two slashes
    let more = rest.trim_start_matches(['/', '#', '!', '*']);
    let rest = if more.starts_with([' ', '\t']) || !rest.starts_with('/') { more } else { rest }.trim();
    let rest = ["*/", "-->", "\"\"\""].iter().find_map(|sign| rest.strip_suffix(sign)).unwrap_or(rest).trim();
    let low = rest.to_lowercase();
    let word = ["file name:", "filename:", "file:", "path:"].iter().find(|word| low.starts_with(*word));
    Some(word.map_or(rest, |word| rest[word.len()..].trim()))
}

/// The names that a block comes with, the surest first.
pub fn named(piece: &Piece) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut add = |name: &str, explicit: bool| {
        let name = name.trim_start_matches("./");
        if is_name(name) && !found.iter().any(|known| known.name == name) {
            found.push(Named { name: name.to_owned(), explicit: explicit && can_be_new(name) });
        }
    };
    for word in piece.info.split([' ', '\t', ':', ',', '{', '}']) {
        let word = word.split_once('=').map_or(word, |(_, value)| value).trim_matches(['"', '\'']);
        // a language is no name: `c++`, `objective-c`
        add(word, true);
    }
    if let Some(name) = piece.text.lines().next().and_then(comment) {
        add(name.trim_matches(['`', '"']), true);
    }
    let quoted = piece.before.split('`').skip(1).step_by(2);
    let words = piece
        .before
        .split_whitespace()
        .filter(|word| !word.contains("()"))
        .map(|word| word.trim_matches(|c: char| "`*\"'():,;.!?".contains(c)));
    let makes = ["create", "new file", "save", "add a", "called", "named"];
    let new = makes.iter().any(|word| piece.before.to_lowercase().contains(word));
    for word in quoted.chain(words).collect::<Vec<_>>().into_iter().rev() {
        add(word, new);
    }
    found
}

/// Whether a block can be a file, or a change of one. What is typed into a shell and what programs write is none, unless
/// it is named or says itself how it is run.
pub fn can_be_file(piece: &Piece) -> bool {
    let word = lang::word_of(&piece.info);
    let given = piece.text.starts_with("#!") || named(piece).iter().any(|one| one.explicit);
    let prompted = piece.text.lines().any(|line| line.starts_with("$ ") || line.starts_with("Traceback ("));
    let typed = lang::of_word(word).is_some_and(|language| language.typed);
    given || !(typed || (word.is_empty() && prompted))
}

/// A block without a first line that only names its file.
pub fn code<'a>(piece: &'a Piece, name: &str) -> &'a str {
    let Some((first, rest)) = piece.text.split_once('\n') else { return &piece.text };
    let names = comment(first).is_some_and(|found| found.trim_matches(['`', '"']).trim_start_matches("./") == name);
    if names { rest.strip_prefix('\n').unwrap_or(rest) } else { &piece.text }
}

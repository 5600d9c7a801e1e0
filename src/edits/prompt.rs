//! What a model is told when it shall change files. A message that begins with `/edit ` is such a request; what the
//! model reads of it is made here, the same in every turn, so that the cache of what it read stays valid.

use super::guard::Guard;

/// How the blocks are to be written.
const FORM: &str = include_str!("../../assets/prompts/edit.md");

/// Begins a message that asks for a change.
const COMMAND: &str = "/edit ";

/// Begins the name of an attachment that is what a command wrote, and no file.
const OUTPUT: &str = "output of ";

/// What shall be changed, if a message asks for that.
pub fn wish(message: &str) -> Option<&str> {
    message.strip_prefix(COMMAND).map(str::trim)
}

/// The message that asks for a change.
pub fn request(wish: &str) -> String {
    format!("{COMMAND}{}", wish.trim())
}

/// Begins and goes on in a message that `/fix` sends.
const FAILS: (&str, &str) = ("The command `", "` fails; its output is above.");
/// Stands before the files that the person named, in a message that `/fix` sends.
const NAMED: &str = "These may be changed, whatever they are:";

/// The message that asks for a change after which a command passes. Tests stay, but for the files that were named.
pub fn fix(command: &str, named: &[String]) -> String {
    let (begin, end) = FAILS;
    let rest = "Change the program so that it passes; leave the tests as they are.";
    let files: String = named.iter().map(|name| format!(" @\"{name}\"")).collect();
    let named = if named.is_empty() { String::new() } else { format!(" {NAMED}{files}") };
    request(&format!("{begin}{command}{end} {rest}{named}"))
}

/// The tests that the answer to a message must leave alone: those of `/fix` only.
pub fn guard(message: &str) -> Option<Guard> {
    let wish = wish(message)?;
    let (_, rest) = wish.strip_prefix(FAILS.0)?.rsplit_once(FAILS.1)?;
    let files = rest.split_once(NAMED).map_or("", |(_, files)| files);
    Some(Guard { named: files.split('"').skip(1).step_by(2).map(str::to_owned).collect() })
}

/// What the model reads of a message.
pub fn put(message: &str) -> String {
    match wish(message) {
        Some(wish) => format!("{wish}\n\n{}", FORM.trim()),
        None => message.to_owned(),
    }
}

/// The name of an attachment with what a command wrote.
pub fn output_of(command: &str) -> String {
    let line: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    format!("{OUTPUT}{line}")
}

/// Whether an attachment is a file that could be changed.
pub fn is_file(attachment: &str) -> bool {
    !attachment.starts_with(OUTPUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::blocks;

    #[test]
    fn a_request_is_recognised_and_told_the_form() {
        assert_eq!(wish(&request(" rename a to b ")), Some("rename a to b"));
        assert_eq!(wish("edit this"), None);
        assert!(put("/edit x").starts_with("x\n\n") && put("/edit x").contains(">>>>>>> REPLACE"));
        assert_eq!(put("why?"), "why?");
        assert!(!is_file(&output_of("cargo\ntest")) && is_file("src/a.rs"));
    }

    #[test]
    fn a_message_of_fix_says_itself_which_tests_may_change() {
        assert_eq!(guard(&fix("pytest -q", &[])), Some(Guard::default()));
        let named = vec!["tests/test a.py".to_owned(), "b.py".to_owned()];
        assert_eq!(guard(&fix("a `b` fails; its output is above. c", &named)), Some(Guard { named }));
        assert_eq!(guard("/edit rename a"), None);
        assert_eq!(guard("The command `x` fails; its output is above."), None);
    }

    #[test]
    fn the_example_is_a_block_that_the_reader_reads() {
        let (found, problems) = blocks::parse(FORM, &|_| false);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name.as_deref(), Some("path/to/file.py"));
    }
}

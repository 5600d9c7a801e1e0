//! What a model is told when it shall change files. A message that begins with `/edit ` is such a request; what the
//! model reads of it is made here, the same in every turn, so that the cache of what it read stays valid.

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
    fn the_example_is_a_block_that_the_reader_reads() {
        let (found, problems) = blocks::parse(FORM, &|_| false);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name.as_deref(), Some("path/to/file.py"));
    }
}

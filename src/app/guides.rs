//! The guides that `/help` shows: Markdown files built into the program, and two pages made from the tables of keys and
//! commands, which therefore cannot be out of date.

use super::command::COMMANDS;
use super::keymap::Context;

/// A page of help.
#[derive(Clone, Copy, Debug)]
pub struct Guide {
    /// What `/help NAME` calls it.
    pub name: &'static str,
    /// As the list shows it.
    pub title: &'static str,
    /// One line.
    pub about: &'static str,
    text: Text,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    File(&'static str),
    Keys,
    Commands,
}

const GUIDES: &[Guide] = &[
    Guide {
        name: "start",
        title: "Getting started",
        about: "the first ten minutes",
        text: Text::File(include_str!("../../assets/guides/start.md")),
    },
    Guide { name: "keys", title: "Keys", about: "all of them", text: Text::Keys },
    Guide { name: "commands", title: "Commands", about: "all of them", text: Text::Commands },
    Guide {
        name: "files",
        title: "Files",
        about: "showing code to the model",
        text: Text::File(include_str!("../../assets/guides/files.md")),
    },
    Guide {
        name: "editor",
        title: "Editor",
        about: "changing files here",
        text: Text::File(include_str!("../../assets/guides/editor.md")),
    },
    Guide {
        name: "edits",
        title: "Changing files",
        about: "review, undo, run, fix",
        text: Text::File(include_str!("../../assets/guides/edits.md")),
    },
    Guide {
        name: "conversations",
        title: "Conversations",
        about: "branches, what is kept",
        text: Text::File(include_str!("../../assets/guides/conversations.md")),
    },
    Guide {
        name: "models",
        title: "Models",
        about: "choosing, memory, presets",
        text: Text::File(include_str!("../../assets/guides/models.md")),
    },
    Guide {
        name: "formats",
        title: "Formats",
        about: "how many bits, what is lost",
        text: Text::File(include_str!("../../assets/guides/formats.md")),
    },
    Guide {
        name: "merge",
        title: "Merging",
        about: "recipes, methods, tokenizers",
        text: Text::File(include_str!("../../assets/guides/merge.md")),
    },
    Guide {
        name: "train",
        title: "Training",
        about: "recipes, data, teachers",
        text: Text::File(include_str!("../../assets/guides/train.md")),
    },
    Guide {
        name: "memory",
        title: "Memory",
        about: "plan, budget, when it is short",
        text: Text::File(include_str!("../../assets/guides/memory.md")),
    },
    Guide {
        name: "speed",
        title: "Speed",
        about: "what makes it fast, and what slow",
        text: Text::File(include_str!("../../assets/guides/speed.md")),
    },
    Guide {
        name: "remote",
        title: "A model elsewhere",
        about: "a server at home",
        text: Text::File(include_str!("../../assets/guides/remote.md")),
    },
    Guide {
        name: "phone",
        title: "On a phone",
        about: "keyboard, clipboard, Termux",
        text: Text::File(include_str!("../../assets/guides/phone.md")),
    },
];

/// Every guide, in reading order.
pub fn all() -> &'static [Guide] {
    GUIDES
}

/// By its name, or by the beginning of it.
pub fn find(name: &str) -> Option<&'static Guide> {
    let name = name.trim().to_lowercase();
    let by = |wanted: &dyn Fn(&str) -> bool| GUIDES.iter().find(|guide| wanted(guide.name));
    by(&|known| known == name).or_else(|| by(&|known| !name.is_empty() && known.starts_with(&name)))
}

impl Guide {
    /// The page, as Markdown.
    pub fn text(&self) -> String {
        match self.text {
            Text::File(text) => text.to_owned(),
            Text::Keys => keys(),
            Text::Commands => commands(),
        }
    }
}

/// Where keys mean something of their own, and how the page of keys calls it.
const PLACES: &[(&str, Context)] = &[
    ("In the editor", Context::Editor),
    ("Finding in a file", Context::Find),
    ("In the list of conversations", Context::Sessions),
    ("Searching all files", Context::Search),
    ("In a review", Context::Review),
    ("Before a command runs", Context::Confirm),
    ("While it runs", Context::Running),
    ("Reading a page", Context::Page),
];

fn keys() -> String {
    let mut page =
        String::from("# Keys\n\nEverything has a command too: type `/`, or press Tab in an empty input.\n\n");
    let mut lines = |title: &str, context: Context| {
        page += title;
        for (names, about) in context.help() {
            page += &format!("- **{}**: {about}\n", escaped(&names));
        }
    };
    lines("", Context::Chat);
    for (title, context) in PLACES {
        lines(&format!("\n## {title}\n\n"), *context);
    }
    page
}

/// Names of keys as Markdown that shows them as they are.
fn escaped(names: &str) -> String {
    names.replace('\\', "\\\\")
}

fn commands() -> String {
    let mut page =
        String::from("# Commands\n\nTab completes them. A message that begins with a slash begins with two.\n\n");
    for command in COMMANDS {
        let gap = if command.args.is_empty() { "" } else { " " };
        page += &format!("- `/{}{gap}{}`: {}\n", command.name, command.args, command.about);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_begins_with_its_title_and_can_be_found() {
        for guide in all() {
            assert!(guide.text().starts_with("# "), "{}", guide.name);
            assert!(guide.title.len() + guide.about.len() + 3 <= 45, "{} does not fit a phone", guide.name);
            assert_eq!(find(guide.name).map(|found| found.name), Some(guide.name));
        }
        assert_eq!(find("conv").map(|found| found.name), Some("conversations"));
        assert!(find("").is_none());
    }

    #[test]
    fn the_made_pages_name_every_command_and_key() {
        let page = commands();
        assert!(COMMANDS.iter().all(|command| page.contains(&format!("`/{}", command.name))));
        assert!(keys().contains("Alt-Enter"));
    }

    #[test]
    fn names_of_keys_are_seen_as_they_are() {
        use crate::ui::theme::{Ground, Theme};
        let page = crate::ui::markdown::layout(&keys(), 100, &Theme::plain(Ground::Dark), Default::default());
        let lines: Vec<String> =
            page.lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect();
        let mut seen = 0;
        for (names, _) in PLACES.iter().flat_map(|(_, context)| context.help()).chain(Context::Chat.help()) {
            assert!(lines.iter().any(|line| line.contains(&names)), "{names} is not seen in {lines:#?}");
            seen += 1;
        }
        assert!(seen > 60, "{seen}");
    }

    #[test]
    fn guides_name_only_commands_that_exist() {
        for guide in all() {
            let text = guide.text();
            for (at, _) in text.match_indices("`/") {
                let name: String = text[at + 2..].chars().take_while(char::is_ascii_alphabetic).collect();
                assert!(name.is_empty() || super::super::command::find(&name).is_some(), "{}: /{name}", guide.name);
            }
        }
    }
}

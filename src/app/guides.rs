//! The guides that `/help` shows: Markdown files built into the program, and two pages made from the tables of keys and
//! commands, which therefore cannot be out of date.

use super::command::COMMANDS;
use super::editor::keys::KEYS;
use super::keys::BINDINGS;

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

fn keys() -> String {
    let mut page =
        String::from("# Keys\n\nEverything has a command too: type `/`, or press Tab in an empty input.\n\n");
    for (names, about) in BINDINGS.iter().filter_map(|binding| binding.about.split_once('|')) {
        page += &format!("- **{}**: {about}\n", escaped(names));
    }
    page += "\n## In the editor\n\n";
    for (names, about) in KEYS.iter().filter_map(|key| key.about.split_once('|')) {
        page += &format!("- **{}**: {about}\n", escaped(names));
    }
    page
}

/// Names of keys as Markdown that shows them as they are; code between backticks is that already.
fn escaped(names: &str) -> String {
    let part = |(n, part): (usize, &str)| if n % 2 == 0 { part.replace('\\', "\\\\") } else { format!("`{part}`") };
    names.split('`').enumerate().map(part).collect()
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
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::app::tests::named;

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

    /// What stands for a key in the help, as a terminal sends it; `None` for words between keys.
    fn pressed(name: &str) -> Option<KeyEvent> {
        let (mut modifiers, mut rest) = (KeyModifiers::NONE, name);
        for (prefix, modifier) in
            [("Ctrl-", KeyModifiers::CONTROL), ("Alt-", KeyModifiers::ALT), ("Shift-", KeyModifiers::SHIFT)]
        {
            if let Some(behind) = rest.strip_prefix(prefix) {
                (modifiers, rest) = (modifiers | modifier, behind);
            }
        }
        let mut letters = rest.chars();
        let code = match rest {
            "Space" => KeyCode::Char(' '),
            "Backspace" => KeyCode::Backspace,
            "F1" => KeyCode::F(1),
            "F2" => KeyCode::F(2),
            "F3" => KeyCode::F(3),
            _ if named(rest).is_some() => named(rest)?,
            _ => match (letters.next(), letters.next()) {
                (Some(letter), None) if !modifiers.is_empty() => KeyCode::Char(letter.to_ascii_lowercase()),
                _ => return None,
            },
        };
        Some(KeyEvent::new(code, modifiers))
    }

    /// The keys that an entry of the help names. A comma behind a key parts it from the next; behind a hyphen it is one.
    fn keys_in(names: &str) -> Vec<KeyEvent> {
        let words = names.split_whitespace();
        let bare = words.map(|word| word.strip_suffix(',').filter(|word| !word.ends_with('-')).unwrap_or(word));
        bare.filter_map(|word| {
            let key = pressed(word);
            assert!(key.is_some() || ["and", "or", "at", "the", "end", "`\\`"].contains(&word), "{word} is no key");
            key
        })
        .collect()
    }

    #[test]
    fn every_key_in_the_help_does_what_stands_beside_it() {
        let mut tried = 0;
        for (n, entry) in BINDINGS.iter().enumerate() {
            let Some((names, _)) = entry.about.split_once('|') else { continue };
            let aliases = BINDINGS[n + 1..].iter().take_while(|alias| alias.about.is_empty());
            let meant: Vec<_> = std::iter::once(entry).chain(aliases).map(|binding| binding.action).collect();
            let events = keys_in(names);
            assert!(!events.is_empty(), "{names}");
            for event in events {
                let action = super::super::keys::action(&event);
                assert!(action.is_some_and(|action| meant.contains(&action)), "{names}: {event:?} is {action:?}");
                tried += 1;
            }
        }
        for (n, entry) in KEYS.iter().enumerate() {
            let Some((names, _)) = entry.about.split_once('|') else { continue };
            let aliases = KEYS[n + 1..].iter().take_while(|alias| alias.about.is_empty());
            let meant: Vec<_> = std::iter::once(entry).chain(aliases).map(|key| key.act).collect();
            let events = keys_in(names);
            assert!(!events.is_empty(), "{names}");
            for event in events {
                let act = super::super::editor::keys::act(&event);
                assert!(act.is_some_and(|act| meant.contains(&act)), "{names}: {event:?} is {act:?}");
                tried += 1;
            }
        }
        assert!(tried > 60, "{tried} keys");
    }

    #[test]
    fn names_of_keys_are_seen_as_they_are() {
        use crate::ui::theme::{Ground, Theme};
        let page = crate::ui::markdown::layout(&keys(), 100, &Theme::plain(Ground::Dark), Default::default());
        let lines: Vec<String> =
            page.lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect();
        let abouts = BINDINGS.iter().map(|binding| binding.about).chain(KEYS.iter().map(|key| key.about));
        for (names, _) in abouts.filter_map(|about| about.split_once('|')) {
            let names = names.replace('`', "");
            assert!(lines.iter().any(|line| line.contains(&names)), "{names} is not seen in {lines:#?}");
        }
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

//! The table says what is so: each key does what stands beside it, and whatever names a key names one there is.

use super::hints::HINTS;
use super::*;

const CONTEXTS: [Context; 17] = [
    Context::Chat,
    Context::Editor,
    Context::Popup,
    Context::Notes,
    Context::List,
    Context::Sessions,
    Context::Search,
    Context::Name,
    Context::Page,
    Context::Review,
    Context::Confirm,
    Context::Running,
    Context::Resume,
    Context::Download,
    Context::Find,
    Context::Line,
    Context::Question,
];

#[test]
fn no_key_stands_twice_in_a_context_so_that_every_command_is_reached() {
    let mut reached = 0;
    for context in CONTEXTS {
        for (n, one) in context.bindings().enumerate() {
            let twice = context.bindings().take(n).any(|other| other.key == one.key);
            assert!(!twice, "{context:?}: {}", one.key.name());
            let pressed = context.pressed(&one.key.event());
            assert_eq!(pressed, Pressed::Command(one.command), "{context:?}: {}", one.key.name());
            reached += 1;
        }
    }
    assert!(reached > 300, "{reached}");
}

#[test]
fn every_key_has_a_name_that_leads_back_to_it() {
    for context in CONTEXTS {
        for binding in context.bindings().filter(|binding| binding.key.code != KeyCode::Null) {
            assert_eq!(Key::named(&binding.key.name()), Some(binding.key));
        }
    }
    assert_eq!(Key::ctrl(' ').name(), Key::with(KeyModifiers::NONE, KeyCode::Null).name());
    for name in ["Alt-Entr", "Hyper-X", "F1x", "Enter,", ""] {
        assert_eq!(Key::named(name), None, "{name}");
    }
}

#[test]
fn shift_and_capitals_do_not_matter_for_letters_and_altgr_types() {
    let press = |context: Context, code, modifiers| context.pressed(&KeyEvent::new(code, modifiers));
    let (alt, shift) = (KeyModifiers::ALT, KeyModifiers::SHIFT);
    let thinking = Pressed::Command(Command::Thinking);
    assert_eq!(press(Context::Chat, KeyCode::Char('T'), alt | shift), thinking);
    assert_eq!(press(Context::Chat, KeyCode::Char('T'), shift), Pressed::Typed('T'));
    assert_eq!(press(Context::Chat, KeyCode::Char('@'), alt | KeyModifiers::CONTROL), Pressed::Typed('@'));
    assert_eq!(press(Context::Review, KeyCode::Char('Y'), shift), Pressed::Command(Command::Yes));
    assert_eq!(press(Context::List, KeyCode::Char('y'), KeyModifiers::NONE), Pressed::Typed('y'));
    assert_eq!(press(Context::Chat, KeyCode::F(9), KeyModifiers::NONE), Pressed::Nothing);
}

#[test]
fn in_a_file_shift_extends_what_moves() {
    let press = |code, modifiers| Context::Editor.pressed(&KeyEvent::new(code, modifiers));
    let extends = |motion| Pressed::Command(Command::Edit(Edit::Extend(motion)));
    let (alt, ctrl, shift) = (KeyModifiers::ALT, KeyModifiers::CONTROL, KeyModifiers::SHIFT);
    assert_eq!(press(KeyCode::Left, shift), extends(Motion::Left));
    assert_eq!(press(KeyCode::Down, shift), extends(Motion::Rows(1)));
    assert_eq!(press(KeyCode::Right, shift | ctrl), extends(Motion::WordRight));
    assert_eq!(press(KeyCode::Home, shift | alt), extends(Motion::Top));
    assert_eq!(press(KeyCode::Char('S'), shift | alt), Pressed::Command(Command::Save));
    assert_eq!(press(KeyCode::Char('S'), shift), Pressed::Typed('S'));
    let in_field = Context::Chat.pressed(&KeyEvent::new(KeyCode::Backspace, shift));
    assert_eq!(in_field, Pressed::Command(Command::Edit(Edit::Backspace)), "else Shift is a slip");
}

#[test]
fn everything_is_reachable_without_control() {
    use Command::{DeleteOrQuit, Interrupt, Redraw, Suspend};
    for context in CONTEXTS {
        for binding in context.bindings().filter(|binding| binding.key.modifiers == KeyModifiers::CONTROL) {
            let other = context
                .bindings()
                .any(|other| other.command == binding.command && other.key.modifiers != KeyModifiers::CONTROL);
            let dispensable = matches!(binding.command, Interrupt | DeleteOrQuit | Redraw | Suspend)
                || matches!(binding.command, Command::Edit(Edit::DeleteToStart | Edit::DeleteToEnd));
            assert!(other || dispensable, "{context:?}: {}", binding.key.name());
        }
    }
}

#[test]
fn no_key_begins_an_escape_sequence() {
    let begins = |c: char| matches!(c, '[' | 'O' | 'P' | ']' | '^' | '_' | 'X');
    for context in CONTEXTS {
        for Binding { key, .. } in context.bindings().filter(|binding| binding.key.modifiers == KeyModifiers::ALT) {
            assert!(!matches!(key.code, KeyCode::Char(c) if begins(c)), "{}", key.name());
        }
    }
}

#[test]
fn rows_at_the_foot_name_keys_that_do_what_they_say() {
    for hints in HINTS {
        for (commands, word) in hints.keys {
            for command in *commands {
                assert!(hints.context.key(*command).is_some(), "{:?}: no key for {word:?}", hints.context);
            }
        }
    }
    assert_eq!(Hints::SEARCH.line(), "Enter opens · Tab attaches · Alt-X expression · Esc");
    let arrows: Vec<String> = Hints::REVIEW.keys().map(|(key, _)| key).collect();
    assert_eq!(arrows, ["y", "n", "a", "←→", "Enter", "q"]);
    assert_eq!(Hints::GHOST.keys().nth(1), Some(("Alt-→".into(), "word")));
}

fn is_bound(key: Key) -> bool {
    CONTEXTS.iter().any(|context| matches!(context.pressed(&key.event()), Pressed::Command(_)))
}

/// The keys that a page names: with something held down, or bold.
fn keys_in(page: &str) -> Vec<&str> {
    let held = ["Alt-", "Ctrl-", "Shift-"].iter().flat_map(|held| page.match_indices(held));
    // not the middle of a longer one
    let held = held.map(|(at, _)| at).filter(|at| !page[..*at].ends_with(['-', '/']));
    let word = |at: usize| {
        let word = page[at..].split([' ', '\n', '*', '`', ')', '"']).next().unwrap_or_default();
        if Key::named(word).is_some() { word } else { word.trim_end_matches([',', '.', ';', ':']) }
    };
    let mut found: Vec<&str> = held.map(word).collect();
    // what stands in code may have the sign of bold words too
    for text in page.split('`').step_by(2) {
        found.extend(text.split("**").skip(1).step_by(2).filter(|word| Key::named(word).is_some()));
    }
    found
}

/// How many keys a page names; each must be bound somewhere.
fn checked(page: &str, text: &str) -> usize {
    let words = keys_in(text);
    for word in &words {
        let key = Key::named(word).unwrap_or_else(|| panic!("{page}: `{word}` is no key"));
        assert!(is_bound(key), "{page}: nothing is bound to `{word}`");
    }
    words.len()
}

#[test]
fn guides_and_the_readme_name_only_keys_there_are() {
    let guides = crate::app::guides::all().iter().map(|guide| (guide.name, guide.text()));
    let readme = ("README", include_str!("../../../README.md").to_owned());
    let named: usize = guides.chain([readme]).map(|(page, text)| checked(page, &text.replace(r"\\", r"\"))).sum();
    assert!(named > 150, "{named}");
    assert_eq!(keys_in("press **Alt-Entr** or **x**, see Ctrl-C."), ["Alt-Entr", "Ctrl-C", "x"]);
}

#[test]
fn notices_name_only_keys_there_are() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<_> = ["app", "ui", "run"].map(|room| source.join(room)).into();
    let mut named = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.contains("tests") && !name.contains("keymap") {
                let text = std::fs::read_to_string(&path).unwrap();
                named += checked(&name, &text.replace("**", ""));
            }
        }
    }
    assert!(named > 2, "{named}");
}

//! Screens, cell by cell, at the sizes that matter: a terminal, a phone upright, and next to nothing. The expected ones
//! lie in `screens/`; `ZORD_SCREENS=write` writes them anew, to be looked at before they are committed.

mod changes;

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;
use unicode_segmentation::UnicodeSegmentation;

use super::View;
use super::highlight::Highlighter;
use super::theme::{Ability, Depth, Ground};
use crate::app::App;
use crate::app::editor::msg::{EditorEffect, EditorMsg, Opened, Place};
use crate::app::editor::tests as editor;
use crate::app::msg::*;
use crate::app::search::{LARGEST, SearchMsg, Searched};
use crate::app::tests::*;
use crate::engine::{Event, Facts, Stop};
use crate::fim::pace::Power;

/// A laptop's, a phone's upright, the same above an open keyboard, and one that has no room for anything.
const SIZES: [(u16, u16); 4] = [(80, 24), (45, 30), (45, 14), (2, 2)];

fn view() -> View {
    View::new(Ability { ground: Ground::Dark, depth: Depth::None }, Highlighter::off())
}

/// Draws and gives the screen as text, with the cursor's place in the last line.
fn screen(app: &App, view: &View) -> (String, Option<Position>) {
    let (columns, rows) = app.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut place = None;
    terminal
        .draw(|frame| {
            place = view.draw(app, frame.area(), frame.buffer_mut());
        })
        .unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..rows {
        let mut row = String::new();
        let mut x = 0;
        while x < columns {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(super::sanitise::width(symbol).max(1)).unwrap();
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    (text, place)
}

fn check(name: &str, make: impl Fn((u16, u16)) -> App) {
    check_at(&SIZES, name, make);
}

fn check_at(sizes: &[(u16, u16)], name: &str, make: impl Fn((u16, u16)) -> App) {
    for &(columns, rows) in sizes {
        let app = make((columns, rows));
        let (mut found, place) = screen(&app, &view());
        found += &place.map_or("cursor hidden\n".into(), |at| format!("cursor {},{}\n", at.x, at.y));
        let file =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/ui/screens/{name}-{columns}x{rows}.txt"));
        if std::env::var_os("ZORD_SCREENS").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, wanted, "{}", file.display());
    }
}

fn with_gauge(size: (u16, u16)) -> App {
    let mut app = ready(size);
    app.update(Msg::Memory(Gauge { used: 212 << 20, budget: 1 << 30 }));
    app
}

#[test]
fn an_empty_chat() {
    check("empty", with_gauge);
}

#[test]
fn the_start_screen_says_where_the_words_go() {
    for (n_ctx, context, status) in
        [(0, "The model is on a server.", "0 "), (8192, "8192 tokens of context, on a server.", "0/8.1k")]
    {
        for size in SIZES {
            let mut app = crate::app::tests::fresh(size);
            let server = Some("192.168.1.20:8080".into());
            let facts = Facts { server, n_ctx, plan: None, ..crate::app::tests::facts() };
            app.update(Msg::Engine(Event::Loaded(Box::new(facts))));
            let (screen, _) = screen(&app, &view());
            if size.0 >= 45 && size.1 >= 20 {
                assert!(
                    screen.contains("What you write goes to 192.168.1.20:8080.") && screen.contains(context),
                    "{screen}"
                );
            }
            assert!(!screen.contains("this device"), "{screen}");
            assert!(size.0 < 45 || screen.contains(status), "{screen}");
        }
    }
}

#[test]
fn a_hot_device() {
    check("hot", |size| {
        let mut app = crate::app::tests::ease::on_four_threads(size);
        app.update(Msg::Memory(Gauge { used: 212 << 20, budget: 1 << 30 }));
        exchange(&mut app, "Why?", "Because.");
        app.update(Msg::Power(Power { mains: false, battery: Some(60), hot: true }));
        app
    });
}

/// The first start, with a question typed and Enter pressed.
fn first_start(size: (u16, u16)) -> App {
    let mut app = fresh(size);
    app.model = crate::app::model::Model::default();
    app.begin();
    let offer = Offer {
        name: "qwen2.5-coder-1.5b-instruct".into(),
        about: "Qwen2.5-Coder 1.5B Instruct · Apache-2.0 · writes and explains code".into(),
        bytes: 1_117_320_736,
        installed: false,
        fits: Ok(()),
        recommended: true,
    };
    let large = Offer {
        name: "deepseek-coder-6.7b".into(),
        fits: Err("it needs 5.0 GiB of free memory, 2.1 GiB are free".into()),
        recommended: false,
        ..offer.clone()
    };
    app.update(Msg::Models(ModelsMsg::Offered(vec![offer, large])));
    type_in(&mut app, "hello");
    app.update(Msg::Key(KeyCode::Enter.into()));
    app
}

#[test]
fn a_download_that_is_asked_about() {
    check("download", first_start);
}

#[test]
fn the_first_start() {
    check("first", |size| {
        let mut app = first_start(size);
        app.update(Msg::Now(app.clock + 1000));
        app.update(Msg::Key(KeyCode::Char('y').into()));
        app.update(Msg::Models(ModelsMsg::Progress { name: "q".into(), done: 300 << 20, total: Some(1_117_320_736) }));
        app
    });
}

#[test]
fn a_list_that_is_filtered() {
    check("filter", |size| {
        let mut app = with_gauge(size);
        app.command("help", "", &mut Vec::new());
        type_in(&mut app, "memory");
        app
    });
}

#[test]
fn of_a_long_error_the_beginning_is_seen() {
    let mut app = ready((40, 20));
    app.update(Msg::Notice(Level::Warning, "an older one".into()));
    let error = format!("cannot load `model.gguf`: {}", "it goes on and on and on ".repeat(12));
    app.update(Msg::Error(crate::error::UserError::failed(error)));
    let (seen, _) = screen(&app, &view());
    assert!(seen.contains("cannot load `model.gguf`") && seen.contains(" …"), "{seen}");
}

#[test]
fn a_folded_message_can_be_unfolded() {
    let mut app = ready((60, 24));
    let pasted: String = (0..80).map(|n| format!("line {n}\n")).collect();
    say(&mut app, &pasted);
    let seen = |app: &App| screen(app, &view()).0;
    app.update(Msg::Scrolled(Scrolled::Chat(Scroll::At(app.path[0], 12))));
    assert!(seen(&app).contains("more rows · Alt-T"), "{}", seen(&app));
    app.update(Msg::Key(crossterm::event::KeyEvent::new(KeyCode::Char('t'), KeyModifiers::ALT)));
    assert!(!seen(&app).contains("more rows") && seen(&app).contains("line 14"), "{}", seen(&app));
}

#[test]
fn an_answer_being_written_with_code_and_a_table() {
    check("streaming", |size| {
        let mut app = with_gauge(size);
        say(&mut app, "How do I sum a list in Rust?\nKeep it short.");
        piece(&mut app, "Use **iterators**:\n\n```rust\nlet sum: i64 = list.iter().sum();\n```\n\n");
        piece(&mut app, "| case | sum |\n|---|--:|\n| empty | 0 |\n| 1, 2 | 3 |\n\n```py\nsum(li");
        app.update(Msg::Paste("and in".into()));
        app
    });
}

#[test]
fn thinking_folded_and_not() {
    let think = |size| {
        let mut app = with_gauge(size);
        exchange(&mut app, "Why?", "<think>\nThe person asks why. I should say because.\n</think>\n\nBecause.");
        app
    };
    check("folded", think);
    check("unfolded", |size| {
        let mut app = think(size);
        press(&mut app, KeyCode::Char('t'), KeyModifiers::ALT);
        app
    });
}

#[test]
fn the_palette() {
    check("palette", |size| {
        let mut app = with_gauge(size);
        exchange(&mut app, "Why?", "Because.");
        type_in(&mut app, "/m");
        app
    });
}

#[test]
fn the_file_picker() {
    check("files", |size| {
        let mut app = with_gauge(size);
        type_in(&mut app, "explain @ma");
        let names = ["src/main.rs", "a/very/long/path/that/does/not/fit/a/phone/at/all/main.rs", "b\u{1b}[31m/ma"];
        let names = Arc::new(names.map(String::from).to_vec());
        app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
        app
    });
}

#[test]
fn the_conversations() {
    check("sessions", |size| {
        let mut app = with_gauge(size);
        press(&mut app, KeyCode::Char('s'), KeyModifiers::ALT);
        let all = vec![
            summary(1, "How do I parse JSON with a borrowed string in Rust?", false),
            summary(2, "解释这段代码", true),
        ];
        app.update(Msg::Session(SessionMsg::Listed(all)));
        app
    });
}

#[test]
fn help_and_a_guide() {
    let help = |size| {
        let mut app = with_gauge(size);
        press(&mut app, KeyCode::Char('h'), KeyModifiers::ALT);
        app
    };
    check("help", help);
    check("guide", |size| {
        let mut app = help(size);
        app.update(Msg::Key(KeyCode::Enter.into()));
        app
    });
}

#[test]
fn wide_and_combining_characters() {
    check("cjk", |size| {
        let mut app = with_gauge(size);
        exchange(
            &mut app,
            "请解释一下这个函数是做什么的,以及为什么它需要一个可变引用作为参数?",
            "它把**列表**里的数相加。\n\n- 第一步:取头\n- é, ก็, 한국어\n\n```rust\nlet 和 = 1;\n```",
        );
        app.update(Msg::Paste("那么,如果列表是空的呢?这个函数会返回什么值,为什么它不会失败呢?".into()));
        app
    });
}

#[test]
fn the_offer_to_go_on() {
    check("resume", |size| {
        let mut app = with_gauge(size);
        app.update(Msg::Session(SessionMsg::Offer(summary(1, "How do I sum a list?", true))));
        app
    });
}

/// With notes in the folder that fit, or do not.
fn with_notes(size: (u16, u16), text: &str) -> App {
    let mut app = with_gauge(size);
    notes::found(&mut app, crate::app::notes::Purpose::Begin, notes::notes(text));
    app
}

#[test]
fn the_question_whether_the_folder_s_notes_are_used() {
    check("notes", |size| with_notes(size, &"Use tabs.\n".repeat(40)));
    for size in [(80, 24), (45, 14)] {
        let mut app = with_notes(size, &"Use tabs.\n".repeat(2000));
        let server = Facts { server: Some("192.168.1.20:8080".into()), plan: None, ..crate::app::tests::facts() };
        app.update(Msg::Engine(Event::Loaded(Box::new(server))));
        let (text, place) = screen(&app, &view());
        assert!(
            text.contains("It is sent to 192.168.1.20:8080.") && text.contains("Lines 1–358 of 2000 fit"),
            "{text}"
        );
        assert!(text.contains("Enter uses it · Esc does not · Tab shows it"), "{text}");
        assert!(place.is_some(), "what is typed goes into the input");
    }
}

#[test]
fn notes_that_are_used_are_seen_and_cannot_leave_their_place() {
    let mut app = with_gauge((45, 20));
    let name = "..\u{1b}[31m/AGENTS.md".to_owned();
    let found = crate::app::notes::Notes { name, hidden: 12, ..notes::notes("a\u{1b}[2Jb\u{202e}\n") };
    notes::found(&mut app, crate::app::notes::Purpose::Begin, found);
    let harmless = |app: &App| {
        let (text, _) = screen(app, &view());
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        text
    };
    assert!(harmless(&app).contains("12 hidden characters were taken out."));
    press(&mut app, KeyCode::Tab, KeyModifiers::NONE);
    assert!(matches!(app.overlay, Some(crate::app::overlay::Overlay::Page(_))));
    harmless(&app);
    press(&mut app, KeyCode::Esc, KeyModifiers::NONE);
    press(&mut app, KeyCode::Enter, KeyModifiers::NONE);
    assert!(harmless(&app).contains("/AGENTS.md goes with the questions."));
    exchange(&mut app, "Why?", "Because.");
    assert!(harmless(&app).contains("/AGENTS.md · about 3 tokens"), "{}", harmless(&app));
}

fn reviewing(size: (u16, u16)) -> App {
    let mut app = with_gauge(size);
    exchange(&mut app, "Why?", "```rust\nfn a() {}\n```");
    app.command("apply", "", &mut Vec::new());
    edits::deliver(&mut app, edits::proposed());
    app
}

#[test]
fn a_change_under_review() {
    check("review", |size| {
        let mut app = reviewing(size);
        app.drawn(0);
        app.update(Msg::Key(KeyCode::Char('y').into()));
        app
    });
    let mut wide = reviewing((112, 24));
    wide.drawn(0);
    wide.update(Msg::Key(KeyCode::Char('n').into()));
    wide.update(Msg::Key(KeyCode::Left.into()));
    let (found, _) = screen(&wide, &view());
    let row = found.lines().find(|line| line.contains("line four")).unwrap();
    assert!(row.contains("    4 -line 4") && row.contains("│     4 +line four"), "{found}");
    assert!(found.lines().any(|line| line.trim_end().ends_with("│     5 +and more")), "{found}");
}

#[test]
fn the_next_file_under_review_and_names_that_would_move_the_cursor() {
    check("review-file", |size| {
        let mut app = reviewing(size);
        for code in ['y', 'n'] {
            app.drawn(0);
            app.update(Msg::Key(KeyCode::Char(code).into()));
        }
        app
    });
    let mut app = with_gauge((45, 12));
    let change = edits::change("a\n\u{1b}[2J/b.rs", "x\u{1b}[31m\n", "y\u{202e}\u{7}\n");
    let problems = vec![crate::edits::Problem { what: "p\u{1b}\n".into(), reason: "r\u{9b}".into() }];
    app.edits = crate::app::edits::Edits::default();
    let proposed = crate::edits::propose::Proposed { changes: vec![change], problems, ..Default::default() };
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed))));
    let (text, _) = screen(&app, &view());
    assert!(
        text.contains("b.rs") && !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{text:?}"
    );
}

#[test]
fn a_command_before_it_runs_and_its_end() {
    check("confirm", |size| {
        let mut app = with_gauge(size);
        say(&mut app, "/fix cargo test --workspace -- a_name_that_is_long && echo \u{1b}[2J done");
        app
    });
    check("running", |size| {
        let mut app = with_gauge(size);
        say(&mut app, "/run cargo test");
        app.update(Msg::Scrolled(Scrolled::Command(0, true)));
        app.drawn(0);
        app.update(Msg::Key(KeyCode::Char('y').into()));
        let lines: String = (1..40).map(|n| format!("\u{1b}[32mtest number_{n} ... ok\u{1b}[0m\n")).collect();
        app.update(Msg::Run(RunMsg::Output(
            1,
            lines + "error: a line that is longer than a phone is wide, and then some",
        )));
        app.update(Msg::Run(RunMsg::Ended(1, RunEnd::Code(101))));
        app
    });
}

#[test]
fn branches_cuts_notices_and_what_waits() {
    check("marks", |size| {
        let mut app = with_gauge(size);
        exchange(&mut app, "one", "1");
        exchange(&mut app, "two", "2");
        press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT);
        let job = app.turn.answer().unwrap().job;
        app.update(Msg::Engine(Event::Cut {
            job,
            turns: 2,
            trimmed_lines: 0,
            earlier_lines: 0,
            summary: Some("s".into()),
        }));
        app.update(Msg::Engine(Event::Prefill { job, done: 128, total: 512 }));
        say(&mut app, "three, which waits");
        app.update(Msg::Error(crate::error::UserError::failed("the disk is full").hint("free some of it")));
        app
    });
}

#[test]
fn what_a_model_writes_cannot_leave_its_place() {
    let mut app = ready((45, 12));
    exchange(&mut app, "x\u{1b}[2Jy", "a\u{1b}]0;title\u{7}b\u{1b}[31m\u{202e}c\n\n```\u{1b}[0m\n\u{9b}31m\rcode\n```");
    let (text, _) = screen(&app, &view());
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
}

#[test]
fn the_pane_and_the_numbers_of_copying_agree() {
    let text = "<think>\n```\nx\n```\n</think>\n- a\n  ```rust\n  fn a() {}\n  ```\n\n> ~~~\n> q\n> ~~~\n\n    indented\n\n1. b\n\n       deep\n\n```py\nopen";
    let blocks = crate::app::blocks::of(text);
    let said = crate::chat::thinking::strip(text);
    let theme = super::theme::Theme::plain(Ground::Dark);
    let drawn = super::markdown::layout(&said, 60, &theme, super::markdown::Options::default()).blocks;
    let pair = |lang: &str, text: &str| (lang.to_owned(), text.to_owned());
    let ours: Vec<_> = blocks.iter().map(|block| pair(&block.lang, block.text.trim_end())).collect();
    let theirs: Vec<_> = drawn.iter().map(|block| pair(&block.lang, block.text.trim_end())).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn scrolling_up_and_down_comes_back_to_the_end() {
    let mut app = ready((45, 30));
    for n in 0..12 {
        exchange(&mut app, &format!("question {n}"), "a paragraph\n\nanother\n\n- a list\n- of things");
    }
    let view = view();
    let (end, _) = screen(&app, &view);
    for _ in 0..3 {
        app.update(Msg::Scrolled(view.moved(&app, Move::Pages(-1))));
    }
    let (up, _) = screen(&app, &view);
    assert_ne!(up, end);
    app.update(Msg::Scrolled(view.moved(&app, Move::Top)));
    let (top, _) = screen(&app, &view);
    assert!(top.starts_with("❯ question 0"), "{top}");
    for _ in 0..200 {
        app.update(Msg::Scrolled(view.moved(&app, Move::Rows(1))));
    }
    assert_eq!(screen(&app, &view).0, end);
}

/// A file with what is hard to draw.
const FILE: &str = "fn main() {\n\tlet 和 = \"é 👩\u{200d}💻\"; // a comment that is too long for the row of a phone and wraps\n    \
                    if a[0] {\n        go(\u{1b}[31m\u{202e}x);\n    }\n}\n";

fn with_file(size: (u16, u16), name: &str, text: &str) -> App {
    let mut app = with_gauge(size);
    editor::tell(&mut app, EditorMsg::Suggests(true));
    editor::tell(&mut app, EditorMsg::Opened(Box::new(editor::opened(name, text))));
    app
}

#[test]
fn a_file_with_a_suggestion() {
    check("editor", |size| {
        let mut app = with_file(size, "src/deep/er/main.rs", FILE);
        let request = editor::keys(&mut app, "<Down><Down><End>x<A-\\>");
        let id = request.iter().find_map(|effect| match effect {
            Effect::Suggest(request) => Some(request.id),
            _ => None,
        });
        let alternatives = vec![" && b {\n        stop();\n    }".to_owned(), "y".to_owned()];
        app.update(Msg::Suggested { id: id.unwrap(), alternatives, done: true });
        app
    });
}

#[test]
fn finding_in_the_second_of_two_files() {
    check("find", |size| {
        let mut app = with_file(size, "a.rs", "");
        editor::keys(&mut app, "x");
        editor::tell(&mut app, EditorMsg::Opened(Box::new(editor::opened("notes.txt", "one two\r\nTwo three\r\n"))));
        editor::keys(&mut app, "<A-r>two<Tab>2");
        app
    });
}

#[test]
fn a_question_and_a_mark() {
    check("question", |size| {
        let mut app = with_file(size, "a.rs", FILE);
        editor::keys(&mut app, "<A-m><Down><A-c>x<A-w>");
        app
    });
}

#[test]
fn the_list_of_files_to_open() {
    check("open", |size| {
        let mut app = with_file(size, "a.rs", FILE);
        editor::keys(&mut app, "<A-o>ma");
        let names = Arc::new(["src/main.rs", "b\u{1b}[31m/ma"].map(String::from).to_vec());
        app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
        app
    });
}

/// A search that came to its end, with what is hard to draw among what it found.
fn searching(size: (u16, u16)) -> App {
    let mut app = with_file(size, "a.rs", FILE);
    editor::keys(&mut app, "<A-l>needl");
    let (id, _) = search::wanted(&editor::keys(&mut app, "e")).unwrap();
    let long = format!("{}let «needle» = 1; {}", "a long way to go before; ".repeat(2), "and more ".repeat(20));
    let mut lines = vec![
        search::found("a.rs", 7, "«needle»"),
        search::found("a/very/long/path/that/no/phone/has/room/for/main.rs", 1234, &long),
        search::found("b\u{1b}[31m/ma\u{202e}.rs", 1, "x\u{1b}[2J\u{202e} = «needle»\u{7}\t\u{9b}31m;"),
        search::found("目录/文件.rs", 42, "让 和 = «needle»;"),
    ];
    lines.extend((1..30).map(|n| search::found("src/many.rs", n, "call(«needle», 1);")));
    let searched = Searched { files: 300, large: 2, unreadable: 1 };
    app.update(Msg::Search(SearchMsg::Found { id, lines, searched }));
    app.update(Msg::Search(SearchMsg::Done { id, searched, more: false }));
    editor::keys(&mut app, "<Down>");
    app.update(Msg::Key(KeyCode::Tab.into()));
    app
}

#[test]
fn lines_found_in_all_files() {
    check("search", searching);
    for size in [(80, 24), (45, 30), (45, 14)] {
        let (text, _) = screen(&searching(size), &view());
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        let rows: Vec<&str> = text.lines().filter(|row| row.contains("needle")).collect();
        assert!(
            rows.len() > 8 && rows.iter().all(|row| crate::ui::sanitise::width(row) <= usize::from(size.0)),
            "{text}"
        );
        assert!(text.contains("33 lines in 5 files") && text.contains(&crate::size::bytes(LARGEST)), "{text}");
        assert!(rows.iter().any(|row| row.starts_with("›@…") && row.contains("main.rs:1234")), "{text}");
    }
}

#[test]
fn a_search_says_how_far_it_is_and_what_is_wrong() {
    let mut app = with_gauge((45, 14));
    let seen = |app: &App| screen(app, &view()).0;
    press(&mut app, KeyCode::Char('l'), KeyModifiers::ALT);
    assert!(seen(&app).contains("type what to look for"), "{}", seen(&app));
    let (id, _) = search::wanted(&press(&mut app, KeyCode::Char('('), KeyModifiers::NONE)).unwrap();
    let searched = Searched { files: 70, ..Searched::default() };
    app.update(Msg::Search(SearchMsg::Found { id, lines: Vec::new(), searched }));
    assert!(seen(&app).contains("searching…") && seen(&app).contains("70 files"), "{}", seen(&app));
    app.update(Msg::Search(SearchMsg::Done { id, searched, more: true }));
    assert!(seen(&app).contains("more than 1000 lines"), "{}", seen(&app));
    let (id, _) = search::wanted(&press(&mut app, KeyCode::Char('x'), KeyModifiers::ALT)).unwrap();
    app.update(Msg::Search(SearchMsg::Wrong { id, why: "unclosed\u{1b}[2J group".into() }));
    assert!(seen(&app).contains("expression (") && seen(&app).contains("unclosed group"), "{}", seen(&app));
}

#[test]
fn chat_and_editor_side_by_side() {
    let mut app = with_file((120, 16), "a.rs", FILE);
    editor::keys(&mut app, "<A-e>");
    exchange(&mut app, "Why?", "Because.");
    editor::keys(&mut app, "<A-e>");
    let (text, place) = screen(&app, &view());
    assert!(text.lines().all(|line| line.chars().nth(47) == Some('│')), "{text}");
    assert!(place.unwrap().x > 48);
    editor::keys(&mut app, "<A-e>");
    assert!(screen(&app, &view()).1.unwrap().x < 47);
}

#[test]
fn what_a_file_holds_cannot_leave_its_place() {
    let mut app = with_file((45, 12), "a\u{1b}[31m\n.rs", "x\u{1b}[2Jy\r\n\u{9b}31m\u{202e}\u{200b}\u{0}z\rq\n\u{301}");
    editor::keys(&mut app, "<A-f>\u{1b}");
    let (text, _) = screen(&app, &view());
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    assert!(text.contains("x␛[2Jy"), "nothing vanishes: {text}");
}

#[test]
fn the_cursor_stands_where_its_character_is_drawn() {
    let mut app = with_file((45, 20), "a.rs", FILE);
    let view = view();
    for _ in 0..FILE.chars().count() {
        let document = &app.editor.file().unwrap().document;
        let under = document.rope().get_char(document.cursor());
        let (text, place) = screen(&app, &view);
        let place = place.unwrap();
        if let Some(c) = under.filter(|c| c.is_ascii_graphic()) {
            let row = text.lines().nth(usize::from(place.y)).unwrap();
            let mut x = 0;
            let drawn = row.graphemes(true).find(|grapheme| {
                x += super::sanitise::width(grapheme).max(1);
                x > usize::from(place.x)
            });
            assert_eq!(drawn, Some(c.to_string().as_str()), "{place:?}\n{text}");
        }
        editor::keys(&mut app, "<Right>");
    }
}

/// Five megabytes of Rust, of which `cargo test -- --ignored --nocapture measure_` tells what a key and a frame cost.
#[test]
#[ignore = "prints times for a person to read: a time is never asserted"]
fn measure_keys_and_frames_in_five_megabytes() {
    let line = "    let value_0 = compute(\"text\", 42, &list[1..]).map(|x| x + 1); // a comment\n";
    let text = format!("fn f() {{\n{}}}\n", line.repeat(20)).repeat(5_000_000 / (line.len() * 20 + 12));
    let (sender, woken) = std::sync::mpsc::channel();
    let highlighter = Highlighter::new(move || sender.send(()).unwrap_or_default());
    let view = View::new(Ability { ground: Ground::Dark, depth: Depth::True }, highlighter);
    let mut times: Vec<(&str, Vec<u128>, Vec<u128>)> = Vec::new();
    let mut app = with_file((80, 24), "big.rs", &text);
    let area = ratatui::layout::Rect::new(0, 0, 80, 24);
    let mut run = |name: &'static str, app: &mut App, typed: &str, times_over: usize| {
        let (mut by_key, mut by_frame) = (Vec::new(), Vec::new());
        for _ in 0..times_over {
            let begin = std::time::Instant::now();
            editor::keys(app, typed);
            by_key.push(begin.elapsed().as_micros());
            let begin = std::time::Instant::now();
            view.draw(app, area, &mut ratatui::buffer::Buffer::empty(area));
            by_frame.push(begin.elapsed().as_micros());
        }
        by_key.sort_unstable();
        by_frame.sort_unstable();
        times.push((name, by_key, by_frame));
    };
    let begin = std::time::Instant::now();
    let mut other = with_file((80, 24), "big.rs", &text);
    println!("opening {} bytes: {:?}", text.len(), begin.elapsed());
    run("first frames", &mut app, "", 3);
    while woken.recv_timeout(std::time::Duration::from_secs(2)).is_ok() {}
    run("typing at the start", &mut app, "x", 300);
    run("page down", &mut app, "<PgDn>", 300);
    run("jump to the end", &mut app, "<A-End>", 1);
    run("typing at the end, guessed", &mut app, "<Enter>x", 100);
    let begin = std::time::Instant::now();
    let _ = woken.recv_timeout(std::time::Duration::from_secs(60));
    println!("the thread was done after {:?}", begin.elapsed());
    run("first frame after it", &mut app, "", 1);
    run("typing at the end", &mut app, "x ", 300);
    run("breaking lines at the end", &mut app, "<Enter>", 100);
    run("page up", &mut app, "<PgUp>", 300);
    run("finding what is not there", &mut app, "<A-f>zzz<Esc>", 3);
    let long = "x".repeat(1 << 20);
    let mut app = with_file((45, 30), "long.txt", &format!("{long}\n{long}"));
    run("a line of a megabyte: end", &mut app, "<End>", 1);
    run("a line of a megabyte: typing", &mut app, "y", 100);
    run("a line of a megabyte: up", &mut app, "<Up>", 100);
    run("replacing 60 000 words", &mut other, "<A-r>value_0<Tab>v<A-a>", 1);
    for (name, by_key, by_frame) in times {
        let at = |all: &[u128], part: usize| all[(all.len() - 1) * part / 100];
        println!(
            "{name}: key p50 {} p99 {} µs; frame p50 {} p99 {} worst {} µs",
            at(&by_key, 50),
            at(&by_key, 99),
            at(&by_frame, 50),
            at(&by_frame, 99),
            at(&by_frame, 100)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Keys, sizes, pastes and pieces in any order: nothing panics, the cursor stays inside, the size is what it is.
    #[test]
    fn no_sequence_of_keys_breaks_the_screen(
        keys in proptest::collection::vec(any_key(), 0..60),
        sizes in proptest::collection::vec((0u16..50, 0u16..30), 1..4),
        paste in "\\PC{0,40}",
    ) {
        let mut app = ready(sizes[0]);
        let view = view();
        editor::tell(&mut app, EditorMsg::Suggests(true));
        exchange(&mut app, "q", "```rust\nfn a() {}\n```\n| a | b |\n|---|---|\n| 1 | 2 |");
        for (n, key) in keys.into_iter().enumerate() {
            let mut effects = app.update(Msg::Key(key));
            if n % 7 == 0 {
                effects.extend(app.update(Msg::Paste(paste.clone())));
            }
            if n % 11 == 0 {
                let (columns, rows) = sizes[n % sizes.len()];
                effects.extend(app.update(Msg::Resize(columns, rows)));
            }
            for effect in effects {
                match effect {
                    Effect::Scroll(by) => { app.update(Msg::Scrolled(view.moved(&app, by))); }
                    Effect::Ask(_) => { piece(&mut app, "text "); if n % 2 == 0 { done(&mut app, Stop::End); } }
                    Effect::ListSessions => { app.update(Msg::Session(SessionMsg::Listed(vec![summary(1, "t", true)]))); }
                    Effect::Propose(_) => { app.update(Msg::Edits(EditsMsg::Proposed(Box::new(edits::proposed())))); }
                    Effect::Search(id, _) => { search::answer(&mut app, id, vec![search::found("a.rs", n, "x«y»z"); n]); }
                    Effect::Run(run, _) => { app.update(Msg::Run(RunMsg::Output(run, paste.clone()))); }
                    Effect::Editor(EditorEffect::Open { path, place }) => {
                        let place = place.or(Some(Place { line: n, column: n }));
                        let file = Opened { place, ..editor::opened(&path.to_string_lossy(), FILE) };
                        editor::tell(&mut app, EditorMsg::Opened(Box::new(file)));
                    }
                    Effect::Editor(EditorEffect::Save { id, state, .. }) => {
                        editor::tell(&mut app, EditorMsg::Saved { id, state, stamp: editor::stamp(2) });
                    }
                    Effect::Suggest(request) => {
                        let alternatives = vec![paste.clone(), "a\nb".into()];
                        app.update(Msg::Suggested { id: request.id, alternatives, done: true });
                    }
                    Effect::LookForNotes(purpose) => { notes::found(&mut app, purpose, notes::notes(&paste)); }
                    Effect::ListModels => { app.update(Msg::Models(ModelsMsg::Offered(Vec::new()))); }
                    _ => {}
                }
            }
            let area = ratatui::layout::Rect::new(0, 0, app.size.0, app.size.1);
            let mut buffer = ratatui::buffer::Buffer::empty(area);
            if let Some(at) = view.draw(&app, area, &mut buffer) {
                prop_assert!(area.contains(at), "{at:?} in {area:?}");
            }
        }
    }
}

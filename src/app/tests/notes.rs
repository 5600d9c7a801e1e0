//! The folder's notes: asked about once, never by a key that was meant for something else, and the same in every prompt.

use super::*;
use crate::config::ProjectNotes;

const TEXT: &str = "Use tabs.\nRun `make`.\n";

pub(crate) fn notes(text: &str) -> Notes {
    Notes { name: "AGENTS.md".into(), text: text.into(), hidden: 0, hash: format!("of {text}"), decided: Vec::new() }
}

pub(crate) fn found(app: &mut App, purpose: Purpose, notes: Notes) -> Vec<Effect> {
    app.update(Msg::Notes(purpose, Looked::Found(Box::new(notes))))
}

/// With notes in the folder that nothing was decided about.
fn offered() -> App {
    let mut app = ready(SIZE);
    found(&mut app, Purpose::Begin, notes(TEXT));
    assert!(is_offered(&app));
    app
}

fn is_offered(app: &App) -> bool {
    matches!(app.overlay, Some(Overlay::Notes(_)))
}

fn kept(effects: &[Effect]) -> Vec<(&str, Option<&str>, bool)> {
    let all = effects.iter().filter_map(|effect| match effect {
        Effect::KeepDecision { hash, decision } => Some((hash.as_str(), decision.server.as_deref(), decision.used)),
        _ => None,
    });
    all.collect()
}

/// The system message that a question is asked with.
fn system(effects: &[Effect]) -> Option<String> {
    let turns = &asked(effects).expect("it is asked").turns;
    turns.first().filter(|turn| turn.role == Role::System).map(|turn| turn.content.clone())
}

fn command(app: &mut App, args: &str, looked: Looked) -> Vec<Effect> {
    let mut out = Vec::new();
    app.command("notes", args, &mut out);
    let [Effect::LookForNotes(purpose)] = out[..] else { panic!("{out:?}") };
    app.update(Msg::Notes(purpose, looked))
}

#[test]
fn the_folder_is_looked_at_when_it_is_opened_and_in_a_new_conversation() {
    let mut app = fresh(SIZE);
    assert!(app.begin().contains(&Effect::LookForNotes(Purpose::Begin)));
    let empty = || Conversation::new(SessionId::new(1_700_000_000_000, 2), "tiny", 0);
    let opened = |conversation| Msg::Session(SessionMsg::Opened { conversation: Box::new(conversation), notice: None });
    assert!(app.update(opened(empty())).contains(&Effect::LookForNotes(Purpose::Begin)));
    app.settings.chat.project_notes = ProjectNotes::Never;
    assert!(!app.begin().iter().chain(&app.update(opened(empty()))).any(|e| matches!(e, Effect::LookForNotes(_))));
}

#[test]
fn enter_uses_them_from_the_first_question_on_and_the_prompt_stays_the_same() {
    let mut app = offered();
    app.settings.chat.system = Some("Be brief.".into());
    assert_eq!(kept(&key(&mut app, KeyCode::Enter)), [("of Use tabs.\nRun `make`.\n", None, true)]);
    assert!(!is_offered(&app));
    let first = say(&mut app, "why?");
    let said = format!("Notes on this project, from `AGENTS.md`:\n```md\n{TEXT}```");
    assert_eq!(system(&first).as_deref(), Some(said.as_str()));
    let entries = written(&first);
    assert!(matches!(entries[0], Entry::Notes { file: Some(file) } if file.text == TEXT), "before the question");
    done(&mut app, Stop::End);
    // the file changes while the conversation goes on
    found(&mut app, Purpose::Begin, notes("other"));
    let second = say(&mut app, "and?");
    assert_eq!(system(&second), Some(said.clone()));
    assert!(!written(&second).iter().any(|entry| matches!(entry, Entry::Notes { .. })));
    // what the journal says gives the same prompt after a restart
    let header = Entry::session(app.conversation.id().clone(), 1_700_000_000, "tiny");
    let mut journal = vec![header];
    journal.extend(written(&first).into_iter().chain(written(&second)).cloned());
    let resumed = Conversation::from_entries(&journal).unwrap();
    assert_eq!(resumed.turns()[0].content, said);
}

#[test]
fn escape_is_a_no_that_holds_until_the_content_changes() {
    let mut app = offered();
    assert_eq!(kept(&key(&mut app, KeyCode::Esc)), [("of Use tabs.\nRun `make`.\n", None, false)]);
    let no = Decision { server: None, used: false };
    found(&mut app, Purpose::Begin, Notes { decided: vec![no.clone()], ..notes(TEXT) });
    assert!(!is_offered(&app));
    let mut again = ready(SIZE);
    found(&mut again, Purpose::Begin, Notes { decided: vec![no], ..notes(TEXT) });
    assert!(!is_offered(&again), "remembered");
    assert_eq!(system(&say(&mut again, "why?")), None);
    assert_eq!(told(&again), "", "and not spoken of");
    found(&mut app, Purpose::Begin, notes("changed"));
    assert!(is_offered(&app), "it may be a stranger's now");
}

#[test]
fn what_was_typed_ahead_decides_nothing_and_is_not_lost() {
    let mut app = ready(SIZE);
    type_in(&mut app, "no");
    found(&mut app, Purpose::Begin, notes(TEXT));
    assert!(!is_offered(&app), "not while someone writes");
    let effects = say(&mut app, " way?");
    assert_eq!((kept(&effects), system(&effects)), (vec![], None));
    assert!(told(&app).contains("`AGENTS.md` is not used as context; `/notes on`"), "{}", told(&app));

    let mut app = offered();
    for code in [KeyCode::Enter, KeyCode::Esc, KeyCode::Enter] {
        // in the moment in which it appears
        let effects = app.update(Msg::Key(code.into()));
        assert!(kept(&effects).is_empty() && is_offered(&app), "{code:?}");
    }
    app.drawn(app.clock);
    assert!(kept(&app.update(Msg::Key(KeyCode::Enter.into()))).is_empty(), "nobody reads so fast");
    for c in "yes, no\u{301} /x".chars() {
        assert!(kept(&key(&mut app, KeyCode::Char(c))).is_empty());
    }
    assert_eq!(app.composer.field.text(), "yes, no\u{301} /x");
    assert!(!is_offered(&app));
    press(&mut app, KeyCode::Char('u'), KeyModifiers::CONTROL);
    assert!(is_offered(&app), "it is still asked when nothing is typed");
    app.update(Msg::Paste("pasted".into()));
    assert_eq!((is_offered(&app), app.composer.field.text()), (false, "pasted"));
    assert!(kept(&key(&mut app, KeyCode::Enter)).is_empty() && app.turn.is_answering(), "Enter sends it");
}

#[test]
fn the_question_is_in_nobodys_way() {
    let mut app = offered();
    press(&mut app, KeyCode::Char('h'), KeyModifiers::ALT);
    assert!(matches!(app.overlay, Some(Overlay::Choose(_))));
    key(&mut app, KeyCode::Esc);
    assert!(is_offered(&app), "there again");
    key(&mut app, KeyCode::Tab);
    let Some(Overlay::Page(page)) = &app.overlay else { panic!("no page") };
    assert!(page.markdown.contains("Run `make`."), "it can be read first");
    key(&mut app, KeyCode::Esc);
    for pane in [Pane::Editor, Pane::Chat] {
        app.pane = pane;
        app.update(Msg::Now(app.clock));
        assert_eq!(is_offered(&app), pane == Pane::Chat, "not over the editor");
    }
    app.update(Msg::Session(SessionMsg::Offer(summary(1, "old", true))));
    assert!(matches!(app.overlay, Some(Overlay::Resume(_))), "what was cut off comes first");
    key(&mut app, KeyCode::Esc);
    press(&mut app, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(app.leave_armed, "Ctrl-C means leaving");
    press(&mut app, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(app.leaving);
}

#[test]
fn it_is_not_asked_before_it_is_known_where_the_model_runs() {
    let mut app = fresh(SIZE);
    found(&mut app, Purpose::Begin, notes(TEXT));
    assert!(!is_offered(&app));
    app.update(Msg::Loading { name: "tiny".into(), plan: facts().plan.map(Box::new) });
    assert!(is_offered(&app), "here");
    let mut app = fresh(SIZE);
    app.update(Msg::Now(1_700_000_000_000));
    found(&mut app, Purpose::Begin, Notes { decided: vec![Decision { server: None, used: true }], ..notes(TEXT) });
    app.update(Msg::Loading { name: "host".into(), plan: None });
    assert!(!is_offered(&app));
    let server = Facts { plan: None, server: Some("host:1".into()), n_ctx: 0, ..facts() };
    app.update(Msg::Engine(Event::Loaded(Box::new(server))));
    assert!(is_offered(&app), "what may be read here may not go there");
    assert_eq!(kept(&key(&mut app, KeyCode::Enter)), [("of Use tabs.\nRun `make`.\n", Some("host:1"), true)]);
    assert!(system(&say(&mut app, "why?")).is_some());
}

#[test]
fn always_and_never_ask_nothing() {
    let mut app = ready(SIZE);
    app.settings.chat.project_notes = ProjectNotes::Always;
    found(&mut app, Purpose::Begin, notes(TEXT));
    assert!(!is_offered(&app));
    assert!(system(&say(&mut app, "why?")).is_some());
    let mut app = ready(SIZE);
    app.settings.chat.project_notes = ProjectNotes::Always;
    found(&mut app, Purpose::Begin, Notes { decided: vec![Decision { server: None, used: false }], ..notes(TEXT) });
    assert_eq!(system(&say(&mut app, "why?")), None, "a no counts");
    let mut app = ready(SIZE);
    app.settings.chat.project_notes = ProjectNotes::Never;
    command(
        &mut app,
        "",
        Looked::Found(Box::new(Notes { decided: vec![Decision { server: None, used: true }], ..notes(TEXT) })),
    );
    assert!(told(&app).contains("is not used"), "{}", told(&app));
    assert_eq!(system(&say(&mut app, "why?")), None);
    command(&mut app, "on", Looked::Found(Box::new(notes(TEXT))));
    done(&mut app, Stop::End);
    assert!(system(&say(&mut app, "and?")).is_some(), "who says it wants it");
}

#[test]
fn long_notes_are_cut_at_a_line_to_a_quarter_of_the_context_and_it_is_told() {
    let long: String = (0..2000).map(|n| format!("rule {n}\n")).collect();
    let mut app = ready(SIZE);
    found(&mut app, Purpose::Begin, notes(&long));
    key(&mut app, KeyCode::Enter);
    let first = say(&mut app, "why?");
    let used = app.conversation.notes().unwrap().text.clone();
    let lines = used.lines().count();
    assert!(used.ends_with('\n') && long.starts_with(&used) && (300..2000).contains(&lines), "{lines}");
    assert!(compose::estimate(&used) <= 1024 && compose::estimate(&used) > 1000);
    let words = format!("`AGENTS.md` was cut to a quarter of the context: its first {lines} of 2000 lines");
    assert!(told(&app).contains(&words), "{}", told(&app));
    done(&mut app, Stop::End);
    let second = say(&mut app, "and?");
    assert_eq!(system(&second), system(&first), "cut once");
    done(&mut app, Stop::End);
    app.command("context", "", &mut Vec::new());
    let tokens = compose::estimate(&used);
    assert!(told(&app).contains(&format!("300 of 4096 tokens used, about {tokens} by `AGENTS.md`")), "{}", told(&app));
    // files get what is left of their part
    let effects = say(&mut app, "see @a.rs");
    let reading = effects.iter().find_map(|effect| match effect {
        Effect::ReadFiles(reading) => Some(reading.tokens),
        _ => None,
    });
    assert!(reading.unwrap() <= 4096 / 8 * 5 - tokens);
    // a smaller model: they shrink once, and it is told again
    let small = Facts { n_ctx: 2048, plan: None, ..facts() };
    app.update(Msg::Engine(Event::Loaded(Box::new(small))));
    app.update(Msg::Files(FilesMsg::Read { id: app.reading, attachments: vec![], notices: vec![], unmatched: vec![] }));
    let tokens = |app: &App| compose::estimate(&app.conversation.notes().unwrap().text);
    assert!(tokens(&app) <= 512);
    done(&mut app, Stop::End);
    // asking again is a prompt as well
    app.update(Msg::Engine(Event::Loaded(Box::new(Facts { n_ctx: 1024, plan: None, ..facts() }))));
    assert!(system(&press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT)).is_some());
    assert!(tokens(&app) <= 256);
}

#[test]
fn one_endless_line_is_cut_between_characters() {
    let mut app = ready(SIZE);
    app.settings.chat.project_notes = ProjectNotes::Always;
    found(&mut app, Purpose::Begin, notes(&"é".repeat(100_000)));
    say(&mut app, "why?");
    let used = app.conversation.notes().unwrap().text.len();
    assert!(used <= 3584 && used > 3500, "{used}");
}

#[test]
fn the_command_turns_them_on_and_off_in_a_conversation_that_has_begun() {
    let looked = || Looked::Found(Box::new(notes(TEXT)));
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    assert_eq!(kept(&command(&mut app, "on", looked())).len(), 1);
    let effects = say(&mut app, "two");
    assert!(system(&effects).unwrap().contains("Use tabs."));
    done(&mut app, Stop::End);
    command(&mut app, "", looked());
    assert!(told(&app).contains("`AGENTS.md` is context here, about 7 tokens"), "{}", told(&app));
    command(&mut app, "", Looked::Found(Box::new(notes("newer"))));
    assert!(told(&app).contains("the file has changed since"), "{}", told(&app));
    let effects = command(&mut app, "off", looked());
    assert!(matches!(written(&effects)[..], [Entry::Notes { file: None }]));
    assert_eq!(kept(&effects).len(), 1);
    assert_eq!(system(&say(&mut app, "three")), None);
    done(&mut app, Stop::End);
    command(&mut app, "show", looked());
    assert!(matches!(&app.overlay, Some(Overlay::Page(page)) if page.markdown.contains("Use tabs.")));
    key(&mut app, KeyCode::Esc);
    // the newest content takes the place of what stood there
    command(&mut app, "on", looked());
    say(&mut app, "four");
    done(&mut app, Stop::End);
    command(&mut app, "on", Looked::Found(Box::new(notes("newer\n"))));
    assert!(system(&say(&mut app, "five")).unwrap().contains("newer"));
    done(&mut app, Stop::End);
    // also when the file is gone
    let effects = command(&mut app, "off", Looked::Nothing);
    assert!(matches!(written(&effects)[..], [Entry::Notes { file: None }]));
}

#[test]
fn what_is_not_there_or_unfit_is_told_when_someone_asks() {
    let mut app = ready(SIZE);
    app.update(Msg::Notes(Purpose::Begin, Looked::Nothing));
    assert_eq!(told(&app), "");
    for args in ["", "on", "show"] {
        app.notices.clear();
        command(&mut app, args, Looked::Nothing);
        assert!(told(&app).contains("no `AGENTS.md`"), "{args}: {}", told(&app));
    }
    let unfit = || Looked::Unfit { name: "AGENTS.md".into(), why: "it lies outside the opened folder".into() };
    app.update(Msg::Notes(Purpose::Begin, unfit()));
    assert!(told(&app).contains("`AGENTS.md` cannot be used as context: it lies outside"), "{}", told(&app));
    assert!(!is_offered(&app));
    assert_eq!(kept(&command(&mut app, "on", unfit())), []);
    let mut out = Vec::new();
    app.command("notes", "maybe", &mut out);
    assert!(out.is_empty() && told(&app).contains("expected `on`, `off` or `show`"));
}

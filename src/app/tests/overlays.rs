//! What lies over the chat, what leaving and another model ask for.

use super::*;
use crate::app::overlay::Overlay;
use crate::config::ThemeChoice;
use crate::sampling::Preset;

#[test]
fn the_palette_completes_and_runs() {
    let mut app = ready(SIZE);
    type_in(&mut app, "/the");
    let Some(Overlay::Palette(palette)) = &app.overlay else { panic!() };
    assert_eq!(palette.commands[0].name, "theme");
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.field.text(), "/theme ");
    type_in(&mut app, "light");
    assert!(app.overlay.is_none());
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.settings.ui.theme, ThemeChoice::Light);
    type_in(&mut app, "/quit");
    assert!(key(&mut app, KeyCode::Enter).contains(&Effect::Quit));
}

#[test]
fn an_unknown_command_is_answered_and_not_sent() {
    let mut app = ready(SIZE);
    assert!(asked(&say(&mut app, "/modle")).is_none());
    assert!(told(&app).contains("/modle"));
    assert!(asked(&say(&mut app, "/usr/bin/env fails")).is_some());
}

#[test]
fn the_picker_puts_a_mention_into_the_input() {
    let mut app = ready(SIZE);
    type_in(&mut app, "see ");
    assert_eq!(key(&mut app, KeyCode::Char('@')), [Effect::ListFiles]);
    let names = std::sync::Arc::new(vec!["src/main.rs".to_owned(), "my notes.md".to_owned()]);
    app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
    type_in(&mut app, "note");
    key(&mut app, KeyCode::Enter);
    assert_eq!(app.composer.field.text(), "see @\"my notes.md\" ");
    assert!(app.overlay.is_none());
}

#[test]
fn history_comes_back_at_the_edges_only() {
    let mut app = ready(SIZE);
    exchange(&mut app, "first", "1");
    app.update(Msg::Paste("a\nb".into()));
    key(&mut app, KeyCode::Up);
    assert_eq!(app.composer.field.text(), "a\nb", "the cursor only went up");
    key(&mut app, KeyCode::Up);
    assert_eq!(app.composer.field.text(), "first");
    key(&mut app, KeyCode::Down);
    assert_eq!(app.composer.field.text(), "a\nb");
}

#[test]
fn a_cut_off_conversation_is_offered_and_typing_goes_past_it() {
    let offer = || Msg::Session(SessionMsg::Offer(summary(1, "old", true)));
    let mut app = ready(SIZE);
    app.update(offer());
    let ahead = |app: &mut App, code| app.update(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    assert_eq!(ahead(&mut app, KeyCode::Enter), [], "it was not on the screen yet");
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::OpenSession(summary(1, "old", true).id)]);
    let mut app = ready(SIZE);
    app.update(offer());
    ahead(&mut app, KeyCode::Char('y'));
    assert!(app.overlay.is_none() && app.composer.field.text() == "y", "typed ahead");
    let mut app = ready(SIZE);
    app.update(offer());
    type_in(&mut app, "hello");
    assert!(app.overlay.is_none() && app.composer.field.text() == "hello");
    app.update(offer());
    assert!(app.overlay.is_none(), "not while someone writes");
}

#[test]
fn sessions_are_found_by_what_was_said_and_late_answers_are_ignored() {
    let mut app = ready(SIZE);
    let effects = press(&mut app, KeyCode::Char('s'), KeyModifiers::ALT);
    assert_eq!(effects, [Effect::ListSessions]);
    app.update(Msg::Session(SessionMsg::Listed(vec![summary(1, "alpha", false), summary(2, "beta", false)])));
    type_in(&mut app, "b");
    assert_eq!(key(&mut app, KeyCode::Char('e')), [Effect::SearchSessions("be".into())]);
    app.update(Msg::Session(SessionMsg::Found { query: "b".into(), hits: Vec::new() }));
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::OpenSession(summary(2, "beta", false).id)]);
}

#[test]
fn a_conversation_is_removed_from_the_list_by_the_same_key_twice() {
    let mut app = ready(SIZE);
    press(&mut app, KeyCode::Char('s'), KeyModifiers::ALT);
    let (first, second) = (summary(1, "alpha", false), summary(2, "beta", false));
    app.update(Msg::Session(SessionMsg::Listed(vec![first.clone(), second.clone()])));
    let remove = |app: &mut App| press(app, KeyCode::Char('d'), KeyModifiers::CONTROL);
    assert_eq!(remove(&mut app), []);
    assert_eq!(key(&mut app, KeyCode::Esc), [], "it is kept, and the list stays");
    assert_eq!(remove(&mut app), []);
    key(&mut app, KeyCode::Down);
    assert_eq!(remove(&mut app), [], "another one was meant");
    assert_eq!(remove(&mut app), [Effect::RemoveSession(second.id.clone())]);
    app.update(Msg::Session(SessionMsg::Removed(second.id)));
    let Some(Overlay::Sessions(sessions)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!(sessions.all.as_deref(), Some(&[first.clone()][..]));
    let open = crate::chat::store::Summary { id: app.conversation.id().clone(), ..first };
    app.update(Msg::Session(SessionMsg::Listed(vec![open])));
    assert_eq!([remove(&mut app), remove(&mut app)], [[], []], "the one that is open stays");
}

#[test]
fn a_list_follows_what_is_pasted_into_its_query() {
    let mut app = ready(SIZE);
    press(&mut app, KeyCode::Char('s'), KeyModifiers::ALT);
    app.update(Msg::Session(SessionMsg::Listed(vec![summary(1, "alpha", false), summary(2, "beta", false)])));
    key(&mut app, KeyCode::Down);
    assert_eq!(app.update(Msg::Paste("alp\n".into())), [Effect::SearchSessions("alp ".into())]);
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::OpenSession(summary(1, "alpha", false).id)]);

    let mut app = ready(SIZE);
    press(&mut app, KeyCode::Char('o'), KeyModifiers::ALT);
    let names = std::sync::Arc::new(vec!["src/main.rs".to_owned(), "notes.md".to_owned()]);
    app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
    app.update(Msg::Paste("notes".into()));
    let Some(Overlay::Open(picker)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!(picker.matches.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["notes.md"]);
}

#[test]
fn without_a_model_the_first_screen_lists_fetches_and_loads_one() {
    let mut app = fresh(SIZE);
    app.model = Model::new(None, Vec::new());
    assert_eq!(app.begin(), [Effect::LookForNotes(Purpose::Begin), Effect::ListModels]);
    let offer = Offer {
        name: "coder".into(),
        about: "small".into(),
        bytes: 1 << 29,
        installed: false,
        fits: Ok(()),
        recommended: true,
    };
    let large = Offer { name: "large".into(), fits: Err("too much".into()), recommended: false, ..offer.clone() };
    app.update(Msg::Models(ModelsMsg::Offered(vec![large, offer])));
    assert_eq!(key(&mut app, KeyCode::Enter), [], "a download is asked about first");
    app.update(Msg::Now(app.clock + 1000));
    assert_eq!(key(&mut app, KeyCode::Char('y')), [Effect::Pull("coder".into())]);
    app.update(Msg::Models(ModelsMsg::Progress { name: "coder".into(), done: 10, total: Some(20) }));
    assert_eq!(key(&mut app, KeyCode::Esc), [Effect::CancelPull]);
    app.update(Msg::Models(ModelsMsg::Cancelled));
    key(&mut app, KeyCode::Up);
    assert_eq!(key(&mut app, KeyCode::Enter), [], "what does not fit is not fetched");
    assert!(told(&app).contains("too much"));
    key(&mut app, KeyCode::End);
    key(&mut app, KeyCode::Enter);
    app.update(Msg::Paste("/models/a.gguf\n".into()));
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::AddModel("/models/a.gguf".into())]);
    app.update(Msg::Models(ModelsMsg::Failed(UserError::failed("it is not there"))));
    key(&mut app, KeyCode::Backspace);
    key(&mut app, KeyCode::Backspace);
    type_in(&mut app, "f");
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::AddModel("/models/a.gguf".into())], "a wrong path is corrected");
    let effects = app.update(Msg::Models(ModelsMsg::Added("a".into())));
    assert_eq!(effects, [Effect::StartEngine(Load { model: Some("a".into()), lora: Vec::new() })]);
}

#[test]
fn what_is_typed_at_the_welcome_downloads_nothing_and_is_kept_as_the_question() {
    let mut app = fresh(SIZE);
    app.model = Model::new(None, Vec::new());
    app.begin();
    let offer = Offer {
        name: "coder".into(),
        about: "small".into(),
        bytes: 1 << 30,
        installed: false,
        fits: Ok(()),
        recommended: true,
    };
    app.update(Msg::Models(ModelsMsg::Offered(vec![offer])));
    type_in(&mut app, "hello");
    assert_eq!(app.composer.field.text(), "hello");
    assert_eq!(key(&mut app, KeyCode::Enter), []);
    type_in(&mut app, "yes");
    let asked = |app: &App| matches!(&app.overlay, Some(Overlay::Models(models)) if models.asked.is_some());
    assert!(asked(&app), "what was typed ahead is no answer to a question that was not seen");
    app.update(Msg::Now(app.clock + 1000));
    assert_eq!(key(&mut app, KeyCode::Enter), [], "Enter is no yes");
    assert_eq!(key(&mut app, KeyCode::Char('n')), []);
    assert!(!asked(&app) && app.composer.field.text() == "hello");
    assert_eq!(key(&mut app, KeyCode::Enter), []);
    app.update(Msg::Now(app.clock + 1000));
    assert_eq!(key(&mut app, KeyCode::Char('y')), [Effect::Pull("coder".into())]);
    app.update(Msg::Models(ModelsMsg::Added("coder".into())));
    app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    let effects = key(&mut app, KeyCode::Enter);
    assert_eq!(super::asked(&effects).unwrap().turns.last().unwrap().content, "hello");
}

#[test]
fn a_command_at_the_welcome_is_carried_out() {
    let mut app = fresh(SIZE);
    app.model = Model::new(None, Vec::new());
    app.begin();
    type_in(&mut app, "/quit");
    assert!(key(&mut app, KeyCode::Enter).contains(&Effect::Quit));
}

#[test]
fn leaving_waits_for_the_answer_to_stop_and_the_cache_to_be_written() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    let mut out = Vec::new();
    app.command("quit", "", &mut out);
    assert!(matches!(out[..], [Effect::Cancel(_)]));
    assert!(app.update(Msg::Now(app.clock + 10)).is_empty());
    assert!(done(&mut app, Stop::Cancelled).contains(&Effect::Quit));
}

#[test]
fn an_idle_program_asks_for_no_wakeups() {
    let mut app = ready(SIZE);
    assert_eq!(app.wakes_at(), None);
    exchange(&mut app, "why?", "because");
    assert_eq!(app.wakes_at(), None, "300 tokens are not worth a snapshot by themselves");
}

/// What shall be looked at before it is loaded.
fn checked(effects: &[Effect]) -> Load {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::CheckModel(load) => Some(load.clone()),
        _ => None,
    });
    found.expect("a model is looked at")
}

#[test]
fn another_model_is_refused_while_an_answer_runs() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    let mut out = Vec::new();
    app.command("model", "other", &mut out);
    assert_eq!(out, []);
    done(&mut app, Stop::End);
    app.command("model", "other", &mut out);
    let load = checked(&out);
    assert_eq!(load.model.as_deref(), Some("other"));
    assert!(app.model.is_ready(), "the model in use stays until the other is known to be fit");
    out = app.update(Msg::Models(ModelsMsg::Checked(load)));
    assert!(matches!(&out[..], [.., Effect::StartEngine(Load { model: Some(name), .. })] if name == "other"));
}

#[test]
fn adapters_are_loaded_scaled_and_taken_away() {
    let mut app = ready(SIZE);
    let mut lora = |args: &str| {
        let mut out = Vec::new();
        app.command("lora", args, &mut out);
        let load = out.into_iter().find_map(|effect| match effect {
            Effect::CheckModel(load) => Some(load),
            _ => None,
        });
        if let Some(load) = load.clone() {
            let started = app.update(Msg::Models(ModelsMsg::Checked(load.clone())));
            assert!(started.contains(&Effect::StartEngine(load)));
            app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
        }
        (load.map(|load| load.lora), told(&app))
    };
    assert_eq!(lora("").0, None);
    assert_eq!(lora("a b.gguf").0, Some(vec![("a b.gguf".into(), 1.0)]));
    assert_eq!(lora("\"a b.gguf\" 0.5").0, Some(vec![("a b.gguf".into(), 0.5)]), "the same file once");
    assert_eq!(lora("c.gguf -1").0, Some(vec![("a b.gguf".into(), 0.5), ("c.gguf".into(), -1.0)]));
    assert!(lora("").1.contains("`a b.gguf` × 0.5, `c.gguf` × -1"));
    assert_eq!(lora("off").0, Some(Vec::new()));
}

#[test]
fn a_wrong_adapter_leaves_the_model_loaded() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    let mut out = Vec::new();
    app.command("lora", "wrong.gguf", &mut out);
    assert_eq!(checked(&out).lora, [("wrong.gguf".into(), 1.0)]);
    let message = "cannot load the adapter `wrong.gguf`: it is no adapter";
    app.update(Msg::Models(ModelsMsg::Failed(UserError::failed(message))));
    assert!(told(&app).contains("wrong.gguf") && app.model.lora.is_empty());
    assert!(asked(&say(&mut app, "two")).is_some(), "the model answers as before");
    done(&mut app, Stop::End);
    app.command("lora", "wrong.gguf", &mut out);
    assert!(asked(&say(&mut app, "three")).is_none(), "it may be meant for what is loaded next");
    assert!(asked(&app.update(Msg::Models(ModelsMsg::Failed(UserError::failed(message))))).is_some());
}

#[test]
fn what_cannot_be_loaded_after_all_gives_way_to_what_was_loaded_before() {
    let mut app = ready(SIZE);
    for (command, args) in [("lora", "wrong.gguf"), ("model", "other")] {
        let mut out = Vec::new();
        app.command(command, args, &mut out);
        app.update(Msg::Models(ModelsMsg::Checked(checked(&out))));
        assert!(!app.model.is_ready());
        let effects = app.update(Msg::Engine(Event::LoadFailed(UserError::failed("it is broken"))));
        assert!(effects.contains(&Effect::StartEngine(Load { model: None, lora: Vec::new() })), "{effects:?}");
        assert!(told(&app).contains("it is broken") && told(&app).contains("back to `tiny`"));
        app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
        assert!(app.model.is_ready() && app.model.name == "tiny");
    }
}

#[test]
fn what_fails_twice_is_not_tried_a_third_time() {
    let mut app = ready(SIZE);
    let mut out = Vec::new();
    app.command("model", "other", &mut out);
    app.update(Msg::Models(ModelsMsg::Checked(checked(&out))));
    let failed = || Msg::Engine(Event::LoadFailed(UserError::failed("no memory")));
    assert!(app.update(failed()).iter().any(|effect| matches!(effect, Effect::StartEngine(_))));
    assert!(!app.update(failed()).iter().any(|effect| matches!(effect, Effect::StartEngine(_))));
}

#[test]
fn adapters_stay_with_the_model_they_were_made_for() {
    let mut app = ready(SIZE);
    app.model.lora = vec![("a.gguf".into(), 1.0)];
    let mut out = Vec::new();
    app.command("model", "other", &mut out);
    assert!(checked(&out).lora.is_empty() && told(&app).contains("without adapters"));
}

#[test]
fn what_is_chosen_is_kept_for_the_next_start() {
    let mut app = ready(SIZE);
    let kept = |app: &mut App, command: &str, args: &str| {
        let mut out = Vec::new();
        app.command(command, args, &mut out);
        out.into_iter().find_map(|effect| match effect {
            Effect::KeepPreference(preference) => Some(preference),
            _ => None,
        })
    };
    assert_eq!(kept(&mut app, "preset", "precise"), Some(Preference::Preset(Preset::Precise)));
    assert_eq!(kept(&mut app, "preset", "nonsense"), None);
    assert!(told(&app).contains("no preset `nonsense`: `auto`, `greedy`"), "{}", told(&app));
    assert_eq!(kept(&mut app, "theme", "pink"), None);
    assert!(told(&app).contains("no theme `pink`: `auto`, `dark`, `light`, `plain`"), "{}", told(&app));
    assert_eq!(kept(&mut app, "theme", "light"), Some(Preference::Theme(ThemeChoice::Light)));
    assert_eq!(kept(&mut app, "mouse", ""), Some(Preference::Mouse(true)));
    assert_eq!(kept(&mut app, "context", "summarise"), Some(Preference::Overflow(crate::engine::Overflow::Summarise)));
    let mut out = Vec::new();
    app.command("theme", "", &mut out);
    let effects = key(&mut app, KeyCode::Enter);
    assert_eq!(effects, [Effect::KeepPreference(Preference::Theme(ThemeChoice::Auto))], "from the list too");
    app.command("model", "other", &mut out);
    out = app.update(Msg::Models(ModelsMsg::Checked(checked(&out))));
    let model = Effect::KeepPreference(Preference::Model("other".into()));
    assert!(!out.contains(&model), "not before it could be loaded");
    assert!(app.update(Msg::Engine(Event::Loaded(Box::new(facts())))).contains(&model));
}

#[test]
fn a_list_filters_as_one_types_and_escape_goes_back_where_one_came_from() {
    let mut app = ready(SIZE);
    let mut out = Vec::new();
    app.command("help", "", &mut out);
    type_in(&mut app, "KEYB phone");
    let Some(Overlay::Choose(choose)) = &app.overlay else { panic!() };
    assert_eq!(choose.shown().len(), 1);
    assert!(app.composer.field.is_empty());
    key(&mut app, KeyCode::Enter);
    assert!(matches!(&app.overlay, Some(Overlay::Page(page)) if page.title == "On a phone"));
    key(&mut app, KeyCode::Esc);
    assert!(matches!(app.overlay, Some(Overlay::Choose(_))), "back to the list");
    type_in(&mut app, "no such guide");
    assert_eq!(key(&mut app, KeyCode::Enter), []);
    assert!(matches!(app.overlay, Some(Overlay::Choose(_))), "nothing is chosen where nothing is found");
    key(&mut app, KeyCode::Esc);
    app.command("help", "keys", &mut out);
    key(&mut app, KeyCode::Esc);
    assert!(app.overlay.is_none(), "back to the chat");
}

#[test]
fn the_list_of_models_filters_as_one_types() {
    let mut app = ready(SIZE);
    app.command("model", "", &mut Vec::new());
    let offer = |name: &str| Offer {
        name: name.into(),
        about: "small".into(),
        bytes: 1,
        installed: true,
        fits: Ok(()),
        recommended: false,
    };
    app.update(Msg::Models(ModelsMsg::Offered(vec![offer("alpha"), offer("beta"), offer("gamma")])));
    type_in(&mut app, "bet");
    assert_eq!(checked(&key(&mut app, KeyCode::Enter)).model.as_deref(), Some("beta"));
}

fn kept_of(effects: &[Effect]) -> Option<&str> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::KeepUnsent(text) => Some(text.as_str()),
        _ => None,
    })
}

#[test]
fn what_is_typed_is_kept_within_a_second_and_let_go_when_it_is_sent() {
    let mut app = ready(SIZE);
    type_in(&mut app, "half a");
    let due = app.wakes_at().expect("it is kept even if nothing else happens");
    assert!(due <= app.clock + 1000);
    assert_eq!(kept_of(&app.update(Msg::Now(due))), Some("half a"));
    assert_eq!(app.wakes_at(), None);
    type_in(&mut app, " thought");
    assert_eq!(kept_of(&app.hang_up(due + 1)), Some("half a thought"), "at the end at once");
    assert_eq!(kept_of(&key(&mut app, KeyCode::Enter)), Some(""), "it is in the journal now");
}

#[test]
fn a_message_that_waits_is_kept_however_long_it_is() {
    let mut app = fresh(SIZE);
    app.update(Msg::Now(1_700_000_000_000));
    let long = "word ".repeat(10_000);
    say(&mut app, &long);
    assert!(app.outgoing.is_some());
    type_in(&mut app, "and more");
    let effects = app.update(Msg::Now(app.clock + 1000));
    assert_eq!(kept_of(&effects), Some(format!("{}\nand more", long.trim()).as_str()));
    let effects = app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    assert!(asked(&effects).is_some());
    assert_eq!(kept_of(&app.update(Msg::Now(app.clock + 1000))), Some("and more"));
}

#[test]
fn what_an_earlier_run_left_does_not_hide_the_offer_to_resume() {
    let id = SessionId::new(1_700_000_000_000, 1);
    let conversation = Conversation::new(id, "tiny", 1_700_000_000);
    let settings = Config::default();
    let setup = Setup {
        conversation,
        model: Some("tiny".into()),
        lora: Vec::new(),
        settings,
        history: Vec::new(),
        notices: Vec::new(),
        input: "half a thought".into(),
        size: SIZE,
    };
    let mut app = App::new(setup);
    app.update(Msg::Now(1_700_000_000_000));
    app.update(Msg::Session(SessionMsg::Offer(summary(1, "old", true))));
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::OpenSession(summary(1, "old", true).id)]);
    assert_eq!(app.composer.field.text(), "half a thought");
}

#[test]
fn tab_completes_paths_behind_commands_and_in_fields() {
    let completed = |typed: &str, text: &str, choices: &[&str]| {
        let choices = choices.iter().map(|name| (*name).to_owned()).collect();
        Msg::Files(FilesMsg::Completed { typed: typed.into(), text: text.into(), choices })
    };
    let mut app = ready(SIZE);
    type_in(&mut app, "/lora ad");
    assert_eq!(key(&mut app, KeyCode::Tab), [Effect::CompletePath("ad".into())]);
    app.update(completed("ad", "adapters/", &[]));
    assert_eq!(app.composer.field.text(), "/lora adapters/");
    app.update(completed("ad", "adapters/", &[]));
    assert_eq!(app.composer.field.text(), "/lora adapters/", "a late answer changes nothing");
    key(&mut app, KeyCode::Tab);
    app.update(completed("adapters/", "adapters/", &["a.gguf", "b.gguf"]));
    assert!(told(&app).contains("a.gguf  b.gguf"));
    app.command("model", "", &mut Vec::new());
    key(&mut app, KeyCode::End);
    key(&mut app, KeyCode::Enter);
    type_in(&mut app, "~/Down");
    assert_eq!(key(&mut app, KeyCode::Tab), [Effect::CompletePath("~/Down".into())]);
    app.update(completed("~/Down", "~/Download/", &[]));
    assert_eq!(key(&mut app, KeyCode::Enter), [Effect::AddModel("~/Download/".into())]);
}

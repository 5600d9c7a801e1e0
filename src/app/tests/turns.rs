//! What is asked and answered, what stops an answer, and what waits meanwhile.

use super::*;

#[test]
fn enter_writes_the_question_before_it_asks() {
    let mut app = ready(SIZE);
    let effects = say(&mut app, "why?");
    let entries = written(&effects);
    assert!(matches!(entries[0], Entry::Node { role: Role::User, text, .. } if text == "why?"));
    assert!(matches!(entries[1], Entry::Node { role: Role::Assistant, text, .. } if text.is_empty()));
    assert_eq!(asked(&effects).unwrap().turns.last().unwrap().content, "why?");
    let at = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
    assert!(at(|effect| *effect == Effect::Sync) < at(|effect| matches!(effect, Effect::Ask(_))));
    assert!(app.composer.field.is_empty());
}

#[test]
fn the_system_prompt_goes_with_the_first_conversation_too() {
    let mut app = fresh(SIZE);
    app.settings.chat.system = Some("Be brief.".into());
    let effects = app.begin();
    assert!(matches!(written(&effects)[..], [Entry::System { text: Some(text) }] if text == "Be brief."));
    app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    let first = asked(&say(&mut app, "why?")).unwrap().turns[0].clone();
    assert_eq!((first.role, first.content.as_str()), (Role::System, "Be brief."));
}

#[test]
fn the_journal_gets_what_was_written_within_a_second() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    let start = app.clock;
    assert!(written(&piece(&mut app, "one ")).is_empty());
    app.update(Msg::Now(start + 300));
    assert!(written(&piece(&mut app, "two ")).is_empty());
    assert!(app.wakes_at().unwrap() <= start + 1000);
    let effects = app.update(Msg::Now(start + 800));
    assert!(matches!(written(&effects)[..], [Entry::Append { text, .. }] if text == "one two "));
    assert!(effects.contains(&Effect::Sync));
    piece(&mut app, "three");
    let effects = done(&mut app, Stop::End);
    assert!(matches!(written(&effects)[..], [Entry::Append { text, .. }, Entry::End { .. }] if text == "three"));
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "one two three");
}

#[test]
fn the_journal_alone_gives_the_same_conversation() {
    let mut app = ready(SIZE);
    let mut entries = vec![Entry::session(app.conversation.id().clone(), 1_700_000_000, "tiny")];
    let mut effects = say(&mut app, "one");
    effects.extend(piece(&mut app, "1"));
    effects.extend(done(&mut app, Stop::End));
    effects.extend(press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT));
    effects.extend(piece(&mut app, "uno"));
    effects.extend(done(&mut app, Stop::Cancelled));
    entries.extend(written(&effects).into_iter().cloned());
    let read = Conversation::from_entries(&entries).unwrap();
    assert_eq!(read.path(), app.path);
    assert_eq!(read.nodes(), app.conversation.nodes());
}

#[test]
fn late_pieces_of_a_dead_job_are_dropped() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    let job = app.turn.answer().unwrap().job;
    done(&mut app, Stop::Cancelled);
    app.update(Msg::Engine(Event::Piece { job, text: "ghost".into() }));
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "");
    app.update(Msg::Engine(Event::Piece { job: JobId(999), text: "ghost".into() }));
}

#[test]
fn escape_stops_and_what_came_stays() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    piece(&mut app, "because");
    let job = app.turn.answer().unwrap().job;
    assert_eq!(key(&mut app, KeyCode::Esc), [Effect::Cancel(job)]);
    assert_eq!(key(&mut app, KeyCode::Esc), []);
    done(&mut app, Stop::Cancelled);
    let node = app.conversation.node(app.path[1]).unwrap();
    assert_eq!((node.text.as_str(), node.stop), ("because", Some(Stop::Cancelled)));
}

#[test]
fn the_second_interrupt_leaves_and_another_key_disarms_it() {
    let mut app = ready(SIZE);
    type_in(&mut app, "half a thought");
    let ctrl_c = |app: &mut App| press(app, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(ctrl_c(&mut app), [Effect::Remember("half a thought".into())]);
    assert!(app.composer.field.is_empty());
    key(&mut app, KeyCode::Up);
    assert_eq!(app.composer.field.text(), "half a thought", "it was kept");
    assert_eq!(ctrl_c(&mut app), []);
    assert!(ctrl_c(&mut app).contains(&Effect::Quit));
}

#[test]
fn a_message_sent_meanwhile_waits_and_can_be_taken_back() {
    let mut app = ready(SIZE);
    say(&mut app, "one");
    assert!(asked(&say(&mut app, "two")).is_none());
    say(&mut app, "three");
    assert!(told(&app).contains("queued already"));
    assert_eq!(app.composer.field.text(), "three", "what is refused stays in the input");
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.composer.field.text(), "two\nthree");
    app.composer.field.take();
    say(&mut app, "four");
    let effects = done(&mut app, Stop::End);
    assert_eq!(asked(&effects).unwrap().turns.last().unwrap().content, "four");
}

#[test]
fn a_message_waits_for_the_model_and_comes_back_if_it_fails() {
    let mut app = fresh(SIZE);
    assert!(asked(&say(&mut app, "hello")).is_none());
    let effects = app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    assert!(asked(&effects).is_some());
    let mut app = fresh(SIZE);
    say(&mut app, "hello");
    app.update(Msg::Engine(Event::LoadFailed(UserError::failed("it is broken"))));
    assert_eq!(app.composer.field.text(), "hello");
    assert!(told(&app).contains("it is broken"));
}

#[test]
fn an_engine_that_dies_ends_the_answer_and_keeps_the_text() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    piece(&mut app, "be");
    let effects = app.update(Msg::EngineGone);
    assert!(matches!(written(&effects)[..], [Entry::Append { .. }, Entry::End { stop: None, .. }]));
    assert!(!app.turn.is_answering() && !app.model.is_ready());
}

#[test]
fn an_engine_that_is_started_again_goes_on_with_the_answer() {
    let mut app = ready(SIZE);
    exchange(&mut app, "what?", "that");
    say(&mut app, "why?");
    piece(&mut app, "be");
    let with = Some("with a context of 2048 tokens".to_owned());
    let effects = app.update(Msg::Engine(Event::Died { how: "was killed: memory ran out".into(), with }));
    assert!(written(&effects).is_empty() && app.turn.is_answering() && !app.model.is_ready());
    let said =
        "the engine was killed: memory ran out; it starts again with a context of 2048 tokens, and the answer goes on";
    assert!(told(&app).contains(said), "{}", told(&app));
    let effects = app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::RestoreCache(..) | Effect::Ask(_))), "{effects:?}");
    piece(&mut app, "cause");
    done(&mut app, Stop::End);
    assert_eq!(app.conversation.node(app.path[3]).unwrap().text, "because");
    app.update(Msg::Engine(Event::Died { how: "was killed".into(), with: None }));
    assert!(told(&app).contains("the engine was killed; it starts again"));
    let effects = app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::RestoreCache(..))), "{effects:?}");
}

#[test]
fn a_backslash_at_the_end_begins_a_new_line() {
    let mut app = ready(SIZE);
    type_in(&mut app, "a\\");
    assert_eq!(key(&mut app, KeyCode::Enter), []);
    press(&mut app, KeyCode::Enter, KeyModifiers::ALT);
    press(&mut app, KeyCode::Char('j'), KeyModifiers::CONTROL);
    assert_eq!(app.composer.field.text(), "a\n\n\n");
}

#[test]
fn regenerating_makes_a_sibling_and_branches_are_walked() {
    let mut app = ready(SIZE);
    exchange(&mut app, "why?", "first");
    assert!(asked(&press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT)).is_some());
    piece(&mut app, "second");
    done(&mut app, Stop::End);
    assert_eq!(app.conversation.siblings(app.path[1]).0.len(), 2);
    let effects = press(&mut app, KeyCode::Char(','), KeyModifiers::ALT);
    assert!(matches!(written(&effects)[..], [Entry::Head { .. }]));
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "first");
    press(&mut app, KeyCode::Char(','), KeyModifiers::ALT);
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "second");
}

#[test]
fn editing_a_message_makes_a_branch_beside_it() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    exchange(&mut app, "two", "2");
    app.command("rewrite", "1", &mut Vec::new());
    assert_eq!(app.composer.field.text(), "one");
    let effects = say(&mut app, "!");
    assert_eq!(asked(&effects).unwrap().turns.len(), 1);
    assert_eq!(app.conversation.node(app.path[0]).unwrap().text, "one!");
    assert_eq!(app.conversation.siblings(app.path[0]).0.len(), 2);
    assert_eq!(app.conversation.len(), 6, "nothing was thrown away");
}

#[test]
fn code_blocks_are_numbered_through_the_branch_and_copied_by_number() {
    let mut app = ready(SIZE);
    exchange(&mut app, "a", "```rust\nfn a() {}\n```\ntext\n```\nb\n```");
    exchange(&mut app, "c", "<think>\n```\nno\n```\n</think>\n```py\nc = 1\n```");
    let mut out = Vec::new();
    app.command("copy", "3", &mut out);
    assert_eq!(out, [Effect::Copy { text: "c = 1\n".into(), what: "code block 3".into() }]);
    out.clear();
    app.command("copy", "", &mut out);
    assert!(matches!(&out[..], [Effect::Copy { text, .. }] if text == "```py\nc = 1\n```"));
    app.command("copy", "9", &mut out);
    assert!(told(&app).contains("no code block 9"));
}

#[test]
fn files_are_read_before_the_message_is_sent() {
    let mut app = ready(SIZE);
    let effects = say(&mut app, "explain @src/a.rs and @Override");
    let Some(Effect::ReadFiles(reading)) = effects.iter().find(|effect| matches!(effect, Effect::ReadFiles(_))) else {
        panic!("{effects:?}")
    };
    assert_eq!(reading.patterns, ["src/a.rs", "Override"]);
    assert!(reading.tokens > 2000 && reading.tokens < 4096);
    let attachments = vec![Attachment { name: "src/a.rs".into(), text: "fn a() {}".into(), real: None }];
    let read = FilesMsg::Read {
        id: app.reading,
        attachments,
        notices: vec!["cut".into()],
        unmatched: vec!["Override".into()],
    };
    let effects = app.update(Msg::Files(read));
    assert!(asked(&effects).unwrap().turns[0].content.contains("fn a() {}"));
    assert_eq!(told(&app), "cut", "a decorator is not a missing file");
}

#[test]
fn the_cut_is_kept_in_the_conversation_and_holds_for_the_next_turn() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    exchange(&mut app, "two", "2");
    say(&mut app, "three");
    let job = app.turn.answer().unwrap().job;
    let effects =
        app.update(Msg::Engine(Event::Cut { job, turns: 2, trimmed_lines: 0, earlier_lines: 0, summary: None }));
    let [Entry::Cut { first_kept, .. }] = written(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(*first_kept, app.path[2]);
    piece(&mut app, "3");
    done(&mut app, Stop::End);
    let effects = say(&mut app, "four");
    assert_eq!(asked(&effects).unwrap().turns[0].content, "two");
}

#[test]
fn lines_left_out_of_the_last_answer_are_told() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    say(&mut app, "two");
    let job = app.turn.answer().unwrap().job;
    let cut = Event::Cut { job, turns: 0, trimmed_lines: 0, earlier_lines: 7, summary: None };
    assert!(written(&app.update(Msg::Engine(cut))).is_empty());
    assert!(told(&app).contains("last answer") && told(&app).contains("7 lines"), "{}", told(&app));
}

#[test]
fn an_empty_answer_is_told() {
    for (text, words) in
        [("", "the answer is empty"), (" \n", "the answer is empty"), ("<think>\nhm", "gave no answer")]
    {
        let mut app = ready(SIZE);
        say(&mut app, "why?");
        piece(&mut app, text);
        done(&mut app, Stop::End);
        assert!(told(&app).contains(words), "{text:?}: {}", told(&app));
    }
    let mut app = ready(SIZE);
    exchange(&mut app, "why?", "because");
    assert_eq!(told(&app), "");
}

#[test]
fn what_was_on_its_way_when_the_answer_was_stopped_is_left_out() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    piece(&mut app, "because");
    let effects = key(&mut app, KeyCode::Esc);
    assert!(matches!(effects[..], [Effect::Cancel(_)]), "{effects:?}");
    piece(&mut app, " of a flood");
    done(&mut app, Stop::Cancelled);
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "because");
}

#[test]
fn a_server_that_does_not_say_its_context_is_not_taken_for_a_small_one() {
    let server = |n_ctx| Facts { server: Some("host:1".into()), n_ctx, plan: None, ..facts() };
    for (n_ctx, least) in [(0, 60_000), (8192, 12_000)] {
        let mut app = fresh(SIZE);
        app.update(Msg::Loading { name: "m".into(), plan: None });
        assert!(app.model.n_ctx() > 8192, "while it connects");
        app.update(Msg::Engine(Event::Loaded(Box::new(server(n_ctx)))));
        let effects = say(&mut app, "@src/a.rs why?");
        let tokens = effects.iter().find_map(|effect| match effect {
            Effect::ReadFiles(reading) => Some(reading.tokens),
            _ => None,
        });
        assert!(tokens.unwrap() * 4 > least, "{n_ctx}: {tokens:?}");
    }
}

#[test]
fn a_message_that_waits_is_not_asked_in_another_conversation() {
    let other = || {
        let id = SessionId::new(1_700_000_000_001, 2);
        let conversation = Box::new(Conversation::new(id, "tiny", 1_700_000_000));
        Msg::Session(SessionMsg::Opened { conversation, notice: None })
    };
    let loaded = || Msg::Engine(Event::Loaded(Box::new(facts())));
    // Opened before the model is loaded, and the other way round.
    for load_first in [false, true] {
        let mut app = fresh(SIZE);
        assert!(asked(&say(&mut app, "for here only")).is_none());
        let mut out = Vec::new();
        app.open_session(SessionId::new(1_700_000_000_001, 2), None, &mut out);
        assert!(matches!(out[..], [Effect::OpenSession(_)]));
        for msg in if load_first { [loaded(), other()] } else { [other(), loaded()] } {
            let effects = app.update(msg);
            assert!(asked(&effects).is_none() && written(&effects).is_empty(), "{effects:?}");
        }
        assert!(app.outgoing.is_none() && app.conversation.is_empty());
        assert_eq!(app.composer.field.text(), "for here only");
        let effects = key(&mut app, KeyCode::Enter);
        assert_eq!(asked(&effects).unwrap().turns[0].content, "for here only");
    }
    // One that cannot be opened: the message is asked where it was written.
    let mut app = fresh(SIZE);
    say(&mut app, "for here only");
    app.open_session(SessionId::new(1_700_000_000_001, 2), None, &mut Vec::new());
    assert!(asked(&app.update(loaded())).is_none());
    let failed = SessionMsg::NotOpened(UserError::failed("it is gone"));
    assert!(asked(&app.update(Msg::Session(failed))).is_some());
}

#[test]
fn what_is_sent_between_open_and_opened_is_asked_in_neither_conversation_by_itself() {
    let id = || SessionId::new(1_700_000_000_001, 2);
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    app.open_session(id(), None, &mut Vec::new());
    // a full disk, a list that cannot be read: nothing of that ends the opening
    app.update(Msg::Session(SessionMsg::Failed(UserError::failed("the disk is full"))));
    let effects = say(&mut app, "for the other");
    assert!(asked(&effects).is_none() && written(&effects).is_empty(), "{effects:?}");
    let conversation = Box::new(Conversation::new(id(), "tiny", 1_700_000_000));
    let effects = app.update(Msg::Session(SessionMsg::Opened { conversation, notice: None }));
    assert!(asked(&effects).is_none() && written(&effects).is_empty(), "{effects:?}");
    assert_eq!((app.composer.field.text(), app.conversation.id()), ("for the other", &id()));
    let effects = key(&mut app, KeyCode::Enter);
    assert_eq!(asked(&effects).unwrap().turns.len(), 1, "nothing of the first conversation");
}

#[test]
fn what_is_sent_while_a_new_conversation_is_made_goes_into_neither_by_itself() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    let mut out = Vec::new();
    app.command("new", "", &mut out);
    assert!(matches!(out[..], [.., Effect::NewSession]));
    assert!(asked(&say(&mut app, "for the new one")).is_none(), "it is not asked in the one that is left");
    app.command("regenerate", "", &mut out);
    assert!(asked(&out).is_none(), "nor is anything else");
    let conversation = Box::new(Conversation::new(SessionId::new(1_700_000_000_001, 2), "tiny", 1_700_000_000));
    let effects = app.update(Msg::Session(SessionMsg::Opened { conversation, notice: None }));
    assert!(asked(&effects).is_none());
    assert_eq!(app.composer.field.text(), "for the new one");
    assert_eq!(asked(&key(&mut app, KeyCode::Enter)).unwrap().turns.len(), 1, "nothing of the first conversation");
}

#[test]
fn files_that_were_read_too_late_are_no_other_messages() {
    let mut app = ready(SIZE);
    let late = || Attachment { name: "a.rs".into(), text: "fn late() {}".into(), real: None };
    say(&mut app, "@a.rs why?");
    let first = app.reading;
    assert!(app.take_back());
    app.composer.field.take();
    say(&mut app, "@b.rs why?");
    let read = |id| Msg::Files(FilesMsg::Read { id, attachments: vec![late()], notices: vec![], unmatched: vec![] });
    assert!(asked(&app.update(read(first))).is_none());
    let second = app.reading;
    assert!(asked(&app.update(read(second))).unwrap().turns[0].content.contains("fn late"));
    // neither do they take one that waits by then
    let mut app = fresh(SIZE);
    let effects = say(&mut app, "@a.rs why?");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReadFiles(_))), "{effects:?}");
    assert!(app.take_back());
    app.composer.field.take();
    say(&mut app, "why?");
    assert!(matches!(app.outgoing, Some(Outgoing::Waiting(_))));
    app.update(Msg::Files(FilesMsg::Read { id: app.reading, attachments: vec![], notices: vec![], unmatched: vec![] }));
    let effects = app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    assert_eq!(asked(&effects).unwrap().turns.last().unwrap().content, "why?");
}

#[test]
fn thinking_opened_by_the_template_is_marked_in_the_text() {
    let mut app = ready(SIZE);
    app.update(Msg::Engine(Event::Loaded(Box::new(Facts { thinks: true, ..facts() }))));
    say(&mut app, "why?");
    piece(&mut app, "hm</think>because");
    done(&mut app, Stop::End);
    assert_eq!(app.conversation.node(app.path[1]).unwrap().text, "<think>\nhm</think>because");
    say(&mut app, "and?");
    piece(&mut app, "<th");
    piece(&mut app, "ink>x</think>so");
    done(&mut app, Stop::End);
    assert_eq!(app.conversation.node(app.path[3]).unwrap().text, "<think>x</think>so");
}

#[test]
fn scrolled_away_new_text_is_marked_and_not_followed() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    say(&mut app, "two");
    assert_eq!(app.scroll, Scroll::Follow);
    app.update(Msg::Scrolled(Scrolled::Chat(Scroll::At(app.path[0], 0))));
    piece(&mut app, "2");
    assert!(app.unread && app.scroll == Scroll::At(app.path[0], 0));
    assert_eq!(key(&mut app, KeyCode::End), [Effect::Scroll(Move::Bottom)]);
    app.update(Msg::Scrolled(Scrolled::Chat(Scroll::Follow)));
    assert!(!app.unread);
}

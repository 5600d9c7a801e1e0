use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn text_of(entries: &[Entry]) -> String {
    entries.iter().map(|entry| entry.line().unwrap()).collect()
}

fn header() -> Entry {
    Entry::session(SessionId::new(1_795_256_045_000, 0xabc), 1_795_256_045, "SmolLM2")
}

fn node(id: u32, parent: Option<u32>, role: Role, text: &str) -> Entry {
    Entry::Node {
        id: NodeId(id),
        parent: parent.map(NodeId),
        role,
        text: text.into(),
        attachments: vec![],
        at: u64::from(id),
    }
}

fn append(id: u32, text: &str) -> Entry {
    Entry::Append { id: NodeId(id), text: text.into() }
}

fn end(id: u32) -> Entry {
    Entry::End { id: NodeId(id), stop: Some(Stop::End), stats: Some(Stats { prompt_tokens: 7, ..Stats::default() }) }
}

fn sample() -> Vec<Entry> {
    let mut entries = vec![header(), Entry::System { text: Some("be \"brief\"\n".into()) }];
    let mut parent = None;
    for turn in 0..6 {
        let id = turn * 2;
        entries.push(node(id, parent, Role::User, &format!("question {turn} 漢字\nline")));
        entries.push(node(id + 1, Some(id), Role::Assistant, ""));
        for piece in ["<think>hm</think>", "an ", "answer 😀", "\n```rust\nfn f() {}\n```"] {
            entries.push(append(id + 1, piece));
        }
        entries.push(end(id + 1));
        parent = Some(id + 1);
    }
    entries.push(Entry::Title { text: "sample".into() });
    entries.push(Entry::Cut { first_kept: NodeId(4), summary: Some("so far".into()) });
    entries
}

#[test]
fn the_lines_are_the_contract() {
    let id = SessionId::parse("20261121-101405-00000abc").unwrap();
    assert_eq!(header(), Entry::session(id, 1_795_256_045, "SmolLM2"));
    let mut entries = vec![header(), node(0, None, Role::User, "hi"), append(1, "a\n"), Entry::Head { id: None }];
    entries.push(Entry::End { id: NodeId(1), stop: Some(Stop::Cancelled), stats: None });
    let expected = concat!(
        r#"{"t":"session","v":1,"id":"20261121-101405-00000abc","at":1795256045,"model":"SmolLM2"}"#,
        "\n",
        r#"{"t":"node","id":0,"parent":null,"role":"user","text":"hi","at":0}"#,
        "\n",
        r#"{"t":"append","id":1,"text":"a\n"}"#,
        "\n",
        r#"{"t":"head","id":null}"#,
        "\n",
        r#"{"t":"end","id":1,"stop":"cancelled","stats":null}"#,
        "\n",
    );
    assert_eq!(text_of(&entries), expected);
}

#[test]
fn a_name_can_only_name_a_file_here() {
    for bad in ["", "-x", "../x", "a/b", "A", "a.b", "é", "x\n", &"a".repeat(65)] {
        assert!(SessionId::parse(bad).is_err(), "{bad:?}");
    }
    assert!(SessionId::parse(&"a".repeat(64)).is_ok());
    assert!(serde_json::from_str::<SessionId>("\"../x\"").is_err());
    assert!(SessionId::new(u64::MAX, u32::MAX).as_str().len() <= 64);
}

#[test]
fn names_sort_by_the_millisecond_whatever_is_drawn() {
    assert_eq!(SessionId::new(1_795_256_045_007, u32::MAX).as_str(), "20261121-101405-007fffff");
    assert!(SessionId::new(999, u32::MAX) < SessionId::new(1_000, 0) && SessionId::new(7, 9) < SessionId::new(8, 3));
}

#[test]
fn a_torn_last_line_is_dropped() {
    let mut text = text_of(&[header(), node(0, None, Role::User, "hi"), node(1, Some(0), Role::Assistant, "")]);
    let whole = read(Cursor::new(&text)).unwrap();
    assert_eq!((whole.skipped, whole.torn), (0, false));
    text.push_str(r#"{"t":"append","id":1,"text":"half"#);
    let torn = read(Cursor::new(&text)).unwrap();
    assert_eq!((torn.skipped, torn.torn), (0, true));
    assert_eq!(torn.conversation, whole.conversation);
    assert!(torn.conversation.node(NodeId(1)).unwrap().is_open());
}

#[test]
fn garbage_in_the_middle_does_not_take_the_rest() {
    let lines: Vec<String> = sample().iter().map(|entry| entry.line().unwrap()).collect();
    // The question and the empty answer of the fourth turn are destroyed, what hangs on them is not.
    let (question, answer) = (23, 24);
    assert!(lines[question].contains("question 3") && lines[answer].contains("assistant"));
    for garbage in ["\0\0\0\0\n", "{\"t\":\n", "\u{fffd}\n", "{\"t\":\"later\",\"x\":1}\n", "[]\n"] {
        let mut damaged = lines.clone();
        damaged[question] = garbage.into();
        damaged[answer] = garbage.into();
        let read = read(Cursor::new(damaged.concat())).unwrap();
        assert_eq!((read.skipped, read.torn), (2, false));
        let said: Vec<String> = read.conversation.turns().into_iter().map(|turn| turn.content).collect();
        assert_eq!(said.len(), 1 + 8 - 1, "{said:?}");
        assert!(said.iter().any(|text| text.starts_with("question 5")));
        assert_eq!(read.conversation.path().len(), 11);
        assert!(read.conversation.node(NodeId(7)).unwrap().text.contains("answer 😀"));
    }
}

#[test]
fn a_destroyed_first_line_costs_only_what_it_said() {
    let text = text_of(&sample());
    let rest = text.split_once('\n').unwrap().1;
    let id = SessionId::parse("x").unwrap();
    let read_back = read_as(Cursor::new(format!("garbage\n{rest}")), &id).unwrap();
    assert_eq!(read_back.skipped, 1);
    assert_eq!(read_back.conversation.len(), 12);
    assert_eq!(read_back.conversation.id(), &id);
    assert!(matches!(read(Cursor::new("garbage\n")), Err(JournalError::NoSession)));
    assert!(matches!(read(Cursor::new("")), Err(JournalError::NoSession)));
    assert!(read_as(Cursor::new(""), &id).unwrap().conversation.is_empty());
}

#[test]
fn a_later_version_is_refused_in_any_shape() {
    for line in [r#"{"t":"session","v":2,"id":"x","at":0,"model":"","new":[1]}"#, r#"{"t":"session","v":9,"name":"?"}"#]
    {
        let refused = read(Cursor::new(line)).unwrap_err();
        assert!(matches!(refused, JournalError::Future { found: 2 | 9 }), "{refused}");
        assert!(refused.hint().is_some());
    }
}

#[test]
fn an_endless_line_is_skipped_without_keeping_it() {
    let mut text = text_of(&[header(), node(0, None, Role::User, "hi")]).into_bytes();
    text.resize(text.len() + MAX_LINE + 5, b'x');
    text.push(b'\n');
    text.extend_from_slice(text_of(&[node(1, Some(0), Role::User, "there")]).as_bytes());
    let read = read(Cursor::new(text)).unwrap();
    assert_eq!((read.skipped, read.conversation.len()), (1, 2));
    assert!(matches!(append(0, &"x".repeat(MAX_LINE)).line(), Err(JournalError::Long { .. })));
}

/// A small generator with a fixed seed (xorshift), so that every run tries the same damage.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// One act of damage; gives back where the first changed byte is.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) -> usize {
    let at = dice.below(bytes.len());
    match dice.below(7) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << dice.below(8),
        2 => bytes[at] = [0, b'\n', b'"', b'{', b'}', 0xff, b'9', b'\\'][dice.below(8)],
        3 => {
            let to = (at + dice.below(200)).min(bytes.len());
            bytes.drain(at..to);
        }
        4 => {
            let from = dice.below(bytes.len());
            let piece: Vec<u8> = bytes[from..(from + dice.below(300)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        5 => {
            let to = (at + dice.below(100)).min(bytes.len());
            bytes[at..to].fill(0);
        }
        _ => {
            let deep = "[".repeat(dice.below(5000));
            bytes.splice(at..at, deep.into_bytes());
        }
    }
    at
}

#[test]
fn whatever_is_damaged_what_stood_before_is_there() {
    let text = text_of(&sample());
    let mut dice = Dice(0x5eed_0001);
    for round in 0..6000 {
        let mut bytes = text.clone().into_bytes();
        let mut first = bytes.len();
        for _ in 0..=dice.below(3) {
            if !bytes.is_empty() {
                first = first.min(damage(&mut bytes, &mut dice));
            }
        }
        let whole = text.as_bytes()[..first].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let before = match read(Cursor::new(&text[..whole])) {
            Ok(read) => read.conversation,
            Err(_) => continue,
        };
        let after = match read(Cursor::new(&bytes)) {
            Ok(read) => read.conversation,
            // A digit of the version may have been changed; the header is then what was damaged.
            Err(error) => panic!("round {round}: {error}"),
        };
        assert!(after.len() >= before.len(), "round {round}");
        for (old, new) in before.nodes().iter().zip(after.nodes()) {
            assert_eq!((old.id, old.parent, old.role), (new.id, new.parent, new.role), "round {round}");
            assert!(new.text.starts_with(&old.text), "round {round}");
        }
    }
}

#[test]
fn nothing_makes_the_reader_panic() {
    let text = text_of(&sample());
    let mut dice = Dice(0x5eed_0002);
    for _ in 0..2000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..dice.below(40) {
            if !bytes.is_empty() {
                damage(&mut bytes, &mut dice);
            }
        }
        if let Ok(read) = read(Cursor::new(&bytes)) {
            let conversation = read.conversation;
            let _ = (conversation.turns(), conversation.title(), conversation.cut().is_some());
            let _ = crate::chat::export::export_markdown(&conversation);
        }
    }
}

/// What a person and a model do, as far as it does not need the tree.
#[derive(Clone, Debug)]
enum Act {
    Ask(String, bool),
    Answer(Vec<String>, bool),
    Walk(u32),
    Branch(u32, String),
    Cut(u32, Option<String>),
    Title(String),
    System(Option<String>),
    Notes(Option<String>),
    Model(String),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (".{0,30}", any::<bool>()).prop_map(|(text, attach)| Act::Ask(text, attach)),
        3 => (prop::collection::vec("(.|\n|<think>|</think>){0,12}", 0..5), any::<bool>())
            .prop_map(|(pieces, done)| Act::Answer(pieces, done)),
        1 => any::<u32>().prop_map(Act::Walk),
        1 => (any::<u32>(), ".{0,10}").prop_map(|(at, text)| Act::Branch(at, text)),
        1 => (any::<u32>(), prop::option::of(".{0,10}")).prop_map(|(at, text)| Act::Cut(at, text)),
        1 => ".{0,20}".prop_map(Act::Title),
        1 => prop::option::of(".{0,20}").prop_map(Act::System),
        1 => prop::option::of(".{0,20}").prop_map(Act::Notes),
        1 => ".{0,20}".prop_map(Act::Model),
    ]
}

/// The entries of the acts, applied one by one as a program would.
fn play(acts: Vec<Act>) -> (Vec<Entry>, Vec<Conversation>) {
    let id = SessionId::new(0, 0);
    let mut states = vec![Conversation::new(id.clone(), "m", 3)];
    let mut entries = vec![Entry::session(id, 3, "m")];
    for act in acts {
        let now = states.last().unwrap().clone();
        let pick = |at: u32| now.nodes().get(at as usize % now.len().max(1)).map(|node| node.id);
        let next = now.next_id();
        let new = |parent: Option<NodeId>, role, text: String, attach| Entry::Node {
            id: next,
            parent,
            role,
            text,
            attachments: if attach {
                vec![Attachment { name: "a".into(), text: "b\n".into(), real: None }]
            } else {
                vec![]
            },
            at: u64::from(next.0),
        };
        let steps = match act {
            Act::Ask(text, attach) => vec![new(now.head(), Role::User, text, attach)],
            Act::Answer(pieces, done) => {
                let mut steps = vec![new(now.head(), Role::Assistant, String::new(), false)];
                steps.extend(pieces.into_iter().map(|text| Entry::Append { id: next, text }));
                if done {
                    steps.push(Entry::End { id: next, stop: Some(Stop::Length), stats: Some(Stats::default()) });
                }
                steps
            }
            Act::Walk(at) => vec![Entry::Head { id: pick(at) }],
            Act::Branch(at, text) => {
                vec![new(pick(at).and_then(|id| now.node(id)?.parent), Role::User, text, false)]
            }
            Act::Cut(at, summary) => {
                pick(at).map(|first_kept| Entry::Cut { first_kept, summary }).into_iter().collect()
            }
            Act::Title(text) => vec![Entry::Title { text }],
            Act::System(text) => vec![Entry::System { text }],
            Act::Notes(text) => {
                let file = text.map(|text| Attachment { name: "AGENTS.md".into(), text, real: None });
                vec![Entry::Notes { file }]
            }
            Act::Model(name) => vec![Entry::Model { name }],
        };
        for entry in steps {
            let mut state = states.last().unwrap().clone();
            state.apply(&entry).unwrap();
            states.push(state);
            entries.push(entry);
        }
    }
    (entries, states)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: proptest::test_runner::RngSeed::Fixed(42), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_back_is_what_was_in_memory(acts in prop::collection::vec(act(), 0..25)) {
        let (entries, states) = play(acts);
        let read = read(Cursor::new(text_of(&entries))).unwrap();
        prop_assert_eq!((read.skipped, read.torn), (0, false));
        prop_assert_eq!(&read.conversation, states.last().unwrap());
        prop_assert_eq!(&Conversation::from_entries(&entries).unwrap(), states.last().unwrap());
    }

    #[test]
    fn cut_off_at_any_byte_it_is_a_state_it_once_had(acts in prop::collection::vec(act(), 0..10)) {
        let (entries, states) = play(acts);
        let lines: Vec<String> = entries.iter().map(|entry| entry.line().unwrap()).collect();
        let text = lines.concat();
        let mut ends = Vec::new();
        for line in &lines {
            ends.push(ends.last().unwrap_or(&0) + line.len());
        }
        for length in 0..=text.len() {
            // A line without its break is whole when only the break is missing.
            let whole = ends.iter().filter(|end| **end - 1 <= length).count();
            match read(Cursor::new(&text.as_bytes()[..length])) {
                Ok(read) => {
                    prop_assert_eq!(read.skipped, 0);
                    prop_assert_eq!(&read.conversation, &states[whole - 1]);
                    let line_start = ends.iter().rev().find(|end| **end <= length).copied().unwrap_or(0);
                    prop_assert_eq!(read.torn, length > line_start && whole == ends.iter().filter(|end| **end <= length).count());
                }
                Err(JournalError::NoSession) => prop_assert_eq!(whole, 0),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}

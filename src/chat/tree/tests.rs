use super::*;
use crate::chat::Message;

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

fn end(id: u32) -> Entry {
    Entry::End { id: NodeId(id), stop: Some(Stop::End), stats: None }
}

fn conversation(entries: &[Entry]) -> Conversation {
    let mut all = vec![Entry::session(SessionId::new(0, 1), 5, "m")];
    all.extend_from_slice(entries);
    Conversation::from_entries(&all).unwrap()
}

/// 0 → 1 → 4 → 5, with 2 beside 1 and 3 beside 0.
fn branches() -> Conversation {
    conversation(&[
        node(0, None, Role::User, "a"),
        node(1, Some(0), Role::Assistant, "b"),
        node(2, Some(0), Role::Assistant, "c"),
        node(3, None, Role::User, "d"),
        node(4, Some(1), Role::User, "e"),
        node(5, Some(4), Role::Assistant, "f"),
    ])
}

fn ids(ids: &[u32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[test]
fn a_new_message_is_the_head_and_branches_are_walked() {
    let mut tree = branches();
    assert_eq!(tree.path(), ids(&[0, 1, 4, 5]));
    assert_eq!(tree.siblings(NodeId(1)), (ids(&[1, 2]), 0));
    assert_eq!(tree.siblings(NodeId(3)), (ids(&[0, 3]), 1));
    assert_eq!(tree.siblings(NodeId(9)), (vec![], 0));
    assert_eq!(tree.newest_leaf(NodeId(0)), NodeId(5));
    assert_eq!(tree.newest_leaf(NodeId(2)), NodeId(2));
    tree.apply(&Entry::Head { id: Some(NodeId(2)) }).unwrap();
    assert_eq!(tree.path(), ids(&[0, 2]));
    tree.apply(&Entry::Head { id: None }).unwrap();
    assert_eq!(tree.path(), vec![]);
    assert_eq!(tree.next_id(), NodeId(6));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut tree = branches();
    tree.apply(&end(5)).unwrap();
    let before = tree.clone();
    let big = "x".repeat(MAX_NODE_BYTES + 1);
    let refused = [
        (node(6, Some(9), Role::User, ""), TreeError::Unknown(NodeId(9))),
        (node(6, Some(6), Role::User, ""), TreeError::Unknown(NodeId(6))),
        (node(5, None, Role::User, ""), TreeError::Order { id: NodeId(5), next: NodeId(6) }),
        (node(u32::MAX, None, Role::User, ""), TreeError::Order { id: NodeId(u32::MAX), next: NodeId(6) }),
        (node(6, None, Role::System, ""), TreeError::Role),
        (
            node(6, None, Role::User, &big),
            TreeError::TooLarge { what: "message", size: big.len(), limit: MAX_NODE_BYTES },
        ),
        (
            Entry::Append { id: NodeId(1), text: big.clone() },
            TreeError::TooLarge { what: "message", size: big.len() + 1, limit: MAX_NODE_BYTES },
        ),
        (Entry::Append { id: NodeId(5), text: "x".into() }, TreeError::Closed(NodeId(5))),
        (Entry::Append { id: NodeId(0), text: "x".into() }, TreeError::Closed(NodeId(0))),
        (end(5), TreeError::Closed(NodeId(5))),
        (end(7), TreeError::Unknown(NodeId(7))),
        (Entry::Head { id: Some(NodeId(7)) }, TreeError::Unknown(NodeId(7))),
        (Entry::Cut { first_kept: NodeId(7), summary: None }, TreeError::Unknown(NodeId(7))),
        (
            Entry::Title { text: "x".repeat(5000) },
            TreeError::TooLarge { what: "title", size: 5000, limit: MAX_NAME_BYTES },
        ),
        (Entry::session(SessionId::new(0, 2), 0, ""), TreeError::Header),
    ];
    for (entry, error) in refused {
        assert_eq!(tree.apply(&entry), Err(error));
        assert_eq!(tree, before);
    }
}

#[test]
fn turns_are_what_the_model_may_see() {
    let mut tree = conversation(&[
        Entry::System { text: Some("be brief".into()) },
        Entry::Node {
            id: NodeId(0),
            parent: None,
            role: Role::User,
            text: "why?".into(),
            attachments: vec![Attachment { name: "src/a.rs".into(), text: "// ```\nfn a() {}".into(), real: None }],
            at: 0,
        },
        node(1, Some(0), Role::Assistant, ""),
        Entry::Append { id: NodeId(1), text: "<think>\nhm\n</thi".into() },
        Entry::Append { id: NodeId(1), text: "nk>\n\nbecause".into() },
        end(1),
        node(2, Some(1), Role::User, "and?"),
        node(3, Some(2), Role::Assistant, "<think>only thought"),
        end(3),
        node(4, Some(3), Role::User, "still there?"),
        node(5, Some(4), Role::Assistant, "half an ans"),
    ]);
    let turn = Message::new;
    let all = vec![
        turn(Role::System, "be brief"),
        turn(Role::User, "`src/a.rs`:\n````rs\n// ```\nfn a() {}\n````\n\nwhy?"),
        turn(Role::Assistant, "because"),
        turn(Role::User, "and?"),
        turn(Role::User, "still there?"),
    ];
    assert_eq!(tree.turns(), all);
    assert!(tree.node(NodeId(5)).unwrap().is_open());

    tree.apply(&Entry::Cut { first_kept: NodeId(2), summary: Some("they asked why".into()) }).unwrap();
    let mut kept = vec![turn(Role::System, "be brief\n\nSummary of the conversation so far:\nthey asked why")];
    kept.extend_from_slice(&all[3..]);
    assert_eq!(tree.turns(), kept);

    // On a branch that leaves before the cut, the cut is not.
    tree.apply(&node(6, Some(1), Role::User, "other")).unwrap();
    assert_eq!(tree.cut(), None);
    assert_eq!(tree.turns().len(), 4);
}

#[test]
fn notes_stand_behind_the_system_prompt_and_before_the_summary() {
    let notes = |text: &str| Entry::Notes {
        file: Some(Attachment { name: "AGENTS.md".into(), text: text.into(), real: None }),
    };
    let system = |tree: &Conversation| {
        let turns = tree.turns();
        turns.first().filter(|turn| turn.role == Role::System).map(|turn| turn.content.clone())
    };
    let mut tree = conversation(&[notes("Run ```make```.\n"), node(0, None, Role::User, "why?")]);
    let said = "Notes on this project, from `AGENTS.md`:\n````md\nRun ```make```.\n````";
    assert_eq!(system(&tree).as_deref(), Some(said));
    tree.apply(&Entry::System { text: Some("be brief".into()) }).unwrap();
    assert_eq!(system(&tree), Some(format!("be brief\n\n{said}")));
    tree.apply(&Entry::Cut { first_kept: NodeId(0), summary: Some("they asked".into()) }).unwrap();
    let summed = format!("be brief\n\n{said}\n\nSummary of the conversation so far:\nthey asked");
    assert_eq!(system(&tree), Some(summed), "as the engine puts it, so that the prompt stays the same");
    tree.apply(&notes(" \n")).unwrap();
    assert_eq!(tree.notes(), None, "empty ones are none");
    tree.apply(&notes("x")).unwrap();
    let before = tree.clone();
    let large = "x".repeat(MAX_NODE_BYTES);
    assert!(matches!(tree.apply(&notes(&large)), Err(TreeError::TooLarge { what: "project's notes", .. })));
    assert_eq!(tree, before);
    tree.apply(&Entry::Notes { file: None }).unwrap();
    assert_eq!((tree.notes(), tree.system()), (None, Some("be brief")));
}

#[test]
fn a_title_is_one_clean_line() {
    let titled = |text: &str| conversation(&[node(0, None, Role::User, text)]).title();
    assert_eq!(titled("\n  how\tto \x1b[31m sort\nmore"), "how to [31m sort");
    assert_eq!(titled("   "), "new session");
    assert_eq!(titled(&"漢".repeat(200)), format!("{}…", "漢".repeat(79)));
    assert_eq!(titled(&format!("{} bc", "a".repeat(78))), format!("{}…", "a".repeat(78)));
    let mut tree = conversation(&[node(0, None, Role::User, "x")]);
    tree.apply(&Entry::Title { text: "given\nhere".into() }).unwrap();
    assert_eq!(tree.title(), "given here");
    tree.apply(&Entry::Title { text: " ".into() }).unwrap();
    assert_eq!(tree.title(), "x");
}

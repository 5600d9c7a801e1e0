use std::io::Write as _;

use super::*;
use crate::chat::Role;
use crate::chat::Stop;
use crate::chat::tree::NodeId;

fn node(id: u32, role: Role, text: &str, at: u64) -> Entry {
    let parent = id.checked_sub(1).map(NodeId);
    Entry::Node { id: NodeId(id), parent, role, text: text.into(), attachments: vec![], at }
}

fn append(id: u32, text: &str) -> Entry {
    Entry::Append { id: NodeId(id), text: text.into() }
}

fn end(id: u32) -> Entry {
    Entry::End { id: NodeId(id), stop: Some(Stop::End), stats: None }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("sessions"));
    (dir, store)
}

/// A session with `turns` questions and answers, closed again.
fn session(store: &Store, now: u64, turns: u32, text: &str) -> SessionId {
    let (mut conversation, mut writer) = store.create("m", now * 1000).unwrap();
    let mut put = |entry: Entry| {
        conversation.apply(&entry).unwrap();
        writer.write(&entry).unwrap();
    };
    for turn in 0..turns {
        put(node(turn * 2, Role::User, &format!("question {turn} {text}"), now + u64::from(turn)));
        put(node(turn * 2 + 1, Role::Assistant, "", now + u64::from(turn)));
        for piece in text.as_bytes().chunks(40) {
            put(append(turn * 2 + 1, &String::from_utf8_lossy(piece)));
        }
        put(end(turn * 2 + 1));
    }
    conversation.id().clone()
}

#[test]
fn a_session_appears_with_its_first_message_and_not_before() {
    let (_dir, store) = store();
    let (mut conversation, mut writer) = store.create("m", 5_000).unwrap();
    let path = store.journal_path(conversation.id());
    let system = Entry::System { text: Some("be brief".into()) };
    conversation.apply(&system).unwrap();
    writer.write(&system).unwrap();
    writer.sync().unwrap();
    assert!(!path.exists());
    assert_eq!(store.list().unwrap(), []);
    let question = node(0, Role::User, "hi", 6);
    conversation.apply(&question).unwrap();
    writer.write(&question).unwrap();
    writer.sync().unwrap();
    assert!(path.exists());
    assert_eq!(store.read(conversation.id()).unwrap().conversation, conversation);
}

#[test]
fn a_second_program_is_kept_out_until_the_first_is_gone() {
    let (_dir, store) = store();
    let (conversation, mut writer) = store.create("m", 5_000).unwrap();
    let id = conversation.id().clone();
    writer.write(&node(0, Role::User, "hi", 6)).unwrap();
    let refused = store.open(&id).map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(busy) if *busy == id) && refused.hint().is_some());
    assert!(matches!(store.remove(&id), Err(StoreError::Busy(_))));
    assert_eq!(store.read(&id).unwrap().conversation.len(), 1);
    drop(writer);
    let (_, writer, notice) = store.open(&id).unwrap();
    assert_eq!(notice, Notice::default());
    drop(writer);
    std::fs::write(store.snapshot_path(&id), "kv").unwrap();
    store.remove(&id).unwrap();
    assert!(!store.snapshot_path(&id).exists());
    assert!(matches!(store.remove(&id), Err(StoreError::NotFound(_))));
    assert!(matches!(store.open(&id), Err(StoreError::NotFound(_))));
}

#[test]
fn a_torn_line_is_healed_by_the_next_write() {
    let (_dir, store) = store();
    let id = session(&store, 9, 1, "text");
    let path = store.journal_path(&id);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(br#"{"t":"node","id":2,"par"#).unwrap();
    drop(file);
    let (mut conversation, mut writer, notice) = store.open(&id).unwrap();
    assert!(notice.torn && notice.skipped == 0 && notice.text().is_none());
    let entry = node(2, Role::User, "more", 12);
    conversation.apply(&entry).unwrap();
    writer.write(&entry).unwrap();
    let read = store.read(&id).unwrap();
    assert_eq!((read.conversation, read.skipped, read.torn), (conversation, 1, false));
}

#[test]
fn a_full_disk_is_said_and_leaves_the_journal_readable() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("SKIPPED: this system has no /dev/full");
        return;
    }
    let file = OpenOptions::new().append(true).open(full).unwrap();
    let mut writer = Writer::over(file, full.to_owned(), 0, false, true);
    let refused = writer.write(&node(0, Role::User, "hi", 0)).unwrap_err();
    assert!(matches!(refused, StoreError::Full(_)), "{refused}");
    assert_eq!(crate::error::chain(&refused), "cannot write `/dev/full`: the disk is full");
}

/// Takes a mounted file system down again, also when the test fails.
struct Mount<'a>(&'a Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

/// A file system of a few pages, where the test may mount one.
#[test]
fn a_session_goes_on_when_the_disk_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16k", "none"])
        .arg(dir.path())
        .output()
        .is_ok_and(|done| done.status.success());
    if !mounted {
        eprintln!("SKIPPED: cannot mount a small file system here");
        return;
    }
    let _mount = Mount(dir.path());
    let store = Store::at(dir.path().to_owned());
    let (mut conversation, mut writer) = store.create("m", 0).unwrap();
    let mut results = Vec::new();
    for id in 0..20 {
        let entry = node(conversation.next_id().0, Role::User, &"x".repeat(1500), 0);
        let result = writer.write(&entry);
        if result.is_ok() {
            conversation.apply(&entry).unwrap();
        }
        results.push(result.map_err(|error| error.to_string()));
        let read = store.read(conversation.id()).unwrap();
        assert_eq!((read.conversation, read.skipped, read.torn), (conversation.clone(), 0, false), "write {id}");
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    assert!((5..20).contains(&failed), "{results:?}");
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=64k"]).arg(dir.path()).status();
    assert!(grown.unwrap().success());
    writer.write(&node(conversation.next_id().0, Role::User, "room again", 0)).unwrap();
    assert_eq!(store.read(conversation.id()).unwrap().conversation.len(), conversation.len() + 1);
    drop(writer);
    assert!(std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(dir.path()).status().unwrap().success());
    read_only_is_a_degraded_start(&store, conversation.id());
}

fn read_only_is_a_degraded_start(store: &Store, id: &SessionId) {
    let (conversation, mut writer, notice) = store.open(id).unwrap();
    assert!(notice.read_only && notice.text().is_some() && !conversation.is_empty());
    let refused = writer.write(&node(conversation.next_id().0, Role::User, "x", 0)).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly(_)) && refused.hint().is_some());
    let (_, mut writer) = store.create("m", 0).unwrap();
    let refused = writer.write(&node(0, Role::User, "x", 0)).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused:?}");
}

#[test]
fn a_list_says_of_each_session_what_reading_it_says() {
    let (_dir, store) = store();
    assert_eq!(store.list().unwrap(), []);
    let old = session(&store, 100, 3, "some text");
    let new = session(&store, 200, 1, "other text");
    let (mut conversation, mut writer, _) = store.open(&old).unwrap();
    for entry in [
        Entry::Title { text: "my title".into() },
        Entry::Model { name: "n".into() },
        node(6, Role::User, "and", 150),
        node(7, Role::Assistant, "", 151),
        append(7, "half"),
    ] {
        conversation.apply(&entry).unwrap();
        writer.write(&entry).unwrap();
    }
    drop(writer);
    for stranger in ["notes.txt", "UPPER.jsonl", "x.kv", "empty.jsonl"] {
        std::fs::write(store.journal_path(&old).with_file_name(stranger), "").unwrap();
    }
    std::fs::create_dir(store.journal_path(&old).with_file_name("folder.jsonl")).unwrap();
    let list = store.list().unwrap();
    assert_eq!(list.iter().map(|summary| &summary.id).collect::<Vec<_>>(), [&new, &old]);
    let agrees = |summary: &Summary| {
        let conversation = store.read(&summary.id).unwrap().conversation;
        let interrupted = conversation.nodes().last().unwrap().is_open();
        let said = Summary {
            id: summary.id.clone(),
            title: conversation.title(),
            model: conversation.model().to_owned(),
            updated: conversation.updated(),
            messages: conversation.len(),
            interrupted,
        };
        assert_eq!(*summary, said);
    };
    list.iter().for_each(agrees);
    assert!(list[1].interrupted && !list[0].interrupted);
    for summary in &list {
        let path = store.journal_path(&summary.id);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.lines().map(with_blanks).collect::<String>()).unwrap();
    }
    assert_eq!(store.list().unwrap(), list, "the same lines as another program writes them");
    let future = r#"{"t":"session","v":7,"id":"later","at":0,"model":""}"#;
    let later = SessionId::parse("later").unwrap();
    std::fs::write(store.journal_path(&later), format!("{future}\n{{\"t\":\"node\"}}\n")).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
    let refused = store.open(&later).map(|_| ()).unwrap_err();
    assert!(
        crate::error::chain(&refused)
            .ends_with("the session is of version `7`, and this program reads up to version `1`")
    );
}

/// A line with blanks between its parts, its keys in another order, and a carriage return at its end.
fn with_blanks(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut members: Vec<String> =
        value.as_object().unwrap().iter().map(|(key, value)| format!("\"{key}\" : {value} ")).collect();
    members.sort_by_key(|member| member.starts_with("\"t\""));
    format!(" {{ {} }} \r\n", members.join(", "))
}

#[test]
fn a_search_finds_words_that_were_streamed_in_pieces() {
    let (_dir, store) = store();
    let old = session(&store, 100, 2, "The quicksort implementation splits the Vec around a pivot element");
    let new = session(&store, 200, 1, "请解释快速排序的实现方法，谢谢。快速排序和归并排序哪个好？");
    let found = |query: &str| -> Vec<(SessionId, Option<NodeId>)> {
        store.search(query).unwrap().into_iter().map(|hit| (hit.id, hit.node)).collect()
    };
    // Bytes 40 to 80 of the answer are in another line of the journal.
    assert_eq!(found("SPLITS pivot").len(), 4);
    assert_eq!(found("splits the vec")[0], (old, Some(NodeId(3))));
    assert_eq!(found("快速排序")[0].0, new);
    assert_eq!(found("nowhere"), []);
    assert_eq!(found("  "), []);
    let hit = store.search("PIVOT").unwrap().remove(0);
    assert_eq!(hit.snippet.get(hit.matched.clone()), Some("pivot"));
    assert_eq!(hit.title, "question 0 The quicksort implementation splits the Vec around a pivot element");
}

#[test]
fn a_search_that_is_not_wanted_any_more_reads_no_further_session() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (_dir, store) = store();
    for at in 0..40 {
        session(&store, at, 1, "needle");
    }
    let asked = AtomicUsize::new(0);
    let after = |most: usize| move |asked: &AtomicUsize| asked.fetch_add(1, Ordering::Relaxed) >= most;
    let whole = after(usize::MAX);
    assert_eq!(store.search_until("needle", &|| whole(&asked)).unwrap().unwrap().len(), 80);
    assert_eq!(asked.swap(0, Ordering::Relaxed), 41);
    let soon = after(3);
    assert_eq!(store.search_until("needle", &|| soon(&asked)).unwrap(), None);
    assert!(asked.into_inner() <= 3 + 4 + 1, "each of four threads asks once more, and whoever gives the answer");
}

#[test]
fn names_made_in_one_instant_differ() {
    let (_dir, store) = store();
    let ids: std::collections::HashSet<SessionId> = (0..20).map(|_| session(&store, 7, 1, "x")).collect();
    assert_eq!(ids.len(), 20);
}

/// Not an assertion: prints how long a list and a search take. Run with `--ignored --nocapture`.
#[test]
#[ignore = "prints times for a person to read: a time is never asserted"]
fn measure_listing_and_searching() {
    let (_dir, store) = store();
    let text = "fn sort(items: &mut [u32]) { items.sort_unstable(); } 解释一下这个函数 and some more prose around it. "
        .repeat(6);
    for number in 0..1000u64 {
        let turns = if number < 500 { 50 } else { 5 };
        session(&store, number * 1000, turns, &text);
    }
    let bytes: u64 = std::fs::read_dir(&store.dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let sessions = store.list().unwrap().len();
        let listed = start.elapsed();
        let start = std::time::Instant::now();
        let rare = store.search("nowhere-to-be-found").unwrap().len();
        let searched = start.elapsed();
        let start = std::time::Instant::now();
        let common = store.search("PROSE 函数").unwrap().len();
        let common_time = start.elapsed();
        println!(
            "{sessions} sessions, {bytes} bytes: list {listed:?}; search {searched:?} ({rare} hits), {common_time:?} ({common} hits)"
        );
    }
}

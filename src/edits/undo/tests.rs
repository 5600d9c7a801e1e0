//! Written, kept, taken back.

use super::*;

struct Scene {
    _home: tempfile::TempDir,
    folder: PathBuf,
    undo: Undo,
}

fn scene() -> Scene {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("project");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.txt"), "one\n").unwrap();
    fs::write(folder.join("b.txt"), "two\n").unwrap();
    Scene { undo: Undo::at(home.path().join("state/undo")), folder, _home: home }
}

impl Scene {
    fn record(&self, files: &[(&str, Option<&str>, &str)]) -> Record {
        let original = |(name, before, after): &(&str, Option<&str>, &str)| Original {
            name: (*name).into(),
            before: before.map(str::to_owned),
            after: Some((*after).into()),
        };
        Record { folder: self.folder.clone(), at: 1, files: files.iter().map(original).collect(), made: Vec::new() }
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }
}

#[test]
fn all_files_of_a_change_come_back_also_after_a_restart() {
    let scene = scene();
    let first = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("new/c.txt", None, "3\n")]);
    scene.undo.write(&first).unwrap();
    scene.undo.write(&scene.record(&[("a.txt", Some("1\n"), "11\n")])).unwrap();
    let later = Undo::at(scene.undo.folder.clone());
    later.undo(&scene.folder).unwrap();
    assert_eq!(scene.text("a.txt").as_deref(), Some("1\n"));
    later.undo(&scene.folder).unwrap();
    assert_eq!((scene.text("a.txt").as_deref(), scene.text("new/c.txt")), (Some("one\n"), None));
    assert!(matches!(later.undo(&scene.folder), Err(UndoError::Nothing)));
}

#[test]
fn a_file_with_two_names_is_changed_under_both() {
    let scene = scene();
    fs::hard_link(scene.folder.join("a.txt"), scene.folder.join("linked.txt")).unwrap();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n")])).unwrap();
    assert_eq!(scene.text("linked.txt").as_deref(), Some("1\n"));
    scene.undo.undo(&scene.folder).unwrap();
    assert_eq!(scene.text("linked.txt").as_deref(), Some("one\n"));
}

#[test]
fn a_file_edited_since_is_left_alone_with_the_others() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("two\n"), "2\n")])).unwrap();
    fs::write(scene.folder.join("b.txt"), "mine\n").unwrap();
    let Err(UndoError::Edited { changes, .. }) = scene.undo.undo(&scene.folder) else { panic!() };
    let way = |change: &Change| (change.name.clone(), change.diff.old().to_owned(), change.diff.proposed().to_owned());
    let wanted = [("a.txt", "1\n", "one\n"), ("b.txt", "mine\n", "two\n")];
    assert_eq!(changes.iter().map(way).collect::<Vec<_>>(), wanted.map(|(a, b, c)| (a.into(), b.into(), c.into())));
    assert_eq!((scene.text("a.txt").as_deref(), scene.text("b.txt").as_deref()), (Some("1\n"), Some("mine\n")));
    fs::write(scene.folder.join("b.txt"), "2\n").unwrap();
    scene.undo.undo(&scene.folder).unwrap();
    assert_eq!(scene.text("b.txt").as_deref(), Some("two\n"));
}

#[test]
fn what_changed_since_the_diff_or_lies_outside_is_not_written() {
    let scene = scene();
    let stale = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("old\n"), "2\n")]);
    assert!(matches!(scene.undo.write(&stale), Err(UndoError::Stale(name)) if name == "b.txt"));
    let gone = scene.record(&[("c.txt", Some("three\n"), "3\n")]);
    assert!(matches!(scene.undo.write(&gone), Err(UndoError::Stale(_))), "it vanished");
    let taken = scene.record(&[("a.txt", None, "1\n")]);
    assert!(matches!(scene.undo.write(&taken), Err(UndoError::Stale(_))), "it is there by now");
    let outside = scene.record(&[("../c.txt", None, "3\n")]);
    assert!(matches!(scene.undo.write(&outside), Err(UndoError::Refused { .. })));
    assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
    assert!(scene.undo.newest(&scene.folder).unwrap().found.is_none(), "nothing is kept of what was not written");
}

#[cfg(unix)]
#[test]
fn a_failure_in_the_middle_writes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let scene = scene();
    // a folder cannot be made where a file is, which also holds for whoever may write everything
    let half = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt/c.txt", None, "3\n")]);
    assert!(scene.undo.write(&half).is_err());
    assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
    assert!(scene.undo.newest(&scene.folder).unwrap().found.is_none());
    if rustix::process::geteuid().is_root() {
        return;
    }
    fs::set_permissions(scene.folder.join("b.txt"), fs::Permissions::from_mode(0o400)).unwrap();
    let barred = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("two\n"), "2\n")]);
    assert!(matches!(scene.undo.write(&barred), Err(UndoError::Write { .. })));
    assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
}

#[test]
fn broken_records_are_told_and_foreign_ones_passed_over() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n")])).unwrap();
    let broken = scene.undo.folder.join("9999999999999999.json");
    fs::write(&broken, "{").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(scene.undo.undo(elsewhere.path()), Err(UndoError::Nothing)));
    let (_, told) = scene.undo.undo(&scene.folder).unwrap();
    assert_eq!((told, scene.text("a.txt").as_deref()), (vec![broken], Some("one\n")));
}

#[test]
fn a_file_that_vanished_is_made_again_and_one_that_was_new_stays_away() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n"), ("new.txt", None, "2\n")])).unwrap();
    fs::remove_file(scene.folder.join("a.txt")).unwrap();
    fs::remove_file(scene.folder.join("new.txt")).unwrap();
    scene.undo.undo(&scene.folder).unwrap();
    assert_eq!((scene.text("a.txt").as_deref(), scene.text("new.txt")), (Some("one\n"), None));
}

#[test]
fn what_was_taken_over_an_edited_file_ends_the_record_and_keeps_what_stood_there() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("b.txt", Some("two\n"), "2\n")])).unwrap();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n"), ("n.txt", None, "n\n")])).unwrap();
    fs::write(scene.folder.join("n.txt"), "mine\n").unwrap();
    let Err(UndoError::Edited { record, changes }) = scene.undo.undo(&scene.folder) else { panic!() };
    assert!(changes[1].gone && !changes[0].gone, "{changes:?}");
    let mut back = scene.record(&[("a.txt", Some("1\n"), "one\n"), ("n.txt", Some("mine\n"), "")]);
    back.files[1].after = None;
    let kept = scene.undo.take_back(&record, &back).unwrap();
    assert_eq!((scene.text("a.txt").as_deref(), scene.text("n.txt")), (Some("one\n"), None));
    assert!(fs::read_to_string(kept).unwrap().contains("mine"));
    // the older one can be reached again
    scene.undo.undo(&scene.folder).unwrap();
    assert_eq!(scene.text("b.txt").as_deref(), Some("two\n"));
    assert!(matches!(scene.undo.undo(&scene.folder), Err(UndoError::Nothing)));
}

#[test]
fn a_record_can_be_dropped_and_what_changed_meanwhile_is_not_taken_back() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n")])).unwrap();
    scene.undo.write(&scene.record(&[("b.txt", Some("two\n"), "2\n")])).unwrap();
    let stale = scene.record(&[("b.txt", Some("other\n"), "two\n")]);
    assert!(matches!(scene.undo.take_back("0000000000000002.json", &stale), Err(UndoError::Stale(_))));
    assert_eq!(scene.undo.drop_newest(&scene.folder).unwrap().files[0].name, "b.txt");
    scene.undo.undo(&scene.folder).unwrap();
    assert_eq!((scene.text("a.txt").as_deref(), scene.text("b.txt").as_deref()), (Some("one\n"), Some("2\n")));
}

#[test]
fn folders_that_were_made_go_with_the_files_unless_something_else_is_in_them() {
    let scene = scene();
    scene.undo.write(&scene.record(&[("x/y/c.txt", None, "3\n"), ("x/d.txt", None, "4\n")])).unwrap();
    scene.undo.undo(&scene.folder).unwrap();
    assert!(!scene.folder.join("x").exists());
    scene.undo.write(&scene.record(&[("x/y/c.txt", None, "3\n")])).unwrap();
    fs::write(scene.folder.join("x/mine.txt"), "").unwrap();
    scene.undo.undo(&scene.folder).unwrap();
    assert!(!scene.folder.join("x/y").exists() && scene.folder.join("x/mine.txt").exists());
    // the second file cannot be made where the first one is a file
    let half = scene.record(&[("z/a", None, "3\n"), ("z/a/b", None, "4\n")]);
    assert!(scene.undo.write(&half).is_err());
    assert!(!scene.folder.join("z").exists() && scene.undo.newest(&scene.folder).unwrap().found.is_none());
}

#[cfg(unix)]
#[test]
fn originals_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let scene = scene();
    fs::create_dir_all(&scene.undo.folder).unwrap();
    fs::set_permissions(&scene.undo.folder, fs::Permissions::from_mode(0o755)).unwrap();
    scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n")])).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let record = scene.undo.newest(&scene.folder).unwrap().found.unwrap().path;
    assert_eq!((mode(&scene.undo.folder), mode(&record)), (0o700, 0o600));
}

#[test]
fn two_writers_never_take_the_same_number() {
    let scene = scene();
    let paths: Vec<PathBuf> = std::thread::scope(|scope| {
        let keep = |n: usize| scene.undo.keep(&scene.record(&[("a.txt", None, &n.to_string())]), "json").unwrap();
        let threads: Vec<_> =
            (0..8).map(|n| scope.spawn(move || (0..20).map(|_| keep(n)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let different: std::collections::HashSet<_> = paths.iter().collect();
    assert_eq!(different.len(), 160);
    assert!(paths.iter().all(|path| records::read(path).is_some()), "none was written over by half");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let scene = scene();
    let huge = "x".repeat(usize::try_from(LARGEST).unwrap());
    let record = scene.record(&[("new.txt", None, &huge)]);
    assert!(matches!(scene.undo.write(&record), Err(UndoError::Large(_))));
    assert!(scene.text("new.txt").is_none());
}

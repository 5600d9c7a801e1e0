//! Answers that become edits, as a person sees it: the real program in a real terminal, against a server that says what
//! a model might. What lies on disk is looked at after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]

mod scene;
mod screen;

use rustix::process::Signal;
use scene::{BEFORE, READY, Scene, decide, leave};

const BLOCK: &str = "src/a.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n\
                     <<<<<<< SEARCH\nprint(nothing)\n=======\n>>>>>>> REPLACE\n\
                     ../out.py\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n";

#[test]
fn a_change_is_reviewed_written_survives_a_kill_and_is_taken_back() {
    let scene = Scene::new(BLOCK);
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("/edit @src/a.py the sum is wrong\r");
    screen.wait_for("is not in the file");
    screen.wait_for("outside the opened folder");
    screen.wait_for("+    return a + b");
    decide(&mut screen, "\r");
    screen.wait_for("1 to decide: y accepts");
    assert_eq!(scene.text(), BEFORE, "nothing is written before it was accepted");
    decide(&mut screen, "y");
    screen.wait_for("1 accepted");
    assert_eq!(scene.text(), BEFORE, "nothing is written before Enter");
    screen.keys("\r");
    screen.wait_for("wrote `src/a.py`");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "a + b"));
    assert!(!scene.home.path().join("out.py").exists());
    screen.signal(Signal::KILL);
    screen.end();

    let mut screen = scene.open();
    screen.wait_for("Resume?");
    screen.keys("\x1b");
    screen.wait("the input", |text| text.contains(READY) && !text.contains("Resume?"));
    std::fs::write(scene.file(), BEFORE.replace("a - b", "mine")).unwrap();
    screen.keys("/undo\r");
    screen.wait_for("to decide · undo");
    screen.wait_for("-    return mine");
    decide(&mut screen, "q");
    screen.wait_for("/undo drop");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "mine"));
    std::fs::write(scene.file(), BEFORE.replace("a - b", "a + b")).unwrap();
    screen.keys("/undo\r");
    screen.wait("the file as it was", |_| scene.text() == BEFORE);
    leave(screen);
}

#[test]
fn a_file_edited_while_its_diff_is_looked_at_keeps_what_was_written_there() {
    let scene = Scene::new("Do this:\n\n```python\ndef add(a, b):\n    return a + b\n```\n");
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("see @src/a.py please\r");
    screen.wait_for("Do this");
    screen.wait_for(READY);
    screen.keys("/apply\r");
    screen.wait_for("+    return a + b");
    decide(&mut screen, "a");
    screen.wait_for("1 accepted");
    std::fs::write(scene.file(), "mine\n").unwrap();
    screen.keys("\r");
    screen.wait_for("changed since the diff was made");
    assert_eq!(scene.text(), "mine\n");
    std::fs::remove_file(scene.file()).unwrap();
    screen.keys("/apply\r");
    screen.wait_for("where does block 1 go?");
    screen.keys("\x1b");
    screen.wait("the conversation", |text| !text.contains("where does"));
    assert!(!scene.file().exists());
    leave(screen);
}

/// A block for a file.
fn block(name: &str, search: &str, replace: &str) -> String {
    format!("{name}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n\n")
}

#[test]
fn of_several_files_only_the_hunks_that_were_taken_are_written() {
    let two = (1..=20).map(|n| format!("line {n}\n")).collect::<String>();
    let answer = [
        block("src/a.py", "    return a - b\n", "    return a + b\n"),
        block("two.txt", "line 3\n", "line three\n"),
        block("two.txt", "line 15\n", "line fifteen\n"),
        block("new/deep/c.txt", "", "fresh\n"),
    ];
    let scene = Scene::new(&answer.concat());
    std::fs::write(scene.folder().join("two.txt"), &two).unwrap();
    let mut screen = scene.ready();
    screen.keys("/edit @src/a.py @two.txt both\r");
    screen.wait_for("file 1 of 3");
    decide(&mut screen, "n");
    screen.wait_for("file 2 of 3");
    decide(&mut screen, "y");
    screen.wait_for("1 accepted · 1 rejected");
    decide(&mut screen, "n");
    screen.wait_for("file 3 of 3");
    screen.wait_for("new file");
    decide(&mut screen, "y\r");
    screen.wait_for("wrote `two.txt` and 1 more");
    assert_eq!(scene.text(), BEFORE);
    assert_eq!(scene.read("two.txt"), Some(two.replace("line 3\n", "line three\n")));
    assert_eq!(scene.read("new/deep/c.txt").as_deref(), Some("fresh\n"));
    // a file of it vanished since: undoing makes it again, and takes the new folders away
    std::fs::remove_file(scene.folder().join("two.txt")).unwrap();
    screen.keys("/undo\r");
    screen.wait_for("Restored");
    assert_eq!((scene.read("two.txt"), scene.folder().join("new").exists()), (Some(two), false));
    leave(screen);
}

#[test]
fn links_and_absolute_names_lead_nowhere() {
    let home = tempfile::tempdir().unwrap();
    let outside = home.path().join("secret.txt");
    std::fs::write(&outside, "one\n").unwrap();
    let answer = [
        block("link.txt", "one\n", "two\n"),
        block("away/secret.txt", "one\n", "two\n"),
        block(outside.to_str().unwrap(), "one\n", "two\n"),
        block(&format!("/{}", home.path().join("made.txt").display()), "", "x\n"),
        block("src/a.py", "    return a - b\n", "    return a + b\n"),
    ];
    let scene = Scene::new(&answer.concat());
    std::os::unix::fs::symlink(&outside, scene.folder().join("link.txt")).unwrap();
    std::os::unix::fs::symlink(home.path(), scene.folder().join("away")).unwrap();
    let mut screen = scene.ready();
    screen.keys("/edit @src/a.py mend it\r");
    screen.wait("four refusals", |text| text.replace('\n', " ").matches("outside the opened").count() == 4);
    decide(&mut screen, "a\r");
    screen.wait_for("wrote `src/a.py`");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "one\n");
    assert!(!home.path().join("made.txt").exists());
    let names: Vec<_> = std::fs::read_dir(scene.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing new lies in the folder: {names:?}");
    leave(screen);
}

#[test]
fn the_way_back_over_an_edited_file_is_taken_by_hand_and_the_older_change_is_reached() {
    let scene = Scene::with(&[
        &block("src/a.py", "    return a - b\n", "    return a + b\n"),
        &block("src/a.py", "print(add(2, 2))\n", "print(add(2, 3))\n"),
    ]);
    let mut screen = scene.ready();
    for wait in ["+    return a + b", "+print(add(2, 3))"] {
        screen.keys("/edit @src/a.py mend it\r");
        screen.wait_for(wait);
        decide(&mut screen, "a\r");
        screen.wait_for("wrote `src/a.py`");
        screen.wait_for(READY);
    }
    let written = scene.text();
    std::fs::write(scene.file(), format!("# mine\n{written}")).unwrap();
    screen.keys("/undo\r");
    screen.wait_for("2 to decide · undo");
    // my own line stays, the rest goes back
    decide(&mut screen, "ny\r");
    let mine = format!("# mine\n{}", BEFORE.replace("a - b", "a + b"));
    screen.wait("the rest as it was", |_| scene.text() == mine);
    std::fs::write(scene.file(), BEFORE.replace("a - b", "a + b")).unwrap();
    screen.keys("/undo\r");
    screen.wait("the older one is taken back", |_| scene.text() == BEFORE);
    leave(screen);
}

#[test]
fn a_block_without_a_place_becomes_the_file_that_is_named_for_it() {
    let scene = Scene::new("Here:\n\n```python\nprint('hello')\n```\n");
    let mut screen = scene.ready();
    screen.keys("say hello\r");
    screen.wait_for("hello");
    screen.wait_for(READY);
    screen.keys("/apply\r");
    screen.wait_for("where does block 1 go?");
    screen.keys("\r");
    screen.wait_for("block 1 as a new file");
    screen.keys("hello\r");
    screen.wait_for("hello.py · new file");
    decide(&mut screen, "y\r");
    screen.wait_for("wrote `hello.py`");
    assert_eq!(scene.read("hello.py").as_deref(), Some("print('hello')\n"));
    leave(screen);
}

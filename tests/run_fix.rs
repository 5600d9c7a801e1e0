//! Commands that a person has run, and those that are run until they pass: the real program in a real terminal, with real
//! processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]

mod scene;
mod screen;

use std::time::Duration;

use rustix::process::Signal;
use scene::{BEFORE, READY, Scene, decide, leave};
use screen::Screen;

const BLOCK: &str = "src/a.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n";

/// Runs a command after a yes.
fn run(screen: &mut Screen, command: &str) {
    screen.keys(&format!("{command}\r"));
    screen.wait_for("run this?");
    decide(screen, "y");
}

/// Whether all processes of a group are gone; the kernel ends them in its own time.
fn is_empty(group: &str) -> bool {
    let group = group.trim();
    let member = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let mut words = stat.rsplit_once(") ").map_or("", |(_, behind)| behind).split(' ');
        words.next().is_some_and(|state| state != "Z") && words.nth(1) == Some(group)
    };
    (0..3000).any(|_| {
        let any = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| member(&entry));
        if any {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        !any
    })
}

/// Waits for a file that a command writes.
fn wait_for_file(scene: &Scene, screen: &mut Screen, name: &str) -> String {
    for _ in 0..3000 {
        if let Some(text) = scene.read(name).filter(|text| text.ends_with('\n')) {
            return text;
        }
        screen.watch(Duration::from_millis(10));
    }
    panic!("`{name}` was never written; the screen is:\n{}", screen.text());
}

#[test]
fn a_command_is_run_after_a_yes_and_fixed_until_it_passes() {
    let scene = Scene::new(BLOCK);
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("/fix if grep -n 'a - b' src/a.py; then echo src/a.py:2: wrong; touch ran; exit 1; fi\r");
    screen.wait_for("run this?");
    screen.keys("\r");
    screen.settle(std::time::Duration::from_millis(200));
    assert!(!scene.folder().join("ran").exists(), "Enter is no yes");
    decide(&mut screen, "y");
    screen.wait_for("+    return a + b");
    assert!(scene.folder().join("ran").exists());
    screen.wait_for("then it runs again");
    decide(&mut screen, "y\r");
    screen.wait_for("passes after one change");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "a + b"));
    leave(screen);
}

#[test]
fn a_fix_writes_no_test_and_asks_again_instead() {
    let test = "test_a.py\n<<<<<<< SEARCH\nassert add(2, 2) == 4\n=======\nassert add(2, 2) == 0\n>>>>>>> REPLACE\n";
    let scene = Scene::with(&[test, BLOCK]);
    let before = "from a import add\nassert add(2, 2) == 4\n";
    std::fs::write(scene.folder().join("test_a.py"), before).unwrap();
    let mut screen = scene.ready();
    run(&mut screen, "/fix cd src && echo ../test_a.py:2: AssertionError; grep -q 'a + b' a.py");
    screen.wait_for("+    return a + b");
    decide(&mut screen, "y\r");
    screen.wait_for("after one change");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "a + b"));
    assert_eq!(scene.read("test_a.py").as_deref(), Some(before));
    leave(screen);
}

#[test]
fn escape_ends_a_command_that_would_run_for_long() {
    let scene = Scene::new("");
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("/run echo be''gun; sleep 1000 & sleep 1000\r");
    screen.wait_for("run this?");
    decide(&mut screen, "y");
    screen.wait_for("begun");
    screen.keys("\x1b");
    screen.wait_for("stopped");
    screen.keys("\r");
    screen.wait_for(READY);
    screen.keys("/run echo oh''no; exit 3\r");
    screen.wait_for("run this?");
    decide(&mut screen, "y");
    screen.wait_for("exit code 3");
    screen.wait_for("goes with your next message");
    leave(screen);
}

#[test]
fn what_writes_for_ever_behind_a_command_does_not_hold_the_screen() {
    let scene = Scene::new("");
    let mut screen = scene.ready();
    run(&mut screen, "/run yes & echo $$ > group; echo started");
    let group = wait_for_file(&scene, &mut screen, "group");
    screen.wait_for("exit code 0");
    screen.keys("\r");
    screen.wait_for(READY);
    // and one that nothing but force ends
    run(&mut screen, "/run trap '' TERM; echo $$ > stubborn; yes");
    let stubborn = wait_for_file(&scene, &mut screen, "stubborn");
    screen.keys("\x1b");
    screen.wait("it is asked to stop", |text| text.contains("stopping") || text.contains("stopped"));
    screen.keys("\x03");
    screen.wait_for(READY);
    assert!(is_empty(&stubborn));
    leave(screen);
    assert!(is_empty(&group));
}

#[test]
fn what_a_command_began_ends_with_the_program_however_that_ends() {
    let scene = Scene::new("");
    let mut screen = scene.ready();
    run(&mut screen, "/run sleep 1000 >/dev/null 2>&1 & echo $$ > left; echo done");
    let left = wait_for_file(&scene, &mut screen, "left");
    screen.wait_for("exit code 0");
    screen.keys("\r");
    screen.wait_for(READY);
    leave(screen);
    assert!(is_empty(&left), "quit");
    let mut screen = scene.open();
    screen.wait_for(READY);
    run(&mut screen, "/run echo $$ > killed; sleep 1000; sleep 1000");
    let killed = wait_for_file(&scene, &mut screen, "killed");
    screen.signal(Signal::KILL);
    screen.end();
    assert!(is_empty(&killed), "killed");
}

#[test]
fn a_command_cannot_draw_on_the_screen_and_its_title_is_no_text() {
    let scene = Scene::new("");
    let mut screen = scene.ready();
    run(
        &mut screen,
        "/run printf 'WI%s' PED > /dev/tty; printf '\\033]0;ti'; sleep 0.2; printf 'tle\\007no%s\\n' table",
    );
    screen.wait_for("exit code 0");
    screen.wait("its words alone", |text| text.lines().any(|line| line.trim() == "notable"));
    assert!(!screen.text().contains("WIPED"), "{}", screen.text());
    leave(screen);
}

#[test]
fn fixing_ends_after_its_rounds_and_every_round_can_be_taken_back() {
    let back = BLOCK.replace("a + b", "x").replace("a - b", "a + b").replace("return x", "return a - b");
    let scene = Scene::with(&[BLOCK, &back, BLOCK]);
    let mut screen = scene.ready();
    run(&mut screen, "/fix echo ran >> log; echo src/a.py:2: wrong; false");
    for (round, line) in ["+    return a + b", "+    return a - b", "+    return a + b"].into_iter().enumerate() {
        screen.wait(line, |text| text.contains("then it runs again") && text.contains(line));
        decide(&mut screen, "y\r");
        screen.wait("the next run", |_| scene.read("log").unwrap().lines().count() == round + 2);
    }
    screen.wait_for("Still failing after 3 changes");
    assert_eq!(scene.read("log").unwrap().lines().count(), 4);
    screen.keys("\r");
    for after in [BEFORE.to_owned(), BEFORE.replace("a - b", "a + b"), BEFORE.to_owned()] {
        screen.keys("/undo\r");
        screen.wait("it is taken back", |_| scene.text() == after);
        screen.settle(Duration::from_millis(100));
    }
    leave(screen);
}

#[test]
fn a_fix_that_is_interrupted_or_turned_down_runs_nothing_more() {
    let scene = Scene::new(BLOCK);
    let mut screen = scene.ready();
    run(&mut screen, "/fix echo ran >> log; echo src/a.py:2:; false");
    screen.wait_for("then it runs again");
    decide(&mut screen, "q");
    screen.wait_for("`/fix` stopped");
    // a change that has nothing to do with it
    screen.keys("/apply\r");
    screen.wait_for("+    return a + b");
    assert!(!screen.text().contains("then it runs again"));
    decide(&mut screen, "a\r");
    screen.wait_for("wrote `src/a.py`");
    screen.settle(Duration::from_millis(200));
    assert_eq!(scene.read("log").unwrap().lines().count(), 1);
    run(&mut screen, "/fix echo ran >> log; sleep 1000");
    screen.wait("it runs", |_| scene.read("log").unwrap().lines().count() == 2);
    screen.keys("\x1b");
    screen.wait_for("stopped");
    screen.keys("\r");
    screen.wait_for(READY);
    screen.settle(Duration::from_millis(200));
    assert_eq!(scene.read("log").unwrap().lines().count(), 2);
    leave(screen);
}

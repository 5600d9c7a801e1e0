//! Answers that become edits, as a person sees it: the real program in a real terminal, against a server that says what
//! a model might. What lies on disk is looked at after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]

mod screen;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use screen::Screen;

const READY: &str = "ask · / commands";
const BEFORE: &str = "def add(a, b):\r\n    return a - b\r\n\r\n\r\nprint(add(2, 2))";
const BLOCK: &str = "src/a.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n\
                     <<<<<<< SEARCH\nprint(nothing)\n=======\n>>>>>>> REPLACE\n\
                     ../out.py\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n";

/// A server that gives this answer to every question; its address.
fn server(answer: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let _ = exchange(socket, &answer);
        }
    });
    url
}

fn exchange(mut socket: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let (kind, body) = if first.starts_with("GET") {
        ("application/json", r#"{"data":[{"id":"tiny"}]}"#.to_owned())
    } else {
        let piece = serde_json::json!({"choices": [{"delta": {"content": answer}, "finish_reason": null}]});
        let end = serde_json::json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
        ("text/event-stream", format!("data: {piece}\n\ndata: {end}\n\ndata: [DONE]\n\n"))
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(body.as_bytes())
}

struct Scene {
    home: tempfile::TempDir,
    url: String,
}

impl Scene {
    fn new(answer: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("project/src")).unwrap();
        let scene = Self { home, url: server(answer) };
        std::fs::write(scene.file(), BEFORE).unwrap();
        scene
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("project")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("src/a.py")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn open(&self) -> Screen {
        let home: &Path = self.home.path();
        Screen::open(&home.join("state"), &self.folder(), &["--remote", &self.url], 80, 24)
    }
}

fn leave(mut screen: Screen) {
    screen.keys("\x03\x03\x03");
    screen.end();
}

#[test]
fn a_change_is_reviewed_written_survives_a_kill_and_is_taken_back() {
    let scene = Scene::new(BLOCK);
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("/edit @src/a.py the sum is wrong\r");
    screen.wait_for("does not stand in the file");
    screen.wait_for("outside the opened folder");
    screen.wait_for("+    return a + b");
    screen.keys("\r");
    screen.wait_for("1 to decide");
    assert_eq!(scene.text(), BEFORE, "nothing is written before it was taken");
    screen.keys("y");
    screen.wait_for("1 taken");
    assert_eq!(scene.text(), BEFORE, "nothing is written before Enter");
    screen.keys("\r");
    screen.wait_for("wrote `src/a.py`");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "a + b"));
    assert!(!scene.home.path().join("out.py").exists());
    screen.signal(Signal::KILL);
    screen.end();

    let mut screen = scene.open();
    screen.wait_for("go on?");
    screen.keys("\x1b");
    screen.wait("the input", |text| text.contains(READY) && !text.contains("go on?"));
    std::fs::write(scene.file(), "mine\n").unwrap();
    screen.keys("/undo\r");
    screen.wait_for("Not taken back");
    assert_eq!(scene.text(), "mine\n");
    screen.keys("\x1b");
    screen.wait("the page closed", |text| !text.contains("Not taken back"));
    std::fs::write(scene.file(), BEFORE.replace("a - b", "a + b")).unwrap();
    screen.keys("/undo\r");
    screen.wait_for("as before");
    assert_eq!(scene.text(), BEFORE);
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
    screen.keys("a");
    screen.wait_for("1 taken");
    std::fs::write(scene.file(), "mine\n").unwrap();
    screen.keys("\r");
    screen.wait_for("changed since the diff was made");
    assert_eq!(scene.text(), "mine\n");
    std::fs::remove_file(scene.file()).unwrap();
    screen.keys("/apply\r");
    screen.wait_for("resembles none");
    assert!(!scene.file().exists());
    leave(screen);
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
    screen.keys("y");
    screen.wait_for("+    return a + b");
    assert!(scene.folder().join("ran").exists());
    screen.wait_for("then it runs again");
    screen.keys("y\r");
    screen.wait_for("passes after one change");
    assert_eq!(scene.text(), BEFORE.replace("a - b", "a + b"));
    leave(screen);
}

#[test]
fn escape_ends_a_command_that_would_run_for_long() {
    let scene = Scene::new("");
    let mut screen = scene.open();
    screen.wait_for(READY);
    screen.keys("/run echo be''gun; sleep 1000 & sleep 1000\r");
    screen.wait_for("run this?");
    screen.keys("y");
    screen.wait_for("begun");
    screen.keys("\x1b");
    screen.wait_for("stopped");
    screen.keys("\r");
    screen.wait_for(READY);
    screen.keys("/run echo oh''no; exit 3\r");
    screen.wait_for("run this?");
    screen.keys("y");
    screen.wait_for("exit code 3");
    screen.wait_for("goes with your next message");
    leave(screen);
}

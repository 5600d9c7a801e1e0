//! A folder with a file in it, a server that says what a model might, and the real program in a real terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use super::screen::Screen;

/// Stands in the input of a program that waits for a question.
pub const READY: &str = "ask · / commands";
/// What the file holds.
pub const BEFORE: &str = "def add(a, b):\r\n    return a - b\r\n\r\n\r\nprint(add(2, 2))";

/// A server that gives these answers one after the other, and the last one for ever; its address.
fn server(answers: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    std::thread::spawn(move || {
        let mut given = 0;
        for socket in listener.incoming().map_while(Result::ok) {
            let answer = answers.get(given).or(answers.last()).map_or("", String::as_str);
            given += usize::from(exchange(socket, answer).unwrap_or(false));
        }
    });
    url
}

/// Answers one request: whether it was a question.
fn exchange(mut socket: TcpStream, answer: &str) -> std::io::Result<bool> {
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
    socket.write_all(body.as_bytes())?;
    Ok(!first.starts_with("GET"))
}

/// A folder with a file, and a server.
pub struct Scene {
    pub home: tempfile::TempDir,
    url: String,
}

impl Scene {
    pub fn new(answer: &str) -> Self {
        Self::with(&[answer])
    }

    pub fn with(answers: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("project/src")).unwrap();
        let scene = Self { home, url: server(answers) };
        std::fs::write(scene.file(), BEFORE).unwrap();
        scene
    }

    pub fn folder(&self) -> PathBuf {
        self.home.path().join("project")
    }

    pub fn file(&self) -> PathBuf {
        self.folder().join("src/a.py")
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// What a file of the folder holds; `None` if there is none.
    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder().join(name)).ok()
    }

    /// The program, ready for a question.
    pub fn ready(&self) -> Screen {
        let mut screen = self.open();
        screen.wait_for(READY);
        screen
    }

    pub fn open(&self) -> Screen {
        let home: &Path = self.home.path();
        Screen::open(&home.join("state"), &self.folder(), &["--remote", &self.url], 80, 24)
    }
}

/// Types a decision as someone who has read what is asked: it counts a moment after the first frame.
pub fn decide(screen: &mut Screen, keys: &str) {
    screen.settle(std::time::Duration::from_millis(300));
    screen.keys(keys);
}

/// Leaves the program.
pub fn leave(mut screen: Screen) {
    screen.keys("\x03\x03\x03");
    screen.end();
}

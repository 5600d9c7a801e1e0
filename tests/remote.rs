//! `--remote`: against llama.cpp's own server, and against servers that misbehave.
#![cfg(feature = "engine")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

mod program;
mod real;
mod tied;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use program::{DONE, Ran, Zord, has_keys, lines, pieces};
use real::{Asked, one_thread};
use rustix::process::{Pid, Signal, kill_process};
use tied::Tied;
use zord::chat::{Message, Role};
use zord::engine::{ChatRequest, Event, RemoteSpec, Spec, Work};

const SUM: &str = "What is 2+2?";
const COUNT: &str = "Write down all numbers from one to ten thousand in words, each on its own line.";
/// Far from any honest wait: a server that says nothing for so long never will.
const LONG: Duration = Duration::from_secs(60);

/// llama.cpp's server on a port of this device, gone with this value.
struct Server {
    _program: Tied,
    url: String,
    log: Receiver<String>,
}

/// llama.cpp's own tools and the model; `None`, said loudly, where they or the right to use them are missing.
fn peer() -> Option<(PathBuf, PathBuf)> {
    let model = real::smollm2()?;
    let root = std::env::var_os("ZORD_PEERS").map(|folder| PathBuf::from(folder).join("llama"));
    let root = root.filter(|root| root.is_dir() && rustix::process::geteuid().is_root());
    if root.is_none() {
        eprintln!("SKIPPED: needs llama.cpp's tools in the folder that ZORD_PEERS names, and root");
    }
    Some((root?, model))
}

impl Server {
    fn start(root: &Path, model: &Path, more: &[&str]) -> Self {
        let name = model.file_name().unwrap().to_str().unwrap();
        let there = root.join("m").join(name);
        if !there.is_file() {
            std::fs::create_dir_all(there.parent().unwrap()).unwrap();
            std::fs::copy(model, &there).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut program = Tied::start("chroot", |command| {
            command
                .arg(root)
                .args(["llama-server", "-m", &format!("/m/{name}"), "--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["-t", "1", "-np", "1", "--no-webui"])
                .args(more)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
        });
        let (sender, log) = mpsc::channel();
        let err = BufReader::new(program.child.stderr.take().unwrap());
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let server = Self { _program: program, url: format!("http://127.0.0.1:{port}"), log };
        server.says("listening on");
        server
    }

    /// Waits for a line with these words.
    fn says(&self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            match self.log.recv_timeout(LONG) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => seen += &format!("{line}\n"),
                Err(_) => panic!("the server did not say `{words}`:\n{seen}"),
            }
        }
    }
}

/// Not a test of its own: the process that the next one kills.
#[test]
fn held_until_killed() {
    if std::env::var_os("ZORD_TEST_TIED").is_none() {
        return;
    }
    let _held = Tied::start("sh", |command| command.args(["-c", "echo began; sleep 20; echo survived"]));
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn what_a_test_started_ends_with_it_when_it_is_killed() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "held_until_killed", "--nocapture"])
        .env("ZORD_TEST_TIED", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.ends_with("began")));
    test.kill().unwrap();
    test.wait().unwrap();
    // The end of what it says: nobody holds the pipe any more, and whoever was not killed has said so.
    let rest: Vec<String> = said.collect();
    assert!(!rest.iter().any(|line| line.contains("survived")), "{rest:?}");
}

#[test]
fn a_server_answers_as_the_engine_here_does() {
    let Some((root, model)) = peer() else { return };
    let zord = Zord::with(&model);
    let mut engine = Asked::local(model.clone(), one_thread());
    let (text, ..) = engine.chat(ChatRequest { turns: vec![Message::new(Role::User, SUM)], ..ChatRequest::default() });
    engine.stop();
    let server = Server::start(&root, &model, &["-c", "2048"]);

    let lines = zord.run(["chat", "--remote", &server.url, "--json", SUM]).lines();
    assert!(lines.len() > 4, "it does not stream: {lines:?}");
    let done = lines.last().unwrap();
    has_keys(done, &DONE);
    assert_eq!((pieces(&lines), &done["text"]), (text.clone(), &text.as_str().into()));
    assert!(done["prompt_tokens"].as_u64().unwrap() > 20, "{done}");
    let versioned = format!("{}/v1/", server.url);
    // A proxy has another idea of this address.
    let mut proxied = zord.command(["chat", "--remote", &versioned, SUM]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        proxied.env(name, "http://127.0.0.1:9");
    }
    assert_eq!(Ran::from(proxied.output().unwrap()).silent(), format!("{text}\n"));

    let done = zord.run(["chat", "--remote", &server.url, "--json", "--max-tokens", "3", SUM]).done();
    assert_eq!((&done["stop"], &done["generated_tokens"]), (&"length".into(), &3.into()));
    let done = zord.run(["chat", "--remote", &server.url, "--json", "--stop", "math", SUM]).lines();
    assert_eq!(pieces(&done), done.last().unwrap()["text"].as_str().unwrap());
    assert!(pieces(&done).ends_with("classic "), "{done:?}");
    let raw = ["chat", "--remote", &server.url, "--raw", "--max-tokens", "4", "1, 2, 3, 4,"];
    assert!(zord.run(raw).silent().contains('5'));
    let object = r#"{"prefix": "1, 2, 3, 4,"}"#;
    let args = ["complete", "--stdin", "--json", "--max-tokens", "4", "--remote", &server.url];
    assert!(zord.fed(args, object.as_bytes()).json()["text"].as_str().unwrap().contains('5'));

    zord.run(["chat", "--remote", &format!("{}/nope", server.url), SUM]).advised(1, &["404", "/chat/completions"]);
    zord.run(["bench", "--tune", "--remote", &server.url]).refused(2, &["server"]);
}

#[test]
fn an_interrupt_stops_the_server_too() {
    let Some((root, model)) = peer() else { return };
    let zord = Zord::with(&model);
    let server = Server::start(&root, &model, &["-c", "8192"]);
    let mut child = zord.spawn(["chat", "--remote", &server.url, "--json", COUNT]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..3 {
        out.read_line(&mut text).unwrap();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    out.read_to_string(&mut text).unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (Some(130), ""));
    let lines = lines(&text);
    let done = lines.last().unwrap();
    assert_eq!((&done["stop"], pieces(&lines).as_str()), (&"cancelled".into(), done["text"].as_str().unwrap()));
    server.says("cancel task");

    let mut child = zord.spawn(["chat", "--remote", &server.url, COUNT]);
    child.stdout.take().unwrap().read_exact(&mut [0; 3]).unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    server.says("cancel task");
}

#[test]
fn a_conversation_too_long_for_the_server_drops_older_turns() {
    let Some((root, model)) = peer() else { return };
    let zord = Zord::with(&model);
    let server = Server::start(&root, &model, &["-c", "512"]);
    let mut turns = Vec::new();
    for round in 0..12 {
        turns.push(Message::new(Role::User, format!("Question {round}: what is a river, and why does it flow?")));
        let answer = "A river is water that flows downhill to the sea, or to a lake, or into another river. ".repeat(2);
        turns.push(Message::new(Role::Assistant, answer));
    }
    turns.push(Message::new(Role::User, "And what is a lake?"));
    let spec = RemoteSpec { url: server.url.clone(), model: None, key: None, ctx: None, silence: RemoteSpec::SILENCE };
    let mut engine = Asked::start(Spec::Remote(spec)).unwrap();
    assert_eq!(engine.facts.n_ctx, 512);
    let request = ChatRequest { turns, max_tokens: Some(8), ..ChatRequest::default() };
    let (events, outcome) = engine.work(Work::Chat(request));
    let (text, _, stats) = real::generated(outcome);
    assert!(!text.is_empty() && stats.prompt_tokens < 512, "{stats:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Cut { turns: 2.., trimmed_lines: 0, .. })));
    engine.stop();

    let log: String = (0..2000).map(|i| format!("   Compiling crate-{i} v0.1.{i}\n")).collect();
    let args = ["chat", "--remote", &server.url, "--json", "--max-tokens", "4", "What is this?"];
    let ran = zord.fed(args, log.as_bytes());
    assert!(ran.err.starts_with("notice: the input is longer than the context; "), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "one notice is enough: {}", ran.err);
    assert_eq!(ran.done()["generated_tokens"], 4);
}

/// A server that gives these answers, one a connection, then ends; its requests are what the thread returns.
fn fake(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || answers.iter().map(|answer| exchange(listener.accept().unwrap().0, answer)).collect();
    (url, std::thread::spawn(serve))
}

fn exchange(mut socket: TcpStream, answer: &str) -> String {
    let mut request = String::new();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).unwrap() > 0 {}
    let length = request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    // The program may hang up before the end.
    let _ = socket.write_all(answer.as_bytes());
    request + &String::from_utf8(body).unwrap()
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn models() -> String {
    http("200 OK", r#"{"data":[{"id":"m"}]}"#)
}

/// An answer in server-sent events, without its length: it ends with the connection.
fn stream(parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("data: {part}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{parts}")
}

fn word(text: &str) -> String {
    serde_json::json!({"choices": [{"delta": {"content": text}}]}).to_string()
}

const STOPPED: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn servers_that_refuse_are_quoted() {
    let zord = Zord::new();
    let cases: [(String, &[&str]); 6] = [
        (http("401 Unauthorized", r#"{"error":{"message":"Invalid API Key"}}"#), &["401: Invalid API Key", "key_env"]),
        (http("500 Internal Server Error", "all\x1b[31m broken\r\n"), &["500: all[31m broken", "log"]),
        (http("404 Not Found", "<html>no</html>"), &["404", "/chat/completions"]),
        (http("302 Found", ""), &["302"]),
        (http("200 OK", "<html>a router's own page</html>"), &["does not speak", "/chat/completions"]),
        (http("200 OK", r#"{"data":[]}"#), &["does not speak", "empty"]),
    ];
    for (answer, words) in cases {
        let (url, requests) = fake(vec![answer]);
        zord.run(["chat", "--remote", &url, "hi"]).advised(1, words);
        assert!(requests.join().unwrap()[0].starts_with("GET /v1/models "));
    }
    let (url, requests) = fake(vec!["SSH-2.0-OpenSSH_10.0\r\n".into()]);
    zord.run(["chat", "--remote", &url, "hi"]).advised(1, &["cannot reach"]);
    requests.join().unwrap();
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let zord = Zord::new();
    let (url, requests) = fake(vec![http("500 Internal Server Error", &"x".repeat(64 << 20))]);
    let ran = zord.run(["chat", "--remote", &url, "hi"]);
    ran.refused(1, &["500"]);
    assert!(ran.err.len() < 2000);
    requests.join().unwrap();
}

#[test]
fn addresses_that_lead_nowhere_are_said() {
    let zord = Zord::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    zord.run(["chat", "--remote", &format!("http://{closed}"), "hi"]).advised(1, &["cannot reach", "port"]);
    for url in ["127.0.0.1:8080", "ftp://127.0.0.1", "http://", "nonsense"] {
        zord.run(["chat", "--remote", url, "hi"]).advised(1, &["no address of a server", "http://127.0.0.1:8080"]);
    }
}

#[test]
fn a_stream_that_breaks_off_keeps_what_was_said_and_fails() {
    let zord = Zord::new();
    let half = stream(&[&word("half an "), &word("answer")]);
    let error = stream(&[&word("half an answer"), r#"{"error":{"message":"too hot"}}"#]);
    let nonsense = stream(&[&word("half an answer"), "{nope"]);
    for (answer, words) in [(half, "broke off: the stream ended early"), (error, "too hot"), (nonsense, "stream")] {
        let (url, requests) = fake(vec![models(), answer]);
        let ran = zord.run(["chat", "--remote", &url, "hi"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), "half an answer\n"), "{}", ran.err);
        assert!(ran.err.starts_with("error: `http://") && ran.err.contains(words), "{}", ran.err);
        requests.join().unwrap();
    }
}

#[test]
fn text_held_back_for_a_stop_text_is_printed_at_the_end() {
    let zord = Zord::new();
    let (url, requests) = fake(vec![models(), stream(&[&word("the end is ENDL"), STOPPED, "[DONE]"])]);
    let lines = zord.run(["chat", "--remote", &url, "--json", "--stop", "ENDLESS", "hi"]).lines();
    assert_eq!(pieces(&lines), "the end is ENDL");
    assert_eq!(lines.last().unwrap()["text"], "the end is ENDL");
    requests.join().unwrap();
}

#[test]
fn key_model_and_turns_are_sent() {
    let zord = Zord::new();
    zord.write("config.toml", "[remote]\nkey_env = 'MY_KEY'\n");
    let (url, requests) = fake(vec![models(), stream(&[&word("yes"), STOPPED, "[DONE]"])]);
    let args = ["chat", "--remote", &url, "--model", "other", "--system", "Be brief.", "--seed", "5", "hi"];
    let ran: Ran = zord.command(args).env("MY_KEY", "secret").output().unwrap().into();
    assert_eq!(ran.silent(), "yes\n");
    let requests = requests.join().unwrap();
    assert!(requests.iter().all(|request| request.to_lowercase().contains("authorization: bearer secret")));
    let body: serde_json::Value = serde_json::from_str(requests[1].split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["model"], &body["seed"], &body["stream"]), (&"other".into(), &5.into(), &true.into()));
    let turns = serde_json::json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    assert_eq!(body["messages"], turns);
}

#[test]
fn a_server_that_says_nothing_can_be_interrupted() {
    let zord = Zord::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let child = zord.spawn(["chat", "--remote", &url, "hi"]);
    let (mut socket, _) = listener.accept().unwrap();
    socket.read_exact(&mut [0; 4]).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    ran.refused(130, &["interrupted"]);
}

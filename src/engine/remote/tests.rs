//! Servers as they are met, made of prepared answers on a port of this device, and the engine's thread that talks to
//! them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use serde_json::Value;

use super::*;
use crate::chat::Role;
use crate::engine::{Engine, JobId, Spec, Stats, Stop};

/// Gives these answers, one a connection, then ends; the requests are what the thread returns.
fn fake(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || answers.iter().map(|answer| exchange(&listener.accept().unwrap().0, answer)).collect();
    (url, std::thread::spawn(serve))
}

fn exchange(mut socket: &TcpStream, answer: &str) -> String {
    let request = request(socket);
    // The engine may hang up before the end.
    let _ = socket.write_all(answer.as_bytes());
    request
}

fn request(socket: &TcpStream) -> String {
    let mut request = String::new();
    let mut reader = BufReader::new(socket);
    while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request).unwrap() > 0 {}
    let length = request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    request + &String::from_utf8(body).unwrap()
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn models(more: &str) -> String {
    http("200 OK", &format!(r#"{{"data":[{{"id":"m"{more}}}]}}"#))
}

fn stream(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{body}")
}

fn word(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
}

fn said(text: &str) -> String {
    stream(&format!(
        "{}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n",
        word(text)
    ))
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn spec(url: &str) -> RemoteSpec {
    RemoteSpec { url: url.into(), model: None, key: None, ctx: None, silence: RemoteSpec::SILENCE }
}

#[test]
fn a_key_is_not_printed() {
    let key = Some("secret-key".to_owned());
    let url = "https://me:secret-word@host/v1?key=secret-query";
    let with = RemoteSpec { model: Some("m".into()), key, ..spec(url) };
    let none = format!("{:?}", RemoteSpec { key: None, ..with.clone() });
    assert!(none.contains("key: None"), "{none}");
    for shown in [format!("{with:?}"), format!("{:#?}", Spec::Remote(with.clone()))] {
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("https://host/v1") && shown.contains("\"m\""), "{shown}");
    }
}

/// An engine, what it said of loading, and what it says.
struct Asked(Engine, Receiver<Event>, Facts);

impl Asked {
    fn start(spec: RemoteSpec) -> Result<Self, String> {
        let (sender, events) = mpsc::channel();
        let engine = Engine::start(Spec::Remote(spec), Box::new(move |event| drop(sender.send(event)))).unwrap();
        match events.recv().unwrap() {
            Event::Loaded(facts) => Ok(Self(engine, events, *facts)),
            Event::LoadFailed(error) => Err(error.line()),
            other => panic!("{other:?}"),
        }
    }

    fn submit(&self, request: ChatRequest) -> Cancel {
        let cancel = Cancel::new();
        assert!(self.0.submit(Job { id: JobId(1), cancel: cancel.clone(), work: Work::Chat(request) }));
        cancel
    }

    /// Text, why it ended, counts, and the events before the end; or the error.
    fn end(&self) -> Result<(String, Stop, Stats, Vec<Event>), String> {
        let mut events = Vec::new();
        loop {
            match self.1.recv().unwrap() {
                Event::Done { outcome: Outcome::Generated { text, stop, stats }, .. } => {
                    return Ok((text, stop, stats, events));
                }
                Event::Failed { error, .. } => return Err(error.line()),
                event => events.push(event),
            }
        }
    }

    fn chat(&self, request: ChatRequest) -> Result<(String, Stop, Stats, Vec<Event>), String> {
        self.submit(request);
        self.end()
    }
}

fn hello() -> ChatRequest {
    ChatRequest { turns: vec![Message::new(Role::User, "hello")], ..ChatRequest::default() }
}

/// What a server with this answer is understood to say.
fn answered(answer: String) -> Result<String, String> {
    let (url, requests) = fake(vec![models(""), answer]);
    let text = Asked::start(spec(&url)).unwrap().chat(hello()).map(|(text, ..)| text);
    assert_eq!(requests.join().unwrap().len(), 2);
    text
}

#[test]
fn the_context_is_the_servers_or_the_persons() {
    let table = [
        (r#","max_model_len":8192,"meta":{"n_ctx_train":99}"#, None, 8192),
        (r#","meta":{"n_ctx":4096,"n_ctx_train":32768}"#, None, 4096),
        (r#","meta":{"n_ctx_train":32768}"#, None, 32768),
        (r#","meta":{"n_ctx_train":32768}"#, Some(1024), 1024),
        (r#","max_model_len":512"#, Some(1024), 512),
        ("", Some(1024), 1024),
        ("", None, 0),
    ];
    for (more, ctx, expected) in table {
        let (url, requests) = fake(vec![models(more)]);
        let asked = Asked::start(RemoteSpec { ctx, ..spec(&url) }).unwrap();
        assert_eq!(asked.2.n_ctx, expected, "{more} {ctx:?}");
        assert_eq!(asked.2.server.as_deref(), url.strip_prefix("http://"));
        assert!(requests.join().unwrap()[0].starts_with("GET /v1/models "));
    }
}

#[test]
fn a_smaller_context_leaves_older_turns_out() {
    let (url, requests) = fake(vec![models(""), said("yes")]);
    let mut turns = Vec::new();
    for _ in 0..40 {
        turns.push(Message::new(Role::User, "What is a river, and why does it flow to the sea?"));
        turns.push(Message::new(Role::Assistant, "It is water that flows downhill."));
    }
    turns.push(Message::new(Role::User, "And a lake?"));
    let asked = Asked::start(RemoteSpec { ctx: Some(256), ..spec(&url) }).unwrap();
    let (_, _, _, events) = asked.chat(ChatRequest { turns, ..ChatRequest::default() }).unwrap();
    assert!(events.iter().any(|event| matches!(event, Event::Cut { turns: 60.., .. })), "{events:?}");
    let sent = body(&requests.join().unwrap()[1]);
    let sent = sent["messages"].as_array().unwrap();
    assert!(sent.len() < 20 && sent.last().unwrap()["content"] == "And a lake?", "{sent:?}");
}

#[test]
fn streams_of_several_servers_are_understood() {
    let message = json!({"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]});
    let pretty = serde_json::to_string_pretty(&message).unwrap();
    let ended = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}],"error":null}"#;
    let answers = [
        said("yes"),
        stream(&format!("data: {{\"error\":null,\"choices\":[{{\"delta\":{{\"content\":\"yes\"}}}}]}}\n\n{ended}\n\n")),
        stream(&format!("data:\n\ndata: \n\n: ping\n\n{}data: [DONE]\n\n", word("yes"))),
        http("200 OK", &message.to_string()),
        http("200 OK", &pretty),
        // Without an end mark, but with a reason, and without the last line's end.
        stream(&format!("{}{ended}", word("yes"))),
    ];
    for answer in answers {
        assert_eq!(answered(answer.clone()).as_deref(), Ok("yes"), "{answer}");
    }
    let thought = "data: {\"choices\":[{\"delta\":{\"content\":\"\",\"reasoning\":\"hm\"}}]}\n\n";
    let text = answered(stream(&format!("{thought}{}data: [DONE]\n\n", word("yes")))).unwrap();
    assert_eq!(text, "<think>\nhm\n</think>\n\nyes");
}

#[test]
fn errors_are_told_in_the_servers_words() {
    let answers = [
        (stream("data: {\"error\":{\"message\":\"too \\u001b[31mhot\"}}\n\n"), "broke off: too [31mhot"),
        (stream(&format!("{}data: {{\"error\":\"too hot\"}}\n\n", word("half"))), "broke off: too hot"),
        (stream("event: error\ndata: {\"message\":\"too hot\"}\n\n"), "broke off: too hot"),
        (http("200 OK", r#"{"error":{"message":"too hot","code":500}}"#), "broke off: too hot"),
        (http("200 OK", r#"{"detail":"too hot"}"#), "broke off: too hot"),
        (http("500 Oh", r#"{"detail":[{"msg":"too hot"}]}"#), "answered 500: too hot"),
        (http("503 Oh", r#"{"object":"error","message":"too hot"}"#), "answered 503: too hot"),
        (http("429 Oh", r#"[{"error":{"message":"too hot"}}]"#), "answered 429: too hot"),
        (http("200 OK", "<html>\n<b>a router's own page</b></html>"), "it sent no answer but `<html>`"),
        (stream(""), "the stream ended early"),
        (stream(&word("half")), "the stream ended early"),
    ];
    for (answer, words) in answers {
        let error = answered(answer.clone()).unwrap_err();
        assert!(error.contains(words), "{answer}: {error}");
    }
}

#[test]
fn a_strict_server_is_asked_again_without_extras_and_remembered() {
    let refusal = http("400 Bad Request", r#"{"error":{"message":"Unrecognized request argument: top_k"}}"#);
    let (url, requests) = fake(vec![models(""), refusal, said("yes"), said("and yes")]);
    let asked = Asked::start(spec(&url)).unwrap();
    assert_eq!(asked.chat(hello()).unwrap().0, "yes");
    assert_eq!(asked.chat(hello()).unwrap().0, "and yes");
    let bodies: Vec<Value> = requests.join().unwrap()[1..].iter().map(|request| body(request)).collect();
    let extras = ["top_k", "min_p", "repeat_penalty", "repeat_last_n"];
    assert_eq!(bodies.len(), 3);
    assert!(extras.iter().all(|key| bodies[0].get(key).is_some()));
    assert!(bodies[1..].iter().all(|body| extras.iter().all(|key| body.get(key).is_none())), "{bodies:?}");
    assert!(bodies[1..].iter().all(|body| body["temperature"].is_number()), "{bodies:?}");
}

#[test]
fn a_server_that_takes_next_to_nothing_gets_next_to_nothing() {
    let refusal = |text: &str| http("422 No", &format!(r#"{{"detail":"{text}"}}"#));
    let answers =
        vec![models(""), refusal("extra keys"), refusal("max_tokens: use max_completion_tokens"), said("yes")];
    let (url, requests) = fake(answers);
    let request = ChatRequest { max_tokens: Some(9), ..hello() };
    assert_eq!(Asked::start(spec(&url)).unwrap().chat(request).unwrap().0, "yes");
    let last = body(&requests.join().unwrap()[3]);
    let mut keys: Vec<&String> = last.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["max_completion_tokens", "messages", "model", "stream"]);
}

#[test]
fn a_refusal_that_is_no_matter_of_keys_is_told() {
    let (url, requests) = fake(vec![models(""), http("400 No", r#"{"error":"no such model"}"#)]);
    let error = Asked::start(spec(&url)).unwrap().chat(hello()).unwrap_err();
    assert!(error.contains("400: no such model"), "{error}");
    requests.join().unwrap();
}

#[test]
fn a_server_without_a_list_of_models_is_asked_for_the_named_one() {
    for list in [http("404 Not Found", "no"), http("200 OK", "<html>"), http("200 OK", r#"{"data":[]}"#)] {
        let (url, requests) = fake(vec![list.clone(), said("yes")]);
        let asked = Asked::start(RemoteSpec { model: Some("mine".into()), ..spec(&url) }).unwrap();
        assert_eq!(asked.chat(hello()).unwrap().0, "yes");
        assert_eq!(body(&requests.join().unwrap()[1])["model"], "mine");
        let (url, requests) = fake(vec![list]);
        let error = Asked::start(spec(&url)).err().unwrap();
        assert!(error.contains("--model"), "{error}");
        requests.join().unwrap();
    }
    let (url, requests) = fake(vec![http("401 No", r#"{"error":{"message":"bad key"}}"#)]);
    let error = Asked::start(RemoteSpec { model: Some("mine".into()), ..spec(&url) }).err().unwrap();
    assert!(error.contains("bad key") && error.contains("key_env"), "{error}");
    requests.join().unwrap();
}

#[test]
fn a_given_path_is_kept() {
    let (url, requests) = fake(vec![models(""), said("yes")]);
    let asked = Asked::start(spec(&format!("{url}/api/paas/v4"))).unwrap();
    assert_eq!(asked.chat(hello()).unwrap().0, "yes");
    let requests = requests.join().unwrap();
    assert!(requests[0].starts_with("GET /api/paas/v4/models "), "{requests:?}");
    assert!(requests[1].starts_with("POST /api/paas/v4/chat/completions "), "{requests:?}");
}

#[test]
fn redirects_are_followed_here_and_named_elsewhere() {
    let moved =
        |to: &str| format!("HTTP/1.1 307 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let answers = vec![moved("/v1/models/"), models(""), moved("/api/chat"), said("yes")];
    let (url, requests) = fake(answers);
    let asked = Asked::start(RemoteSpec { key: Some("secret".into()), ..spec(&url) }).unwrap();
    assert_eq!(asked.chat(hello()).unwrap().0, "yes");
    let requests = requests.join().unwrap();
    assert!(requests[3].starts_with("POST /api/chat ") && body(&requests[3])["model"] == "m", "{requests:?}");
    assert!(requests.iter().all(|request| request.contains("Bearer secret")));

    let (url, requests) = fake(vec![moved("http://elsewhere.example/v1/models?key=secret")]);
    let error = Asked::start(spec(&url)).err().unwrap();
    assert!(error.contains("on to `http://elsewhere.example/v1/models`") && !error.contains("secret"), "{error}");
    requests.join().unwrap();
}

/// A server whose answer has no end; the thread ends when nobody reads it any more.
fn endless(piece: String) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || {
        exchange(&listener.accept().unwrap().0, &models(""));
        let mut socket = listener.accept().unwrap().0;
        request(&socket);
        socket.write_all(stream("").as_bytes()).unwrap();
        while socket.write_all(piece.as_bytes()).is_ok() {}
    };
    (url, std::thread::spawn(serve))
}

#[test]
fn a_server_that_never_ends_is_ended_here() {
    let (url, server) = endless(word("word "));
    let asked = Asked::start(spec(&url)).unwrap();
    let (text, stop, stats, _) = asked.chat(ChatRequest { max_tokens: Some(5), ..hello() }).unwrap();
    assert_eq!((text.as_str(), stop, stats.generated_tokens), ("word word word word word ", Stop::Length, 5));
    server.join().unwrap();
}

#[test]
fn an_answer_that_floods_is_stopped_at_once() {
    let (url, server) = endless(word("word ").repeat(2000));
    let asked = Asked::start(spec(&url)).unwrap();
    let cancel = asked.submit(hello());
    let first = asked.1.recv().unwrap();
    cancel.cancel();
    assert!(matches!(first, Event::Piece { .. }), "{first:?}");
    let (_, stop, _, events) = asked.end().unwrap();
    assert_eq!(stop, Stop::Cancelled);
    // What came with the flag down is told in one piece each; nothing is read after it.
    assert!(events.len() < 64, "{} events", events.len());
    server.join().unwrap();
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silence = Duration::from_millis(80);
    let (url, server) = endless(": still here\n\n".into());
    let error = Asked::start(RemoteSpec { silence, ..spec(&url) }).unwrap().chat(hello()).unwrap_err();
    assert!(error.contains("not said a word") && error.contains("remote.timeout"), "{error}");
    server.join().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = std::thread::spawn(move || {
        exchange(&listener.accept().unwrap().0, &models(""));
        let mut socket = listener.accept().unwrap().0;
        request(&socket);
        // Ends when the engine hangs up.
        let _ = socket.read(&mut [0; 1]);
    });
    let error = Asked::start(RemoteSpec { silence, ..spec(&url) }).unwrap().chat(hello()).unwrap_err();
    assert!(error.contains("not said a word"), "{error}");
    serve.join().unwrap();
}

//! A hub on this machine that does as it is told: drops connections, lies about lengths, changes its files, refuses.
#![allow(clippy::unwrap_used, reason = "a test must be able to fail, in its helpers too")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub range: Option<u64>,
    pub token: Option<String>,
}

/// What a server does with a request.
pub enum Reply {
    /// Status, headers, body; the length is announced as it is.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// Status, headers, the length to announce, and the bytes to send before hanging up.
    Cut(u16, Vec<(String, String)>, usize, Vec<u8>),
    /// Like `Answer`, in chunks and without a length.
    Chunked(Vec<(String, String)>, Vec<u8>),
    /// Chunks without an end.
    Endless,
    /// The bytes, and then silence on an open line.
    Stall(Vec<(String, String)>, usize, Vec<u8>),
}

type Script = dyn Fn(usize, &Asked) -> Reply + Send + Sync;

pub struct Server {
    pub port: u16,
    pub log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers the n-th request (from 0) with what the script says.
    pub fn start(script: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, log) = (script.clone(), shared.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &log));
            }
        });
        Self { port, log }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut asked = Asked { path: line.split(' ').nth(1).unwrap().to_owned(), range: None, token: None };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = Some(value.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()),
            "authorization" => asked.token = Some(value.to_owned()),
            _ => {}
        }
    }
    let turn = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    // The client may hang up at any moment; that is its right.
    let _ = answer(stream, script(turn, &asked));
}

fn answer(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    let mut head = |status: u16, headers: &[(String, String)], length: Option<usize>| {
        let mut text = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        match length {
            Some(length) => text.push_str(&format!("Content-Length: {length}\r\n\r\n")),
            None => text.push_str("Transfer-Encoding: chunked\r\n\r\n"),
        }
        stream.write_all(text.as_bytes())
    };
    match reply {
        Reply::Answer(status, headers, body) => {
            head(status, &headers, Some(body.len()))?;
            stream.write_all(&body)
        }
        Reply::Cut(status, headers, length, body) => {
            head(status, &headers, Some(length))?;
            stream.write_all(&body)
        }
        Reply::Chunked(headers, body) => {
            head(200, &headers, None)?;
            for piece in body.chunks(1000) {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        Reply::Endless => {
            head(200, &[], None)?;
            let piece = vec![b'x'; 1 << 16];
            loop {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(&piece)?;
                stream.write_all(b"\r\n")?;
            }
        }
        Reply::Stall(headers, length, body) => {
            head(200, &headers, Some(length))?;
            stream.write_all(&body)?;
            // Until the client hangs up.
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
    }
}

/// A model file of some length, different for each seed.
pub fn model(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.resize(24, 0);
    let mut state = u32::from(seed) + 1;
    bytes.extend((24..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    bytes
}

pub fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a hub says of a file in large-file storage.
pub fn linked(bytes: &[u8]) -> Vec<(String, String)> {
    headers(&[
        ("X-Linked-Etag", &format!("\"{}\"", sha(bytes))),
        ("X-Linked-Size", &bytes.len().to_string()),
        ("X-Repo-Commit", "c0ffee"),
    ])
}

pub fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An honest answer, of a part when one was asked for.
pub fn honest(bytes: &[u8], asked: &Asked) -> Reply {
    match asked.range {
        None => Reply::Answer(200, linked(bytes), bytes.to_vec()),
        Some(from) if from as usize >= bytes.len() => Reply::Answer(416, linked(bytes), Vec::new()),
        Some(from) => Reply::Answer(206, ranged(bytes, from as usize), bytes[from as usize..].to_vec()),
    }
}

pub fn ranged(bytes: &[u8], from: usize) -> Vec<(String, String)> {
    let mut all = linked(bytes);
    all.push(("Content-Range".into(), format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())));
    all
}

pub fn drop_after(bytes: &[u8], count: usize) -> Reply {
    Reply::Cut(200, linked(bytes), bytes.len(), bytes[..count].to_vec())
}

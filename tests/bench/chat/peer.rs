//! llama.cpp's own tools, as `../shared/reference/peers.sh DIR llama` installs them: in a chroot, so root is needed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tied::Tied;

/// The tools and a model they can see.
pub struct Peer {
    root: PathBuf,
    model: String,
}

impl Peer {
    /// In the folder that `ZORD_PEERS` names.
    pub fn find(model: &Path) -> Option<Self> {
        let root = PathBuf::from(std::env::var_os("ZORD_PEERS")?).join("llama");
        if !root.join("usr/bin/llama-bench").exists() {
            return None;
        }
        let name = model.file_name()?.to_str()?;
        let inside = root.join("m").join(name);
        if !inside.exists() {
            std::fs::copy(model, &inside).ok()?;
        }
        Some(Self { root, model: format!("/m/{name}") })
    }

    /// Prefill and decode rates of llama-bench, the server's time to be ready, llama-bench's peak memory in MiB.
    pub fn bench(&self, threads: u32) -> [f64; 4] {
        let threads = threads.to_string();
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M"]).arg("chroot").arg(&self.root);
        command.args([
            "llama-bench",
            "-m",
            &self.model,
            "-t",
            &threads,
            "-p",
            "512",
            "-n",
            "64",
            "-r",
            "1",
            "-o",
            "json",
        ]);
        let out = command.output().expect("GNU time is needed");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let tests: Value = serde_json::from_slice(&out.stdout).unwrap();
        let rate = |i: usize| tests[i]["avg_ts"].as_f64().unwrap();
        let kib: f64 = String::from_utf8_lossy(&out.stderr).lines().last().unwrap().trim().parse().unwrap();
        let server = Server::start(self, &threads, 1024);
        [rate(0), rate(1), server.ready_ms, kib / 1024.0]
    }
}

/// A llama-server on a port of its own; killed when dropped.
pub struct Server {
    program: Tied,
    port: u16,
    pub ready_ms: f64,
}

impl Server {
    pub fn start(peer: &Peer, threads: &str, n_ctx: u32) -> Self {
        Self::start_with(peer, threads, n_ctx, &[])
    }

    pub fn start_with(peer: &Peer, threads: &str, n_ctx: u32, more: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Instant::now();
        let program = Tied::start("chroot", |command| {
            command
                .arg(&peer.root)
                .args(["llama-server", "-m", &peer.model])
                .args(["-t", threads, "-c", &n_ctx.to_string(), "--port", &port.to_string(), "--parallel", "1"])
                .args(more)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
        });
        let mut server = Self { program, port, ready_ms: 0.0 };
        while !server.get("/health").is_some_and(|answer| answer.contains("\"ok\"")) {
            assert!(server.program.child.try_wait().unwrap().is_none(), "llama-server ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_ms = started.elapsed().as_secs_f64() * 1e3;
        server
    }

    fn get(&self, path: &str) -> Option<String> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        let answer = self.exchange(&format!("{head}\r\n{body}")).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    fn exchange(&self, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

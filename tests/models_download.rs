//! Pulling from a hub that misbehaves: a server on this machine drops connections, lies about lengths, changes the file
//! between attempts, redirects, and refuses. No network beyond loopback, no waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hub;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hub::{Asked, Reply, Server, drop_after, headers, honest, linked, model, ranged, sha};
use zord::engine::Cancel;
use zord::error::Advise;
use zord::models::store::Kind;
use zord::models::{Hub, PullError, Pulled, Request, Retry, Source, Store, StoreError, net, pull};
use zord::weights::gguf::GgmlType;
use zord::weights::gguf::write::HeaderWriter;

/// A home with a store in it, and a way to pull into it.
struct Home {
    folder: tempfile::TempDir,
    retry: Retry,
}

impl Home {
    fn new() -> Self {
        let retry = Retry { attempts: 3, first: Duration::ZERO, longest: Duration::from_secs(1) };
        Self { folder: tempfile::tempdir().unwrap(), retry }
    }

    fn store(&self) -> Store {
        Store::new(self.folder.path().join("models"))
    }

    fn request(&self, server: &Server, source: &str) -> Request {
        let hub = Hub::new(&server.url(), Some("secret")).unwrap();
        Request { source: Source::parse(source).unwrap(), sha256: None, hub, store: self.store(), retry: self.retry }
    }

    fn pull(&self, server: &Server) -> Result<Pulled, PullError> {
        run(&self.request(server, "hf:owner/repo/m.gguf"))
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path("m.gguf")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("models").join(name)
    }

    /// Nothing may stand under the final name after a failure.
    fn is_clean(&self) -> bool {
        !self.path("m.gguf").exists() && !self.path("m.gguf.toml").exists()
    }
}

fn run(request: &Request) -> Result<Pulled, PullError> {
    run_with(request, &mut |_, _| (), &Cancel::new())
}

fn run_with(request: &Request, step: &mut dyn FnMut(u64, Option<u64>), cancel: &Cancel) -> Result<Pulled, PullError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = net::client_with(None, None).unwrap();
    runtime.block_on(pull(&client, request, &mut |progress| step(progress.done, progress.total), cancel))
}

#[test]
fn a_file_arrives_whole_under_its_name_with_a_record() {
    let bytes = model(1, 300_000);
    let sent = bytes.clone();
    let server = Server::start(move |_, asked| honest(&sent, asked));
    let home = Home::new();
    let mut last = (0, None);
    let request = home.request(&server, "hf:owner/repo/m.gguf");
    let pulled = run_with(&request, &mut |done, total| last = (done, total), &Cancel::new()).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert_eq!(last, (300_000, Some(300_000)));
    assert!(pulled.verified && !pulled.already);
    assert_eq!(pulled.sha256, Some(sha(&bytes)));
    let stored = home.store().find("hf:owner/repo/m.gguf").unwrap();
    let record = stored.record.unwrap();
    assert_eq!((record.source.as_str(), record.commit.as_deref()), ("hf:owner/repo/m.gguf", Some("c0ffee")));
    assert!(home.store().partials().unwrap().is_empty());
    assert_eq!(server.asked()[0].path, "/owner/repo/resolve/main/m.gguf");
    // A second pull asks nobody.
    assert!(run(&request).unwrap().already);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_dropped_connection_is_resumed_where_it_stopped() {
    let bytes = model(2, 200_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, asked| match turn {
        0 => drop_after(&sent, 50_000),
        1 => Reply::Cut(206, ranged(&sent, 50_000), 150_000, sent[50_000..120_000].to_vec()),
        _ => honest(&sent, asked),
    });
    let home = Home { retry: Retry { attempts: 5, ..Home::new().retry }, ..Home::new() };
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    let ranges: Vec<Option<u64>> = server.asked().iter().map(|asked| asked.range).collect();
    assert_eq!(ranges, [None, Some(50_000), Some(120_000)]);
}

#[test]
fn a_broken_pull_goes_on_in_the_next_run_of_the_program() {
    let bytes = model(3, 100_000);
    let sent = bytes.clone();
    let server =
        Server::start(
            move |turn, asked| {
                if turn < 3 { drop_after(&sent, 40_000).part(&sent, asked) } else { honest(&sent, asked) }
            },
        );
    let home = Home::new();
    assert!(matches!(home.pull(&server), Err(PullError::Connection { .. } | PullError::Short { .. })));
    assert!(home.is_clean());
    let partial = home.store().partials().unwrap().remove(0);
    assert_eq!(
        (partial.name.as_str(), partial.size, partial.source.as_deref()),
        ("m.gguf", 40_000, Some("hf:owner/repo/m.gguf"))
    );
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert_eq!(server.asked()[3].range, Some(40_000));
}

impl Reply {
    /// Nothing more for those who ask for the rest.
    fn part(self, bytes: &[u8], asked: &Asked) -> Self {
        match asked.range {
            Some(from) => Self::Cut(206, ranged(bytes, from as usize), bytes.len() - from as usize, Vec::new()),
            None => self,
        }
    }
}

#[test]
fn a_file_that_changed_between_attempts_is_started_over_and_never_mixed() {
    let (old, new) = (model(4, 90_000), model(5, 90_000));
    let (first, second) = (old.clone(), new.clone());
    let server =
        Server::start(move |turn, asked| if turn == 0 { drop_after(&first, 60_000) } else { honest(&second, asked) });
    let home = Home::new();
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), new);
    let ranges: Vec<Option<u64>> = server.asked().iter().map(|asked| asked.range).collect();
    assert_eq!(ranges, [None, Some(60_000), None]);
}

#[test]
fn a_server_that_ignores_ranges_sends_everything_again() {
    let bytes = model(6, 80_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, _| {
        if turn == 0 { drop_after(&sent, 30_000) } else { Reply::Answer(200, linked(&sent), sent.clone()) }
    });
    let home = Home::new();
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
}

#[test]
fn a_part_of_another_place_than_asked_for_is_refused() {
    let bytes = model(6, 80_000);
    let server = Server::start(move |turn, _| match turn {
        0 => drop_after(&bytes, 30_000),
        _ => Reply::Answer(206, ranged(&bytes, 10_000), bytes[10_000..].to_vec()),
    });
    let home = Home::new();
    assert!(matches!(home.pull(&server), Err(PullError::Nonsense { .. })));
    assert!(home.is_clean());
}

#[test]
fn a_part_that_is_whole_already_asks_for_one_byte_only() {
    let bytes = model(7, 70_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, asked| {
        if turn == 0 {
            Reply::Cut(200, linked(&sent), sent.len(), sent[..69_999].to_vec())
        } else {
            honest(&sent, asked)
        }
    });
    let home = Home { retry: Retry { attempts: 1, ..Home::new().retry }, ..Home::new() };
    assert!(home.pull(&server).is_err());
    let mut part = fs::OpenOptions::new().append(true).open(home.path("m.gguf.part")).unwrap();
    part.write_all(&bytes[69_999..]).unwrap();
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert_eq!(server.asked()[1].range, Some(69_999));
}

#[test]
fn a_range_that_is_refused_starts_over() {
    let bytes = model(8, 60_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, asked| match turn {
        0 => drop_after(&sent, 20_000),
        1 => Reply::Answer(416, Vec::new(), Vec::new()),
        _ => honest(&sent, asked),
    });
    let home = Home::new();
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert_eq!(server.asked()[2].range, None);
    let stubborn = Server::start(|_, _| Reply::Answer(416, Vec::new(), Vec::new()));
    assert!(matches!(Home::new().pull(&stubborn), Err(PullError::Range { .. })));
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let bytes = model(9, 50_000);
    let lie = |size: usize, bytes: &[u8]| {
        let mut all = linked(bytes);
        all[1].1 = size.to_string();
        all
    };
    for (name, reply) in [
        ("longer body announced", Reply::Answer(200, lie(40_000, &bytes), bytes.clone())),
        ("shorter body announced", Reply::Answer(200, lie(60_000, &bytes), bytes.clone())),
        ("more chunks than announced", Reply::Chunked(lie(40_000, &bytes), bytes.clone())),
    ] {
        let reply = Mutex::new(Some(reply));
        let server = Server::start(move |_, _| reply.lock().unwrap().take().unwrap());
        let home = Home::new();
        let error = home.pull(&server).unwrap_err();
        assert!(matches!(error, PullError::Length { .. }), "{name}: {error}");
        assert!(home.is_clean());
    }
}

#[test]
fn a_body_that_always_ends_early_is_given_up_and_kept() {
    let bytes = model(10, 50_000);
    let server = Server::start(move |_, asked| match asked.range {
        None => Reply::Chunked(linked(&bytes), bytes[..20_000].to_vec()),
        Some(from) => Reply::Cut(206, ranged(&bytes, from as usize), bytes.len() - from as usize, Vec::new()),
    });
    let home = Home::new();
    assert!(matches!(home.pull(&server), Err(PullError::Short { .. } | PullError::Connection { .. })));
    assert!(home.is_clean());
    assert_eq!(home.store().partials().unwrap()[0].size, 20_000);
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_body_without_length_or_end_is_refused() {
    let server = Server::start(|_, _| Reply::Endless);
    let home = Home::new();
    assert!(matches!(home.pull(&server), Err(PullError::Endless { .. })));
    assert!(home.is_clean());
    assert!(!home.path("m.gguf.part").exists());
}

#[test]
fn a_file_larger_than_the_disk_is_refused_before_it_is_fetched() {
    let server =
        Server::start(|_, _| Reply::Cut(200, headers(&[("X-Linked-Etag", "\"x\"")]), 1 << 60, b"GGUF".to_vec()));
    let error = Home::new().pull(&server).unwrap_err();
    assert!(matches!(error, PullError::Store(StoreError::Space { need, .. }) if need > 1 << 60), "{error}");
}

#[test]
fn a_redirect_to_another_host_keeps_the_facts_and_loses_the_token() {
    let bytes = model(11, 120_000);
    let sent = bytes.clone();
    let storage = Server::start(move |turn, asked| {
        let from = asked.range.unwrap_or(0) as usize;
        let own = headers(&[
            ("ETag", "\"storage\""),
            ("Content-Range", &format!("bytes {from}-{}/{}", sent.len() - 1, sent.len())),
        ]);
        match turn {
            0 => Reply::Cut(200, headers(&[("ETag", "\"storage\"")]), sent.len(), sent[..70_000].to_vec()),
            _ => Reply::Answer(206, own, sent[from..].to_vec()),
        }
    });
    let (port, facts) = (storage.port, linked(&bytes));
    let hub = Server::start(move |_, asked| {
        let mut all = facts.clone();
        // First to another name on the hub itself, then to another host, which is the same machine by another name.
        let to = if asked.path.starts_with("/owner") {
            "/renamed/m.gguf?x=1".to_owned()
        } else {
            format!("http://localhost:{port}/blob?signature=s")
        };
        all.push(("Location".into(), to));
        Reply::Answer(302, all, Vec::new())
    });
    let home = Home::new();
    let pulled = home.pull(&hub).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert!(pulled.verified);
    assert!(hub.asked().iter().all(|asked| asked.token.as_deref() == Some("Bearer secret")));
    assert_eq!(hub.asked().len(), 4);
    let stored = storage.asked();
    assert_eq!(stored.iter().map(|asked| asked.range).collect::<Vec<_>>(), [None, Some(70_000)]);
    assert!(stored.iter().all(|asked| asked.token.is_none()), "the token went to another host");
}

#[test]
fn a_token_does_not_come_back_by_a_detour() {
    let away: Arc<Mutex<String>> = Arc::default();
    let back = away.clone();
    let stranger =
        Server::start(move |_, _| Reply::Answer(302, headers(&[("Location", &back.lock().unwrap())]), Vec::new()));
    let there = format!("http://localhost:{}/", stranger.port);
    let hub = Server::start(move |_, asked| {
        if asked.path == "/collect" {
            Reply::Answer(404, Vec::new(), Vec::new())
        } else {
            Reply::Answer(302, headers(&[("Location", &there)]), Vec::new())
        }
    });
    *away.lock().unwrap() = format!("{}/collect", hub.url());
    assert!(matches!(Home::new().pull(&hub), Err(PullError::Missing { .. })));
    assert_eq!(hub.asked().iter().map(|asked| asked.token.is_some()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn redirects_in_circles_and_to_odd_places_are_refused() {
    for to in [
        "/owner/repo/resolve/main/m.gguf",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:text/plain,GGUF",
        "http://",
        "",
    ] {
        let server = Server::start(move |_, _| {
            let location = if to.is_empty() { Vec::new() } else { headers(&[("Location", to)]) };
            Reply::Answer(302, location, Vec::new())
        });
        let home = Home::new();
        let error = home.pull(&server).unwrap_err();
        assert!(matches!(error, PullError::Redirect { .. }), "{to}: {error}");
        assert!(server.asked().len() < 12 && home.is_clean());
    }
}

#[test]
fn refusals_are_explained_and_not_repeated() {
    for (status, part, way_out) in [
        (401, "status 401", "HF_TOKEN"),
        (403, "status 403", "accept the model's terms"),
        (404, "the hub has no", "case-sensitive"),
        (418, "status 418", "HF_ENDPOINT"),
    ] {
        let server =
            Server::start(move |_, _| Reply::Answer(status, headers(&[("X-Error-Message", "because so")]), Vec::new()));
        let home = Home::new();
        let error = home.pull(&server).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.hint().unwrap().contains(way_out), "{:?}", error.hint());
        assert_eq!(server.asked().len(), 1);
        assert!(home.is_clean());
        assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 0, "status {status} left something behind");
    }
}

#[test]
fn one_file_of_a_split_model_is_refused_before_the_hub_is_asked() {
    let bytes = model(20, 40_000);
    let server = Server::start(move |_, asked| honest(&bytes, asked));
    let home = Home::new();
    for name in ["m-00001-of-00002.gguf", "sub/m-00002-of-00002.GGUF"] {
        let error = run(&home.request(&server, &format!("hf:owner/repo/{name}"))).unwrap_err();
        assert!(matches!(error, PullError::Part { count: 2, .. }), "{error}");
        assert!(error.hint().unwrap().contains("llama-gguf-split --merge"), "{:?}", error.hint());
    }
    assert!(server.asked().is_empty());
    // A model of one file may bear the name all the same.
    assert!(run(&home.request(&server, "hf:owner/repo/m-00001-of-00001.gguf")).is_ok());
}

#[test]
fn a_file_that_its_own_header_calls_cut_or_split_does_not_enter_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, header: HeaderWriter| {
        let path = folder.path().join(name);
        header.tensor("token_embd.weight", &[64, 64], GgmlType::F32).write_sparse(&path).unwrap();
        fs::read(path).unwrap()
    };
    let whole = file("whole", HeaderWriter::new());
    let split = file("split", HeaderWriter::new().u32("split.count", 3).u32("split.no", 0));
    for (bytes, word) in [(whole[..whole.len() - 1].to_vec(), "not whole"), (split, "one of 3 files")] {
        let sent = bytes.clone();
        let server = Server::start(move |_, asked| honest(&sent, asked));
        let home = Home::new();
        let error = home.pull(&server).unwrap_err();
        assert!(error.to_string().contains(word) && error.hint().is_some(), "{error}");
        assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 0, "{word}");
    }
    let server = Server::start(move |_, asked| honest(&whole, asked));
    Home::new().pull(&server).unwrap();
}

#[test]
fn a_busy_hub_is_asked_again_and_given_up_in_the_end() {
    let bytes = model(12, 30_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, asked| match turn {
        0 => Reply::Answer(429, headers(&[("Retry-After", "0")]), Vec::new()),
        1 => Reply::Answer(500, Vec::new(), b"oops".to_vec()),
        _ => honest(&sent, asked),
    });
    let home = Home::new();
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    let broken = Server::start(|_, _| Reply::Answer(503, Vec::new(), Vec::new()));
    assert!(matches!(Home::new().pull(&broken), Err(PullError::Busy { status: 503, .. })));
    assert_eq!(broken.asked().len(), 3);
}

#[test]
fn a_hub_that_asks_for_a_long_wait_is_not_waited_for() {
    let server = Server::start(|_, _| Reply::Answer(429, headers(&[("Retry-After", "86400")]), Vec::new()));
    let error = Home::new().pull(&server).unwrap_err();
    assert!(error.hint().unwrap().contains("86400 seconds"));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_damaged_file_is_refused_and_thrown_away() {
    let bytes = model(13, 40_000);
    let server = Server::start(move |_, _| {
        let mut damaged = bytes.clone();
        damaged[30_000] ^= 1;
        Reply::Answer(200, linked(&bytes), damaged)
    });
    let home = Home::new();
    assert!(matches!(home.pull(&server), Err(PullError::Hash { .. })));
    assert!(home.is_clean());
    assert!(!home.path("m.gguf.part").exists());
}

#[test]
fn a_damaged_part_does_not_survive_the_check() {
    let bytes = model(14, 40_000);
    let sent = bytes.clone();
    let server =
        Server::start(move |turn, asked| if turn == 0 { drop_after(&sent, 20_000) } else { honest(&sent, asked) });
    let home = Home { retry: Retry { attempts: 1, ..Home::new().retry }, ..Home::new() };
    assert!(home.pull(&server).is_err());
    let part = home.path("m.gguf.part");
    let mut damaged = fs::read(&part).unwrap();
    damaged[10_000] ^= 1;
    fs::write(&part, damaged).unwrap();
    assert!(matches!(home.pull(&server), Err(PullError::Hash { .. })));
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
}

#[test]
fn a_web_page_is_no_model() {
    let server = Server::start(|_, _| {
        Reply::Answer(200, headers(&[("ETag", "\"p\"")]), b"<html>log in first</html> and more of it".to_vec())
    });
    let home = Home::new();
    let error = home.pull(&server).unwrap_err();
    assert!(matches!(error, PullError::NotGguf { .. }) && error.to_string().contains("web page"), "{error}");
    assert!(home.is_clean() && home.store().partials().unwrap().is_empty());
}

#[test]
fn another_file_than_the_catalogue_s_is_refused_before_it_is_fetched() {
    let bytes = model(15, 40_000);
    let server = Server::start(move |_, asked| honest(&bytes, asked));
    let home = Home::new();
    let request = Request { sha256: Some("ab".repeat(32)), ..home.request(&server, "hf:owner/repo/m.gguf") };
    assert!(matches!(run(&request), Err(PullError::Changed { .. })));
    assert!(home.is_clean());
}

#[test]
fn cancelling_stops_a_stalled_download_and_keeps_what_came() {
    let bytes = model(16, 90_000);
    let sent = bytes.clone();
    let server = Server::start(move |turn, asked| {
        if turn == 0 { Reply::Stall(linked(&sent), sent.len(), sent[..45_000].to_vec()) } else { honest(&sent, asked) }
    });
    let home = Home::new();
    let cancel = Cancel::new();
    let request = home.request(&server, "hf:owner/repo/m.gguf");
    let flag = cancel.clone();
    let mut stop = move |done, _| {
        if done == 45_000 {
            flag.cancel();
        }
    };
    assert!(matches!(run_with(&request, &mut stop, &cancel), Err(PullError::Cancelled)));
    assert_eq!(home.store().partials().unwrap()[0].size, 45_000);
    home.pull(&server).unwrap();
    assert_eq!(home.bytes(), bytes);
    assert_eq!(server.asked()[1].range, Some(45_000));
}

#[test]
fn two_programs_do_not_write_into_one_part() {
    let bytes = model(17, 30_000);
    let server = Server::start(move |_, asked| honest(&bytes, asked));
    let home = Home::new();
    fs::create_dir_all(home.path("")).unwrap();
    let part = fs::File::create(home.path("m.gguf.part")).unwrap();
    part.lock().unwrap();
    assert!(matches!(home.pull(&server), Err(PullError::Locked(_))));
    drop(part);
    home.pull(&server).unwrap();
}

#[test]
fn a_name_that_is_taken_by_another_model_is_kept() {
    let bytes = model(18, 30_000);
    let server = Server::start(move |_, asked| honest(&bytes, asked));
    let home = Home::new();
    fs::create_dir_all(home.path("")).unwrap();
    for taken in ["m.gguf", "M.GGUF"] {
        fs::write(home.path(taken), "mine").unwrap();
        let error = home.pull(&server).unwrap_err();
        assert!(matches!(error, PullError::Store(StoreError::Taken(_))), "{taken}: {error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("zord models remove") && !hint.contains("rename"), "{hint}");
        assert_eq!(fs::read(home.path(taken)).unwrap(), b"mine");
        fs::remove_file(home.path(taken)).unwrap();
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_hub_that_is_not_there_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server { port, log: Arc::default() };
    let error = Home::new().pull(&server).unwrap_err();
    assert!(matches!(error, PullError::Connection { tls: false, lookup: false, .. }), "{error}");
}

/// A repository of a checkpoint: path and content of each file.
fn repository() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"a\":1}".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model-00001-of-00002.safetensors", model(20, 60_000)),
        ("model-00002-of-00002.safetensors", model(21, 50_000)),
        ("model.safetensors.index.json", b"{\"weight_map\":{}}".to_vec()),
        ("run_me.py", b"print()".to_vec()),
    ]
}

fn tree(files: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let entry = |(path, bytes): &(&str, Vec<u8>)| {
        let lfs = if path.ends_with(".safetensors") {
            format!(r#","lfs":{{"oid":"{}","size":{}}}"#, sha(bytes), bytes.len())
        } else {
            String::new()
        };
        format!(r#"{{"type":"file","path":"{path}","size":{},"oid":"{}"{lfs}}}"#, bytes.len(), &sha(bytes)[..40])
    };
    format!("[{}]", files.iter().map(entry).collect::<Vec<_>>().join(",")).into_bytes()
}

fn repository_answer(files: &[(&'static str, Vec<u8>)], asked: &Asked) -> Reply {
    if asked.path.starts_with("/api/") {
        return Reply::Answer(200, Vec::new(), tree(files));
    }
    let name = asked.path.rsplit('/').next().unwrap();
    match files.iter().find(|(path, _)| *path == name) {
        Some((_, bytes)) if name.ends_with(".safetensors") => honest(bytes, asked),
        Some((_, bytes)) => {
            Reply::Answer(200, headers(&[("ETag", &format!("\"{}\"", &sha(bytes)[..40]))]), bytes.clone())
        }
        None => Reply::Answer(404, Vec::new(), Vec::new()),
    }
}

#[test]
fn a_checkpoint_arrives_as_a_folder_when_all_of_it_is_there() {
    let server = Server::start(|_, asked| repository_answer(&repository(), asked));
    let home = Home::new();
    let request = home.request(&server, "hf:owner/repo@v2");
    let mut totals = Vec::new();
    let pulled = run_with(&request, &mut |done, total| totals.push((done, total)), &Cancel::new()).unwrap();
    assert_eq!(pulled.name, "owner--repo");
    for (path, bytes) in repository().iter().filter(|(path, _)| !path.ends_with(".py")) {
        assert_eq!(&fs::read(pulled.path.join(path)).unwrap(), bytes, "{path}");
    }
    assert_eq!(fs::read_dir(&pulled.path).unwrap().count(), 5);
    assert!(totals.is_sorted_by_key(|(done, _)| *done));
    let (done, total) = *totals.last().unwrap();
    assert_eq!(Some(done), total);
    assert_eq!(server.asked()[0].path, "/api/models/owner/repo/tree/v2?recursive=true");
    let stored = home.store().find("owner--repo").unwrap();
    assert_eq!((stored.kind, stored.size), (Kind::Checkpoint, done));
    let verdicts = home.store().verify("owner--repo", &mut |_| (), &Cancel::new()).unwrap();
    assert!(verdicts.len() == 5 && verdicts.iter().all(|(_, verdict)| *verdict == zord::models::record::Verdict::Good));
    assert!(run(&request).unwrap().already);
    home.store().remove("owner--repo").unwrap();
    assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 0);
}

#[test]
fn a_broken_checkpoint_keeps_its_whole_files_and_has_no_name_yet() {
    let server = Server::start(|turn, asked| match asked.path.ends_with("00001-of-00002.safetensors") && turn < 7 {
        true => drop_after(&repository()[2].1, 10_000).part(&repository()[2].1, asked),
        false => repository_answer(&repository(), asked),
    });
    let home = Home { retry: Retry { attempts: 2, ..Home::new().retry }, ..Home::new() };
    let request = home.request(&server, "hf:owner/repo");
    assert!(run(&request).is_err());
    assert!(home.store().list().unwrap().is_empty() && !home.path("owner--repo").exists());
    assert_eq!(home.store().partials().unwrap()[0].source.as_deref(), Some("hf:owner/repo"));
    let before = server.asked().len();
    run(&request).unwrap();
    let again: Vec<String> =
        server.asked()[before..].iter().map(|asked| asked.path.rsplit('/').next().unwrap().to_owned()).collect();
    assert!(
        !again.contains(&"config.json".into()) && !again.contains(&"model-00002-of-00002.safetensors".into()),
        "{again:?}"
    );
}

#[test]
fn a_shard_that_is_not_the_listed_one_is_refused() {
    let server = Server::start(|_, asked| {
        let mut files = repository();
        if !asked.path.starts_with("/api/") {
            files[2].1 = model(30, 60_000);
        }
        repository_answer(&files, asked)
    });
    let home = Home::new();
    assert!(matches!(run(&home.request(&server, "hf:owner/repo")), Err(PullError::Changed { .. })));
    assert!(!home.path("owner--repo").exists());
}

#[test]
fn a_listing_in_pages_is_read_to_its_end_and_one_without_an_end_is_refused() {
    let server = Server::start(|_, asked| {
        let files = repository();
        if !asked.path.starts_with("/api/") {
            return repository_answer(&files, asked);
        }
        let second = asked.path.contains("cursor=2");
        let link = headers(&[("Link", "</api/models/owner/repo/tree/main?cursor=2>; rel=\"next\"")]);
        if second {
            Reply::Answer(200, Vec::new(), tree(&files[3..]))
        } else {
            Reply::Answer(200, link, tree(&files[..3]))
        }
    });
    let home = Home::new();
    let pulled = run(&home.request(&server, "hf:owner/repo")).unwrap();
    assert_eq!(fs::read_dir(&pulled.path).unwrap().count(), 5);
    let endless =
        Server::start(|_, _| Reply::Answer(200, headers(&[("Link", "<?cursor=2>; rel=\"next\"")]), b"[]".to_vec()));
    assert!(matches!(run(&Home::new().request(&endless, "hf:owner/repo")), Err(PullError::Nonsense { .. })));
    assert!(endless.asked().len() < 100);
    let broken = Server::start(|_, _| Reply::Answer(200, Vec::new(), b"{\"error\":\x1b".to_vec()));
    assert!(matches!(run(&Home::new().request(&broken, "hf:owner/repo")), Err(PullError::Nonsense { .. })));
}

#[test]
fn a_repository_of_ggufs_is_no_checkpoint_and_says_what_to_name() {
    let server = Server::start(|_, _| Reply::Answer(200, Vec::new(), tree(&[("m.gguf", model(1, 100))])));
    let error = run(&Home::new().request(&server, "hf:owner/repo")).unwrap_err();
    assert!(error.hint().unwrap().contains("hf:owner/repo/m.gguf"));
}

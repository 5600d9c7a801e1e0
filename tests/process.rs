//! The engine in a process of its own: killed, stopped and aborted at any moment it takes nothing else along.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;
mod screen;

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use real::{Asked, generated, local, one_thread, smollm2};
use rustix::process::{Pid, Signal, kill_process};
use screen::{BUSY, READY, Screen, engine_of, last_session, open};
use zord::budget::Plan;
use zord::chat::{Message, Role};
use zord::edits::grammar::Constraint;
use zord::engine::wire::{self, BUILD, Order};
use zord::engine::{ChatRequest, CompleteRequest, Event, InfillRequest, JobId, Outcome, Sampling, Spec, Stop, Work};
use zord::error::UserError;
use zord::fim::Site;

const ZORD: &str = env!("CARGO_BIN_EXE_zord");
/// Blows in all, and those that one engine gets: a third within a minute would be its end.
const BLOWS: u64 = 200;
const EACH: u64 = 2;
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

const CODE: &str = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n";

/// A chat with completions beside it, as the interface has.
fn plan() -> Plan {
    Plan { n_seq: InfillRequest::SEQUENCES, n_infill: 512, ..one_thread() }
}

fn chat(text: &str, max_tokens: u32) -> ChatRequest {
    ChatRequest {
        turns: vec![Message::new(Role::User, text)],
        max_tokens: Some(max_tokens),
        ignore_end: true,
        ..ChatRequest::default()
    }
}

/// An answer, a completion, text that goes on, and a change of a file, in turn.
fn work(n: u64) -> Work {
    match n % 4 {
        0 => Work::Chat(chat("Count from one to fifty in words.", 24)),
        1 => Work::Infill(InfillRequest {
            site: Site::new(Some("a.py"), None, "def add(a, b):\n    ", "\n\nprint(add(1, 2))\n"),
            chunks: Vec::new(),
            max_tokens: 16,
            alternatives: 1,
            prompt_tokens: 256,
        }),
        2 => Work::Complete(CompleteRequest {
            prefix: "Once upon a time".into(),
            sampling: Sampling::default(),
            max_tokens: 24,
            stop: Vec::new(),
            ignore_end: true,
        }),
        _ => Work::Chat(ChatRequest {
            constraint: Some(Constraint::new([("a.py", CODE)])),
            ..chat(&format!("Rename `add` to `plus` in a.py:\n{CODE}"), 24)
        }),
    }
}

/// A linear congruential generator, so that the moments are the same in every run.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn signal(pid: u32, signal: Signal) {
    // it may be gone by itself at just this moment
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

/// Stops, kills, aborts.
fn strike(asked: &Asked, kind: u64) {
    let Some(pid) = asked.process() else { return };
    match kind {
        0 => {
            signal(pid, Signal::STOP);
            signal(pid, Signal::CONT);
        }
        1 => signal(pid, Signal::ABORT),
        2 => signal(pid, Signal::SEGV),
        _ => signal(pid, Signal::KILL),
    }
}

#[test]
fn struck_at_any_moment_every_job_ends_once_and_whole() {
    let Some(model) = smollm2() else { return };
    let mut moments = Moments(20_261_130);
    let (mut died, mut went_on) = (0, 0);
    for n in 0..BLOWS / EACH {
        let mut asked = Asked::start_process(ZORD, local(model.clone(), plan())).unwrap();
        let (id, _) = asked.submit(work(n));
        let at = [moments.next(6), 6 + moments.next(12)];
        let mut pieces = String::new();
        let mut seen = 0;
        let end = loop {
            for (nth, _) in at.iter().enumerate().filter(|(_, at)| **at == seen) {
                strike(&asked, (n + nth as u64 + moments.next(2)) % 4);
            }
            seen += 1;
            match asked.events.recv_timeout(PATIENCE).expect("the engine says nothing any more") {
                Event::Piece { job, text } if job == id => pieces.push_str(&text),
                Event::Died { .. } => died += 1,
                Event::Done { job, outcome } if job == id => break Ok(outcome),
                Event::Failed { job, error } if job == id => break Err(error.message),
                Event::LoadFailed(error) => panic!("{n}: {error:?}"),
                _ => {}
            }
        };
        match end {
            Ok(Outcome::Generated { text, .. }) => {
                assert_eq!(text, pieces, "{n}: what was said is what it ends with");
                assert!(!text.is_empty(), "{n}");
                went_on += 1;
            }
            Ok(Outcome::Infilled(_)) => {}
            Err(message) => assert!(n % 4 == 1 && message.contains("died"), "{n}: {message}"),
            Ok(other) => panic!("{n}: {other:?}"),
        }
        // whatever happened, the next job is done
        let (_, counted) = asked.work(Work::Count("one two".into()));
        assert_eq!(counted, Ok(Outcome::Counted(2)), "{n}");
        asked.stop();
    }
    println!("{BLOWS} blows, {died} deaths, {went_on} texts");
    assert!(died > BLOWS / 4 && went_on > BLOWS / EACH / 2, "{died} deaths, {went_on} texts: too few to mean anything");
}

#[test]
fn it_says_the_same_as_a_thread() {
    let Some(model) = smollm2() else { return };
    let mut here = Asked::local(model.clone(), plan());
    let works = [work(0), work(2), work(3), work(1), Work::Count("one two three".into())];
    let text = |outcome: Result<Outcome, String>| match outcome.unwrap() {
        Outcome::Generated { text, stop, .. } => format!("{text} {stop:?}"),
        Outcome::Infilled(filled) => format!("{:?}", filled.alternatives),
        other => format!("{other:?}"),
    };
    let said = works.clone().map(|work| text(here.work(work).1));
    let facts = here.facts.clone();
    assert_eq!(here.process(), None);
    here.stop();
    let mut apart = Asked::start_process(ZORD, local(model, plan())).unwrap();
    assert!(apart.process().is_some());
    assert_eq!(zord::engine::Facts { load_ms: facts.load_ms, ..apart.facts.clone() }, facts);
    assert_eq!(works.map(|work| text(apart.work(work).1)), said);
    apart.stop();
}

#[test]
fn a_cancelled_prompt_ends_before_it_is_read() {
    let Some(model) = smollm2() else { return };
    let plan = Plan { n_ctx: 4096, ..plan() };
    let mut apart = Asked::start_process(ZORD, local(model, plan)).unwrap();
    let (id, cancel) = apart.submit(Work::Chat(chat(&"one and two and ".repeat(700), 8)));
    loop {
        if let Event::Prefill { .. } = apart.events.recv_timeout(PATIENCE).unwrap() {
            break;
        }
    }
    cancel.cancel();
    let (_, stop, stats) = generated(apart.wait(id).1);
    assert_eq!(stop, Stop::Cancelled);
    assert!(stats.prefilled_tokens < stats.prompt_tokens / 2, "{stats:?}");
    apart.stop();
}

#[test]
fn three_deaths_within_a_minute_are_the_end_and_say_so() {
    let Some(model) = smollm2() else { return };
    let mut apart = Asked::start_process(ZORD, local(model, plan())).unwrap();
    let (id, _) = apart.submit(Work::Chat(chat("Count from one to fifty in words.", 200)));
    let (mut told, mut struck) = (Vec::new(), false);
    let failed = loop {
        match apart.events.recv_timeout(PATIENCE).unwrap() {
            // what it said before it died comes before its death
            Event::Piece { .. } if !struck => {
                struck = true;
                signal(apart.process().unwrap(), Signal::ABORT);
            }
            Event::Died { how, with } => {
                struck = false;
                told.push((how, with));
            }
            Event::LoadFailed(error) => break error.message,
            _ => {}
        }
    };
    let how = "crashed while writing the answer (aborted)";
    assert_eq!(
        told,
        [
            (how.to_owned(), Some("without rearranged weights".to_owned())),
            (how.to_owned(), Some("with a context of 512 tokens".to_owned()))
        ]
    );
    assert!(failed.contains(how) && failed.contains("three times within a minute"), "{failed}");
    assert!(apart.wait(id).1.is_err());
    let (_, counted) = apart.work(Work::Count("x".into()));
    assert_eq!(counted, Err("no model is loaded".to_owned()));
    apart.stop();
}

#[test]
fn a_file_that_is_no_model_is_refused_as_by_a_thread_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.gguf"));
    std::fs::write(&file, b"GGUF").unwrap();
    let refused = |started: Result<Asked, _>| started.err().expect("it was loaded");
    let here: (String, Option<String>) = refused(Asked::start(Spec::Local(local(file.clone(), plan()))));
    assert_eq!(refused(Asked::start_process(ZORD, local(file, plan()))), here);
    assert!(here.0.contains("cannot load"), "{here:?}");
}

/// `zord engine` over a socket of this test's.
fn started() -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(ZORD);
    command.arg("engine").stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
    (command.spawn().unwrap(), ours)
}

#[test]
fn another_version_is_refused_with_words() {
    let (mut child, mut stream) = started();
    let spec = local("m.gguf".into(), plan());
    wire::write(&mut stream, &Order::<Work, _>::Start { build: "0.0.0/0".into(), spec }).unwrap();
    let Ok(Some(Event::LoadFailed(UserError { message, hint, .. }))) = wire::read::<Event>(&mut stream) else {
        panic!()
    };
    assert!(message.contains("another version") && message.contains(BUILD) && hint.is_some(), "{message}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_ends_with_its_owner_whatever_it_is_at() {
    let Some(model) = smollm2() else { return };
    for works in [false, true] {
        let (mut child, mut stream) = started();
        let spec = local(model.clone(), plan());
        wire::write(&mut stream, &Order::<Work, _>::Start { build: BUILD.into(), spec }).unwrap();
        if works {
            let work = work(0);
            let order = Order::<&Work, zord::engine::LocalSpec>::Work { id: JobId(1), work: &work };
            wire::write(&mut stream, &order).unwrap();
            while !matches!(wire::read::<Event>(&mut stream).unwrap().unwrap(), Event::Piece { .. }) {}
        }
        drop(stream);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

#[test]
fn typed_by_hand_it_says_what_it_is_for() {
    let output = Command::new(ZORD).arg("engine").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: `zord engine`") && said.contains("hint: "), "{said}");
}

/// Whether a process is there and no mere entry that nobody has taken away.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn home() -> Option<tempfile::TempDir> {
    smollm2().map(|model| screen::home(&[model.as_path()], ""))
}

const LONG: &str = "Write a long story about a lighthouse keeper.";

/// A terminal in which an answer is being written, with half a thought in the input, and the engine's process.
fn answering(home: &std::path::Path) -> (Screen, u32) {
    let mut screen = open(home);
    screen.wait_for(READY);
    screen.keys(&format!("{LONG}\r"));
    screen.wait("an answer", |text| text.contains(BUSY) && text.contains("tok/s"));
    let engine = screen.engine().expect("an engine in a process of its own");
    (screen, engine)
}

#[test]
fn the_screen_and_the_answer_outlive_the_engine() {
    let Some(home) = home() else { return };
    let (mut screen, engine) = answering(home.path());
    let pid = screen.pid();
    signal(engine, Signal::SEGV);
    screen.wait_for("the engine crashed while writing the answer (segmentation fault)");
    screen.wait("another engine", |_| engine_of(pid).is_some_and(|again| again != engine));
    screen.wait("the answer again", |text| text.contains(BUSY) && text.contains("tok/s"));
    let before = last_session(home.path())["turns"][1]["text"].as_str().unwrap_or_default().len();
    screen.wait("more of it", |_| {
        last_session(home.path())["turns"][1]["text"].as_str().unwrap_or_default().len() > before + 80
    });
    screen.keys("\x1b");
    screen.wait_for(READY);
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let session = last_session(home.path());
    assert_eq!(session["turns"].as_array().unwrap().len(), 2, "one question, one answer: {session}");
    assert_eq!(session["turns"][1]["stop"], "cancelled");
}

#[test]
fn the_engine_has_nothing_of_the_programs_and_ends_with_it() {
    let Some(home) = home() else { return };
    let (mut screen, engine) = answering(home.path());
    let held = std::fs::read_dir(format!("/proc/{engine}/fd")).unwrap().flatten();
    let held: Vec<String> = held
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    assert!(held.len() >= 3, "{held:?}");
    let home_name = home.path().file_name().unwrap().to_str().unwrap();
    let foreign = |target: &&String| target.contains("/pts/") || target.contains("ptmx") || target.contains(home_name);
    assert!(!held.iter().any(|target| foreign(&target) && !target.contains("gguf")), "{held:?}");
    let score = |pid: u32| -> i32 {
        std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap()
    };
    assert!(score(engine) > score(screen.pid().cast_unsigned()) || score(engine) == 1000);
    screen.signal(Signal::KILL);
    screen.end();
    let until = Instant::now() + PATIENCE;
    while lives(engine) {
        assert!(Instant::now() < until, "the engine outlives its program");
        std::thread::yield_now();
    }
}

#[test]
fn an_engine_that_dies_again_and_again_is_left_alone_until_it_is_asked_for() {
    let Some(home) = home() else { return };
    let (mut screen, _) = answering(home.path());
    while !screen.text().contains("/model chooses another model") {
        if let Some(engine) = screen.engine() {
            signal(engine, Signal::KILL);
        }
        screen.watch(Duration::from_millis(50));
    }
    screen.wait_for("three times within a minute");
    screen.keys("half a thought");
    screen.wait_for("half a thought");
    screen.keys("\x03\x03\x03");
    screen.end();
    let session = last_session(home.path());
    assert_eq!(session["turns"][0]["text"], LONG);
}

#[test]
fn typing_goes_on_while_the_engine_dies() {
    let Some(home) = home() else { return };
    std::fs::write(home.path().join("a.py"), "").unwrap();
    let mut screen = Screen::open(home.path(), home.path(), &["a.py"], 80, 24);
    let pid = screen.pid();
    let mut dead = Vec::new();
    for (n, blow) in [Signal::KILL, Signal::ABORT].into_iter().enumerate() {
        let next = |pid| engine_of(pid).filter(|engine| !dead.contains(engine));
        screen.wait("another engine", |_| next(pid).is_some());
        let engine = next(pid).unwrap();
        screen.keys(&format!("# line {n}"));
        screen.wait_for(&format!("# line {n}"));
        signal(engine, blow);
        dead.push(engine);
        screen.keys(&format!(" goes on {n}\r"));
        screen.wait_for(&format!("# line {n} goes on {n}"));
    }
    screen.keys("\x1bs");
    screen.wait_for("saved `a.py`");
    let text = std::fs::read_to_string(home.path().join("a.py")).unwrap();
    assert!(text.starts_with("# line 0 goes on 0\n# line 1 goes on 1\n"), "{text:?}");
    screen.keys("\x1bq");
    assert!(screen.end().success());
}

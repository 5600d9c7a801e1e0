//! `scripts/bench.sh fim`: typing sessions over real source files, with suggestions asked for at each pause: by the
//! editor's own path, and by llama-server's `/infill` with the policy of llama.vim (256 lines before the cursor, 64 after
//! it, 128 tokens or 250 ms for the first answer and 1000 ms for the one prepared ahead, its cache with 128 characters of
//! walk-back), on the same file and threads; and how soon a key ends a request.
//!
//! The model is Qwen2.5-Coder-0.5B, or the one that `ZORD_FIM_MODEL` names. Nothing here can fail for being slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "nobody uses this from outside")]

#[path = "chat/peer.rs"]
mod peer;
#[path = "../real/mod.rs"]
mod real;
#[path = "../tied/mod.rs"]
mod tied;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use peer::{Peer, Server};
use serde_json::{Value, json};
use zord::budget::Plan;
use zord::engine::{InfillRequest, Infilled, Outcome, Spec, Work};
use zord::fim::Site;
use zord::fim::cache::Cache;

use real::Asked;

pub const ROUNDS: usize = 1;
const FILES: usize = 14;
const PAUSES: usize = 24;
/// Lines of a file that are typed again.
const LINES: usize = 16;
/// Crates whose files are typed.
const CRATES: [&str; 5] = ["ropey-", "globset-", "minijinja-", "reqwest-", "ratatui-core-"];

pub fn median(values: &[f64]) -> f64 {
    share_of(values, 0.5)
}

fn share_of(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get((values.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

/// A file with a hole, and what is typed into it from pause to pause.
struct Session {
    name: String,
    before: String,
    typed: Vec<String>,
    after: String,
}

/// What one side's suggestions took.
#[derive(Default)]
struct Tally {
    ms: Vec<f64>,
    asked_ms: Vec<f64>,
    prefilled: Vec<f64>,
    ahead: f64,
    cached: usize,
}

fn main() {
    let Some(model) = std::env::var_os("ZORD_FIM_MODEL").map(PathBuf::from).or_else(real::qwen) else { return };
    let sessions: Vec<Session> = sessions().into_iter().step_by(real::step()).collect();
    let pauses: usize = sessions.iter().map(|session| session.typed.len()).sum();
    let threads = std::env::var("ZORD_BENCH_THREADS").ok().and_then(|n| n.parse().ok());
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get().min(8)) as u32);
    let Some(peer) = Peer::find(&model) else {
        eprintln!("SKIPPED: the peer; ZORD_PEERS names no folder with llama.cpp's tools");
        return;
    };
    let extra = ["-b", "1024", "-ub", "1024", "--cache-reuse", "256"];
    let server = Server::start_with(&peer, &threads.to_string(), 4096, &extra);
    let plan = Plan { threads, n_seq: InfillRequest::SEQUENCES, ..real::plan(4096) };
    let mut engine = Asked::start(Spec::Local(real::local(model.clone(), plan))).unwrap();
    let (mut ours, mut theirs) = (Tally::default(), Tally::default());
    // Session by session, so that a machine that changes its speed changes it for both.
    for session in &sessions {
        type_ours(&mut engine, session, &mut ours);
        type_theirs(&server, session, &mut theirs);
    }
    let cancelled = cancelling(&mut engine, &sessions);
    engine.stop();
    println!("{} files, {pauses} pauses, {threads} threads\n", sessions.len());
    println!("| | zord | llama-server, llama.vim's policy | ratio |\n|---|---|---|---|");
    let row = |what: &str, a: f64, b: f64, unit: &str| {
        println!("| {what} | {a:.1}{unit} | {b:.1}{unit} | {:.2} |", a / b);
    };
    row("pause to text, median", median(&ours.ms), median(&theirs.ms), " ms");
    row("pause to text, 95th percentile", share_of(&ours.ms, 0.95), share_of(&theirs.ms, 0.95), " ms");
    row("… where the model was asked, median", median(&ours.asked_ms), median(&theirs.asked_ms), " ms");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    row("tokens prefilled for a suggestion, mean", mean(&ours.prefilled), mean(&theirs.prefilled), "");
    let share = |tally: &Tally| tally.cached as f64 * 100.0 / pauses as f64;
    row("served from the cache", share(&ours), share(&theirs), " %");
    row("tokens prefilled ahead, in all", ours.ahead, theirs.ahead, "");
    let most = cancelled.iter().copied().fold(0.0, f64::max);
    println!("| cancelling a suggestion, median | {:.1} ms, at most {most:.1} ms |  |  |", median(&cancelled));
}

/// Milliseconds from a key to an engine that is free again, at moments spread over a request.
fn cancelling(engine: &mut Asked, sessions: &[Session]) -> Vec<f64> {
    let mut ms = Vec::new();
    for (n, session) in sessions.iter().cycle().take(30).enumerate() {
        let after = &session.after[..session.after.floor_char_boundary(4 << 10)];
        // nothing of it is in the cache
        let site = Site::new(Some(&session.name), Some("project"), &format!("// {n}\n{}", session.before), after);
        let (id, cancel) = engine.submit(Work::Infill(request(&site)));
        std::thread::sleep(std::time::Duration::from_millis(40 + 61 * n as u64 % 1200));
        let asked = Instant::now();
        cancel.cancel();
        if matches!(engine.wait(id).1, Ok(Outcome::Infilled(filled)) if filled.cancelled) {
            ms.push(asked.elapsed().as_secs_f64() * 1e3);
        }
    }
    ms
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

fn sessions() -> Vec<Session> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"));
    let mut files = Vec::new();
    for registry in std::fs::read_dir(home.join("registry/src")).unwrap().flatten() {
        for package in std::fs::read_dir(registry.path()).unwrap().flatten() {
            let name = package.file_name().to_string_lossy().into_owned();
            if CRATES.iter().any(|wanted| name.starts_with(wanted)) {
                sources(&package.path().join("src"), &mut files);
            }
        }
    }
    files.sort();
    files.dedup_by_key(|file| file.file_name().map(ToOwned::to_owned));
    let mut dice = Dice(20_261_121);
    let mut sessions = Vec::new();
    while sessions.len() < FILES && !files.is_empty() {
        let file = files.swap_remove(dice.roll(files.len()));
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if (8_000..80_000).contains(&text.len()) {
            sessions.push(session(&file, &text, &mut dice));
        }
    }
    sessions
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

fn session(file: &Path, text: &str, dice: &mut Dice) -> Session {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let from = lines.len() / 4 + dice.roll(lines.len() / 2);
    let hole = lines[from..(from + LINES).min(lines.len())].concat();
    let mut typed = Vec::new();
    let mut rest = hole.trim_end_matches('\n');
    while !rest.is_empty() && typed.len() < PAUSES {
        let most = 3 + dice.roll(14);
        let at = rest.char_indices().nth(most).map_or(rest.len(), |(at, _)| at);
        typed.push(rest[..at].to_owned());
        rest = &rest[at..];
    }
    Session {
        name: file.file_name().unwrap().to_string_lossy().into_owned(),
        before: lines[..from].concat(),
        typed,
        after: format!("\n{}", lines[(from + LINES).min(lines.len())..].concat()),
    }
}

fn type_ours(engine: &mut Asked, session: &Session, tally: &mut Tally) {
    // What the editor sends of a file.
    let bound = |text: &str, most: usize| text[text.ceil_char_boundary(text.len().saturating_sub(most))..].to_owned();
    let after = &session.after[..session.after.floor_char_boundary(8 << 10)];
    let mut before = session.before.clone();
    let mut cache = Cache::new();
    for typed in &session.typed {
        before.push_str(typed);
        let started = Instant::now();
        let site = Site::new(Some(&session.name), Some("project"), &bound(&before, 16 << 10), after);
        let found = cache.get(1, &site);
        tally.cached += usize::from(found.is_some());
        let best = match found {
            Some(found) => found.into_iter().next(),
            None => {
                let filled = fill(engine, &site);
                tally.prefilled.push(f64::from(filled.stats.prefilled_tokens));
                tally.asked_ms.push(started.elapsed().as_secs_f64() * 1e3);
                cache.put(1, &site, filled.alternatives.clone());
                filled.alternatives.into_iter().next()
            }
        };
        tally.ms.push(started.elapsed().as_secs_f64() * 1e3);
        // While it is shown: the next one, as if it had been taken.
        if let Some(best) = best {
            let next = site.with(&best.text);
            if cache.get(1, &next).is_none() {
                let filled = fill(engine, &next);
                tally.ahead += f64::from(filled.stats.prefilled_tokens);
                cache.put(1, &next, filled.alternatives);
            }
        }
    }
}

/// As the editor asks.
fn request(site: &Site) -> InfillRequest {
    InfillRequest { site: site.clone(), chunks: Vec::new(), max_tokens: 48, alternatives: 1, prompt_tokens: 1024 }
}

fn fill(engine: &mut Asked, site: &Site) -> Infilled {
    match engine.work(Work::Infill(request(site))).1 {
        Ok(Outcome::Infilled(filled)) => filled,
        other => panic!("{other:?}"),
    }
}

fn type_theirs(server: &Server, session: &Session, tally: &mut Tally) {
    let suffix: String = session.after.split_inclusive('\n').take(64).collect();
    let mut before = session.before.clone();
    let mut cache: HashMap<String, String> = HashMap::new();
    for typed in &session.typed {
        before.push_str(typed);
        let started = Instant::now();
        let found = walk_back(&cache, &before);
        tally.cached += usize::from(found.is_some());
        let text = found.unwrap_or_else(|| {
            let answer = infill(server, &before, &suffix, 250);
            tally.prefilled.push(answer["timings"]["prompt_n"].as_f64().unwrap_or(0.0));
            tally.asked_ms.push(started.elapsed().as_secs_f64() * 1e3);
            let text = answer["content"].as_str().unwrap_or_default().to_owned();
            cache.insert(before.clone(), text.clone());
            text
        });
        tally.ms.push(started.elapsed().as_secs_f64() * 1e3);
        if !text.trim().is_empty() {
            let next = format!("{before}{text}");
            if walk_back(&cache, &next).is_none() {
                let answer = infill(server, &next, &suffix, 1000);
                tally.ahead += answer["timings"]["prompt_n"].as_f64().unwrap_or(0.0);
                cache.insert(next, answer["content"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

/// A suggestion made up to 128 characters ago that what was typed since goes along with.
fn walk_back(cache: &HashMap<String, String>, before: &str) -> Option<String> {
    before.char_indices().rev().map(|(at, _)| at).chain([before.len()]).take(129).chain([before.len()]).find_map(|at| {
        let rest = cache.get(&before[..at])?.strip_prefix(&before[at..])?;
        (!rest.is_empty()).then(|| rest.to_owned())
    })
}

fn infill(server: &Server, before: &str, suffix: &str, most_ms: u32) -> Value {
    let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
    let above: Vec<&str> = above.split('\n').collect();
    let above = above[above.len().saturating_sub(256)..].join("\n");
    let indent = line.len() - line.trim_start().len();
    server.post(
        "/infill",
        &json!({
            "input_prefix": format!("{above}\n"), "input_suffix": suffix, "input_extra": [], "prompt": line,
            "n_predict": 128, "n_indent": indent, "top_k": 40, "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"],
            "stream": false, "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": most_ms,
        }),
    )
}

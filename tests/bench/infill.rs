//! `scripts/bench.sh infill`: single lines filled into functions (HumanEval-infilling), by plain greedy continuation and
//! by the full path, with the same model and the same token limit: exact matches, and programs that pass their tests.
//!
//! What a model writes is executed by Python in a child without network, with limits on time, memory and file size, in a
//! folder that is thrown away. Nothing here can fail for being slow or wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, unreachable_pub, reason = "nobody uses this from outside")]

#[path = "../real/mod.rs"]
mod real;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Deserialize;
use zord::budget::Plan;
use zord::engine::{CompleteRequest, InfillRequest, Outcome, Sampling, Spec, Work};
use zord::fim::Site;

use real::Asked;

/// Tokens that either way may write.
const LIMIT: u32 = 64;

#[derive(Deserialize)]
struct Task {
    task_id: String,
    entry_point: String,
    prompt: String,
    suffix: String,
    canonical_solution: String,
    test: String,
}

/// What came of one way through the tasks.
#[derive(Default)]
struct Tally {
    exact: usize,
    passed: usize,
    /// An oracle's choice among the alternatives would have been exact.
    within: usize,
    ms: Vec<f64>,
}

fn main() {
    let Some(tasks) = tasks() else { return };
    let tasks: Vec<Task> = tasks.into_iter().step_by(real::step()).collect();
    let python = Sandbox::find();
    println!("{} tasks, at most {LIMIT} tokens\n", tasks.len());
    println!("| model | way | exact | passes its tests | best of the alternatives exact | ms a task (median) |");
    println!("|---|---|---|---|---|---|");
    let named: Vec<PathBuf> = std::env::args().filter(|one| one.ends_with(".gguf")).map(PathBuf::from).collect();
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut models: Vec<(String, Option<PathBuf>)> = named.into_iter().map(|path| (name(&path), Some(path))).collect();
    if models.is_empty() {
        models.push(("Qwen2.5-Coder-0.5B-Instruct, Q4_K_M".into(), real::qwen()));
        models.push(("Qwen2.5-Coder-1.5B-Instruct, Q4_K_M".into(), real::qwen_large()));
    }
    for (name, model) in models {
        let Some(model) = model else { continue };
        let (raw, full) = compare(&model, &tasks, python.as_ref());
        for (way, tally) in [("plain continuation", &raw), ("zord", &full)] {
            let share = |n: usize| format!("{n} ({:.1} %)", n as f64 * 100.0 / tasks.len() as f64);
            let passed = if python.is_some() { share(tally.passed) } else { "not executed".into() };
            let (exact, within) = (share(tally.exact), share(tally.within));
            println!("| {name} | {way} | {exact} | {passed} | {within} | {:.0} |", median(&tally.ms));
        }
        let times: Vec<f64> = full.ms.iter().zip(&raw.ms).map(|(full, raw)| full / raw).collect();
        let gain = |a: usize, b: usize| a as f64 / b.max(1) as f64;
        println!(
            "| {name} | ratio | {:.2} | {:.2} | | {:.2} |",
            gain(full.exact, raw.exact),
            gain(full.passed, raw.passed),
            median(&times)
        );
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn tasks() -> Option<Vec<Task>> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/humaneval-infilling-single-line-0-81.jsonl.gz");
    let Ok(child) = Command::new("gzip").arg("-dc").arg(&file).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    else {
        eprintln!("SKIPPED: gzip is not installed");
        return None;
    };
    let mut text = String::new();
    child.stdout.unwrap().read_to_string(&mut text).unwrap();
    if text.is_empty() {
        eprintln!("SKIPPED: needs `{}`", file.display());
        return None;
    }
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn compare(model: &Path, tasks: &[Task], python: Option<&Sandbox>) -> (Tally, Tally) {
    let threads = std::env::var("ZORD_BENCH_THREADS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get().min(8)) as u32);
    let plan = Plan { threads, n_seq: InfillRequest::SEQUENCES, ..real::plan(2048) };
    let mut engine = Asked::start(Spec::Local(real::local(model.to_owned(), plan))).unwrap();
    let (mut raw, mut full) = (Tally::default(), Tally::default());
    for task in tasks {
        // Nothing of the other way's work is left for this one.
        engine.work(Work::Release).1.unwrap();
        let started = Instant::now();
        let text = continuation(&mut engine, &task.prompt);
        raw.count(task, &[text], started, python);
        engine.work(Work::Release).1.unwrap();
        let started = Instant::now();
        let site = Site::new(Some("solution.py"), None, &task.prompt, &task.suffix);
        let request =
            InfillRequest { site, chunks: Vec::new(), max_tokens: LIMIT, alternatives: 1, prompt_tokens: 1024 };
        let Ok(Outcome::Infilled(filled)) = engine.work(Work::Infill(request)).1 else { panic!("{}", task.task_id) };
        let texts: Vec<String> = filled.alternatives.into_iter().map(|one| one.text).collect();
        full.count(task, &texts, started, python);
    }
    engine.stop();
    (raw, full)
}

/// The first line with anything in it that the model writes by itself.
fn continuation(engine: &mut Asked, prompt: &str) -> String {
    let mut prefix = prompt.to_owned();
    for _ in 0..4 {
        let request = CompleteRequest {
            prefix: prefix.clone(),
            sampling: Sampling::default(),
            max_tokens: LIMIT,
            stop: vec!["\n".into()],
            ignore_end: false,
        };
        let (text, ..) = real::generated(engine.work(Work::Complete(request)).1);
        if !text.trim().is_empty() {
            return text;
        }
        prefix.push('\n');
    }
    String::new()
}

impl Tally {
    fn count(&mut self, task: &Task, texts: &[String], started: Instant, python: Option<&Sandbox>) {
        self.ms.push(started.elapsed().as_secs_f64() * 1e3);
        let right = |text: &String| text.trim_end() == task.canonical_solution.trim_end();
        self.within += usize::from(texts.iter().any(right));
        let Some(first) = texts.first() else { return };
        if std::env::var_os("ZORD_BENCH_SHOW").is_some() {
            eprintln!("{} {} {texts:?} WANTED {:?}", task.task_id, right(first), task.canonical_solution);
        }
        if right(first) {
            self.exact += 1;
            // The original passes its own tests.
            self.passed += 1;
        } else if let Some(python) = python {
            self.passed += usize::from(python.passes(task, first));
        }
    }
}

/// Python without network and with limits.
struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    fn find() -> Option<Self> {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        // Not even this machine's own ports can be reached.
        let lonely = "import errno, socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\n    \
                      raise SystemExit(1)\nexcept OSError as error:\n    \
                      raise SystemExit(error.errno != errno.ENETUNREACH)\n";
        let works = sandbox.run(lonely) && !sandbox.run("bytes(1 << 31)\n");
        if !works {
            eprintln!("SKIPPED: executing; it needs python3, prlimit and an unshare that may take the network away");
        }
        works.then_some(sandbox)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("program.py")
    }

    fn run(&self, program: &str) -> bool {
        std::fs::write(self.file(), program).unwrap();
        let mut command = Command::new("timeout");
        command
            .args([
                "--signal=KILL",
                "10",
                "unshare",
                "--map-root-user",
                "--net",
                "prlimit",
                "--cpu=5",
                "--as=1073741824",
            ])
            .args(["--fsize=1048576", "--nproc=64", "python3", "-I", "program.py"])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn passes(&self, task: &Task, text: &str) -> bool {
        let line_end = if text.ends_with('\n') { "" } else { "\n" };
        let Task { prompt, suffix, test, entry_point, .. } = task;
        self.run(&format!("{prompt}{text}{line_end}{suffix}\n{test}\ncheck({entry_point})\n"))
    }
}

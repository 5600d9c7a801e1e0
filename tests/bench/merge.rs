//! `scripts/bench.sh merge`: two checkpoints of Qwen2.5-1.5B's shapes and their base, in bf16, merged by `zord-merge` and by
//! mergekit in one run, with arithmetic in f32: wall time and peak memory. And the floor: reading the inputs and writing as
//! much as the result through the page cache, with nothing in between.
//!
//! Memory is sampled from `/proc`: anonymous memory, which stays, and pages of mapped files, which the kernel may drop. Each
//! side runs `ZORD_BENCH_RUNS` times (1) and the median counts; arguments choose methods. `ZORD_BENCH_LAYERS` (28) makes
//! models smaller for a try, and `ZORD_BENCH_FOLDER` names a disk with 13 GB of room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, reason = "nobody uses this from outside")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

const HIDDEN: usize = 1536;
const INNER: usize = 8960;
const KEYS: usize = 256;
const VOCABULARY: usize = 151_936;

fn main() {
    let layers = std::env::var("ZORD_BENCH_LAYERS").ok().and_then(|layers| layers.parse().ok()).unwrap_or(28);
    let folder = match std::env::var_os("ZORD_BENCH_FOLDER") {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let at = |name: &str| folder.path().join(name);
    for (seed, name) in ["base", "a", "b"].into_iter().enumerate() {
        checkpoint(&at(name), layers, seed as u32);
    }
    let python = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("lab/bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("SKIPPED mergekit: needs the folder that ZORD_PEERS names (../shared/reference/peers.sh DIR lab)");
    }
    println!(
        "| method | floor | zord-merge | its memory (mapped apart) | mergekit | its memory | mergekit / zord-merge | zord-merge / floor |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let wanted = |method: &str| parts.is_empty() || parts.iter().any(|part| part == method);
    for (method, models) in [
        ("linear", &["a", "b"][..]),
        ("slerp", &["a", "b"]),
        ("ties", &["base", "a", "b"]),
        ("dare_ties", &["base", "a", "b"]),
        ("passthrough", &["a", "b"]),
    ]
    .into_iter()
    .filter(|(method, _)| wanted(method))
    {
        let recipe = at(&format!("{method}.yml"));
        std::fs::write(&recipe, text(method, folder.path(), layers)).unwrap();
        let out = at("out");
        let line = |program: &str, args: &[&str]| -> Vec<String> {
            let paths = [recipe.to_str().unwrap(), out.to_str().unwrap()];
            std::iter::once(program)
                .chain(args.iter().map(|arg| match *arg {
                    "R" => paths[0],
                    "O" => paths[1],
                    arg => arg,
                }))
                .map(str::to_owned)
                .collect()
        };
        let inputs: Vec<PathBuf> = models.iter().map(|name| at(name).join("model.safetensors")).collect();
        let ours = line(env!("CARGO_BIN_EXE_zord-merge"), &["run", "R", "-o", "O"]);
        let own = median(&ours, &out, runs());
        let floor = floor(&inputs, &at("floor"), layers, method);
        let theirs = python.as_ref().map(|python| {
            let tool = python.with_file_name("mergekit-yaml");
            let line =
                line(python.to_str().unwrap(), &[tool.to_str().unwrap(), "R", "O", "--no-copy-tokenizer", "--quiet"]);
            median(&line, &out, runs())
        });
        let peer = theirs.map_or(["not installed".to_owned(), String::new(), String::new()], |peer| {
            [format!("{:.1} s", peer.seconds), megabytes(peer.anonymous), format!("{:.1}", peer.seconds / own.seconds)]
        });
        println!(
            "| {method} | {floor:.1} s | {:.1} s | {} ({}) | {} | {} | {} | {:.2} |",
            own.seconds,
            megabytes(own.anonymous),
            megabytes(own.mapped),
            peer[0],
            peer[1],
            peer[2],
            own.seconds / floor
        );
    }
}

fn runs() -> usize {
    std::env::var("ZORD_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

fn text(method: &str, folder: &Path, layers: usize) -> String {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let pair = |extra: &str| {
        format!(
            "models:\n  - {{model: {}, parameters: {{weight: 0.6{extra}}}}}\n  - {{model: {}, parameters: {{weight: 0.4{extra}}}}}\n",
            path("a"),
            path("b")
        )
    };
    let body = match method {
        "linear" => pair(""),
        "slerp" => format!("base_model: {}\nmodels: [{{model: {}}}]\nparameters: {{t: 0.4}}\n", path("a"), path("b")),
        "passthrough" => format!(
            "slices:\n  - sources: [{{model: {}, layer_range: [0, {half}]}}]\n  - sources: [{{model: {}, layer_range: [{half}, {layers}]}}]\n",
            path("a"),
            path("b"),
            half = layers / 2
        ),
        _ => format!("base_model: {}\n{}", path("base"), pair(", density: 0.5")),
    };
    format!("merge_method: {method}\n{body}dtype: float32\nout_dtype: bfloat16\n")
}

/// Seconds to read these files, and to write as many bytes as the first has.
fn floor(inputs: &[PathBuf], out: &Path, layers: usize, method: &str) -> f64 {
    assert!(layers > 0);
    let length = std::fs::metadata(&inputs[0]).unwrap().len();
    let begun = Instant::now();
    let mut buffer = vec![0u8; 1 << 20];
    for input in inputs {
        // Of two halves only these are read.
        let mut left = if method == "passthrough" { length / 2 } else { length };
        let mut file = File::open(input).unwrap();
        while left > 0 {
            let count = file.read(&mut buffer[..left.min(1 << 20) as usize]).unwrap();
            left -= count as u64;
        }
    }
    let mut file = File::create(out).unwrap();
    let mut left = length;
    while left > 0 {
        let part = left.min(1 << 20);
        file.write_all(&buffer[..part as usize]).unwrap();
        left -= part;
    }
    drop(file);
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_file(out).unwrap();
    rest();
    seconds
}

/// Lets the disk finish with what the last run left, so that the next one does not pay for it.
fn rest() {
    Command::new("sync").status().unwrap();
}

#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    anonymous: u64,
    mapped: u64,
}

fn median(line: &[String], out: &Path, runs: usize) -> Measured {
    let mut all: Vec<Measured> = (0..runs).map(|_| measure(line, out)).collect();
    all.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    all[all.len() / 2]
}

fn measure(line: &[String], out: &Path) -> Measured {
    let begun = Instant::now();
    let mut child =
        Command::new(&line[0]).args(&line[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut found = Measured { seconds: 0.0, anonymous: 0, mapped: 0 };
    loop {
        if let Some(code) = child.try_wait().unwrap() {
            assert!(code.success(), "{line:?}");
            break;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        found.anonymous = found.anonymous.max(field("RssAnon:"));
        found.mapped = found.mapped.max(field("RssFile:"));
        std::thread::sleep(Duration::from_millis(3));
    }
    found.seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_dir_all(out).unwrap();
    rest();
    found
}

fn checkpoint(folder: &Path, layers: usize, seed: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let mut tensors: Vec<(String, Vec<usize>)> = vec![("model.embed_tokens.weight".into(), vec![VOCABULARY, HIDDEN])];
    for layer in 0..layers {
        let mut put =
            |rest: &str, shape: &[usize]| tensors.push((format!("model.layers.{layer}.{rest}"), shape.to_vec()));
        put("input_layernorm.weight", &[HIDDEN]);
        put("post_attention_layernorm.weight", &[HIDDEN]);
        for (name, rows) in [("q", HIDDEN), ("k", KEYS), ("v", KEYS)] {
            put(&format!("self_attn.{name}_proj.weight"), &[rows, HIDDEN]);
            put(&format!("self_attn.{name}_proj.bias"), &[rows]);
        }
        put("self_attn.o_proj.weight", &[HIDDEN, HIDDEN]);
        put("mlp.gate_proj.weight", &[INNER, HIDDEN]);
        put("mlp.up_proj.weight", &[INNER, HIDDEN]);
        put("mlp.down_proj.weight", &[HIDDEN, INNER]);
    }
    tensors.push(("model.norm.weight".into(), vec![HIDDEN]));
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in &tensors {
        let begin = end;
        end += shape.iter().product::<usize>() * 2;
        header.insert(name.clone(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = std::io::BufWriter::with_capacity(1 << 20, File::create(folder.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    // Weights of a usual size; a fine-tune is a small step away from the base.
    let mut noise = Noise(seed + 1);
    let mut base = Noise(99);
    for _ in 0..end / 2 {
        let value = base.normal() * 0.02 + if seed > 0 { noise.normal() * 0.002 } else { 0.0 };
        file.write_all(&half::bf16::from_f32(value).to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    let config = json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": layers, "num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Numbers about as normal as four dice.
struct Noise(u32);

impl Noise {
    fn normal(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (self.0 >> 8) as f32 / 8_388_608.0 - 1.0;
        }
        sum * 0.866
    }
}

//! Against PyTorch, transformers and PEFT, on SmolLM2: the same losses step by step, the same logits.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use zord::weights::safetensors::Folder;

use crate::losses;
use crate::ran::Tool;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/distill");

/// SmolLM2 as a checkpoint, one for all tests; `None`, said loudly, where it cannot be made.
pub(crate) fn smollm2() -> Option<PathBuf> {
    let name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let model = std::env::var_os("ZORD_TEST_MODELS").map(|folder| PathBuf::from(folder).join(name));
    let Some(model) = model.filter(|model| cfg!(feature = "engine") && model.is_file()) else {
        eprintln!("SKIPPED: needs `engine`, and `{name}` in the folder that ZORD_TEST_MODELS names");
        return None;
    };
    Some(exported(&model))
}

/// The checkpoint of a model file. Each test runs in a process of its own: the first one makes it, the others wait for it,
/// and another build of the program makes another one.
fn exported(model: &Path) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_zord-quantize"));
    let built = std::fs::metadata(program).unwrap().modified().unwrap();
    let built = format!("{} {built:?}", model.display());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (smollm2, maker) = (folder.join("smollm2"), folder.join("smollm2.made-by"));
    let mut lock = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(maker).unwrap();
    lock.lock().unwrap();
    let mut made_by = String::new();
    lock.read_to_string(&mut made_by).unwrap();
    if made_by != built {
        let _ = std::fs::remove_dir_all(&smollm2);
        lock.set_len(0).unwrap();
        succeed(Command::new(program).arg("export").arg(model).arg("-o").arg(&smollm2));
        lock.write_all_at(built.as_bytes(), 0).unwrap();
    }
    smollm2
}

/// The peers' Python, with PyTorch, transformers and PEFT.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("ZORD_PEERS").map(|peers| PathBuf::from(peers).join("lab/bin/python"));
    let python = python.filter(|python| python.is_file());
    if python.is_none() {
        eprintln!("SKIPPED: needs `lab/bin/python` in the folder that ZORD_PEERS names");
    }
    python
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const STEPS: usize = 6;
const WINDOWS: usize = 2;

/// A recipe on text and conversations, and the job for PyTorch that is the same.
fn stage(kind: &str, more: &str) -> Option<(Tool, PathBuf, Value)> {
    let (python, smollm2) = (python()?, smollm2()?);
    let tool = Tool::new();
    let pairs = kind == "dpo";
    let line = |i: usize| {
        let (question, answer) =
            (format!("What is {i} times {}?", i + 3), format!("It is {}, as {i} times {} is.", i * (i + 3), i + 3));
        let text =
            format!("fn times_{i}(n: u32) -> u32 {{\n    // what {i} times a number is\n    n * {i}\n}}\n").repeat(3);
        let turn = |role: &str, text: &str| json!({"role": role, "content": text});
        match (pairs, i % 2) {
            (true, _) => json!({"prompt": question, "chosen": answer, "rejected": "I would rather not say."}),
            (_, 0) => json!({"text": text}),
            _ => json!({"messages": [turn("user", &question), turn("assistant", &answer)]}),
        }
    };
    tool.write("data.jsonl", (0..60).map(|i| line(i).to_string() + "\n").collect::<String>());
    let recipe = format!(
        "threads = 2\n[student]\npath = '{}'\n[data]\ncontext = 192\nvalidation = 0.0\n[[data.source]]\npath = 'data.jsonl'\n\
         [optimiser]\nrate = 5e-5\nweight_decay = 0.1\nmicro_batch = {WINDOWS}\naccumulate = 1\n\
         [schedule]\nsteps = {STEPS}\nwarmup = 0\nshape = 'constant'\n[safety]\ncheckpoint_every = 0\n{more}",
        smollm2.display()
    );
    tool.write("recipe.toml", recipe);
    let samples = (STEPS * WINDOWS).to_string();
    let told = tool.run(["dataset", "recipe.toml", "--json", "--samples", &samples]).json();
    let windows = told["samples"].as_array().unwrap();
    assert_eq!(windows.len(), STEPS * WINDOWS);
    let steps: Vec<&[Value]> = windows.chunks(WINDOWS).collect();
    let job = json!({
        "student": smollm2, "kind": kind, "steps": steps, "rate": 5e-5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8,
        "weight_decay": 0.1, "clip": 1.0, "beta": 0.1,
    });
    Some((tool, python, job))
}

fn torch(tool: &Tool, python: &Path, job: &Value) -> Vec<f64> {
    let path = tool.write("job.json", job.to_string());
    let told =
        succeed(Command::new(python).arg(format!("{HERE}/torch_steps.py")).arg(path).env("OMP_NUM_THREADS", "1"));
    let told: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    told["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
}

/// Within 1e-3, which is what single precision leaves of such steps (AdamW's first steps follow the signs of gradients).
fn same(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), STEPS);
    let apart = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max);
    eprintln!("largest relative difference of {STEPS} losses: {apart:.2e}\n{ours:?}\n{theirs:?}");
    assert!(apart < 1e-3, "{ours:?}\n{theirs:?}");
    assert!(ours[STEPS - 1] < ours[0]);
}

pub(crate) fn logits(path: &Path) -> Vec<f32> {
    let folder = Folder::open(path).unwrap();
    let mut bytes = vec![0; folder.tensors[0].bytes as usize];
    folder.tensors[0].read(&mut bytes, 0).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn same_logits(tool: &Tool, job: &Value, model: &Path, adapter: Option<&str>) {
    let tokens: Vec<String> =
        job["steps"][0][0][0]["tokens"].as_array().unwrap().iter().map(ToString::to_string).collect();
    let model = model.to_string_lossy().into_owned();
    let tokens = tokens.join(",");
    let mut args = vec!["logits", &model, "--tokens", &tokens, "-o", "ours.safetensors"];
    if let Some(adapter) = adapter {
        args.extend(["--adapter", adapter]);
    }
    tool.run(args).done();
    let (ours, theirs) = (logits(&tool.path("ours.safetensors")), logits(&tool.path("theirs.safetensors")));
    assert!(ours.len() == theirs.len() && ours.len() > 49_152);
    let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    eprintln!("largest difference of {} logits: {apart:.2e}", ours.len());
    assert!(apart < 1e-3, "{apart}");
}

#[test]
fn fine_tuning_is_what_pytorch_does() {
    let Some((tool, python, mut job)) = stage("sft", "") else { return };
    tool.run(["run", "recipe.toml", "-o", "out"]).done();
    job["logits"] = json!(tool.path("theirs.safetensors"));
    same(&losses(&tool.path("out")), &torch(&tool, &python, &job));
    same_logits(&tool, &job, &smollm2().unwrap(), None);
}

#[test]
fn rounded_products_are_what_autocast_does() {
    let has = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|facts| facts.contains("avx512_bf16"));
    if !has {
        eprintln!("SKIPPED: this processor has no products in bf16");
        return;
    }
    let Some((tool, python, mut job)) = stage("sft", "") else { return };
    tool.run(["run", "recipe.toml", "-o", "whole"]).done();
    tool.run(["run", "recipe.toml", "-o", "half", "--set", "optimiser.precision=bf16"]).done();
    let (whole, half) = (losses(&tool.path("whole")), losses(&tool.path("half")));
    job["bf16"] = json!(true);
    let theirs = torch(&tool, &python, &job);
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    eprintln!("largest relative difference from PyTorch: {:.2e}\n{half:?}\n{theirs:?}", apart(&half, &theirs));
    // Weights that are rounded follow a few small steps late, in both; sums of eight bits are 4e-3 apart.
    assert!(apart(&half, &theirs) < 2e-2 && apart(&half, &whole) > 0.0, "{half:?} {theirs:?} {whole:?}");
    // Those of a base that is frozen in 16 bits are exact.
    for (out, precision) in [("adapter", "f32"), ("adapter-half", "bf16")] {
        let precision = format!("optimiser.precision={precision}");
        tool.run(["run", "recipe.toml", "-o", out, "--set", "adapter.rank=16", "--set", &precision]).done();
    }
    let (whole, half) = (losses(&tool.path("adapter")), losses(&tool.path("adapter-half")));
    eprintln!("largest relative difference from single precision, of an adapter: {:.2e}", apart(&half, &whole));
    assert!(apart(&half, &whole) > 0.0 && apart(&half, &whole) < 4e-3, "{half:?} {whole:?}");
}

#[test]
fn adapters_are_what_peft_does_and_it_reads_ours() {
    for more in ["rank = 8\nalpha = 16\n", "rank = 8\nalpha = 16\ndora = true\n"] {
        let Some((tool, python, mut job)) = stage("lora", &format!("[adapter]\n{more}")) else { return };
        tool.run(["run", "recipe.toml", "-o", "begin", "--max-steps", "0"]).done();
        tool.run(["run", "recipe.toml", "-o", "out"]).done();
        job["adapter"] = json!(tool.path("begin"));
        same(&losses(&tool.path("out")), &torch(&tool, &python, &job));
        job["adapter"] = json!(tool.path("out"));
        job["steps"] = json!([job["steps"][0]]);
        job["logits"] = json!(tool.path("theirs.safetensors"));
        torch(&tool, &python, &job);
        same_logits(&tool, &job, &smollm2().unwrap(), Some("out"));
    }
}

#[test]
fn preferences_are_what_pytorch_makes_of_them() {
    let Some((tool, python, job)) = stage("dpo", "[objective]\nkind = 'dpo'\nbeta = 0.1\n") else { return };
    tool.run(["run", "recipe.toml", "-o", "out"]).done();
    same(&losses(&tool.path("out")), &torch(&tool, &python, &job));
}

/// A GGUF file with the checkpoint's numbers as they are.
#[cfg(feature = "engine")]
fn convert(tool: &Tool, folder: &Path, name: &str) -> PathBuf {
    let path = tool.path(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_zord-quantize"));
    succeed(command.arg("convert").arg(folder).arg("-o").arg(&path).args(["--type", "f32"]));
    path
}

#[test]
#[cfg(feature = "engine")]
fn distillation_is_what_pytorch_makes_of_it() {
    let more =
        "[objective]\nkind = 'kd'\nalpha = 0.7\ntemperature = 2.0\n[[teacher]]\nmodel = 'teacher.gguf'\ntop = 32\n";
    let Some((tool, python, mut job)) = stage("kd", more) else { return };
    // The teacher is the student after some steps on other data. (A student that layers were cut out of would be no test:
    // its gradient is hundreds of times longer than the bound, and PyTorch with another attention differs from itself by
    // 1e-2 after ten steps.)
    let other = |i: usize| json!({"text": format!("let x{i} = {};\n", i * i).repeat(6)}).to_string() + "\n";
    tool.write("other.jsonl", (0..40).map(other).collect::<String>());
    let recipe = std::fs::read_to_string(tool.path("recipe.toml")).unwrap();
    tool.write("sft.toml", recipe.split("[objective]").next().unwrap());
    tool.run(["run", "sft.toml", "-o", "taught", "--set", "data.source.0.path=other.jsonl"]).done();
    convert(&tool, &tool.path("taught"), "teacher.gguf");
    tool.run(["run", "recipe.toml", "-o", "out"]).done();
    let more = json!({"teacher": tool.path("taught"), "top": 32, "temperature": 2.0, "kd_alpha": 0.7});
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    same(&losses(&tool.path("out")), &torch(&tool, &python, &job));
    // What the teacher said is there for whoever comes again, and for nobody else.
    let again = ["cache", "recipe.toml", "-o", "out", "--json"];
    let told = tool.run(again).json();
    let each = told["bytes"][0].as_f64().unwrap() / told["learnt"].as_f64().unwrap();
    assert!((128.0..132.0).contains(&each), "{told}");
    let other = again.into_iter().chain(["--set", "objective.temperature=3"]);
    tool.run(other).refused(1, &["another temperature"]);
}

#[test]
#[cfg(feature = "engine")]
fn training_computes_what_llama_cpp_does() {
    let Some(smollm2) = smollm2() else { return };
    let tool = Tool::new();
    let gguf = convert(&tool, &smollm2, "same.gguf");
    let told = tool.run([Path::new("compare"), &smollm2, &gguf, Path::new("--json")]).json();
    eprintln!("{told}");
    let number = |key: &str| told[key].as_f64().unwrap();
    // single precision on both sides, sums in another order
    assert!(number("logit_max") < 5e-3 && number("logit_mean") < 5e-4, "{told}");
    assert_eq!((number("top1"), &told["parts_at"]), (1.0, &Value::Null));
    let name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let small = PathBuf::from(std::env::var_os("ZORD_TEST_MODELS").unwrap()).join(name);
    let less = ["run", "recipe.toml", "-o", "less", "--max-steps", "0", "--set", "student.layers=20"];
    let staged = crate::small::stage("");
    staged.run(less.into_iter().chain(["--set", &format!("student.path={}", smollm2.display())])).done();
    let less = staged.path("less");
    tool.run([Path::new("compare"), &less, &small]).refused(1, &["layers"]);
}

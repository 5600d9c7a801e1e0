//! Teachers: what is kept of them, and who else may use it. A small student teaches itself here.
#![cfg(feature = "engine")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::losses;
use crate::ran::{Ran, Tool};
use crate::small::{Small, lines, stage};
use crate::tied::Tied;

/// A student, data, and the student as a GGUF file.
pub(crate) fn school(more: &str) -> Tool {
    schooled(more, |_| ())
}

/// The same with a student that is changed before it teaches.
fn schooled(more: &str, change: impl Fn(&mut Small)) -> Tool {
    let tool = stage(&format!("[objective]\nkind = 'kd'\n{more}\n[[teacher]]\nmodel = 'teacher.gguf'\ntop = 8\n"));
    // llama.cpp wants to see a merge; no text holds the byte 255, whose place it takes.
    let mut small = Small::new();
    small.tokenizer["model"]["vocab"].as_object_mut().unwrap().remove("ÿ").unwrap();
    small.tokenizer["model"]["vocab"]["qq"] = 255.into();
    small.tokenizer["model"]["merges"] = json!([["q", "q"]]);
    change(&mut small);
    small.write(&tool, "student");
    becomes_the_teacher(&tool, "student");
    tool
}

fn becomes_the_teacher(tool: &Tool, folder: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zord-quantize"));
    command.arg("convert").arg(tool.path(folder)).arg("-o").arg(tool.path("teacher.gguf")).args(["--type", "f32"]);
    Ran::of(&command.output().unwrap()).done();
}

fn cached(tool: &Tool, out: &str, set: &[&str]) -> Value {
    let set = set.iter().flat_map(|set| ["--set", set]);
    tool.run(["cache", "recipe.toml", "-o", out, "--json"].into_iter().chain(set)).json()
}

#[test]
fn a_student_learns_most_from_who_knows_more() {
    let tool = school("alpha = 1.0");
    // Who was trained teaches who was not, on texts that nobody learns by themselves.
    tool.run(["run", "recipe.toml", "-o", "wise", "--set", "objective.kind=sft", "--set", "teacher=[]"]).done();
    becomes_the_teacher(&tool, "wise");
    for set in [
        "teacher.0.top=64",
        "teacher.0.draws=32",
        "objective.divergence=reverse",
        "objective.divergence=jensen-shannon",
    ] {
        let out = set.replace(['.', '='], "-");
        let told = tool.run(["run", "recipe.toml", "-o", &out, "--json", "--set", set]).json();
        let number = |key: &str| told[key].as_f64().unwrap();
        assert!(number("val_loss_after") < number("val_loss_before") * 0.85, "{set}: {told}");
    }
}

/// Queries and keys that look where they are told to.
fn attentive(small: &mut Small) {
    let looks = |tensor: &&mut crate::ran::Tensor| tensor.0.contains("q_proj") || tensor.0.contains("k_proj");
    for tensor in small.tensors.iter_mut().filter(looks) {
        for word in tensor.3.as_chunks_mut::<2>().0 {
            let x = f32::from_bits(u32::from(u16::from_le_bytes(*word)) << 16) * 4.0;
            *word = ((x.to_bits() >> 16) as u16).to_le_bytes();
        }
    }
}

#[test]
fn a_student_computes_what_llama_cpp_makes_of_it() {
    let stretched = |scaling: Value| ("llama", "rope_scaling", scaling, Value::Null);
    let granite = |key: &'static str, number: f64| ("granite", key, json!(number), json!(1.0));
    for (kind, key, own, other) in [
        stretched(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64})),
        stretched(json!({"rope_type": "yarn", "factor": 2.0, "attention_factor": 1.4,
                         "original_max_position_embeddings": 128})),
        stretched(json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64})),
        stretched(json!({"rope_type": "linear", "factor": 4.0})),
        granite("embedding_multiplier", 3.0),
        granite("residual_multiplier", 0.4),
        granite("attention_multiplier", 0.25),
        granite("logits_scaling", 0.25),
        ("smollm3", "no_rope_layer_interval", json!(4), json!(9)),
    ] {
        let tool = schooled("", |small| {
            attentive(small);
            small.config[key] = own.clone();
            small.config["model_type"] = json!(kind);
            let class = match kind {
                "granite" => "GraniteForCausalLM",
                "smollm3" => "SmolLM3ForCausalLM",
                _ => "LlamaForCausalLM",
            };
            small.config["architectures"] = json!([class]);
            // A fourth layer, for SmolLM3 to leave without positions.
            let third: Vec<_> = small.tensors.iter().filter(|tensor| tensor.0.contains("layers.2.")).cloned().collect();
            small.tensors.extend(third.into_iter().map(|mut tensor| {
                tensor.0 = tensor.0.replace("layers.2.", "layers.3.");
                tensor
            }));
            small.config["num_hidden_layers"] = json!(4);
        });
        let apart = || tool.run(["compare", "student", "teacher.gguf", "--json"]).json();
        let same = apart();
        let path = tool.path("student/config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config[key] = other;
        std::fs::write(&path, config.to_string()).unwrap();
        let different = apart();
        let mean = |told: &Value| told["logit_mean"].as_f64().unwrap();
        let told = format!("{kind}, {key}: {same} {different}");
        assert!(same["parts_at"].is_null() && same["layers"].as_array().unwrap().len() == 4, "{told}");
        assert!(mean(&same) * 20.0 < mean(&different), "{told}");
    }
}

#[test]
fn draws_take_less_room_and_go_with_one_divergence() {
    let tool = school("");
    let (top, drawn) = (cached(&tool, "top", &["teacher.0.top=32"]), cached(&tool, "drawn", &["teacher.0.draws=8"]));
    let each = |told: &Value| told["bytes"][0].as_f64().unwrap() / told["learnt"].as_f64().unwrap();
    // two bytes for a token and two for its odds; at most eight tokens and their number
    assert!(each(&top) > 128.0 && each(&drawn) < 36.0, "{top} {drawn}");
    let set = ["teacher.0.draws=8", "objective.divergence=reverse"].into_iter().flat_map(|set| ["--set", set]);
    tool.run(["cache", "recipe.toml", "-o", "no"].into_iter().chain(set)).refused(1, &["draws", "forward"]);
}

#[test]
fn what_a_killed_cache_holds_is_kept_and_the_rest_is_the_same() {
    let tool = school("");
    tool.write("data.jsonl", lines(2000));
    cached(&tool, "whole", &[]);
    let args = ["cache", "recipe.toml", "-o", "parts"];
    let part = tool.path("parts/run/teacher-0.odds.part");
    let mut held = 0;
    for _ in 0..3 {
        let mut child = tool.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Until there is more than before, or it is done.
        while std::fs::metadata(&part).map_or(0, |facts| facts.len()) <= held && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        held = std::fs::metadata(&part).map_or(held, |facts| facts.len());
    }
    assert!(held > 4096);
    tool.run(args).done();
    let file = |out: &str| std::fs::read(tool.path(out).join("run/teacher-0.odds")).unwrap();
    assert!(file("whole") == file("parts"));
    assert!(!part.exists());
}

#[test]
fn a_store_is_for_its_own_teacher_data_and_temperature() {
    let tool = school("");
    cached(&tool, "out", &[]);
    let refused = |set: &str, words: &[&str]| {
        tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "1", "--set", set]).refused(1, words);
    };
    refused("objective.temperature=3.0", &["teacher-0.odds", "another temperature", "hint: "]);
    refused("teacher.0.top=4", &["another number of logprobs"]);
    tool.write("data.jsonl", lines(90));
    refused("seed=0", &["other data"]);
    tool.write("data.jsonl", lines(120));
    let path = tool.path("out/run/teacher-0.odds");
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the header: the first window's odds.
    bytes[4096 + 20..4096 + 4000].fill(0xee);
    std::fs::write(&path, &bytes).unwrap();
    tool.run(["run", "recipe.toml", "-o", "out"]).refused(1, &["teacher-0.odds", "damaged"]);
    tool.write("teacher.gguf", b"GGUF");
    refused("seed=0", &["teacher.gguf"]);
}

const ROUNDS: &str = "[on_policy]\nshare = 0.6\nevery = 3\ntexts = 4\ntokens = 24\n";

#[test]
fn a_run_on_the_students_own_words_goes_on_to_the_bit() {
    let tool = school("alpha = 1.0");
    let recipe = std::fs::read_to_string(tool.path("recipe.toml")).unwrap();
    tool.write("recipe.toml", format!("{recipe}\n{ROUNDS}[safety]\ncheckpoint_every = 1\n"));
    tool.run(["run", "recipe.toml", "-o", "whole", "--max-steps", "10"]).done();
    for steps in ["1", "3", "5", "6", "10"] {
        tool.run(["run", "recipe.toml", "-o", "parts", "--max-steps", steps]).done();
    }
    assert_eq!(losses(&tool.path("whole")), losses(&tool.path("parts")));
    let rounds = |out: &str| -> Vec<String> {
        let names = std::fs::read_dir(tool.path(out).join("run")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("round-")).collect()
    };
    assert_eq!(rounds("parts"), ["round-3"], "earlier ones are of no use any more");
    // Without rounds it is another run.
    tool.run(["run", "recipe.toml", "-o", "data", "--max-steps", "10", "--set", "on_policy.share=0.0"]).done();
    assert_ne!(losses(&tool.path("whole")), losses(&tool.path("data")));
    assert_eq!(losses(&tool.path("whole")).len(), 10);
}

#[test]
fn teachers_take_turns_and_are_asked_only_when_it_is_theirs() {
    let tool = school("alpha = 1.0");
    let run = |out: &str, set: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        tool.run(["run", "recipe.toml", "-o", out, "--max-steps", "8"].into_iter().chain(set)).done();
        losses(&tool.path(out))
    };
    // Two that say different things: who keeps little, and who keeps much.
    let (near, far) = ("{model='teacher.gguf', top=1", "{model='teacher.gguf', top=64");
    let first = run("first", &[&format!("teacher=[{near}}}]")]);
    let both = run("both", &[&format!("teacher=[{near}, until=4}}, {far}, from=4}}]")]);
    assert_eq!(first[..4], both[..4]);
    assert!(first[4..].iter().zip(&both[4..]).all(|(a, b)| a != b), "{first:?} {both:?}");
    let rounds = format!("teacher=[{near}, until=9}}, {far}, from=9}}]");
    let rounds = [rounds.as_str(), "on_policy={share=0.6, every=9, texts=4, tokens=24}"];
    run("rounds", &rounds);
    let round = tool.path("rounds/run/round-0");
    assert!(round.join("teacher-0.odds").is_file() && !round.join("teacher-1.odds").exists());
}

#[test]
fn own_words_want_a_teacher_and_room() {
    let tool = school("");
    let refused = |set: &[&str], words: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        tool.run(["run", "recipe.toml", "-o", "out"].into_iter().chain(set)).refused(1, words);
    };
    refused(&["objective.kind=sft", "teacher=[]", "on_policy.share=0.5"], &["on_policy", "objective.kind"]);
    refused(&["on_policy.tokens=128"], &["on_policy.tokens", "data.context"]);
    refused(&["on_policy.share=2"], &["on_policy.share"]);
    assert!(!Path::new(&tool.path("out/model.safetensors")).exists());
}

#[test]
fn states_become_like_the_teachers() {
    let hidden = "[objective.hidden]\nweight = 1.0\npairs = [[0, 0], [1, 2]]\n";
    let tool = school("alpha = 0.5");
    let recipe = std::fs::read_to_string(tool.path("recipe.toml")).unwrap();
    tool.write("recipe.toml", format!("{recipe}{hidden}[safety]\ncheckpoint_every = 1\n"));
    // The student is the teacher without its middle: the first states are the same, the last ones become more so.
    let less = ["--set", "student.keep_layers=[0, 2]"];
    let run = |out: &str, steps: &str| {
        tool.run(["run", "recipe.toml", "-o", out, "--json", "--max-steps", steps].into_iter().chain(less)).json()
    };
    let told = run("whole", "10");
    assert!(told["loss_last"].as_f64() < told["loss_first"].as_f64(), "{told}");
    for steps in ["3", "10"] {
        run("parts", steps);
    }
    assert_eq!(losses(&tool.path("whole")), losses(&tool.path("parts")));
    // What helped is no part of the model.
    tool.run(["check", "recipe.toml", "--set", "student.path=whole", "--set", "objective.hidden.pairs=[[0, 0]]"])
        .done();
    let wrong = ["run", "recipe.toml", "-o", "no", "--set", "objective.hidden.pairs=[[5, 0]]"];
    tool.run(wrong).refused(1, &["objective.hidden.pairs", "5", "3"]);
    let wrong = ["run", "recipe.toml", "-o", "no", "--set", "objective.hidden.pairs=[[0, 9]]"];
    tool.run(wrong).refused(1, &["layer 9"]);
    tool.run(["check", "recipe.toml", "--set", "objective.hidden.pairs=[[5, 0], [0, 9]]"])
        .refused(1, &["layer 5", "teacher's layer 9"]);
    let told = tool.run(["check", "recipe.toml", "--json", "--measure"]).json();
    // Two projections from 32 numbers to 32 are trained besides all weights.
    assert_eq!(told["trained"].as_u64(), told["parameters"].as_u64().map(|all| all + 2 * 32 * 32));
    assert!(told["seconds_per_step"].as_f64() > Some(0.0) && told["memory"]["teacher"].as_u64() > Some(0));
}

/// llama.cpp's own server on a port of this machine, gone with this value.
struct Server {
    _program: Tied,
    url: String,
}

fn server(model: &Path, name: &str) -> Option<Server> {
    let root = std::env::var_os("ZORD_PEERS").map(|folder| Path::new(&folder).join("llama"));
    let root = root.filter(|root| root.is_dir() && rustix::process::geteuid().is_root());
    let Some(root) = root else {
        eprintln!("SKIPPED: needs llama.cpp's tools in the folder that ZORD_PEERS names, and root");
        return None;
    };
    let there = root.join("m").join(name);
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::copy(model, &there).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut program = Tied::start("chroot", |command| {
        command.arg(&root).args(["llama-server", "-m", &format!("/m/{name}"), "--host", "127.0.0.1"]);
        command.args(["--port", &port.to_string(), "-t", "1", "-np", "2", "-c", "1024", "--no-webui", "--no-warmup"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped())
    });
    let mut lines = BufReader::new(program.child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("listening on")), "llama-server ended");
    std::thread::spawn(move || lines.for_each(drop));
    Some(Server { _program: program, url: format!("http://127.0.0.1:{port}") })
}

#[test]
fn servers_teach_as_files_do() {
    let tool = school("");
    let name = format!("distill-test-{}.gguf", std::process::id());
    let Some(server) = server(&tool.path("teacher.gguf"), &name) else { return };
    let kd = |out: &str, set: &[String]| -> Vec<f64> {
        let set = set.iter().flat_map(|set| ["--set", set]);
        tool.run(["run", "recipe.toml", "-o", out, "--max-steps", "4"].into_iter().chain(set)).done();
        losses(&tool.path(out))
    };
    let few = "data.examples=12".to_owned();
    let file = kd("file", std::slice::from_ref(&few));
    let asked = |url: &str, name: &str| {
        vec![few.clone(), format!("teacher.0.servers=['{url}', '{url}/v1']"), format!("teacher.0.model={name}")]
    };
    let served = kd("served", &asked(&server.url, &name));
    // a cache of 16 bits on either side, of which the batches differ
    let apart = file.iter().zip(&served).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    eprintln!("largest relative difference of losses: {apart:.2e}");
    assert!(apart < 2e-3, "{file:?} {served:?}");
    let refused = |set: &[String], words: &[&str]| {
        let set = set.iter().flat_map(|set| ["--set", set]);
        tool.run(["run", "recipe.toml", "-o", "no"].into_iter().chain(set)).refused(1, words);
    };
    refused(&asked(&server.url, "another.gguf"), &["another.gguf", &name]);
    refused(&asked("ftp://here", &name), &["ftp://here"]);
    refused(&[asked(&server.url, &name), vec!["objective.temperature=2".into()]].concat(), &["temperature"]);
    let mut other = Small::new();
    other.tokenizer["model"]["vocab"]["a"] = 98.into();
    other.tokenizer["model"]["vocab"]["b"] = 97.into();
    other.write(&tool, "student");
    refused(&asked(&server.url, &name), &["other tokens"]);
    drop(server);
    std::fs::remove_file(Path::new(&std::env::var_os("ZORD_PEERS").unwrap()).join("llama/m").join(name)).unwrap();
}

#[test]
fn what_a_teacher_with_other_tokens_says_nothing_about_is_told() {
    let tool = school("alpha = 0.7\ntemperature = 2.0");
    let mut other = Small::new();
    other.tokenizer["model"]["vocab"].as_object_mut().unwrap().remove("ÿ").unwrap();
    other.tokenizer["model"]["vocab"]["ee"] = 255.into();
    other.tokenizer["model"]["merges"] = json!([["e", "e"]]);
    other.write(&tool, "other");
    becomes_the_teacher(&tool, "other");
    let run = |out: &str, rate: &str| {
        let rate = format!("data.fim.rate={rate}");
        let ran = tool.run(["run", "recipe.toml", "-o", out, "--max-steps", "1", "--set", &rate]);
        let err = ran.err.clone();
        ran.done();
        err
    };
    let all = run("holes", "1.0");
    assert!(
        all.contains("100.0 % of what is learnt has no counterpart there, all those of documents with a hole"),
        "{all}"
    );
    assert!(all.contains("counts with 1 − `objective.alpha` = 0.30 only"), "{all}");
    assert!(all.contains("`objective.temperature` does not apply"), "{all}");
    assert!(!run("whole", "0.0").contains("100.0 %"));
    let told = tool.run(["check", "recipe.toml", "--set", "data.fim.rate=1.0"]);
    let page = format!("{}{}", told.err, told.out);
    assert!(
        page.contains("says nothing about documents with a hole") && page.contains("`objective.temperature`"),
        "{page}"
    );
}

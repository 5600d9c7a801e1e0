//! What `convert` refuses: by name, with the way out, and with nothing left behind.

use serde_json::json;
use zord::weights::gguf::{GgmlType, Header};

use crate::ran::{Ran, Tool};
use crate::small::{Small, VOCABULARY};

fn convert(tool: &Tool, small: &Small, more: &[&str]) -> Ran {
    small.write(&tool.path("c"));
    tool.run(["convert", "c", "-o", "out.gguf"].iter().chain(more))
}

#[test]
fn a_small_checkpoint_converts_with_all_that_it_says() {
    let (tool, mut small) = (Tool::new(), Small::new());
    small.config["rope_scaling"] = json!({"type": "linear", "factor": 4.0});
    convert(&tool, &small, &["--type", "q8_0", "--name", "Small"]).done();
    let header = Header::read(&tool.path("out.gguf")).unwrap();
    assert_eq!(header.str("general.name"), Some("Small"));
    assert_eq!(
        (header.str("llama.rope.scaling.type"), header.f32("llama.rope.scaling.factor")),
        (Some("linear"), Some(4.0))
    );
    assert_eq!(header.str("tokenizer.ggml.pre"), Some("starcoder"));
    let fim = ["pre", "suf", "mid"].map(|key| header.u64(&format!("tokenizer.ggml.fim_{key}_token_id")));
    assert_eq!(fim, [1, 2, 3].map(|n| Some((VOCABULARY - 4 + n) as u64)));
    assert_eq!(header.u64("tokenizer.ggml.eos_token_id"), Some(VOCABULARY as u64 - 4));
    let kind = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name).unwrap().kind;
    assert_eq!((kind("blk.0.attn_q.weight"), kind("output_norm.weight")), (GgmlType::Q8_0, GgmlType::F32));
    assert_eq!(tool.names(), ["c", "out.gguf"]);
}

#[test]
fn damage_is_named_and_nothing_is_left() {
    type Damage = fn(&mut Small);
    let cases: [(Damage, &[&str], &[&str]); 18] = [
        (
            |small| small.config["architectures"] = json!(["BloomForCausalLM"]),
            &[],
            &["`BloomForCausalLM`", "Qwen3ForCausalLM"],
        ),
        (|small| small.config["hidden_size"] = json!(0), &[], &["`hidden_size`", "above zero"]),
        (
            |small| small.config["num_hidden_layers"] = json!("two"),
            &[],
            &["`num_hidden_layers`", "a whole number", "two"],
        ),
        (|small| small.config["num_hidden_layers"] = json!(2), &[], &["`blk.1.attn_norm.weight`"]),
        (
            |small| small.config["intermediate_size"] = json!(128),
            &[],
            &["`model.layers.0.mlp.gate_proj.weight`", "[128, 64]", "[96, 64]"],
        ),
        (|small| small.config["vocab_size"] = json!(100), &[], &["[100, 64]", "[320, 64]"]),
        (|small| small.config["rope_scaling"] = json!({"type": "spiral", "factor": 2.0}), &[], &["`spiral`"]),
        (
            |small| small.config["quantization_config"] = json!({"quant_method": "gptq"}),
            &[],
            &["quantized already, by `gptq`"],
        ),
        (
            |small| {
                let tensor = small.tensor("q_proj.weight");
                (tensor.1, tensor.3) = ("I32", tensor.3.clone());
            },
            &[],
            &["q_proj.weight", "I32", "BF16"],
        ),
        (
            |small| small.tensor("k_proj.weight").0 = "model.layers.0.self_attn.extra.weight".into(),
            &[],
            &["self_attn.extra.weight"],
        ),
        (
            |small| {
                small.tensor("up_proj.weight").3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
                small.tensor("v_proj.weight").3[4..8].copy_from_slice(&f32::INFINITY.to_le_bytes());
            },
            &[],
            &["2 weights in 2 tensors", "v_proj.weight", "up_proj.weight", "--allow-nan"],
        ),
        (
            |small| small.tensor("up_proj.weight").3[..4].copy_from_slice(&1e6f32.to_le_bytes()),
            &["--type", "f16"],
            &["beyond what f16 can hold, in 1 places", "ffn_up", "bf16"],
        ),
        (
            |small| small.tensor("up_proj.weight").3[..4].copy_from_slice(&1e8f32.to_le_bytes()),
            &["--type", "q8_0"],
            &["beyond what q8_0 can hold", "f32"],
        ),
        // Neither may take memory for what is only claimed.
        (
            |small| small.config["num_hidden_layers"] = json!(u32::MAX),
            &[],
            &["`num_hidden_layers`", "at most 65536 layers"],
        ),
        (|small| small.config["vocab_size"] = json!(u32::MAX), &[], &["[4294967295, 64]", "[320, 64]"]),
        (|_| (), &["--pre", "nonsense"], &["no pre-tokenizer `nonsense`"]),
        (|small| small.tokenizer["model"]["type"] = json!("WordPiece"), &[], &["`WordPiece`"]),
        (
            |small| small.tokenizer["pre_tokenizer"] = json!({"type": "Metaspace"}),
            &[],
            &["pre-tokenizer", "Metaspace", "--pre"],
        ),
    ];
    for (damage, args, words) in cases {
        let (tool, mut small) = (Tool::new(), Small::new());
        damage(&mut small);
        convert(&tool, &small, args).refused(1, words);
        assert_eq!(tool.names(), ["c"], "{words:?}");
    }
}

#[test]
fn what_is_told_to_pass_passes() {
    let (tool, mut small) = (Tool::new(), Small::new());
    small.tensor("up_proj.weight").3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    small.tensors.push(("model.extra".into(), "F32", vec![1], vec![0; 4]));
    small.tokenizer["pre_tokenizer"] = json!({"type": "Metaspace"});
    let ran = convert(&tool, &small, &["--allow-nan", "--skip", "extra", "--pre", "smollm"]);
    assert!(ran.err.contains("1 weights are no finite numbers"), "{}", ran.err);
    assert_eq!(Header::read(&tool.path("out.gguf")).unwrap().str("tokenizer.ggml.pre"), Some("smollm"));
}

#[test]
fn keys_that_are_not_known_are_told() {
    let (tool, mut small) = (Tool::new(), Small::new());
    let ran = convert(&tool, &small, &[]);
    assert!(!ran.err.contains("not known here"), "{}", ran.err);
    small.config["residual_multiplier"] = json!(0.22);
    small.config["rope_scaling"] = json!({"rope_type": "linear", "factor": 2.0, "wave": 3});
    let ran = convert(&tool, &small, &[]);
    assert!(ran.err.contains("left out: `residual_multiplier`, `rope_scaling.wave`"), "{}", ran.err);
    ran.done();
}

#[test]
fn missing_files_and_places_are_named() {
    let (tool, small) = (Tool::new(), Small::new());
    small.write(&tool.path("c"));
    tool.run(["convert", "nowhere", "-o", "out.gguf"]).refused(1, &["config.json", "\n\nhint: "]);
    tool.run(["convert", "c", "-o", "no/such/out.gguf"]).refused(1, &["cannot write `no/such/out.gguf`", "folder"]);
    tool.run(["convert", "c", "-o", "c"]).refused(1, &["cannot write `c`"]);
    tool.run(["convert", "c", "-o", "c/config.json"]).refused(1, &["`c/config.json` belongs to the checkpoint"]);
    tool.run(["convert", "c/config.json", "-o", "out.gguf"])
        .refused(1, &["Not a directory", "takes a checkpoint's folder"]);
    tool.run(["convert", "c", "-o", "out.gguf", "--type", "q4_0"]).refused(2, &["q4_0"]);
    std::fs::remove_file(tool.path("c/tokenizer.json")).unwrap();
    tool.run(["convert", "c", "-o", "out.gguf"]).refused(1, &["tokenizer.model"]);
    let bytes = std::fs::read(tool.path("c/model.safetensors")).unwrap();
    std::fs::write(tool.path("c/model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    tool.run(["convert", "c", "-o", "out.gguf"]).refused(1, &["truncated"]);
    assert_eq!(tool.names(), ["c"]);
}

#[test]
fn a_limit_on_file_sizes_leaves_no_file() {
    let (tool, small) = (Tool::new(), Small::new());
    small.write(&tool.path("c"));
    let mut command = std::process::Command::new("sh");
    let line = "ulimit -f 8; trap '' XFSZ; exec \"$0\" convert c -o out.gguf";
    let program = env!("CARGO_BIN_EXE_zord-quantize");
    let output = command.args(["-c", line, program]).current_dir(tool.folder()).output().unwrap();
    Ran::of(&output).refused(1, &["cannot write `out.gguf`", "takes no file of this size"]);
    assert_eq!(tool.names(), ["c"]);
}

#[test]
fn a_full_disk_of_its_own_leaves_no_file() {
    let (tool, small) = (Tool::new(), Small::new());
    small.write(&tool.path("c"));
    std::fs::create_dir(tool.path("disk")).unwrap();
    let disk = tool.path("disk");
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&disk).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: only root may mount a small file system");
        return;
    }
    let ran = tool.run(["convert", "c", "-o", "disk/out.gguf"]);
    let left = std::fs::read_dir(&disk).unwrap().count();
    let gone = std::process::Command::new("umount").arg(&disk).status();
    assert!(gone.is_ok_and(|status| status.success()));
    ran.refused(1, &["cannot write `disk/out.gguf`", "No space left", "make room"]);
    assert_eq!(left, 0);
}

/// Bytes that a process has handed to the system to write.
fn written(pid: rustix::process::Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/io", pid.as_raw_nonzero())).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn an_interrupt_in_the_midst_of_writing_leaves_no_file() {
    use rustix::process::{Pid, Signal, kill_process};
    let (tool, mut small) = (Tool::new(), Small::new());
    // 154 MB of weights, of which it shall have written 8 when it is stopped.
    let hidden = 200_000;
    small.config["intermediate_size"] = json!(hidden);
    for (end, shape) in
        [("gate_proj.weight", [hidden, 64]), ("up_proj.weight", [hidden, 64]), ("down_proj.weight", [64, hidden])]
    {
        let tensor = small.tensor(end);
        (tensor.2, tensor.3) = (shape.to_vec(), vec![0; hidden * 64 * 4]);
    }
    small.write(&tool.path("c"));
    let mut child = tool
        .command(["convert", "c", "-o", "out.gguf", "--threads", "1", "--type", "f32"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    while written(pid) < 8 << 20 {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
    }
    // Held still, so that it cannot finish between a look and the signal.
    kill_process(pid, Signal::STOP).unwrap();
    assert!(written(pid) < 100 << 20 && tool.names().len() == 2, "{:?}", tool.names());
    kill_process(pid, Signal::INT).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    Ran::of(&child.wait_with_output().unwrap()).refused(130, &["interrupted"]);
    assert_eq!(tool.names(), ["c"]);
}

#[test]
fn ends_are_found_in_every_file_that_may_name_them() {
    let ends = |settings: serde_json::Value, more: &[(&str, serde_json::Value)], config: serde_json::Value| {
        let (tool, mut small) = (Tool::new(), Small::new());
        small.config["eos_token_id"] = config;
        small.write(&tool.path("c"));
        tool.write("c/tokenizer_config.json", settings.to_string());
        for (name, json) in more {
            tool.write(&format!("c/{name}"), json.to_string());
        }
        let ran = tool.run(["convert", "c", "-o", "out.gguf"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let told = ran.err;
        let header = Header::read(&tool.path("out.gguf")).unwrap();
        let id = |job: &str| header.u64(&format!("tokenizer.ggml.{job}_token_id"));
        ([id("eos"), id("eot"), id("eom")], told)
    };
    let last = VOCABULARY as u64 - 4;
    let (map, list) = ("special_tokens_map.json", "generation_config.json");
    let nothing = json!(null);
    let named = json!({"eos_token": {"content": "<|endoftext|>"}});
    assert_eq!(ends(json!({}), &[(map, named.clone())], nothing.clone()).0, [Some(last), None, None]);
    assert_eq!(ends(json!({}), &[(list, json!({"eos_token_id": last}))], nothing.clone()).0, [Some(last), None, None]);
    assert_eq!(ends(json!({}), &[], json!([5, 6, 7])).0, [Some(5), Some(6), Some(7)]);
    // What the tokenizer calls the end comes first, whatever the order of the list.
    let all = [(list, json!({"eos_token_id": [5, last, 99_999]}))];
    assert_eq!(ends(named.clone(), &all, json!(5)).0, [Some(last), Some(5), None]);
    // A token of the vocabulary that nobody added.
    assert_eq!(ends(json!({"eos_token": "t7"}), &[], nothing.clone()).0, [Some(7), None, None]);
    let (ids, told) = ends(json!({}), &[], nothing.clone());
    assert!(ids == [None; 3] && told.contains("no file names the token that ends a text"), "{told}");
    let (_, told) = ends(json!({}), &[], json!([5, 6, 7, 8]));
    assert!(told.contains("no room for more ends") && told.contains("`t8`"), "{told}");
}

#[test]
fn files_that_disagree_are_read_as_transformers_reads_them() {
    let (tool, mut small) = (Tool::new(), Small::new());
    let head = (0..VOCABULARY * 64).flat_map(|n| (n as f32 / 1e5).to_le_bytes()).collect();
    small.tensors.push(("lm_head.weight".to_owned(), "F32", vec![VOCABULARY, 64], head));
    small.write(&tool.path("c"));
    tool.write("c/chat_template.jinja", "{% for m in messages %}[{{ m.content }}]{% endfor %}");
    tool.write("c/model.safetensors.index.json", r#"{"weight_map": {"old": "model-00001-of-00001.safetensors"}}"#);
    let ran = tool.run(["convert", "c", "-o", "out.gguf"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let told = ran.err;
    for words in ["hold different chat templates", "have an `lm_head` with other numbers", "names other files than"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let header = Header::read(&tool.path("out.gguf")).unwrap();
    assert!(header.str("tokenizer.chat_template").unwrap().contains("[{{"));
    assert!(header.tensors.iter().any(|tensor| tensor.name == "output.weight"));
}

#[test]
fn what_gguf_cannot_say_is_refused() {
    let refused = |change: fn(&mut Small), words: &str| {
        let (tool, mut small) = (Tool::new(), Small::new());
        change(&mut small);
        convert(&tool, &small, &[]).refused(1, &[words]);
        assert_eq!(tool.names(), ["c"]);
    };
    refused(|small| small.config["hidden_act"] = json!("gelu"), "`hidden_act` gelu");
    let bias = |small: &mut Small| {
        small.tensors.push(("model.layers.0.input_layernorm.bias".to_owned(), "F32", vec![64], vec![0; 256]));
    };
    refused(bias, "no place is known for the tensor `model.layers.0.input_layernorm.bias`");
    let (tool, mut small) = (Tool::new(), Small::new());
    small.config["rope_scaling"] = json!({"type": "yarn", "factor": 4.0, "attention_factor": 1.0});
    convert(&tool, &small, &[]).done();
    let factor = Header::read(&tool.path("out.gguf")).unwrap().f32("llama.rope.scaling.attn_factor").unwrap();
    assert!((factor * (0.1 * 4f32.ln() + 1.0) - 1.0).abs() < 1e-6, "{factor}");
}

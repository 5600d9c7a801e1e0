//! `zord plan`, `doctor` and `bench`.

use crate::program::{Zord, has_keys};
use crate::real;

const PLAN: [&str; 12] = [
    "fits", "n_ctx", "kv_type", "n_ubatch", "threads", "weights", "kv", "compute", "program", "total", "budget",
    "reason",
];

#[test]
fn a_plan_tells_what_a_model_takes_or_lacks() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let plan = zord.run(["plan", "--json", "--ctx", "2048", "--kv-type", "q8_0", "--threads", "1"]).json();
    has_keys(&plan, &PLAN);
    assert_eq!((&plan["fits"], &plan["n_ctx"], &plan["kv_type"]), (&true.into(), &2048.into(), &"q8_0".into()));
    assert_eq!(plan["threads"], 1);
    let sum: u64 = ["weights", "kv", "compute", "program"].iter().map(|key| plan[key].as_u64().unwrap()).sum();
    assert!(sum <= plan["total"].as_u64().unwrap(), "{plan}");
    let text = zord.run(["plan"]).silent();
    for word in ["smollm2-135m-instruct", "weights", "KV cache", "1024 tokens, f16", "compute", "total", "1 thread"] {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }

    let no = zord.run(["plan", "--json", "--budget", "50MiB"]).json();
    has_keys(&no, &["need", "have", "hint"]);
    assert_eq!((&no["fits"], &no["have"]), (&false.into(), &(50u64 << 20).into()));
    assert!(no["need"].as_u64().unwrap() > 50 << 20);
    let text = zord.run(["plan", "--budget", "50MiB"]).silent();
    assert!(text.contains("does not fit") && text.contains("\n\nhint: "), "{text}");
    zord.run(["plan", "--budget", "lots"]).advised(2, &["--budget"]);
    zord.run(["plan", "--kv-type", "f8"]).advised(2, &["`f16`"]);
}

#[cfg(feature = "engine")]
#[test]
fn a_plan_leaves_out_the_kernels_that_were_switched_off() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    let reason = || zord.run(["plan", "--json"]).json()["reason"].as_str().unwrap().to_owned();
    assert!(!reason().contains("switched off"), "{}", reason());
    let learnt = std::fs::read_to_string(zord.path("cache/kernels.toml")).unwrap();
    zord.write("cache/kernels.toml", format!("{learnt}\n[[sets]]\nset = \"AMX\"\nfault = \"crashes\"\n"));
    assert!(reason().contains("switched off"), "the engine does without them: {}", reason());
}

#[test]
fn doctor_speaks_of_the_device_with_and_without_a_model() {
    let zord = Zord::new();
    let report = zord.run(["doctor", "--json"]).json();
    has_keys(&report, &["version", "engine", "findings", "kept"]);
    for finding in report["findings"].as_array().unwrap() {
        has_keys(finding, &["topic", "state", "detail"]);
    }
    let text = zord.run(["doctor"]).silent();
    assert!(text.starts_with("zord ") && text.contains("memory:"), "{text}");
    // Kernels are tried in a child of the program itself, and what was learnt is kept.
    if cfg!(feature = "engine") {
        let kernels =
            report["findings"].as_array().unwrap().iter().find(|finding| finding["topic"] == "kernels").unwrap();
        assert_eq!(kernels["state"], "good", "{kernels}");
        assert!(kernels["detail"].as_str().unwrap().starts_with("plain"), "{kernels}");
        let kept = std::fs::read_to_string(zord.path("cache/kernels.toml")).unwrap();
        assert!(kept.contains("set = \"plain\""), "{kept}");
    }
    // A broken model is a finding, not a failure.
    zord.write("bad.gguf", "not a model");
    let report = zord.run(["doctor", "--json", "--model", "bad.gguf"]).json();
    let model = report["findings"].as_array().unwrap().iter().find(|finding| finding["topic"] == "model").unwrap();
    assert_eq!(model["state"], "warning");
}

#[test]
fn bench_measures_and_tuning_is_kept_for_later_plans() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::with(&model);
    // What the configuration says of threads goes before what was measured, so it says nothing here.
    zord.write("config.toml", format!("model = '{}'\n[context]\nsize = 1024\n", model.display()));
    let short = ["bench", "--json", "--runs", "1", "--prompt-tokens", "32", "--gen-tokens", "8"];
    let measured = zord.run(short).json();
    has_keys(&measured, &["model", "threads", "load_ms", "first_token_ms", "prefill_tps", "decode_tps", "peak_rss"]);
    assert!(measured["decode_tps"].as_f64().unwrap() > 0.0);
    assert!(measured["peak_rss"].as_u64().unwrap() > 90 << 20, "{measured}");

    let tuned = zord.run(short.into_iter().chain(["--tune"]));
    assert!(tuned.err.contains("kept in `"), "{}", tuned.err);
    let kept = tuned.err.rsplit('`').nth(1).unwrap().to_owned();
    let tuned = tuned.json();
    let plan = zord.run(["plan", "--json"]).json();
    assert_eq!(plan["threads"], tuned["threads"]);
    // Whatever was best here, the file decides.
    assert!(std::path::Path::new(&kept).is_file());
    std::fs::write(&kept, "threads = 1\nn_ubatch = 64\nflash = false\n").unwrap();
    let plan = zord.run(["plan", "--json"]).json();
    assert_eq!((&plan["threads"], &plan["n_ubatch"], &plan["flash"]), (&1.into(), &64.into(), &false.into()));
    // A file that is no longer understood is as good as none.
    std::fs::write(&kept, "threads = 'many'\n").unwrap();
    assert_eq!(zord.run(["plan", "--json"]).json()["fits"], true);
    // A setting of the person's own stays in force, and they are told.
    zord.write("config.toml", format!("model = '{}'\n[context]\nsize = 1024\n[threads]\ncount = 1\n", model.display()));
    let tuned = zord.run(short.into_iter().chain(["--tune"]));
    assert!(tuned.err.contains("`threads.count`"), "{}", tuned.err);
    assert_eq!(zord.run(["plan", "--json"]).json()["threads"], 1);
}

//! `quantize` on the real model, beside llama.cpp's own program.

use std::path::Path;

use half::f16;
use rustix::process::{Pid, Signal, kill_process};
use zord::weights::gguf::{GgmlType, Header};

use crate::beside::{Shared, text, turn, whole};
use crate::file::tensors;
use crate::ran::{Ran, Tool};

fn same(ours: &Path, theirs: &Path) {
    let (a, b) = (tensors(ours), tensors(theirs));
    let kinds = |all: &[(String, String, Vec<u8>)]| all.iter().map(|t| (t.0.clone(), t.1.clone())).collect::<Vec<_>>();
    assert_eq!(kinds(&a), kinds(&b));
    for (a, b) in a.iter().zip(&b) {
        assert!(a.2 == b.2, "{} differs", a.0);
    }
}

#[test]
fn quantized_tensors_are_those_of_the_peer() {
    let _turn = turn();
    let (Some(shared), tool) = (Shared::new(), Tool::new()) else { return };
    let Some(whole) = whole(&tool, &shared) else { return };
    let text = text(&shared);
    let matrix = shared.path("i.gguf");
    tool.run([
        "imatrix".as_ref(),
        "-m".as_ref(),
        whole.as_os_str(),
        "-f".as_ref(),
        text.as_os_str(),
        "-o".as_ref(),
        matrix.as_os_str(),
        "--plain".as_ref(),
        "--ctx".as_ref(),
        "256".as_ref(),
    ])
    .done();
    let (ours, theirs) = (shared.path("ours.gguf"), shared.path("theirs.gguf"));
    for kind in ["Q4_K_M", "Q5_K_M"] {
        for guided in [false, true] {
            let mut args =
                vec!["quantize".as_ref(), whole.as_os_str(), ours.as_os_str(), "--type".as_ref(), kind.as_ref()];
            let mut peer = vec![];
            if guided {
                args.extend(["--imatrix".as_ref(), matrix.as_os_str()]);
                peer.extend(["--imatrix", "@i.gguf"]);
            }
            tool.run(args).done();
            shared.peer("llama-quantize", &[&peer[..], &["@f16.gguf", "@theirs.gguf", kind]].concat());
            same(&ours, &theirs);
        }
    }
    let header = Header::read(&ours).unwrap();
    assert!(header.str("quantize.imatrix.file").is_some());
}

#[test]
fn dry_runs_foresee_the_file_and_fit_stays_below_its_size() {
    let _turn = turn();
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    let run = |args: &[&str]| {
        let fixed = ["quantize".as_ref(), model.as_os_str()];
        tool.run(fixed.into_iter().chain(args.iter().map(AsRef::as_ref)))
    };
    let more = ["--allow-requantize", "--json"];
    let foreseen = run(&[&["--type", "Q4_K_M", "--dry-run"][..], &more].concat()).json();
    let fallen = foreseen[0]["fallen_back"].as_array().unwrap();
    assert!(
        fallen.iter().any(|tensor| tensor["row"] == 576 && tensor["wanted"] == "q4_K" && tensor["got"] == "q5_0"),
        "{fallen:?}"
    );
    let done = run(&[&["q.gguf", "--type", "Q4_K_M"][..], &more].concat()).json();
    assert_eq!(done[0]["tensors"], foreseen[0]["tensors"]);
    let header = Header::read(&tool.path("q.gguf")).unwrap();
    assert_eq!(header.file_len - header.data_offset, foreseen[0]["bytes"].as_u64().unwrap());

    let fitted = run(&[&["fit.gguf", "--fit", "110MB"][..], &more].concat()).json();
    let size = std::fs::metadata(tool.path("fit.gguf")).unwrap().len();
    assert!(size <= 110_000_000 && size > 95_000_000, "{size}: {}", fitted[0]["type"]);
    // Not the size alone: what was written computes what was read.
    let args = ["measure", "--ctx", "64", "--chunks", "1", "--no-rates", "--json", "--base"].map(AsRef::as_ref);
    let args = args.into_iter().chain([model.as_os_str()]);
    let told = tool.run(args.chain(["--quants", "q.gguf", "fit.gguf"].map(AsRef::as_ref))).json();
    let apart = |at: usize| told["quants"][at]["kld_mean"].as_f64().unwrap();
    // What fits is what the source is made of already: nothing is lost.
    assert!(apart(0) > 0.0 && apart(0) < 0.1 && apart(1).abs() < 1e-6, "{told}");
    run(&["n.gguf", "--fit", "10MB", "--allow-requantize"]).refused(1, &["the smallest mixture takes"]);
    let memory = run(&["--fit-ram", "300MiB@1024", "--dry-run", "--allow-requantize"]);
    assert!(memory.err.contains(" fits"), "{}", memory.err);
}

/// The same model off the grid that its weights were on: each block of 32 in a matrix gets noise of half a step of Q4_1
/// either way, from a fixed seed. No type is exact for it any more.
fn blur(path: &Path) {
    let header = Header::read(path).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let mut seed = 1_u64;
    let matrices =
        header.tensors.iter().filter(|tensor| tensor.kind == GgmlType::F16 && tensor.name.starts_with("blk."));
    for tensor in matrices {
        let from = (header.data_offset + tensor.offset) as usize;
        for block in bytes[from..from + tensor.bytes as usize].chunks_exact_mut(64) {
            let weights: Vec<f32> =
                block.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect();
            let (low, high) = weights.iter().fold((f32::MAX, f32::MIN), |(low, high), &x| (low.min(x), high.max(x)));
            for (two, weight) in block.chunks_exact_mut(2).zip(weights) {
                // Knuth's MMIX: the upper bits are noise enough.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = (seed >> 40) as f32 / (1 << 24) as f32 - 0.5;
                two.copy_from_slice(&f16::from_f32(weight + noise * (high - low) / 15.0).to_le_bytes());
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// Ctrl-C when one candidate is whole and another begun.
fn interrupt(tool: &Tool) {
    let args = ["quantize", "m.gguf", "cut.gguf", "--fit", "113MB"];
    let mut child = tool.command(args).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    while tool.names().iter().filter(|name| name.starts_with(".cut.gguf.")).count() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
    }
    // Held still, so that it cannot finish between a look and the signal.
    kill_process(pid, Signal::STOP).unwrap();
    assert!(!tool.path("cut.gguf").exists());
    kill_process(pid, Signal::INT).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    Ran::of(&child.wait_with_output().unwrap()).refused(130, &["interrupted"]);
}

#[test]
fn what_fits_a_size_is_never_worse_than_a_plain_mixture_of_that_size() {
    let _turn = turn();
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    let run = |args: &[&str]| tool.run(std::iter::once("quantize").chain(args.iter().copied()));
    let whole = ["quantize".as_ref(), model.as_os_str(), "m.gguf".as_ref()];
    tool.run(whole.into_iter().chain(["--type", "F16", "--allow-requantize"].map(AsRef::as_ref))).done();
    // Beside the best by hand; `--fit` is given the windows that it reads itself, so that chance has no part in it.
    let compare = |by_hand: &str, [ctx, chunks]: [&str; 2]| {
        let fixed =
            ["measure", "--base", "m.gguf", "--ctx", ctx, "--chunks", chunks, "--no-rates", "--json", "--quants"];
        let told = tool.run(fixed.into_iter().chain([by_hand, "fit.gguf"])).json();
        let number = |at: usize, key: &str| told["quants"][at][key].as_f64().unwrap();
        assert!(number(0, "bytes") <= 113e6 && number(1, "bytes") <= 113e6, "{told}");
        // One per cent counts as alike, and the smaller file is taken then.
        assert!(number(1, "kld_mean") <= number(0, "kld_mean") * 1.011 + 1e-6, "{told}");
        number(1, "kld_mean")
    };

    // On the grid, Q4_1 loses nothing, and the mixture with the most bits a lot.
    run(&["m.gguf", "Q4_1.gguf", "--type", "Q4_1"]).done();
    run(&["m.gguf", "fit.gguf", "--fit", "113MB"]).done();
    assert!(compare("Q4_1.gguf", ["128", "1"]) < 0.01);

    // Off the grid, the estimate prefers what is worse than one better type in the largest mixture.
    blur(&tool.path("m.gguf"));
    run(&["m.gguf", "bump.gguf", "--type", "Q5_K_M", "--tensor-type", "attn_v=q6_K"]).done();
    let told = run(&["m.gguf", "fit.gguf", "--fit", "113MB", "--json"]);
    let lines = told.err.matches(", KLD 0.").count();
    assert!(lines >= 2, "{}", told.err);
    assert_eq!(told.json()[0]["candidates"].as_array().unwrap().len(), lines);
    assert!(compare("bump.gguf", ["256", "2"]) > 0.01);
    interrupt(&tool);
    let names = ["Q4_1", "bump", "fit", "m"].map(|name| format!("{name}.gguf"));
    assert_eq!(tool.names(), names);
}

#[test]
fn requests_that_make_no_sense_are_refused_and_leave_nothing() {
    let _turn = turn();
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    let run = |args: &[&str]| {
        let fixed = ["quantize".as_ref(), model.as_os_str(), "out.gguf".as_ref()];
        tool.run(fixed.into_iter().chain(args.iter().map(AsRef::as_ref)))
    };
    run(&["--type", "Q4_K_M"]).refused(1, &["is q8_0 already", "--allow-requantize"]);
    tool.run(["quantize".as_ref(), model.as_os_str(), model.as_os_str(), "--type".as_ref(), "Q8_0".as_ref()])
        .refused(1, &["is what is read, and would be lost"]);
    run(&["--type", "Q9"]).refused(2, &["Q9", "Q4_K_M"]);
    run(&["--type", "IQ2_XS", "--allow-requantize"])
        .refused(1, &["needs an importance matrix", "zord-quantize imatrix"]);
    run(&["--type", "Q8_0", "--allow-requantize", "--tensor-type", "nothing=q8_0"]).refused(1, &["matches `nothing`"]);
    run(&["--type", "Q8_0", "--allow-requantize", "--tensor-type", "ffn("]).refused(2, &["ffn("]);
    run(&["--type", "Q8_0", "--allow-requantize", "--prune-layers", "30"]).refused(1, &["no layer 30", "has 30"]);
    let all: String = (0..30).map(|layer| format!("{layer},")).collect();
    run(&["--type", "Q8_0", "--allow-requantize", "--prune-layers", all.trim_end_matches(',')])
        .refused(1, &["all 30 layers are to be left out"]);
    run(&["--type", "Q8_0", "--type", "Q6_K"]).refused(2, &["{type}"]);
    run(&["--type", "Q8_0", "--tensor-type", "ffn=q8_1"]).refused(2, &["cannot be stored as `q8_1`"]);
    run(&["--type", "Q8_0", "--allow-requantize", "--tensor-type", "(?i)FFN=q6_K"]).refused(1, &["`(?i`", "llama.cpp"]);
    run(&["--type", "F16", "--allow-requantize", "--tensor-type", "ffn=q6_K"])
        .refused(1, &["`F16` stores every matrix"]);
    run(&["--fit-ram", "1GiB@4294967295"]).refused(2, &["16777216"]);
    let twice = ["quantize", "m.gguf", "{type}.gguf", "--type", "Q8_0", "--type", "q8_0"];
    tool.run(twice).refused(2, &["`--type Q8_0` is there twice"]);
    tool.write("i.dat", "nothing of the kind");
    run(&["--type", "Q8_0", "--allow-requantize", "--imatrix", "i.dat"])
        .refused(1, &["`i.dat` is no importance matrix"]);
    assert_eq!(tool.names(), ["i.dat"]);
}

#[test]
fn an_abort_inside_llama_cpp_is_an_error_with_its_last_words() {
    let _turn = turn();
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    // A model without layers to count: what llama.cpp asserts of it is not true.
    std::fs::copy(model, tool.path("m.gguf")).unwrap();
    tool.run(["edit", "m.gguf", "--set", "llama.block_count=100000"]).done();
    let ran = tool.run(["quantize", "m.gguf", "out.gguf", "--type", "Q8_0", "--allow-requantize"]);
    ran.refused(1, &["llama.cpp ended the work with signal 6", "GGML_ASSERT(", "n_layer"]);
    assert_eq!(tool.names(), ["m.gguf"]);
}

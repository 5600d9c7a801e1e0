//! `quantize` on the real model, beside llama.cpp's own program.

use std::path::Path;

use zord::weights::gguf::Header;

use crate::beside::{Shared, text, turn, whole};
use crate::file::tensors;
use crate::ran::Tool;

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
    run(&["n.gguf", "--fit", "10MB", "--allow-requantize"]).refused(1, &["the smallest mixture takes"]);
    let memory = run(&["--fit-ram", "300MiB@1024", "--dry-run", "--allow-requantize"]);
    assert!(memory.err.contains(" fits"), "{}", memory.err);
}

#[test]
fn what_fits_a_size_is_never_worse_than_a_plain_mixture_of_that_size() {
    let _turn = turn();
    let Some(model) = crate::smollm2() else { return };
    let tool = Tool::new();
    let run = |args: &[&str]| tool.run(std::iter::once("quantize").chain(args.iter().copied()));
    let whole = ["quantize".as_ref(), model.as_os_str(), "m.gguf".as_ref()];
    tool.run(whole.into_iter().chain(["--type", "F16", "--allow-requantize"].map(AsRef::as_ref))).done();
    run(&["m.gguf", "{type}.gguf", "--type", "Q3_K_M", "--type", "Q4_K_M", "--type", "Q5_K_M"]).done();
    run(&["m.gguf", "down.gguf", "--type", "Q4_K_M", "--tensor-type", "ffn_down=q6_K"]).done();
    run(&["m.gguf", "fit94.gguf", "--fit", "94MB"]).done();
    run(&["m.gguf", "fit113.gguf", "--fit", "113MB"]).done();
    let quants = ["Q3_K_M", "fit94", "Q4_K_M", "down", "Q5_K_M", "fit113"].map(|name| format!("{name}.gguf"));
    let fixed = ["measure", "--base", "m.gguf", "--ctx", "128", "--chunks", "2", "--no-rates", "--json", "--quants"];
    let told = tool.run(fixed.into_iter().chain(quants.iter().map(String::as_str))).json();
    let measured = |at: usize| {
        let number = |key: &str| told["quants"][at][key].as_f64().unwrap();
        (number("bytes"), number("kld_mean"))
    };
    for (fit, plain, room) in [(1, &[0][..], 94e6), (5, &[0, 2, 3, 4], 113e6)] {
        assert!(measured(fit).0 <= room, "{told}");
        for &plain in plain {
            assert!(measured(plain).0 <= room, "{told}");
            // Some 256 tokens: what two files of about the same loss differ in by chance is a few per cent of it.
            assert!(measured(fit).1 <= measured(plain).1 * 1.02, "{fit} against {plain}: {told}");
        }
    }
    // Nothing in it depends on threads or chance.
    run(&["m.gguf", "again.gguf", "--fit", "94MB", "--threads", "1"]).done();
    assert!(tensors(&tool.path("again.gguf")) == tensors(&tool.path("fit94.gguf")));
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

//! The options of `quantize`, and models in several files: beside llama.cpp's own program, on a small model.

use std::path::Path;

use zord::weights::gguf::{GgmlType, Header, Parts};

use crate::beside::{Shared, turn};
use crate::file::tensors;
use crate::ran::Tool;
use crate::small::Small;

/// A model of three layers whose rows can have the K types, as `m.gguf`.
fn model(tool: &Tool, into: &Path) {
    let mut small = Small::sized(3, 256, 512);
    let (name, kind, shape, bytes) = small.tensor("embed_tokens.weight").clone();
    assert!(name.starts_with("model."));
    small.tensors.push(("lm_head.weight".to_owned(), kind, shape, bytes.into_iter().rev().collect()));
    let output = small.tensors.last_mut().unwrap();
    // Bytes turned round are no good numbers.
    output.3 = (0..output.3.len() as u32 / 4).flat_map(|n| ((n % 31) as f32 / 31.0 - 0.5).to_le_bytes()).collect();
    small.config["tie_word_embeddings"] = false.into();
    small.write(&tool.path("c"));
    tool.run(["convert".as_ref(), "c".as_ref(), "-o".as_ref(), into.as_os_str(), "--type".as_ref(), "f32".as_ref()])
        .done();
}

#[test]
fn options_do_what_the_peers_do() {
    let _turn = turn();
    let (Some(shared), tool) = (Shared::new(), Tool::new()) else { return };
    model(&tool, &shared.path("m.gguf"));
    let cases: [(&[&str], &[&str], &str); 9] = [
        (&[], &[], "Q4_K_M"),
        (&["--pure"], &["--pure"], "Q4_K_M"),
        (&["--leave-output"], &["--leave-output-tensor"], "Q4_K_M"),
        (&["--output-type", "q5_K"], &["--output-tensor-type", "q5_K"], "Q4_K_M"),
        (&["--embedding-type", "q8_0"], &["--token-embedding-type", "q8_0"], "Q4_K_M"),
        (&["--tensor-type", "ffn_down=q8_0"], &["--tensor-type", "ffn_down=q8_0"], "Q5_K_M"),
        (&["--prune-layers", "1"], &["--prune-layers", "1"], "Q8_0"),
        (&["--max-buffer", "1KiB"], &[], "Q6_K"),
        (&[], &[], "COPY"),
    ];
    for (own, peers, kind) in cases {
        let (ours, theirs) = (shared.path("ours.gguf"), shared.path("theirs.gguf"));
        let input = shared.path("m.gguf");
        let fixed = ["quantize".as_ref(), input.as_os_str(), ours.as_os_str(), "--type".as_ref(), kind.as_ref()];
        tool.run(fixed.into_iter().chain(own.iter().map(AsRef::as_ref))).done();
        shared.peer("llama-quantize", &[peers, &["@m.gguf", "@theirs.gguf", kind]].concat());
        let (a, b) = (tensors(&ours), tensors(&theirs));
        assert!(a == b && !a.is_empty(), "{own:?} {kind}");
    }
}

#[test]
fn a_model_in_parts_is_read_whole_and_spared() {
    let _turn = turn();
    let (Some(shared), tool) = (Shared::new(), Tool::new()) else { return };
    model(&tool, &shared.path("m.gguf"));
    shared.peer("llama-gguf-split", &["--split", "--split-max-tensors", "10", "@m.gguf", "@m"]);
    let whole = Parts::from(Header::read(&shared.path("m.gguf")).unwrap());
    let count = whole.tensors().count().div_ceil(10);
    let part = |stem: &str, number: usize| shared.path(&format!("{stem}-{number:05}-of-{count:05}.gguf"));
    let first = part("m", 1);
    let run =
        |args: &[&str]| tool.run(args.iter().map(|arg| if *arg == "@" { first.as_os_str() } else { arg.as_ref() }));
    let at = |name: &str| shared.path(name).to_string_lossy().into_owned();

    run(&["quantize", "@", &at("q.gguf"), "--type", "Q4_K_M", "--keep-split"]).done();
    run(&["quantize", "@", "one.gguf", "--type", "Q4_K_M"]).done();
    shared.peer("llama-quantize", &["--keep-split", &format!("@m-00001-of-{count:05}.gguf"), "@p.gguf", "Q4_K_M"]);
    let mut all = Vec::new();
    for number in 1..=count {
        assert!(tensors(&part("q", number)) == tensors(&part("p", number)), "part {number}");
        all.extend(tensors(&part("q", number)));
    }
    all.sort();
    assert!(all == tensors(&tool.path("one.gguf")));
    assert!(!shared.path("q.gguf").exists());

    // What is chosen for a size, exported and shown is of all parts.
    let size = whole.bytes() / 3;
    run(&["quantize", "@", "fit.gguf", "--fit", &format!("{size}B")]).done();
    let fitted = Header::read(&tool.path("fit.gguf")).unwrap();
    assert!(fitted.file_len <= size && fitted.tensors.len() == whole.tensors().count(), "{}", fitted.file_len);
    run(&["export", "@", "-o", "back", "--type", "f32"]).done();
    tool.run(["convert", "back", "-o", "again.gguf", "--type", "f32"]).done();
    assert!(tensors(&tool.path("again.gguf")) == tensors(&shared.path("m.gguf")));
    assert_eq!(run(&["inspect", "@", "--json"]).json()["bytes"], Parts::read(&first).unwrap().bytes());

    // No output may take the place of a part.
    let lost = ["is what is read, and would be lost"];
    run(&["quantize", "@", &at("m.gguf"), "--type", "Q8_0", "--keep-split"]).refused(1, &lost);
    run(&["quantize", "@", &part("m", 2).to_string_lossy(), "--type", "Q8_0"]).refused(1, &lost);
    let second = part("m", 2);
    tool.run(["quantize".as_ref(), second.as_os_str(), "x.gguf".as_ref(), "--type".as_ref(), "Q8_0".as_ref()])
        .refused(1, &["part 2 of", "name the first part"]);
    std::fs::remove_file(&second).unwrap();
    run(&["quantize", "@", "x.gguf", "--type", "Q8_0"]).refused(1, &["m-00002-of-"]);
    assert!(!tool.path("x.gguf").exists());
}

#[test]
fn what_was_chosen_by_hand_stays_when_a_size_is_filled() {
    let tool = Tool::new();
    model(&tool, &tool.path("m.gguf"));
    let size = Header::read(&tool.path("m.gguf")).unwrap().file_len / 3;
    let size = format!("{size}B");
    let fit = |name, threads| {
        let chosen = ["--tensor-type", "ffn_down=q4_0", "--threads", threads];
        tool.run(["quantize", "m.gguf", name, "--fit", &size].into_iter().chain(chosen)).done()
    };
    fit("q.gguf", "3");
    // Nothing in it depends on threads or chance.
    fit("again.gguf", "1");
    assert!(tensors(&tool.path("again.gguf")) == tensors(&tool.path("q.gguf")));
    let header = Header::read(&tool.path("q.gguf")).unwrap();
    let mut down = header.tensors.iter().filter(|tensor| tensor.name.contains("ffn_down"));
    assert!(down.all(|tensor| tensor.kind == GgmlType::Q4_0));
    // With more room than it needs, a model stays as it is.
    tool.run(["convert", "c", "-o", "b.gguf", "--type", "bf16"]).done();
    let ran = tool.run(["quantize", "b.gguf", "q.gguf", "--fit", "1GB"]);
    assert!(ran.err.starts_with("BF16 fits"), "{}", ran.err);
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let tool = Tool::new();
    model(&tool, &tool.path("m.gguf"));
    let whole = std::fs::read(tool.path("m.gguf")).unwrap();
    tool.write("t.txt", "text");
    let lost = ["is what is read, and would be lost", "name another file"];
    tool.run(["imatrix", "-m", "m.gguf", "-o", "m.gguf"]).refused(1, &lost);
    tool.run(["imatrix", "-m", "m.gguf", "-f", "t.txt", "-o", "t.txt"]).refused(1, &lost);
    tool.run(["modelfile", "m.gguf", "-o", "m.gguf"]).refused(1, &lost);
    tool.run(["quantize", "m.gguf", "m.gguf", "--type", "Q8_0"]).refused(1, &lost);
    tool.run(["export", "m.gguf", "-o", "c"]).refused(1, &["something is there already", "empty or not there yet"]);
    tool.run(["convert", "c", "-o", "/dev/null"]).refused(1, &["`/dev/null`", "it is no file"]);
    assert!(std::fs::read(tool.path("m.gguf")).unwrap() == whole);
    assert_eq!(std::fs::read_to_string(tool.path("t.txt")).unwrap(), "text");
    assert_eq!(tool.names(), ["c", "m.gguf", "t.txt"]);
}

#[test]
fn a_matrix_with_zeros_costs_no_weights() {
    use zord::quantize::imatrix::{Entry, Imatrix};
    let _turn = turn();
    let tool = Tool::new();
    model(&tool, &tool.path("m.gguf"));
    let header = Header::read(&tool.path("m.gguf")).unwrap();
    let mut matrix = Imatrix { chunks: 1, chunk_size: 16, ..Imatrix::default() };
    for tensor in header.tensors.iter().filter(|tensor| tensor.dims.len() == 2 && tensor.name.starts_with("blk.")) {
        let mut sums: Vec<f32> = (0..tensor.dims[0]).map(|column| 1.0 + (column % 7) as f32).collect();
        match tensor.name.as_str() {
            "blk.0.ffn_up.weight" => sums.fill(0.0),
            "blk.1.ffn_up.weight" => sums[32..64].fill(0.0),
            "blk.2.ffn_up.weight" => continue,
            _ => {}
        }
        matrix.entries.insert(tensor.name.clone(), Entry { sums, counts: vec![16] });
    }
    matrix.write(&tool.path("i.gguf")).unwrap();
    for kind in ["Q4_0", "Q4_K_M", "IQ4_XS", "IQ2_XXS"] {
        let guided = ["quantize", "m.gguf", "q.gguf", "--type", kind, "--imatrix", "i.gguf"];
        let ran = tool.run(guided);
        if kind == "IQ2_XXS" {
            // Nothing is said about one matrix, and this type cannot do without.
            ran.refused(1, &["blk.2.ffn_up.weight"]);
            continue;
        }
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(
            ran.err.contains("says nothing about 2 of 21 matrices, the first of them `blk.0.ffn_up"),
            "{}",
            ran.err
        );
        tool.run(["quantize", "m.gguf", "plain.gguf", "--type", kind]).done();
        let of = |file: &str, name: &str| {
            tensors(&tool.path(file)).into_iter().find(|tensor| tensor.0 == name).map(|tensor| tensor.2).unwrap()
        };
        for name in ["blk.0.ffn_up.weight", "blk.2.ffn_up.weight"] {
            assert!(of("q.gguf", name) == of("plain.gguf", name), "{kind} {name}");
        }
        tool.run(["export", "q.gguf", "-o", "back", "--type", "f32"]).done();
        let back = zord::weights::safetensors::Folder::open(&tool.path("back")).unwrap();
        let up = back.get("model.layers.1.mlp.up_proj.weight").unwrap();
        let mut row = vec![0; 256 * 4];
        up.read(&mut row, 0).unwrap();
        let kept = row[32 * 4..64 * 4].as_chunks::<4>().0.iter().filter(|word| f32::from_le_bytes(**word) != 0.0);
        assert!(kept.count() > 16, "{kind}: the columns became zero");
        std::fs::remove_dir_all(tool.path("back")).unwrap();
    }
}

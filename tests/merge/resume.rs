//! Threads, parts, kills: the same bytes whatever happened on the way.

use std::time::Duration;

use zord::weights::safetensors::Dtype;

use crate::tool::{Tool, read};
use crate::toy::Toy;

const RECIPE: &str = "merge_method: dare_ties\nbase_model: base\nmodels:\n  - {model: a, parameters: {weight: 0.7, density: 0.5}}\n  \
    - {model: b, parameters: {weight: 0.5, density: 0.3}}\ndtype: float32\n";

fn models(tool: &Tool, layers: usize) {
    for (seed, name) in ["base", "a", "b"].into_iter().enumerate() {
        Toy::sized(seed as u32, layers, Dtype::BF16).write(&tool.path(name));
    }
}

#[test]
fn chance_depends_on_the_seed_and_not_on_threads_or_parts() {
    let tool = Tool::new();
    models(&tool, 4);
    let merged = |args: &[&str]| {
        tool.merge(RECIPE, args).done();
        let merged = read(&tool.path("out"));
        std::fs::remove_dir_all(tool.path("out")).unwrap();
        merged
    };
    let one = merged(&["--seed", "5", "--threads", "1"]);
    assert_eq!(one, merged(&["--seed", "5", "--threads", "7"]));
    assert_ne!(one, merged(&["--seed", "6", "--threads", "1"]));
    assert_eq!(one, {
        tool.write("x", "");
        merged(&["--seed", "5"])
    });
}

#[test]
fn large_tensors_are_cut_into_slabs_and_come_out_as_one_thread_makes_them() {
    let tool = Tool::new();
    for (seed, name) in ["base", "a", "b"].into_iter().enumerate() {
        let mut toy = Toy::new(seed as u32);
        // more than two slabs of a million numbers, many of them equal
        let values: Vec<f32> =
            crate::toy::noise(seed as u32, 1500 * 2000).iter().map(|n| (n * 50.0).round() / 50.0).collect();
        let embedding = toy.tensor("embed_tokens.weight");
        (embedding.1, embedding.2, embedding.3) =
            (Dtype::BF16, vec![1500, 2000], crate::toy::raw(Dtype::BF16, &values));
        toy.write(&tool.path(name));
    }
    for method in ["ties", "breadcrumbs_ties", "della", "sce", "dare_linear", "arcee_fusion", "karcher"] {
        let parameters = match method {
            "sce" => "parameters: {select_topk: 0.3}\n",
            "arcee_fusion" | "karcher" => "",
            _ => "parameters: {weight: 0.5, density: 0.4, rescale: true}\n",
        };
        let second = if method == "arcee_fusion" { "" } else { "  - {model: b}\n" };
        let base = if method == "karcher" { "" } else { "base_model: base\n" };
        let recipe = format!("merge_method: {method}\n{base}models:\n  - {{model: a}}\n{second}{parameters}");
        let mut results = Vec::new();
        for threads in ["1", "3"] {
            tool.merge(&recipe, &["--threads", threads]).done();
            results.push(read(&tool.path("out")));
            std::fs::remove_dir_all(tool.path("out")).unwrap();
        }
        assert_eq!(results[0], results[1], "{method}");
    }
}

#[test]
fn exactly_as_many_as_the_density_says_stay_though_many_are_equal() {
    let tool = Tool::new();
    models(&tool, 2);
    let mut base = Toy::new(0);
    let mut other = Toy::new(0);
    let count = 1500 * 1000;
    let of = |values: &[f32]| (Dtype::F32, vec![1500, 1000], crate::toy::raw(Dtype::F32, values));
    let zeros = vec![0.0; count];
    // only four magnitudes
    let few: Vec<f32> = crate::toy::noise(9, count).iter().map(|n| (n * 4.0).trunc() + n.signum()).collect();
    for (toy, values) in [(&mut base, &zeros), (&mut other, &few)] {
        let place = toy.tensor("embed_tokens.weight");
        (place.1, place.2, place.3) = of(values);
    }
    base.write(&tool.path("base"));
    other.write(&tool.path("a"));
    let recipe = "merge_method: ties\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1, density: 0.37}}]\n";
    tool.merge(recipe, &[]).done();
    let kept = read(&tool.path("out"))["model.embed_tokens.weight"].numbers();
    assert_eq!(kept.iter().filter(|n| **n != 0.0).count(), (0.37 * count as f64) as usize);
    let smallest = kept.iter().filter(|n| **n != 0.0).map(|n| n.abs()).fold(f32::INFINITY, f32::min);
    assert!(few.iter().zip(&kept).all(|(few, kept)| *kept == *few || (*kept == 0.0 && few.abs() <= smallest)));
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let tool = Tool::new();
    models(&tool, 300);
    tool.merge(RECIPE, &["--seed", "5"]).done();
    let whole = read(&tool.path("out"));
    std::fs::remove_dir_all(tool.path("out")).unwrap();
    let journal = tool.path(".out.partial/journal.jsonl");
    let mut gone_on = false;
    for _ in 0..20 {
        let mut child =
            tool.command(["run", "recipe.yml", "-o", "out", "--seed", "5", "--threads", "1"]).spawn().unwrap();
        // a few lines of the journal, then the kill
        while std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 20 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !tool.path("out").exists() {
            gone_on = true;
            break;
        }
        std::fs::remove_dir_all(tool.path("out")).unwrap();
    }
    assert!(gone_on, "the run was always faster than the kill");
    let ran = tool.merge(RECIPE, &["--seed", "5"]);
    assert!(ran.err.contains("from an earlier run"), "{}", ran.err);
    ran.done();
    assert_eq!(read(&tool.path("out")), whole);
    assert!(!tool.path("out/journal.jsonl").exists() && !tool.path(".out.partial").exists());
    // another seed is another merge: nothing of the old one stays
    std::fs::rename(tool.path("out"), tool.path("first")).unwrap();
    let ran = tool.merge(RECIPE, &["--seed", "6"]);
    assert!(!ran.err.contains("earlier run"), "{}", ran.err);
    assert_ne!(read(&tool.path("out")), whole);
}

#[test]
fn parts_have_an_index_and_hold_the_same() {
    let tool = Tool::new();
    models(&tool, 2);
    let mut base = Toy::new(0);
    for (name, toy) in [("base", &mut base), ("a", &mut Toy::new(1)), ("b", &mut Toy::new(2))] {
        let values = crate::toy::noise(3, 300_000);
        toy.tensor("norm.weight").2 = vec![300_000];
        toy.tensor("norm.weight").3 = crate::toy::raw(Dtype::F32, &values);
        toy.tensors.push((
            "model.layers.0.more.weight".into(),
            Dtype::F32,
            vec![300_000],
            crate::toy::raw(Dtype::F32, &values),
        ));
        toy.write(&tool.path(name));
    }
    tool.merge(RECIPE, &[]).done();
    let whole = read(&tool.path("out"));
    std::fs::rename(tool.path("out"), tool.path("whole")).unwrap();
    tool.merge(RECIPE, &["--shard-size", "1MiB"]).done();
    assert!(
        tool.path("out/model-00001-of-00004.safetensors").is_file(),
        "{:?}",
        std::fs::read_dir(tool.path("out")).unwrap().collect::<Vec<_>>()
    );
    let index = tool.json("out/model.safetensors.index.json");
    assert_eq!(index["weight_map"].as_object().unwrap().len(), whole.len());
    assert_eq!(read(&tool.path("out")), whole);
}

#[test]
fn what_a_killed_run_left_is_not_taken_for_another_adapter() {
    let tool = Tool::new();
    models(&tool, 2);
    let bake = |weight: &str| {
        let adapter = format!("adapter@{weight}");
        let ran = tool.run(["lora", "base", "-a", &adapter, "-o", "out"]);
        let resumed = ran.err.contains("earlier run");
        ran.done();
        let journal = tool.path("out/journal.jsonl");
        (read(&tool.path("out")), resumed, journal.exists())
    };
    crate::adapters::adapter(&tool.path("adapter"), 50, serde_json::json!({}));
    let (one, ..) = bake("1");
    std::fs::remove_dir_all(tool.path("out")).unwrap();
    // stopped by a file in its place, when all tensors were written
    let mut left = tool.command(["lora", "base", "-a", "adapter@1", "-o", "out"]);
    std::fs::create_dir_all(tool.path(".out.partial/README.md")).unwrap();
    assert!(!left.output().unwrap().status.success());
    assert!(tool.path(".out.partial/journal.jsonl").is_file());
    std::fs::remove_dir_all(tool.path(".out.partial/README.md")).unwrap();
    let (half, resumed, journal) = bake("0.5");
    assert!(!resumed && !journal && half != one);
}

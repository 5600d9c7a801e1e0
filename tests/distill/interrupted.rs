//! Runs that are stopped, killed, or run out of room.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::losses;
use crate::ran::Ran;
use crate::small::stage;

/// The whole run's losses, to the last digit.
const OFTEN: &str = "[safety]\ncheckpoint_every = 1\n[evaluation]\nevery = 2\n";

#[test]
fn a_run_that_was_stopped_is_the_run_that_was_not() {
    let tool = stage(OFTEN);
    let adapter = ["--set", "adapter.rank=4", "--set", "adapter.dropout=0.2"];
    for more in [&[][..], &adapter] {
        let (whole, parts) = (format!("whole{}", more.len()), format!("parts{}", more.len()));
        let run = |out: &str, steps: &str| {
            let args = ["run", "recipe.toml", "-o", out, "--max-steps", steps];
            tool.run(args.into_iter().chain(more.iter().copied())).done();
        };
        run(&whole, "9");
        for steps in ["1", "4", "5", "9"] {
            run(&parts, steps);
        }
        assert_eq!(losses(&tool.path(&whole)), losses(&tool.path(&parts)));
        let name = if more.is_empty() { "model.safetensors" } else { "adapter_model.safetensors" };
        let file = |out: &str| std::fs::read(tool.path(out).join(name)).unwrap();
        assert!(file(&whole) == file(&parts));
    }
}

#[test]
fn ctrl_c_saves_and_the_same_command_goes_on() {
    let tool = stage("[safety]\ncheckpoint_every = 0\n");
    let args = ["run", "recipe.toml", "-o", "out", "--set", "schedule.steps=100000"];
    let mut child = tool.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("step 3 ")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.iter().any(|line| line.contains("error: interrupted; checkpoint saved at step")), "{rest:?}");
    assert!(!tool.path("out/model.safetensors").exists());
    let ran = tool.run(args.into_iter().chain(["--max-steps", "3"]));
    assert!(ran.err.contains("resuming after step"), "{}", ran.err);
    ran.done();
}

#[test]
fn a_run_killed_at_any_moment_goes_on() {
    let tool = stage(OFTEN);
    let args = ["run", "recipe.toml", "-o", "out", "--set", "schedule.steps=60"];
    let mut place = 1_u64;
    let mut resumed = 0;
    for _ in 0..20 {
        let mut child = tool.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // A moment by chance: after some line, and a little later.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..(place >> 33) % 5 + 1 {
            let Some(line) = lines.next() else { break };
            let line = line.unwrap();
            assert!(!line.contains("error"), "{line}");
            resumed += usize::from(line.contains("resuming after"));
        }
        std::thread::sleep(Duration::from_micros((place >> 40) % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(resumed > 5, "{resumed}");
    tool.run(args).done();
    tool.run(["run", "recipe.toml", "-o", "calm", "--set", "schedule.steps=60"]).done();
    assert_eq!(losses(&tool.path("out")), losses(&tool.path("calm")));
}

#[test]
fn a_run_goes_back_where_losses_leap_and_on_with_other_texts() {
    // Among many texts that are soon known are some of letters in no order.
    let tool = stage("");
    let letters = |seed: u64| -> String {
        let mut state = seed;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (state >> 33) as u8 % 90)
        };
        (0..120).map(|_| letter()).collect()
    };
    let text =
        |i: u64| if i % 40 == 39 { letters(i) } else { "all of it again and again. ".repeat(4) + &i.to_string() };
    let all: String = (0..160).map(|i| serde_json::json!({"text": text(i)}).to_string() + "\n").collect();
    tool.write("data.jsonl", all);
    let settings = [
        "schedule.steps=90",
        "schedule.shape=constant",
        "optimiser.rate=3e-3",
        "optimiser.micro_batch=1",
        "optimiser.accumulate=1",
        "safety.checkpoint_every=5",
        "safety.spike=3.0",
        "safety.patience=1",
        "safety.returns=50",
    ];
    let run = |out: &str, steps: &str| {
        let set = settings.iter().flat_map(|set| ["--set", set]);
        tool.run(["run", "recipe.toml", "-o", out, "--max-steps", steps].into_iter().chain(set)).done();
        std::fs::read_to_string(tool.path(out).join("run/metrics.jsonl")).unwrap()
    };
    let log = run("out", "90");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<u64> =
        lines.iter().filter(|line| line["loss"].is_f64()).map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=90).collect::<Vec<_>>(), "each step stands once");
    let back: Vec<&Value> = lines.iter().filter(|line| line["returned_from"].is_u64()).collect();
    assert!(!back.is_empty(), "{log}");
    for line in back {
        let (to, from) = (line["step"].as_u64().unwrap(), line["returned_from"].as_u64().unwrap());
        assert!(to % 5 == 0 && to <= from && from - to < 5 && line["fault"] == "spike", "{line}");
    }
    // What was stopped at a checkpoint comes to the same.
    let without_times = |log: &str| -> Vec<Value> {
        let mut lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("tokens_per_s")));
        lines
    };
    for stop in ["35", "60"] {
        run("parts", stop);
    }
    assert_eq!(without_times(&run("parts", "90")), without_times(&log));
}

#[test]
fn a_full_disk_is_an_error_and_the_last_checkpoint_survives() {
    let tool = stage(OFTEN);
    std::fs::create_dir(tool.path("disk")).unwrap();
    let disk = tool.path("disk");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: needs to mount a small disk (root)");
        return;
    }
    let run = |more: &[&str]| tool.run(["run", "recipe.toml", "-o", "disk/out"].iter().chain(more));
    let first = run(&["--max-steps", "2"]);
    // All of it but for what a log takes: the write itself fails, and what it wrote stays.
    let _ = std::fs::write(disk.join("filler"), vec![1; 4_000_000]);
    let filler = std::fs::File::options().write(true).open(disk.join("filler")).unwrap();
    filler.set_len(filler.metadata().unwrap().len().saturating_sub(100_000)).unwrap();
    drop(filler);
    let second = run(&[]);
    let removed = std::fs::remove_file(disk.join("filler"));
    let third = run(&["--max-steps", "3"]);
    let left: Vec<_> =
        std::fs::read_dir(disk.join("out/run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let unmounted = std::process::Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    let told = |ran: &Ran| format!("{:?} {}", ran.code, ran.err);
    assert_eq!(first.code, Some(0), "{}", told(&first));
    assert!(second.code == Some(1) && second.err.contains("cannot write"), "{}", told(&second));
    removed.unwrap();
    assert!(third.code == Some(0) && third.err.contains("resuming after step"), "{}", told(&third));
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let tool = stage("");
    let args = ["run", "recipe.toml", "-o", "out", "--set", "schedule.steps=100000"];
    let mut child = tool.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("step 1 ")));
    let second = tool.run(args);
    child.kill().unwrap();
    child.wait().unwrap();
    second.refused(1, &["another run is writing"]);
}

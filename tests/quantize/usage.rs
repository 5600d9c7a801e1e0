//! The command line as a whole: help, completions, manual pages.

use crate::ran::Tool;

#[test]
fn every_command_tells_what_it_does() {
    let tool = Tool::new();
    let help = tool.run(["--help"]).done();
    let mut commands = vec!["convert", "inspect", "edit", "modelfile"];
    if cfg!(feature = "engine") {
        commands.extend(["quantize", "imatrix", "measure", "export"]);
    }
    for command in commands {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
        assert!(tool.run([command, "--help"]).done().contains(&format!("Usage: zord-quantize {command}")));
        tool.run([command, "--no-such-thing"]).refused(2, &["--no-such-thing"]);
    }
    assert!(!help.contains("llama-child"), "{help}");
}

#[test]
fn completions_and_manual_pages_come_from_the_parser() {
    let tool = Tool::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = tool.run(["completions", shell]).done();
        assert!(script.contains("zord-quantize") && script.contains("modelfile"), "{shell}");
    }
    let script = tool.write("c.bash", tool.run(["completions", "bash"]).done());
    assert!(std::process::Command::new("bash").arg("-n").arg(script).status().unwrap().success());
    std::fs::create_dir(tool.path("man")).unwrap();
    tool.run(["man", "man"]).done();
    assert!(std::fs::read_to_string(tool.path("man/zord-quantize-convert.1")).unwrap().contains("checkpoint"));
}

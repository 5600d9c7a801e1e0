//! What all commands share: usage, configuration, colour, completions, manual pages.

use std::process::Output;

use crate::program::{Ran, Zord};

#[test]
fn wrong_use_is_told_in_the_same_form() {
    let zord = Zord::new();
    let wrong: [&[&str]; 9] = [
        &["--frob"],
        &["chat", "--ctx", "3", "hi"],
        &["chat", "--preset", "loud", "hi"],
        &["chat", "--max-tokens", "0", "hi"],
        &["chat", "--lora", "a.gguf@many", "hi"],
        &["models", "frob"],
        &["bench", "--runs", "0"],
        &["bench", "--minutes", "1"],
        &["bench", "--minutes", "2", "--tune"],
    ];
    for args in wrong {
        let ran = zord.run(args);
        ran.advised(2, &["--help"]);
        assert!(!ran.err.contains('\''), "values stand in backticks: {}", ran.err);
    }
    zord.run(["chat", "--preset", "loud", "hi"]).advised(2, &["`loud`", "`greedy`"]);
}

#[test]
fn help_and_version_are_answers() {
    let zord = Zord::new();
    assert_eq!(zord.run(["--version"]).silent(), format!("zord {}\n", env!("CARGO_PKG_VERSION")));
    let help = zord.run(["--help"]).silent();
    for command in ["chat", "complete", "models", "plan", "doctor", "bench", "sessions"] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
        assert!(zord.run([command, "--help"]).silent().contains("Usage: zord"));
    }
}

#[test]
fn there_are_no_sessions_in_an_empty_home() {
    let zord = Zord::new();
    let ran = zord.run(["sessions", "list"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert_eq!(zord.run(["sessions", "list", "--json"]).json(), serde_json::json!([]));
    zord.run(["sessions", "show", "last"]).advised(1, &["no conversation `last`", "zord sessions list"]);
    zord.run(["sessions", "remove", "x"]).refused(1, &["`x`"]);
    zord.run(["sessions", "remove", ""]).advised(2, &["the id of the conversation is empty"]);
}

#[test]
fn mistakes_in_the_configuration_are_named_with_file_line_and_the_right_key() {
    let zord = Zord::new();
    let file = zord.write("config.toml", "[chat]\npreste = 'greedy'\n");
    let file = file.to_str().unwrap().to_owned();
    zord.run(["doctor"]).advised(1, &[&file, "line 2", "`chat.preste`", "`chat.preset`"]);
    zord.write("config.toml", "# mine\n\n[context]\nsize = 'big'\n");
    zord.run(["doctor"]).advised(1, &[&file, "line 4", "`context.size`", "whole number", "big"]);
    zord.write("config.toml", "[context\n");
    zord.run(["doctor"]).advised(1, &[&file, "line 1"]);
    zord.write("config.toml", b"model = '\xff'\n");
    zord.run(["doctor"]).refused(1, &[&file]);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    zord.run(["doctor"]).refused(1, &[&file]);
}

#[test]
fn completions_and_manual_pages_come_from_the_parser() {
    let zord = Zord::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = zord.run(["completions", shell]).silent();
        assert!(script.contains("zord") && script.contains("sessions"), "{shell}");
    }
    let script = zord.write("zord.bash", zord.run(["completions", "bash"]).silent());
    let checked = std::process::Command::new("bash").arg("-n").arg(script).output();
    assert!(checked.is_ok_and(|Output { status, .. }| status.success()));
    std::fs::create_dir(zord.path("man")).unwrap();
    zord.run(["man", "man"]).silent();
    let page = std::fs::read_to_string(zord.path("man/zord-chat.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains("attach"), "{page}");
    zord.run(["man", "none"]).refused(1, &["`none`"]);
}

#[test]
fn no_colour_where_none_is_wanted() {
    let zord = Zord::new();
    let coloured = |quiet: bool, args: &[&str]| {
        let mut command = zord.command(args);
        command.env("CLICOLOR_FORCE", "1");
        if quiet {
            command.env("NO_COLOR", "1");
        }
        let ran: Ran = command.output().unwrap().into();
        ran.out.contains('\x1b') || ran.err.contains('\x1b')
    };
    // Forced, so that the test can tell the variable from the pipe.
    assert!(coloured(false, &["--help"]));
    for args in [&["--help"][..], &["doctor"], &["models", "list"], &["--frob"]] {
        assert!(!coloured(true, args), "{args:?}");
    }
}

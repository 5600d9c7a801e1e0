//! Models in the terminal interface: switched, adapted, fetched; in a real terminal, with real models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod adapters;
mod hub;
mod real;
mod screen;

use hub::{Reply, Server, honest, linked, ranged};
use screen::{READY, Screen, last_session, open, stats};

const SHORT: &str = "max_tokens = 12\n";
const QUESTION: &str = "Name three primary colours.";

/// Asks and waits for the end of the answer, of which each leaves a rate in the status line.
fn ask(screen: &mut Screen, home: &std::path::Path, question: &str) {
    let before = stats(home).len();
    screen.keys(&format!("{question}\r"));
    screen.wait("the end of the answer", |text| text.contains(READY) && stats(home).len() > before);
}

#[test]
fn another_model_takes_over_and_the_conversation_goes_on() {
    let (Some(smollm), Some(gemma)) = (real::smollm2(), real::gemma3()) else { return };
    let home = screen::home(&[smollm.as_path(), gemma.as_path()], SHORT);
    let mut screen = open(home.path());
    screen.wait_for(READY);
    ask(&mut screen, home.path(), QUESTION);
    screen.keys("/model gemma-3-270m-q4_k_m.gguf\r");
    screen.wait_for("gemma-3-270m-q4_k_m");
    ask(&mut screen, home.path(), "And three animals?");
    screen.keys("/model\r");
    screen.wait_for("a GGUF file on this device");
    // The list names both as being here, the one in use first or not: by its name it is found.
    choose(&mut screen, "SmolLM2-135M-Instruct.Q4_1");
    screen.wait("the first model again", |text| status(text).to_lowercase().contains("smollm2"));
    ask(&mut screen, home.path(), "And three rivers?");
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let session = last_session(home.path());
    assert_eq!(session["turns"].as_array().unwrap().len(), 6);
    let journal = std::fs::read_dir(home.path().join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    let journal = journal.into_iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
    let text = std::fs::read_to_string(journal).unwrap();
    let names = |line: &str| line.contains("{\"t\":\"model\"").then(|| line.contains("gemma"));
    let models: Vec<_> = text.lines().filter_map(names).collect();
    assert!(models.ends_with(&[true, false]), "each answer knows its model: {text}");
}

/// The last line that says something.
fn status(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

/// Walks down a list to a row and takes it.
fn choose(screen: &mut Screen, name: &str) {
    screen.keys("\x1b[H");
    let wanted = format!("› {}", name.to_lowercase());
    for _ in 0..40 {
        screen.settle(std::time::Duration::from_millis(100));
        if screen.text().to_lowercase().contains(&wanted) {
            return screen.keys("\r");
        }
        screen.keys("\x1b[B");
    }
    panic!("`{name}` is not in the list:\n{}", screen.text());
}

#[test]
fn an_adapter_is_laid_over_the_model_and_taken_away() {
    let Some(model) = real::smollm2() else { return };
    let home = screen::home(&[model.as_path()], SHORT);
    let write = |name: &str, width| {
        let bytes = adapters::adapter(adapters::header(), width, 1);
        std::fs::write(home.path().join(name), bytes).unwrap();
    };
    write("right.gguf", adapters::WIDTH);
    write("wrong.gguf", 512);
    let all = adapters::adapter(adapters::header(), adapters::WIDTH, adapters::LAYERS);
    std::fs::write(home.path().join("all.gguf"), all).unwrap();
    let mut screen = open(home.path());
    screen.wait_for(READY);
    ask(&mut screen, home.path(), QUESTION);
    screen.keys("/lora all.gguf\r");
    screen.wait("loading", |text| !text.contains("/lora all"));
    screen.keys("/new\r");
    ask(&mut screen, home.path(), QUESTION);
    let adapted = last_session(home.path())["turns"][1]["text"].clone();
    screen.keys("/lora wrong.gguf\r");
    screen.wait_for("do not fit");
    ask(&mut screen, home.path(), "And three rivers?");
    screen.keys("/lora off\r");
    screen.wait("the end of the command", |text| !text.contains("/lora off"));
    screen.keys("/new\r");
    ask(&mut screen, home.path(), QUESTION);
    let plain = last_session(home.path())["turns"][1]["text"].clone();
    assert_ne!(adapted, plain);
    screen.keys("/quit\r");
    assert!(screen.end().success());
}

/// Says yes to a download, once the question was up long enough to be read.
fn agree(screen: &mut Screen) {
    screen.wait_for("y yes");
    screen.settle(std::time::Duration::from_millis(400));
    screen.keys("y");
}

#[test]
fn a_model_is_fetched_from_a_hub_stopped_failed_and_gone_on_with() {
    let Some(model) = real::smollm2() else { return };
    let bytes = std::fs::read(&model).unwrap();
    let half = bytes.len() / 2;
    let server = Server::start(move |turn, asked| match turn {
        // A line that falls silent, for the person to give up on.
        0 => Reply::Stall(linked(&bytes), bytes.len(), bytes[..half].to_vec()),
        1 => Reply::Answer(404, Vec::new(), b"gone".to_vec()),
        _ => match asked.range {
            Some(from) => Reply::Answer(206, ranged(&bytes, from as usize), bytes[from as usize..].to_vec()),
            None => honest(&bytes, asked),
        },
    });
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[chat]\npreset = \"greedy\"\nmax_tokens = 12\n").unwrap();
    let hub = [("HF_ENDPOINT", server.url()), ("NO_PROXY", "127.0.0.1".to_owned()), ("HF_TOKEN", "secret".to_owned())];
    let hub: Vec<_> = hub.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let program = [env!("CARGO_BIN_EXE_zord")];
    let mut screen = Screen::open_program(&program, home.path(), home.path(), &hub, 80, 40);
    screen.wait_for("smollm2-135m-instruct");
    choose(&mut screen, "smollm2-135m-instruct");
    agree(&mut screen);
    screen.wait("half of it", |text| text.contains("50%") || text.contains("49%"));
    screen.keys("\x1b");
    screen.wait_for("download stopped");
    screen.keys("\r");
    agree(&mut screen);
    screen.wait_for("✗ the hub has no");
    screen.keys("\r");
    agree(&mut screen);
    screen.wait("the model, loaded", |text| text.contains(" mem ") && text.contains(READY));
    ask(&mut screen, home.path(), QUESTION);
    screen.keys("/quit\r");
    assert!(screen.end().success());
    let asked = server.asked();
    let ranges: Vec<bool> = asked.iter().map(|asked| asked.range.is_some_and(|from| from > 0)).collect();
    assert_eq!(ranges, [false, true, true], "what came was kept: {asked:?}");
    assert!(asked.iter().all(|asked| asked.path.ends_with("SmolLM2-135M-Instruct.Q4_1.gguf")));
}

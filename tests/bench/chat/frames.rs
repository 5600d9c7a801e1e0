//! What a person waits for before anything is asked: the first frame, and each frame of a long conversation.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zord::ui::bench::frames;

use crate::screen::Screen;
use crate::{Row, median};

/// Starts of the program.
const STARTS: usize = 20;
const MESSAGES: u32 = 2000;
/// What stands in the input line of a program that waits for a question.
const INPUT: &str = "ask · / commands";

pub fn all(model: &Path) -> Vec<Row> {
    let sizes = [("80 × 24", 80, 24), ("45 × 30", 45, 30)];
    let mut rows = vec![first_frame(model)];
    rows.extend(sizes.map(|(name, columns, rows)| scrolling(name, columns, rows)));
    rows
}

/// From the start of the process to the input line, behind which the model is still loading.
fn first_frame(model: &Path) -> Row {
    let home = tempfile::tempdir().unwrap();
    let added = Command::new(env!("CARGO_BIN_EXE_zord"))
        .env("ZORD_HOME", home.path())
        .args(["models", "add"])
        .arg(model)
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let mut times = Vec::new();
    for start in 0..=STARTS {
        let mut screen = Screen::open(home.path(), home.path(), &[], 80, 24);
        screen.wait_for(INPUT);
        let took = screen.started.elapsed();
        screen.keys("\x03\x03\x03");
        screen.end();
        // The first one reads the program from disk.
        if start > 0 {
            times.push(ms(took));
        }
    }
    let most = times.iter().copied().fold(0.0, f64::max);
    let cell = format!("{:.1} ms, at most {most:.1} ms", median(&times));
    Row::new(&format!("first frame, start of the process to the input line ({STARTS} starts)"), cell, "", "")
}

fn scrolling(name: &str, columns: u16, rows: u16) -> Row {
    let found = frames(MESSAGES, columns, rows);
    let [first, median, most, worst, busiest] =
        [found.first, found.median, found.most, found.worst, found.busiest].map(ms);
    let cell = format!(
        "median {median:.2} ms, 99 % under {most:.2} ms, worst {worst:.2} ms (of a processor at most {busiest:.2} ms), \
         the first {first:.2} ms"
    );
    Row::new(&format!("a frame while scrolling {MESSAGES} messages, {name}, {} frames", found.frames), cell, "", "")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

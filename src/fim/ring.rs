//! What was looked at lately in other files, in pieces: a ring that forgets the oldest and never holds the same twice.
//!
//! Likeness is Dice's coefficient over the sets of lines, as llama.vim has it; the thresholds are its too.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Site;

/// Chunks held.
const MOST: usize = 16;
/// Lines of a chunk.
const LINES: usize = 64;
/// Bytes of a chunk; lines beyond are left out.
const BYTES: usize = 8 << 10;
/// Two chunks more alike than this are one.
const SAME: f64 = 0.9;
/// A chunk more like the text around the cursor than this adds nothing.
const NEAR: f64 = 0.5;
/// Lines around the cursor that chunks are compared with, on each side.
const AROUND: usize = 48;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Of the file, relative to the opened folder.
    pub path: String,
    /// Whole lines.
    pub text: String,
}

/// The pieces, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    chunks: VecDeque<Chunk>,
}

impl Ring {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The person was or wrote at a line (from 0) of a file: the piece around it is remembered, in place of one that
    /// is nearly the same. Call it when the cursor leaves a file or makes a far jump, and after saving.
    pub fn visit(&mut self, path: &str, text: &str, line: usize) {
        let piece = around(text, line);
        if piece.lines().filter(|line| !line.trim().is_empty()).count() < 3 {
            return;
        }
        let seen = lines(&piece);
        // The newer text of the same place replaces the older.
        self.chunks.retain(|chunk| dice(&lines(&chunk.text), &seen) <= SAME);
        while self.chunks.len() >= MOST {
            self.chunks.pop_front();
        }
        self.chunks.push_back(Chunk { path: path.to_owned(), text: piece });
    }

    /// The file was removed or closed without saving.
    pub fn forget(&mut self, path: &str) {
        self.chunks.retain(|chunk| chunk.path != path);
    }

    /// What is worth showing a model beside the text around the cursor, oldest first, so that what comes new stands
    /// last and what stands before it stays.
    pub fn chunks(&self, site: &Site) -> Vec<Chunk> {
        let near = window(site);
        self.chunks.iter().filter(|chunk| dice(&lines(&chunk.text), &near) <= NEAR).cloned().collect()
    }

    /// How many pieces are held.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

/// Up to [`LINES`] whole lines around one, blank ones at the ends left out.
fn around(text: &str, line: usize) -> String {
    let first = line.saturating_sub(LINES / 2);
    let mut piece = String::new();
    for line in text.lines().skip(first).take(LINES) {
        if piece.len() + line.len() >= BYTES {
            break;
        }
        if !piece.is_empty() || !line.trim().is_empty() {
            piece.push_str(line);
            piece.push('\n');
        }
    }
    piece.truncate(piece.trim_end().len());
    piece.push('\n');
    piece
}

fn window(site: &Site) -> HashSet<&str> {
    let text = |line: &&str| !line.is_empty();
    let below = site.suffix.lines().map(str::trim).filter(text).take(AROUND);
    site.lines_above().take(AROUND).map(str::trim).chain(below).collect()
}

fn lines(text: &str) -> HashSet<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// 2·|A ∩ B| / (|A| + |B|); 0 for two empty sets.
fn dice(a: &HashSet<&str>, b: &HashSet<&str>) -> f64 {
    let total = a.len() + b.len();
    if total == 0 { 0.0 } else { 2.0 * a.intersection(b).count() as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: usize, lines: usize) -> String {
        (0..lines).map(|i| format!("line {seed} {i}\n")).collect()
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut ring = Ring::new();
        for seed in 0..MOST + 3 {
            ring.visit(&format!("{seed}.py"), &text(seed, 10), 0);
        }
        let chunks = ring.chunks(&Site::default());
        assert_eq!(chunks.len(), MOST);
        assert_eq!(chunks[0].path, "3.py");
        ring.forget("3.py");
        assert_eq!(ring.len(), MOST - 1);
    }

    #[test]
    fn nearly_the_same_piece_is_held_once_and_the_newer_stays() {
        let mut ring = Ring::new();
        ring.visit("a.py", &text(1, 40), 5);
        ring.visit("a.py", &format!("{}new\n", text(1, 40)), 5);
        let chunks = ring.chunks(&Site::default());
        assert_eq!(chunks.len(), 1);
        assert!(chunks[0].text.ends_with("new\n"));
        ring.visit("a.py", &text(1, 400), 300);
        assert_eq!(ring.len(), 2);
    }

    #[test]
    fn what_stands_around_the_cursor_is_not_shown_twice() {
        let mut ring = Ring::new();
        ring.visit("a.py", &text(1, 40), 5);
        ring.visit("b.py", &text(2, 40), 5);
        let site = Site::new(Some("a.py"), None, &text(1, 40), "");
        assert_eq!(ring.chunks(&site).iter().map(|chunk| chunk.path.as_str()).collect::<Vec<_>>(), ["b.py"]);
    }

    #[test]
    fn pieces_are_bounded_and_scraps_are_not_kept() {
        let mut ring = Ring::new();
        ring.visit("a.py", "one\n\ntwo\n", 0);
        ring.visit("b.py", &"x".repeat(1 << 20), 0);
        ring.visit("c.py", "", 9999);
        assert!(ring.is_empty());
        ring.visit("a.py", &format!("\n\n{}", text(1, 1000)), 500);
        let chunk = &ring.chunks(&Site::default())[0];
        assert_eq!(chunk.text.lines().count(), LINES);
        assert!(chunk.text.contains(" 498\n"));
    }
}

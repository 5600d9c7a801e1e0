//! What the parts of code are: keywords, strings, comments. Grammars are those of bat; the colours are ours.
//!
//! The grammars are read on a thread of their own, and not before the first code block asks; until then (and for blocks
//! over [`LARGEST_BLOCK`] bytes) there is nothing to say and code is drawn plain. A block that grows is continued where
//! it ended, a few new lines at once, more of them on the thread. What it refuses to do: make the caller wait.

mod grammar;
mod ink;
pub(crate) mod sheet;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use self::grammar::{Grammar, Progress};
use crate::lang;

pub use ink::Ink;

/// Bytes of a block beyond which it stays plain.
pub const LARGEST_BLOCK: usize = 64 * 1024;

/// Bytes of new lines that are highlighted at once (a millisecond or so); more go to the thread, as does everything of a
/// language that was not met before: its expressions are compiled when first used.
const AT_ONCE: usize = 256;

/// Blocks kept.
const BLOCKS: usize = 256;

/// One line: pieces in order, by byte range.
pub type Pieces = Arc<[(Ink, Range<usize>)]>;

/// Highlights blocks of code and remembers them. Clones share what they know.
#[derive(Clone)]
pub struct Highlighter {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    state: Mutex<State>,
    generation: AtomicU64,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct State {
    thread: Thread,
    /// The most recently used last.
    blocks: VecDeque<Block>,
    next: u64,
    /// Languages the thread has done something in.
    met: Vec<&'static str>,
}

enum Thread {
    Asleep,
    /// The grammars are being read.
    Reading,
    Ready(Arc<Grammar>, Sender<Task>),
}

/// Lines that wait for the thread.
struct Task {
    block: u64,
    progress: Progress,
    text: String,
}

struct Block {
    id: u64,
    language: &'static str,
    /// The lines done or with the thread, ends included.
    done: String,
    /// What is known of them.
    lines: Vec<Pieces>,
    /// Where to go on; `None` while the thread has it.
    progress: Option<Progress>,
}

impl Highlighter {
    /// One that reads its grammars when first asked, and calls `wake` (from its thread) when there is more to draw.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let state = State { thread: Thread::Asleep, blocks: VecDeque::new(), next: 0, met: Vec::new() };
        let shared = Shared { state: Mutex::new(state), generation: AtomicU64::new(0), wake: Box::new(wake) };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// One that knows nothing: everything is plain.
    pub fn off() -> Self {
        Self { shared: None }
    }

    /// Changes whenever blocks drawn before would look different now.
    pub fn generation(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.generation.load(Ordering::Acquire))
    }

    /// What is known of a block's first lines, at most as many as it has; the rest is to be drawn plain. `language` is
    /// the word after the fence.
    pub fn lines(&self, language: &str, text: &str) -> Vec<Pieces> {
        let (Some(shared), Some(language)) = (&self.shared, grammar_of(language)) else { return Vec::new() };
        if text.len() > LARGEST_BLOCK {
            return Vec::new();
        }
        let Some((grammar, tasks)) = ready(shared) else { return Vec::new() };
        lock(&shared.state).lines(&grammar, &tasks, language, text)
    }

    /// The grammars, once they are read; asking begins that.
    fn grammar(&self) -> Option<Arc<Grammar>> {
        self.shared.as_ref().and_then(ready).map(|(grammar, _)| grammar)
    }

    /// There is more to draw.
    fn wake(&self) {
        if let Some(shared) = &self.shared {
            (shared.wake)();
        }
    }
}

impl State {
    fn lines(&mut self, grammar: &Grammar, tasks: &Sender<Task>, language: &'static str, text: &str) -> Vec<Pieces> {
        let Some(mut block) = self.take_block(grammar, language, text) else { return Vec::new() };
        let new = &text[block.done.len()..];
        let (whole, last) = new.split_at(new.rfind('\n').map_or(0, |at| at + 1));
        let mut lines = match block.progress.take() {
            None => block.lines.clone(),
            Some(progress) if !whole.is_empty() && !self.is_little(&block, new) => {
                block.done.push_str(whole);
                // a thread that is gone leaves the block as it is
                let _ = tasks.send(Task { block: block.id, progress, text: whole.to_owned() });
                block.lines.clone()
            }
            Some(mut progress) => {
                block.lines.extend(grammar.advance(&mut progress, whole));
                block.done.push_str(whole);
                let mut lines = block.lines.clone();
                if !last.is_empty() && last.len() <= AT_ONCE && self.met.contains(&block.language) {
                    lines.extend(grammar.advance(&mut progress.clone(), last));
                }
                block.progress = Some(progress);
                lines
            }
        };
        lines.truncate(text.lines().count());
        self.blocks.push_back(block);
        if self.blocks.len() > BLOCKS {
            self.blocks.pop_front();
        }
        lines
    }

    /// Whether what is new can be done while the caller waits: the next lines of a block that grows, or a single first one.
    fn is_little(&self, block: &Block, new: &str) -> bool {
        let goes_on = !block.done.is_empty() || new.lines().count() <= 1;
        new.len() <= AT_ONCE && goes_on && self.met.contains(&block.language)
    }

    /// The block that goes furthest into `text`, or a new one.
    fn take_block(&mut self, grammar: &Grammar, language: &'static str, text: &str) -> Option<Block> {
        let known = |block: &Block| block.language == language && text.starts_with(&block.done);
        let best =
            self.blocks.iter().enumerate().filter(|(_, block)| known(block)).max_by_key(|(_, block)| block.done.len());
        if let Some((at, _)) = best {
            return self.blocks.remove(at);
        }
        self.next += 1;
        let progress = Some(grammar.begin(language)?);
        Some(Block { id: self.next, language, done: String::new(), lines: Vec::new(), progress })
    }
}

/// The grammar for the word after a fence.
fn grammar_of(word: &str) -> Option<&'static str> {
    lang::of_word(word).map(|language| language.grammar).filter(|grammar| !grammar.is_empty())
}

/// A panic elsewhere leaves what was known; it is only colours.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The grammars and the way to the thread; starts it when it is asked for the first time.
fn ready(shared: &Arc<Shared>) -> Option<(Arc<Grammar>, Sender<Task>)> {
    let mut state = lock(&shared.state);
    match &state.thread {
        Thread::Ready(grammar, tasks) => Some((Arc::clone(grammar), tasks.clone())),
        Thread::Reading => None,
        Thread::Asleep => {
            state.thread = Thread::Reading;
            drop(state);
            start(shared);
            None
        }
    }
}

fn start(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    // without a thread everything stays plain
    let _ = std::thread::Builder::new().name("highlight".into()).spawn(move || {
        let grammar = Arc::new(Grammar::read());
        let (tasks, inbox) = channel();
        let ready = Thread::Ready(Arc::clone(&grammar), tasks);
        if publish(&weak, |state| state.thread = ready).is_some() {
            serve(&weak, &grammar, &inbox);
        }
    });
}

/// Ends when the last highlighter is dropped, which drops the sender.
fn serve(shared: &Weak<Shared>, grammar: &Grammar, inbox: &Receiver<Task>) {
    while let Ok(Task { block, mut progress, text }) = inbox.recv() {
        let lines = grammar.advance(&mut progress, &text);
        let done = publish(shared, |state| {
            if let Some(block) = state.blocks.iter_mut().find(|known| known.id == block) {
                if !state.met.contains(&block.language) {
                    state.met.push(block.language);
                }
                block.lines.extend(lines);
                block.progress = Some(progress);
            }
        });
        if done.is_none() {
            return;
        }
    }
}

/// Changes the state, counts that, and wakes whoever draws; `None` when nobody is left.
fn publish(shared: &Weak<Shared>, change: impl FnOnce(&mut State)) -> Option<()> {
    let shared = shared.upgrade()?;
    change(&mut lock(&shared.state));
    shared.generation.fetch_add(1, Ordering::AcqRel);
    (shared.wake)();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose grammars are read, and what tells of its next wake.
    fn ready() -> (Highlighter, Receiver<()>) {
        let (sender, woken) = channel();
        let highlighter = Highlighter::new(move || sender.send(()).unwrap_or_default());
        assert!(highlighter.lines("rust", "fn\n").is_empty());
        woken.recv().unwrap();
        (highlighter, woken)
    }

    /// The lines of a block when all that was left to the thread is done; it ends with a line end.
    fn settled(highlighter: &Highlighter, woken: &Receiver<()>, language: &str, code: &str) -> Vec<Pieces> {
        loop {
            let lines = highlighter.lines(language, code);
            if lines.len() == code.lines().count() {
                return lines;
            }
            woken.recv().unwrap();
        }
    }

    fn inks(line: &str, pieces: &Pieces) -> Vec<(Ink, String)> {
        let inked = pieces.iter().filter(|(ink, _)| *ink != Ink::Plain);
        inked.map(|(ink, range)| (*ink, line[range.clone()].to_owned())).collect()
    }

    #[test]
    fn nothing_is_known_before_the_grammars_are_read() {
        let (highlighter, woken) = ready();
        assert_eq!(highlighter.generation(), 1);
        assert!(highlighter.lines("no such language", "x\n").is_empty());
        assert!(Highlighter::off().lines("rust", "fn\n").is_empty());
        assert!(highlighter.lines("rust", "fn main() {}\n").is_empty());
        woken.recv().unwrap();
        assert_eq!(highlighter.generation(), 2);
        assert_eq!(highlighter.lines("rust", "fn main() {}\n").len(), 1);
    }

    #[test]
    fn the_languages_of_the_mission_have_keywords_and_strings() {
        let (highlighter, woken) = ready();
        for (language, code, keyword) in [
            ("python", "def f(): return \"s\"\n", "def"),
            ("js", "function f() { return \"s\" }\n", "function"),
            ("ts", "const x = \"s\"\n", "const"),
            ("cpp", "return \"s\";\n", "return"),
            ("rs", "fn f() { \"s\" }\n", "fn"),
            ("go", "func f() { return \"s\" }\n", "func"),
            ("java", "class A { String s = \"s\"; }\n", "class"),
            ("bash", "if true; then echo \"s\"; fi\n", "if"),
            ("C#", "class A { string s = \"s\"; }\n", "class"),
            ("swift", "func f() -> String { return \"s\" }\n", "func"),
            ("kotlin", "fun f() { val a = \"s\" }\n", "fun"),
        ] {
            let lines = settled(&highlighter, &woken, language, code);
            let inks = inks(code, &lines[0]);
            let has = |ink: Ink, wanted: &str| inks.iter().any(|(is, text)| *is == ink && text.contains(wanted));
            assert!(has(Ink::Keyword, keyword) && has(Ink::Text, "s"), "{language}: {inks:?}");
        }
    }

    #[test]
    fn a_block_that_grows_is_continued_as_if_it_had_been_whole() {
        let (highlighter, woken) = ready();
        let code = "/* one\n two */ fn f() {\n    let s = \"a\n b\";\n}\n";
        let (other, other_woken) = ready();
        let whole = settled(&other, &other_woken, "rust", code);
        for end in 0..code.len() {
            let _ = highlighter.lines("rust", &code[..end]);
        }
        assert_eq!(settled(&highlighter, &woken, "rust", code), whole);
        assert_eq!(inks("/* one", &whole[0]), [(Ink::Comment, "/* one".to_owned())]);
    }

    #[test]
    fn blocks_that_begin_alike_do_not_share_colours() {
        let (highlighter, woken) = ready();
        let (first, second) = ("let a = 1;\n/* x\ny */\n", "let a = 1;\nlet y = \"\";\n");
        let one = settled(&highlighter, &woken, "rust", first);
        let two = settled(&highlighter, &woken, "rust", second);
        assert_eq!(inks("y */", &one[2]), [(Ink::Comment, "y */".to_owned())]);
        assert_eq!(inks("let y = \"\";", &two[1])[0], (Ink::Keyword, "let".to_owned()));
        assert_eq!(settled(&highlighter, &woken, "rust", first), one);
    }

    #[test]
    fn little_is_done_at_once_in_a_language_met_before() {
        let (highlighter, woken) = ready();
        settled(&highlighter, &woken, "rust", "fn f() {}\n");
        let generation = highlighter.generation();
        assert_eq!(highlighter.lines("rust", "let x = 1;\nlet").len(), 0);
        woken.recv().unwrap();
        assert_eq!(highlighter.lines("rust", "let x = 1;\nlet").len(), 2);
        assert_eq!(highlighter.lines("rust", "let x = 1;\nlet y = 2;\nlet").len(), 3);
        assert_eq!(highlighter.generation(), generation + 1);
    }

    #[test]
    fn large_blocks_stay_plain() {
        let (highlighter, _woken) = ready();
        assert!(highlighter.lines("rust", &"x".repeat(LARGEST_BLOCK + 1)).is_empty());
    }
}

//! When native code crashes (a kernel, an assertion of llama.cpp's): the terminal is given back, one sentence says what
//! was being done, a mark on disk remembers it for the next start, and the process ends as it would have ended.
//!
//! The handler does only what is safe in a signal: atomics, `write`, `tcsetattr`, `signal`, `raise`. What it refuses to
//! do: go on, allocate, or start a debugger.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What the engine is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Nothing that is known here.
    #[default]
    Other,
    /// A model is being loaded.
    Loading,
    /// A prompt is being evaluated.
    Reading,
    /// An answer is being decoded.
    Writing,
    /// A completion is being made.
    Completing,
}

impl Step {
    const ALL: [Self; 5] = [Self::Other, Self::Loading, Self::Reading, Self::Writing, Self::Completing];

    /// As it is told after "crashed".
    pub fn told(self) -> &'static str {
        match self {
            Self::Other => "",
            Self::Loading => " while loading the model",
            Self::Reading => " while reading the prompt",
            Self::Writing => " while writing the answer",
            Self::Completing => " while completing code",
        }
    }

    /// As it stands in a mark.
    fn word(self) -> &'static str {
        match self {
            Self::Other => "working",
            Self::Loading => "loading",
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Completing => "completing",
        }
    }

    /// From a line of a mark; `None` for any other line.
    pub fn from_mark(line: &str) -> Option<Self> {
        let word = line.strip_prefix(CRASHED)?;
        Some(Self::ALL.into_iter().find(|step| step.word() == word).unwrap_or_default())
    }
}

/// Before a step's word in a mark.
const CRASHED: &str = "crashed ";
/// Before what is told of a crash on standard error.
pub(crate) const TOLD: &str = "error: zord crashed";
/// Those that mean that native code went wrong, and what they are called.
pub(crate) const SIGNALS: [(i32, &str); 5] = [
    (libc::SIGSEGV, "segmentation fault"),
    (libc::SIGABRT, "aborted"),
    (libc::SIGILL, "illegal instruction"),
    (libc::SIGFPE, "arithmetic error"),
    (libc::SIGBUS, "bus error"),
];
/// Ends a sequence that was cut off, an unfinished frame, every mode that may be on, and the alternate screen.
const GIVE_BACK: &[u8] =
    b"\x18\x1b[?2026l\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1004l\x1b[?2004l\
    \x1b[?1049l\x1b[0m\x1b[?25h";
/// Room for the handler: with wide registers saved on it, the usual alternate stack is nearly full.
const STACK: usize = 64 << 10;

static STEP: AtomicU8 = AtomicU8::new(0);
static ENTERED: AtomicBool = AtomicBool::new(false);
static TERMINAL: OnceLock<Termios> = OnceLock::new();
static TAKEN: AtomicBool = AtomicBool::new(false);
static MARK: AtomicI32 = AtomicI32::new(-1);

/// llama.cpp's own last words.
static WORDS: [AtomicU8; 160] = [const { AtomicU8::new(0) }; 160];
static SPOKEN: AtomicUsize = AtomicUsize::new(0);

/// Says what is being done, until it is dropped.
#[cfg(any(feature = "engine", test))]
pub(crate) struct Doing(u8);

#[cfg(any(feature = "engine", test))]
impl Doing {
    pub(crate) fn now(step: Step) -> Self {
        Self(STEP.swap(step as u8, Ordering::Relaxed))
    }
}

#[cfg(any(feature = "engine", test))]
impl Drop for Doing {
    fn drop(&mut self) {
        STEP.store(self.0, Ordering::Relaxed);
    }
}

/// The engine, which works in a process of its own, is at this.
#[cfg(feature = "engine")]
pub(crate) fn engine_is_at(step: Step) {
    STEP.store(step as u8, Ordering::Relaxed);
}

/// Makes a crash an orderly end. Called once, before there is another thread.
pub fn arm() {
    no_debugger();
    roomy_stack();
    for (signal, _) in SIGNALS {
        // SAFETY: the structure is plain data; the handler does only what is safe in a signal.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(libc::c_int) = on_crash;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_ONSTACK;
            libc::sigfillset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// llama.cpp must not look for a debugger in `PATH` and run it.
pub fn no_debugger() {
    // SAFETY: there is no other thread yet that could read the environment.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
}

/// Gives this thread a stack that the handler can run on, also where its own is full. It is never given back.
pub(crate) fn roomy_stack() {
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the memory lives as long as the process.
    unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) };
}

/// The terminal is about to be changed: how it was is remembered.
pub(crate) fn terminal_taken() {
    if let Ok(before) = tcgetattr(std::io::stdin()) {
        let _ = TERMINAL.set(before);
    }
    TAKEN.store(true, Ordering::SeqCst);
}

/// The terminal is as it was.
pub(crate) fn terminal_given_back() {
    TAKEN.store(false, Ordering::SeqCst);
}

/// Whether the process is ending by a crash: nothing must be drawn any more.
pub(crate) fn is_under_way() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Where a crash leaves its mark; `None`: nowhere any more. The file must stay open until then.
pub(crate) fn mark_in(file: Option<&File>) {
    MARK.store(file.map_or(-1, AsRawFd::as_raw_fd), Ordering::SeqCst);
}

/// Keeps the words of an assertion that is about to end the process.
#[cfg(feature = "engine")]
pub(crate) fn last_words(words: &[u8]) {
    // `/home/…/ggml/src/ggml.c:12: GGML_ASSERT(…) failed`: the folder says nothing.
    let head = words.windows(2).position(|two| two == b": ").unwrap_or_default();
    let from = words.get(..head).and_then(|head| head.iter().rposition(|&byte| byte == b'/')).map_or(0, |at| at + 1);
    let words = words.get(from..).unwrap_or_default();
    let visible = words.iter().map(|&byte| if (b' '..0x7f).contains(&byte) { byte } else { b' ' });
    let count = visible.zip(&WORDS).map(|(byte, cell)| cell.store(byte, Ordering::Relaxed)).count();
    SPOKEN.store(count, Ordering::SeqCst);
}

extern "C" fn on_crash(signal: libc::c_int) {
    if ENTERED.swap(true, Ordering::SeqCst) {
        // Threads that compute the same crash together: the first one ends all.
        loop {
            // SAFETY: waits for a signal, no more.
            unsafe { libc::pause() };
        }
    }
    if TAKEN.load(Ordering::SeqCst) {
        write(1, GIVE_BACK);
        if let Some(before) = TERMINAL.get() {
            let _ = tcsetattr(borrow(0), OptionalActions::Now, before);
        }
    }
    let step = Step::ALL.into_iter().find(|&step| step as u8 == STEP.load(Ordering::Relaxed)).unwrap_or_default();
    let mark = MARK.load(Ordering::SeqCst);
    if mark >= 0 {
        [CRASHED, step.word(), "\n"].iter().for_each(|part| write(mark, part.as_bytes()));
    }
    tell(signal, step);
    // SAFETY: both are safe in a signal. It is blocked here, and ends the process as soon as this returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// One sentence on standard error.
fn tell(signal: i32, step: Step) {
    write(2, TOLD.as_bytes());
    write(2, step.told().as_bytes());
    let spoken = SPOKEN.load(Ordering::SeqCst).min(WORDS.len());
    if spoken > 0 {
        write(2, b": ");
        WORDS.iter().take(spoken).for_each(|cell| write(2, &[cell.load(Ordering::Relaxed)]));
    } else if let Some((_, name)) = SIGNALS.iter().find(|(number, _)| *number == signal) {
        write(2, b" (");
        write(2, name.as_bytes());
        write(2, b")");
    }
    write(2, b"\n");
}

/// Writes as far as it goes; nobody is left to tell of an error.
fn write(to: RawFd, mut bytes: &[u8]) {
    while let Ok(written @ 1..) = rustix::io::write(borrow(to), bytes) {
        bytes = bytes.get(written..).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
    }
}

fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the standard streams stay open; the mark's file stays open until `mark_in` forgets it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests;

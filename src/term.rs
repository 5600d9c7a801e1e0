//! The terminal: taken over at the start, given back whatever happens. Giving back is done once, from wherever it is
//! needed first: the end of the program, a suspension, or a panic. (A crash of native code: `crash`.)
//!
//! What it refuses to do: draw, read keys, or start where there is no terminal.

use std::io::{self, IsTerminal, Write};
use std::mem::ManuallyDrop;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

use crate::crash;
use crate::error::UserError;

mod paper;

use paper::{Paper, State};

/// How long what was drawn may take to reach a terminal that is about to be given back.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What other threads said when they panicked; printed when the terminal is given back for good.
static LAST_WORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The screen while it is ours.
pub struct Screen {
    /// Never dropped: where the terminal is gone, its end would be told to a standard error that is gone too, which
    /// panics.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Paper>>>,
    drawn: State,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Standard input or output is no terminal, or it cannot be set up.
    pub fn take() -> Result<Self, UserError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(UserError::usage("the terminal interface needs a terminal on standard input and output")
                .hint("in scripts and pipes use `zord chat`"));
        }
        let failed = |error: io::Error| UserError::failed(format!("cannot set up the terminal: {error}"));
        HOOK.call_once(restore_on_panic);
        let paper = Paper::new(put).map_err(failed)?;
        let drawn = paper.state();
        let backend = CrosstermBackend::new(paper);
        enter(false).inspect_err(|_| give_back()).map_err(failed)?;
        let terminal = Terminal::new(backend).inspect_err(|_| give_back()).map_err(failed)?;
        Ok(Self { terminal: ManuallyDrop::new(terminal), drawn, mouse: false })
    }

    /// Columns and rows; zero where the terminal does not say.
    pub fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((0, 0), |size| (size.width, size.height))
    }

    /// Whether the terminal has not taken in the last frame yet. Another one now would only wait behind it.
    pub fn is_busy(&self) -> bool {
        self.drawn.is_busy()
    }

    /// Draws a frame; what changed is written in one go, by a thread that may wait for the terminal.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if crash::is_under_way() {
            return Ok(());
        }
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(render)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Forgets what is on the screen, so that the next frame is drawn whole.
    pub fn redraw(&mut self) {
        // not `clear`: it asks the terminal where the cursor is, and waits for an answer that the key reader may eat
        let (width, height) = self.size();
        let _ = self.terminal.resize(ratatui::layout::Rect { x: 0, y: 0, width, height });
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub fn mouse(&mut self, ours: bool) {
        self.mouse = ours;
        let backend = self.terminal.backend_mut();
        let _ = if ours { execute!(backend, EnableMouseCapture) } else { execute!(backend, DisableMouseCapture) };
        self.settle();
    }

    /// Writes what is not for the screen: a sequence that the terminal acts on.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn tell(&mut self, sequence: &str) -> io::Result<()> {
        let backend = self.terminal.backend_mut();
        backend.write_all(sequence.as_bytes())?;
        Write::flush(backend)
    }

    /// Gives the terminal back for the time that `away` takes, then takes it again.
    pub fn lend(&mut self, away: impl FnOnce()) {
        self.settle();
        give_back();
        away();
        self.again();
    }

    /// Waits for what was drawn last, but not for a terminal that does not read.
    fn settle(&self) {
        let until = Instant::now() + PATIENCE;
        while self.is_busy() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sets the terminal up again after someone else had it: a shell that stopped this program reads whole lines
    /// meanwhile.
    pub fn again(&mut self) {
        // crossterm believes that raw mode still holds and would not take it again: it is left, then entered
        if TAKEN.load(Ordering::SeqCst) {
            let _ = disable_raw_mode();
        }
        // without a terminal there is nobody to tell; the next draw fails and the program ends
        let _ = enter(self.mouse);
        self.redraw();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.settle();
        give_back();
        for words in LAST_WORDS.lock().map(|mut words| std::mem::take(&mut *words)).unwrap_or_default() {
            let _ = writeln!(io::stderr(), "{words}");
        }
    }
}

/// Writes what was drawn, unless the terminal was given back meanwhile.
fn put(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if !TAKEN.load(Ordering::SeqCst) {
        return Ok(());
    }
    out.write_all(bytes)?;
    out.flush()
}

fn enter(mouse: bool) -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    crash::terminal_taken();
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange)?;
    if mouse { execute!(io::stdout(), EnableMouseCapture) } else { Ok(()) }
}

/// Gives the terminal back if it is ours. Errors are of no use to anyone here.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableFocusChange,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
        crash::terminal_given_back();
    }
}

/// A panic of the main thread gives the terminal back before it is reported. Another thread's does not end the program:
/// its words are kept for later, since printed now they would shred the screen.
fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        let on_main = std::thread::current().name() == Some("main");
        if on_main || !TAKEN.load(Ordering::SeqCst) {
            give_back();
            report(panic);
        } else if let Ok(mut words) = LAST_WORDS.lock() {
            words.push(panic.to_string());
        }
    }));
}

#[cfg(test)]
mod tests;

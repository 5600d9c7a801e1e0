//! The loop of the terminal interface: terminal events, engine events and finished I/O come in through one bounded
//! channel, `app` thinks, what it wants is carried out, and a frame is drawn when something changed: at most thirty a
//! second, none while idle.
//!
//! | file | what it is for |
//! |---|---|
//! | [`start`] | what it begins with |
//! | [`services`] | questions to the rooms that know models and memory |
//! | `effects` | carrying out what is wanted |
//! | `engine` | the engine in use, and the change to another |
//! | `inbox` | what comes in to the loop |
//! | `edits` | working out, writing and taking back changes of files |
//! | `git` | what has changed in the folder |
//! | `command` | commands that the person has run |
//! | `journal` | writing conversations, on a thread of its own |
//! | `signals` | those that matter to someone who holds a terminal |
//! | `search` | searching all files of the folder |
//! | `newest` | a thread that does the newest of what it is asked for |
//! | `suggest` | what could stand at the editor's cursor |
//! | [`wake`] | a phone that stays awake while an answer is made |
//! | `unsent` | what was typed into the chat and not sent |
//! | `editing`, `kept` | files for the editor; what was typed and not saved |
//! | [`last`] | which conversation a folder's last one was |
//! | `completion` | paths as they are typed |
//! | `notes` | the folder's notes, and what was decided about them |
//! | `preferences` | what was chosen, for the next start |
//! | `files`, `history`, `clipboard`, `battery` | what their names say |

pub mod battery;
mod clerk;
mod clipboard;
mod command;
mod completion;
mod editing;
mod edits;
mod effects;
mod engine;
mod files;
mod git;
mod history;
mod inbox;
mod journal;
mod kept;
pub mod last;
mod newest;
mod notes;
mod preferences;
mod search;
pub mod services;
mod signals;
pub mod start;
mod suggest;
mod unsent;
pub mod wake;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as TerminalEvent, EventStream, MouseEventKind};
use futures_util::StreamExt;
use signal_hook::consts::{SIGCONT, SIGTSTP};
use tokio::sync::mpsc::Sender;

use crate::app::editor::msg::{EditorEffect, EditorMsg};
use crate::app::msg::{Effect, Level, Msg, SessionMsg};
use crate::app::{App, Setup};
use crate::chat::Role;
use crate::chat::journal::SessionId;
use crate::chat::store::{Store, Writer};
use crate::chat::tree::Conversation;
use crate::engine::{ChatRequest, JobId, Work};
use crate::error::{ExitCode, UserError};
use crate::retention;
use crate::term::Screen;
use crate::ui::View;
use crate::ui::highlight::Highlighter;
use crate::ui::theme::Ability;
use inbox::{Inbox, Own};
use journal::Journal;
use signals::Signals;
use start::{Prepared, Start};

/// What waits in the channel at most; a faster engine waits for the screen.
const CHANNEL: usize = 256;
/// Between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// Between two looks at the memory: while an answer is written or memory is short, and while idle.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// How long the last entries may take to reach the disk at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What comes in besides the terminal's events.
pub(crate) enum Told {
    /// For `app`.
    Msg(Msg),
    /// From the engine with this number.
    Engine(u64, crate::engine::Event),
    /// The thread of the engine with this number is at its end.
    EngineGone(u64),
    /// The engine with this number can be started.
    Prepared(u64, Result<Box<Prepared>, UserError>),
    /// A question for the engine with this number, with the form that its answer must have.
    Formed(u64, JobId, Box<ChatRequest>),
    /// A conversation and the way to write it.
    Opened(Box<Conversation>, Box<Writer>, Option<String>),
    /// More can be drawn than before.
    Drawable,
}

/// Runs the terminal interface until the person leaves, or a signal ends it.
///
/// # Errors
/// There is no terminal, or it went away.
pub async fn tui(start: Start) -> Result<ExitCode, UserError> {
    let screen = Screen::take()?;
    let mut desk = Desk::new(start, screen);
    let outcome = desk.run().await;
    let code = desk.quit.unwrap_or(ExitCode::Done);
    desk.close().await;
    outcome.map(|()| code)
}

/// Everything the loop holds.
struct Desk {
    app: App,
    view: View,
    screen: Screen,
    start: Start,
    store: Store,
    post: Sender<Told>,
    own: Own,
    inbox: Inbox,
    keys: Option<EventStream>,
    journal: Journal,
    engine: engine::Slot,
    memory: Option<services::Memory>,
    battery: battery::Battery,
    looked: Option<Instant>,
    pull: Option<crate::engine::Cancel>,
    command: Option<command::Handle>,
    history: std::path::PathBuf,
    last: last::Last,
    kept: kept::Place,
    keeper: kept::Keeper,
    unsent: unsent::Unsent,
    searcher: search::Searcher,
    /// Searches what was said in all conversations.
    sessions: newest::Newest<String>,
    suggester: suggest::Suggester,
    drawn: Option<Instant>,
    dirty: bool,
    /// The program's own files were swept.
    swept: bool,
    awake: wake::Awake,
    quit: Option<ExitCode>,
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Desk {
    fn new(start: Start, screen: Screen) -> Self {
        let (post, own, inbox) = Inbox::new(CHANNEL);
        let store = Store::at(start.paths.sessions());
        let now = now_ms();
        let name = start.model.clone().unwrap_or_default();
        let mut notices = start.notices.clone();
        let (conversation, writer) = match store.create(&name, now) {
            Ok((conversation, writer)) => (conversation, Some(writer)),
            Err(error) => {
                notices.push(format!("this conversation is not kept: {error}"));
                (Conversation::new(SessionId::new(now, 0), &name, now / 1000), None)
            }
        };
        let history = history::file(&start.paths, &start.folder);
        let input = unsent::take(&start.paths, &start.folder).unwrap_or_default();
        let app = App::new(Setup {
            conversation,
            model: start.model.clone(),
            lora: start.config.adapters(),
            settings: start.config.clone(),
            history: history::load(&history),
            notices,
            input,
            size: screen.size(),
        });
        let wake = post.clone();
        let highlighter = Highlighter::new(move || {
            // a full channel means that a frame is due anyway
            let _ = wake.try_send(Told::Drawable);
        });
        let tell = post.clone();
        let journal = Journal::start(writer, move |error| {
            let _ = tell.blocking_send(Told::Msg(Msg::Session(SessionMsg::Failed(error))));
        });
        let suggester = suggest::Suggester::new(start.paths.suggestions());
        let kept = kept::Place::at(start.paths.unsaved());
        let tell = post.clone();
        let keeper = kept::Keeper::start(kept.clone(), move |why| {
            let _ = tell.blocking_send(failure(why));
        });
        let view = View::new(Ability::from_env(|name| std::env::var(name).ok()), highlighter);
        Self {
            app,
            view,
            screen,
            store,
            journal,
            engine: engine::Slot::new(own.clone()),
            post,
            own,
            inbox,
            keys: None,
            memory: None,
            battery: battery::Battery::default(),
            looked: None,
            pull: None,
            command: None,
            history,
            last: last::Last::new(&start.paths, &start.folder),
            kept,
            keeper,
            unsent: unsent::Unsent::start(&start.paths, &start.folder),
            searcher: search::Searcher::default(),
            sessions: newest::Newest::default(),
            suggester,
            drawn: None,
            dirty: true,
            swept: false,
            awake: wake::Awake::new(crate::device::Termux::here().as_ref(), start.config.phone.wake_lock),
            quit: None,
            start,
        }
    }

    async fn run(&mut self) -> Result<(), UserError> {
        let mut signals = Signals::new()?;
        self.app.update(Msg::Now(now_ms()));
        self.draw()?;
        // everything that takes time comes behind the first frame
        self.keys = Some(EventStream::new());
        let wanted = self.app.begin();
        self.carry_out(wanted);
        self.open_or_offer();
        self.open_file_or_tell();
        while self.quit.is_none() {
            let sleepy = self.awake.keep(self.app.turn.is_answering());
            let deadline = self.deadline().into_iter().chain(sleepy).min();
            let keys = &mut self.keys;
            let event = async {
                match keys {
                    Some(keys) => keys.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                number = signals.next() => self.on_signal(number),
                event = event => match event {
                    Some(Ok(event)) => self.on_terminal(event),
                    Some(Err(_)) | None => return Err(UserError::failed("the terminal went away")),
                },
                told = self.inbox.next() => {
                    if let Some(told) = told {
                        self.take_in(told);
                    }
                }
                () = sleep_until(deadline) => self.on_time(),
            }
            self.drain();
            if self.dirty && self.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) && !self.screen.is_busy() {
                self.draw()?;
            }
        }
        Ok(())
    }

    /// Takes in what else is there, so that one frame shows all of it.
    fn drain(&mut self) {
        for _ in 0..CHANNEL {
            match self.inbox.try_next() {
                Some(told) => self.take_in(told),
                None => break,
            }
        }
    }

    fn draw(&mut self) -> Result<(), UserError> {
        self.dirty = false;
        self.drawn = Some(Instant::now());
        let (app, view) = (&self.app, &self.view);
        self.screen.draw(|frame| view.render(app, frame)).map_err(|_| UserError::failed("the terminal went away"))?;
        self.app.drawn(now_ms());
        Ok(())
    }

    /// When something is due though nothing comes in.
    fn deadline(&self) -> Option<Instant> {
        // a terminal that has not taken in the last frame is looked at again after another one's time
        let after = |drawn| if self.screen.is_busy() { Instant::now() + FRAME } else { drawn + FRAME };
        let frame = self.dirty.then(|| self.drawn.map_or_else(Instant::now, after));
        let app = self.app.wakes_at().map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now_ms())));
        let look = self.looked.map(|looked| looked + self.look_every());
        [frame, app, look].into_iter().flatten().min()
    }

    fn look_every(&self) -> Duration {
        let short = self.memory.as_ref().is_some_and(services::Memory::is_short);
        if self.app.turn.is_answering() || short { LOOKS.0 } else { LOOKS.1 }
    }

    fn on_time(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() >= self.look_every()) {
            self.look();
        }
        if self.app.wakes_at().is_some_and(|at| at <= now_ms()) {
            self.dirty = true;
            let wanted = self.app.update(Msg::Now(now_ms()));
            self.carry_out(wanted);
        }
    }

    /// Looks at the memory; what has not changed visibly is not drawn again.
    fn look(&mut self) {
        self.looked = Some(Instant::now());
        if self.app.turn.is_answering() {
            self.look_at_power();
        }
        let Some(memory) = &mut self.memory else { return };
        let away = self.app.cache.is_away() && !self.app.turn.is_answering();
        let (gauge, actions) = memory.look(away, self.engine.process());
        let before = self.app.gauge;
        if before.is_none_or(|before| before.used >> 20 != gauge.used >> 20 || before.budget != gauge.budget) {
            self.tell(Msg::Memory(gauge));
        }
        for action in actions {
            self.tell(Msg::Pressure(action));
        }
    }

    /// Looks at battery and heat.
    fn look_at_power(&mut self) {
        if let Some(power) = self.battery.look() {
            self.tell(Msg::Power(power));
        }
    }

    fn tell(&mut self, msg: Msg) {
        self.dirty = true;
        let mut wanted = self.app.update(Msg::Now(now_ms()));
        wanted.extend(self.app.update(msg));
        self.carry_out(wanted);
    }

    fn on_terminal(&mut self, event: TerminalEvent) {
        match event {
            TerminalEvent::Key(key) => self.tell(Msg::Key(key)),
            TerminalEvent::Paste(text) => self.tell(Msg::Paste(text)),
            TerminalEvent::Resize(columns, rows) => self.tell(Msg::Resize(columns, rows)),
            TerminalEvent::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollUp => self.tell(Msg::Wheel(-3)),
                MouseEventKind::ScrollDown => self.tell(Msg::Wheel(3)),
                _ => {}
            },
            TerminalEvent::FocusGained => self.tell(Msg::Editor(EditorMsg::Focus)),
            TerminalEvent::FocusLost => {}
        }
    }

    fn on_signal(&mut self, number: i32) {
        match number {
            SIGTSTP => self.carry_out(vec![Effect::Suspend]),
            SIGCONT => {
                self.screen.again();
                let (columns, rows) = self.screen.size();
                self.tell(Msg::Resize(columns, rows));
                self.tell(Msg::Editor(EditorMsg::Focus));
            }
            // the journal is finished and the terminal given back on the way out
            _ => self.quit = Some(ExitCode::Interrupted),
        }
    }

    fn take_in(&mut self, told: Told) {
        match told {
            Told::Msg(msg) => self.tell(msg),
            Told::Engine(number, event) => {
                if self.engine.is_current(number) {
                    self.engine.note(&event);
                    let Some(event) = self.take_suggestion(event) else { return };
                    self.note_plan(&event);
                    let fills = suggest::known_by(&event, &self.app.model.lora);
                    self.tell(Msg::Engine(event));
                    if let Some(model) = fills {
                        self.suggestions_by(model);
                    }
                }
            }
            Told::EngineGone(number) => {
                if self.engine.is_current(number) {
                    self.suggestions_by(None);
                    self.tell(Msg::EngineGone);
                }
            }
            Told::Prepared(number, prepared) => self.start_engine(number, prepared),
            Told::Formed(number, job, request) => {
                // one that was taken out meanwhile has ended its jobs
                if self.engine.is_current(number) {
                    self.engine.submit(job, Work::Chat(*request));
                }
            }
            Told::Opened(conversation, writer, notice) => {
                self.sweep();
                self.journal.switch(*writer);
                self.tell(Msg::Session(SessionMsg::Opened { conversation, notice }));
            }
            Told::Drawable => self.dirty = true,
        }
    }

    /// A loaded model has a budget; from now on the memory is watched.
    fn note_plan(&mut self, event: &crate::engine::Event) {
        if let crate::engine::Event::Loaded(facts) = event {
            self.memory = Some(services::Memory::new(facts.plan.as_ref(), self.memory.as_ref()));
            self.look();
        }
    }

    /// The session that was asked for, or one that was cut off.
    fn open_or_offer(&mut self) {
        if let Some(id) = self.start.resume.take() {
            self.app.expect_session();
            self.carry_out(vec![Effect::OpenSession(id)]);
            return;
        }
        self.sweep();
        let (store, unclean, crashed) = (self.store.clone(), self.start.unclean, self.start.crashed);
        self.background(move || {
            let newest = store.list().ok()?.into_iter().next()?;
            if crashed && let Some(question) = unanswered(&store, &newest.id) {
                return Some(Msg::Session(SessionMsg::Crashed(newest, question)));
            }
            (unclean || newest.interrupted).then_some(Msg::Session(SessionMsg::Offer(newest)))
        });
    }

    /// The file that was asked for; without one, what is left of files in this folder.
    fn open_file_or_tell(&mut self) {
        if clipboard::termux_get().is_some() {
            self.tell(Msg::Editor(EditorMsg::Clipboard));
        }
        if let Some((path, place)) = self.start.open.take() {
            self.carry_out(vec![Effect::Editor(EditorEffect::Open { path, place })]);
            return;
        }
        let (kept, folder) = (self.kept.clone(), self.start.folder.clone());
        self.background(move || {
            let (names, more) = kept.left_in(&folder);
            (!names.is_empty()).then_some(Msg::Editor(EditorMsg::Left(names, more)))
        });
    }

    /// Sweeps the program's own files, once, when the first conversation is settled: a session that is about to be opened
    /// must not be found locked.
    fn sweep(&mut self) {
        if std::mem::replace(&mut self.swept, true) {
            return;
        }
        let paths = self.start.paths.clone();
        self.background(move || {
            let retention::Swept { count, bytes } = retention::sweep(&paths, SystemTime::now());
            tracing::info!("{count} files past their time were removed, {bytes} bytes");
            None
        });
    }

    /// Does something that blocks, elsewhere; what it gives comes back as a message.
    fn background(&self, work: impl FnOnce() -> Option<Msg> + Send + 'static) {
        let post = self.post.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(msg) = work() {
                let _ = post.blocking_send(Told::Msg(msg));
            }
        });
    }

    /// The end: what runs is stopped, what was said is on disk, the terminal is given back.
    async fn close(self) {
        let Self {
            mut app,
            journal,
            engine,
            screen,
            inbox,
            pull,
            command,
            keeper,
            unsent,
            searcher,
            sessions,
            suggester,
            ..
        } = self;
        searcher.cancel();
        sessions.cancel();
        // nobody could end it any more
        if let Some(command) = command {
            command.kill();
        }
        if let Some(pull) = pull {
            pull.cancel();
        }
        // what was written since the last flush
        for effect in app.hang_up(now_ms()) {
            match effect {
                Effect::Journal(entry) => journal.write(entry),
                Effect::Sync => journal.sync(),
                Effect::Editor(EditorEffect::Keep { real, base, rope, changes }) => {
                    keeper.keep(real, base, rope, changes);
                }
                Effect::KeepUnsent(text) => unsent.keep(text),
                _ => {}
            }
        }
        // senders must not wait for a reader that is gone
        drop(inbox);
        // what was said and typed first: giving back a terminal that does not read may take for ever
        keeper.finish(PATIENCE);
        unsent.finish(PATIENCE);
        journal.finish(PATIENCE);
        drop(screen);
        suggester.close();
        engine.stop().await;
    }
}

/// The newest question of a conversation, if its answer has no end.
fn unanswered(store: &Store, id: &SessionId) -> Option<String> {
    let conversation = store.read(id).ok()?.conversation;
    let path = conversation.path();
    let last = conversation.node(*path.last()?)?;
    let question = if last.is_open() { conversation.node(last.parent?)? } else { last };
    (question.role == Role::User).then(|| question.text.clone())
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells the person something from where only a channel is at hand.
pub(crate) fn notice(level: Level, text: impl Into<String>) -> Told {
    Told::Msg(Msg::Notice(level, text.into()))
}

/// Tells the person what went wrong, from where only a channel is at hand.
pub(crate) fn failure(message: impl Into<String>) -> Told {
    Told::Msg(Msg::Error(UserError::failed(message)))
}

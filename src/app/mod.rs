//! What the program thinks: [`App`] is the state, [`App::update`] the only way to change it, [`msg`] what it is told and
//! what it wants done. No clock, file or channel in here: time arrives in messages, and everything else leaves as
//! [`Effect`]s whose results come back as [`Msg`]s.

use crate::chat::journal::{Entry, SessionId};
use crate::chat::tree::{Conversation, NodeId};
use crate::config::Config;
use crate::error::UserError;
use crate::text::history::History;

pub mod answer;
pub mod blocks;
pub mod branch;
pub mod cache;
pub mod command;
mod command_chat;
mod command_editor;
mod command_program;
pub mod compose;
pub mod ease;
pub mod editor;
pub mod edits;
pub mod field;
pub mod guides;
pub mod input;
pub mod keymap;
mod keys;
pub mod mentions;
pub mod model;
pub mod msg;
pub mod notes;
pub mod notice;
pub mod overlay;
mod path;
mod pressure;
pub mod search;
mod sessions;
#[cfg(test)]
pub(crate) mod tests;
pub mod turn;
mod unsent;

use blocks::BlockIndex;
use cache::Cache;
use compose::Outgoing;
use ease::Ease;
use editor::Editor;
use edits::Edits;
use input::Composer;
use model::Model;
use msg::{Effect, FilesMsg, Gauge, Level, Msg, Scroll, Scrolled};
use notice::Notices;
use overlay::{Listing, Overlay};
use search::Search;
use turn::Turn;
use unsent::Unsent;

/// What effects are collected in.
pub type Out = Vec<Effect>;

/// What has the keyboard, and on a narrow screen is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The conversation.
    #[default]
    Chat,
    /// The files.
    Editor,
}

/// What an [`App`] begins with.
#[derive(Debug)]
pub struct Setup {
    /// Empty, or one that is resumed.
    pub conversation: Conversation,
    /// The chosen model's name; `None` shows the first-start screen.
    pub model: Option<String>,
    /// Adapters and their scales.
    pub lora: Vec<(std::path::PathBuf, f32)>,
    /// What the person decided.
    pub settings: Config,
    /// Earlier inputs in this folder, oldest first.
    pub history: Vec<String>,
    /// Told on the first screen.
    pub notices: Vec<String>,
    /// What stands in the input.
    pub input: String,
    /// Columns and rows.
    pub size: (u16, u16),
}

/// The state of the terminal interface.
#[derive(Debug)]
pub struct App {
    /// Milliseconds since 1970, as last told.
    pub clock: u64,
    /// Columns and rows.
    pub size: (u16, u16),
    /// What was said.
    pub conversation: Conversation,
    /// The messages on the current branch, first to last.
    pub path: Vec<NodeId>,
    /// Counts conversations: node ids mean nothing across a change of it.
    pub epoch: u32,
    /// The numbers of code blocks.
    pub blocks: BlockIndex,
    /// The model and its engine.
    pub model: Model,
    /// Whose turn it is.
    pub turn: Turn,
    /// What waits to be sent.
    pub outgoing: Option<Outgoing>,
    /// What is being typed.
    pub composer: Composer,
    /// Where the chat pane stands.
    pub scroll: Scroll,
    /// Something was written below what is seen.
    pub unread: bool,
    /// Which pane has the keyboard.
    pub pane: Pane,
    /// The files being edited.
    pub editor: Editor,
    /// What lies over the pane.
    pub overlay: Option<Overlay>,
    /// What the person is told.
    pub notices: Notices,
    /// What can be set.
    pub settings: Config,
    /// The memory in use.
    pub gauge: Option<Gauge>,
    /// How hard the engine works.
    pub ease: Ease,
    /// What is known of the engine's KV cache.
    pub cache: Cache,
    /// Memory is nearly out: no question is taken.
    pub refusing: bool,
    /// Changes of files and commands under way.
    pub edits: Edits,
    /// The search over all files.
    pub search: Search,
    /// The next Ctrl-C leaves.
    pub leave_armed: bool,
    /// Leaving as soon as what runs has ended.
    pub leaving: bool,
    /// The folder's files as last listed.
    files: Option<Listing>,
    /// The message to go to when its conversation is open.
    target: Option<(SessionId, NodeId)>,
    /// The folder's notes.
    notes: notes::Known,
    /// What is kept of the input.
    unsent: Unsent,
    /// Names the files that were asked for last.
    reading: u32,
    next_job: u64,
}

impl App {
    /// The state before anything happened.
    pub fn new(setup: Setup) -> Self {
        let mut app = Self {
            clock: 0,
            size: setup.size,
            path: setup.conversation.path(),
            conversation: setup.conversation,
            epoch: 0,
            blocks: BlockIndex::default(),
            model: Model::new(setup.model, setup.lora),
            turn: Turn::default(),
            outgoing: None,
            composer: Composer::new(History::new(setup.history)),
            scroll: Scroll::Follow,
            unread: false,
            pane: Pane::Chat,
            editor: Editor::default(),
            overlay: None,
            notices: Notices::default(),
            settings: setup.settings,
            gauge: None,
            ease: Ease::default(),
            cache: Cache::default(),
            refusing: false,
            edits: Edits::default(),
            search: Search::default(),
            leave_armed: false,
            leaving: false,
            files: None,
            target: None,
            notes: notes::Known::default(),
            unsent: Unsent::default(),
            reading: 0,
            next_job: 0,
        };
        app.blocks.follow(&app.conversation, &app.path);
        app.composer.field.insert(&setup.input);
        app.composer.restored = !app.composer.field.is_empty();
        for text in setup.notices {
            app.notices.add(Level::Warning, text, 0);
        }
        app
    }

    /// What is wanted after the first frame: the model, or what models there are.
    pub fn begin(&mut self) -> Out {
        let mut out = Vec::new();
        if self.settings.ui.mouse {
            out.push(Effect::Mouse(true));
        }
        self.begin_conversation(&mut out);
        if self.model.chosen().is_some() {
            out.push(Effect::StartEngine(self.model.load()));
        } else {
            self.open_models(true, &mut out);
        }
        out
    }

    /// Takes in what is told; gives what is wanted.
    pub fn update(&mut self, msg: Msg) -> Out {
        let mut out = Vec::new();
        match msg {
            Msg::Now(now) => {
                self.clock = now;
                self.flush_if_due(&mut out);
                self.save_cache_if_due(&mut out);
                self.editor_time(&mut out);
            }
            Msg::Key(key) => self.on_key(key, &mut out),
            Msg::Paste(text) if self.pane == Pane::Editor && self.overlay.is_none() => {
                self.paste_into_file(&text, &mut out);
            }
            Msg::Paste(text) => self.on_paste(&text, &mut out),
            Msg::Wheel(rows) if self.pane == Pane::Editor && self.overlay.is_none() => self.scroll_text(rows, &mut out),
            Msg::Wheel(rows) => out.push(Effect::Scroll(msg::Move::Rows(rows))),
            Msg::Resize(columns, rows) => {
                self.size = (columns, rows);
                self.follow_cursor();
                self.look_at_command(&mut out);
            }
            Msg::Editor(told) => self.on_editor(told, &mut out),
            Msg::Suggested { id, alternatives, done } => self.on_suggested(id, alternatives, done),
            Msg::Engine(event) => self.on_engine(event, &mut out),
            Msg::EngineGone => self.on_engine_gone(&mut out),
            Msg::Loading { name, plan } => self.model.loading(name, plan),
            Msg::Scrolled(scrolled) => self.on_scrolled(scrolled),
            Msg::Session(told) => self.on_session(told, &mut out),
            Msg::Files(FilesMsg::Listed { names, more }) => self.on_file_list(names, more),
            Msg::Files(FilesMsg::Completed { typed, text, choices }) => self.on_completed(&typed, &text, &choices),
            Msg::Files(FilesMsg::Read { id, attachments, notices, unmatched }) => {
                if id == self.reading {
                    self.on_files_read(attachments, notices, unmatched, &mut out);
                }
            }
            Msg::Notes(purpose, looked) => self.on_notes(purpose, looked, &mut out),
            Msg::Search(told) => self.on_search(told),
            Msg::Models(told) => self.on_models(told, &mut out),
            Msg::Edits(told) => self.on_edits(told, &mut out),
            Msg::Run(told) => self.on_run(told, &mut out),
            Msg::Memory(gauge) => self.gauge = Some(gauge),
            Msg::Pressure(action) => self.on_pressure(action, &mut out),
            Msg::Power(power) => self.on_power(power, &mut out),
            Msg::Notice(level, text) => self.notices.add(level, text, self.clock),
            Msg::Error(error) => self.show_error(&error),
        }
        self.offer_notes();
        self.keep_unsent(false, &mut out);
        self.end_unseen_search(&mut out);
        if self.leaving && !self.turn.is_answering() && !self.cache.is_saving() {
            out.push(Effect::Quit);
        }
        out
    }

    /// When [`Msg::Now`] must come even if nothing else does (milliseconds since 1970); `None` while there is nothing to
    /// wait for.
    pub fn wakes_at(&self) -> Option<u64> {
        let chat = match self.turn.answer() {
            Some(answer) => Some(answer.wakes_at(self.clock)),
            None => self.cache.wakes_at(),
        };
        chat.into_iter().chain(self.editor.wakes_at()).chain(self.unsent.wakes_at()).min()
    }

    /// Writes an entry into the conversation and the journal. An entry that the conversation refuses is told and kept
    /// out of both.
    pub(crate) fn record(&mut self, entry: Entry, out: &mut Out) -> bool {
        if let Err(error) = self.conversation.apply(&entry) {
            self.show_error(&UserError::failed(format!("not recorded: {error}")));
            return false;
        }
        if !matches!(entry, Entry::Append { .. } | Entry::End { .. }) {
            self.path = self.conversation.path();
            self.blocks.follow(&self.conversation, &self.path);
        }
        out.push(Effect::Journal(entry));
        true
    }

    /// Names for jobs, never twice the same.
    pub(crate) fn new_job(&mut self) -> crate::engine::JobId {
        self.next_job += 1;
        crate::engine::JobId(self.next_job)
    }

    /// Tells the person something.
    pub(crate) fn tell(&mut self, level: Level, text: impl Into<String>) {
        self.notices.add(level, text.into(), self.clock);
    }

    /// Shows what went wrong, the way out behind it: every error that the screen shows passes here.
    pub(crate) fn show_error(&mut self, error: &UserError) {
        self.tell(Level::Error, error.line());
    }

    fn on_scrolled(&mut self, scrolled: Scrolled) {
        match (scrolled, &mut self.overlay) {
            (Scrolled::Chat(scroll), _) => {
                self.scroll = scroll;
                self.unread &= scroll != Scroll::Follow;
            }
            (Scrolled::Page(top), Some(Overlay::Page(page))) => page.top = top,
            (Scrolled::Page(top), Some(Overlay::Review(review))) => review.top = Some(top),
            (Scrolled::Page(top), Some(Overlay::Running(running))) => running.top = Some(top),
            (Scrolled::Command(top, end), Some(Overlay::Confirm(confirm))) => {
                confirm.top = top;
                confirm.seen |= end;
            }
            (Scrolled::Page(_) | Scrolled::Command(..), _) => {}
        }
    }

    /// The program is ended from outside: what was written since the last flush is wanted in the journal. The answer
    /// stays open, as after a kill, so that the next start offers to go on.
    pub fn hang_up(&mut self, now: u64) -> Out {
        let mut out = Vec::new();
        self.clock = now;
        self.flush(&mut out);
        self.keep_all(&mut out);
        self.keep_unsent(true, &mut out);
        out
    }

    /// Leaves: at once, or when the answer has ended and the cache is written.
    pub(crate) fn leave(&mut self, out: &mut Out) {
        if self.leaving {
            out.push(Effect::Quit);
            return;
        }
        if self.asks_before_leaving() {
            return;
        }
        self.leaving = true;
        self.stop_answer(out);
        self.save_cache(out);
    }
}

//! The model: which one is chosen, how far its engine is, what is known of it.

use std::path::PathBuf;

use super::msg::{Effect, Level, Load, ModelsMsg, Offer, Preference};
use super::overlay::{Models, Overlay, Progress};
use super::{App, Out};
use crate::budget::Plan;
use crate::device::Rates;
use crate::engine::Facts;
use crate::error::UserError;

/// How far the engine is.
#[derive(Clone, Debug, Default)]
pub enum State {
    /// No model was chosen.
    #[default]
    Absent,
    /// It is loading, 0 to 1.
    Loading(f32),
    /// It can be asked.
    Ready(Box<Facts>),
    /// It cannot be used.
    Failed(UserError),
}

/// The model in use.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// As commands name it; `None` inside `Some`: what the command line or the configuration chose.
    chosen: Option<Option<String>>,
    /// As the person reads it.
    pub name: String,
    /// What will be used.
    pub plan: Option<Box<Plan>>,
    /// How far the engine is.
    pub state: State,
    /// Adapters and their scales.
    pub lora: Vec<(PathBuf, f32)>,
    /// Another one's files are being looked at: what is asked meanwhile waits for it.
    pub(crate) checking: bool,
    /// What was loaded last, to go back to where another one cannot be.
    loaded: Option<Proven>,
    /// What is starting runs on a server.
    on_server: bool,
}

/// A model that could be loaded.
#[derive(Clone, Debug, PartialEq)]
struct Proven {
    chosen: Option<Option<String>>,
    name: String,
    lora: Vec<(PathBuf, f32)>,
}

/// Tokens assumed while nothing is known.
const N_CTX_UNKNOWN: u32 = 2048;
/// Tokens assumed of a server that does not say: one that has fewer says so when it is asked.
const N_CTX_SERVER: u32 = 32_768;

impl Model {
    pub(crate) fn new(name: Option<String>, lora: Vec<(PathBuf, f32)>) -> Self {
        let state = if name.is_some() { State::Loading(0.0) } else { State::Absent };
        Self {
            chosen: name.is_some().then_some(None),
            name: name.unwrap_or_default(),
            plan: None,
            state,
            lora,
            checking: false,
            loaded: None,
            on_server: false,
        }
    }

    pub(crate) fn chosen(&self) -> Option<&Option<String>> {
        self.chosen.as_ref()
    }

    pub(crate) fn load(&self) -> Load {
        Load { model: self.chosen.clone().flatten(), lora: self.lora.clone() }
    }

    pub(crate) fn loading(&mut self, name: String, plan: Option<Box<Plan>>) {
        self.name = name;
        self.on_server = plan.is_none();
        self.plan = plan;
    }

    /// Whether it can be asked now.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// What is known of it.
    pub fn facts(&self) -> Option<&Facts> {
        match &self.state {
            State::Ready(facts) => Some(facts),
            State::Absent | State::Loading(_) | State::Failed(_) => None,
        }
    }

    /// Whether it opens its answers with thinking.
    pub fn thinks(&self) -> bool {
        self.facts().is_some_and(|facts| facts.thinks)
    }

    /// Threads that were planned; `None` for a server.
    pub fn threads(&self) -> Option<u32> {
        self.facts().and_then(|facts| facts.plan.as_ref()).map(|plan| plan.threads)
    }

    /// Tokens of context, as far as they are known.
    pub fn known_n_ctx(&self) -> Option<u32> {
        let planned = self.plan.as_ref().map(|plan| plan.n_ctx);
        self.facts().map(|facts| facts.n_ctx).or(planned).filter(|n| *n > 0)
    }

    /// Tokens of context to reckon with.
    pub fn n_ctx(&self) -> u32 {
        let unknown = if self.on_server || self.server().is_some() { N_CTX_SERVER } else { N_CTX_UNKNOWN };
        self.known_n_ctx().unwrap_or(unknown)
    }

    /// Host and port of the server it runs on.
    pub fn server(&self) -> Option<&str> {
        self.facts()?.server.as_deref()
    }

    /// Whether it runs in this process, with a cache that can be kept.
    pub fn is_local(&self) -> bool {
        self.facts().is_some_and(|facts| facts.plan.is_some())
    }
}

impl App {
    /// Puts another model (or the same with other adapters) in place of the one in use. One that works is only given up
    /// for one whose files are known to be fit for use.
    pub(crate) fn switch_model(&mut self, name: Option<String>, lora: Vec<(PathBuf, f32)>, out: &mut Out) {
        if !self.is_free() {
            return;
        }
        let load = Load { model: name.or_else(|| self.model.chosen.clone().flatten()), lora };
        if self.model.is_ready() {
            self.model.checking = true;
            out.push(Effect::CheckModel(load));
        } else {
            self.load_model(load, out);
        }
    }

    /// To another model, without the adapters that were made for this one.
    pub(crate) fn choose_model(&mut self, name: String, out: &mut Out) {
        let same = self.model.name == name || self.model.chosen == Some(Some(name.clone()));
        let lora = if same { self.model.lora.clone() } else { Vec::new() };
        if lora.len() < self.model.lora.len() {
            self.tell(Level::Info, format!("`{name}` is loaded without adapters; `/lora FILE` loads one"));
        }
        self.switch_model(Some(name), lora, out);
    }

    fn load_model(&mut self, load: Load, out: &mut Out) {
        self.save_cache(out);
        if let Some(name) = &load.model {
            self.model.name.clone_from(name);
        }
        if load.model.is_some() || self.model.chosen.is_none() {
            self.model.chosen = Some(load.model);
        }
        self.model.lora = load.lora;
        self.model.plan = None;
        self.model.on_server = false;
        self.model.state = State::Loading(0.0);
        self.cache.forget();
        out.push(Effect::StartEngine(self.model.load()));
    }

    /// What was loaded before, in place of what could not be loaded; `false` where that is the same, or nothing.
    fn back_to_proven(&mut self, out: &mut Out) -> bool {
        // once: what fails twice is not tried a third time
        let Some(Proven { chosen, name, lora }) = self.model.loaded.take() else { return false };
        if chosen == self.model.chosen && lora == self.model.lora {
            return false;
        }
        self.tell(Level::Info, format!("back to `{name}`"));
        (self.model.chosen, self.model.name, self.model.lora) = (chosen, name, lora);
        self.model.plan = None;
        self.model.state = State::Loading(0.0);
        out.push(Effect::StartEngine(self.model.load()));
        true
    }

    pub(crate) fn on_model_loaded(&mut self, facts: Box<Facts>, out: &mut Out) {
        if self.model.name.is_empty() {
            self.model.name.clone_from(&facts.name);
        }
        // an engine that died has a safer one
        if let Some(plan) = &facts.plan {
            self.model.plan = Some(Box::new(plan.clone()));
        }
        self.model.state = State::Ready(facts);
        let proven =
            Proven { chosen: self.model.chosen.clone(), name: self.model.name.clone(), lora: self.model.lora.clone() };
        let before = self.model.loaded.replace(proven);
        if let Some(Some(name)) = &self.model.chosen
            && before.is_none_or(|before| before.chosen != self.model.chosen)
        {
            out.push(Effect::KeepPreference(Preference::Model(name.clone())));
        }
        self.ease.rates = Rates::default();
        self.ease_fresh_engine(out);
        // an answer that goes on reads its conversation by itself
        if self.conversation.len() > 1 && !self.turn.is_answering() {
            self.restore_cache(out);
        }
        self.send_waiting(out);
    }

    pub(crate) fn on_model_failed(&mut self, error: UserError, out: &mut Out) {
        self.end_answer(None, None, out);
        self.take_back();
        self.end_fix();
        self.cache.forget();
        self.model.state = State::Failed(error.clone());
        self.show_error(&error);
        if self.back_to_proven(out) {
            return;
        }
        if !self.model.lora.is_empty() {
            self.tell(Level::Info, "`/lora off` loads the model without adapters");
        }
        if !self.is_covered() && self.conversation.is_empty() {
            self.open_models(true, out);
        }
    }

    /// Its process died and is started again; an answer goes on, and what is asked meanwhile waits.
    pub(crate) fn on_engine_died(&mut self, how: &str, with: Option<&str>) {
        let with = with.map(|with| format!(" {with}")).unwrap_or_default();
        let goes_on = if self.turn.is_answering() { ", and the answer goes on" } else { "" };
        self.tell(Level::Warning, format!("the engine {how}; it starts again{with}{goes_on}"));
        self.cache.forget();
        self.model.state = State::Loading(0.0);
    }

    pub(crate) fn on_engine_gone(&mut self, out: &mut Out) {
        if matches!(self.model.state, State::Loading(_) | State::Ready(_)) {
            let error = UserError::failed("the engine stopped by itself")
                .hint("`/model` starts it again; the conversation is kept");
            self.on_model_failed(error, out);
        }
    }

    /// Opens the list of models; `first` with the words for someone who has none.
    pub(crate) fn open_models(&mut self, first: bool, out: &mut Out) {
        self.overlay = Some(Overlay::Models(Box::new(Models { first, ..Models::default() })));
        out.push(Effect::ListModels);
    }

    pub(crate) fn on_models(&mut self, told: ModelsMsg, out: &mut Out) {
        if let (Some(Overlay::Models(models)), ModelsMsg::Added(_) | ModelsMsg::Failed(_) | ModelsMsg::Cancelled) =
            (&mut self.overlay, &told)
        {
            models.progress = None;
            models.adding = false;
        }
        match told {
            ModelsMsg::Offered(offers) => {
                if let Some(Overlay::Models(models)) = &mut self.overlay {
                    models.offer(offers);
                }
            }
            ModelsMsg::Progress { name, done, total } => {
                if let Some(Overlay::Models(models)) = &mut self.overlay {
                    models.progress = Some(Progress { name, done, total });
                }
            }
            ModelsMsg::Added(name) => {
                self.tell(Level::Info, format!("`{name}` is installed"));
                let waited = matches!(self.overlay, Some(Overlay::Models(_)));
                if waited && !self.turn.is_answering() {
                    self.overlay = None;
                    self.choose_model(name, out);
                }
            }
            // an answer that began meanwhile is not stopped for it
            ModelsMsg::Checked(load) => {
                self.model.checking = false;
                if self.is_free() {
                    self.load_model(load, out);
                }
            }
            ModelsMsg::Failed(error) => {
                self.model.checking = false;
                self.show_error(&error);
                self.send_waiting(out);
                if let Some(Overlay::Models(models)) = &mut self.overlay {
                    models.offers.get_or_insert_with(Vec::<Offer>::new);
                }
            }
            ModelsMsg::Cancelled => {
                self.tell(Level::Info, "download stopped; it resumes from there next time");
            }
        }
    }
}

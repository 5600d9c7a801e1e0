//! The list of models: what is in the store, what can be downloaded, and a field for the path of a file. At the first
//! start it is the whole screen. Nothing is downloaded before a yes to the question with its size; what is typed at the
//! first start is the first question, and stays in the input.

use super::choose::has_words;
use super::{List, Overlay, ends};
use crate::app::field::{Field, Handled};
use crate::app::keymap::{Command, Context, Pressed};
use crate::app::msg::{Effect, Level, Offer};
use crate::app::{App, Out, command};

/// Milliseconds that a question is up before an answer counts: what was typed ahead answers nothing.
const SEEN: u64 = 250;

/// A download under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The model.
    pub name: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// Models to choose from.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// There is none yet: say what this is.
    pub first: bool,
    /// What there is, once known.
    pub offers: Option<Vec<Offer>>,
    /// What is typed to find one; at the first start the input takes it.
    pub query: Field,
    /// The selected row; the one behind the offers is "a file".
    pub list: List,
    /// The download that is asked about.
    pub asked: Option<Offer>,
    /// The path that is being written; it stays until its file is in the store.
    pub path: Option<Field>,
    /// The file is being taken into the store.
    pub adding: bool,
    /// The download under way.
    pub progress: Option<Progress>,
    pub(crate) asked_at: u64,
}

impl Models {
    /// The models that have all words that are typed; none while they are looked for.
    pub fn shown(&self) -> Vec<&Offer> {
        let has = |offer: &&Offer| has_words(self.query.text(), &[&offer.name, &offer.about]);
        self.offers.iter().flatten().filter(has).collect()
    }

    pub(super) fn context(&self) -> Context {
        match (&self.asked, &self.path) {
            (Some(_), _) => Context::Download,
            (None, Some(_)) => Context::Name,
            (None, None) => Context::List,
        }
    }

    /// The field that what is pasted goes to; none at the first start, where that is the input.
    pub(super) fn field(&mut self) -> Option<&mut Field> {
        match &mut self.path {
            Some(path) => Some(path),
            None => Some(&mut self.query).filter(|_| !self.first),
        }
    }

    /// Rows in the list: the models and the one for a file.
    pub fn len(&self) -> usize {
        self.shown().len() + 1
    }

    /// Never: there is always the row for a file.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What was found; the cursor goes to the one to take.
    pub(crate) fn offer(&mut self, offers: Vec<Offer>) {
        if self.offers.is_none() {
            let best = offers.iter().position(|offer| offer.recommended);
            self.list.selected = best.unwrap_or(0);
        }
        self.offers = Some(offers);
    }
}

impl App {
    pub(super) fn models_key(&mut self, mut models: Box<Models>, key: Pressed, out: &mut Out) -> bool {
        if models.asked.is_some() {
            return self.download_key(models, key, out);
        }
        if models.path.is_some() {
            return self.path_key(models, key, out);
        }
        let len = models.len();
        match key {
            Pressed::Command(Command::Back) if models.progress.is_some() => out.push(Effect::CancelPull),
            Pressed::Command(Command::Back) => return true,
            // what was typed is a command: it is for the program, not for the list
            Pressed::Command(Command::Accept)
                if models.first && command::parse(self.composer.field.text().trim()).is_some() =>
            {
                self.send(out);
                return true;
            }
            Pressed::Command(Command::Accept | Command::Complete) if models.progress.is_none() => {
                return self.take_model(models, out);
            }
            key if !models.first => {
                models.list.narrow(&mut models.query, key, len);
            }
            // at the first start the input takes what is typed, and then its keys
            key => {
                let typing = !self.composer.field.is_empty() || matches!(key, Pressed::Typed(_));
                if !typing || self.composer.field.key(key) == Handled::No {
                    models.list.walk(ends(key), len);
                }
            }
        }
        self.overlay = Some(Overlay::Models(models));
        true
    }

    /// Yes, no, or anything else: the question stays.
    fn download_key(&mut self, mut models: Box<Models>, key: Pressed, out: &mut Out) -> bool {
        match key {
            Pressed::Command(Command::Back | Command::No) => models.asked = None,
            Pressed::Command(Command::Yes) if self.clock.saturating_sub(models.asked_at) >= SEEN => {
                if let Some(Offer { name, bytes, .. }) = models.asked.take() {
                    let total = Some(bytes).filter(|n| *n > 0);
                    models.progress = Some(Progress { name: name.clone(), done: 0, total });
                    out.push(Effect::Pull(name));
                }
            }
            _ => {}
        }
        self.overlay = Some(Overlay::Models(models));
        true
    }

    /// The path of a file. A wrong one stays in the field, to be corrected.
    fn path_key(&mut self, mut models: Box<Models>, key: Pressed, out: &mut Out) -> bool {
        let Some(path) = &mut models.path else { return false };
        let mut completes = false;
        match key {
            Pressed::Command(Command::Back) => models.path = None,
            Pressed::Command(Command::Accept) => {
                let file = path.text().trim().trim_matches('"').to_owned();
                if !file.is_empty() && !models.adding {
                    out.push(Effect::AddModel(file.into()));
                    models.adding = true;
                }
            }
            Pressed::Command(Command::Complete) => completes = true,
            key => {
                path.key(key);
            }
        }
        self.overlay = Some(Overlay::Models(models));
        if completes {
            self.complete_path(out);
        }
        true
    }

    fn take_model(&mut self, mut models: Box<Models>, out: &mut Out) -> bool {
        match models.shown().get(models.list.selected).map(|offer| Offer::clone(offer)) {
            None => models.path = Some(Field::default()),
            Some(offer) if offer.installed => {
                self.choose_model(offer.name, out);
                return true;
            }
            Some(Offer { name, fits: Err(why), .. }) => {
                self.tell(Level::Warning, format!("`{name}` does not fit this device: {why}"));
            }
            Some(offer) => (models.asked, models.asked_at) = (Some(offer), self.clock),
        }
        self.overlay = Some(Overlay::Models(models));
        true
    }
}

//! The list of models: what is in the store, what could be had, and a field for the path of a file. At the first start it
//! is the whole screen.

use super::choose::ends;
use super::{List, Overlay};
use crate::app::input::edit;
use crate::app::keys::Action;
use crate::app::msg::{Effect, Level, Offer};
use crate::app::{App, Out};
use crate::text::buffer::Buffer;

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
    /// The selected row; the one behind the offers is "a file".
    pub list: List,
    /// The path that is being written.
    pub path: Option<Buffer>,
    /// The download under way.
    pub progress: Option<Progress>,
}

impl Models {
    /// The models; empty while they are looked for.
    pub fn offers(&self) -> &[Offer] {
        self.offers.as_deref().unwrap_or_default()
    }

    /// Rows in the list: the models and the one for a file.
    pub fn len(&self) -> usize {
        self.offers().len() + 1
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
    pub(super) fn models_key(
        &mut self,
        mut models: Models,
        action: Option<Action>,
        typed: Option<char>,
        out: &mut Out,
    ) -> bool {
        if let Some(path) = &mut models.path {
            match (action, typed) {
                (Some(Action::Back), _) => models.path = None,
                (Some(Action::Send), _) => {
                    let file = path.text().trim().trim_matches('"').to_owned();
                    if !file.is_empty() {
                        out.push(Effect::AddModel(file.into()));
                        models.path = None;
                    }
                }
                (Some(action), _) => {
                    edit(path, action);
                }
                (None, Some(c)) => {
                    path.insert(c.encode_utf8(&mut [0; 4]));
                }
                (None, None) => {}
            }
            self.overlay = Some(Overlay::Models(models));
            return true;
        }
        match action {
            Some(Action::Back) if models.progress.is_some() => out.push(Effect::CancelPull),
            Some(Action::Back) => return true,
            Some(Action::Send | Action::Menu) if models.progress.is_none() => return self.take_model(models, out),
            Some(action) => {
                let len = models.len();
                models.list.walk(ends(action), len);
            }
            None => {}
        }
        self.overlay = Some(Overlay::Models(models));
        true
    }

    fn take_model(&mut self, mut models: Models, out: &mut Out) -> bool {
        match models.offers().get(models.list.selected).cloned() {
            None => models.path = Some(Buffer::default()),
            Some(offer) if offer.installed => {
                self.switch_model(Some(offer.name), out);
                return true;
            }
            Some(Offer { name, fits: Err(why), .. }) => {
                self.tell(Level::Warning, format!("`{name}` does not fit this device: {why}"));
            }
            Some(offer) => {
                models.progress = Some(super::Progress {
                    name: offer.name.clone(),
                    done: 0,
                    total: Some(offer.bytes).filter(|n| *n > 0),
                });
                out.push(Effect::Pull(offer.name));
            }
        }
        self.overlay = Some(Overlay::Models(models));
        true
    }
}

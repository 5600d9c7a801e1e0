//! Heat and a low battery: what is done about them, what the person is told, and how fast answers were before and after.

use super::msg::{Effect, Level};
use super::{App, Out};
use crate::device::{Easing, Effort, Rates};
use crate::fim::pace::Power;

/// How hard the engine works, and what comes of it.
#[derive(Clone, Debug, Default)]
pub struct Ease {
    /// How fast this model has written on this device.
    pub rates: Rates,
    easing: Easing,
    /// The person was told why it is slower.
    told: bool,
}

impl Ease {
    /// Threads at work of those planned, where some rest: `(3, 4)`.
    pub fn threads(&self, planned: u32) -> Option<(u32, u32)> {
        let working = self.easing.effort().threads(planned);
        (working < planned).then_some((working, planned))
    }

    /// Why some rest.
    pub fn reason(&self) -> &'static str {
        if self.easing.is_hot() { "hot" } else { "low battery" }
    }
}

impl App {
    pub(crate) fn on_power(&mut self, power: Power, out: &mut Out) {
        self.editor.suggest.power = power;
        let before = self.ease.easing.effort();
        self.ease.easing = self.ease.easing.after(&power, self.clock);
        let now = self.ease.easing.effort();
        if now == before {
            return;
        }
        let Some(planned) = self.model.threads() else { return };
        let working = now.threads(planned);
        out.push(Effect::Threads(working));
        if now == Effort::Full {
            self.ease.told = false;
        } else if working < planned && !std::mem::replace(&mut self.ease.told, true) {
            let why = self.ease.easing.reason();
            self.tell(Level::Info, format!("{why}: using {working} of {planned} threads until it is over"));
        }
    }

    /// An engine begins with all threads that were planned.
    pub(crate) fn ease_fresh_engine(&self, out: &mut Out) {
        let threads = self.model.threads().and_then(|planned| self.ease.threads(planned));
        out.extend(threads.map(|(working, _)| Effect::Threads(working)));
    }
}

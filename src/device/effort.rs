//! How hard to work on a device that gets warm or runs empty. A phone that is driven until its kernel steps in loses
//! half of its speed or more at once; one that gives up a processor in time keeps most of it. Pure: a reading and a time
//! go in, the next state comes out.

use crate::fim::pace::Power;

/// How hard to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// With half of the threads.
    Least,
    /// With three quarters of the threads.
    Eased,
    /// With all threads that were planned.
    #[default]
    Full,
}

impl Effort {
    /// Threads to work with where `planned` are there; never none.
    pub fn threads(self, planned: u32) -> u32 {
        let left_out = match self {
            Self::Full => 0,
            Self::Eased => planned.div_ceil(4),
            Self::Least => planned.div_ceil(2),
        };
        planned.saturating_sub(left_out).max(1)
    }

    fn less(self) -> Self {
        if self == Self::Full { Self::Eased } else { Self::Least }
    }

    fn more(self) -> Self {
        if self == Self::Least { Self::Eased } else { Self::Full }
    }
}

/// Milliseconds that a step down is given to show before the next one.
const STEP: u64 = 30_000;
/// Milliseconds without heat before a step up; doubled each time that the step up led straight back to heat.
const PATIENCE: u64 = 60_000;
/// The longest such wait.
const LONGEST: u64 = 16 * PATIENCE;
/// Percent of battery, off the charger, below which less is done, and least.
const LOW: (u8, u8) = (20, 10);

/// What is remembered between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Easing {
    /// What heat allows.
    heat: Effort,
    /// What the battery allows.
    charge: Effort,
    /// When the last step down or up was made.
    stepped: u64,
    /// When heat was last felt.
    felt: Option<u64>,
    patience: u64,
}

impl Default for Easing {
    fn default() -> Self {
        Self { heat: Effort::Full, charge: Effort::Full, stepped: 0, felt: None, patience: PATIENCE }
    }
}

impl Easing {
    /// How hard to work now.
    pub fn effort(&self) -> Effort {
        self.heat.min(self.charge)
    }

    /// Whether it is heat, and not the battery, that asks for less.
    pub fn is_hot(&self) -> bool {
        self.heat < Effort::Full && self.heat <= self.charge
    }

    /// Why less is done, where less is done.
    pub fn reason(&self) -> &'static str {
        if self.is_hot() { "the device is hot" } else { "the battery is low" }
    }

    /// The state after a look at `now` (milliseconds). Heat takes a step at once and the next
    /// one when that did not help; steps back are slow, and slower where they were too early.
    #[must_use]
    pub fn after(self, power: &Power, now: u64) -> Self {
        let charge = match power.battery.filter(|_| !power.mains) {
            Some(percent) if percent < LOW.1 => Effort::Least,
            Some(percent) if percent < LOW.0 => Effort::Eased,
            _ => Effort::Full,
        };
        // a clock that was set back must not make it wait until it is that late again
        let past = Self { stepped: self.stepped.min(now), felt: self.felt.map(|at| at.min(now)), ..self };
        past.after_heat(power.hot, charge, now)
    }

    fn after_heat(self, hot: bool, charge: Effort, now: u64) -> Self {
        let mut next = Self { charge, ..self };
        if hot {
            if self.felt.is_none() || now >= self.stepped.saturating_add(STEP) {
                let too_early =
                    self.felt.is_none() && self.stepped > 0 && now < self.stepped.saturating_add(self.patience);
                next.patience = if too_early { (self.patience * 2).min(LONGEST) } else { self.patience };
                next.heat = self.heat.less();
                next.stepped = now;
            }
            next.felt = Some(now);
            return next;
        }
        // after a long time without a look, as many steps as there was time for
        let mut since = self.stepped.max(self.felt.unwrap_or(0));
        while next.heat < Effort::Full && now >= since.saturating_add(self.patience) {
            since += self.patience;
            next.heat = next.heat.more();
            next.stepped = since;
            next.felt = None;
        }
        // what held for long is forgiven
        if next.heat == Effort::Full && now >= since.saturating_add(LONGEST) {
            next.patience = PATIENCE;
        }
        next
    }
}

#[cfg(test)]
mod tests;

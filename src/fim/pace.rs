//! When to ask, and whether to ask ahead: from what answers took so far and what the person made of them. Values come
//! in, a pause goes out; no clock is read here.

use std::time::Duration;

/// The device's power, as somebody else found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// Charging.
    pub mains: bool,
    /// Percent; `None` where nobody knows, as on a workstation.
    pub battery: Option<u8>,
    /// The device slows itself down.
    pub hot: bool,
}

impl Default for Power {
    /// A machine without a battery.
    fn default() -> Self {
        Self { mains: true, battery: None, hot: false }
    }
}

/// The shortest pause: below it every key of a fluent typist would ask.
const SHORTEST: f64 = 60.0;
/// A longer pause helps nobody.
const LONGEST: f64 = 1000.0;
/// What an answer is believed to take before one came, in milliseconds.
const FIRST_GUESS: f64 = 400.0;
/// Weight of the newest value in the running means.
const NEWEST: f64 = 0.2;
/// Percent of battery from which asking ahead is no waste.
const ENOUGH: u8 = 50;
/// An answer that takes longer is not worth preparing ahead.
const TOO_SLOW: f64 = 4000.0;

/// Running means of what was seen.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Milliseconds from asking to the answer.
    took: f64,
    /// The share of questions that a key made pointless.
    wasted: f64,
    /// The share of suggestions taken.
    taken: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Pace {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { took: FIRST_GUESS, wasted: 0.3, taken: 0.3 }
    }

    /// How long no key must have been pressed before asking. A quick model is asked early; where an answer takes long
    /// and often comes too late, or the battery pays for it, it is worth waiting to be sure.
    pub fn pause(&self, power: &Power) -> Duration {
        let careful = 1.0 + if power.hot { 1.0 } else { 0.0 } + if is_low(power) { 1.0 } else { 0.0 };
        let pause = self.took * (0.2 + 0.6 * self.wasted) * careful;
        Duration::from_secs_f64(pause.clamp(SHORTEST, LONGEST) / 1e3)
    }

    /// Whether to prepare the next suggestion while this one is shown, as if it had been taken.
    pub fn prefetch(&self, power: &Power) -> bool {
        let affordable = power.mains || power.battery.is_some_and(|percent| percent >= ENOUGH);
        affordable && !power.hot && self.took < TOO_SLOW && self.taken > 0.05
    }

    /// An answer came.
    pub fn answered(&mut self, took: Duration) {
        let ms = (took.as_secs_f64() * 1e3).min(60_000.0);
        self.took += (ms - self.took) * NEWEST;
        self.wasted -= self.wasted * NEWEST;
    }

    /// A key came before the answer.
    pub fn cancelled(&mut self) {
        self.wasted += (1.0 - self.wasted) * NEWEST;
    }

    /// A suggestion was shown and then taken, in part at least, or not.
    pub fn shown(&mut self, accepted: bool) {
        let now = if accepted { 1.0 } else { 0.0 };
        self.taken += (now - self.taken) * NEWEST;
    }
}

fn is_low(power: &Power) -> bool {
    !power.mains && power.battery.is_some_and(|percent| percent < 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: usize, took: u64) -> Pace {
        let mut pace = Pace::new();
        for _ in 0..times {
            pace.answered(Duration::from_millis(took));
        }
        pace
    }

    #[test]
    fn slow_answers_and_wasted_ones_make_the_pause_longer() {
        let power = Power::default();
        let (quick, slow) = (after(50, 50), after(50, 1500));
        assert_eq!(quick.pause(&power), Duration::from_millis(60));
        assert!(slow.pause(&power) > Duration::from_millis(250));
        let mut wasted = slow.clone();
        for _ in 0..20 {
            wasted.cancelled();
        }
        assert!(wasted.pause(&power) > slow.pause(&power));
        let tired = Power { mains: false, battery: Some(10), hot: true };
        assert!(slow.pause(&tired) > slow.pause(&power));
        assert!(after(50, 1_000_000).pause(&tired) <= Duration::from_millis(1000));
    }

    #[test]
    fn asking_ahead_needs_power_and_somebody_who_takes_it() {
        let phone = |battery| Power { mains: false, battery, hot: false };
        let pace = after(5, 200);
        assert!(pace.prefetch(&Power::default()));
        assert!(pace.prefetch(&phone(Some(80))));
        assert!(!pace.prefetch(&phone(Some(30))));
        assert!(!pace.prefetch(&phone(None)));
        assert!(!pace.prefetch(&Power { hot: true, ..Power::default() }));
        assert!(!after(50, 9000).prefetch(&Power::default()));
        let mut ignored = pace;
        for _ in 0..20 {
            ignored.shown(false);
        }
        assert!(!ignored.prefetch(&Power::default()));
    }
}

//! Whether a step can be believed: NaN, infinities, and losses far above what was seen lately.

use serde::{Deserialize, Serialize};

use super::checkpoint::exact;

/// Steps before a spike can be told.
const LEAST: u64 = 20;
/// How fast old losses are forgotten.
const KEEP: f64 = 0.98;

/// A running mean of losses and of their squares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guard {
    #[serde(with = "exact")]
    mean: f64,
    #[serde(with = "exact")]
    square: f64,
    seen: u64,
    /// Bad steps since the last good one.
    pub(crate) bad: u64,
    /// What steps are made of; what was seen of other ones says nothing.
    phase: u64,
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    NotFinite,
    Spike,
}

impl Guard {
    /// To be called before each step: losses of another `phase`, with other teachers, have another size.
    pub(crate) fn enter(&mut self, phase: u64) {
        if phase != self.phase {
            *self = Self { phase, bad: self.bad, ..Self::default() };
        }
    }

    /// Looks at a step before its weights are changed. A step with a fault is left out and forgotten.
    pub(crate) fn look(&mut self, loss: f64, norm: f64, deviations: f64) -> Option<Fault> {
        let fault = if !loss.is_finite() || !norm.is_finite() {
            Some(Fault::NotFinite)
        } else if deviations > 0.0 && self.seen >= LEAST && loss > self.limit(deviations) {
            Some(Fault::Spike)
        } else {
            None
        };
        if fault.is_some() {
            self.bad += 1;
            return fault;
        }
        self.bad = 0;
        self.seen += 1;
        // The first steps count alike; later ones displace older ones.
        let weight = (1.0 / self.seen as f64).max(1.0 - KEEP);
        self.mean += weight * (loss - self.mean);
        self.square += weight * (loss * loss - self.square);
        None
    }

    fn limit(&self, deviations: f64) -> f64 {
        let spread = (self.square - self.mean * self.mean).max(0.0).sqrt();
        // Losses that hardly vary must not make every change a spike.
        self.mean + deviations * spread.max(0.05 * self.mean.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_and_nan_are_told_from_ordinary_losses() {
        let mut guard = Guard::default();
        for i in 0..100 {
            assert_eq!(guard.look(3.0 + f64::from(i % 5) * 0.1, 1.0, 6.0), None);
        }
        let before = guard.clone();
        assert_eq!(guard.look(9.0, 1.0, 6.0), Some(Fault::Spike));
        assert_eq!(guard.look(f64::NAN, 1.0, 6.0), Some(Fault::NotFinite));
        assert_eq!(guard.look(3.0, f64::INFINITY, 6.0), Some(Fault::NotFinite));
        assert_eq!((guard.bad, guard.mean), (3, before.mean));
        assert_eq!(guard.look(9.0, 1.0, 0.0), None, "no limit was wanted");
        assert_eq!(guard.bad, 0);
        guard.enter(1);
        assert_eq!(guard.look(50.0, 1.0, 6.0), None, "with other teachers a loss is of another size");
    }
}

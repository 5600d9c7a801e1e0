//! How fast answers are written over time, so that what lasts can be told from the first minute: a phone begins fast and
//! slows down when it is warm. Pure: what a piece of work took goes in.

use std::collections::VecDeque;

/// A minute of writing, in milliseconds. Pauses between answers do not count.
const MINUTE: u64 = 60_000;
/// Parts that the last minute is made of.
const PARTS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    tokens: u64,
    ms: u64,
}

impl Part {
    fn rate(self) -> Option<f64> {
        (self.ms > 0).then(|| self.tokens as f64 * 1e3 / self.ms as f64)
    }
}

/// Rates of one model on this device since the program's start.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    first: Part,
    /// Sixths of a minute; the newest is not full yet.
    last: VecDeque<Part>,
    all: Part,
}

impl Rates {
    /// So many tokens were written in so many milliseconds.
    pub fn note(&mut self, tokens: u64, ms: u64) {
        for part in [&mut self.all].into_iter().chain((self.first.ms < MINUTE).then_some(&mut self.first)) {
            part.tokens += tokens;
            part.ms += ms;
        }
        if self.last.back().is_none_or(|part| part.ms >= MINUTE / PARTS as u64) {
            self.last.push_back(Part::default());
            if self.last.len() > PARTS {
                self.last.pop_front();
            }
        }
        if let Some(part) = self.last.back_mut() {
            part.tokens += tokens;
            part.ms += ms;
        }
    }

    /// Minutes of writing in all.
    pub fn minutes(&self) -> f64 {
        self.all.ms as f64 / MINUTE as f64
    }

    /// Tokens per second in the first minute of writing; `None` until it is over.
    pub fn first_minute(&self) -> Option<f64> {
        self.first.rate().filter(|_| self.first.ms >= MINUTE)
    }

    /// Tokens per second in the last minute of writing, about; `None` until there are two.
    pub fn last_minute(&self) -> Option<f64> {
        let sum = |sum: Part, part: &Part| Part { tokens: sum.tokens + part.tokens, ms: sum.ms + part.ms };
        self.last.iter().fold(Part::default(), sum).rate().filter(|_| self.all.ms >= 2 * MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_minute_is_told_from_the_last() {
        let mut rates = Rates::default();
        for second in 0..59 {
            rates.note(10, 1000);
            assert_eq!((second, rates.first_minute()), (second, None));
        }
        for _ in 0..300 {
            rates.note(10, 1000);
        }
        assert_eq!((rates.first_minute(), rates.last_minute()), (Some(10.0), Some(10.0)));
        for _ in 0..90 {
            rates.note(4, 1000);
        }
        assert_eq!((rates.first_minute(), rates.last_minute()), (Some(10.0), Some(4.0)));
        assert!((rates.minutes() - 449.0 / 60.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_said_of_a_short_time() {
        let mut rates = Rates::default();
        assert_eq!((rates.first_minute(), rates.last_minute()), (None, None));
        rates.note(5, 0);
        rates.note(1000, 90_000);
        assert_eq!(rates.last_minute(), None);
        assert!(rates.first_minute().is_some_and(|rate| (rate - 1005.0 / 90.0).abs() < 1e-9));
    }
}

//! Draft-free speculation: what to propose after the last token, and whether proposing pays. Pure; time comes in.
//!
//! Tokens that followed the same n-gram earlier in the conversation (attached files are part of it) are proposed and
//! verified in one batch, so that an answer that repeats or edits known text comes several tokens a step ("prompt
//! lookup decoding", a form of speculative decoding, arXiv 2211.17192, with the text itself as the draft model). A
//! step of width w costs t(w) ≥ t(1), more on processors that are short of arithmetic than on those that wait for
//! memory; both t and the acceptance are measured while decoding, and a draft is made only as long as it is expected
//! to gain.

use std::collections::HashMap;

/// Tokens of an n-gram that must match before anything is proposed.
const SHORTEST_MATCH: usize = 3;
/// Matches longer than this are not told apart.
const LONGEST_MATCH: usize = 24;
/// Places remembered for one n-gram; the newest push out the oldest but the first stays, since a file that is being
/// edited stands before its own edited copy.
const PLACES: usize = 4;
/// Expected tokens a second, against a plain step, below which nothing is proposed.
const LEAST_GAIN: f64 = 1.05;

/// The bucket of proposals that do not come from a match.
const CERTAIN: usize = usize::MAX;
/// The chance that a token of a text that must follow is the one which the model spells it with.
const SPELT: f64 = 0.95;

/// A proposal; empty when it would not pay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The tokens expected next.
    pub(crate) tokens: Vec<i32>,
    bucket: usize,
}

/// Proposes from the text so far; one per generation, over the costs of the engine.
#[derive(Debug)]
pub(crate) struct Speculator {
    text: Vec<i32>,
    places: HashMap<[i32; SHORTEST_MATCH], Vec<u32>>,
    acceptance: [Acceptance; 4],
}

impl Speculator {
    /// Starts from the tokens of the prompt.
    pub(crate) fn new(prompt: &[i32]) -> Self {
        let mut this = Self {
            text: Vec::with_capacity(prompt.len() + 256),
            places: HashMap::with_capacity(prompt.len()),
            acceptance: [0.3, 0.6, 0.82, 0.93].map(Acceptance::expecting),
        };
        for &token in prompt {
            this.push(token);
        }
        this
    }

    /// A token became part of the text.
    pub(crate) fn push(&mut self, token: i32) {
        // The n-gram that ended before this token is indexed now, with the place of what followed it.
        if let Some(&gram) = self.text.last_chunk::<SHORTEST_MATCH>() {
            let places = self.places.entry(gram).or_default();
            if places.len() == PLACES {
                places.remove(1);
            }
            places.push(self.text.len() as u32);
        }
        self.text.push(token);
    }

    /// What probably follows, at most `room` tokens, as many as `costs` say will pay.
    pub(crate) fn propose(&mut self, costs: &Costs, room: usize) -> Draft {
        let Some((place, matched)) = self.longest_match() else { return Draft::default() };
        let bucket = bucket(matched);
        let most = room.min(costs.widest.saturating_sub(1)).min(self.text.len() - place);
        let len = costs.best_len(self.acceptance[bucket].rate(), most, matched);
        if len == 0 {
            self.acceptance[bucket].forgive();
        }
        Draft { tokens: self.text[place..place + len].to_vec(), bucket }
    }

    /// How a draft fared: `accepted` of its tokens came out of the model as well.
    pub(crate) fn learn(&mut self, draft: &Draft, accepted: usize) {
        if let Some(acceptance) = self.acceptance.get_mut(draft.bucket).filter(|_| !draft.tokens.is_empty()) {
            acceptance.learn(accepted, draft.tokens.len());
        }
    }

    /// The place after the best earlier occurrence of the last tokens, and how many of them match there.
    fn longest_match(&self) -> Option<(usize, usize)> {
        let places = self.places.get(self.text.last_chunk::<SHORTEST_MATCH>()?)?;
        places
            .iter()
            .map(|&place| place as usize)
            .map(|place| {
                let before = self.text[..place].iter().rev();
                let matched =
                    before.zip(self.text.iter().rev()).take(LONGEST_MATCH).take_while(|(a, b)| a == b).count();
                (place, matched)
            })
            .max_by_key(|&(place, matched)| (matched, place))
    }
}

fn bucket(matched: usize) -> usize {
    match matched {
        ..=3 => 0,
        4..=7 => 1,
        8..=15 => 2,
        _ => 3,
    }
}

/// The chance that one proposed token is right, from counts that fade.
#[derive(Clone, Copy, Debug)]
struct Acceptance {
    expected: f64,
    right: f64,
    wrong: f64,
    refused: u32,
}

impl Acceptance {
    const PRIOR: f64 = 3.0;
    const FADE: f64 = 0.85;

    fn expecting(rate: f64) -> Self {
        Self { expected: rate, right: rate * Self::PRIOR, wrong: (1.0 - rate) * Self::PRIOR, refused: 0 }
    }

    fn rate(&self) -> f64 {
        self.right / (self.right + self.wrong)
    }

    fn learn(&mut self, accepted: usize, drafted: usize) {
        self.refused = 0;
        self.right = self.right * Self::FADE + accepted as f64;
        self.wrong = self.wrong * Self::FADE + f64::from(accepted < drafted) + 0.01;
    }

    /// After many steps without a draft the text may have changed its kind: half way back to what was expected.
    fn forgive(&mut self) {
        self.refused += 1;
        if self.refused >= 64 {
            let fresh = Self::expecting((self.expected + self.rate()) / 2.0);
            *self = Self { expected: self.expected, ..fresh };
        }
    }
}

/// What a step of each width takes, learnt from the steps made; kept as long as the model is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// The widest batch whose logits can be had.
    widest: usize,
    /// Milliseconds by width, from 1; zero: not seen yet.
    measured: Vec<f64>,
}

impl Costs {
    /// Nothing is known yet.
    pub(crate) fn new(widest: usize) -> Self {
        Self { widest, measured: vec![0.0; widest + 1] }
    }

    /// A step of `width` tokens took so many milliseconds.
    pub(crate) fn learn(&mut self, width: usize, ms: f64) {
        let Some(cell) = self.measured.get_mut(width).filter(|_| ms > 0.0 && ms.is_finite()) else { return };
        // A preempted step says nothing about the next one: no sample counts for more than half as much again.
        *cell = if *cell == 0.0 { ms } else { *cell * 0.9 + ms.min(*cell * 1.5) * 0.1 };
    }

    /// Milliseconds of a step: measured, or on the line through the nearest narrower and wider measured widths.
    fn estimate(&self, width: usize) -> Option<f64> {
        let seen = |w: usize| Some(self.measured[w]).filter(|&ms| ms > 0.0);
        if let Some(ms) = seen(width) {
            return Some(ms);
        }
        let below = (1..width).rev().find_map(|w| Some((w, seen(w)?)))?;
        let above = (width + 1..=self.widest).find_map(|w| Some((w, seen(w)?)));
        let (other, ms) = match above {
            Some(above) => above,
            None => (1..below.0).rev().find_map(|w| Some((w, seen(w)?)))?,
        };
        let slope = (ms - below.1) / (other as f64 - below.0 as f64);
        Some(below.1 + slope.max(0.0) * (width as f64 - below.0 as f64))
    }

    /// A proposal of tokens for a text that must follow, at most `room` of them.
    pub(crate) fn certain(&self, mut tokens: Vec<i32>, room: usize) -> Draft {
        let most = room.min(self.widest.saturating_sub(1)).min(tokens.len());
        tokens.truncate(self.best_len(SPELT, most, LONGEST_MATCH));
        Draft { tokens, bucket: CERTAIN }
    }

    /// How many tokens to propose when each is right with `rate`; zero when a plain step is as good.
    fn best_len(&self, rate: f64, most: usize, matched: usize) -> usize {
        let Some(plain) = self.estimate(1) else { return 0 };
        if (2..=self.widest).all(|w| self.measured[w] == 0.0) {
            // Nothing wider was measured: a strong match is worth one short trial.
            return if matched >= 6 { most.min(7) } else { 0 };
        }
        let (mut best, mut best_gain) = (0, LEAST_GAIN);
        let (mut tokens, mut chance) = (1.0, 1.0);
        for len in 1..=most {
            chance *= rate;
            tokens += chance;
            let Some(ms) = self.estimate(len + 1) else { break };
            let gain = tokens * plain / ms;
            if gain > best_gain {
                (best, best_gain) = (len, gain);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(ms: impl Fn(usize) -> f64) -> Costs {
        let mut costs = Costs::new(16);
        for width in [1, 2, 4, 8, 16] {
            costs.learn(width, ms(width));
        }
        costs
    }

    #[test]
    fn what_followed_before_is_proposed_again() {
        let text: Vec<i32> = (0..40).chain([100]).chain(5..20).collect();
        let mut spec = Speculator::new(&text);
        let draft = spec.propose(&costs(|_| 1.0), 8);
        assert_eq!(draft.tokens, (20..28).collect::<Vec<_>>());
    }

    #[test]
    fn new_text_gets_no_proposal() {
        let mut spec = Speculator::new(&(0..100).collect::<Vec<_>>());
        assert_eq!(spec.propose(&costs(|_| 1.0), 8), Draft::default());
        assert_eq!(Speculator::new(&[1, 2]).propose(&costs(|_| 1.0), 8), Draft::default());
    }

    #[test]
    fn the_longest_match_wins_over_the_newest() {
        let text = [1, 2, 3, 4, 5, 6, 70, 71, 72, 9, 4, 5, 6, 80, 81, 82, 1, 2, 3, 4, 5, 6];
        let draft = Speculator::new(&text).propose(&costs(|_| 1.0), 3);
        assert_eq!(draft.tokens, [70, 71, 72]);
    }

    #[test]
    fn a_proposal_never_reaches_past_the_text_or_the_room() {
        let mut spec = Speculator::new(&[1, 2, 3, 4, 1, 2, 3]);
        assert_eq!(spec.propose(&costs(|_| 1.0), 8).tokens, [4, 1, 2, 3]);
        assert!(spec.propose(&costs(|_| 1.0), 0).tokens.is_empty());
    }

    #[test]
    fn wrong_proposals_switch_it_off_where_width_costs() {
        let text: Vec<i32> = (0..50).chain(0..50).collect();
        let costs = costs(|w| 1.0 + 0.3 * (w as f64 - 1.0));
        let mut spec = Speculator::new(&text[..60]);
        let mut made = 0;
        for _ in 0..30 {
            let draft = spec.propose(&costs, 15);
            made += usize::from(!draft.tokens.is_empty());
            spec.learn(&draft, 0);
        }
        assert!(made < 8, "{made} useless proposals");
    }

    #[test]
    fn right_proposals_grow_as_far_as_they_pay() {
        let costs = costs(|w| 1.0 + 0.1 * (w as f64 - 1.0));
        let text: Vec<i32> = (0..50).chain(0..20).collect();
        let mut spec = Speculator::new(&text);
        for _ in 0..20 {
            let draft = spec.propose(&costs, 15);
            spec.learn(&draft, draft.tokens.len());
        }
        assert!(spec.propose(&costs, 15).tokens.len() >= 12);
    }

    #[test]
    fn where_a_wide_step_costs_as_much_as_plain_steps_nothing_is_proposed() {
        let text: Vec<i32> = (0..50).chain(0..20).collect();
        assert!(Speculator::new(&text).propose(&costs(|w| w as f64), 15).tokens.is_empty());
    }

    #[test]
    fn what_must_follow_is_proposed_as_far_as_it_pays_and_teaches_nothing() {
        let costs = costs(|w| 1.0 + 0.1 * (w as f64 - 1.0));
        let draft = costs.certain((0..40).collect(), 9);
        assert_eq!(draft.tokens, (0..9).collect::<Vec<_>>());
        assert!(costs.certain(vec![1, 2], 0).tokens.is_empty());
        let mut spec = Speculator::new(&[]);
        let before = format!("{:?}", spec.acceptance);
        spec.learn(&draft, 1);
        assert_eq!(format!("{:?}", spec.acceptance), before);
    }

    #[test]
    fn unmeasured_widths_lie_on_a_line() {
        let mut costs = Costs::new(16);
        assert_eq!(costs.estimate(1), None);
        costs.learn(1, 10.0);
        assert_eq!(costs.estimate(4), None);
        costs.learn(5, 18.0);
        assert_eq!(costs.estimate(3), Some(14.0));
        assert_eq!(costs.estimate(9), Some(26.0));
    }
}

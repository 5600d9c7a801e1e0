//! From logits to the next token: greedy by a plain scan, sampled by llama.cpp's chain on the few tokens that matter.
//!
//! Making a token array of the whole vocabulary costs a tenth of the decoding time of a small model. The chain only
//! ever lowers logits before top-k (penalties, DRY) and keeps the largest after it, so it is run on the largest ones
//! alone: as many as top-k keeps and the penalties can push down. The result is the same.

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::context::Model;
use crate::engine::Sampling;

/// How far back DRY looks for repetitions.
const DRY_LAST_N: i32 = 1024;
/// Tokens tried first where not all are allowed.
const LOOKED_AT: usize = 48;

/// `ZORD_LOG=logits=trace` shows the five likeliest tokens of each choice, for comparing builds.
const LOGITS: &str = "logits";

/// Chooses tokens for one generation.
pub(super) enum Chooser {
    /// The largest logit; of equal ones the first.
    Greedy,
    /// A chain with its state.
    Chain {
        /// llama.cpp's samplers in the order of [`Sampling`].
        chain: Box<LlamaSampler>,
        /// How many of the largest logits the chain must see; `None`: all.
        keep: Option<usize>,
    },
}

impl Chooser {
    /// For the prompt's tokens, which the penalties look back on.
    pub(super) fn new(sampling: &Sampling, model: &Model, prompt: &[i32]) -> Self {
        let penalised = sampling.repeat_last_n > 0 && sampling.repeat_penalty != 1.0;
        let dry = sampling.dry_multiplier > 0.0;
        let greedy = sampling.temperature <= 0.0;
        if greedy && !penalised && !dry {
            return Self::Greedy;
        }
        let model = model.view();
        let mut parts = Vec::new();
        if penalised {
            parts.push(LlamaSampler::penalties(
                model.n_vocab(),
                sampling.repeat_last_n,
                sampling.repeat_penalty,
                0.0,
                0.0,
            ));
        }
        if dry {
            let breakers = ["\n", ":", "\"", "*"];
            parts.push(LlamaSampler::dry(model, sampling.dry_multiplier, 1.75, 2, DRY_LAST_N, breakers));
        }
        if greedy {
            parts.push(LlamaSampler::greedy());
        } else {
            parts.extend((sampling.top_k > 0).then(|| LlamaSampler::top_k(sampling.top_k)));
            parts.extend((sampling.top_p < 1.0).then(|| LlamaSampler::top_p(sampling.top_p, 1)));
            parts.extend((sampling.min_p > 0.0).then(|| LlamaSampler::min_p(sampling.min_p, 1)));
            parts.push(LlamaSampler::temp(sampling.temperature));
            parts.push(LlamaSampler::dist(sampling.seed));
        }
        let mut chain = LlamaSampler::chain(parts, true);
        let look_back = usize::try_from(DRY_LAST_N.max(sampling.repeat_last_n)).unwrap_or(0);
        let from = prompt.len().saturating_sub(look_back);
        chain.accept_many(prompt[from..].iter().map(|&token| LlamaToken(token)));
        let lowered = if dry { look_back } else { usize::try_from(sampling.repeat_last_n).unwrap_or(0) };
        let wanted = if greedy { 1 } else { usize::try_from(sampling.top_k).unwrap_or(0) };
        // A penalty below 1 raises logits: then everything must be seen.
        let keep = (wanted > 0 && sampling.repeat_penalty >= 1.0).then_some(wanted + lowered);
        Self::Chain { chain: Box::new(chain), keep }
    }

    /// The next token; it counts as accepted. `None` when no logit is a number.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Option<i32> {
        if tracing::enabled!(target: LOGITS, tracing::Level::TRACE) {
            let mut top = largest_n(logits, 5);
            top.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let top: Vec<String> = top.iter().map(|(logit, token)| format!("{token}={logit:.4}")).collect();
            tracing::trace!(target: LOGITS, "{}", top.join(" "));
        }
        match self {
            Self::Greedy => largest(logits),
            Self::Chain { chain, keep } => {
                let tokens = match *keep {
                    Some(n) if n < logits.len() => largest_n(logits, n),
                    _ => {
                        logits.iter().enumerate().filter(|(_, l)| l.is_finite()).map(|(i, &l)| (l, i as i32)).collect()
                    }
                };
                if tokens.is_empty() { None } else { pick(chain, tokens) }
            }
        }
    }

    /// The next token among those that are allowed; `None` when there is none. Where the chain sees everything, it sees
    /// the likeliest here.
    pub(super) fn choose_among(&mut self, logits: &[f32], allowed: &mut dyn FnMut(i32) -> bool) -> Option<i32> {
        match self {
            Self::Greedy => largest_allowed(logits, 1, allowed).first().map(|(_, token)| *token),
            Self::Chain { chain, keep } => {
                let tokens = largest_allowed(logits, keep.unwrap_or(LOOKED_AT), allowed);
                if tokens.is_empty() { None } else { pick(chain, tokens) }
            }
        }
    }
}

/// What the chain makes of some tokens; it counts as accepted.
fn pick(chain: &mut LlamaSampler, tokens: Vec<(f32, i32)>) -> Option<i32> {
    let data = tokens.into_iter().map(|(logit, id)| LlamaTokenData::new(LlamaToken(id), logit, 0.0)).collect();
    let mut array = LlamaTokenDataArray::new(data, false);
    chain.apply(&mut array);
    let token = array.selected_token()?;
    chain.accept(token);
    Some(token.0)
}

/// The `wanted` largest logits whose tokens are allowed, the largest first; fewer where few are. Ever more of the
/// largest are looked at until there is at least one.
fn largest_allowed(logits: &[f32], wanted: usize, allowed: &mut dyn FnMut(i32) -> bool) -> Vec<(f32, i32)> {
    let mut found = Vec::new();
    let (mut n, mut seen) = (LOOKED_AT, 0);
    loop {
        n = n.min(logits.len());
        let mut some = largest_n(logits, n);
        some.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(logit, token) in some.get(seen..).unwrap_or_default() {
            if allowed(token) {
                found.push((logit, token));
            }
            if found.len() == wanted {
                return found;
            }
        }
        seen = some.len();
        if n == logits.len() || (!found.is_empty() && n > LOOKED_AT) {
            return found;
        }
        n *= 16;
    }
}

/// The place of the largest number, the first of equals. Two passes, both of which the compiler turns into vector code.
fn largest(logits: &[f32]) -> Option<i32> {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = logits.chunks_exact(16);
    for &rest in chunks.remainder() {
        lanes[0] = lanes[0].max(rest);
    }
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let most = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == most).map(|i| i as i32)
}

/// The `n` largest with their places, in no order; what is no number is left out: llama.cpp's chain asserts numbers.
fn largest_n(logits: &[f32], n: usize) -> Vec<(f32, i32)> {
    let mut kept: Vec<(f32, i32)> = Vec::with_capacity(n * 4);
    let mut least = f32::NEG_INFINITY;
    let cut = |kept: &mut Vec<(f32, i32)>| {
        kept.select_nth_unstable_by(n - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        kept.truncate(n);
        kept[n - 1].0
    };
    for (i, &logit) in logits.iter().enumerate() {
        // The first of equals wins, so what equals the least kept one cannot come in any more.
        if logit > least && logit < f32::INFINITY {
            kept.push((logit, i as i32));
            if kept.len() == n * 4 {
                least = cut(&mut kept);
            }
        }
    }
    if kept.len() > n {
        cut(&mut kept);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_logits_is_chosen() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(largest(&[f32::NAN, -1.0, f32::NAN]), Some(1));
        assert_eq!(largest(&[f32::NAN]), None);
        assert_eq!(largest(&[]), None);
        let mut many = vec![0.0; 1000];
        many[777] = 1.0;
        assert_eq!(largest(&many), Some(777));
    }

    #[test]
    fn the_largest_allowed_logit_is_found_however_far_down_it_is() {
        let logits: Vec<f32> = (0..5000).map(|n| -(n as f32)).collect();
        let found = |wanted: usize, allowed: &dyn Fn(i32) -> bool| {
            let tokens = largest_allowed(&logits, wanted, &mut |token| allowed(token));
            tokens.into_iter().map(|(_, token)| token).collect::<Vec<_>>()
        };
        assert_eq!(found(1, &|_| true), [0]);
        assert_eq!(found(2, &|token| token % 7 == 3), [3, 10]);
        assert_eq!(found(1, &|token| token == 4999), [4999]);
        assert!(found(1, &|_| false).is_empty());
        assert!(largest_allowed(&[], 1, &mut |_| true).is_empty());
    }

    #[test]
    fn what_is_no_number_is_not_kept() {
        assert!(largest_n(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY], 2).is_empty());
        assert_eq!(largest_n(&[f32::NAN, 1.0, f32::INFINITY], 2), [(1.0, 1)]);
    }

    proptest::proptest! {
        #[test]
        fn the_few_kept_are_the_largest(logits in proptest::collection::vec(-50i8..50, 1..400), n in 1usize..40) {
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut all: Vec<(f32, i32)> = logits.iter().enumerate().map(|(i, &l)| (l, i as i32)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(n);
            let mut kept = largest_n(&logits, n);
            kept.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let logits_of = |tokens: &[(f32, i32)]| tokens.iter().map(|t| t.0).collect::<Vec<_>>();
            proptest::prop_assert_eq!(logits_of(&kept), logits_of(&all));
            proptest::prop_assert_eq!(largest(&logits), Some(all[0].1));
        }
    }
}

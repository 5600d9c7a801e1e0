//! Documents that are nearly the same: MinHash (Broder 1997) over runs of words, found by bands of their signatures.
//!
//! A document takes about half a kilobyte of memory, whatever its length.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::distill::kernel::dropout::mix;

/// Words of a run.
const RUN: usize = 5;
/// Minima of a signature; the share of equal ones is known to within 0.04 (their standard deviation at 0.8).
const MINIMA: usize = 128;
/// Bands of the signature: two documents of which 80 % are the same meet in one of them with a chance of 95 %.
const BANDS: usize = 16;

/// Signatures of what was taken.
#[derive(Default)]
pub(super) struct Near {
    signatures: Vec<[u16; MINIMA]>,
    /// By band and its hash: the first document that had it.
    bands: HashMap<u64, u32>,
}

impl Near {
    /// Whether a text is at least as similar (Jaccard's share of common runs) to one that was taken; if not, it is taken.
    pub(super) fn is_known(&mut self, text: &str, least: f64) -> bool {
        let Some(signature) = signature(text) else { return false };
        let names: Vec<u64> =
            signature.chunks_exact(MINIMA / BANDS).enumerate().map(|(at, band)| name(at, band)).collect();
        let alike = |other: &[u16; MINIMA]| {
            let same = signature.iter().zip(other).filter(|(a, b)| a == b).count();
            same as f64 >= least * MINIMA as f64
        };
        let met = names.iter().filter_map(|name| self.bands.get(name));
        if met.into_iter().any(|&at| self.signatures.get(at as usize).is_some_and(alike)) {
            return true;
        }
        let at = self.signatures.len() as u32;
        names.into_iter().for_each(|name| {
            self.bands.entry(name).or_insert(at);
        });
        self.signatures.push(signature);
        false
    }
}

fn name(at: usize, band: &[u16]) -> u64 {
    band.iter().fold(mix(at as u64), |hash, &minimum| mix(hash ^ u64::from(minimum)))
}

/// An odd factor and a sum: a permutation of all numbers, another one for each minimum.
static TURNS: LazyLock<[(u64, u64); MINIMA]> =
    LazyLock::new(|| std::array::from_fn(|at| (mix(at as u64) | 1, mix(!(at as u64)))));

/// The lowest bits of the least hashes of all runs; `None` for a text shorter than a run.
fn signature(text: &str) -> Option<[u16; MINIMA]> {
    let words: Vec<u64> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(hash).collect();
    let mut least = [u64::MAX; MINIMA];
    for run in words.windows(RUN) {
        let run = run.iter().fold(0, |all, &word| mix(all ^ word));
        for (least, (factor, sum)) in least.iter_mut().zip(&*TURNS) {
            *least = run.wrapping_mul(*factor).wrapping_add(*sum).min(*least);
        }
    }
    (words.len() >= RUN).then(|| least.map(|minimum| mix(minimum) as u16))
}

/// FNV-1a.
fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(from: usize, to: usize) -> String {
        (from..to).map(|i| format!("word{} ", mix(i as u64) % 5000)).collect()
    }

    #[test]
    fn texts_are_known_by_what_they_share() {
        let mut near = Near::default();
        assert!(!near.is_known(&words(0, 400), 0.8));
        assert!(near.is_known(&words(0, 400).replace(' ', "\n\t"), 0.8), "other spaces");
        assert!(near.is_known(&words(20, 400), 0.8), "95 % of it");
        assert!(!near.is_known(&words(200, 600), 0.8), "a third in common");
        assert!(near.is_known(&words(210, 600), 0.8), "the other one was taken");
        assert!(!near.is_known(&words(1000, 1400), 0.8));
        assert!(
            !near.is_known("too short", 0.8) && !near.is_known("too short", 0.8),
            "exact repetition is another check"
        );
    }

    #[test]
    fn the_estimate_is_the_share_of_common_runs() {
        for (from, share) in [(0, 1.0), (40, 0.818), (100, 0.6), (200, 0.333), (400, 0.0)] {
            let (a, b) = (signature(&words(0, 400)).unwrap(), signature(&words(from, 400 + from)).unwrap());
            let same = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / MINIMA as f64;
            // three standard deviations of 128 draws at one half
            assert!((same - share).abs() < 0.133, "{from}: {same}");
        }
    }
}

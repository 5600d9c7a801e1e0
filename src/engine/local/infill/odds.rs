//! From logits to log-probabilities, in two passes over the vocabulary that the compiler turns into vector code.

/// A row of logits with what turns them into log-probabilities.
pub(super) struct Odds<'a> {
    logits: &'a [f32],
    /// log Σ exp(logit).
    total: f32,
}

const LANES: usize = 16;

impl<'a> Odds<'a> {
    pub(super) fn new(logits: &'a [f32]) -> Self {
        let mut most = [f32::NEG_INFINITY; LANES];
        let chunks = logits.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks.clone() {
            for (lane, &logit) in most.iter_mut().zip(chunk) {
                *lane = if logit > *lane { logit } else { *lane };
            }
        }
        let most = rest.iter().chain(&most).copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sums = [0f32; LANES];
        for chunk in chunks {
            for (sum, &logit) in sums.iter_mut().zip(chunk) {
                *sum += exp(logit - most);
            }
        }
        let sum: f32 = sums.iter().sum::<f32>() + rest.iter().map(|&logit| exp(logit - most)).sum::<f32>();
        Self { logits, total: most + sum.ln() }
    }

    /// log P of a token; one outside the vocabulary is impossible.
    pub(super) fn of(&self, token: i32) -> f32 {
        let logit = usize::try_from(token).ok().and_then(|token| self.logits.get(token));
        logit.map_or(f32::NEG_INFINITY, |logit| logit - self.total)
    }

    /// The `n` likeliest tokens, best first, of equal ones the first.
    pub(super) fn best(&self, n: usize) -> Vec<(f32, i32)> {
        self.best_where(n, |_| true)
    }

    /// The `n` likeliest tokens that fit.
    pub(super) fn best_where(&self, n: usize, fits: impl Fn(i32) -> bool) -> Vec<(f32, i32)> {
        let mut best: Vec<(f32, i32)> = Vec::with_capacity(n + 1);
        for (token, &logit) in (0..).zip(self.logits) {
            let least = if best.len() < n { f32::NEG_INFINITY } else { best[n - 1].0 };
            if logit > least && fits(token) {
                let at = best.partition_point(|&(other, _)| other >= logit);
                best.insert(at, (logit, token));
                best.truncate(n);
            }
        }
        best.iter_mut().for_each(|one| one.0 -= self.total);
        best
    }
}

/// e to the power of x ≤ 0, to six digits: 2^(whole part) by the exponent's bits, the rest by a polynomial. Below the
/// smallest normal number it is that number; NaN counts as nothing.
fn exp(x: f32) -> f32 {
    // ln 2 in two parts, of which the first times a whole number is exact: large x keep their digits
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let x = if x > -87.0 { x } else { -87.0 };
    let whole = (x * std::f32::consts::LOG2_E).floor();
    let t = x - whole * LN_2[0] - whole * LN_2[1];
    let high = 1.0 / 24.0 + t * (1.0 / 120.0 + t * (1.0 / 720.0 + t / 5040.0));
    let power = 1.0 + t * (1.0 + t * (0.5 + t * (1.0 / 6.0 + t * high)));
    f32::from_bits(((whole as i32 + 127) << 23).cast_unsigned()) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_e_are_right_to_six_digits() {
        for i in 0..8700 {
            let x = -f64::from(i) / 100.0;
            let error = (f64::from(exp(x as f32)) / (f64::from(x as f32)).exp() - 1.0).abs();
            assert!(error < 1e-6, "{x}: {error}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::NAN) < 1e-37);
    }

    proptest::proptest! {
        #[test]
        fn probabilities_add_up_to_one_and_the_best_are_the_largest(
            logits in proptest::collection::vec(-30f32..30.0, 1..300), n in 1usize..8,
        ) {
            let odds = Odds::new(&logits);
            let sum: f64 = (0..logits.len() as i32).map(|token| f64::from(odds.of(token)).exp()).sum();
            proptest::prop_assert!((sum - 1.0).abs() < 1e-3, "{sum}");
            let mut all: Vec<(f32, i32)> = (0..logits.len() as i32).map(|token| (odds.of(token), token)).collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            all.truncate(n);
            proptest::prop_assert_eq!(odds.best(n), all);
            proptest::prop_assert_eq!(odds.of(-1), f32::NEG_INFINITY);
        }
    }
}

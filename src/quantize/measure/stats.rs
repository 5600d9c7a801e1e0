//! Sums over scored tokens, and what follows from them.

use serde::{Deserialize, Serialize};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sentences.
    Prose,
    /// Source files.
    Code,
    /// Source files with a hole, in the model's own form.
    Fim,
}

impl Kind {
    /// All, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Prose, Self::Code, Self::Fim];

    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prose => "prose",
            Self::Code => "code",
            Self::Fim => "fim",
        }
    }
}

/// What one model made of scored tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Negative log-probabilities of the tokens that came.
    nll: f64,
    nll_squared: f64,
    tokens: u64,
    /// Against the base: divergence at each token.
    kld: Vec<f32>,
    /// The probability of the token that came, minus the base's.
    dp: f64,
    same_top: u64,
}

/// A model's logits before a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    logits: &'a [f32],
    /// Where the largest is.
    top: usize,
    /// What a logit is more than its log-probability.
    norm: f64,
}

impl<'a> Row<'a> {
    pub(crate) fn new(logits: &'a [f32]) -> Self {
        let mut top = (0, f32::NEG_INFINITY);
        for (at, &logit) in logits.iter().enumerate() {
            if logit > top.1 {
                top = (at, logit);
            }
        }
        let sum: f64 = logits.iter().map(|&logit| f64::from((logit - top.1).exp())).sum();
        Self { logits, top: top.0, norm: f64::from(top.1) + sum.ln() }
    }

    fn log(&self, token: usize) -> f64 {
        self.logits.get(token).map_or(f64::NAN, |&logit| f64::from(logit) - self.norm)
    }
}

impl Tally {
    /// Takes a token in: a model's row before it, and the base's, if this is not the base.
    pub(crate) fn take(&mut self, row: &Row<'_>, base: Option<&Row<'_>>, token: usize) {
        let own = row.log(token);
        self.nll -= own;
        self.nll_squared += own * own;
        self.tokens += 1;
        let Some(base) = base else { return };
        let mut divergence = 0.0;
        for (&p, &q) in base.logits.iter().zip(row.logits) {
            let p_log = f64::from(p) - base.norm;
            // What is less likely than e^-30 adds nothing that could be seen.
            if p_log > -30.0 {
                divergence += p_log.exp() * (p_log - f64::from(q) + row.norm);
            }
        }
        self.kld.push(divergence as f32);
        self.dp += own.exp() - base.log(token).exp();
        self.same_top += u64::from(row.top == base.top);
    }

    /// Adds what another thread counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.nll += other.nll;
        self.nll_squared += other.nll_squared;
        self.tokens += other.tokens;
        self.kld.extend(&other.kld);
        self.dp += other.dp;
        self.same_top += other.same_top;
    }

    /// How well the text was foreseen; `None` without tokens.
    pub(crate) fn scores(&self) -> Option<Scores> {
        let n = self.tokens as f64;
        if self.tokens < 2 {
            return None;
        }
        let mean = self.nll / n;
        let spread = (self.nll_squared / n - mean * mean).max(0.0);
        let ppl = mean.exp();
        Some(Scores { tokens: self.tokens, ppl, ppl_err: (spread / (n - 1.0)).sqrt() * ppl })
    }

    /// How far from the base it is; `None` for the base.
    pub(crate) fn compared(&self) -> Option<Compared> {
        let mut sorted = self.kld.clone();
        sorted.sort_by(f32::total_cmp);
        let n = sorted.len();
        let last = f64::from(*sorted.last()?);
        // Between the two nearest values, as llama.cpp does.
        let quantile = |part: f64| {
            let place = part * (n - 1) as f64;
            let at = |i: usize| sorted.get(i.min(n - 1)).map_or(0.0, |&value| f64::from(value));
            let low = place.floor() as usize;
            at(low) + (place - place.floor()) * (at(low + 1) - at(low))
        };
        Some(Compared {
            kld_mean: sorted.iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64,
            kld_median: quantile(0.5),
            kld_p99: quantile(0.99),
            kld_max: last,
            top1: self.same_top as f64 / n as f64,
            dp_mean: self.dp / n as f64,
        })
    }
}

/// How well a text was foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Tokens that were scored.
    pub tokens: u64,
    /// Perplexity.
    pub ppl: f64,
    /// Its standard error.
    pub ppl_err: f64,
}

/// How far a model is from its base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Mean Kullback-Leibler divergence from the base, in nats.
    pub kld_mean: f64,
    /// Its median.
    pub kld_median: f64,
    /// What 99 % of tokens stay below.
    pub kld_p99: f64,
    /// The largest.
    pub kld_max: f64,
    /// Share of tokens where both would choose the same.
    pub top1: f64,
    /// Mean change of the probability of the token that came.
    pub dp_mean: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_does_not_diverge_from_itself() {
        let row: Vec<f32> = (0..1000).map(|n| ((n * 37) % 101) as f32 / 10.0).collect();
        let mut tally = Tally::default();
        for token in 0..50 {
            tally.take(&Row::new(&row), Some(&Row::new(&row)), token);
        }
        let compared = tally.compared().unwrap();
        assert!(compared.kld_max.abs() < 1e-6 && compared.dp_mean.abs() < 1e-12, "{compared:?}");
        assert_eq!(compared.top1, 1.0);
    }

    #[test]
    fn scores_are_those_of_the_definition() {
        // Two tokens of probability 1/4 and 3/4: the geometric mean of 4 and 4/3.
        let row = [1f32.ln(), 3f32.ln()];
        let mut tally = Tally::default();
        let (row, even) = (Row::new(&row), Row::new(&[0.0, 0.0]));
        tally.take(&row, Some(&even), 0);
        tally.take(&row, Some(&even), 1);
        let (scores, compared) = (tally.scores().unwrap(), tally.compared().unwrap());
        assert!((scores.ppl - (16f64 / 3.0).sqrt()).abs() < 1e-6, "{scores:?}");
        // ½ ln(½/¼) + ½ ln(½/¾)
        let want = 0.5 * 2f64.ln() + 0.5 * (2f64 / 3.0).ln();
        assert!((compared.kld_mean - want).abs() < 1e-6 && (compared.kld_median - want).abs() < 1e-6);
        assert!(compared.dp_mean.abs() < 1e-7, "one is a quarter less, the other a quarter more");
        assert!(Tally::default().scores().is_none() && Tally::default().compared().is_none());
    }

    #[test]
    fn quantiles_lie_between_the_nearest_values() {
        let tally = Tally { kld: (0..=100).map(|n| n as f32).collect(), ..Tally::default() };
        let compared = tally.compared().unwrap();
        assert_eq!((compared.kld_median, compared.kld_p99, compared.kld_max), (50.0, 99.0, 100.0));
    }
}

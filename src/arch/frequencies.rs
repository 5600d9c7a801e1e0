//! Rotary frequencies as configurations stretch them, and what they ask for.

use std::f64::consts::PI;

/// How positions are stretched when they become angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stretching {
    /// All frequencies by one factor; 1 where positions are as they are.
    Linear(f64),
    /// As Llama 3.1 does.
    Llama3(Llama3Scaling),
    /// YaRN, arXiv 2309.00071.
    Yarn(YarnScaling),
}

impl Stretching {
    /// Frequencies of a head of so many numbers, in radians for a position.
    pub fn frequencies(&self, theta: f64, head: usize) -> Vec<f32> {
        // in f32 as PyTorch does, so that angles agree to the bit
        let plain = |i: usize| 1.0 / (theta as f32).powf(2.0 * i as f32 / head as f32);
        let all = 0..head / 2;
        match self {
            Self::Linear(factor) => all.map(|i| plain(i) / *factor as f32).collect(),
            Self::Llama3(scaling) => {
                all.map(plain).zip(scaling.factors(head as u32)).map(|(plain, factor)| plain / factor).collect()
            }
            Self::Yarn(scaling) => {
                let shares = scaling.kept(theta, head);
                let mixed = |(plain, kept): (f32, f32)| plain / scaling.factor as f32 * (1.0 - kept) + plain * kept;
                all.map(plain).zip(shares).map(mixed).collect()
            }
        }
    }

    /// What cosines and sines are multiplied by, which scales attention by its square.
    pub fn scale(&self) -> f32 {
        match self {
            Self::Linear(_) | Self::Llama3(_) => 1.0,
            Self::Yarn(scaling) => scaling.attention as f32,
        }
    }
}

/// What Llama 3.1's scaling of frequencies is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// The base of positions.
    pub theta: f32,
    /// By how much long waves are stretched.
    pub factor: f32,
    /// Waves longer than the old context over this are long.
    pub low: f32,
    /// Waves shorter than the old context over this are short.
    pub high: f32,
    /// Tokens of the context before it was made longer.
    pub original: f32,
}

impl Llama3Scaling {
    /// Out of the numbers that a configuration has, with the library's defaults.
    pub fn of(theta: f64, number: impl Fn(&str) -> Option<f64>) -> Self {
        let number = |key: &str, default: f64| number(key).unwrap_or(default) as f32;
        Self {
            theta: theta as f32,
            factor: number("factor", 8.0),
            low: number("low_freq_factor", 1.0),
            high: number("high_freq_factor", 4.0),
            original: number("original_max_position_embeddings", 8192.0),
        }
    }

    /// One factor for each frequency of a head: long waves are stretched, short ones are not, those between in part.
    pub fn factors(&self, head: u32) -> Vec<f32> {
        let &Self { theta, factor, low, high, original } = self;
        let of = |n: u32| {
            // In the order of the reference, where a quotient is a product with the inverse.
            let power = f64::from(theta).powf(f64::from(n as f32 / head as f32)) as f32;
            let frequency = power.recip();
            let wave = frequency.recip() * (2.0 * PI) as f32;
            if wave < original / high {
                1.0
            } else if wave > original / low {
                factor
            } else {
                let smooth = (wave.recip() * original - low) / (high - low);
                ((1.0 - smooth) / factor + smooth).recip()
            }
        };
        (0..head).step_by(2).map(of).collect()
    }
}

/// What YaRN is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YarnScaling {
    /// By how much long waves are stretched.
    pub factor: f64,
    /// Tokens of the context before it was made longer.
    pub original: f64,
    /// Waves that turn so often within the old context are not stretched.
    pub fast: f64,
    /// Waves that turn only so often within it are stretched whole.
    pub slow: f64,
    /// Whether the bounds between are whole numbers.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub attention: f64,
}

impl YarnScaling {
    /// Out of the numbers that a configuration has, with the library's defaults; `context` is the whole model's.
    pub fn of(context: f64, truncate: bool, number: impl Fn(&str) -> Option<f64>) -> Self {
        let factor = number("factor").unwrap_or(1.0);
        Self {
            factor,
            original: number("original_max_position_embeddings").unwrap_or(context),
            fast: number("beta_fast").unwrap_or(32.0),
            slow: number("beta_slow").unwrap_or(1.0),
            truncate,
            attention: Self::attention(factor, number),
        }
    }

    /// What cosines and sines are multiplied by (transformers' `_compute_yarn_parameters` in `modeling_rope_utils.py`).
    pub fn attention(factor: f64, number: impl Fn(&str) -> Option<f64>) -> f64 {
        let scale = |of: f64| Self::usual_attention(factor, of);
        let some = |key: &str| number(key).filter(|&m| m != 0.0);
        let pair = some("mscale").zip(some("mscale_all_dim"));
        let said = number("attention_factor").or(pair.map(|(one, all)| scale(one) / scale(all)));
        said.unwrap_or_else(|| scale(1.0))
    }

    /// The same where nothing is said, to a power of `of`.
    pub fn usual_attention(factor: f64, of: f64) -> f64 {
        if factor <= 1.0 { 1.0 } else { 0.1 * of * factor.ln() + 1.0 }
    }

    /// How much of each frequency of a head is not stretched.
    fn kept(&self, theta: f64, head: usize) -> Vec<f32> {
        let bound = |turns: f64| head as f64 * (self.original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
        let (low, high) = (bound(self.fast), bound(self.slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(head as f64 - 1.0));
        let width = if low == high { 0.001 } else { high - low };
        (0..head / 2).map(|i| 1.0 - ((i as f64 - low) / width).clamp(0.0, 1.0) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said = &'static [(&'static str, f64)];

    fn numbers(all: Said) -> impl Fn(&str) -> Option<f64> {
        move |key: &str| all.iter().find(|(name, _)| *name == key).map(|(_, number)| *number)
    }

    #[test]
    fn short_waves_stay_and_long_ones_are_stretched() {
        let plain = Stretching::Linear(1.0).frequencies(1e4, 64);
        let half = Stretching::Linear(2.0).frequencies(1e4, 64);
        assert!(plain[0] == 1.0 && plain.iter().zip(&half).all(|(plain, half)| *half == plain / 2.0));
        let (factor, whole): (Said, Said) =
            (&[("factor", 4.0)], &[("factor", 4.0), ("original_max_position_embeddings", 256.0)]);
        let llama3 = Stretching::Llama3(Llama3Scaling::of(1e4, numbers(whole)));
        let yarn = Stretching::Yarn(YarnScaling::of(256.0, true, numbers(factor)));
        assert_eq!(yarn, Stretching::Yarn(YarnScaling::of(1e6, true, numbers(whole))));
        for stretching in [llama3, yarn] {
            let all = stretching.frequencies(1e4, 64);
            assert_eq!((all.len(), all[0]), (32, 1.0), "{stretching:?}");
            assert!((all[31] * 4.0 / plain[31] - 1.0).abs() < 1e-6, "{stretching:?}");
            let ratios: Vec<f32> = plain.iter().zip(&all).map(|(plain, new)| plain / new).collect();
            assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] * 1.000_001), "{ratios:?}");
            assert!(ratios.iter().any(|&ratio| ratio > 1.1 && ratio < 3.9), "{ratios:?}");
        }
        assert_eq!(llama3.scale(), 1.0);
        assert!((f64::from(yarn.scale()) - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-6);
    }

    #[test]
    fn the_scale_of_attention_is_what_is_said() {
        let of = |all: Said| YarnScaling::attention(4.0, numbers(all));
        assert_eq!(of(&[("attention_factor", 1.5), ("mscale", 2.0)]), 1.5);
        assert_eq!(of(&[("mscale", 1.0), ("mscale_all_dim", 1.0)]), 1.0);
        assert_eq!(of(&[("mscale", 1.0), ("mscale_all_dim", 0.0)]), of(&[]));
        assert_eq!(YarnScaling::attention(1.0, numbers(&[])), 1.0);
    }
}

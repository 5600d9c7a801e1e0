//! Factors of rotary frequencies that are computed from a configuration.

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
    /// One factor for each frequency of a head: long waves are stretched, short ones are not, those between in part.
    pub fn factors(&self, head: u32) -> Vec<f32> {
        let &Self { theta, factor, low, high, original } = self;
        let of = |n: u32| {
            // In the order of the reference, where a quotient is a product with the inverse.
            let power = f64::from(theta).powf(f64::from(n as f32 / head as f32)) as f32;
            let frequency = power.recip();
            let wave = frequency.recip() * (2.0 * std::f64::consts::PI) as f32;
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

//! Methods whose result is a sum of the inputs with factors that depend on their lengths and angles alone. One look gives
//! every product of two inputs; the rest is arithmetic with a small matrix.

use super::{Block, Found, Kernel, Method, Scratch, Tally, Told, add, combine, dot, room};

/// The products of inputs (or of their differences to the base) with each other.
struct Gram {
    count: usize,
    products: Vec<f64>,
}

impl Gram {
    fn at(&self, i: usize, j: usize) -> f64 {
        self.products.get(i * self.count + j).copied().unwrap_or(0.0)
    }

    fn norm(&self, i: usize) -> f64 {
        self.at(i, i).max(0.0).sqrt()
    }

    /// `⟨Σ a·v, Σ b·v⟩`
    fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        let rows = a.iter().enumerate();
        rows.map(|(i, a)| b.iter().enumerate().map(|(j, b)| a * b * self.at(i, j)).sum::<f64>()).sum()
    }
}

/// One of these methods at work.
pub(super) struct Span {
    method: Method,
    told: Told,
    /// Inputs that count, by number.
    inputs: Vec<usize>,
    /// What they are differences from.
    base: Option<usize>,
    /// Every input's factor, the base's too.
    factors: Vec<(usize, f64)>,
}

impl Span {
    pub(super) fn new(method: Method, told: &Told) -> Self {
        let (inputs, base) = match (method, told.base) {
            // From the base to the other one; differences play no part.
            (Method::Slerp, Some(base)) => (std::iter::once(base).chain(told.others()).collect(), None),
            (Method::Karcher, _) => ((0..told.inputs.len()).collect(), None),
            (_, base) => (told.others(), base),
        };
        Self { method, told: told.clone(), inputs, base, factors: Vec::new() }
    }

    fn weights(&self) -> Vec<f64> {
        self.inputs.iter().map(|&at| self.told.of(at, "weight").unwrap_or(0.0)).collect()
    }

    fn factors(&self, gram: &Gram) -> Result<Vec<f64>, String> {
        let count = gram.count;
        match self.method {
            Method::Slerp => Ok(slerp(gram, self.told.number("t"), self.told.number("lerp_above")).to_vec()),
            Method::Nuslerp => {
                let weights = self.weights();
                Ok(between(gram.at(0, 0), gram.at(1, 1), gram.at(0, 1), share(&weights)).to_vec())
            }
            Method::ModelStock => {
                let t = stock(count, |i, j| gram.at(i, j));
                Ok(vec![t / count as f64; count])
            }
            Method::Karcher => Ok(karcher(gram, self.told.number("max_iter") as usize, self.told.number("tol"))),
            _ if count == 1 => Ok(vec![1.0]),
            _ => {
                let mut weights = self.weights();
                if self.told.truth("normalize_weights") {
                    let sum: f64 = weights.iter().sum();
                    weights.iter_mut().for_each(|weight| *weight /= sum);
                }
                multislerp(gram, &weights, self.told.number("eps"))
            }
        }
    }
}

impl Kernel for Span {
    fn looks(&self) -> usize {
        1
    }

    fn look(&self, _: usize, block: &Block<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        let count = self.inputs.len();
        if let Some(base) = self.base {
            for (at, &input) in self.inputs.iter().enumerate() {
                let delta = room(&mut scratch.numbers, at, block.input(input).len());
                let both = block.input(input).iter().zip(block.input(base));
                delta.iter_mut().zip(both).for_each(|(to, (a, b))| *to = a - b);
            }
        }
        let vector = |at: usize| match self.base {
            Some(_) => scratch.numbers.get(at).map_or(&[][..], Vec::as_slice),
            None => block.input(self.inputs.get(at).copied().unwrap_or(0)),
        };
        for i in 0..count {
            for j in i..count {
                add(&mut tally.sums, i * count + j, dot(vector(i), vector(j)));
            }
        }
        tally.sums.resize(count * count, 0.0);
    }

    fn conclude(&mut self, _: usize, found: Found) -> Result<(), String> {
        let count = self.inputs.len();
        let mut gram = Gram { count, products: found.sums };
        gram.products.resize(count * count, 0.0);
        for i in 0..count {
            for j in 0..i {
                gram.products[i * count + j] = gram.products[j * count + i];
            }
        }
        let factors = self.factors(&gram)?;
        // `base + Σ f·(x - base)`
        let rest = 1.0 - factors.iter().sum::<f64>();
        self.factors = self.inputs.iter().copied().zip(factors).chain(self.base.map(|base| (base, rest))).collect();
        Ok(())
    }

    fn blend(&self, block: &Block<'_>, _: &mut Scratch, out: &mut [f32]) {
        let terms: Vec<_> = self.factors.iter().map(|&(input, factor)| (factor, block.input(input))).collect();
        combine(&terms, out);
    }
}

/// Weights of two to the second one's share.
pub(super) fn share(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    if sum.abs() < 1e-6 { 0.5 } else { weights.get(1).copied().unwrap_or(0.0) / sum }
}

/// Factors of two vectors on the way from one to the other on the sphere (Shoemake 1985), straight where it is almost so.
fn slerp(gram: &Gram, t: f64, straight: f64) -> [f64; 2] {
    let norm = |i: usize| Some(gram.norm(i)).filter(|&norm| norm > 1e-8).unwrap_or(1.0);
    let dot = (gram.at(0, 1) / (norm(0) * norm(1))).clamp(-1.0, 1.0);
    if dot.abs() > straight {
        return [1.0 - t, t];
    }
    let theta = dot.acos();
    [((1.0 - t) * theta).sin() / theta.sin(), (t * theta).sin() / theta.sin()]
}

/// NuSLERP's: straight only where the two are exactly parallel.
pub(super) fn between(aa: f64, bb: f64, ab: f64, t: f64) -> [f64; 2] {
    let norm = |square: f64| square.max(0.0).sqrt().max(1e-7);
    let cos = (ab / (norm(aa) * norm(bb))).clamp(-1.0, 1.0);
    // mergekit's 1e-8 squared is nothing in f32, where the cosine is one.
    if 1.0 - cos * cos <= f64::from(f32::EPSILON) * 0.5 {
        return [1.0 - t, t];
    }
    let theta = cos.acos();
    [((1.0 - t) * theta).sin() / theta.sin(), (t * theta).sin() / theta.sin()]
}

/// Model Stock's interpolation ratio for `count` fine-tuned models (arXiv 2403.19522, equation 5): the mean cosine between
/// their differences to the base decides how far to go.
pub(super) fn stock(count: usize, product: impl Fn(usize, usize) -> f64) -> f64 {
    let mut cosines = Vec::new();
    for i in 0..count {
        for j in i + 1..count {
            let norms = (product(i, i).max(0.0) * product(j, j).max(0.0)).sqrt().max(1e-6);
            cosines.push((product(i, j) / norms).clamp(-1.0, 1.0));
        }
    }
    let cos = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    let below = 1.0 + (count as f64 - 1.0) * cos;
    if below.abs() < 1e-6 { 0.0 } else { count as f64 * cos / below }
}

/// The weighted mean on the sphere: walk against the gradient in the tangent space (arXiv 2603.04972; Buss & Fillmore 2001).
fn karcher(gram: &Gram, most: usize, tolerance: f64) -> Vec<f64> {
    let count = gram.count;
    if count == 1 {
        return vec![1.0];
    }
    let share = 1.0 / count as f64;
    let valid: Vec<usize> = (0..count).filter(|&i| gram.norm(i) > tolerance).collect();
    let Some(&first) = valid.first() else { return vec![0.0; count] };
    let alpha = 1.0 / valid.len() as f64;
    // The unit vectors as factors of the inputs.
    let unit = |i: usize| {
        let mut factors = vec![0.0; count];
        factors[i] = 1.0 / gram.norm(i);
        factors
    };
    let norm = |factors: &[f64]| gram.product(factors, factors).max(0.0).sqrt();
    let mut mean = vec![0.0; count];
    for &i in &valid {
        mean[i] += alpha / gram.norm(i);
    }
    let length = norm(&mean);
    if length < tolerance {
        mean = unit(first);
    } else {
        mean.iter_mut().for_each(|factor| *factor /= length);
    }
    for _ in 0..most {
        let mut tangent = vec![0.0; count];
        for &i in &valid {
            let unit = unit(i);
            let cos = gram.product(&mean, &unit).clamp(-1.0, 1.0);
            let theta = cos.acos();
            if theta < tolerance {
                continue;
            }
            for ((to, unit), mean) in tangent.iter_mut().zip(&unit).zip(&mean) {
                *to += alpha * theta / theta.sin() * (unit - cos * mean);
            }
        }
        let length = norm(&tangent);
        if length < tolerance {
            break;
        }
        for (mean, tangent) in mean.iter_mut().zip(&tangent) {
            *mean = length.cos() * *mean + length.sin() * tangent / length;
        }
        let length = norm(&mean);
        if length > tolerance {
            mean.iter_mut().for_each(|factor| *factor /= length);
        }
    }
    let scale: f64 = (0..count).map(|i| share * gram.norm(i)).sum();
    mean.into_iter().map(|factor| scale * factor).collect()
}

/// Interpolation between any number of points on a sphere: in the tangent space at their weighted mean, and back.
fn multislerp(gram: &Gram, weights: &[f64], eps: f64) -> Result<Vec<f64>, String> {
    let count = gram.count;
    let norms: Vec<f64> = (0..count).map(|i| gram.norm(i)).collect();
    let mut mean: Vec<f64> = (0..count).map(|i| weights[i] / (norms[i] + eps)).collect();
    let length = gram.product(&mean, &mean).max(0.0).sqrt();
    if length < eps {
        let why = "the weighted sum of the models is zero, which is no direction; other weights help";
        return if count == 2 { Ok(weights.to_vec()) } else { Err(why.to_owned()) };
    }
    mean.iter_mut().for_each(|factor| *factor /= length);
    let mut tangent = vec![0.0; count];
    for i in 0..count {
        let mut unit = vec![0.0; count];
        unit[i] = 1.0 / (norms[i] + eps);
        let along = gram.product(&unit, &mean);
        for ((to, unit), mean) in tangent.iter_mut().zip(&unit).zip(&mean) {
            *to += weights[i] * (unit - along * mean);
        }
    }
    let length = gram.product(&tangent, &tangent).max(0.0).sqrt() + eps;
    let scale: f64 = norms.iter().zip(weights).map(|(norm, weight)| norm * weight).sum();
    let both = mean.iter().zip(&tangent);
    Ok(both.map(|(mean, tangent)| scale * (mean * length.cos() + tangent * length.sin() / length)).collect())
}

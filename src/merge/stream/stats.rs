//! What a tensor of the result looks like beside its parents.

use serde::{Deserialize, Serialize};

use crate::merge::method::dot;

/// Facts of one tensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Its name.
    pub tensor: String,
    /// Its length as a vector.
    pub norm: f64,
    /// The cosine to each parent, in the plan's order of inputs.
    pub cosine: Vec<f64>,
    /// How far it lies from the base (or from the first parent where there is none), as a share of that one's length.
    pub change: f64,
    /// The share of numbers that are zero.
    pub zeros: f64,
    /// The share of numbers that are the base's (or the first parent's).
    pub unchanged: f64,
}

/// Sums on the way there.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    own: f64,
    with: Vec<f64>,
    parents: Vec<f64>,
    zeros: u64,
    unchanged: u64,
    change: f64,
    elements: u64,
}

impl Sums {
    /// Adds a block; `base` is the parent that changes are counted from.
    pub(super) fn block(&mut self, out: &[f32], inputs: &[Vec<f32>], base: usize) {
        self.own += dot(out, out);
        self.with.resize(inputs.len(), 0.0);
        self.parents.resize(inputs.len(), 0.0);
        for ((with, own), input) in self.with.iter_mut().zip(&mut self.parents).zip(inputs) {
            *with += dot(out, input);
            *own += dot(input, input);
        }
        self.elements += out.len() as u64;
        self.zeros += u64::from(out.iter().map(|&number| u32::from(number == 0.0)).sum::<u32>());
        if let Some(base) = inputs.get(base) {
            self.unchanged += u64::from(out.iter().zip(base).map(|(a, b)| u32::from(a == b)).sum::<u32>());
            self.change += distance(out, base);
        }
    }

    /// Adds what another slab found.
    pub(super) fn add(&mut self, other: &Self) {
        self.with.resize(other.with.len().max(self.with.len()), 0.0);
        self.parents.resize(other.parents.len().max(self.parents.len()), 0.0);
        self.with.iter_mut().zip(&other.with).for_each(|(to, more)| *to += more);
        self.parents.iter_mut().zip(&other.parents).for_each(|(to, more)| *to += more);
        self.own += other.own;
        self.change += other.change;
        self.zeros += other.zeros;
        self.unchanged += other.unchanged;
        self.elements += other.elements;
    }

    pub(super) fn end(&self, tensor: &str, base: usize) -> Stats {
        let cosine = |(with, own): (&f64, &f64)| {
            let norms = (self.own * own).sqrt();
            if norms > 0.0 { (with / norms).clamp(-1.0, 1.0) } else { 0.0 }
        };
        let share = |count: u64| count as f64 / self.elements.max(1) as f64;
        let length = self.parents.get(base).copied().unwrap_or(0.0).sqrt();
        Stats {
            tensor: tensor.to_owned(),
            norm: self.own.sqrt(),
            cosine: self.with.iter().zip(&self.parents).map(cosine).collect(),
            change: if length > 0.0 { self.change.sqrt() / length } else { 0.0 },
            zeros: share(self.zeros),
            unchanged: share(self.unchanged),
        }
    }
}

/// `Σ (a-b)²`
fn distance(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 32;
    let mut total = 0.0;
    for (a, b) in a.chunks(2048).zip(b.chunks(2048)) {
        let mut lanes = [0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                lanes[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        total += a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>();
    }
    total
}

//! How tensors of several models become one. Each method is written from its paper; where mergekit's numbers differ,
//! mergekit's are followed, and `rescale_by` and `lerp_above` give the paper's.
//!
//! A method sees a tensor as blocks of numbers that lie at the same place in every model. Some look at all blocks once or
//! twice before they can write one: norms, angles, the threshold of the largest so many. What this refuses to do: hold a
//! tensor, or depend on how many threads there are.

mod angles;
mod fusion;
mod mean;
mod nearswap;
mod random;
mod ranks;
mod select;
mod spans;
mod spec;
mod stock;
mod task;
mod trim;
mod variance;

pub use random::seed;
pub use spec::{Base, Contract, Kind, Otherwise, Parameter, Scope, check};

use super::recipe::Scalar;
use std::collections::BTreeMap;

macro_rules! methods {
    ($($variant:ident = $name:literal, $paper:literal;)*) => {
        /// A way of merging.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Method { $($variant,)* }

        impl Method {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As recipes spell it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Where it is described.
            pub fn paper(self) -> &'static str {
                match self { $(Self::$variant => $paper,)* }
            }
        }
    };
}

methods! {
    Linear = "linear", "https://arxiv.org/abs/2203.05482";
    Slerp = "slerp", "https://doi.org/10.1145/325334.325242";
    Nuslerp = "nuslerp", "https://doi.org/10.1145/325334.325242";
    Multislerp = "multislerp", "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea";
    Karcher = "karcher", "https://arxiv.org/abs/2603.04972";
    TaskArithmetic = "task_arithmetic", "https://arxiv.org/abs/2212.04089";
    Ties = "ties", "https://arxiv.org/abs/2306.01708";
    DareLinear = "dare_linear", "https://arxiv.org/abs/2311.03099";
    DareTies = "dare_ties", "https://arxiv.org/abs/2311.03099";
    Breadcrumbs = "breadcrumbs", "https://arxiv.org/abs/2312.06795";
    BreadcrumbsTies = "breadcrumbs_ties", "https://arxiv.org/abs/2312.06795";
    Della = "della", "https://arxiv.org/abs/2406.11617";
    DellaLinear = "della_linear", "https://arxiv.org/abs/2406.11617";
    Sce = "sce", "https://arxiv.org/abs/2408.07990";
    ModelStock = "model_stock", "https://arxiv.org/abs/2403.19522";
    Nearswap = "nearswap", "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001";
    ArceeFusion = "arcee_fusion", "https://arcee.ai";
    Passthrough = "passthrough", "https://arxiv.org/abs/2312.15166";
}

impl Method {
    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.name() == name)
    }

    /// Whether chance plays a part.
    pub fn is_random(self) -> bool {
        matches!(self, Self::DareLinear | Self::DareTies | Self::Della | Self::DellaLinear)
    }
}

/// What a method was told for one tensor; every parameter it has is in here unless it may be left out.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Shared parameters by name.
    pub shared: BTreeMap<&'static str, Scalar>,
    /// Parameters of each model, in the order of the inputs.
    pub inputs: Vec<BTreeMap<&'static str, Scalar>>,
    /// Which input is the base, for methods that have one.
    pub base: Option<usize>,
    /// Where chance begins, for this tensor.
    pub seed: u64,
    /// Elements in each dimension.
    pub shape: Vec<u64>,
}

fn number(value: Option<&Scalar>) -> Option<f64> {
    match value? {
        Scalar::Number(number) => Some(*number),
        Scalar::Bool(value) => Some(f64::from(u8::from(*value))),
        Scalar::Text(text) => text.parse().ok(),
    }
}

impl Told {
    fn number(&self, name: &str) -> f64 {
        number(self.shared.get(name)).unwrap_or(0.0)
    }

    fn truth(&self, name: &str) -> bool {
        self.number(name) != 0.0
    }

    fn word(&self, name: &str) -> &str {
        match self.shared.get(name) {
            Some(Scalar::Text(text)) => text,
            _ => "",
        }
    }

    /// A parameter of an input, where it has one.
    fn of(&self, input: usize, name: &str) -> Option<f64> {
        number(self.inputs.get(input)?.get(name))
    }

    /// Inputs that are not the base, by number.
    fn others(&self) -> Vec<usize> {
        (0..self.inputs.len()).filter(|&at| self.base != Some(at)).collect()
    }

    /// A parameter of each input that is not the base.
    fn of_others(&self, name: &str) -> Vec<f64> {
        self.others().into_iter().map(|at| self.of(at, name).unwrap_or(0.0)).collect()
    }

    /// Whether some input was told this parameter.
    pub fn has(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.contains_key(name))
    }

    fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of the last dimension: what a row is.
    fn columns(&self) -> usize {
        self.shape.last().map_or(1, |&columns| columns as usize).max(1)
    }
}

/// Numbers that lie at the same place in every model.
#[derive(Debug)]
pub struct Block<'a> {
    /// One slice of numbers for each model, all of the same length.
    pub inputs: &'a [Vec<f32>],
    /// The first number's place in the tensor.
    pub start: u64,
    /// The slab that the block is a part of; blocks of one slab come one after the other.
    pub slab: usize,
}

impl Block<'_> {
    fn input(&self, at: usize) -> &[f32] {
        self.inputs.get(at).map_or(&[], Vec::as_slice)
    }
}

/// What a look at one slab found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sums, added up slab by slab in order.
    pub sums: Vec<f64>,
    /// Counts.
    pub counts: Vec<u32>,
}

/// What a look at all slabs found.
#[derive(Debug, Default)]
pub struct Found {
    /// Sums over all.
    pub sums: Vec<f64>,
    /// Counts over all.
    pub counts: Vec<u64>,
    /// Counts of each slab that are not zero, for methods that ask for them.
    pub slabs: Vec<Vec<(u32, u32)>>,
}

/// What is kept from block to block of one slab, and room to work in.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Numbers, one vector for each use.
    pub numbers: Vec<Vec<f32>>,
    /// Counters; empty when a slab begins.
    pub cursor: Vec<u64>,
}

/// A method at work on one tensor.
pub trait Kernel: Send + Sync {
    /// Whether blocks must be whole rows.
    fn wants_rows(&self) -> bool {
        false
    }

    /// How often all blocks are looked at before the first can be written.
    fn looks(&self) -> usize {
        0
    }

    /// Looks at a block.
    fn look(&self, _round: usize, _block: &Block<'_>, _scratch: &mut Scratch, _tally: &mut Tally) {}

    /// Whether counts are wanted slab by slab after this look.
    fn by_slab(&self, _round: usize) -> bool {
        false
    }

    /// Draws its conclusions from a look.
    ///
    /// # Errors
    /// What was found cannot be merged.
    fn conclude(&mut self, _round: usize, _found: Found) -> Result<(), String> {
        Ok(())
    }

    /// Writes a block.
    fn blend(&self, block: &Block<'_>, scratch: &mut Scratch, out: &mut [f32]);
}

impl Method {
    /// Whether what a method was told makes sense taken together.
    ///
    /// # Errors
    /// Weights that sum to zero where they are divided by their sum; chances that leave [0, 1].
    pub fn judge(self, told: &Told) -> Result<(), String> {
        let weights: Vec<f64> = match self.contract().base {
            Base::Ignored => (0..told.inputs.len()).filter_map(|at| told.of(at, "weight")).collect(),
            Base::Needed | Base::Optional => told.others().into_iter().filter_map(|at| told.of(at, "weight")).collect(),
        };
        let divides = match self {
            Self::Linear => told.truth("normalize"),
            Self::Nuslerp => true,
            Self::Multislerp => told.truth("normalize_weights"),
            _ => told.truth("normalize"),
        };
        if divides && !weights.is_empty() && weights.iter().sum::<f64>().abs() < 1e-6 {
            return Err(format!("the weights {weights:?} sum to zero, and are to be divided by their sum"));
        }
        if matches!(self, Self::Della | Self::DellaLinear) {
            for at in told.others() {
                let (density, epsilon) = (told.of(at, "density").unwrap_or(1.0), told.of(at, "epsilon").unwrap_or(0.0));
                let inside = density + epsilon < 1.0 && density - epsilon > 0.0;
                if density > 0.0 && density < 1.0 && !inside {
                    return Err(format!(
                        "`density` {density} and `epsilon` {epsilon} give chances outside (0, 1); a smaller `epsilon` helps"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Sets to work on one tensor.
    pub fn kernel(self, told: &Told) -> Box<dyn Kernel> {
        match self {
            Self::Linear => Box::new(mean::Mean::new(told)),
            Self::Passthrough => Box::new(mean::Scaled::new(told)),
            Self::Nearswap => Box::new(nearswap::Nearswap::new(told)),
            Self::ArceeFusion => Box::new(fusion::Fusion::new(told)),
            Self::Sce => Box::new(variance::Sce::new(told)),
            Self::Nuslerp if !told.truth("nuslerp_flatten") => Box::new(angles::Angles::new(told)),
            Self::ModelStock if told.truth("filter_wise") => Box::new(stock::Filters::new(told)),
            Self::Slerp | Self::Nuslerp | Self::Multislerp | Self::Karcher | Self::ModelStock => {
                Box::new(spans::Span::new(self, told))
            }
            Self::TaskArithmetic
            | Self::Ties
            | Self::DareLinear
            | Self::DareTies
            | Self::Breadcrumbs
            | Self::BreadcrumbsTies
            | Self::Della
            | Self::DellaLinear => Box::new(task::Task::new(self, told)),
        }
    }
}

/// A vector of this length to work in, its content of no meaning.
fn room(numbers: &mut Vec<Vec<f32>>, at: usize, length: usize) -> &mut Vec<f32> {
    if numbers.len() <= at {
        numbers.resize_with(at + 1, Vec::new);
    }
    let vector = &mut numbers[at];
    vector.resize(length, 0.0);
    vector
}

/// `Σ a·b`, in lanes that the compiler turns into vectors, added up in `f64` often enough to lose nothing.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 32;
    const STEP: usize = 2048;
    let mut total = 0.0;
    for (a, b) in a.chunks(STEP).zip(b.chunks(STEP)) {
        let mut lanes = [0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for lane in 0..LANES {
                lanes[lane] += a[lane] * b[lane];
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        total += a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    }
    total
}

/// `Σ |a|`, in the same way.
fn absolute(a: &[f32]) -> f64 {
    const LANES: usize = 32;
    const STEP: usize = 2048;
    let mut total = 0.0;
    for a in a.chunks(STEP) {
        let mut lanes = [0f32; LANES];
        let (a, rest) = a.as_chunks::<LANES>();
        for a in a {
            for lane in 0..LANES {
                lanes[lane] += a[lane].abs();
            }
        }
        total += lanes.iter().chain(rest).map(|&lane| f64::from(lane.abs())).sum::<f64>();
    }
    total
}

/// `Σ factor·numbers` in `f64`: where terms cancel, what is left of them is as good as they are.
fn combine(terms: &[(f64, &[f32])], out: &mut [f32]) {
    const STEP: usize = 512;
    let mut sums = [0f64; STEP];
    for (step, out) in out.chunks_mut(STEP).enumerate() {
        let sums = &mut sums[..out.len()];
        sums.fill(0.0);
        for (factor, numbers) in terms {
            let numbers = numbers.get(step * STEP..).unwrap_or(&[]);
            sums.iter_mut().zip(numbers).for_each(|(to, &number)| *to += factor * f64::from(number));
        }
        out.iter_mut().zip(sums).for_each(|(to, &mut sum)| *to = sum as f32);
    }
}

/// Adds to the sum at `at`, which is made where it is not there yet.
fn add(sums: &mut Vec<f64>, at: usize, more: f64) {
    if sums.len() <= at {
        sums.resize(at + 1, 0.0);
    }
    sums[at] += more;
}

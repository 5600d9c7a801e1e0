//! Numbers of a model: in 32 bits where they are trained, as they came where they are not.

use std::borrow::Cow;

use half::f16;
use rayon::prelude::*;

use super::blocks::Blocks;
use crate::distill::kernel::matmul::{Precision, View};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Fewer numbers are not worth another thread.
const PARALLEL: usize = 1 << 16;

/// What stands before the names of training's helpers.
pub(crate) const HELPER: &str = "helper.";

/// A weight's place in the model's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) usize);

/// A tensor of the model.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// As checkpoints name it.
    pub(crate) name: String,
    /// Rows and columns, or one length.
    pub(crate) dims: Vec<usize>,
    /// How files hold it.
    pub(crate) dtype: Dtype,
    pub(crate) numbers: Numbers,
    /// Whether training changes it.
    pub(crate) trained: bool,
}

/// Rows of a weight, as products take them.
pub(crate) struct Matrix<'a> {
    numbers: Unpacked<'a>,
    rows: usize,
    columns: usize,
}

enum Unpacked<'a> {
    Single(Cow<'a, [f32]>),
    Bf16(&'a [u16]),
}

impl Matrix<'_> {
    pub(crate) fn view(&self) -> View<'_> {
        match &self.numbers {
            Unpacked::Single(numbers) => View::new(numbers, self.rows, self.columns),
            Unpacked::Bf16(bits) => View::halves(bits, self.rows, self.columns),
        }
    }
}

/// Numbers in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Bf16(Vec<u16>),
    Blocks(Blocks),
}

impl Weight {
    pub(crate) fn f32(name: impl Into<String>, dims: &[usize], numbers: Vec<f32>) -> Self {
        let numbers = Numbers::F32(numbers);
        Self { name: name.into(), dims: dims.to_vec(), dtype: Dtype::F32, numbers, trained: true }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether it belongs into the model's files, and is no helper of training.
    pub(crate) fn is_of_model(&self) -> bool {
        !self.name.starts_with(HELPER)
    }

    /// All numbers.
    pub(crate) fn all(&self) -> Cow<'_, [f32]> {
        self.part(0, self.len())
    }

    /// Numbers from `from` to `to`.
    pub(crate) fn part(&self, from: usize, to: usize) -> Cow<'_, [f32]> {
        match &self.numbers {
            Numbers::F32(numbers) => Cow::Borrowed(&numbers[from..to]),
            Numbers::Bf16(bits) => unpacked(&bits[from..to], numbers::of_bf16),
            Numbers::F16(bits) => unpacked(&bits[from..to], |bits| f16::from_bits(bits).to_f32()),
            Numbers::Blocks(blocks) => Cow::Owned(blocks.part(from, to)),
        }
    }

    /// Rows from `from` to `to`; unpacked, where products in that precision want it.
    pub(crate) fn matrix(&self, precision: Precision, from: usize, to: usize) -> Matrix<'_> {
        let columns = self.dims.last().copied().unwrap_or(1);
        let (first, last) = (from * columns, to * columns);
        let numbers = match &self.numbers {
            Numbers::Bf16(bits) if precision == Precision::Bf16 => Unpacked::Bf16(&bits[first..last]),
            _ => Unpacked::Single(self.part(first, last)),
        };
        Matrix { numbers, rows: to - from, columns }
    }

    /// The numbers to be changed; `None` while they are kept in fewer bits.
    pub(crate) fn change(&mut self) -> Option<&mut Vec<f32>> {
        match &mut self.numbers {
            Numbers::F32(numbers) => Some(numbers),
            Numbers::F16(_) | Numbers::Bf16(_) | Numbers::Blocks(_) => None,
        }
    }

    /// Makes it ready to be trained, or frozen in as few bytes as its file takes.
    pub(crate) fn train(&mut self, trained: bool) {
        self.trained = trained;
        if trained && !matches!(self.numbers, Numbers::F32(_)) {
            self.numbers = Numbers::F32(self.all().into_owned());
        }
    }
}

impl Numbers {
    /// Of little-endian bytes; `None` for types that are not trained.
    pub(crate) fn read(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        let pairs = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        match dtype {
            Dtype::F32 => Some(Self::F32(numbers::decoded(dtype, bytes))),
            Dtype::BF16 => Some(Self::Bf16(pairs())),
            Dtype::F16 => Some(Self::F16(pairs())),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F16(bits) | Self::Bf16(bits) => bits.len(),
            Self::Blocks(blocks) => blocks.len(),
        }
    }

    /// How many finite numbers would become infinite in a file's type.
    pub(crate) fn overflown(&self, dtype: Dtype) -> usize {
        if let Self::F32(numbers) = self { numbers::overflown(dtype, numbers) } else { 0 }
    }
}

/// Numbers of sixteen bits in single precision, on all threads where there are many.
fn unpacked(bits: &[u16], one: impl Fn(u16) -> f32 + Sync) -> Cow<'static, [f32]> {
    if bits.len() < PARALLEL {
        return bits.iter().map(|&bits| one(bits)).collect();
    }
    Cow::Owned(bits.par_iter().with_min_len(PARALLEL / 4).map(|&bits| one(bits)).collect())
}

/// What each trained weight is to be changed by; nothing for the others.
#[derive(Debug)]
pub(crate) struct Gradients(Vec<Vec<f32>>);

impl Gradients {
    pub(crate) fn new(weights: &[Weight]) -> Self {
        Self(weights.iter().map(|weight| if weight.trained { vec![0.0; weight.len()] } else { Vec::new() }).collect())
    }

    /// `None` for what is not trained.
    pub(crate) fn of(&mut self, id: Id) -> Option<&mut [f32]> {
        self.0.get_mut(id.0).filter(|gradient| !gradient.is_empty()).map(Vec::as_mut_slice)
    }

    pub(crate) fn wants(&self, id: Id) -> bool {
        self.0.get(id.0).is_some_and(|gradient| !gradient.is_empty())
    }

    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|gradient| gradient.fill(0.0));
    }

    /// With the places of their weights.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (Id, &mut Vec<f32>)> {
        self.0.iter_mut().enumerate().filter(|(_, gradient)| !gradient.is_empty()).map(|(at, g)| (Id(at), g))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trained_weights_that_sixteen_bits_cannot_hold_are_counted() {
        let numbers = Numbers::F32(vec![1.0, 65_504.0, 65_520.0, -f32::MAX, f32::INFINITY]);
        assert_eq!([Dtype::F16, Dtype::BF16, Dtype::F32].map(|dtype| numbers.overflown(dtype)), [2, 1, 0]);
    }
}

//! A projection: `x·Wᵀ + b`, with what an adapter adds to it.
//!
//! LoRA (arXiv 2106.09685) is computed as two thin products, never as a dense sum. DoRA (arXiv 2402.09353) scales each row
//! of the result to a learned length; as in PEFT, the length it had is a constant to the derivative.

use std::borrow::Cow;

use rayon::prelude::*;

use super::decoder::Pass;
use super::weight::{Gradients, Id, Weight};
use crate::distill::kernel::matmul::{Old, Target, Threads, View, product};
use crate::distill::kernel::{add_rows, dropout, math};

/// Where a projection's numbers are.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Id,
    pub(crate) bias: Option<Id>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) adapter: Option<Adapter>,
}

/// Where an adapter's numbers are, and how they count.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub(crate) a: Id,
    pub(crate) b: Id,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    pub(crate) dropout: f32,
    /// DoRA's lengths of rows, and how much longer than the rows of `W + s·B·A` they are now.
    pub(crate) magnitude: Option<(Id, Vec<f32>)>,
}

impl Linear {
    fn straight(&self, pass: &Pass<'_>, x: &[f32], rows: usize) -> Vec<f32> {
        let mut y = vec![0.0; rows * self.outputs];
        let matrix = pass.weights[self.weight.0].matrix(pass.precision, 0, self.outputs);
        let target = Target::new(&mut y, rows, self.outputs);
        pass.precision.product(target, Old::Replace, 1.0, View::new(x, rows, self.inputs), matrix.view().t());
        y
    }

    pub(crate) fn forward(&self, pass: &Pass<'_>, x: &[f32]) -> Vec<f32> {
        let (weights, rows) = (pass.weights, x.len() / self.inputs);
        let mut y = self.straight(pass, x, rows);
        if let Some(adapter) = &self.adapter {
            let x = adapter.thinned(pass, x);
            let inner = adapter.narrow(weights, &x, rows, self.inputs);
            adapter.widen(weights, &inner, &mut y, rows, self.outputs);
            if let Some((_, ratio)) = &adapter.magnitude {
                scale_columns(&mut y, ratio);
            }
        }
        if let Some(bias) = self.bias {
            let bias = weights[bias.0].all();
            y.chunks_exact_mut(self.outputs).for_each(|row| row.iter_mut().zip(&*bias).for_each(|(y, b)| *y += b));
        }
        y
    }

    /// Adds the gradient of `x` to `dx`, and those of what is trained to `gradients`. `dy` is used up.
    pub(crate) fn backward(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        dy: &mut [f32],
        dx: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let rows = dy.len() / self.outputs;
        if let Some(bias) = self.bias.and_then(|bias| gradients.of(bias)) {
            add_rows(bias, dy);
        }
        if let Some(adapter) = &self.adapter {
            let thinned = adapter.thinned(pass, x);
            if let Some((magnitude, ratio)) = &adapter.magnitude {
                self.lengths_backward(pass, adapter, (*magnitude, ratio), &thinned, x, dy, gradients);
                scale_columns(dy, ratio);
            }
            adapter.backward(pass, (&thinned, dy), dx, gradients, (rows, self.inputs, self.outputs));
        }
        let dy = View::new(dy, rows, self.outputs);
        if let Some(gradient) = gradients.of(self.weight) {
            let target = Target::new(gradient, self.outputs, self.inputs);
            pass.precision.product(target, Old::Add, 1.0, dy.t(), View::new(x, rows, self.inputs));
        }
        let matrix = pass.weights[self.weight.0].matrix(pass.precision, 0, self.outputs);
        pass.precision.product(Target::new(dx, rows, self.inputs), Old::Add, 1.0, dy, matrix.view());
    }

    #[allow(clippy::too_many_arguments, reason = "they are one derivative")]
    fn lengths_backward(
        &self,
        pass: &Pass<'_>,
        adapter: &Adapter,
        (magnitude, ratio): (Id, &[f32]),
        thinned: &[f32],
        x: &[f32],
        dy: &[f32],
        gradients: &mut Gradients,
    ) {
        let rows = dy.len() / self.outputs;
        let lengths = pass.weights[magnitude.0].all();
        let Some(gradient) = gradients.of(magnitude) else { return };
        let mut before = self.straight(pass, x, rows);
        let inner = adapter.narrow(pass.weights, thinned, rows, self.inputs);
        adapter.widen(pass.weights, &inner, &mut before, rows, self.outputs);
        for (before, dy) in before.chunks_exact(self.outputs).zip(dy.chunks_exact(self.outputs)) {
            for (((gradient, length), ratio), (before, dy)) in
                gradient.iter_mut().zip(&*lengths).zip(ratio).zip(before.iter().zip(dy))
            {
                *gradient += dy * before * ratio / length;
            }
        }
    }

    /// Measures the rows of `W + s·B·A`; DoRA needs it whenever a weight has changed.
    pub(crate) fn measure(&mut self, weights: &[Weight]) {
        if self.adapter.as_ref().is_none_or(|adapter| adapter.magnitude.is_none()) {
            return;
        }
        let lengths = self.row_lengths(weights);
        let Some((magnitude, ratio)) = self.adapter.as_mut().and_then(|adapter| adapter.magnitude.as_mut()) else {
            return;
        };
        let wanted = weights[magnitude.0].all();
        *ratio = wanted.iter().zip(lengths).map(|(wanted, length)| wanted / length).collect();
    }

    /// Lengths of the rows of `W + s·B·A`.
    pub(crate) fn row_lengths(&self, weights: &[Weight]) -> Vec<f32> {
        let mut whole = weights[self.weight.0].all().into_owned();
        if let Some(adapter) = &self.adapter {
            let (a, b) = (weights[adapter.a.0].all(), weights[adapter.b.0].all());
            let (a, b) = (View::new(&a, adapter.rank, self.inputs), View::new(&b, self.outputs, adapter.rank));
            product(Target::new(&mut whole, self.outputs, self.inputs), Old::Add, adapter.scale, b, a, Threads::All);
        }
        whole.par_chunks_exact(self.inputs).map(|row| math::dot(row, row).sqrt()).collect()
    }
}

impl Adapter {
    /// What the adapter sees of the input.
    fn thinned<'a>(&self, pass: &Pass<'_>, x: &'a [f32]) -> Cow<'a, [f32]> {
        match pass.dropout {
            Some(key) if self.dropout > 0.0 => {
                let mut x = x.to_vec();
                dropout::apply(&mut x, self.dropout, self.key(key));
                Cow::Owned(x)
            }
            _ => Cow::Borrowed(x),
        }
    }

    /// What this adapter's dropout follows from.
    pub(crate) fn key(&self, key: u64) -> u64 {
        dropout::mix(key ^ (self.a.0 as u64) << 40)
    }

    fn narrow(&self, weights: &[Weight], x: &[f32], rows: usize, inputs: usize) -> Vec<f32> {
        let mut inner = vec![0.0; rows * self.rank];
        let a = weights[self.a.0].all();
        let target = Target::new(&mut inner, rows, self.rank);
        let (x, a) = (View::new(x, rows, inputs), View::new(&a, self.rank, inputs));
        product(target, Old::Replace, 1.0, x, a.t(), Threads::All);
        inner
    }

    fn widen(&self, weights: &[Weight], inner: &[f32], y: &mut [f32], rows: usize, outputs: usize) {
        let b = weights[self.b.0].all();
        let (inner, b) = (View::new(inner, rows, self.rank), View::new(&b, outputs, self.rank));
        product(Target::new(y, rows, outputs), Old::Add, self.scale, inner, b.t(), Threads::All);
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        (x, dy): (&[f32], &[f32]),
        dx: &mut [f32],
        gradients: &mut Gradients,
        (rows, inputs, outputs): (usize, usize, usize),
    ) {
        let weights = pass.weights;
        let dy = View::new(dy, rows, outputs);
        if gradients.wants(self.b) {
            let inner = self.narrow(weights, x, rows, inputs);
            if let Some(gradient) = gradients.of(self.b) {
                let target = Target::new(gradient, outputs, self.rank);
                product(target, Old::Add, self.scale, dy.t(), View::new(&inner, rows, self.rank), Threads::All);
            }
        }
        let mut dinner = vec![0.0; rows * self.rank];
        let b = weights[self.b.0].all();
        let target = Target::new(&mut dinner, rows, self.rank);
        product(target, Old::Replace, self.scale, dy, View::new(&b, outputs, self.rank), Threads::All);
        let dinner = View::new(&dinner, rows, self.rank);
        if let Some(gradient) = gradients.of(self.a) {
            let target = Target::new(gradient, self.rank, inputs);
            product(target, Old::Add, 1.0, dinner.t(), View::new(x, rows, inputs), Threads::All);
        }
        let a = weights[self.a.0].all();
        let a = View::new(&a, self.rank, inputs);
        match pass.dropout {
            Some(key) if self.dropout > 0.0 => {
                let mut through = vec![0.0; rows * inputs];
                product(Target::new(&mut through, rows, inputs), Old::Replace, 1.0, dinner, a, Threads::All);
                dropout::apply(&mut through, self.dropout, self.key(key));
                crate::distill::kernel::add(dx, &through);
            }
            _ => product(Target::new(dx, rows, inputs), Old::Add, 1.0, dinner, a, Threads::All),
        }
    }
}

fn scale_columns(rows: &mut [f32], factors: &[f32]) {
    for row in rows.chunks_exact_mut(factors.len()) {
        row.iter_mut().zip(factors).for_each(|(y, factor)| *y *= factor);
    }
}

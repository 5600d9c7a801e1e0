//! One layer as operations on tensors. Forward it is plain arithmetic; in the backward pass the same lines run once more
//! with the layer's input and its trained weights as the leaves of a graph.

use burn_tensor::{Tensor, activation::silu};

use super::attention::{Tile, attend};
use super::link::Link;
use crate::distill::kernel::dropout;
use crate::distill::kernel::rope::Rope;
use crate::distill::model::{Adapter, Batch, Block, Id, Linear, Multipliers, Shape};

/// A model's numbers on a card: rows and columns, of a single row where they are a list.
#[derive(Debug)]
pub(super) struct Weights {
    /// By [`Id`]; empty for what a card does not need.
    pub(super) all: Vec<Tensor<2>>,
    /// Of DoRA's lengths: one over the rows' own.
    pub(super) shares: Vec<Option<Tensor<2>>>,
}

/// What all layers share in one pass.
pub(super) struct Pass<'a> {
    shape: &'a Shape,
    link: &'a Link,
    cos: Tensor<3>,
    sin: Tensor<3>,
    tiles: Vec<Tile>,
    dropout: Option<u64>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(shape: &'a Shape, rope: &Rope, link: &'a Link, batch: &Batch, dropout: Option<u64>) -> Self {
        let (cos, sin) = rope.at(&batch.positions);
        let dims = [batch.positions.len(), 1, shape.width / 2];
        let tiles = super::attention::tiles(&batch.documents, &link.device);
        Self { shape, link, cos: link.up(cos, dims), sin: link.up(sin, dims), tiles, dropout }
    }

    /// Turns every head of every row: number `i` with number `i + half`.
    fn turn(&self, x: Tensor<3>) -> Tensor<3> {
        let half = self.shape.width / 2;
        let (a, b) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let (cos, sin) = (&self.cos, &self.sin);
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        Tensor::cat(vec![first, b * cos.clone() + a * sin.clone()], 2)
    }

    /// `x / √(mean x² + eps) · w` for each row.
    fn norm(&self, x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
        let scale = x.clone().square().mean_dim(1).add_scalar(self.shape.eps).sqrt().recip();
        x * scale * w
    }
}

/// Where a layer finds its numbers.
pub(super) struct Numbers<'a> {
    weights: &'a Weights,
    leaves: Vec<(Id, Tensor<2>)>,
}

impl Numbers<'_> {
    fn of(&self, id: Id) -> Tensor<2> {
        let leaf = self.leaves.iter().find(|(leaf, _)| *leaf == id);
        leaf.map_or_else(|| self.weights.all[id.0].clone(), |(_, leaf)| leaf.clone())
    }
}

/// Hidden states behind a layer.
pub(super) fn forward(block: &Block, pass: &Pass<'_>, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
    compute(block, pass, &Numbers { weights, leaves: Vec::new() }, x)
}

/// The gradient of a layer's input `x`, of the one of its output, and those of its weights that are `wanted`.
pub(super) fn backward(
    block: &Block,
    pass: &Pass<'_>,
    weights: &Weights,
    x: Tensor<2>,
    dy: Tensor<2>,
    wanted: &dyn Fn(Id) -> bool,
) -> (Tensor<2>, Vec<(Id, Tensor<2>)>) {
    let leaf = |x: Tensor<2>| x.autodiff().require_grad();
    let leaves = ids(block).into_iter().filter(|&id| wanted(id)).map(|id| (id, leaf(weights.all[id.0].clone())));
    let numbers = Numbers { weights, leaves: leaves.collect() };
    let x = leaf(x);
    let y = compute(block, pass, &numbers, x.clone());
    // The derivative of this sum is `dy` carried back.
    let mut gradients = (y * dy.clone()).sum().backward();
    let dx = x.grad_remove(&mut gradients).unwrap_or_else(|| dy.zeros_like());
    let found = numbers.leaves.iter().filter_map(|(id, leaf)| Some((*id, leaf.grad_remove(&mut gradients)?)));
    (dx, found.collect())
}

fn linears(block: &Block) -> [&Linear; 7] {
    [&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down]
}

/// All numbers of a layer.
fn ids(block: &Block) -> Vec<Id> {
    let mut all = vec![block.input_norm, block.post_norm];
    all.extend(block.head_norms.iter().flat_map(|&(q, k)| [q, k]));
    for linear in linears(block) {
        all.extend([Some(linear.weight), linear.bias].into_iter().flatten());
        if let Some(adapter) = &linear.adapter {
            all.extend([adapter.a, adapter.b]);
            all.extend(adapter.magnitude.iter().map(|(id, _)| *id));
        }
    }
    all
}

/// DoRA's learned lengths in a layer, each with how much longer than the rows they are now.
pub(super) fn lengths(block: &Block) -> impl Iterator<Item = (Id, &[f32])> {
    let adapters = linears(block).into_iter().filter_map(|linear| linear.adapter.as_ref());
    adapters.filter_map(|adapter| adapter.magnitude.as_ref()).map(|(id, ratio)| (*id, ratio.as_slice()))
}

fn compute(block: &Block, pass: &Pass<'_>, numbers: &Numbers<'_>, x: Tensor<2>) -> Tensor<2> {
    let (rows, width) = (x.dims()[0], pass.shape.width);
    let h = pass.norm(x.clone(), numbers.of(block.input_norm));
    let heads = |linear: &Linear, norm: Option<Id>| -> Tensor<3> {
        let y = project(linear, pass, numbers, h.clone());
        let heads = linear.outputs / width;
        match norm {
            Some(id) => pass.norm(y.reshape([rows * heads, width]), numbers.of(id)).reshape([rows, heads, width]),
            None => y.reshape([rows, heads, width]),
        }
    };
    let (of_q, of_k) = block.head_norms.unzip();
    let turn = |x: Tensor<3>| if block.rotated { pass.turn(x) } else { x };
    let (q, k) = (turn(heads(&block.q, of_q)), turn(heads(&block.k, of_k)));
    let Multipliers { queries, residual, .. } = pass.shape.multipliers;
    let q = if queries == 1.0 { q } else { q.mul_scalar(queries) };
    let scaled = |x: Tensor<2>| if residual == 1.0 { x } else { x.mul_scalar(residual) };
    let mixed = attend(&q, &k, &heads(&block.v, None), &pass.tiles);
    let middle = scaled(project(&block.o, pass, numbers, mixed)) + x;
    let h = pass.norm(middle.clone(), numbers.of(block.post_norm));
    let gate = silu(project(&block.gate, pass, numbers, h.clone()));
    let act = gate * project(&block.up, pass, numbers, h);
    scaled(project(&block.down, pass, numbers, act)) + middle
}

/// `x·Wᵀ + b`, with what an adapter adds to it.
fn project(linear: &Linear, pass: &Pass<'_>, numbers: &Numbers<'_>, x: Tensor<2>) -> Tensor<2> {
    let mut y = x.clone().matmul(numbers.of(linear.weight).transpose());
    if let Some(adapter) = &linear.adapter {
        let inner = thinned(adapter, pass, x).matmul(numbers.of(adapter.a).transpose());
        y = y + inner.matmul(numbers.of(adapter.b).transpose()).mul_scalar(adapter.scale);
        if let Some((id, _)) = &adapter.magnitude
            && let Some(share) = &numbers.weights.shares[id.0]
        {
            y = y * (numbers.of(*id) * share.clone());
        }
    }
    match linear.bias {
        Some(bias) => y + numbers.of(bias),
        None => y,
    }
}

/// What the adapter sees of the input: the same numbers are left out as on the processor.
fn thinned(adapter: &Adapter, pass: &Pass<'_>, x: Tensor<2>) -> Tensor<2> {
    match pass.dropout {
        Some(key) if adapter.dropout > 0.0 => {
            let dims = x.dims();
            let mut mask = vec![1.0; dims[0] * dims[1]];
            dropout::apply(&mut mask, adapter.dropout, adapter.key(key));
            x * pass.link.up(mask, dims)
        }
        _ => x,
    }
}

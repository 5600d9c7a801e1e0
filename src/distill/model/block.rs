//! One layer: pre-norm attention and a gated feed-forward part, each with a residual connection.

use super::decoder::Pass;
use super::linear::Linear;
use super::shape::Shape;
use super::weight::{Gradients, Id};
use crate::distill::kernel::attention::{self, Heads};
use crate::distill::kernel::{add, gate, norm, scale};

/// Where a layer's numbers are.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) input_norm: Id,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    /// Qwen3's norms of queries and keys.
    pub(crate) head_norms: Option<(Id, Id)>,
    /// Whether queries and keys know their positions.
    pub(crate) rotated: bool,
    pub(crate) post_norm: Id,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// What attention is computed from.
struct Asked {
    /// Queries and keys before they are normalised, where they are.
    raw: Option<(Vec<f32>, Vec<f32>)>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Keys and values of earlier tokens of one text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    k: Vec<f32>,
    v: Vec<f32>,
}

/// What the backward pass needs of the forward one, besides the layer's input; the rest is quickly made again.
pub(crate) struct Kept {
    asked: Asked,
    mixed: Vec<f32>,
    middle: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Block {
    /// All projections, by the names that checkpoints give them.
    pub(crate) fn projections(&mut self) -> [(&'static str, &mut Linear); 7] {
        [
            ("self_attn.q_proj", &mut self.q),
            ("self_attn.k_proj", &mut self.k),
            ("self_attn.v_proj", &mut self.v),
            ("self_attn.o_proj", &mut self.o),
            ("mlp.gate_proj", &mut self.gate),
            ("mlp.up_proj", &mut self.up),
            ("mlp.down_proj", &mut self.down),
        ]
    }

    fn heads(&self, width: usize) -> Heads {
        Heads { queries: self.q.outputs / width, keys: self.k.outputs / width, width }
    }

    /// Hidden states behind the layer, and what was on the way.
    pub(crate) fn forward(&self, pass: &Pass<'_>, x: &[f32]) -> (Vec<f32>, Kept) {
        let asked = self.ask(pass, x);
        let mixed = attention::forward(&asked.q, &asked.k, &asked.v, self.heads(pass.shape.width), pass.documents);
        let (y, middle, gate, up) = self.answer(pass, x, &mixed);
        (y, Kept { asked, mixed, middle, gate, up })
    }

    /// The same for texts that go on: each of the pass's documents holds the next tokens of one, of which `caches` know
    /// the earlier ones.
    pub(crate) fn continued(&self, pass: &Pass<'_>, x: &[f32], caches: &mut [Cache]) -> Vec<f32> {
        let asked = self.ask(pass, x);
        let heads = self.heads(pass.shape.width);
        let mut mixed = Vec::with_capacity(asked.q.len());
        for (rows, cache) in pass.documents.iter().zip(caches) {
            let part = |from: &[f32], width: usize| from[rows.start * width..rows.end * width].to_vec();
            cache.k.extend(part(&asked.k, self.k.outputs));
            cache.v.extend(part(&asked.v, self.v.outputs));
            mixed.extend(attention::continued(&part(&asked.q, self.q.outputs), &cache.k, &cache.v, heads));
        }
        self.answer(pass, x, &mixed).0
    }

    fn ask(&self, pass: &Pass<'_>, x: &[f32]) -> Asked {
        let eps = pass.shape.eps;
        let h = norm::forward(x, &pass.weights[self.input_norm.0].all(), eps);
        let (mut q, mut k) = (self.q.forward(pass, &h), self.k.forward(pass, &h));
        let v = self.v.forward(pass, &h);
        drop(h);
        let mut raw = None;
        if let Some((of_q, of_k)) = self.head_norms {
            let normed = |rows: &[f32], id: Id| norm::forward(rows, &pass.weights[id.0].all(), eps);
            let (new_q, new_k) = (normed(&q, of_q), normed(&k, of_k));
            raw = Some((std::mem::replace(&mut q, new_q), std::mem::replace(&mut k, new_k)));
        }
        if self.rotated {
            pass.rope.turn(&mut q, self.q.outputs, pass.positions, false);
            pass.rope.turn(&mut k, self.k.outputs, pass.positions, false);
        }
        scale(&mut q, pass.shape.multipliers.queries);
        Asked { raw, q, k, v }
    }

    /// From what attention mixed to the states behind the layer: those, the states between its two parts, gate and up.
    fn answer(&self, pass: &Pass<'_>, x: &[f32], mixed: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) {
        let residual = pass.shape.multipliers.residual;
        let mut middle = self.o.forward(pass, mixed);
        scale(&mut middle, residual);
        add(&mut middle, x);
        let h = norm::forward(&middle, &pass.weights[self.post_norm.0].all(), pass.shape.eps);
        let (gate, up) = (self.gate.forward(pass, &h), self.up.forward(pass, &h));
        drop(h);
        let mut y = self.down.forward(pass, &gate::forward(&gate, &up));
        scale(&mut y, residual);
        add(&mut y, &middle);
        (y, middle, gate, up)
    }

    /// The gradient of the layer's input `x`, of the one of its output.
    pub(crate) fn backward(
        &self,
        pass: &Pass<'_>,
        x: &[f32],
        kept: &Kept,
        mut dy: Vec<f32>,
        gradients: &mut Gradients,
    ) -> Vec<f32> {
        let Shape { eps, width, multipliers, .. } = *pass.shape;
        // A projection uses its gradient up, and the residual needs it again.
        let own = |dy: &[f32]| {
            let mut own = dy.to_vec();
            scale(&mut own, multipliers.residual);
            own
        };
        let act = gate::forward(&kept.gate, &kept.up);
        let mut dgate = vec![0.0; act.len()];
        self.down.backward(pass, &act, &mut own(&dy), &mut dgate, gradients);
        drop(act);
        let mut dup = gate::backward(&mut dgate, &kept.gate, &kept.up);
        let post = pass.weights[self.post_norm.0].all();
        let h = norm::forward(&kept.middle, &post, eps);
        let mut dh = vec![0.0; h.len()];
        self.gate.backward(pass, &h, &mut dgate, &mut dh, gradients);
        self.up.backward(pass, &h, &mut dup, &mut dh, gradients);
        drop((h, dgate, dup));
        norm::backward(&mut dh, &kept.middle, &post, eps, gradients.of(self.post_norm));
        add(&mut dy, &dh);
        let mut dmixed = vec![0.0; kept.mixed.len()];
        self.o.backward(pass, &kept.mixed, &mut own(&dy), &mut dmixed, gradients);
        let Asked { raw, q, k, v } = &kept.asked;
        let mut d = attention::backward(&dmixed, q, k, v, self.heads(width), pass.documents);
        drop(dmixed);
        scale(&mut d.q, multipliers.queries);
        if self.rotated {
            pass.rope.turn(&mut d.q, self.q.outputs, pass.positions, true);
            pass.rope.turn(&mut d.k, self.k.outputs, pass.positions, true);
        }
        if let (Some((of_q, of_k)), Some((q, k))) = (self.head_norms, raw) {
            norm::backward(&mut d.q, q, &pass.weights[of_q.0].all(), eps, gradients.of(of_q));
            norm::backward(&mut d.k, k, &pass.weights[of_k.0].all(), eps, gradients.of(of_k));
        }
        let input = pass.weights[self.input_norm.0].all();
        let h = norm::forward(x, &input, eps);
        dh.fill(0.0);
        self.q.backward(pass, &h, &mut d.q, &mut dh, gradients);
        self.k.backward(pass, &h, &mut d.k, &mut dh, gradients);
        self.v.backward(pass, &h, &mut d.v, &mut dh, gradients);
        norm::backward(&mut dh, x, &input, eps, gradients.of(self.input_norm));
        add(&mut dy, &dh);
        dy
    }
}

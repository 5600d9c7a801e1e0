//! Causal attention within documents, with fewer heads for keys and values than for queries.
//!
//! Scores exist for one tile of queries at a time, and once more in the backward pass, so that memory grows with a
//! document's length and not with its square.

use std::ops::Range;

use rayon::prelude::*;

use super::math::{dot, softmax};
use super::matmul::{Old, Target, Threads, View, product};

/// Queries whose scores exist at once.
const TILE: usize = 128;

/// Heads and their width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) width: usize,
}

/// One head for keys with its queries, in one document.
struct Task<'a> {
    heads: Heads,
    key: usize,
    rows: &'a Range<usize>,
}

impl<'a> Task<'a> {
    fn all(heads: Heads, documents: &'a [Range<usize>]) -> Vec<Self> {
        documents.iter().flat_map(|rows| (0..heads.keys).map(move |key| Self { heads, key, rows })).collect()
    }

    fn group(&self) -> Range<usize> {
        let group = self.heads.queries / self.heads.keys;
        self.key * group..(self.key + 1) * group
    }

    /// Some rows of one head, of a matrix with `heads` of them side by side.
    fn view<'b>(&self, x: &'b [f32], heads: usize, head: usize, rows: Range<usize>) -> View<'b> {
        let (width, stride) = (self.heads.width, heads * self.heads.width);
        let from = (self.rows.start + rows.start) * stride + head * width;
        View::strided(&x[from..], rows.len(), width, stride)
    }

    /// Probabilities of keys for a tile of queries: rows of `tile.end` numbers.
    fn odds(&self, q: &[f32], k: &[f32], head: usize, tile: &Range<usize>) -> Vec<f32> {
        let (n, keys) = (tile.len(), tile.end);
        let mut odds = vec![0.0; n * keys];
        let scale = 1.0 / (self.heads.width as f32).sqrt();
        let (q, k) =
            (self.view(q, self.heads.queries, head, tile.clone()), self.view(k, self.heads.keys, self.key, 0..keys));
        product(Target::new(&mut odds, n, keys), Old::Replace, scale, q, k.t(), Threads::One);
        for (row, position) in odds.chunks_exact_mut(keys).zip(tile.clone()) {
            let (seen, future) = row.split_at_mut(position + 1);
            softmax(seen);
            future.fill(0.0);
        }
        odds
    }

    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let len = self.rows.len();
        (0..len).step_by(TILE).map(move |from| from..(from + TILE).min(len))
    }

    /// Puts rows of this head back among the others.
    fn scatter(&self, from: &[f32], to: &mut [f32], heads: usize, head: usize) {
        let (width, stride) = (self.heads.width, heads * self.heads.width);
        for (row, from) in self.rows.clone().zip(from.chunks_exact(width)) {
            to[row * stride + head * width..][..width].copy_from_slice(from);
        }
    }
}

/// `softmax(q·kᵀ/√width)·v` for each head: rows of all heads side by side.
pub(crate) fn forward(q: &[f32], k: &[f32], v: &[f32], heads: Heads, documents: &[Range<usize>]) -> Vec<f32> {
    let tasks = Task::all(heads, documents);
    let done: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|task| {
            let (len, width) = (task.rows.len(), heads.width);
            let mut out = vec![0.0; heads.queries / heads.keys * len * width];
            for (head, out) in task.group().zip(out.chunks_exact_mut(len * width)) {
                for tile in task.tiles() {
                    let odds = task.odds(q, k, head, &tile);
                    let target = Target::new(&mut out[tile.start * width..tile.end * width], tile.len(), width);
                    let v = task.view(v, heads.keys, task.key, 0..tile.end);
                    product(target, Old::Replace, 1.0, View::new(&odds, tile.len(), tile.end), v, Threads::One);
                }
            }
            out
        })
        .collect();
    let mut y = vec![0.0; q.len()];
    for (task, out) in tasks.iter().zip(&done) {
        for (head, out) in task.group().zip(out.chunks_exact(task.rows.len() * heads.width)) {
            task.scatter(out, &mut y, heads.queries, head);
        }
    }
    y
}

/// The same for queries that are the last rows of one document, behind `k` and `v` of all its rows.
pub(crate) fn continued(q: &[f32], k: &[f32], v: &[f32], heads: Heads) -> Vec<f32> {
    let Heads { queries, keys, width } = heads;
    let (rows, all) = (q.len() / (queries * width), k.len() / (keys * width));
    let scale = 1.0 / (width as f32).sqrt();
    let mut y = vec![0.0; q.len()];
    let mut odds = vec![0.0; rows * all];
    for head in 0..queries {
        let key = head / (queries / keys) * width;
        let (k, v) =
            (View::strided(&k[key..], all, width, keys * width), View::strided(&v[key..], all, width, keys * width));
        let q = View::strided(&q[head * width..], rows, width, queries * width);
        product(Target::new(&mut odds, rows, all), Old::Replace, scale, q, k.t(), Threads::One);
        for (at, row) in odds.chunks_exact_mut(all).enumerate() {
            let (seen, future) = row.split_at_mut(all - rows + at + 1);
            softmax(seen);
            future.fill(0.0);
        }
        let target = Target::strided(&mut y[head * width..], rows, width, queries * width);
        product(target, Old::Replace, 1.0, View::new(&odds, rows, all), v, Threads::One);
    }
    y
}

/// Gradients of queries, keys and values.
pub(crate) struct Gradients {
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

/// The derivative of [`forward`] for the gradient `dy` of its result.
pub(crate) fn backward(
    dy: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    heads: Heads,
    documents: &[Range<usize>],
) -> Gradients {
    let tasks = Task::all(heads, documents);
    let done: Vec<Gradients> = tasks.par_iter().map(|task| one_backward(task, dy, q, k, v)).collect();
    let mut all = Gradients { q: vec![0.0; q.len()], k: vec![0.0; k.len()], v: vec![0.0; v.len()] };
    for (task, one) in tasks.iter().zip(&done) {
        for (head, dq) in task.group().zip(one.q.chunks_exact(task.rows.len() * heads.width)) {
            task.scatter(dq, &mut all.q, heads.queries, head);
        }
        task.scatter(&one.k, &mut all.k, heads.keys, task.key);
        task.scatter(&one.v, &mut all.v, heads.keys, task.key);
    }
    all
}

fn one_backward(task: &Task<'_>, dy: &[f32], q: &[f32], k: &[f32], v: &[f32]) -> Gradients {
    let heads = task.heads;
    let (len, width) = (task.rows.len(), heads.width);
    let scale = 1.0 / (width as f32).sqrt();
    let mut dq = vec![0.0; heads.queries / heads.keys * len * width];
    let (mut dk, mut dv) = (vec![0.0; len * width], vec![0.0; len * width]);
    for (head, dq) in task.group().zip(dq.chunks_exact_mut(len * width)) {
        for tile in task.tiles() {
            let (n, keys) = (tile.len(), tile.end);
            let odds = task.odds(q, k, head, &tile);
            let dy = task.view(dy, heads.queries, head, tile.clone());
            let part = Target::new(&mut dv[..keys * width], keys, width);
            product(part, Old::Add, 1.0, View::new(&odds, n, keys).t(), dy, Threads::One);
            let mut scores = vec![0.0; n * keys];
            let v = task.view(v, heads.keys, task.key, 0..keys);
            product(Target::new(&mut scores, n, keys), Old::Replace, 1.0, dy, v.t(), Threads::One);
            for (scores, odds) in scores.chunks_exact_mut(keys).zip(odds.chunks_exact(keys)) {
                let mean = dot(scores, odds);
                for (score, odds) in scores.iter_mut().zip(odds) {
                    *score = odds * (*score - mean);
                }
            }
            let scores = View::new(&scores, n, keys);
            let target = Target::new(&mut dq[tile.start * width..tile.end * width], n, width);
            product(target, Old::Replace, scale, scores, task.view(k, heads.keys, task.key, 0..keys), Threads::One);
            let q = task.view(q, heads.queries, head, tile.clone());
            product(Target::new(&mut dk[..keys * width], keys, width), Old::Add, scale, scores.t(), q, Threads::One);
        }
    }
    Gradients { q: dq, k: dk, v: dv }
}

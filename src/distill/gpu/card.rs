//! One card: its copy of the weights, a pass forward, and one backward with the losses between them.

use burn_tensor::{Device, Int, Tensor, TensorData};

use super::Part;
use super::head::{Matrix, OnCard};
use super::layer::{self, Pass, Weights};
use super::link::Link;
use crate::distill::kernel::add;
use crate::distill::model::head::Head;
use crate::distill::model::{Decoder, Gradients, Halfway, Slopes};

/// A card with a model on it.
#[derive(Debug)]
pub(super) struct Card {
    link: Link,
    loaded: Option<Loaded>,
    /// Whether trained weights have changed since they were brought here.
    stale: bool,
    /// Those of one part.
    pub(super) gradients: Option<Gradients>,
}

#[derive(Debug)]
struct Loaded {
    weights: Weights,
    matrix: Matrix,
}

/// What a pass leaves: hidden states before each layer, and behind the last.
struct Trace {
    states: Vec<Tensor<2>>,
}

impl Card {
    pub(super) fn new(device: Device) -> Self {
        Self { link: Link::new(device), loaded: None, stale: false, gradients: None }
    }

    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Brings what is missing here, or has changed.
    fn load(&mut self, model: &Decoder) {
        let Self { link, loaded, stale, .. } = self;
        let only = |id: usize| -> bool {
            let weight = &model.weights[id];
            let whole = id == model.embeddings.0 || model.output.is_some_and(|output| id == output.0);
            weight.is_of_model() && !whole
        };
        let one = |id: usize| {
            let weight = &model.weights[id];
            let columns = weight.dims.last().copied().unwrap_or(1);
            link.up(weight.all().into_owned(), [weight.len() / columns, columns])
        };
        let all = 0..model.weights.len();
        match loaded {
            None => {
                let empty = Tensor::zeros([1, 1], &link.device);
                let weights = all.map(|id| if only(id) { one(id) } else { empty.clone() }).collect();
                let weights = Weights { all: weights, shares: vec![None; model.weights.len()] };
                let matrix = Matrix::new(&model.weights[model.output().0], link);
                *loaded = Some(Loaded { weights, matrix });
            }
            Some(loaded) if *stale => {
                for id in all.filter(|&id| only(id) && model.weights[id].trained) {
                    loaded.weights.all[id] = one(id);
                }
                let output = &model.weights[model.output().0];
                if output.trained {
                    loaded.matrix = Matrix::new(output, link);
                }
            }
            Some(_) => return,
        }
        *stale = false;
        if let Some(loaded) = loaded {
            for (id, ratio) in model.blocks.iter().flat_map(layer::lengths) {
                let learned = model.weights[id.0].all();
                let share = ratio.iter().zip(&*learned).map(|(ratio, learned)| ratio / learned).collect();
                loaded.weights.shares[id.0] = Some(link.up(share, [1, ratio.len()]));
            }
        }
    }

    fn forward(&self, model: &Decoder, weights: &Weights, pass: &Pass<'_>, part: &Part<'_>, keep: bool) -> Trace {
        let width = model.shape.hidden;
        let mut x = self.link.up(model.embed(&part.batch.tokens), [part.batch.tokens.len(), width]);
        let mut states = Vec::new();
        for block in &model.blocks {
            let y = layer::forward(block, pass, weights, x.clone());
            let before = std::mem::replace(&mut x, y);
            if keep {
                states.push(before);
            }
        }
        states.push(x);
        Trace { states }
    }

    /// Some rows of states, on the processor.
    fn rows(&self, states: &Tensor<2>, rows: &[usize]) -> Vec<f32> {
        if rows.is_empty() {
            return Vec::new();
        }
        let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let count = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &self.link.device);
        self.link.down_one(states.clone().select(0, rows))
    }

    /// Rows of gradients among rows without.
    fn spread(&self, part: &Part<'_>, slopes: &[f32], width: usize) -> Tensor<2> {
        let count = part.batch.tokens.len();
        let mut all = vec![0.0; count * width];
        for (row, slope) in part.rows.iter().zip(slopes.chunks_exact(width)) {
            all[row * width..][..width].copy_from_slice(slope);
        }
        self.link.up(all, [count, width])
    }

    /// Hands the normalised states of a part's rows to `judge`.
    ///
    /// # Errors
    /// In words: the card did not do what was asked.
    pub(super) fn states<T>(
        &mut self,
        model: &Decoder,
        part: &Part<'_>,
        judge: impl FnOnce(&Head<'_>, &[f32]) -> T,
    ) -> Result<T, String> {
        self.load(model);
        let Some(Loaded { weights, matrix }) = &self.loaded else { return Err("no weights".to_owned()) };
        let pass = Pass::new(&model.shape, &model.rope, &self.link, part.batch, None);
        let trace = self.forward(model, weights, &pass, part, false);
        let last = trace.states.last().map_or_else(Vec::new, |last| self.rows(last, part.rows));
        self.link.check()?;
        let normed = model.normed(&last);
        let products = OnCard::new(&self.link, matrix);
        let value = judge(&Head { products: Some(&products), ..model.head() }, &normed);
        self.link.check()?;
        Ok(value)
    }

    /// A part forward and backward: its gradients are left in the card's own.
    ///
    /// # Errors
    /// In words: the card did not do what was asked.
    pub(super) fn learn<T>(
        &mut self,
        model: &Decoder,
        part: &Part<'_>,
        between: impl FnOnce(&Halfway<'_>, &mut Gradients) -> Slopes<T>,
    ) -> Result<T, String> {
        self.load(model);
        let mut gradients = self.gradients.take().unwrap_or_else(|| Gradients::new(&model.weights));
        gradients.clear();
        let value = self.pass(model, part, between, &mut gradients);
        self.gradients = Some(gradients);
        value
    }

    fn pass<T>(
        &self,
        model: &Decoder,
        part: &Part<'_>,
        between: impl FnOnce(&Halfway<'_>, &mut Gradients) -> Slopes<T>,
        gradients: &mut Gradients,
    ) -> Result<T, String> {
        let width = model.shape.hidden;
        let Some(Loaded { weights, matrix }) = &self.loaded else { return Err("no weights".to_owned()) };
        let pass = Pass::new(&model.shape, &model.rope, &self.link, part.batch, part.dropout);
        let mut trace = self.forward(model, weights, &pass, part, true);
        let last = trace.states.last().map_or_else(Vec::new, |last| self.rows(last, part.rows));
        self.link.check()?;
        let normed = model.normed(&last);
        let products = OnCard::new(&self.link, matrix);
        let head = Head { products: Some(&products), ..model.head() };
        let behind = |layer: usize| {
            let states = trace.states.get(layer + 1);
            states.map_or_else(Vec::new, |states| self.rows(states, part.rows))
        };
        let Slopes { value, mut states, behind } =
            between(&Halfway { head: &head, states: &normed, behind: &behind }, gradients);
        self.link.check()?;
        model.normed_backward(&mut states, &last, gradients);
        let mut d = self.spread(part, &states, width);
        trace.states.pop();
        for (at, block) in model.blocks.iter().enumerate().rev() {
            for (_, own) in behind.iter().filter(|(layer, _)| *layer == at) {
                d = d + self.spread(part, own, width);
            }
            let Some(x) = trace.states.pop() else { break };
            let (dx, found) = layer::backward(block, &pass, weights, x, d, &|id| model.weights[id.0].trained);
            d = dx;
            let (ids, found): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            for (id, own) in ids.into_iter().zip(self.link.down(found)) {
                if let Some(gradient) = gradients.of(id) {
                    add(gradient, &own);
                }
            }
        }
        if gradients.wants(model.embeddings) {
            model.embed_backward(&part.batch.tokens, &self.link.down_one(d), gradients);
        }
        self.link.check()?;
        Ok(value)
    }
}

//! The student writes: several texts at once, a token each at a time, with keys and values of earlier tokens kept.

use super::block::Cache;
use super::decoder::{Batch, Decoder};
use super::head::Wanted;
use crate::distill::kernel::dropout::{mix, share};
use crate::distill::kernel::math::softmax;

/// How a text goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Tokens written at most.
    pub(crate) most: usize,
    /// The token that ends a text.
    pub(crate) end: Option<u32>,
    /// What logits are divided by; 0 takes the likeliest token.
    pub(crate) temperature: f64,
    /// What chance follows from.
    pub(crate) seed: u64,
}

/// What follows each of the prompts, its end included. None of them may be empty.
pub(crate) fn write(model: &Decoder, prompts: &[Vec<u32>], style: &Style) -> Vec<Vec<u32>> {
    let layers = model.blocks.len();
    let mut caches = vec![vec![Cache::default(); prompts.len()]; layers];
    let mut written = vec![Vec::new(); prompts.len()];
    let mut next: Vec<Vec<u32>> = prompts.to_vec();
    let mut open: Vec<usize> = (0..prompts.len()).collect();
    for _ in 0..style.most {
        if open.is_empty() {
            break;
        }
        let known: Vec<usize> = open.iter().map(|&text| prompts[text].len() + written[text].len()).collect();
        let new: Vec<&[u32]> = open.iter().map(|&text| next[text].as_slice()).collect();
        let rows = last_states(model, &new, &known, &mut caches, &open);
        let chosen = model.head().run(
            &rows,
            &|row, logits: &mut [f32]| {
                let key = mix(style.seed ^ mix(open[row] as u64)) ^ known[row] as u64;
                choose(logits, style.temperature, share(mix(key)))
            },
            Wanted::default(),
        );
        for (&text, token) in open.iter().zip(&chosen) {
            written[text].push(*token);
            next[text] = vec![*token];
        }
        open.retain(|&text| written[text].last().copied() != style.end || style.end.is_none());
    }
    written
}

/// States behind the last of the new tokens of each open text, of which `known` tokens are known with them.
fn last_states(
    model: &Decoder,
    new: &[&[u32]],
    known: &[usize],
    caches: &mut [Vec<Cache>],
    open: &[usize],
) -> Vec<f32> {
    let width = model.shape.hidden;
    let mut batch = Batch::default();
    let mut positions = Vec::new();
    for (tokens, known) in new.iter().zip(known) {
        batch.push(tokens.iter().copied());
        positions.extend((known - tokens.len()) as u32..*known as u32);
    }
    batch.positions = positions;
    let pass = model.pass(&batch, None);
    let mut x = model.embed(&batch.tokens);
    for (block, caches) in model.blocks.iter().zip(caches) {
        let mut here: Vec<Cache> = open.iter().map(|&text| std::mem::take(&mut caches[text])).collect();
        x = block.continued(&pass, &x, &mut here);
        open.iter().zip(here).for_each(|(&text, cache)| caches[text] = cache);
    }
    let last = batch.documents.iter().flat_map(|rows| x[(rows.end - 1) * width..rows.end * width].iter().copied());
    let last: Vec<f32> = last.collect();
    model.normed(&last)
}

fn choose(logits: &mut [f32], temperature: f64, chance: f64) -> u32 {
    if temperature <= 0.0 {
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        return best.map_or(0, |(id, _)| id as u32);
    }
    logits.iter_mut().for_each(|x| *x = (f64::from(*x) / temperature) as f32);
    softmax(logits);
    let mut left = chance * logits.iter().map(|&p| f64::from(p)).sum::<f64>();
    let found = logits.iter().position(|&p| {
        left -= f64::from(p);
        left < 0.0
    });
    found.unwrap_or(logits.len() - 1) as u32
}

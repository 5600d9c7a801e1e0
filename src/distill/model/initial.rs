//! A smaller student out of a larger checkpoint: whole layers are left out. And rows for new tokens.

use super::decoder::Decoder;
use super::weight::{HELPER, Id, Weight};
use crate::distill::kernel::dropout::{mix, share};

/// Layers to keep when `keep` of `all` are wanted: the first and the last ones, which differ most from what is beside
/// them, and the others evenly spread.
pub(crate) fn spread(all: usize, keep: usize) -> Vec<usize> {
    match keep {
        0 => Vec::new(),
        1 => vec![0],
        _ => (0..keep).map(|i| (i * (all - 1) + (keep - 1) / 2) / (keep - 1)).collect(),
    }
}

/// Leaves only these layers, in this order, under new numbers.
pub(crate) fn keep_layers(model: Decoder, layers: &[usize], context: usize) -> Decoder {
    let Decoder { mut shape, weights, .. } = model;
    let number = |name: &str| name.strip_prefix("model.layers.")?.split_once('.')?.0.parse::<usize>().ok();
    let mut before = Vec::new();
    let mut inside: Vec<Vec<_>> = vec![Vec::new(); shape.layers];
    let mut behind = Vec::new();
    for weight in weights {
        match number(&weight.name).and_then(|layer| inside.get_mut(layer)) {
            Some(layer) => layer.push(weight),
            None if weight.name == "model.embed_tokens.weight" => before.push(weight),
            None => behind.push(weight),
        }
    }
    for (new, &old) in layers.iter().enumerate() {
        for mut weight in inside[old].clone() {
            let (was, is) = (format!("model.layers.{old}."), format!("model.layers.{new}."));
            weight.name = weight.name.replacen(&was, &is, 1);
            before.push(weight);
        }
    }
    before.extend(behind);
    shape.layers = layers.len();
    shape.rotated = layers.iter().map(|&old| shape.rotated.get(old).copied().unwrap_or(true)).collect();
    super::load::assemble(shape, before, context)
}

/// Lays projections over states, one for each pair of layers, from the student's width to the teacher's: nothing is
/// changed where both are the same.
pub(crate) fn add_projections(model: &mut Decoder, count: usize, wide: usize, seed: u64) {
    let width = model.shape.hidden;
    // Kaiming's bound keeps the length of what is projected.
    let bound = (3.0 / width as f64).sqrt();
    for pair in 0..count {
        let start = mix(seed ^ mix(pair as u64));
        let random = |i: usize| ((share(start ^ i as u64) * 2.0 - 1.0) * bound) as f32;
        let same = |i: usize| if i / width == i % width { 1.0 } else { 0.0 };
        let numbers = (0..wide * width).map(|i| if wide == width { same(i) } else { random(i) }).collect();
        model.weights.push(Weight::f32(format!("{HELPER}projection.{pair}"), &[wide, width], numbers));
        model.helpers.push(Id(model.weights.len() - 1));
    }
}

/// Gives new tokens rows: the mean of the rows of what each was split into.
pub(crate) fn add_tokens(model: &mut Decoder, added: &[(u32, Vec<u32>)]) {
    let width = model.shape.hidden;
    let rows = added.iter().map(|&(id, _)| id as usize + 1).max().unwrap_or(0).max(model.shape.vocabulary);
    for id in [Some(model.embeddings), model.output].into_iter().flatten() {
        let weight = &mut model.weights[id.0];
        let Some(numbers) = weight.change() else { continue };
        numbers.resize(rows * width, 0.0);
        for (id, parts) in added {
            let mut mean = vec![0.0; width];
            for &part in parts {
                let row = &numbers[part as usize * width..][..width];
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / parts.len() as f32);
            }
            numbers[*id as usize * width..][..width].copy_from_slice(&mean);
        }
        weight.dims[0] = rows;
    }
    model.shape.vocabulary = rows;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_layers_hold_both_ends_and_are_spread() {
        assert_eq!(spread(30, 20).len(), 20);
        assert_eq!(spread(4, 4), [0, 1, 2, 3]);
        assert_eq!((spread(30, 20)[0], spread(30, 20)[19]), (0, 29));
        assert!(spread(30, 20).windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(spread(3, 2), [0, 2]);
    }
}

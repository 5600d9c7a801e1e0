//! A smaller student out of a larger checkpoint: whole layers are left out.

use super::decoder::Decoder;

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
    super::load::assemble(shape, before, context)
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

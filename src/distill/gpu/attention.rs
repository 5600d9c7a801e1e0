//! Causal attention within documents, with fewer heads for keys and values than for queries.
//!
//! Short documents beside each other are computed together, with a mask that keeps them apart; of long ones, some queries
//! at a time with the keys before them. A matrix of scores never has more rows or columns than that needs.

use std::ops::Range;

use burn_tensor::{Device, Tensor, TensorData, activation::softmax};

/// Queries that are computed together.
const TILE: usize = 512;
/// What is added to the score of a key that is not seen: its odds are zero in 32 bits.
const NEVER: f32 = -1e30;

/// Queries with the keys they may see.
#[derive(Debug)]
pub(super) struct Tile {
    queries: Range<usize>,
    keys: Range<usize>,
    mask: Tensor<4>,
}

/// Which queries and keys stand beside each other: documents lie behind one another without a gap.
fn ranges(documents: &[Range<usize>]) -> Vec<(Range<usize>, Range<usize>)> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for document in documents {
        match groups.last_mut() {
            Some(group) if document.end - group.start <= TILE => group.end = document.end,
            _ => groups.push(document.clone()),
        }
    }
    let tiles = |group: Range<usize>| {
        let starts = group.clone().step_by(TILE);
        starts.map(move |from| {
            let to = (from + TILE).min(group.end);
            (from..to, group.start..to)
        })
    };
    groups.into_iter().flat_map(tiles).collect()
}

/// All tiles of a batch.
pub(super) fn tiles(documents: &[Range<usize>], device: &Device) -> Vec<Tile> {
    let first = |row: usize| documents.iter().find(|rows| rows.contains(&row)).map_or(row, |rows| rows.start);
    let tile = |(queries, keys): (Range<usize>, Range<usize>)| {
        let mut mask = Vec::with_capacity(queries.len() * keys.len());
        for query in queries.clone() {
            let first = first(query);
            mask.extend(keys.clone().map(|key| if (first..=query).contains(&key) { 0.0 } else { NEVER }));
        }
        let mask = Tensor::from_data(TensorData::new(mask, [1, 1, queries.len(), keys.len()]), device);
        Tile { queries, keys, mask }
    };
    ranges(documents).into_iter().map(tile).collect()
}

/// `softmax(q·kᵀ/√width)·v` for each head. All have the form rows, heads, width; the result is rows with all heads side by
/// side.
pub(super) fn attend(q: &Tensor<3>, k: &Tensor<3>, v: &Tensor<3>, tiles: &[Tile]) -> Tensor<2> {
    let ([_, queries, width], [_, keys, _]) = (q.dims(), k.dims());
    let group = queries / keys;
    let scale = 1.0 / (width as f32).sqrt();
    let mut all: Vec<Tensor<2>> = Vec::with_capacity(tiles.len());
    for tile in tiles {
        let (rows, seen) = (tile.queries.len(), tile.keys.len());
        let of_keys = |x: &Tensor<3>| x.clone().narrow(0, tile.keys.start, seen).swap_dims(0, 1);
        let q = q.clone().narrow(0, tile.queries.start, rows).reshape([rows, keys, group, width]);
        let q: Tensor<3> = q.permute([1, 2, 0, 3]).reshape([keys, group * rows, width]);
        let scores = q.matmul(of_keys(k).swap_dims(1, 2)).mul_scalar(scale);
        let scores = scores.reshape([keys, group, rows, seen]) + tile.mask.clone();
        let odds: Tensor<3> = softmax(scores, 3).reshape([keys, group * rows, seen]);
        let mixed = odds.matmul(of_keys(v)).reshape([keys, group, rows, width]);
        all.push(mixed.permute([2, 0, 1, 3]).reshape([rows, queries * width]));
    }
    if all.len() == 1 { all.swap_remove(0) } else { Tensor::cat(all, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_stands_once_beside_all_of_its_document() {
        for lengths in [vec![3, 4], vec![500, 20, 1300, 7, 505], vec![1], vec![512, 512], vec![513]] {
            let mut from = 0;
            let documents: Vec<Range<usize>> = lengths
                .iter()
                .map(|len| {
                    from += len;
                    from - len..from
                })
                .collect();
            let tiles = ranges(&documents);
            let queries: Vec<usize> = tiles.iter().flat_map(|(queries, _)| queries.clone()).collect();
            assert_eq!(queries, (0..from).collect::<Vec<_>>(), "{lengths:?}");
            for (queries, keys) in &tiles {
                assert!(queries.len() <= TILE && keys.end == queries.end, "{lengths:?}");
                for query in queries.clone() {
                    let own = documents.iter().find(|rows| rows.contains(&query)).unwrap();
                    assert!(keys.start <= own.start, "{lengths:?}");
                }
            }
        }
    }
}

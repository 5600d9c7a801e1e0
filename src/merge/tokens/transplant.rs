//! Another tokenizer for a model: rows for tokens that it never had.
//!
//! Tokens that both vocabularies have keep the model's own rows. A new token is told by its donor: its row there is written
//! as a sum of a few rows of shared tokens (orthogonal matching pursuit, arXiv 2506.06607), and the same sum of the model's
//! own rows becomes its row. Simpler ways: the mean of all rows, or of the pieces the old tokenizer splits the token into.
//!
//! Memory: the donor's rows of shared tokens in `f32`, and a batch of targets with its products.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use faer::Mat;

use super::bpe::Merges;
use super::{Vocabulary, vocabulary};
use crate::engine::Cancel;
use crate::merge::error::MergeError;
use crate::merge::method::dot;
use crate::merge::model::{Model, Numbers, Weight};
use crate::merge::names;

/// Targets that are worked on together.
const BATCH: usize = 128;
/// A residual of this share of its target, and what is left of a point after this share of it lies in the span of others, are
/// noise in `f32`.
const NOISE: f64 = 1e-5;

/// How new rows come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Sums of so many shared tokens.
    Omp(usize),
    /// The mean of all rows.
    Mean,
    /// The mean of the pieces that the old tokenizer splits a token into.
    Subword,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Tokens of the new vocabulary.
    pub tokens: usize,
    /// Those that both have.
    pub shared: usize,
    /// Rows of the result.
    pub rows: u64,
}

#[derive(Clone, Debug)]
enum From {
    Own(u32),
    Sum(Box<[(u32, f32)]>),
    Mean,
}

/// A tensor with rows for other tokens.
#[derive(Debug)]
struct Placed {
    base: Arc<Weight>,
    rows: Vec<From>,
    mean: Vec<f32>,
}

impl Numbers for Placed {
    fn read(&self, at: u64, out: &mut [f32]) {
        let columns = self.mean.len().max(1);
        let (mut row, mut within, mut done) = (at as usize / columns, at as usize % columns, 0);
        let mut one = vec![0.0; columns];
        while done < out.len() {
            let length = (columns - within).min(out.len() - done);
            let to = &mut out[done..done + length];
            let place = |row: u32| u64::from(row) * columns as u64 + within as u64;
            match self.rows.get(row) {
                Some(From::Own(row)) => self.base.read(place(*row), to),
                Some(From::Sum(parts)) => {
                    to.fill(0.0);
                    for &(row, factor) in parts {
                        self.base.read(place(row), &mut one[..length]);
                        to.iter_mut().zip(&one).for_each(|(to, from)| *to += factor * from);
                    }
                }
                Some(From::Mean) | None => to.copy_from_slice(&self.mean[within..within + length]),
            }
            (row, within, done) = (row + 1, 0, done + length);
        }
    }

    fn forget(&self, _: Range<u64>) {}
}

/// Puts a donor's vocabulary into a model; its tensors with a row for each token are replaced. `show` is told new tokens
/// done and all.
///
/// # Errors
/// A tokenizer is missing, nothing is shared, or it was cancelled.
pub fn run(
    model: &mut Model,
    donor: &Model,
    way: Way,
    cancel: &Cancel,
    mut show: impl FnMut(u64, u64),
) -> Result<Moved, MergeError> {
    let fault = |what: String| MergeError::Tokenizer { what };
    let need = |model: &Model| {
        vocabulary(model)?.ok_or_else(|| fault(format!("the model `{}` has no `tokenizer.json`", model.reference)))
    };
    let (old, new) = (need(model)?, need(donor)?);
    let rows = new.ids.values().max().map_or(0, |id| id + 1);
    let shared = shared(model, &old, &new);
    if shared.is_empty() {
        return Err(fault("the two vocabularies share no token".to_owned()));
    }
    let fresh: Vec<(&String, u32)> =
        new.ids.iter().filter(|(_, id)| !shared.contains_key(*id)).map(|(text, id)| (text, *id)).collect();
    let heads: Vec<String> = model.weights.keys().filter(|name| names::is_vocabulary(name)).cloned().collect();
    let all = (fresh.len() * heads.len()) as u64;
    let mut done = 0;
    for name in &heads {
        let Some(own) = model.weights.get(name).cloned() else { continue };
        let mut table = vec![From::Mean; rows as usize];
        for (&id, &row) in &shared {
            table[id as usize] = From::Own(row);
        }
        match way {
            Way::Mean => {}
            Way::Subword => subword(&old, &own, &fresh, &mut table)?,
            Way::Omp(k) => {
                let theirs = super::super::plan::weight(donor, name);
                let theirs = theirs.ok_or_else(|| fault(format!("the donor `{}` has no `{name}`", donor.reference)))?;
                pursue(&theirs, &shared, &fresh, k, &mut table, cancel, &mut |count| {
                    done += count;
                    show(done, all);
                })?;
            }
        }
        let mean = mean(&own);
        let shape: Vec<u64> = std::iter::once(u64::from(rows)).chain(own.shape.iter().skip(1).copied()).collect();
        let place = Box::new(Placed { base: own.clone(), rows: table, mean });
        let weight = Weight::new(name.clone(), shape, own.dtype, own.file.clone(), place);
        model.weights.insert(name.clone(), Arc::new(weight));
    }
    model.changes.push(format!("the tokenizer of `{}`, new rows by {way:?}", donor.reference));
    for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
        match donor.config.get(key) {
            Some(id) => drop(model.config.insert(key.to_owned(), id.clone())),
            None => drop(model.config.remove(key)),
        }
    }
    Ok(Moved { tokens: new.ids.len(), shared: shared.len(), rows: u64::from(rows) })
}

/// The model's row of each token of the new vocabulary that it has; a word's beginning is spelt `Ġ` here and `▁` there.
fn shared(model: &Model, old: &Vocabulary, new: &Vocabulary) -> BTreeMap<u32, u32> {
    let embedding = model.weights.iter().find(|(name, _)| names::is_vocabulary(name) && names::is_before(name));
    let rows = embedding.and_then(|(_, weight)| weight.shape.first().copied()).unwrap_or(0);
    let other = |text: &str| match text.chars().next() {
        Some('Ġ') => Some(format!("▁{}", &text['Ġ'.len_utf8()..])),
        Some('▁') => Some(format!("Ġ{}", &text['▁'.len_utf8()..])),
        _ => None,
    };
    let row = |text: &str| old.ids.get(text).or_else(|| old.ids.get(&other(text)?)).copied();
    new.ids.iter().filter_map(|(text, id)| Some((*id, row(text).filter(|row| u64::from(*row) < rows)?))).collect()
}

fn mean(weight: &Weight) -> Vec<f32> {
    let columns = weight.columns().max(1);
    let rows = weight.elements() / columns;
    let mut sum = vec![0f64; columns as usize];
    let mut one = vec![0f32; columns as usize];
    for row in 0..rows {
        weight.read(row * columns, &mut one);
        sum.iter_mut().zip(&one).for_each(|(to, &from)| *to += f64::from(from));
    }
    sum.into_iter().map(|sum| (sum / rows.max(1) as f64) as f32).collect()
}

fn subword(old: &Vocabulary, own: &Weight, fresh: &[(&String, u32)], table: &mut [From]) -> Result<(), MergeError> {
    let merges = super::bpe::merges(&old.json).map_err(|what| MergeError::Tokenizer { what })?;
    let merges = Merges::of(&merges);
    let rows = own.shape.first().copied().unwrap_or(0);
    for (text, id) in fresh {
        let pieces = merges.split(text).0;
        let ids: Vec<u32> =
            pieces.iter().filter_map(|piece| old.ids.get(piece)).copied().filter(|id| u64::from(*id) < rows).collect();
        if !ids.is_empty() {
            let factor = 1.0 / ids.len() as f32;
            table[*id as usize] = From::Sum(ids.into_iter().map(|id| (id, factor)).collect());
        }
    }
    Ok(())
}

/// Writes each new token's row in the donor as a sum of `k` rows of shared tokens.
fn pursue(
    donor: &Weight,
    shared: &BTreeMap<u32, u32>,
    fresh: &[(&String, u32)],
    k: usize,
    table: &mut [From],
    cancel: &Cancel,
    done: &mut dyn FnMut(u64),
) -> Result<(), MergeError> {
    let columns = donor.columns().max(1) as usize;
    let rows = donor.shape.first().copied().unwrap_or(0);
    let read = |id: u32| {
        let mut row = vec![0.0; columns];
        if u64::from(id) < rows {
            donor.read(u64::from(id) * columns as u64, &mut row);
        }
        row
    };
    let pairs: Vec<(u32, u32)> =
        shared.iter().map(|(id, row)| (*id, *row)).filter(|(id, _)| u64::from(*id) < rows).collect();
    // A column for each point, so that a point lies in one piece.
    let mut points = Mat::<f32>::zeros(columns, pairs.len());
    for (at, (id, _)) in pairs.iter().enumerate() {
        points.col_as_slice_mut(at).copy_from_slice(&read(*id));
    }
    for batch in fresh.chunks(BATCH) {
        if cancel.is_cancelled() {
            return Err(MergeError::Interrupted);
        }
        let mut targets: Vec<Pursuit> = batch.iter().map(|(_, id)| Pursuit::new(read(*id))).collect();
        for _ in 0..k.min(pairs.len()).min(columns) {
            let residuals = Mat::from_fn(columns, targets.len(), |row, at| targets[at].residual[row]);
            let products = points.transpose() * &residuals;
            for (at, target) in targets.iter_mut().enumerate() {
                target.step(products.col_as_slice(at), &points);
            }
        }
        for (target, (_, id)) in targets.iter().zip(batch) {
            let sum: Box<[(u32, f32)]> =
                target.factors().into_iter().map(|(at, factor)| (pairs[at].1, factor)).collect();
            // A row of zeros is a sum of nothing.
            table[*id as usize] = From::Sum(sum);
        }
        done(batch.len() as u64);
    }
    Ok(())
}

/// One target on its way.
struct Pursuit {
    target: Vec<f32>,
    length: f64,
    residual: Vec<f32>,
    chosen: Vec<usize>,
    basis: Vec<Vec<f32>>,
    /// The points in terms of the basis, one column for each point.
    triangle: Vec<Vec<f64>>,
}

impl Pursuit {
    fn new(target: Vec<f32>) -> Self {
        let (residual, length) = (target.clone(), dot(&target, &target).sqrt());
        Self { target, length, residual, chosen: Vec::new(), basis: Vec::new(), triangle: Vec::new() }
    }

    /// Takes the point that the residual points to most, and takes its direction out of the residual.
    fn step(&mut self, products: &[f32], points: &Mat<f32>) {
        let size = dot(&self.residual, &self.residual).sqrt();
        if size <= self.length * NOISE {
            return;
        }
        let open = products.iter().enumerate().filter(|(at, _)| !self.chosen.contains(at));
        let Some((best, _)) = open.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())) else { return };
        let mut rest = points.col_as_slice(best).to_vec();
        let before = dot(&rest, &rest).sqrt();
        let mut column = vec![0.0; self.basis.len()];
        // Twice: what is left of a point that lies almost in the span is mostly the first time's rounding.
        for _ in 0..2 {
            for (direction, column) in self.basis.iter().zip(&mut column) {
                let along = dot(direction, &rest);
                *column += along;
                rest.iter_mut().zip(direction).for_each(|(rest, direction)| *rest -= along as f32 * direction);
            }
        }
        let length = dot(&rest, &rest).sqrt();
        // A point in the span of those before adds nothing but noise.
        if length <= before * NOISE {
            self.chosen.push(best);
            self.triangle.push(Vec::new());
            self.basis.push(vec![0.0; rest.len()]);
            return;
        }
        column.push(length);
        rest.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
        let along = dot(&rest, &self.residual) as f32;
        self.residual.iter_mut().zip(&rest).for_each(|(residual, direction)| *residual -= along * direction);
        self.chosen.push(best);
        self.triangle.push(column);
        self.basis.push(rest);
    }

    /// The points with their factors: back substitution.
    fn factors(&self) -> Vec<(usize, f32)> {
        let count = self.chosen.len();
        let mut factors = vec![0f64; count];
        for at in (0..count).rev() {
            let Some(&own) = self.triangle[at].get(at) else { continue };
            let mut sum = dot(&self.basis[at], &self.target);
            for (column, factor) in self.triangle.iter().zip(&factors).skip(at + 1) {
                sum -= column.get(at).copied().unwrap_or(0.0) * factor;
            }
            factors[at] = sum / own;
        }
        let pairs = self.chosen.iter().zip(factors).filter(|(_, factor)| *factor != 0.0);
        pairs.map(|(at, factor)| (*at, factor as f32)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far the sum that was found lies from its target, and how many points it has.
    fn pursued(points: &Mat<f32>) -> (f32, usize) {
        let mut target = vec![0f32; points.nrows()];
        for (at, factor) in [(3, 2.0), (40, -1.0), (51, 0.5)] {
            let point = points.col_as_slice(at);
            target.iter_mut().zip(point).for_each(|(to, from)| *to += factor * from);
        }
        let mut pursuit = Pursuit::new(target.clone());
        for _ in 0..12 {
            let residual = Mat::from_fn(points.nrows(), 1, |row, _| pursuit.residual[row]);
            let products = points.transpose() * &residual;
            pursuit.step(products.col_as_slice(0), points);
        }
        let mut found = vec![0.0; points.nrows()];
        for (at, factor) in pursuit.factors() {
            found.iter_mut().zip(points.col_as_slice(at)).for_each(|(to, from)| *to += factor * from);
        }
        let error = found.iter().zip(&target).map(|(a, b): (&f32, &f32)| (a - b).abs()).fold(0.0, f32::max);
        (error, pursuit.factors().len())
    }

    #[test]
    fn a_sum_of_few_points_is_found_again() {
        let mut state = 1u32;
        let points = Mat::from_fn(24, 60, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        let (error, count) = pursued(&points);
        assert!(error < 1e-4, "{error}");
        assert!((3..=12).contains(&count), "{count}");
    }

    #[test]
    fn points_of_a_plane_need_two() {
        let point = |row: usize, at: usize| (row as f64 * 3.1 + at as f64 * 1.7).sin();
        let points = Mat::from_fn(24, 60, |row, at| point(row, at) as f32);
        let (error, count) = pursued(&points);
        assert!(error < 1e-4 && count == 2, "{error}, {count}");
        // a little beside the plane, further points are found and do no harm
        let points = Mat::from_fn(24, 60, |row, at| (point(row, at) + 1e-4 * point(row * row, at * row)) as f32);
        let (error, _) = pursued(&points);
        assert!(error < 1e-3, "{error}");
    }
}
